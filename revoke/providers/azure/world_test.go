package azure

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/azure/azurefake"
)

// world is a provider and the tenant that it talks to.
type world struct {
	*azurefake.Fake
	*provider
	network   *fake.Network
	authority credential.Credential
}

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	f := azurefake.New(fake.Wall{})
	w := &world{Fake: f, network: fake.NewNetwork(f)}
	t.Cleanup(func() { _ = w.network.Close() })
	w.authority, _ = f.MintAuthority()
	client := w.network.Client()
	t.Cleanup(client.CloseIdleConnections)
	p, err := New(revoke.Env{
		HTTP: client, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "env AZURE_ADMIN"}, nil
		},
		Settings: func(into any) error { return yaml.Unmarshal([]byte(settings), into) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.provider = p.(*provider)
	return w
}

// says makes the provider answer like that to requests whose path has that in it.
func (w *world) says(path string, fault fake.Fault) {
	w.Fake.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.Contains(r.URL.Path, path) {
			return fault
		}
		return fake.Fault{}
	})
}

// changes lists the requests that arrived and may have changed something.
func (w *world) changes() []string {
	var out []string
	for _, c := range w.Fake.Knobs().Calls() {
		if c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "/token") {
			out = append(out, fmt.Sprintf("%s %s %d", c.Method, c.Path, c.Status))
		}
	}
	return out
}

// mustDie revokes a credential, and wants it dead.
func (w *world) mustDie(t *testing.T, c credential.Credential) revoke.Receipt {
	t.Helper()
	r, err := w.Revoke(t.Context(), c)
	if err != nil {
		t.Fatalf("revoke %s: %v", c.Kind, err)
	}
	if v := w.Verify(t.Context(), c); v.Outcome != revoke.Refused || w.Alive(c) {
		t.Fatalf("%s after %+v: %v %q", c.Kind, r, v.Outcome, v.Answer)
	}
	return r
}

func (w *world) wantAlive(t *testing.T, all ...credential.Credential) {
	t.Helper()
	for _, c := range all {
		if v := w.Verify(t.Context(), c); v.Outcome != revoke.Alive || !w.Alive(c) {
			t.Errorf("%s: %v %q, want alive", c.Kind, v.Outcome, v.Answer)
		}
	}
}

func with(c credential.Credential, name, value string) credential.Credential {
	ref := map[string]string{}
	for k, v := range c.Ref {
		ref[k] = v
	}
	ref[name] = value
	c.Ref = ref
	return c
}
