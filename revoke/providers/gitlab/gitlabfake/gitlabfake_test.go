package gitlabfake_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/gitlab/gitlabfake"
)

// ask asks without any network and returns status and body.
func ask(f *gitlabfake.Fake, method, path, bearer, form string) string {
	r := httptest.NewRequest(method, "https://gitlab.com"+path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if bearer != "" {
		r.Header.Set("Private-Token", bearer)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body))
}

func value(c credential.Credential) string { return c.Secret.Reveal("value") }

func TestRefusals(t *testing.T) {
	f := gitlabfake.New(fake.Wall{})
	admin, _ := f.MintAuthority()
	live, dead, deleted, feed := f.Mint("gitlab.pat"), f.Mint("gitlab.pat"), f.Mint("gitlab.pat"), f.Mint("gitlab.feed_token")
	limited, job := f.MintToken("reader", 3, "read_registry"), f.Mint("gitlab.job_token")
	f.RevokeByHand(dead)
	f.Delete(deleted)
	const self = "/api/v4/personal_access_tokens/self"
	for name, c := range map[string]struct{ method, path, bearer, form, want string }{
		"nobody":             {"GET", self, "", "", `401 {"message":"401 Unauthorized"}`},
		"unknown":            {"GET", self, "glpat-x", "", `401 {"message":"401 Unauthorized"}`},
		"revoked":            {"GET", self, value(dead), "", `401 {"error":"invalid_token","error_description":"Token was revoked. You`},
		"deleted":            {"DELETE", self, value(deleted), "", `401 {"message":"401 Unauthorized"}`},
		"any scope":          {"GET", self, value(limited), "", `200 {"active":true`},
		"scope":              {"GET", "/api/v4/user", value(limited), "", `403 {"error":"insufficient_scope"`},
		"not a token":        {"GET", self, value(job), "", `401 {"message":"401 Unauthorized"}`},
		"no administrator":   {"POST", "/api/v4/admin/token", value(live), "token=" + value(feed), `403 {"message":"403 Forbidden"}`},
		"information":        {"POST", "/api/v4/admin/token", value(admin), "token=" + value(feed), `200 {"id":`},
		"no information":     {"POST", "/api/v4/admin/token", value(admin), "token=glft-x", `404 {"message":{"error":"Not found"}}`},
		"not supported":      {"POST", "/api/v4/admin/token", value(admin), "token=" + value(f.Mint("gitlab.scim_token")), "422 "},
		"runner":             {"POST", "/api/v4/runners/verify", "", "token=glrt-x", `403 {"message":"403 Forbidden"}`},
		"job":                {"GET", "/api/v4/job", "", "", `401 {"message":"401 Unauthorized"}`},
		"others' tokens":     {"GET", "/api/v4/personal_access_tokens?user_id=1", value(live), "", `401 {"message":"401 Unauthorized"}`},
		"another's token":    {"GET", "/api/v4/personal_access_tokens/" + admin.Ref["id"], value(live), "", `401 {"message":"401 Unauthorized"}`},
		"no such project":    {"GET", "/api/v4/projects/9/triggers/1", value(admin), "", `404 {"message":"404 Project Not Found"}`},
		"no such group":      {"GET", "/api/v4/groups/9/deploy_tokens/1", value(admin), "", `404 {"message":"404 Group Not Found"}`},
		"no such token":      {"GET", "/api/v4/projects/7/deploy_tokens/1", value(admin), "", `404 {"message":"404 Not found"}`},
		"no such path":       {"GET", "/api/v4/nowhere", value(admin), "", `404 {"error":"404 Not Found"}`},
		"a page":             {"GET", "/somebody/something", "", "", "404 <!DOCTYPE html>"},
		"no such client":     {"POST", "/oauth/introspect", "", "client_id=x&client_secret=y&token=z", `401 {"error":"invalid_client"`},
		"no token to revoke": {"POST", "/oauth/revoke", "", "client_id=x&token=z", `200 {}`},
	} {
		if got := ask(f, c.method, c.path, c.bearer, c.form); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A rotation of an ended token ends those that it was rotated into, and nothing else.
func TestReuseDetection(t *testing.T) {
	f := gitlabfake.New(fake.Wall{})
	first, other := f.Mint("gitlab.pat"), f.Mint("gitlab.pat")
	last := f.Rotate(f.Rotate(first))
	if ask(f, "GET", "/api/v4/personal_access_tokens/self", value(first), ""); !f.Alive(last) {
		t.Error("a look ended the family")
	}
	if got := ask(f, "POST", "/api/v4/personal_access_tokens/self/rotate", value(first), ""); !strings.HasPrefix(got, "401") || f.Alive(last) || !f.Alive(other) {
		t.Errorf("%s; last %v, other %v", got, f.Alive(last), f.Alive(other))
	}
	if got := ask(f, "POST", "/api/v4/personal_access_tokens/self/rotate", value(other), ""); !strings.HasPrefix(got, "200") || f.Alive(other) {
		t.Errorf("a live token: %s", got)
	}
}

func TestTheRecordHoldsNoSecret(t *testing.T) {
	f := gitlabfake.New(fake.Wall{})
	for _, kind := range f.Kinds() {
		c := f.Mint(kind)
		ask(f, "POST", "/api/v4/runners/verify", value(f.Mint("gitlab.pat")), "token="+value(c))
		text := fmt.Sprintf("%+v %s", f.Knobs().Calls(), f.State())
		if strings.Contains(text, value(c)[len(value(c))-20:]) {
			t.Errorf("%s is shown", kind)
		}
	}
}
