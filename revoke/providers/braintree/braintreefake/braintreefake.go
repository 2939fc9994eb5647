// Package braintreefake is Braintree on the wire, as far as a ping and the end of access tokens go: two
// environments, which know nothing of each other.
//
// Sources: https://developer.paypal.com/braintree/graphql/guides/making_api_calls and the SDKs,
// https://github.com/braintree/braintree_java and https://github.com/braintree/braintree_python.
package braintreefake

import (
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	kindKey   = "braintree.api_key"
	kindToken = "braintree.access_token"
)

// Fake is Braintree with one merchant in each environment, and one partner's application.
type Fake struct {
	knobs *fake.Knobs

	mu      sync.Mutex
	held    map[string]*held // by private key or token
	clients map[string]*held // of applications, by secret
	charges int
}

type held struct {
	kind, public, masked string
	sandbox              bool
	life                 fake.Revocation
}

// New returns a Braintree without credentials.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), held: make(map[string]*held), clients: make(map[string]*held)}
}

func (f *Fake) Name() string       { return "braintree" }
func (f *Fake) Kinds() []string    { return []string{kindKey, kindToken} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

func (f *Fake) Hosts() []string {
	return []string{
		"payments.braintree-api.com", "payments.sandbox.braintree-api.com", "api.braintreegateway.com", "api.sandbox.braintreegateway.com",
	}
}

// Mint makes a credential of production.
func (f *Fake) Mint(kind string) credential.Credential { return f.MintIn(kind, false) }

// MintIn makes a credential of the sandbox or of production.
func (f *Fake) MintIn(kind string, sandbox bool) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := credential.Credential{Provider: "braintree", Kind: kind}
	h := &held{kind: kind, sandbox: sandbox}
	switch kind {
	case kindKey:
		h.public = fake.Hex(8)
		private := fake.Hex(16)
		c.Secret, c.Ref = credential.NewSecret(map[string]string{"public_key": h.public, "private_key": private}), map[string]string{"id": h.public}
		f.held[private] = h
	case kindToken:
		name := "production"
		if sandbox {
			name = "sandbox"
		}
		c.Secret = credential.Value("access_token$" + name + "$" + fake.Hex(8) + "$" + fake.Hex(16))
		f.held[c.Secret.Reveal("value")] = h
	default:
		panic("braintreefake cannot mint " + kind)
	}
	h.masked = credential.Mask(kind, c.Secret, c.Ref)
	return c
}

// MintAuthority makes an application's secret.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, secret := "client_id$production$"+fake.Hex(8), "client_secret$production$"+fake.Hex(16)
	f.clients[secret] = &held{kind: "client", public: id, masked: "client"}
	return credential.Credential{
		Provider: "braintree", Kind: kindToken, Secret: credential.NewSecret(map[string]string{"client_id": id, "client_secret": secret}),
	}, true
}

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.find(c)
	return h != nil && f.knobs.Works(h.life)
}

// RevokeByHand deletes a key, or withdraws a grant, in the control panel.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.find(c); h != nil {
		f.knobs.Revoke(&h.life)
	}
}

func (f *Fake) find(c credential.Credential) *held {
	for _, part := range c.Secret.Parts() {
		if h := f.held[c.Secret.Reveal(part)]; h != nil {
			return h
		}
		if h := f.clients[c.Secret.Reveal(part)]; h != nil {
			return h
		}
	}
	return nil
}

// State lists credentials and what was charged.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := []string{fmt.Sprintf("%d charges", f.charges)}
	for _, all := range []map[string]*held{f.held, f.clients} {
		for _, h := range all {
			lines = append(lines, fmt.Sprintf("%s %s sandbox=%t %s", h.kind, h.masked, h.sandbox, h.life))
		}
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
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	gateway := strings.Contains(r.Host, "braintreegateway")
	graphql := strings.Contains(r.Host, "braintree-api")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/graphql" && !gateway:
		f.graphql(w, r, string(body), log)
	case r.Method == http.MethodPost && r.URL.Path == "/oauth/revoke_access_token" && !graphql:
		f.revoke(w, r, body, log)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// here reports whether a credential is one of the environment that was asked. Behind a pinned address
// both are.
func here(r *http.Request, h *held) bool {
	return !strings.Contains(r.Host, "braintree") || strings.Contains(r.Host, "sandbox") == h.sandbox
}

// bearer is whose request it is, in Basic or Bearer authentication.
func (f *Fake) bearer(r *http.Request) *held {
	if public, private, basic := r.BasicAuth(); basic {
		if h := f.held[private]; h != nil && h.kind == kindKey && h.public == public && here(r, h) && f.knobs.Live(&h.life) {
			return h
		}
		return nil
	}
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if h := f.held[value]; h != nil && h.kind == kindToken && here(r, h) && f.knobs.Live(&h.life) {
		return h
	}
	return nil
}

// graphql answers 200 to whom it refuses too.
func (f *Fake) graphql(w http.ResponseWriter, r *http.Request, body string, log *fake.Call) {
	h := f.bearer(r)
	var asked struct{ Query string }
	err := json.Unmarshal([]byte(body), &asked)
	switch {
	case h == nil:
		fail(w, "AUTHENTICATION", "Authentication credentials are required. Please refer to the documentation.")
	case r.Header.Get("Braintree-Version") == "" || err != nil:
		log.Credential = h.masked
		fail(w, "VALIDATION", "Braintree-Version header is required")
	case strings.HasPrefix(asked.Query, "mutation"):
		log.Credential, log.Action = h.masked, "charge"
		f.charges++
		fake.JSON(w, http.StatusOK, map[string]any{"data": map[string]any{"chargePaymentMethod": map[string]any{"transaction": map[string]any{"status": "SUBMITTED_FOR_SETTLEMENT"}}}})
	default:
		log.Credential, log.Action = h.masked, "ping"
		fake.JSON(w, http.StatusOK, map[string]any{"data": map[string]any{"ping": "pong"}, "extensions": map[string]any{"requestId": rand.Text()}})
	}
}

func fail(w http.ResponseWriter, class, message string) {
	fake.JSON(w, http.StatusOK, map[string]any{
		"errors":     []any{map[string]any{"message": message, "extensions": map[string]any{"errorClass": class, "errorType": "developer_error"}}},
		"extensions": map[string]any{"requestId": rand.Text()},
	})
}

func (f *Fake) revoke(w http.ResponseWriter, r *http.Request, body []byte, log *fake.Call) {
	log.Action = "revoke"
	id, secret, _ := r.BasicAuth()
	client := f.clients[secret]
	if client == nil || client.public != id || !f.knobs.Live(&client.life) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var asked struct {
		XMLName xml.Name `xml:"credentials"`
		Token   string   `xml:"token"`
	}
	if xml.Unmarshal(body, &asked) != nil || r.Header.Get("Content-Type") != "application/xml" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	h := f.held[asked.Token]
	if h == nil || h.kind != kindToken || !here(r, h) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	log.Credential = h.masked
	f.knobs.Revoke(&h.life)
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n<result>\n  <success type=\"boolean\">true</success>\n</result>\n")
}
