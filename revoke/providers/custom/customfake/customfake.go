// Package customfake is an internal API on the wire, such as a desk would have to describe: it has
// tokens, a session that tells whose a token is, and ends of tokens by their holder or an administrator.
package customfake

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Host is where it is.
const Host = "crm.internal.test"

const kindToken = "custom.token"

// What a desk may write of it: where an administrator ends tokens, where they end themselves, and
// where the administrator also tells that they have ended.
const (
	ByAdmin = `
crm:
  match: 'crm_[0-9A-Z]{26}'
  revoke:
    method: DELETE
    url: https://crm.internal.test/api/tokens/{ref.id}
    headers: {X-Api-Key: '{authority}'}
    accepted: [{status: 204, empty: true}]
    already: [{status: 404, field: error.code, equals: no_such_token}]
    unauthorized: [{status: 401, field: error.code, equals: bad_key}]
  verify:
    method: GET
    url: https://crm.internal.test/api/session
    headers: {Authorization: 'Bearer {secret}'}
    alive: [{status: 200, field: user}]
    dead: [{status: 401, field: error.code, equals: token_revoked}]
    owner: user
`
	ByItself = `
crm:
  revoke:
    method: POST
    url: https://crm.internal.test/api/logout
    headers: {Content-Type: application/json}
    body: '{"token":"{secret}"}'
    accepted: [{status: 200, field: ended, equals: "true"}]
    already: [{status: 401, field: error.code, equals: token_revoked}]
  verify:
    method: POST
    url: https://crm.internal.test/api/lookup
    headers: {Content-Type: application/x-www-form-urlencoded}
    body: 'token={secret}&what=owner'
    alive: [{status: 200, field: user}]
    dead: [{status: 401, text: token_revoked}]
`
	ByReference = `
crm:
  revoke:
    method: DELETE
    url: https://crm.internal.test/api/tokens/{ref.id}
    headers: {X-Api-Key: '{authority}'}
    accepted: [{status: 204, empty: true}]
    already: [{status: 404, field: error.code, equals: no_such_token}]
    unauthorized: [{status: 401, field: error.code, equals: bad_key}]
  verify:
    method: GET
    url: https://crm.internal.test/api/tokens/{ref.id}
    headers: {X-Api-Key: '{authority}'}
    alive: [{status: 200, field: user}]
    dead: [{status: 404, field: error.code, equals: no_such_token}]
`
)

// Fake is one internal API.
type Fake struct {
	knobs *fake.Knobs

	mu     sync.Mutex
	tokens []*token
	keys   map[string]*fake.Revocation // of administrators
}

type token struct {
	id, value, masked string
	life              fake.Revocation
}

// New returns an API without tokens.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), keys: make(map[string]*fake.Revocation)}
}

func (f *Fake) Name() string       { return "custom" }
func (f *Fake) Hosts() []string    { return []string{Host} }
func (f *Fake) Kinds() []string    { return []string{kindToken} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

// Settings is what a desk writes of it, as YAML.
func (f *Fake) Settings() string { return ByAdmin }

// Mint makes a token.
func (f *Fake) Mint(kind string) credential.Credential {
	if kind != kindToken {
		panic("customfake cannot mint " + kind)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &token{id: "t-" + rand.Text()[:12], value: "crm_" + rand.Text()}
	f.tokens = append(f.tokens, t)
	c := credential.Credential{
		Provider: "custom", Kind: kind, Secret: credential.Value(t.value), Ref: map[string]string{"service": "crm", "id": t.id},
	}
	t.masked = credential.Mask(kind, c.Secret, c.Ref)
	return c
}

// MintAuthority makes an administrator's key.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := rand.Text()
	f.keys[value] = new(fake.Revocation)
	return credential.Credential{Provider: "custom", Kind: kindToken, Secret: credential.Value(value)}, true
}

// Alive reports whether a token or key works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	life := f.find(c)
	return life != nil && f.knobs.Works(*life)
}

// RevokeByHand ends a token or key in the API's database.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if life := f.find(c); life != nil {
		f.knobs.Revoke(life)
	}
}

func (f *Fake) find(c credential.Credential) *fake.Revocation {
	value := c.Secret.Reveal("value")
	for _, t := range f.tokens {
		if t.value == value || value == "" && t.id == c.Ref["id"] {
			return &t.life
		}
	}
	return f.keys[value]
}

// State lists tokens and how many keys work.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, t := range f.tokens {
		line := t.id + " works"
		if !t.life.At.IsZero() {
			line = t.id + " ended " + t.life.At.UTC().Format(time.RFC3339Nano)
		}
		lines = append(lines, line)
	}
	for _, life := range f.keys {
		lines = append(lines, fmt.Sprintf("a key, ended %t", !life.At.IsZero()))
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
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<17))
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	switch route, id, _ := cutID(r); route {
	case "GET /api/session":
		value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		f.tell(w, f.live(func(t *token) bool { return t.value == value }), log)
	case "POST /api/lookup":
		value := r.PostFormValue("token")
		f.tell(w, f.live(func(t *token) bool { return t.value == value }), log)
	case "POST /api/logout":
		var said struct{ Token string }
		_ = json.Unmarshal(body, &said) // of nothing
		f.logout(w, f.live(func(t *token) bool { return t.value == said.Token }), log)
	case "GET /api/tokens/", "DELETE /api/tokens/":
		f.admin(w, r, id, log)
	default:
		refuse(w, http.StatusNotFound, "no_route")
	}
}

func cutID(r *http.Request) (route, id string, has bool) {
	const below = "/api/tokens/"
	if id, has = strings.CutPrefix(r.URL.Path, below); has {
		return r.Method + " " + below, id, true
	}
	return r.Method + " " + r.URL.Path, "", false
}

// live finds a token that works.
func (f *Fake) live(is func(*token) bool) *token {
	for _, t := range f.tokens {
		if is(t) && f.knobs.Live(&t.life) {
			return t
		}
	}
	return nil
}

func (f *Fake) tell(w http.ResponseWriter, t *token, log *fake.Call) {
	if t == nil {
		refuse(w, http.StatusUnauthorized, "token_revoked")
		return
	}
	log.Credential = t.masked
	fake.JSON(w, http.StatusOK, map[string]any{"user": "agent", "id": t.id})
}

func (f *Fake) logout(w http.ResponseWriter, t *token, log *fake.Call) {
	if t == nil {
		refuse(w, http.StatusUnauthorized, "token_revoked")
		return
	}
	log.Credential = t.masked
	f.knobs.Revoke(&t.life)
	fake.JSON(w, http.StatusOK, map[string]any{"ended": true})
}

func (f *Fake) admin(w http.ResponseWriter, r *http.Request, id string, log *fake.Call) {
	life := f.keys[r.Header.Get("X-Api-Key")]
	if life == nil || !f.knobs.Live(life) {
		refuse(w, http.StatusUnauthorized, "bad_key")
		return
	}
	t := f.live(func(t *token) bool { return t.id == id })
	if t == nil {
		refuse(w, http.StatusNotFound, "no_such_token")
		return
	}
	log.Credential = t.masked
	if r.Method == http.MethodGet {
		fake.JSON(w, http.StatusOK, map[string]any{"user": "agent", "id": t.id})
		return
	}
	f.knobs.Revoke(&t.life)
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, status int, code string) {
	fake.JSON(w, status, map[string]any{"error": map[string]any{"code": code}})
}
