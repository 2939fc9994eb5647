package stripefake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// ask sends one request with that credential's value as bearer token.
func ask(f *Fake, c credential.Credential, method, url string) (int, map[string]any) {
	r := httptest.NewRequest(method, url, nil)
	if v := c.Secret.Reveal("value"); v != "" {
		r.Header.Set("Authorization", "Bearer "+v)
	}
	return serve(f, r)
}

func serve(f *Fake, r *http.Request) (int, map[string]any) {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		panic(err)
	}
	if !strings.HasPrefix(w.Header().Get("Request-Id"), "req_") {
		panic("an answer without Request-Id")
	}
	return w.Code, body
}

func TestAnswers(t *testing.T) {
	f := New(fake.Wall{})
	key, dead, poor := f.MintKey(true), f.MintKey(true), f.MintRestricted(true, ChargeRead, WebhookWrite)
	f.RevokeByHand(dead)
	live, test := f.MintEndpoint(true).Ref["endpoint"], f.MintEndpoint(false).Ref["endpoint"]
	unknown := credential.Credential{Secret: credential.Value("sk_live_" + random(24))}
	tests := []struct {
		name    string
		with    credential.Credential
		method  string
		url     string
		status  int
		code    string // of the error
		message string // how the error begins
	}{
		{"balance", key, "GET", "/v1/balance", 200, "", ""},
		{"charges", poor, "GET", "/v1/charges?limit=2", 200, "", ""},
		{"customers", key, "GET", "/v1/customers", 200, "", ""},
		{"missing scope", poor, "GET", "/v1/balance", 403, "", "The provided key 'rk_live_***"},
		{"write includes read", poor, "GET", "/v1/webhook_endpoints", 200, "", ""},
		{"no key", credential.Credential{}, "GET", "/v1/balance", 401, "", "You did not provide an API key"},
		{"unknown key", unknown, "GET", "/v1/balance", 401, "", "Invalid API Key provided: sk_live_***"},
		{"expired key", dead, "GET", "/v1/balance", 401, "api_key_expired", "Expired API Key provided: sk_live_***"},
		{"unknown path", key, "GET", "/v1/other", 404, "", "Unrecognized request URL (GET: /v1/other)"},
		{"unknown method", key, "POST", "/v1/balance", 404, "", "Unrecognized request URL (POST: /v1/balance)"},
		{"path below an id", key, "GET", "/v1/webhook_endpoints/" + live + "/x", 404, "", "Unrecognized request URL"},
		{"no id", key, "DELETE", "/v1/webhook_endpoints/", 404, "", "Unrecognized request URL"},
		{"page of no size", key, "GET", "/v1/charges?limit=0", 400, "", "Invalid integer"},
		{"endpoint", key, "GET", "/v1/webhook_endpoints/" + live, 200, "", ""},
		{"unknown endpoint", key, "GET", "/v1/webhook_endpoints/we_x", 404, "resource_missing", "No such webhook endpoint: 'we_x'"},
		{"other mode", key, "DELETE", "/v1/webhook_endpoints/" + test, 404, "resource_missing",
			"No such webhook endpoint: '" + test + "'; a similar object exists in test mode, but a live mode key was used"},
		{"deletion", key, "DELETE", "/v1/webhook_endpoints/" + live, 200, "", ""},
		{"deletion again", key, "DELETE", "/v1/webhook_endpoints/" + live, 404, "resource_missing", "No such webhook endpoint"},
	}
	for _, tt := range tests {
		status, body := ask(f, tt.with, tt.method, tt.url)
		e, _ := body["error"].(map[string]any)
		code, _ := e["code"].(string)
		message, _ := e["message"].(string)
		if status != tt.status || code != tt.code || !strings.HasPrefix(message, tt.message) || (e == nil) != (status == 200) {
			t.Errorf("%s: %d %q %q", tt.name, status, code, message)
		}
		calls := f.Knobs().Calls()
		if last := calls[len(calls)-1]; last.Status != tt.status || last.Method != tt.method {
			t.Errorf("%s: recorded as %+v", tt.name, last)
		}
	}
}

