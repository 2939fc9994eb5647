// Package oauth2fake is an OAuth 2.0 authorization server with one resource on the wire: revocation
// (https://www.rfc-editor.org/rfc/rfc7009), introspection (https://www.rfc-editor.org/rfc/rfc7662) and
// refusals of the resource (https://www.rfc-editor.org/rfc/rfc6750).
package oauth2fake

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Where things are, and who the client is.
const (
	Host       = "auth.oauth2.test"
	Revocation = "/revoke"
	Lookup     = "/introspect"
	Resource   = "/resource"
	Client     = "openclaw-agent"
	Public     = "openclaw-cli" // a client without a secret

	kindAccess  = "oauth2.access_token"
	kindRefresh = "oauth2.refresh_token"
)

// Fake is one authorization server.
type Fake struct {
	// OnlyRefresh makes it revoke no access tokens, as servers may whose tokens stand for themselves.
	OnlyRefresh bool
	// Blind makes it introspect access tokens alone: of others it says that they are inactive.
	Blind bool

	knobs *fake.Knobs

	mu      sync.Mutex
	clients []*client
	tokens  map[string]*token
}

type client struct {
	id, secret string
	life       fake.Revocation
}

type token struct {
	kind, masked string
	grant        int
	until        time.Time
	life         fake.Revocation
}

// New returns a server with its public client and no token.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), tokens: make(map[string]*token), clients: []*client{{id: Public}}}
}

func (f *Fake) Name() string       { return "oauth2" }
func (f *Fake) Hosts() []string    { return []string{Host} }
func (f *Fake) Kinds() []string    { return []string{kindRefresh, kindAccess} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

// Mint makes a token of a grant of its own.
func (f *Fake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint(kind, len(f.tokens)+1)
}

// MintGrant makes a refresh token and an access token that it gave.
func (f *Fake) MintGrant() (refresh, access credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	grant := len(f.tokens) + 1
	return f.mint(kindRefresh, grant), f.mint(kindAccess, grant)
}

func (f *Fake) mint(kind string, grant int) credential.Credential {
	if kind != kindAccess && kind != kindRefresh {
		panic("oauth2fake cannot mint " + kind)
	}
	c := credential.Credential{
		Provider: "oauth2", Kind: kind, Secret: credential.Value(rand.Text() + rand.Text()), Ref: map[string]string{"service": "acme"},
	}
	f.tokens[c.Secret.Reveal("value")] = &token{
		kind: kind, masked: credential.Mask(kind, c.Secret, nil), grant: grant, until: f.knobs.Clock.Now().Add(90 * 24 * time.Hour),
	}
	return c
}

// MintAuthority makes a new secret of the client that tokens are issued to.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := &client{id: Client, secret: rand.Text() + rand.Text()}
	f.clients = append(f.clients, own)
	return credential.Credential{
		Provider: "oauth2", Kind: kindRefresh, Secret: credential.NewSecret(map[string]string{"client_id": own.id, "client_secret": own.secret}),
	}, true
}

// Alive reports whether a token, or a client's secret, works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	life := f.find(c)
	return life != nil && f.knobs.Works(*life)
}

// RevokeByHand ends a token, or a client's secret, in the server's console.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if life := f.find(c); life != nil {
		f.knobs.Revoke(life)
	}
}

func (f *Fake) find(c credential.Credential) *fake.Revocation {
	if t := f.tokens[c.Secret.Reveal("value")]; t != nil {
		return &t.life
	}
	for _, own := range f.clients {
		if own.secret != "" && own.secret == c.Secret.Reveal("client_secret") {
			return &own.life
		}
	}
	return nil
}

// State renders tokens and clients.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, t := range f.tokens {
		lines = append(lines, fmt.Sprintf("%s %s of grant %d %s", t.kind, t.masked, t.grant, t.life))
	}
	for _, own := range f.clients {
		lines = append(lines, "client "+own.id+" "+own.life.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := fake.CallOf(r)
	f.knobs.Answer(w, r, log, func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, log) })
}

func (f *Fake) answer(w http.ResponseWriter, r *http.Request, log *fake.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	switch r.Method + " " + r.URL.Path {
	case "GET " + Resource:
		f.resource(w, r, log)
	case "POST " + Revocation:
		f.asClient(w, r, log, f.revoke)
	case "POST " + Lookup:
		f.asClient(w, r, log, f.introspect)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// asClient lets a client in, by Basic authentication or the form, and hands on the form.
func (f *Fake) asClient(w http.ResponseWriter, r *http.Request, log *fake.Call, next func(http.ResponseWriter, url.Values, *fake.Call)) {
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<17))
	form, err := url.ParseQuery(string(raw))
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	for _, own := range f.clients {
		if own.id != id || own.secret != secret || !f.knobs.Live(&own.life) {
			continue
		}
		if t := f.tokens[form.Get("token")]; t != nil {
			log.Credential = t.masked
		}
		if err != nil || len(form["token"]) != 1 || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			say(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
			return
		}
		next(w, form, log)
		return
	}
	if basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="clients"`)
	}
	say(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
}

// revoke answers the same for tokens that it ended and for those that it never had.
func (f *Fake) revoke(w http.ResponseWriter, form url.Values, log *fake.Call) {
	log.Action = "revoke"
	t := f.tokens[form.Get("token")]
	if t != nil && t.kind == kindAccess && f.OnlyRefresh {
		say(w, http.StatusBadRequest, map[string]any{"error": "unsupported_token_type"})
		return
	}
	if t != nil {
		f.knobs.Revoke(&t.life)
		for _, other := range f.tokens { // section 2.1: those that are based on the same grant
			if t.kind == kindRefresh && other.grant == t.grant {
				f.knobs.Revoke(&other.life)
			}
		}
	}
	w.WriteHeader(http.StatusOK)
}

func (f *Fake) introspect(w http.ResponseWriter, form url.Values, log *fake.Call) {
	log.Action = "introspect"
	t := f.tokens[form.Get("token")]
	if t == nil || f.Blind && t.kind != kindAccess || !f.knobs.Live(&t.life) {
		say(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	say(w, http.StatusOK, map[string]any{
		"active": true, "scope": "mail.read mail.send", "client_id": Client, "sub": "agent@acme.example",
		"token_type": "Bearer", "exp": t.until.Unix(),
	})
}

func (f *Fake) resource(w http.ResponseWriter, r *http.Request, log *fake.Call) {
	log.Action = "read"
	value, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t := f.tokens[value]
	switch {
	case !bearer:
		w.Header().Set("WWW-Authenticate", `Bearer realm="acme"`)
		w.WriteHeader(http.StatusUnauthorized)
	case t == nil || t.kind != kindAccess || !f.knobs.Live(&t.life):
		w.Header().Set("WWW-Authenticate", `Bearer realm="acme", error="invalid_token", error_description="The access token expired"`)
		say(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
	default:
		log.Credential = t.masked
		say(w, http.StatusOK, map[string]any{"sub": "agent@acme.example"})
	}
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	fake.JSON(w, status, body)
}
