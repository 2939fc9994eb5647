package github_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github/githubfake"
	"clawback/revoke/revoketest/contract"
)

const description = "testdata/github-openapi.json"

// TestContract holds every request that the provider sends, and every answer that the fake gives,
// against GitHub's own description.
func TestContract(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	const everywhere = "https://docs.github.com/rest/authentication/authenticating-to-the-rest-api"
	client := connect(t, f)
	checked := contract.New(t, description, client.Transport,
		contract.Exception{Method: "DELETE", Path: "/installation/token", Status: 401, Why: everywhere},
		contract.Exception{Method: "DELETE", Path: "/installation/token", Status: 403, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/rate_limit", Status: 401, Why: everywhere},
		contract.Exception{Method: "POST", Path: "/credentials/revoke", Status: 403, Why: "https://docs.github.com/rest/credentials/revoke"},
		contract.Exception{Method: "POST", Path: "/credentials/revoke", Status: 401, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/orgs/{org}/personal-access-tokens", Status: 401, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/app", Status: 401, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/app/installations", Status: 401, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/app/installations/{installation_id}", Status: 404, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/repos/{owner}/{repo}/keys", Status: 401, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/repos/{owner}/{repo}/keys", Status: 404, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/users/{username}/keys", Status: 401, Why: everywhere},
		contract.Exception{Method: "GET", Path: "/users/{username}/keys", Status: 404, Why: everywhere},
		contract.Exception{Method: "DELETE", Path: "/repos/{owner}/{repo}/keys/{key_id}", Status: 401, Why: everywhere},
		contract.Exception{Method: "DELETE", Path: "/repos/{owner}/{repo}/keys/{key_id}", Status: 404, Why: everywhere},
	)
	client.Transport = checked
	admin, _ := f.MintAuthority()
	p := newProvider(t, revoke.Env{HTTP: client, Authority: authority(admin)})

	for _, kind := range f.Kinds() { // all that the provider sends
		c := f.Mint(kind)
		if kind == "github.ssh_key" || kind == "github.signing_key" {
			c.Ref["user"] = "mona" // so that the public lists are read, too
		}
		if kind == "github.client_secret" {
			continue // its address is none of the API's
		}
		for range 2 { // alive, then dead
			p.Verify(t.Context(), c)
			_, _ = p.Inspect(t.Context(), c)
			_, _ = p.(revoke.Enumerator).Minted(t.Context(), c)
			if kind == "github.app_key" {
				f.RevokeByHand(c)
			} else if _, err := p.Revoke(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
		if kind == "github.app_installation" {
			if _, err := p.(revoke.Undoer).Undo(t.Context(), c); err != nil {
				t.Error(err)
			}
			c.Ref["id"] = "1"
			p.Verify(t.Context(), c)
		}
	}
	var batch []credential.Credential
	for range 1000 {
		batch = append(batch, f.Mint("github.pat"))
	}
	if _, err := p.RevokeBatch(t.Context(), batch); err != nil {
		t.Error(err)
	}

	pat, app, dead := f.Mint("github.pat"), f.Mint("github.installation"), f.Mint("github.pat")
	f.RevokeByHand(dead)
	for _, call := range []struct{ method, path string }{ // all that an adversary can send
		{"GET", "/user"}, {"GET", "/installation/repositories"}, {"DELETE", "/installation/token"}, {"GET", "/rate_limit"},
		{"GET", "/user/keys"}, {"DELETE", "/user/keys/1"}, {"GET", "/repos/mona/payments/keys"}, {"GET", "/users/nobody/keys"},
		{"DELETE", "/repos/mona/payments/keys/1"}, {"GET", "/user/ssh_signing_keys"}, {"DELETE", "/user/ssh_signing_keys/1"},
		{"GET", "/orgs/acme/personal-access-tokens"},
	} {
		for _, c := range []credential.Credential{{}, pat, dead, app} {
			ask(t, client, call.method, call.path, c, "")
		}
	}
	for _, c := range []credential.Credential{pat, dead} {
		ask(t, client, "POST", "/credentials/revoke", c, `{"credentials":["x"]}`)
	}
	want := []string{
		"DELETE /app/installations/{installation_id}/suspended 204",
		"DELETE /installation/token 204", "DELETE /installation/token 401", "DELETE /installation/token 403",
		"DELETE /repos/{owner}/{repo}/keys/{key_id} 204", "DELETE /repos/{owner}/{repo}/keys/{key_id} 401", "DELETE /repos/{owner}/{repo}/keys/{key_id} 404",
		"DELETE /user/keys/{key_id} 204", "DELETE /user/keys/{key_id} 401", "DELETE /user/keys/{key_id} 404",
		"DELETE /user/ssh_signing_keys/{ssh_signing_key_id} 204", "DELETE /user/ssh_signing_keys/{ssh_signing_key_id} 401", "DELETE /user/ssh_signing_keys/{ssh_signing_key_id} 404",
		"GET /app 200", "GET /app 401", "GET /app/installations 200", "GET /app/installations 401",
		"GET /app/installations/{installation_id} 200", "GET /app/installations/{installation_id} 404",
		"GET /installation/repositories 200", "GET /installation/repositories 401", "GET /installation/repositories 403",
		"GET /orgs/{org}/personal-access-tokens 200", "GET /orgs/{org}/personal-access-tokens 401", "GET /orgs/{org}/personal-access-tokens 403",
		"GET /rate_limit 200", "GET /rate_limit 401",
		"GET /repos/{owner}/{repo}/keys 200", "GET /repos/{owner}/{repo}/keys 401", "GET /repos/{owner}/{repo}/keys 404",
		"GET /user 200", "GET /user 401", "GET /user 403",
		"GET /user/keys 200", "GET /user/keys 401", "GET /user/keys 404",
		"GET /user/ssh_signing_keys 200", "GET /user/ssh_signing_keys 401", "GET /user/ssh_signing_keys 404",
		"GET /users/{username}/keys 200", "GET /users/{username}/keys 401", "GET /users/{username}/keys 404",
		"GET /users/{username}/ssh_signing_keys 200",
		"POST /credentials/revoke 202", "POST /credentials/revoke 401", "POST /credentials/revoke 403",
		"POST /orgs/{org}/personal-access-tokens/{pat_id} 204",
		"PUT /app/installations/{installation_id}/suspended 204",
	}
	if got := checked.Seen(); !slices.Equal(got, want) {
		t.Errorf("exchanged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// ask sends a request as an adversary would, with c's token where it has one.
func ask(t *testing.T, client *http.Client, method, path string, c credential.Credential, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://api.github.com"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = nil, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if token := c.Secret.Reveal("value"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set(fake.AdversaryHeader, "1")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}
