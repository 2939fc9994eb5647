// Package googlefake is Google on the wire: the OAuth endpoints, and as much of IAM, API Keys, Secret
// Manager and the Gemini API as their credentials need, with one project behind them.
package googlefake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	serviceAccount = "google.service_account"
	apiKey         = "google.api_key"
	authKey        = "google.auth_key"
	accessToken    = "google.access_token"
	refreshToken   = "google.refresh_token"
	secretVersion  = "google.secret_version"

	tokenLife = time.Hour
	// keyBits is the shorter of the two sizes that IAM lists (KEY_ALG_RSA_1024): keys are made by the
	// hundred here.
	keyBits = 1024
)

// Fake is one simulated project, with the users who granted its OAuth client something.
type Fake struct {
	knobs *fake.Knobs

	mu       sync.Mutex
	project  string
	number   string
	serial   int
	made     int               // keys of service accounts
	clients  map[string]string // secrets of OAuth clients by id
	accounts map[string]*account
	keys     map[string]*key     // API keys by value
	tokens   map[string]*token   // access tokens by value
	grants   map[string]*grant   // by refresh token
	versions map[string]*version // by resource name
}

// account is a service account.
type account struct {
	email, id string
	keys      []*accountKey
	mayManage bool // its roles let it change its own keys
	life      fake.Revocation
}

type accountKey struct {
	id      string
	public  *rsa.PublicKey
	deleted bool
	life    fake.Revocation // disabled or deleted
	reason  string
	made    time.Time
}

type key struct {
	uid        string
	value      string
	account    string // that it is bound to
	restricted bool   // to another API than those of the probes
	life       fake.Revocation
}

// grant is what a user allowed an OAuth client.
type grant struct {
	client, user string
	life         fake.Revocation
}

// token is an access token: of a grant, of a service account, or the administrator's.
type token struct {
	grant   *grant
	account *account
	admin   bool
	scope   string
	expires time.Time
}

type version struct {
	name      string
	destroyed bool
	life      fake.Revocation
	made      time.Time
}

// New makes a project without accounts.
func New(c fake.Clock) *Fake {
	return &Fake{
		knobs: fake.NewKnobs(c), project: "acme-" + lower(6), number: digits(12),
		clients: map[string]string{}, accounts: map[string]*account{}, keys: map[string]*key{},
		tokens: map[string]*token{}, grants: map[string]*grant{}, versions: map[string]*version{},
	}
}

func (f *Fake) Name() string { return "google" }
func (f *Fake) Hosts() []string {
	return []string{
		"oauth2.googleapis.com", "www.googleapis.com", "iam.googleapis.com", "apikeys.googleapis.com",
		"secretmanager.googleapis.com", "translation.googleapis.com", "generativelanguage.googleapis.com",
	}
}
func (f *Fake) Kinds() []string {
	return []string{serviceAccount, refreshToken, accessToken, authKey, apiKey, secretVersion}
}
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

func (f *Fake) now() time.Time { return f.knobs.Now() }

// Mint makes a key of a service account of its own, an API key, a grant of a user of its own with its
// refresh or its access token, or a secret of one version.
func (f *Fake) Mint(kind string) credential.Credential {
	var c credential.Credential
	switch kind {
	case serviceAccount:
		c = f.MintKey(f.fresh("agent"))
	case apiKey:
		c = f.mintAPIKey("AIza"+base64.RawURLEncoding.EncodeToString(random(27))[:35], false)
	case authKey:
		c = f.mintAPIKey("AQ."+base64.RawURLEncoding.EncodeToString(random(36)), true)
	case accessToken:
		c, _ = f.MintGrant()
	case refreshToken:
		_, c = f.MintGrant()
	case secretVersion:
		c = f.mintVersion()
	default:
		panic("googlefake mints no " + kind)
	}
	c.Provider, c.Kind = "google", kind
	return c
}

