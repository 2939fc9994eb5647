package slackfake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slacktest"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/slack/slackfake"
)

// post posts a form without any network.
func post(f *slackfake.Fake, path, bearer string, form url.Values) (*http.Response, map[string]any) {
	r := httptest.NewRequest("POST", "https://slack.com"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var body map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	return w.Result(), body
}

func value(c credential.Credential) string { return c.Secret.Reveal("value") }

func TestErrors(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	bot, app, hook, signing := f.Mint("slack.bot"), f.Mint("slack.app"), f.Mint("slack.webhook"), f.Mint("slack.signing_secret")
	dead := f.Mint("slack.user")
	f.RevokeByHand(dead)
	for name, c := range map[string]struct {
		method, bearer string
		form           url.Values
		want           string
	}{
		"no token":               {"auth.test", "", nil, "not_authed"},
		"unknown token":          {"auth.test", "xoxb-nobody", nil, "invalid_auth"},
		"unknown method":         {"auth.tset", value(bot), nil, "unknown_method"},
		"revoked":                {"auth.test", value(dead), nil, "token_revoked"},
		"revoked, revoke":        {"auth.revoke", value(dead), nil, "token_revoked"},
		"app-level in a form":    {"auth.test", "", url.Values{"token": {value(app)}}, "invalid_auth"},
		"app-level revoke":       {"auth.revoke", value(app), nil, "not_allowed_token_type"},
		"app-level message":      {"chat.postMessage", value(app), nil, "not_allowed_token_type"},
		"bot opens a socket":     {"apps.connections.open", value(bot), nil, "not_allowed_token_type"},
		"webhook is no token":    {"auth.test", strings.TrimPrefix(value(hook), "https://hooks.slack.com"), nil, "invalid_auth"},
		"a secret is no token":   {"auth.revoke", value(signing), nil, "invalid_auth"},
		"bot":                    {"auth.test", value(bot), nil, ""},
		"bot in a form":          {"auth.test", "", url.Values{"token": {value(bot)}}, ""},
		"app-level":              {"auth.test", value(app), nil, ""},
		"app-level opens socket": {"apps.connections.open", value(app), nil, ""},
	} {
		resp, body := post(f, "/api/"+c.method, c.bearer, c.form)
		if got, _ := body["error"].(string); resp.StatusCode != 200 || got != c.want || body["ok"] != (c.want == "") {
			t.Errorf("%s: %d %v, want %q", name, resp.StatusCode, body, c.want)
		}
	}
	if resp, _ := post(f, "/elsewhere", "", nil); resp.StatusCode != 404 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("another path: %d", resp.StatusCode)
	}
}

func TestRevokeAndItsDryRun(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	c := f.Mint("slack.bot")
	if _, body := post(f, "/api/auth.revoke", value(c), url.Values{"test": {"1"}}); body["revoked"] != false || !f.Alive(c) {
		t.Errorf("dry run: %v, alive %v", body, f.Alive(c))
	}
	before := f.State()
	if _, body := post(f, "/api/auth.revoke", value(c), nil); body["revoked"] != true || f.Alive(c) || f.State() == before {
		t.Errorf("revoke: %v, alive %v", body, f.Alive(c))
	}
}

func TestWhatAThiefDoesShowsInTheState(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	bot, app, hook := f.Mint("slack.bot"), f.Mint("slack.app"), f.Mint("slack.webhook")
	post(f, "/api/chat.postMessage", value(bot), url.Values{"text": {"hi"}})
	post(f, "/api/apps.connections.open", value(app), nil)
	r := httptest.NewRequest("POST", value(hook), strings.NewReader(`{"text":"hi"}`))
	r.Header.Set(fake.AdversaryHeader, "1")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "ok" || !strings.HasSuffix(f.State(), "2 messages, 1 sockets") {
		t.Errorf("webhook answered %d %s; %s", w.Code, w.Body, f.State())
	}
	calls := f.Knobs().Calls()
	if len(calls) != 3 || !calls[2].Adversary || calls[0].Adversary || calls[0].Action != "chat.postMessage" || calls[2].Credential == "" {
		t.Errorf("calls %+v", calls)
	}
	text := fmt.Sprintf("%+v %s", calls, f.State())
	for _, c := range []credential.Credential{bot, app, hook} {
		if tail := value(c)[len(value(c))-12:]; strings.Contains(text, tail) {
			t.Errorf("the log or the state shows a piece of %s", c.Kind)
		}
	}
}

