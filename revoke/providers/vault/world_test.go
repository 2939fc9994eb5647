package vault_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/vault/vaultfake"
)

// world is a Vault, the responder's token there, and the provider that sees nothing else.
type world struct {
	*vaultfake.Fake
	authority credential.Credential
	p         revoke.Provider

	mu   sync.Mutex
	sent []string // "GET /v1/auth/token/lookup-self"
	head []http.Header
}

// newWorld makes a world. Settings are the desk's own, as JSON; with "" there are none.
func newWorld(t *testing.T, settings string, authority *vaultfake.Token) *world {
	t.Helper()
	w := &world{Fake: vaultfake.New(fake.Wall{})}
	network := fake.NewNetwork(w)
	t.Cleanup(func() { _ = network.Close() })
	env := revoke.Env{HTTP: network.Client(), Endpoint: address, Sleep: fake.Wall{}.Sleep, Now: time.Now, Settings: decode(settings)}
	if authority != nil {
		w.authority = w.MintToken(*authority)
		env.Authority = func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the test"}, nil
		}
	}
	var err error
	if w.p, err = pinned(env); err != nil {
		t.Fatal(err)
	}
	return w
}

func decode(settings string) func(any) error {
	if settings == "" {
		return nil
	}
	return func(into any) error {
		// The desk's file is YAML; a field's name is the same in both.
		return unmarshal(settings, into)
	}
}

var root = &vaultfake.Token{Policies: []string{"root"}, Orphan: true}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.sent = append(w.sent, r.Method+" "+r.URL.Path)
	w.head = append(w.head, r.Header)
	w.mu.Unlock()
	w.Fake.ServeHTTP(rw, r)
}

func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.sent...)
}

func (w *world) verify(t *testing.T, c credential.Credential, want revoke.Outcome) string {
	t.Helper()
	v := w.p.Verify(t.Context(), c)
	if v.Outcome != want {
		t.Errorf("%s: verify showed %s (%s), want %s", c.Kind, v.Outcome, v.Answer, want)
	}
	return v.Answer
}

func (w *world) revoke(t *testing.T, c credential.Credential) revoke.Receipt {
	t.Helper()
	r, err := w.p.Revoke(t.Context(), c)
	if err != nil {
		t.Errorf("%s: revoke: %v", c.Kind, err)
	}
	return r
}

// answers gives every request the same answer.
func answers(status int, body any) func(*http.Request) fake.Fault {
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		text = string(b)
	}
	return func(*http.Request) fake.Fault {
		return fake.Fault{Status: status, Body: text, Type: "application/json"}
	}
}
