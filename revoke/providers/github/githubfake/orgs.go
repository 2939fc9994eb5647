package githubfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	orgAccess    = "github.org_access"
	organization = "acme" // where the authority's App is installed
)

// orgGrant is an organization's approval of a member's fine-grained token, of which it has the id.
type orgGrant struct {
	id, token int
	life      fake.Revocation
}

func (f *Fake) mintOrgAccess() credential.Credential {
	g := &orgGrant{id: 400 + len(f.orgGrants), token: 80001 + len(f.orgGrants)}
	f.orgGrants = append(f.orgGrants, g)
	return credential.Credential{
		Provider: f.Name(), Kind: orgAccess,
		Ref: map[string]string{"id": strconv.Itoa(g.token), "org": organization},
	}
}

// ofOrganization lets the token of an App through that is installed at the organization.
// https://docs.github.com/rest/orgs/personal-access-tokens
func (f *Fake) ofOrganization(q *request) bool {
	if !f.needs(q, func(kind string) bool { return kind == integration }) {
		return false
	}
	if q.args[0] != organization || q.tok.login != organization {
		q.fail(http.StatusNotFound, "Not Found")
		return false
	}
	return true
}

func (f *Fake) listOrgGrants(q *request) {
	if !f.ofOrganization(q) {
		return
	}
	list := []map[string]any{}
	for _, g := range f.orgGrants {
		if !f.knobs.Live(&g.life) {
			continue
		}
		list = append(list, map[string]any{
			"id": g.id, "token_id": g.token, "token_name": fmt.Sprintf("agent %d", g.token), "owner": f.account("acme-dev", 4000),
			"repository_selection": "all", "repositories_url": f.api() + "/organizations/1/personal-access-tokens/" + strconv.Itoa(g.id) + "/repositories",
			"permissions": map[string]any{"repository": map[string]any{"contents": "write"}}, "access_granted_at": "2024-01-02T03:04:05Z",
			"token_expired": false, "token_expires_at": nil, "token_last_used_at": nil,
		})
	}
	q.page(list)
}

func (f *Fake) endOrgGrant(q *request) {
	if !f.ofOrganization(q) {
		return
	}
	var in struct{ Action string }
	if json.NewDecoder(q.Body).Decode(&in) != nil || in.Action != "revoke" {
		q.fail(http.StatusUnprocessableEntity, "Validation Failed")
		return
	}
	for _, g := range f.orgGrants {
		if strconv.Itoa(g.id) == q.args[1] && f.knobs.Live(&g.life) {
			f.knobs.Revoke(&g.life)
			q.w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	q.fail(http.StatusNotFound, "Not Found")
}
