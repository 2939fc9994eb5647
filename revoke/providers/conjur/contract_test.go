package conjur_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"clawback/revoke/credential"
	"clawback/revoke/providers/conjur"
	"clawback/revoke/providers/conjur/conjurfake"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds every request that the provider sends, and every answer that the fake gives,
// against what testdata says of Conjur.
func TestContract(t *testing.T) {
	w := newWorld(t, "")
	checked := contract.New(t, "testdata/conjur-routes.json", w.env.HTTP.Transport, contract.Exception{
		Method: "DELETE", Path: "/host_factory_tokens/{token}", Status: http.StatusForbidden,
		Why: "https://github.com/cyberark/conjur/blob/master/app/controllers/host_factory_tokens_controller.rb",
	})
	client := &http.Client{Transport: checked}
	w.env.HTTP = client
	p, err := conjur.New(w.env)
	if err != nil {
		t.Fatal(err)
	}
	admin := w.authority
	bound := w.Mint("conjur.api_key")
	for _, c := range []credential.Credential{w.Mint("conjur.api_key"), w.MintUser("alice@dev"), w.Mint("conjur.host_factory_token")} {
		for range 2 { // alive, then dead
			p.Verify(t.Context(), c)
			_, _ = p.Inspect(t.Context(), c)
			if _, err := p.Revoke(t.Context(), c); err != nil {
				t.Errorf("%s: %v", c.Kind, err)
			}
		}
	}
	w.Bound = true
	if _, err := p.Revoke(t.Context(), bound); err != nil {
		t.Error(err)
	}
	factory := w.Mint("conjur.host_factory_token")
	w.authority = w.MintUser("guest") // who may not
	_, _ = p.Revoke(t.Context(), factory)
	w.authority = admin

	form := strings.NewReader("id=made") // what a thief does with it
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/host_factories/hosts", form)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", `Token token="`+factory.Secret.Reveal("value")+`"`)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	unknown, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/authn/"+conjurfake.Account+"/nobody/authenticate", strings.NewReader(strings.Repeat("a", 55)))
	if err != nil {
		t.Fatal(err)
	}
	unknown.Header.Set("Content-Type", "text/plain")
	if resp, err = client.Do(unknown); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	want := []string{
		"DELETE /host_factory_tokens/{token} 204", "DELETE /host_factory_tokens/{token} 403",
		"GET /authenticators 200",
		"POST /authn/{account}/{login}/authenticate 200", "POST /authn/{account}/{login}/authenticate 401",
		"POST /host_factories/hosts 201", "POST /host_factories/hosts 401", "POST /host_factories/hosts 422",
		"PUT /authn/{account}/api_key 200", "PUT /authn/{account}/api_key 401",
	}
	if got := checked.Seen(); !slices.Equal(got, want) {
		t.Errorf("exchanged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
