package githubfake

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	appKey          = "github.app_key"
	appInstallation = "github.app_installation"
	clientSecret    = "github.client_secret"

	deskApp = 9000 // the App that the authority has a key of
)

var appKinds = []string{appKey, appInstallation, clientSecret, orgAccess}

// signer is a private key of a GitHub App.
type signer struct {
	app    int
	file   string
	public *rsa.PublicKey
	life   fake.Revocation
}

// installation is an App's access to an account. It is suspended while its life is over.
type installation struct {
	id, app int
	login   string
	life    fake.Revocation
}

// oauthClient is an OAuth or GitHub App as its users have it.
type oauthClient struct {
	id, secret string
	life       fake.Revocation // of the secret
}

// rsaKeys are made once, since that takes long, and random in each process. GitHub's have 2048 bits.
var rsaKeys struct {
	sync.Mutex
	all []*rsa.PrivateKey
}

func rsaKey(i int) *rsa.PrivateKey {
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	for len(rsaKeys.all) <= i {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			panic(err) // crypto/rand ends the process before it fails
		}
		rsaKeys.all = append(rsaKeys.all, key)
	}
	return rsaKeys.all[i]
}

// mintApp makes what an App has. The caller holds the lock.
func (f *Fake) mintApp(kind string) credential.Credential {
	c := credential.Credential{Provider: f.Name(), Kind: kind}
	switch kind {
	case orgAccess:
		c = f.mintOrgAccess()
	case appKey:
		s := f.mintSigner(deskApp + len(f.signers) + 1)
		f.install(s.app)
		c.Secret, c.Ref = credential.Value(s.file), map[string]string{"app_id": strconv.Itoa(s.app)}
	case appInstallation:
		i := f.install(deskApp)
		c.Ref = map[string]string{"id": strconv.Itoa(i.id), "app_id": strconv.Itoa(i.app)}
	case clientSecret:
		o := &oauthClient{id: "Iv1." + random(16), secret: random(40)}
		f.clients = append(f.clients, o)
		c.Secret, c.Ref = credential.Value(o.secret), map[string]string{"client_id": o.id}
	}
	return c
}

func (f *Fake) mintSigner(app int) *signer {
	key := rsaKey(len(f.signers))
	file := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	s := &signer{app: app, file: string(file), public: &key.PublicKey}
	f.signers = append(f.signers, s)
	return s
}

func (f *Fake) install(app int) *installation {
	i := &installation{id: 5001 + len(f.installations), app: app}
	i.login = fmt.Sprintf("acme-%d", i.id)
	f.installations = append(f.installations, i)
	return i
}

// appLife is the life of what an App has.
func (f *Fake) appLife(c credential.Credential) *fake.Revocation {
	switch c.Kind {
	case orgAccess:
		for _, g := range f.orgGrants {
			if strconv.Itoa(g.token) == c.Ref["id"] {
				return &g.life
			}
		}
	case appInstallation:
		for _, i := range f.installations {
			if strconv.Itoa(i.id) == c.Ref["id"] {
				return &i.life
			}
		}
	case clientSecret:
		for _, o := range f.clients {
			if o.secret == c.Secret.Reveal("value") {
				return &o.life
			}
		}
	default:
		for _, s := range f.signers {
			if s.file == c.Secret.Reveal("value") || s.file == c.Secret.Reveal("private_key") {
				return &s.life
			}
		}
	}
	return nil
}