func TestWebhook(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	hook := f.Mint("slack.webhook")
	ask := func(address, body string) string {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("POST", address, strings.NewReader(body)))
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	for _, c := range []struct{ address, body, want string }{
		{value(hook), "no JSON", "400 invalid_payload"},
		{value(hook), `{"text":""}`, "400 no_text"},
		{value(hook) + "x", "no JSON", "403 invalid_token"},
	} {
		if got := ask(c.address, c.body); got != c.want {
			t.Errorf("%s: %s, want %s", c.body, got, c.want)
		}
	}
	f.RevokeByHand(hook)
	if got := ask(value(hook), "no JSON"); got != "404 no_service" {
		t.Errorf("removed: %s", got)
	}
}

func TestRateLimited(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	f.Knobs().SetFault(func(*http.Request) fake.Fault { return slackfake.RateLimited(30 * time.Second) })
	resp, body := post(f, "/api/auth.test", value(f.Mint("slack.bot")), nil)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "30" || body["error"] != "ratelimited" {
		t.Errorf("%d %v", resp.StatusCode, body)
	}
	if calls := f.Knobs().Calls(); len(calls) != 1 || calls[0].Status != 429 {
		t.Errorf("a faulty answer is not in the log: %+v", calls)
	}
}

// The library's own test server and the library's types both know the shape of auth.test.
func TestShapeOfAuthTest(t *testing.T) {
	theirs := slacktest.NewTestServer()
	theirs.Start()
	defer theirs.Stop()
	resp, err := http.Post(theirs.GetAPIURL()+"auth.test", "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	f := slackfake.New(fake.Wall{})
	_, got := post(f, "/api/auth.test", value(f.Mint("slack.bot")), nil)
	for name, v := range want {
		if fmt.Sprintf("%T", got[name]) != fmt.Sprintf("%T", v) {
			t.Errorf("%s is %T, in slacktest it is %T", name, got[name], v)
		}
	}
}

func TestTheLibraryUnderstands(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	n := fake.NewNetwork(f)
	defer func() { _ = n.Close() }()
	client := func(c credential.Credential) *slack.Client {
		return slack.New(value(c), slack.OptionAppLevelToken(value(c)), slack.OptionHTTPClient(n.Client()))
	}
	ctx := context.Background()
	bot, app := f.Mint("slack.bot"), f.Mint("slack.app")
	if who, err := client(bot).AuthTestContext(ctx); err != nil || who.TeamID == "" || who.BotID == "" {
		t.Errorf("AuthTest = %+v, %v", who, err)
	}
	if _, _, err := client(bot).PostMessageContext(ctx, "C1", slack.MsgOptionText("hi", false)); err != nil {
		t.Errorf("PostMessage: %v", err)
	}
	if _, address, err := client(app).StartSocketModeContext(ctx); err != nil || !strings.HasPrefix(address, "wss://") {
		t.Errorf("StartSocketMode = %q, %v", address, err)
	}
	if r, err := client(bot).SendAuthRevokeContext(ctx, ""); err != nil || !r.Revoked {
		t.Errorf("SendAuthRevoke = %+v, %v", r, err)
	}
	if _, err := client(bot).AuthTestContext(ctx); err == nil || err.Error() != "token_revoked" {
		t.Errorf("AuthTest after = %v", err)
	}
	if err := slack.PostWebhookCustomHTTPContext(ctx, value(f.Mint("slack.webhook")), n.Client(), &slack.WebhookMessage{Text: "hi"}); err != nil {
		t.Errorf("PostWebhook: %v", err)
	}
}
