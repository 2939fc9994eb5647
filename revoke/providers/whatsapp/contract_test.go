package whatsapp_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/whatsapp"
	"clawback/revoke/providers/whatsapp/whatsappfake"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds every request that the provider sends, and every answer that the fake gives,
// against what testdata says of Meta's Graph API.
func TestContract(t *testing.T) {
	f := whatsappfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	client := network.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = network.Close()
	})
	checked := contract.New(t, "testdata/whatsapp-routes.json", client.Transport)
	client.Transport = checked
	number, _ := f.Number()
	admin, _ := f.MintAuthority()
	dead, _ := f.MintAuthority()
	f.RevokeByHand(dead)
	var authority credential.Secret
	p, err := whatsapp.New(revoke.Env{
		HTTP: client, Now: time.Now, Settings: func(into any) error { return yaml.Unmarshal([]byte("deregister: ['"+number+"']"), into) },
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: authority, Kind: "whatsapp.app_secret", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, authority = range []credential.Secret{{}, admin.Secret, dead.Secret} {
		for _, kind := range f.Kinds() {
			c := f.Mint(kind)
			for range 2 { // alive, then dead
				p.Verify(t.Context(), c)
				_, _ = p.Inspect(t.Context(), c)
				if _, err := p.Revoke(t.Context(), c); errors.Is(err, revoke.ErrManual) {
					f.RevokeByHand(c)
				}
			}
		}
	}
	late := f.Mint("whatsapp.token") // what a thief with a dead token does
	f.RevokeByHand(late)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://graph.facebook.com/"+number+"/deregister", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+late.Secret.Reveal("value"))
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	want := []string{
		"DELETE /me/permissions 200", "GET /debug_token 200", "GET /me 200", "GET /me 400", "GET /oauth/revoke 200", "GET /oauth/revoke 400",
		"GET /{app} 200", "GET /{app} 400", "POST /{number}/deregister 200", "POST /{number}/deregister 401",
	}
	if got := checked.Seen(); !slices.Equal(got, want) {
		t.Errorf("exchanged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
