package githubfake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// ask sends one request, straight to the handler. auth is the whole header.
func ask(f *Fake, method, path, auth, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://"+f.host+path, strings.NewReader(body))
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func bearerOf(c credential.Credential) string { return "Bearer " + c.Secret.Reveal("value") }

func TestMint(t *testing.T) {
	f := New(fake.Wall{})
	for _, kind := range f.Kinds() {
		a, b := f.Mint(kind), f.Mint(kind)
		if k, ok := credential.Recognize(a.Secret.Reveal("value")); k.Name != kind && len(a.Ref) == 0 || ok && a.Provider != k.Provider {
			t.Errorf("%s is recognised as %q", kind, k.Name)
		}
		if a.Secret.Equal(b.Secret) && !a.Secret.Empty() || !f.Alive(a) {
			t.Errorf("%s: equal secrets, or not alive", kind)
		}
		if f.RevokeByHand(a); f.Alive(a) || !f.Alive(b) {
			t.Errorf("%s: the wrong one died", kind)
		}
	}
	if a, ok := f.MintAuthority(); !ok || !f.Alive(a) {
		t.Error("no authority for keys")
	}
}

func TestBulkAnswers(t *testing.T) {
	f := New(fake.Wall{})
	pat := f.Mint("github.pat")
	dead := f.Mint("github.pat")
	f.RevokeByHand(dead)
	list := func(n int) string { return `{"credentials":["x"` + strings.Repeat(`,"x"`, n-1) + `]}` }
	for name, tt := range map[string]struct {
		auth, body string
		want       int
	}{
		"one":               {"", list(1), 202},
		"1000":              {"", list(1000), 202},
		"1001":              {"", list(1001), 422},
		"none":              {"", `{"credentials":[]}`, 422},
		"no list":           {"", `{"credentials":"x"}`, 422},
		"nothing":           {"", `{}`, 422},
		"null":              {"", `null`, 422},
		"number":            {"", `{"credentials":["x",1]}`, 422},
		"not JSON":          {"", `credentials=x`, 400},
		"no body":           {"", ``, 400},
		"authenticated":     {bearerOf(pat), list(1), 403},
		"old scheme":        {"token " + pat.Secret.Reveal("value"), list(1), 403},
		"bad credentials":   {bearerOf(dead), list(1), 401},
		"of another scheme": {"Basic eDp5", list(1), 401},
	} {
		before := f.State()
		w := ask(f, "POST", "/credentials/revoke", tt.auth, tt.body)
		if w.Code != tt.want || f.State() != before {
			t.Errorf("%s: %d %s, want %d and no change", name, w.Code, w.Body, tt.want)
		}
		if tt.want == 202 {
			continue
		}
		var e struct {
			Message          string   `json:"message"`
			DocumentationURL string   `json:"documentation_url"`
			Errors           []string `json:"errors"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" || e.DocumentationURL == "" || (len(e.Errors) > 0) != (tt.want == 422) {
			t.Errorf("%s: %s, %v", name, w.Body, err)
		}
	}
}

// TestReach: which token gets which answer where. The columns are: none, unknown, classic,
// installation, refresh.
func TestReach(t *testing.T) {
	f := New(fake.Wall{})
	for call, want := range map[string][5]int{
		"GET /user":                      {401, 401, 200, 403, 401},
		"GET /user/repos":                {401, 401, 200, 403, 401},
		"GET /installation/repositories": {401, 401, 403, 200, 401},
		"DELETE /installation/token":     {401, 401, 403, 204, 401},
		"GET /rate_limit":                {200, 401, 200, 200, 401},
		"GET /repos/acme/payments":       {404, 401, 404, 404, 401},
		"POST /user":                     {404, 401, 404, 404, 401},
		"GET /user/":                     {404, 401, 404, 404, 401},
	} {
		auth := [5]string{"", "Bearer ghp_unknown",
			bearerOf(f.Mint("github.pat")), bearerOf(f.Mint("github.installation")), bearerOf(f.Mint("github.refresh"))}
		method, path, _ := strings.Cut(call, " ")
		for i := range want {
			w := ask(f, method, path, auth[i], "")
			if w.Code != want[i] {
				t.Errorf("%s, token %d: %d, want %d", call, i, w.Code, want[i])
			}
			if w.Code >= 400 && !strings.Contains(w.Body.String(), `"documentation_url"`) {
				t.Errorf("%s: %s is not GitHub's error", call, w.Body)
			}
		}
	}
}

// TestKeys: whose token sees and deletes which keys. What it may not see GitHub does not find.
func TestKeys(t *testing.T) {
	f := New(fake.Wall{})
	admin, _ := f.MintAuthority()
	other := f.Mint("github.pat")
	ids := map[string]string{}
	for _, kind := range keyKinds {
		ids[kind] = f.Mint(kind).Ref["id"]
	}
	for _, tt := range []struct {
		call              string
		none, other, mine int
	}{
		{"GET /user/keys", 401, 404, 200},
		{"GET /user/ssh_signing_keys", 401, 404, 200},
		{"GET /users/mona/keys", 200, 200, 200},
		{"GET /users/mona/ssh_signing_keys", 200, 200, 200},
		{"GET /users/nobody/keys", 404, 404, 404},
		{"GET /users//keys", 404, 404, 404},
		{"GET /repos/mona/payments/keys", 404, 404, 200},
		{"GET /repos/mona/else/keys", 404, 404, 404},
		{"DELETE /user/keys/1", 401, 404, 404},
		{"DELETE /user/keys/" + ids[sshKey], 401, 404, 204},
		{"DELETE /user/keys/" + ids[sshKey], 401, 404, 404},
		{"DELETE /user/ssh_signing_keys/" + ids[signingKey], 401, 404, 204},
		{"DELETE /repos/mona/payments/keys/" + ids[sshKey], 404, 404, 404},
		{"DELETE /repos/mona/payments/keys/" + ids[deployKey], 404, 404, 204},
	} {
		method, path, _ := strings.Cut(tt.call, " ")
		for auth, want := range map[string]int{"": tt.none, bearerOf(other): tt.other} {
			before := f.State()
			if w := ask(f, method, path, auth, ""); w.Code != want || f.State() != before {
				t.Errorf("%s: %d, want %d and no change", tt.call, w.Code, want)
			}
		}
		if w := ask(f, method, path, bearerOf(admin), ""); w.Code != tt.mine {
			t.Errorf("%s of the keys' own user: %d, want %d", tt.call, w.Code, tt.mine)
		}
	}
	if w := ask(f, "GET", "/user/keys", bearerOf(admin), ""); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("what was deleted is listed: %s", w.Body)
	}
}

func TestPages(t *testing.T) {
	f := New(fake.Wall{})
	admin, _ := f.MintAuthority()
	for range 5 {
		f.Mint(sshKey)
	}
	for query, want := range map[string]struct {
		n    int
		more bool
	}{"?per_page=2": {2, true}, "?per_page=2&page=3": {1, false}, "?per_page=5": {5, false}, "?page=9": {0, false}} {
		w := ask(f, "GET", "/user/keys"+query, bearerOf(admin), "")
		var keys []map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &keys); err != nil || len(keys) != want.n || strings.Contains(w.Header().Get("Link"), `rel="next"`) != want.more {
			t.Errorf("%s: %d keys, Link %q, %v", query, len(keys), w.Header().Get("Link"), err)
		}
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(fake.Wall{})
		const one = `{"credentials":["x"]}`
		for range anonymousLimit {
			ask(f, "GET", "/rate_limit", "", "") // free
			if w := ask(f, "POST", "/credentials/revoke", "", one); w.Code != 202 {
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
		}
		w := ask(f, "POST", "/credentials/revoke", "", one)
		if w.Code != 403 || w.Header().Get("X-RateLimit-Remaining") != "0" || w.Header().Get("X-RateLimit-Reset") == "" {
			t.Errorf("over the limit: %d %v", w.Code, w.Header())
		}
		if w := ask(f, "GET", "/user", "Bearer ghp_dead", ""); w.Code != 401 {
			t.Errorf("bad credentials are counted though nobody asked: %d", w.Code)
		}
		f.SetCountRefusals(true)
		if w := ask(f, "GET", "/user", "Bearer ghp_dead", ""); w.Code != 403 {
			t.Errorf("bad credentials are not counted: %d", w.Code)
		}
		r := httptest.NewRequest("POST", "https://api.github.com/credentials/revoke", strings.NewReader(one))
		r.Header.Set(fake.AdversaryHeader, "1")
		other := httptest.NewRecorder()
		if f.ServeHTTP(other, r); other.Code != 202 {
			t.Errorf("the adversary's address has its own limit: %d", other.Code)
		}
		time.Sleep(windowLength)
		if w := ask(f, "POST", "/credentials/revoke", "", one); w.Code != 202 {
			t.Errorf("after an hour: %d", w.Code)
		}
	})
}

func TestRecordAndState(t *testing.T) {
	f := New(fake.Wall{})
	pat, ghs := f.Mint("github.pat"), f.Mint("github.installation")
	before := f.State()
	ask(f, "GET", "/user", bearerOf(pat), "")
	ask(f, "GET", "/user", "Bearer ghp_unknown", "")
	if f.State() != before {
		t.Error("a read changed the state")
	}
	body := `{"credentials":["` + pat.Secret.Reveal("value") + `","` + ghs.Secret.Reveal("value") + `"]}`
	ask(f, "POST", "/credentials/revoke", "", body)
	if f.State() == before || f.Alive(pat) || !f.Alive(ghs) {
		t.Error("the state did not change, or the installation token died with the rest")
	}
	calls := f.Knobs().Calls()
	mask := credential.Mask(pat.Kind, pat.Secret, nil)
	if len(calls) != 3 || calls[0].Credential != mask || calls[1].Credential != "" || calls[2].Credential != mask ||
		calls[2].Action != "credentials/revoke" || calls[2].Status != 202 || calls[1].Status != 401 {
		t.Errorf("recorded %+v", calls)
	}
	for _, c := range []credential.Credential{pat, ghs} {
		if strings.Contains(f.State(), c.Secret.Reveal("value")[4:12]) {
			t.Error("the state shows a secret")
		}
	}
}

func TestStaysAlive(t *testing.T) {
	f := New(fake.Wall{})
	f.Knobs().SetStayAlive(true)
	c := f.Mint("github.installation")
	if w := ask(f, "DELETE", "/installation/token", bearerOf(c), ""); w.Code != http.StatusNoContent {
		t.Fatalf("%d", w.Code)
	}
	if w := ask(f, "GET", "/installation/repositories", bearerOf(c), ""); w.Code != 200 || !f.Alive(c) {
		t.Errorf("it died in spite of the knob: %d", w.Code)
	}
}

func TestEnterpriseServer(t *testing.T) {
	f := NewEnterpriseServer(fake.Wall{}, "ghe.example")
	admin, _ := f.MintAuthority()
	pat, oauth := f.Mint("github.pat"), f.Mint("github.oauth")
	body := `{"credentials":["` + pat.Secret.Reveal("value") + `","` + oauth.Secret.Reveal("value") + `"]}`
	for _, tt := range []struct {
		path, auth string
		want       int
	}{
		{"/credentials/revoke", bearerOf(admin), 404},
		{"/api/v3/credentials/revoke", "", 401},
		{"/api/v3/credentials/revoke", bearerOf(admin), 202},
	} {
		if w := ask(f, "POST", tt.path, tt.auth, body); w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.path, w.Code, tt.want)
		}
	}
	if f.Alive(pat) || !f.Alive(oauth) {
		t.Error("a server takes personal access tokens, and nothing else")
	}
}

func FuzzBulk(f *testing.F) {
	f.Add(`{"credentials":["x"]}`)
	f.Add(`{"credentials":[[]],"credentials":{}}`)
	f.Add(strings.Repeat(`{"credentials":[`, 50))
	f.Fuzz(func(t *testing.T, body string) {
		values, problem := readBulk(strings.NewReader(body))
		if (problem == "") != (len(values) > 0) || len(values) > maxBulk {
			t.Errorf("%d values, problem %q", len(values), problem)
		}
	})
}