// signedBy finds who signed a JSON web token, and otherwise says what GitHub would.
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
func (f *Fake) signedBy(token string) (*signer, string) {
	const bad = "A JSON web token could not be decoded"
	parts := strings.Split(token, ".")
	var claims struct {
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
		Issuer  string `json:"iss"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return nil, bad
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, bad
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, s := range f.signers {
		if strconv.Itoa(s.app) != claims.Issuer || rsa.VerifyPKCS1v15(s.public, crypto.SHA256, sum[:], signature) != nil || !f.knobs.Live(&s.life) {
			continue
		}
		now := f.knobs.Now()
		switch issued, expires := time.Unix(claims.Issued, 0), time.Unix(claims.Expires, 0); {
		case issued.After(now):
			return nil, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
		case !expires.After(now):
			return nil, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
		case expires.Sub(now) > 10*time.Minute:
			return nil, "'Expiration time' claim ('exp') is too far in the future"
		}
		return s, ""
	}
	return nil, bad
}

// asApp wraps what only an App may ask.
func asApp(serve func(*Fake, *request)) func(*Fake, *request) {
	return func(f *Fake, q *request) {
		if q.app == nil {
			q.fail(http.StatusUnauthorized, "A JSON web token could not be decoded")
			return
		}
		serve(f, q)
	}
}

func (f *Fake) theApp(q *request) {
	id := strconv.Itoa(q.app.app)
	q.reply(http.StatusOK, map[string]any{
		"id": q.app.app, "slug": "agent-" + id, "node_id": "A_" + id, "client_id": "Iv1.0123456789abcdef", "name": "Agent " + id,
		"owner": f.account(person, 1), "description": nil, "external_url": "https://acme.example", "html_url": "https://github.com/apps/agent-" + id,
		"created_at": "2024-01-02T03:04:05Z", "updated_at": "2024-01-02T03:04:05Z", "permissions": map[string]any{"contents": "write"}, "events": []any{},
	})
}

func (f *Fake) listInstallations(q *request) {
	list := []map[string]any{}
	for _, i := range f.installations {
		if i.app == q.app.app {
			list = append(list, f.installationBody(i))
		}
	}
	q.page(list)
}

// installed finds the installation that a request is about, of the App that asks.
func (f *Fake) installed(q *request) *installation {
	for _, i := range f.installations {
		if i.app == q.app.app && strconv.Itoa(i.id) == q.args[0] {
			return i
		}
	}
	q.fail(http.StatusNotFound, "Not Found")
	return nil
}

func (f *Fake) theInstallation(q *request) {
	if i := f.installed(q); i != nil {
		q.reply(http.StatusOK, f.installationBody(i))
	}
}

func (f *Fake) suspendInstallation(q *request) {
	if i := f.installed(q); i != nil {
		f.knobs.Revoke(&i.life)
		q.w.WriteHeader(http.StatusNoContent)
	}
}

func (f *Fake) unsuspendInstallation(q *request) {
	if i := f.installed(q); i != nil {
		i.life = fake.Revocation{}
		q.w.WriteHeader(http.StatusNoContent)
	}
}

func (f *Fake) installationBody(i *installation) map[string]any {
	url := f.api() + "/app/installations/" + strconv.Itoa(i.id)
	account := f.account(i.login, 3000+i.id)
	// GitHub's description of the list wants what a user has and what an enterprise has at once.
	for _, name := range []string{"name", "slug"} {
		account[name] = i.login
	}
	account["created_at"], account["updated_at"] = "2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"
	body := map[string]any{
		"id": i.id, "app_id": i.app, "app_slug": fmt.Sprintf("agent-%d", i.app), "target_id": 3000 + i.id, "target_type": "Organization",
		"single_file_name": nil, "repository_selection": "all", "access_tokens_url": url + "/access_tokens", "html_url": "https://github.com/settings/installations/" + strconv.Itoa(i.id),
		"repositories_url": f.api() + "/installation/repositories", "events": []any{}, "account": account, "permissions": map[string]any{"contents": "write"},
		"created_at": "2024-01-02T03:04:05Z", "updated_at": "2024-01-02T03:04:05Z", "suspended_by": nil, "suspended_at": nil,
	}
	if !f.knobs.Live(&i.life) {
		body["suspended_at"] = i.life.At.UTC().Format(time.RFC3339)
	}
	return body
}

// exchange: https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors.
// It looks at the client before the code. No code is ever good here.
func (f *Fake) exchange(q *request) {
	reason, text := "incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."
	for _, o := range f.clients {
		if o.id == q.PostFormValue("client_id") && o.secret == q.PostFormValue("client_secret") && f.knobs.Live(&o.life) {
			reason, text = "bad_verification_code", "The code passed is incorrect or expired."
		}
	}
	q.reply(http.StatusOK, map[string]any{"error": reason, "error_description": text, "error_uri": docs})
}

// MintGrant issues tokens of these kinds to a client, all under the grant of one user.
func (f *Fake) MintGrant(to credential.Credential, kinds ...string) (under []credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	login := fmt.Sprintf("acme-user-%d", len(f.minted)+1)
	for _, kind := range kinds {
		c := f.mintToken(kind, login, "repo")
		f.tokens[c.Secret.Reveal("value")].client = to.Ref["client_id"]
		under = append(under, c)
	}
	return under
}

// client finds who a Basic authentication is of.
func (f *Fake) client(r *http.Request) *oauthClient {
	id, secret, ok := r.BasicAuth()
	for _, o := range f.clients {
		if ok && o.id == id && o.secret == secret && f.knobs.Live(&o.life) {
			return o
		}
	}
	return nil
}

// theirs is the valid token that a client asks about. GitHub does not find another's.
func (f *Fake) theirs(q *request) *token {
	var in struct {
		Token string `json:"access_token"`
	}
	if q.client == nil || q.client.id != q.args[0] {
		q.fail(http.StatusNotFound, "Not Found")
		return nil
	}
	if json.NewDecoder(q.Body).Decode(&in) != nil || in.Token == "" {
		q.fail(http.StatusUnprocessableEntity, "Validation Failed")
		return nil
	}
	t := f.tokens[in.Token]
	if t == nil || t.client != q.client.id || !f.knobs.Live(&t.life) {
		q.fail(http.StatusNotFound, "Not Found")
		return nil
	}
	return t
}

// checkToken: https://docs.github.com/rest/apps/oauth-applications#check-a-token
func (f *Fake) checkToken(q *request) {
	t := f.theirs(q)
	if t == nil {
		return
	}
	q.reply(http.StatusOK, map[string]any{
		"id": t.id, "url": f.api() + "/authorizations/" + strconv.Itoa(t.id), "scopes": strings.Split(t.scopes, ", "), "token": "",
		"token_last_eight": nil, "hashed_token": nil, "app": map[string]any{"client_id": t.client, "name": "Agent", "url": "https://acme.example"},
		"note": nil, "note_url": nil, "updated_at": "2024-01-02T03:04:05Z", "created_at": "2024-01-02T03:04:05Z", "fingerprint": nil,
		"expires_at": nil, "user": f.simpleUser(t),
	})
}

// deleteGrant: https://docs.github.com/rest/apps/oauth-applications#delete-an-app-authorization
func (f *Fake) deleteGrant(q *request) {
	of := f.theirs(q)
	if of == nil {
		return
	}
	for _, t := range f.minted {
		if t.client == of.client && t.login == of.login {
			f.knobs.Revoke(&t.life)
		}
	}
	q.w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) appState() string {
	var out strings.Builder
	for _, s := range f.signers {
		fmt.Fprintf(&out, "key of App %d %s\n", s.app, lifeText(s.life))
	}
	for _, i := range f.installations {
		fmt.Fprintf(&out, "installation %d of App %d %s\n", i.id, i.app, lifeText(i.life))
	}
	for _, g := range f.orgGrants {
		fmt.Fprintf(&out, "access of token %d %s\n", g.token, lifeText(g.life))
	}
	for _, o := range f.clients {
		fmt.Fprintf(&out, "secret of client %s %s\n", o.id, lifeText(o.life))
	}
	return out.String()
}

func lifeText(life fake.Revocation) string {
	if life.At.IsZero() {
		return "live"
	}
	return "ended " + life.At.UTC().Format(time.RFC3339Nano)
}
