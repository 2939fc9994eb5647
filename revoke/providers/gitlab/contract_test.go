package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/gitlab"
	"clawback/revoke/providers/gitlab/gitlabfake"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds every request that the provider sends to the REST API, and every answer that the
// fake gives, against what GitLab's routes declare.
func TestContract(t *testing.T) {
	f := gitlabfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	client := network.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = network.Close()
	})
	const guard = "https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/api/api_guard.rb"
	const found = "https://docs.gitlab.com/api/rest/troubleshooting/#status-codes"
	rest := contract.New(t, "testdata/gitlab-routes.json", client.Transport,
		contract.Exception{Method: "DELETE", Path: "/api/v4/personal_access_tokens/self", Status: 401, Why: guard},
		contract.Exception{Method: "GET", Path: "/api/v4/user", Status: 403, Why: guard},
		contract.Exception{Method: "GET", Path: "/api/v4/projects/{id}/cluster_agents/{agent_id}/tokens/{token_id}", Status: 404, Why: found},
		contract.Exception{Method: "GET", Path: "/api/v4/projects/{id}/cluster_agents/{agent_id}/tokens/{token_id}", Status: 403, Why: found},
		contract.Exception{Method: "GET", Path: "/api/v4/projects/{id}/deploy_tokens/{token_id}", Status: 403, Why: found},
		contract.Exception{Method: "GET", Path: "/api/v4/projects/{id}/deploy_keys/{key_id}", Status: 403, Why: found},
		contract.Exception{Method: "GET", Path: "/api/v4/users/{user_id}/keys/{key_id}", Status: 403, Why: found},
	)
	client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/oauth/") { // not part of the REST API
			return network.Transport().RoundTrip(r)
		}
		return rest.RoundTrip(r)
	})
	admin, _ := f.MintAuthority()
	authority := admin
	p, err := gitlab.New(revoke.Env{HTTP: client, Authority: authorityOf(&authority)})
	if err != nil {
		t.Fatal(err)
	}
	f.ExpireTriggers()
	for _, kind := range f.Kinds() {
		known, unknown := f.Mint(kind), f.Mint(kind)
		if kind != "gitlab.oauth_token" {
			unknown.Ref = nil
		}
		for _, c := range []credential.Credential{known, unknown} {
			for range 2 { // alive, then dead
				p.Verify(t.Context(), c)
				_, _ = p.Inspect(t.Context(), c)
				if _, err := p.Revoke(t.Context(), c); err != nil && !errors.Is(err, revoke.ErrManual) {
					t.Errorf("%s: %v", kind, err)
				}
			}
		}
		authority = f.MintToken("guest", 9, "read_api") // who may not
		p.Verify(t.Context(), f.Mint(kind))
		authority = admin
	}
	p.Verify(t.Context(), f.MintGrant("read_registry"))
	group := f.Mint("gitlab.deploy_token")
	group.Ref = map[string]string{"id": group.Ref["id"], "group": "8"}
	byID := f.Mint("gitlab.pat")
	byID.Secret = credential.Secret{}
	for _, c := range []credential.Credential{group, byID} {
		if _, err := p.Revoke(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.(revoke.Enumerator).Minted(t.Context(), f.MintToken("ci", 3, "api")); err != nil {
		t.Error(err)
	}
	seen := strings.Join(rest.Seen(), "\n")
	for _, want := range []string{ // each of the routes, with what it answers to what it has
		"GET /api/v4/personal_access_tokens 200", "GET /api/v4/personal_access_tokens/self 200", "DELETE /api/v4/personal_access_tokens/self 204",
		"POST /api/v4/personal_access_tokens/self/rotate 401", "GET /api/v4/personal_access_tokens/{id} 200", "DELETE /api/v4/personal_access_tokens/{id} 204",
		"POST /api/v4/admin/token 200", "POST /api/v4/admin/token 403", "POST /api/v4/admin/token 404", "DELETE /api/v4/admin/token 204",
		"GET /api/v4/user 200", "GET /api/v4/job 200", "GET /api/v4/job 401", "POST /api/v4/projects/{id}/jobs/{job_id}/cancel 201",
		"DELETE /api/v4/runners 204", "DELETE /api/v4/runners 403", "POST /api/v4/runners/verify 200", "POST /api/v4/runners/verify 403",
		"DELETE /api/v4/projects/{id}/deploy_tokens/{token_id} 204", "DELETE /api/v4/groups/{id}/deploy_tokens/{token_id} 204",
		"DELETE /api/v4/projects/{id}/triggers/{trigger_id} 204", "DELETE /api/v4/projects/{id}/cluster_agents/{agent_id}/tokens/{token_id} 204",
		"DELETE /api/v4/projects/{id}/deploy_keys/{key_id} 204", "DELETE /api/v4/users/{user_id}/keys/{key_id} 204",
	} {
		if !strings.Contains(seen+"\n", want+"\n") {
			t.Errorf("%s was not exchanged", want)
		}
	}
}
