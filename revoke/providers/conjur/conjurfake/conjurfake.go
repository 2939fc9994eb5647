// Package conjurfake is a CyberArk Conjur on the wire, as far as API keys and host factory tokens go.
//
// Sources: https://github.com/cyberark/conjur (app/controllers) and
// https://github.com/cyberark/conjur-openapi-spec (spec/authentication.yml, spec/host-factory.yml).
package conjurfake

import (
	"encoding/base64"
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

// Account is the organization's name.
const Account = "acme"

// admin is the authority's login.
const admin = "clawback@ops"

// Fake is one Conjur.
type Fake struct {
	// Bound makes it refuse a key its own rotation, as from an address that its role does not allow.
	Bound bool

	knobs *fake.Knobs

	mu      sync.Mutex
	keys    map[string]*key // by value; those that were replaced too
	factory map[string]*key // host factory tokens, by value
	tokens  map[string]held // access tokens
	hosts   int             // that were made with host factory tokens
}

type key struct {
	login  string
	masked string
	life   fake.Revocation
}

type held struct {
	by    *key
	until time.Time
}

// New returns a Conjur without credentials.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), keys: make(map[string]*key), factory: make(map[string]*key), tokens: make(map[string]held)}
}

func (f *Fake) Name() string       { return "conjur" }
func (f *Fake) Hosts() []string    { return []string{"conjur.test"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string    { return []string{"conjur.api_key", "conjur.host_factory_token"} }

// Mint makes a live credential of that kind. It panics on a kind that is not Conjur's.
func (f *Fake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch kind {
	case "conjur.api_key":
		return f.mintKey("host/apps/agent-" + random(6))
	case "conjur.host_factory_token":
		c := credential.Credential{Provider: "conjur", Kind: kind, Secret: credential.Value(random(50)), Ref: map[string]string{"account": Account}}
		f.factory[c.Secret.Reveal("value")] = &key{masked: credential.Mask(kind, c.Secret, nil)}
		return c
	}
	panic("conjurfake cannot mint " + kind)
}

func (f *Fake) mintKey(login string) credential.Credential {
	c := credential.Credential{
		Provider: "conjur", Kind: "conjur.api_key", Ref: map[string]string{"account": Account, "login": login},
		Secret: credential.NewSecret(map[string]string{"login": login, "value": random(55)}),
	}
	f.keys[c.Secret.Reveal("value")] = &key{login: login, masked: credential.Mask(c.Kind, c.Secret, c.Ref)}
	return c
}

// MintUser makes the key of a user.
func (f *Fake) MintUser(name string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mintKey(name)
}

// MintAuthority makes a key that may do everything.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	c := f.MintUser(admin)
	c.Ref = nil // an authority has none
	return c, true
}

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.find(c)
	return k != nil && f.knobs.Works(k.life)
}

// RevokeByHand rotates a key, or deletes a token, as with the conjur command.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k := f.find(c); k != nil {
		f.knobs.Revoke(&k.life)
	}
}

func (f *Fake) find(c credential.Credential) *key {
	if c.Kind == "conjur.host_factory_token" {
		return f.factory[c.Secret.Reveal("value")]
	}
	return f.keys[c.Secret.Reveal("value")]
}

// State renders the Conjur. Access tokens are left out: they change nothing and end by themselves.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for what, all := range map[string]map[string]*key{"key of ": f.keys, "host factory token ": f.factory} {
		for _, k := range all {
			lines = append(lines, what+k.login+" "+k.masked+" "+k.life.String())
		}
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprintf("%d hosts made", f.hosts)), "\n")
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := fake.CallOf(r)
	if strings.HasPrefix(log.Path, "/host_factory_tokens/") { // the rest of it is a secret
		log.Path = "/host_factory_tokens/…"
	}
	f.knobs.Answer(w, r, log, func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, log) })
}

