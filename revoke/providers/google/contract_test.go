package google_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/google/googlefake"
	"clawback/revoke/revoketest/contract"
)

// described sends to checked what Google describes, and the rest past it.
type described struct{ checked, rest http.RoundTripper }

func (d described) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "oauth2.googleapis.com" || r.URL.Host == "generativelanguage.googleapis.com" {
		return d.rest.RoundTrip(r)
	}
	return d.checked.RoundTrip(r)
}

// TestContract holds every request that the provider sends, and every answer that the fake gives,
// against Google's own description of its APIs.
func TestContract(t *testing.T) {
	f := googlefake.New(fake.Wall{})
	n := fake.NewNetwork(f)
	t.Cleanup(func() { _ = n.Close() })
	client := n.Client()
	t.Cleanup(client.CloseIdleConnections)
	checked := contract.New(t, "testdata/google-openapi.json", client.Transport, contract.Exception{
		Method: "POST", Path: "/oauth2/v2/tokeninfo", Status: 400,
		Why: "RFC 6749 section 5.2; the description has no errors",
	})
	client.Transport = described{checked, client.Transport}
	admin, _ := f.MintAuthority()
	authority := revoke.Authority{Secret: admin.Secret}
	p := made(t, revoke.Env{
		HTTP:      client,
		Authority: func(context.Context) (revoke.Authority, error) { return authority, nil },
		Settings:  func(into any) error { return decode(`{"disable_service_accounts": true}`, into) },
	})

	for _, who := range []credential.Credential{admin, f.MintAccountToken("agent"), {Secret: credential.Value("ya29.nobody")}} {
		authority.Secret = who.Secret
		for _, kind := range f.Kinds() {
			c := f.Mint(kind)
			bare := c
			bare.Secret = credential.Secret{}
			for range 2 { // alive, then dead
				for _, as := range []credential.Credential{c, bare} {
					p.Verify(t.Context(), as)
					_, _ = p.Inspect(t.Context(), as)
				}
				_, _ = p.Revoke(t.Context(), c)
			}
			_, _ = p.Undo(t.Context(), c)
			f.RevokeByHand(c)
			p.Verify(t.Context(), bare)
			_, _ = p.Revoke(t.Context(), c)
			_, _ = p.Undo(t.Context(), c)
		}
	}
	for _, path := range []string{"projects/1/secrets/none/versions/1", "projects/1/secrets/none/versions/1:disable"} {
		method := http.MethodGet
		if strings.HasSuffix(path, ":disable") {
			method = http.MethodPost
		}
		ask(t, client, method, "https://secretmanager.googleapis.com/v1/"+path, admin)
	}
	const sa = "/v1/projects/{projectsId}/serviceAccounts/{serviceAccountsId}"
	want := []string{
		"DELETE /v2/projects/{projectsId}/locations/{locationsId}/keys/{keysId} 200",
		"GET " + sa + " 200", "GET " + sa + "/keys 200",
		"GET " + sa + "/keys/{keysId} 200", "GET " + sa + "/keys/{keysId} 401", "GET " + sa + "/keys/{keysId} 403", "GET " + sa + "/keys/{keysId} 404",
		"POST " + sa + ":disable 200", "POST " + sa + ":enable 200",
		"POST " + sa + "/keys/{keysId}:disable 200", "POST " + sa + "/keys/{keysId}:enable 200",
		"GET /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId} 200",
		"GET /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId} 401",
		"GET /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId} 403",
		"GET /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId} 404",
		"POST /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId}:disable 200",
		"POST /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId}:disable 404",
		"POST /v1/projects/{projectsId}/secrets/{secretsId}/versions/{versionsId}:enable 200",
		"GET /v2/keys:lookupKey 200", "GET /v2/keys:lookupKey 401", "GET /v2/keys:lookupKey 403",
		"GET /v2/projects/{projectsId}/locations/{locationsId}/keys/{keysId} 200",
		"POST /v2/projects/{projectsId}/locations/{locationsId}/keys/{keysId}:undelete 200",
		"GET /language/translate/v2/languages 200", "GET /language/translate/v2/languages 400",
		"POST /oauth2/v2/tokeninfo 200", "POST /oauth2/v2/tokeninfo 400",
	}
	slices.Sort(want)
	if got := checked.Seen(); !slices.Equal(got, want) {
		t.Errorf("exchanged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// ask sends a request as an adversary would.
func ask(t *testing.T, client *http.Client, method, url string, c credential.Credential) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if method == http.MethodPost {
		r, err = http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.Secret.Reveal("value"))
	r.Header.Set(fake.AdversaryHeader, "1")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}
