package discord_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/discord"
	"clawback/revoke/providers/discord/discordfake"
)

// world is a simulated Discord and a provider that sees nothing else.
type world struct {
	*discordfake.Fake
	provider  revoke.Provider
	authority credential.Credential
	transport http.RoundTripper
	sent      []*http.Request
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Fake: discordfake.New(fake.Wall{})}
	n := fake.NewNetwork(w.Fake)
	client := n.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = n.Close()
	})
	w.transport = client.Transport
	client.Transport = w
	w.authority, _ = w.MintAuthority()
	var err error
	w.provider, err = discord.New(revoke.Env{HTTP: client, Now: time.Now, Authority: func(context.Context) (revoke.Authority, error) {
		return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the test"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.sent = append(w.sent, r)
	return w.transport.RoundTrip(r)
}

// posted reports whether anything but a read was sent.
func (w *world) posted() bool {
	return slices.ContainsFunc(w.sent, func(r *http.Request) bool { return r.Method != http.MethodGet })
}

func (w *world) says(f fake.Fault) {
	w.Knobs().SetFault(func(*http.Request) fake.Fault { return f })
}

// saysTo has only the requests with that method answered so.
func (w *world) saysTo(method string, f fake.Fault) {
	w.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.Method != method {
			return fake.Fault{}
		}
		return f
	})
}

func kind(name, value string) credential.Credential {
	return credential.Credential{Provider: "discord", Kind: name, Secret: credential.Value(value)}
}