func (f *Fake) answer(w http.ResponseWriter, r *http.Request, log *fake.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	path := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	switch route := r.Method + " " + path[0]; {
	case route == "GET authenticators":
		say(w, http.StatusOK, map[string]any{"installed": []string{"authn", "authn-jwt"}, "configured": []string{"authn"}, "enabled": []string{"authn"}})
	case route == "POST authn" && len(path) == 4 && path[3] == "authenticate":
		f.authenticate(w, path[1], unescape(path[2]), string(raw), log)
	case route == "PUT authn" && len(path) == 3 && path[2] == "api_key":
		f.rotate(w, r, path[1], log)
	case route == "POST host_factories" && len(path) == 2:
		f.makeHost(w, r, string(raw), log)
	case route == "DELETE host_factory_tokens" && len(path) == 2:
		f.deleteToken(w, r, path[1], log)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// deny is all that Conjur says to whom it refuses.
func deny(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusUnauthorized)
}

func (f *Fake) authenticate(w http.ResponseWriter, account, login, value string, log *fake.Call) {
	k := f.keys[value]
	if k == nil || account != Account || k.login != login || !f.knobs.Live(&k.life) {
		deny(w)
		return
	}
	log.Credential, log.Action = k.masked, "authenticate"
	now := f.knobs.Now()
	payload, _ := json.Marshal(map[string]any{"sub": login, "iat": now.Unix()}) // neither fails
	body, _ := json.Marshal(map[string]any{
		"protected": base64.StdEncoding.EncodeToString([]byte(`{"alg":"conjur.org/slosilo/v2","kid":"` + random(32) + `"}`)),
		"payload":   base64.StdEncoding.EncodeToString(payload), "signature": random(80),
	})
	f.tokens[base64.StdEncoding.EncodeToString(body)] = held{k, now.Add(8 * time.Minute)}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// bearer is whom an access token is of.
func (f *Fake) bearer(r *http.Request) *key {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), `Token token="`)
	h := f.tokens[strings.TrimSuffix(value, `"`)]
	if h.by == nil || f.knobs.Now().After(h.until) {
		return nil
	}
	return h.by
}

// rotate replaces a key: with Basic authentication one's own, with an access token another's.
func (f *Fake) rotate(w http.ResponseWriter, r *http.Request, account string, log *fake.Call) {
	log.Action = "rotate"
	var old *key
	if login, value, basic := r.BasicAuth(); basic {
		k := f.keys[value]
		if k != nil && k.login == login && account == Account && f.knobs.Live(&k.life) && !f.Bound {
			old = k
		}
	} else if by := f.bearer(r); by != nil && by.login == admin {
		role := strings.TrimPrefix(r.URL.Query().Get("role"), account+":") // whole, or of this account
		kind, id, _ := strings.Cut(role, ":")
		if kind == "host" {
			id = "host/" + id
		}
		for _, k := range f.keys {
			if k.login == id && k.life.At.IsZero() {
				old = k
			}
		}
		if old == nil {
			say(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "not_found"}})
			return
		}
	}
	if old == nil {
		deny(w)
		return
	}
	log.Credential = old.masked
	f.knobs.Revoke(&old.life)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, f.mintKey(old.login).Secret.Reveal("value"))
}

func (f *Fake) makeHost(w http.ResponseWriter, r *http.Request, body string, log *fake.Call) {
	log.Action = "make host"
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), `Token token="`)
	k := f.factory[strings.TrimSuffix(value, `"`)]
	switch {
	case k == nil || !f.knobs.Live(&k.life):
		deny(w)
		return
	case !strings.HasPrefix(body, "id=") && !strings.Contains(body, "&id="):
		log.Credential = k.masked
		say(w, http.StatusUnprocessableEntity, map[string]any{"error": map[string]any{"code": "argument_error", "message": "id"}})
		return
	}
	log.Credential = k.masked
	f.hosts++
	say(w, http.StatusCreated, map[string]any{
		"created_at": f.knobs.Now().UTC().Format(time.RFC3339Nano), "id": Account + ":host:made", "owner": Account + ":host_factory:agents",
		"permissions": []any{}, "annotations": []any{}, "api_key": random(55),
	})
}

func (f *Fake) deleteToken(w http.ResponseWriter, r *http.Request, value string, log *fake.Call) {
	log.Action = "delete token"
	by, k := f.bearer(r), f.factory[value]
	switch {
	case by == nil:
		deny(w)
	case k == nil || !f.knobs.Live(&k.life):
		say(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "not_found"}})
	case by.login != admin:
		w.WriteHeader(http.StatusForbidden)
	default:
		log.Credential = k.masked
		f.knobs.Revoke(&k.life)
		w.WriteHeader(http.StatusNoContent)
	}
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fake.JSON(w, status, body)
}

func unescape(segment string) string {
	return strings.NewReplacer("%2F", "/", "%40", "@").Replace(segment)
}

// random is of Crockford's base32, as Conjur has it.
func random(n int) string { return fake.Pick("0123456789abcdefghjkmnpqrstvwxyz", n) }