// MintKey makes a key of the service account with that name, which is made where missing.
func (f *Fake) MintKey(name string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	private := pool.key(f.made)
	f.made++
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic("googlefake: " + err.Error())
	}
	a := f.account(name)
	k := &accountKey{id: fake.Hex(20), public: &private.PublicKey, made: f.now()}
	a.keys = append(a.keys, k)
	return credential.Credential{
		Provider: "google", Kind: serviceAccount, Owner: a.email,
		Secret: credential.NewSecret(map[string]string{"value": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}),
		Ref:    map[string]string{"id": k.id, "client_email": a.email},
	}
}

// MintAuthority makes an administrator's access token.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value, t := f.newToken("https://www.googleapis.com/auth/cloud-platform")
	t.admin, t.grant = true, &grant{client: "32555940559.apps.googleusercontent.com", user: "admin@acme.example"}
	t.expires = f.now().Add(10 * 365 * 24 * time.Hour) // as if it were renewed
	return credential.Credential{Provider: "google", Kind: accessToken, Secret: credential.Value(value)}, true
}

// MayManage lets the account of that name, and whoever holds a key of it, change its own keys.
func (f *Fake) MayManage(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.account(name).mayManage = true
}

// Restrict restricts an API key to another API than those that the probes ask.
func (f *Fake) Restrict(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[c.Secret.Reveal("value")].restricted = true
}

// MintAccountToken makes an access token of the service account with that name.
func (f *Fake) MintAccountToken(name string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	value, t := f.newToken("https://www.googleapis.com/auth/cloud-platform")
	t.account = f.account(name)
	return credential.Credential{Provider: "google", Kind: accessToken, Secret: credential.Value(value)}
}

func (f *Fake) mintAPIKey(value string, bound bool) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := &key{uid: fake.GUID(), value: value}
	if bound {
		k.account = f.account("gemini").email
	}
	f.keys[value] = k
	return credential.Credential{Secret: credential.Value(value)}
}

// MintGrant makes both tokens of one grant; beside the refresh token stands its OAuth client.
func (f *Fake) MintGrant() (access, refresh credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.client()
	f.serial++
	g := &grant{client: id, user: fmt.Sprintf("user-%d@acme.example", f.serial)}
	again := "1//0" + base64.RawURLEncoding.EncodeToString(random(72))
	f.grants[again] = g
	value, t := f.newToken("https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/drive")
	t.grant = g
	return credential.Credential{Provider: "google", Kind: accessToken, Secret: credential.Value(value)},
		credential.Credential{Provider: "google", Kind: refreshToken, Secret: credential.NewSecret(map[string]string{
			"value": again, "client_id": id, "client_secret": f.clients[id],
		})}
}

// Expose disables a key as Google does with one that it found in public.
func (f *Fake) Expose(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, k := f.keyOf(c.Ref["id"]); k != nil {
		f.knobs.Revoke(&k.life)
		k.reason = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"
	}
}

func (f *Fake) mintVersion() credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	v := &version{name: fmt.Sprintf("projects/%s/secrets/agent-%d/versions/1", f.number, f.serial), made: f.now()}
	f.versions[v.name] = v
	return credential.Credential{
		Secret: credential.Value(base64.RawURLEncoding.EncodeToString(random(30))),
		Ref:    map[string]string{"id": v.name},
	}
}

// client is the one OAuth client of the project, which is made where missing.
func (f *Fake) client() string {
	for id := range f.clients {
		return id
	}
	id := digits(12) + "-" + lower(32) + ".apps.googleusercontent.com"
	f.clients[id] = "GOCSPX-" + base64.RawURLEncoding.EncodeToString(random(21))
	return id
}

// newToken stands for no state: a token that nobody keeps changes nothing.
func (f *Fake) newToken(scope string) (string, *token) {
	value := "ya29.a0" + base64.RawURLEncoding.EncodeToString(random(150))
	t := &token{scope: scope, expires: f.now().Add(tokenLife)}
	f.tokens[value] = t
	return value, t
}

