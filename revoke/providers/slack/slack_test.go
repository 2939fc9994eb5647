package slack_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/slack"
	"clawback/revoke/providers/slack/slackfake"
)

// reply is one answer of a scripted Slack.
type reply struct {
	status int
	body   string
	header http.Header
}

// scripted runs f with a provider whose Slack gives the replies in turn, the last one for ever,
// and with what it was asked.
func scripted(t *testing.T, replies []reply, f func(p revoke.Provider, asked *[]*http.Request)) {
	synctest.Test(t, func(t *testing.T) {
		n := fake.NewNetwork()
		defer func() { _ = n.Close() }()
		asked := new([]*http.Request)
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			*asked = append(*asked, r)
			at := replies[min(len(*asked), len(replies))-1]
			for name, values := range at.header {
				w.Header()[name] = values
			}
			w.WriteHeader(at.status)
			_, _ = io.WriteString(w, at.body)
		})
		n.Handle("slack.com", answer)
		n.Handle("hooks.slack.com", answer)
		client := n.Client()
		defer client.CloseIdleConnections()
		p, err := slack.New(revoke.Env{HTTP: client, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		f(p, asked)
	})
}

func said(body string) []reply { return []reply{{status: 200, body: body}} }

func token(kind, prefix string) credential.Credential {
	return credential.Credential{Provider: "slack", Kind: kind, Secret: credential.Value(prefix + rand.Text() + rand.Text())}
}

func botToken() credential.Credential { return token("slack.bot", "xoxb-") }

func TestVerifyReadsTheBody(t *testing.T) {
	limited := reply{429, `{"ok":false,"error":"ratelimited"}`, http.Header{"Retry-After": {"30"}}}
	for name, c := range map[string]struct {
		reply  reply
		want   revoke.Outcome
		answer string
	}{
		"works":            {reply{200, `{"ok":true,"team_id":"T1","user_id":"U1","user":"bot"}`, nil}, revoke.Alive, "200 ok user=bot"},
		"works for an app": {reply{200, `{"ok":true,"app_id":"A1","app_name":"x"}`, nil}, revoke.Alive, "200 ok"},
		"revoked":          {reply{200, `{"ok":false,"error":"token_revoked"}`, nil}, revoke.Refused, "200 token_revoked"},
		"inactive":         {reply{200, `{"ok":false,"error":"account_inactive"}`, nil}, revoke.Refused, "200 account_inactive"},
		"expired":          {reply{200, `{"ok":false,"error":"token_expired"}`, nil}, revoke.Refused, "200 token_expired"},
		"ambiguous":        {reply{200, `{"ok":false,"error":"invalid_auth"}`, nil}, revoke.Inconclusive, "200 invalid_auth: says Slack to a dead token, and to a live one from an address that it does not allow"},
		"other code":       {reply{200, `{"ok":false,"error":"ekm_access_denied"}`, nil}, revoke.Inconclusive, "200 ekm_access_denied"},
		"not authed":       {reply{200, `{"ok":false,"error":"not_authed"}`, nil}, revoke.Inconclusive, "200 not_authed"},
		"outage":           {reply{200, `{"ok":false,"error":"internal_error"}`, nil}, revoke.Inconclusive, "200 internal_error"},
		"limited":          {limited, revoke.Inconclusive, "429 Too Many Requests"},
		"wrong status":     {reply{401, `{"ok":false,"error":"token_revoked"}`, nil}, revoke.Inconclusive, "401 Unauthorized"},
		"nobody":           {reply{200, `{"ok":true}`, nil}, revoke.Inconclusive, "200 ok"},
		"no ok":            {reply{200, `{"error":"token_revoked"}`, nil}, revoke.Inconclusive, "200 token_revoked"},
		"ok is no boolean": {reply{200, `{"ok":"false","error":"token_revoked"}`, nil}, revoke.Inconclusive, "200 but not Slack's answer"},
		"ok is null":       {reply{200, `{"ok":null,"error":"token_revoked"}`, nil}, revoke.Inconclusive, "200 token_revoked"},
		"half":             {reply{200, `{"ok":false,"error":"token_revoked"`, nil}, revoke.Inconclusive, "200 but not Slack's answer"},
		"two answers":      {reply{200, `{"ok":false,"error":"token_revoked"}{"ok":true}`, nil}, revoke.Inconclusive, "200 but not Slack's answer"},
		"page":             {reply{200, `<html>token_revoked</html>`, nil}, revoke.Inconclusive, "200 but not Slack's answer"},
		"escape":           {reply{200, "{\"ok\":false,\"error\":\"\\u001b[2Kdead\"}", nil}, revoke.Inconclusive, "200 dead"},
		"redirect":         {reply{302, ``, http.Header{"Location": {"https://slack.com/api/auth.test"}}}, revoke.Inconclusive, "302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, []reply{c.reply}, func(p revoke.Provider, asked *[]*http.Request) {
				v := p.Verify(context.Background(), botToken())
				if v.Outcome != c.want || v.Answer != c.answer {
					t.Errorf("Verify = %s %q, want %s %q", v.Outcome, v.Answer, c.want, c.answer)
				}
				if want := revoke.RetryAfter(c.reply.header, time.Now()); v.RetryAfter != want {
					t.Errorf("RetryAfter = %v, want %v", v.RetryAfter, want)
				}
				if len(*asked) != 1 {
					t.Errorf("%d requests for one probe", len(*asked))
				}
			})
		})
	}
}