func TestBasicAuthentication(t *testing.T) {
	f := New(fake.Wall{})
	c := f.Mint(kindKey)
	r := httptest.NewRequest("GET", "/v1/charges", nil)
	r.SetBasicAuth(c.Secret.Reveal("value"), "")
	r.Header.Set(fake.AdversaryHeader, "1")
	if status, body := serve(f, r); status != 200 || len(body["data"].([]any)) != 3 {
		t.Errorf("%d %v", status, body)
	}
	call := f.Knobs().Calls()[0]
	value := c.Secret.Reveal("value")
	if !call.Adversary || call.Action != "GetCharges" || call.Credential != "sk_live_…"+value[len(value)-4:] {
		t.Errorf("recorded as %+v", call)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(fake.Wall{})
		live, test := f.MintKey(true), f.MintKey(false)
		for n := 1; n <= 101; n++ {
			status, body := ask(f, live, "GET", "/v1/balance")
			if (status == 429) != (n > 100) {
				t.Fatalf("request %d in a second: %d %v", n, status, body)
			}
			if status, _ := ask(f, test, "GET", "/v1/balance"); (status == 429) != (n > 25) {
				t.Fatalf("test mode, request %d in a second: %d", n, status)
			}
		}
		time.Sleep(time.Second)
		if status, _ := ask(f, live, "GET", "/v1/balance"); status != 200 {
			t.Errorf("a second later: %d", status)
		}
	})
}

func TestListPages(t *testing.T) {
	f := New(fake.Wall{})
	f.MintEndpoint(false)
	want := make([]string, 3)
	for i := range want {
		want[len(want)-1-i] = f.MintEndpoint(true).Ref["endpoint"]
	}
	key, after := f.MintKey(true), ""
	for i, id := range want {
		url := "/v1/webhook_endpoints?limit=1"
		if after != "" {
			url += "&starting_after=" + after
		}
		_, body := ask(f, key, "GET", url)
		got := body["data"].([]any)[0].(map[string]any)
		if got["id"] != id || body["has_more"] != (i < 2) || got["secret"] != nil {
			t.Errorf("page %d: %v", i, body)
		}
		after = id
	}
}

// Reads leave the state as it is, every change shows, and no secret does.
func TestState(t *testing.T) {
	f := New(fake.Wall{})
	state, secrets := f.State(), []string(nil)
	changes := func(what string, want bool) {
		t.Helper()
		if now := f.State(); (now != state) != want {
			t.Errorf("%s: the state changed: %t", what, !want)
		} else {
			state = now
		}
	}
	key, hook := f.Mint(kindKey), f.Mint(kindWebhook)
	secrets = append(secrets, key.Secret.Reveal("value"), hook.Secret.Reveal("value"))
	changes("mint", true)
	authority, ok := f.MintAuthority()
	if !ok {
		t.Fatal("no authority")
	}
	secrets = append(secrets, authority.Secret.Reveal("value"))
	changes("mint an authority", true)
	for _, path := range []string{"/v1/balance", "/v1/charges", "/v1/customers", "/v1/webhook_endpoints", "/v1/webhook_endpoints/" + hook.Ref["endpoint"], "/v1/x"} {
		ask(f, key, "GET", path)
		changes(path, false)
	}
	ask(f, authority, "DELETE", "/v1/webhook_endpoints/"+hook.Ref["endpoint"])
	changes("delete", true)
	f.RevokeByHand(hook)
	changes("delete again", false)
	f.RevokeByHand(key)
	changes("roll", true)
	if n := strings.Count(state, "key "); n != 3 {
		t.Errorf("after a roll there are %d keys, want the old, the new and the authority", n)
	}
	ask(f, key, "GET", "/v1/balance")
	f.RevokeByHand(key)
	changes("roll again", false)
	for _, s := range secrets {
		if strings.Contains(state, s[8:]) {
			t.Error("the state shows a secret")
		}
	}
}

func TestKnobs(t *testing.T) {
	f := New(fake.Wall{})
	key, hook := f.Mint(kindKey), f.Mint(kindWebhook)
	f.Knobs().SetStayAlive(true)
	f.RevokeByHand(key)
	ask(f, f.MintKey(true), "DELETE", "/v1/webhook_endpoints/"+hook.Ref["endpoint"])
	if status, _ := ask(f, key, "GET", "/v1/balance"); status != 200 || !f.Alive(key) || !f.Alive(hook) {
		t.Errorf("a provider that keeps credentials alive answers %d", status)
	}
	f.Knobs().SetStayAlive(false)
	f.Knobs().SetLaggingNode(3)
	var got []int
	for range 6 {
		status, _ := ask(f, key, "GET", "/v1/balance")
		got = append(got, status)
		f.Alive(key) // is no look: it does not shift the pattern
	}
	if want := []int{401, 401, 200, 401, 401, 200}; !slices.Equal(got, want) {
		t.Errorf("with a lagging node: %v, want %v", got, want)
	}
	if f.Alive(credential.Credential{Kind: kindKey, Secret: credential.Value("sk_live_x")}) {
		t.Error("an unknown key is alive")
	}
	if byRef := (credential.Credential{Kind: kindWebhook, Ref: hook.Ref}); f.Alive(byRef) {
		t.Error("the deleted endpoint is alive by its id")
	}
}
