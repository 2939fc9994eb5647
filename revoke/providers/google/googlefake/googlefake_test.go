package googlefake

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// asked sends one request, as the bearer where one is given.
func asked(f *Fake, method, target, bearer string) (status int, body string) {
	r := httptest.NewRequest(method, target, strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(fake.AdversaryHeader, "1")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(b)
}

func TestWhoMay(t *testing.T) {
	f := New(fake.Wall{})
	admin, _ := f.MintAuthority()
	c := f.MintKey("agent")
	account := "https://iam.googleapis.com/v1/projects/" + f.project + "/serviceAccounts/" + c.Ref["client_email"]
	key := account + "/keys/" + c.Ref["id"]
	before := f.State()
	user, _ := f.MintGrant()
	of := func(c credential.Credential) string { return c.Secret.Reveal("value") }
	for name, q := range map[string]struct {
		method, target, bearer string
		status                 int
		says                   string
	}{
		"nobody":             {"POST", key + ":disable", "", 403, "unregistered callers"},
		"a dead token":       {"POST", key + ":disable", "ya29.dead", 401, "UNAUTHENTICATED"},
		"a user":             {"POST", key + ":disable", of(user), 403, "insufficient authentication scopes"},
		"another account":    {"POST", key + ":disable", of(f.MintAccountToken("other")), 403, "PERMISSION_DENIED"},
		"its own":            {"POST", key + ":disable", of(f.MintAccountToken("agent")), 403, "PERMISSION_DENIED"},
		"another project":    {"GET", strings.Replace(account, f.project, "acme-else", 1), of(admin), 403, "acme-else"},
		"no such account":    {"GET", strings.Replace(account, "agent@", "nobody@", 1), of(admin), 404, "NOT_FOUND"},
		"somewhere, nobody":  {"GET", strings.Replace(strings.Replace(account, "agent@", "nobody@", 1), f.project, "-", 1), of(admin), 403, "PERMISSION_DENIED"},
		"no such method":     {"POST", key + ":frobnicate", of(admin), 404, "<!DOCTYPE html>"},
		"no such path":       {"GET", "https://iam.googleapis.com/v9/x", of(admin), 404, "Error 404"},
		"no grant":           {"POST", "https://oauth2.googleapis.com/token", "", 400, "unsupported_grant_type"},
		"no token":           {"POST", "https://oauth2.googleapis.com/revoke", "", 400, "invalid_request"},
		"no token to tell":   {"POST", "https://www.googleapis.com/oauth2/v2/tokeninfo", "", 400, "invalid_request"},
		"no API key":         {"GET", "https://translation.googleapis.com/language/translate/v2/languages", "", 403, "unregistered callers"},
		"an unknown API key": {"GET", "https://translation.googleapis.com/language/translate/v2/languages?key=AIzaX", "", 400, "API_KEY_INVALID"},
	} {
		if status, body := asked(f, q.method, q.target, q.bearer); status != q.status || !strings.Contains(body, q.says) {
			t.Errorf("%s: %d %s, want %d with %q", name, status, body, q.status, q.says)
		}
	}
	after := strings.Split(f.State(), "\n")
	if len(after) != strings.Count(before, "\n")+3 { // the grant of the user and the other account
		t.Errorf("state %q, was %q", after, before)
	}
	for _, call := range f.Knobs().Calls() {
		if !call.Adversary || call.Status < 400 || strings.Contains(call.Credential, "ya29.a") {
			t.Errorf("%+v", call)
		}
	}
}

// Two keys of one fake are never alike, and no list shows a deleted one.
func TestKeys(t *testing.T) {
	f := New(fake.Wall{})
	admin, _ := f.MintAuthority()
	a, b := f.MintKey("agent"), f.MintKey("agent")
	if a.Secret.Equal(b.Secret) || a.Ref["id"] == b.Ref["id"] {
		t.Error("alike")
	}
	list := "https://iam.googleapis.com/v1/projects/-/serviceAccounts/" + a.Ref["client_email"] + "/keys"
	f.RevokeByHand(a)
	_, body := asked(f, http.MethodGet, list, admin.Secret.Reveal("value"))
	if strings.Contains(body, a.Ref["id"]) || !strings.Contains(body, b.Ref["id"]) || f.Alive(a) || !f.Alive(b) {
		t.Error(body)
	}
	before := f.State()
	if asked(f, http.MethodDelete, list+"/"+b.Ref["id"], admin.Secret.Reveal("value")); f.Alive(b) || f.State() == before {
		t.Error("not deleted")
	}
}