// Slack refuses a live token with invalid_auth where the request comes from a wrong address.
func TestInvalidAuthCountsOnlyWhereTheTokenWorkedBefore(t *testing.T) {
	alive := reply{status: 200, body: `{"ok":true,"team_id":"T1","user_id":"U1"}`}
	invalid := reply{status: 200, body: `{"ok":false,"error":"invalid_auth"}`}
	for name, c := range map[string]struct {
		first reply
		cred  credential.Credential
		do    func(revoke.Provider, credential.Credential)
		want  revoke.Outcome
	}{
		"verified":  {alive, botToken(), func(p revoke.Provider, c credential.Credential) { p.Verify(context.Background(), c) }, revoke.Refused},
		"inspected": {alive, botToken(), func(p revoke.Provider, c credential.Credential) { _, _ = p.Inspect(context.Background(), c) }, revoke.Refused},
		"revoked": {reply{status: 200, body: `{"ok":true,"revoked":true}`}, botToken(),
			func(p revoke.Provider, c credential.Credential) { _, _ = p.Revoke(context.Background(), c) }, revoke.Refused},
		"never":       {invalid, botToken(), func(p revoke.Provider, c credential.Credential) { p.Verify(context.Background(), c) }, revoke.Inconclusive},
		"another one": {alive, botToken(), func(p revoke.Provider, _ credential.Credential) { p.Verify(context.Background(), botToken()) }, revoke.Inconclusive},
		"an app-level": {reply{status: 200, body: `{"ok":true,"app_id":"A1","app_name":"agent"}`}, token("slack.app", "xapp-"),
			func(p revoke.Provider, c credential.Credential) { p.Verify(context.Background(), c) }, revoke.Refused},
		"an app-level, never": {invalid, token("slack.app", "xapp-"), func(p revoke.Provider, c credential.Credential) { p.Verify(context.Background(), c) }, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, []reply{c.first, invalid}, func(p revoke.Provider, _ *[]*http.Request) {
				c.do(p, c.cred)
				if v := p.Verify(context.Background(), c.cred); v.Outcome != c.want {
					t.Errorf("Verify = %s %q, want %s", v.Outcome, v.Answer, c.want)
				}
			})
		})
	}
}

func TestRevoke(t *testing.T) {
	for name, c := range map[string]struct {
		body      string
		already   bool
		ok        bool
		uncertain bool
		retry     bool
	}{
		"revoked":      {body: `{"ok":true,"revoked":true}`, ok: true},
		"a dry run":    {body: `{"ok":true,"revoked":false}`},
		"just ok":      {body: `{"ok":true}`},
		"dead":         {body: `{"ok":false,"error":"token_revoked"}`, ok: true, already: true},
		"inactive":     {body: `{"ok":false,"error":"account_inactive"}`, ok: true, already: true},
		"ambiguous":    {body: `{"ok":false,"error":"invalid_auth"}`},
		"wrong type":   {body: `{"ok":false,"error":"not_allowed_token_type"}`},
		"limited":      {body: `{"ok":false,"error":"ratelimited"}`, retry: true},
		"outage":       {body: `{"ok":false,"error":"internal_error"}`, retry: true, uncertain: true},
		"catastrophe":  {body: `{"ok":false,"error":"fatal_error"}`, retry: true, uncertain: true},
		"another's ok": {body: `<html>ok</html>`, uncertain: true},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, said(c.body), func(p revoke.Provider, _ *[]*http.Request) {
				r, err := p.Revoke(context.Background(), botToken())
				var retry *revoke.RetryError
				if (err == nil) != c.ok || r.Already != c.already || errors.Is(err, revoke.ErrUncertain) != c.uncertain || errors.As(err, &retry) != c.retry {
					t.Errorf("Revoke = %+v, %v", r, err)
				}
				if c.ok && !c.already && len(r.Did) != 1 {
					t.Errorf("the receipt does not say what was done: %+v", r)
				}
			})
		})
	}
}