func (f *Fake) account(name string) *account {
	email := name + "@" + f.project + ".iam.gserviceaccount.com"
	a := f.accounts[email]
	if a == nil {
		a = &account{email: email, id: digits(21)}
		f.accounts[email] = a
	}
	return a
}

// pool holds the RSA keys that this process made: each takes long, and every fake may begin with the
// first again.
var pool keyPool

type keyPool struct {
	mu   sync.Mutex
	made []*rsa.PrivateKey
}

// key returns the nth key, and makes it where it is the next.
func (p *keyPool) key(n int) *rsa.PrivateKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.made) <= n {
		k, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			panic("googlefake: " + err.Error())
		}
		p.made = append(p.made, k)
	}
	return p.made[n]
}

// lives are the revocations of which each ends the credential.
func (f *Fake) lives(c credential.Credential) []*fake.Revocation {
	value := c.Secret.Reveal("value")
	switch c.Kind {
	case serviceAccount:
		if a, k := f.keyOf(c.Ref["id"]); k != nil {
			return []*fake.Revocation{&k.life, &a.life}
		}
	case apiKey, authKey:
		if k := f.keys[value]; k != nil {
			return []*fake.Revocation{&k.life}
		}
	case accessToken:
		if t := f.tokens[value]; t != nil && f.now().Before(t.expires) {
			return []*fake.Revocation{t.life()}
		}
	case refreshToken:
		if g := f.grants[value]; g != nil {
			return []*fake.Revocation{&g.life}
		}
	case secretVersion:
		if v := f.versions[c.Ref["id"]]; v != nil {
			return []*fake.Revocation{&v.life}
		}
	}
	return nil
}

func (t *token) life() *fake.Revocation {
	if t.account != nil {
		return &t.account.life
	}
	return &t.grant.life
}

func (f *Fake) keyOf(id string) (*account, *accountKey) {
	for _, a := range f.accounts {
		for _, k := range a.keys {
			if k.id == id {
				return a, k
			}
		}
	}
	return nil, nil
}

// Alive reports whether the credential can be used. A secret version is alive while it is handed out.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.lives(c)
	dead := slices.ContainsFunc(all, func(r *fake.Revocation) bool { return !f.knobs.Works(*r) })
	return len(all) > 0 && !dead
}

// RevokeByHand deletes a key in the console, removes an app's access from a user's account, destroys
// a secret version.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if all := f.lives(c); len(all) > 0 {
		f.knobs.Revoke(all[0])
	}
	if _, k := f.keyOf(c.Ref["id"]); k != nil {
		k.deleted = true
	}
	if v := f.versions[c.Ref["id"]]; v != nil {
		v.destroyed = true
	}
}

// State lists accounts, keys, grants and versions.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, a := range f.accounts {
		add("account %s disabled %v manages %t", a.email, a.life.At, a.mayManage)
		for _, k := range a.keys {
			add("key %s of %s disabled %v deleted %t %s", k.id, a.email, k.life.At, k.deleted, k.reason)
		}
	}
	for _, k := range f.keys {
		add("API key %s of %q restricted %t deleted %v", k.uid, k.account, k.restricted, k.life.At)
	}
	for _, g := range f.grants {
		add("grant of %s to %s ended %v", g.user, g.client, g.life.At)
	}
	for _, t := range f.tokens {
		if t.admin {
			add("administrator %s ended %v", t.grant.user, t.grant.life.At)
		}
	}
	for _, v := range f.versions {
		add("version %s disabled %v destroyed %t", v.name, v.life.At, v.destroyed)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// fresh is a name that nobody has yet.
func (f *Fake) fresh(prefix string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	return prefix + "-" + strconv.Itoa(f.serial)
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.knobs.Serve(w, r, f.serve) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

func lower(n int) string  { return drawn(n, "abcdefghijklmnopqrstuvwxyz012345") }
func digits(n int) string { return "1" + drawn(n-1, "01234567") }

// drawn needs an alphabet whose length divides 256.
func drawn(n int, alphabet string) string {
	b := random(n)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}