func TestRevokeSaysWhatLivesOn(t *testing.T) {
	scripted(t, said(`{"ok":true,"revoked":true}`), func(p revoke.Provider, _ *[]*http.Request) {
		r, err := p.Revoke(context.Background(), token("slack.rotating", "xoxe.xoxb-1-"))
		if err != nil || len(r.Left) != 1 || !strings.Contains(r.Left[0], "refresh token") {
			t.Errorf("Revoke = %+v, %v", r, err)
		}
	})
}

func TestRevokeSendsNothingForWhatItCannotRevoke(t *testing.T) {
	for _, c := range []credential.Credential{
		token("slack.app", "xapp-"), token("slack.signing_secret", ""), token("slack.webhook", "https://hooks.slack.com/services/T1/B1/"),
		token("github.pat", "ghp_"), {Provider: "slack", Kind: "slack.bot"},
	} {
		scripted(t, said(`{"ok":true,"revoked":true}`), func(p revoke.Provider, asked *[]*http.Request) {
			if _, err := p.Revoke(context.Background(), c); err == nil || len(*asked) != 0 {
				t.Errorf("%s: %v, %d requests", c.Kind, err, len(*asked))
			}
		})
	}
}

// Slack takes app-level tokens from the header alone, and a form may stand in somebody's log.
func TestTokenTravelsInTheHeader(t *testing.T) {
	for kind, prefix := range map[string]string{"slack.bot": "xoxb-", "slack.user": "xoxp-", "slack.app": "xapp-", "slack.rotating": "xoxe.xoxp-"} {
		scripted(t, said(`{"ok":true,"team_id":"T1"}`), func(p revoke.Provider, asked *[]*http.Request) {
			c := token(kind, prefix)
			p.Verify(context.Background(), c)
			_, _ = p.Revoke(context.Background(), c)
			for _, r := range *asked {
				body, _ := io.ReadAll(r.Body)
				if r.Header.Get("Authorization") != "Bearer "+c.Secret.Reveal("value") || len(body) > 0 || r.URL.RawQuery != "" || r.Method != "POST" {
					t.Errorf("%s: %s %s with %d bytes of body", kind, r.Method, r.URL.Path, len(body))
				}
			}
		})
	}
}

func TestInspect(t *testing.T) {
	answers := []reply{{200, `{"ok":true,"team":"Acme","team_id":"T024BE7LD","user":"deploy-bot","user_id":"U1"}`,
		http.Header{"X-Oauth-Scopes": {"chat:write, users:read\u202e,"}}}}
	scripted(t, answers, func(p revoke.Provider, _ *[]*http.Request) {
		e, err := p.Inspect(context.Background(), botToken())
		want := revoke.Exposure{Account: "T024BE7LD (Acme)", Owner: "T024BE7LD U1", Reach: []string{"chat:write", "users:read"}, Answer: "200 ok user=deploy-bot"}
		if err != nil || fmt.Sprint(e) != fmt.Sprint(want) {
			t.Errorf("Inspect = %+v, %v", e, err)
		}
	})
	scripted(t, said(`{"ok":false,"error":"token_revoked"}`), func(p revoke.Provider, _ *[]*http.Request) {
		if _, err := p.Inspect(context.Background(), botToken()); err == nil || !strings.Contains(err.Error(), "token_revoked") {
			t.Errorf("Inspect = %v", err)
		}
	})
}

func TestWebhookAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   revoke.Outcome
	}{
		"lives":             {400, "invalid_payload", revoke.Alive},
		"lives, with line":  {400, "invalid_payload\n", revoke.Alive},
		"wrong token":       {403, "invalid_token", revoke.Refused},
		"wrong token, 400":  {400, "invalid_token", revoke.Refused},
		"removed":           {404, "no_service", revoke.Refused},
		"workspace is gone": {404, "no_team", revoke.Refused},
		"restricted":        {403, "action_prohibited", revoke.Inconclusive},
		"channel is gone":   {404, "channel_not_found", revoke.Inconclusive},
		"archived":          {410, "channel_is_archived", revoke.Inconclusive},
		"posted?":           {200, "ok", revoke.Inconclusive},
		"proxy":             {403, "<html>no_service</html>", revoke.Inconclusive},
		"bare 404":          {404, "", revoke.Inconclusive},
		"outage":            {500, "rollup_error", revoke.Inconclusive},
		"outage that lies":  {503, "no_service", revoke.Inconclusive},
		"unauthorised":      {401, "invalid_token", revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, []reply{{status: c.status, body: c.body}}, func(p revoke.Provider, asked *[]*http.Request) {
				hook := token("slack.webhook", "https://hooks.slack.com/services/T012345/B012345/")
				v := p.Verify(context.Background(), hook)
				if v.Outcome != c.want || !strings.HasPrefix(v.Answer, fmt.Sprint(c.status)) {
					t.Errorf("Verify = %s %q, want %s", v.Outcome, v.Answer, c.want)
				}
				if len(*asked) != 1 || (*asked)[0].Host != "hooks.slack.com" {
					t.Fatalf("%d requests", len(*asked))
				}
				// As a form, or without a type, Slack might read the body as a message.
				if kind := (*asked)[0].Header.Get("Content-Type"); kind != "application/json" {
					t.Errorf("the probe went as %q", kind)
				}
			})
		})
	}
}

// An address that was found on the host may lead anywhere: only a webhook's own form is called.
func TestWebhookAddressesThatAreNotCalled(t *testing.T) {
	for _, address := range []string{
		"", "https://evil.test/services/T1/B1/x", "http://hooks.slack.com/services/T1/B1/x", "https://hooks.slack.com.evil.test/services/T1/B1/x",
		"https://hooks.slack.com@evil.test/services/T1/B1/x", "https://hooks.slack.com/services/../api/auth.revoke", "https://hooks.slack.com/services/T1/B1/x?y=z",
		"https://hooks.slack.com/services/T1/B1/x/y", "https://hooks.slack.com/services/T1/B1/%2e%2e", "https://hooks.slack.com/services/T1/B1/x\n",
		"https://hooks.slack.com/workflows/T1/A1/123/abc", "https://hooks.slack.com/triggers/T1/123/abc",
	} {
		scripted(t, []reply{{status: 403, body: "invalid_token"}}, func(p revoke.Provider, asked *[]*http.Request) {
			v := p.Verify(context.Background(), credential.Credential{Provider: "slack", Kind: "slack.webhook", Secret: credential.Value(address)})
			if v.Outcome != revoke.Inconclusive || len(*asked) != 0 || !strings.HasPrefix(v.Answer, "not probed") {
				t.Errorf("%q: %s %q after %d requests", address, v.Outcome, v.Answer, len(*asked))
			}
		})
	}
}

func TestNewRefusesWhatIsNoEndpoint(t *testing.T) {
	for _, endpoint := range []string{"slack.com", "ftp://slack.com", "https://", "https://%zz", "https://slack.com/?token=x", "https://slack.com/#x"} {
		if _, err := slack.New(revoke.Env{HTTP: http.DefaultClient, Endpoint: endpoint}); err == nil {
			t.Errorf("New took the endpoint %q", endpoint)
		}
	}
	if _, err := slack.New(revoke.Env{}); err == nil {
		t.Error("New took an environment without a client")
	}
}

// A probe of a live webhook posts nothing: the simulated workspace would count a message.
func TestProbePostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := slackfake.New(fake.Wall{})
		n := fake.NewNetwork(f)
		defer func() { _ = n.Close() }()
		client := n.Client()
		defer client.CloseIdleConnections()
		p, err := slack.New(revoke.Env{HTTP: client})
		if err != nil {
			t.Fatal(err)
		}
		hook := f.Mint("slack.webhook")
		if v := p.Verify(t.Context(), hook); v.Outcome != revoke.Alive {
			t.Fatalf("Verify = %s %q", v.Outcome, v.Answer)
		}
		if !strings.HasSuffix(f.State(), "0 messages, 0 sockets") {
			t.Errorf("the probe posted: %s", f.State())
		}
		calls := f.Knobs().Calls()
		if len(calls) != 1 || calls[0].Path != "/services/…" || calls[0].Action != "webhook" || calls[0].Status != 400 {
			t.Errorf("calls %+v", calls)
		}
	})
}
