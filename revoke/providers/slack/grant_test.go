package slack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/slack"
	"clawback/revoke/providers/slack/slackfake"
	"clawback/revoke/revoketest"
)

// workspace is a simulated workspace and a provider that sees nothing else.
type workspace struct {
	*slackfake.Fake
	provider  revoke.Provider
	authority credential.Secret // empty: the desk has none
}

func newWorkspace(t *testing.T, settings string) *workspace {
	t.Helper()
	w := &workspace{Fake: slackfake.New(fake.Wall{})}
	n := fake.NewNetwork(w.Fake)
	client := n.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = n.Close()
	})
	var err error
	w.provider, err = slack.New(revoke.Env{
		HTTP: client, Now: time.Now, Settings: func(into any) error { return yaml.Unmarshal([]byte(settings), into) },
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: w.authority, Kind: "slack.client_secret", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *workspace) actions() (all []string) {
	for _, c := range w.Knobs().Calls() {
		all = append(all, c.Action)
	}
	return all
}

// Nothing but a dry run is asked of auth.revoke before the responder says so.
func TestARefreshTokenIsAskedAboutByADryRun(t *testing.T) {
	alive := reply{status: 200, body: `{"ok":true,"revoked":false}`}
	c := token("slack.refresh", "xoxe-1-")
	for name, tt := range map[string]struct {
		replies []reply
		want    revoke.Outcome
	}{
		"lives":             {[]reply{alive}, revoke.Alive},
		"revoked":           {said(`{"ok":false,"error":"token_revoked"}`), revoke.Refused},
		"expired":           {said(`{"ok":false,"error":"token_expired"}`), revoke.Refused},
		"never seen":        {said(`{"ok":false,"error":"invalid_auth"}`), revoke.Inconclusive},
		"no revoked":        {said(`{"ok":true}`), revoke.Inconclusive},
		"revoked after all": {said(`{"ok":true,"revoked":true}`), revoke.Inconclusive},
		"not its type":      {said(`{"ok":false,"error":"not_allowed_token_type"}`), revoke.Inconclusive},
	} {
		scripted(t, tt.replies, func(p revoke.Provider, asked *[]*http.Request) {
			if v := p.Verify(context.Background(), c); v.Outcome != tt.want {
				t.Errorf("%s: %s %q, want %s", name, v.Outcome, v.Answer, tt.want)
			}
			body, _ := io.ReadAll((*asked)[0].Body)
			if r := (*asked)[0]; len(*asked) != 1 || r.URL.Path != "/api/auth.revoke" || string(body) != "test=1" || r.Header.Get("Authorization") != "Bearer "+c.Secret.Reveal("value") {
				t.Errorf("%s: %d requests, %s with %d bytes of body", name, len(*asked), r.URL.Path, len(body))
			}
		})
	}
	scripted(t, []reply{alive, {status: 200, body: `{"ok":false,"error":"invalid_auth"}`}}, func(p revoke.Provider, _ *[]*http.Request) {
		p.Verify(context.Background(), c)
		if v := p.Verify(context.Background(), c); v.Outcome != revoke.Refused {
			t.Errorf("after it was alive: %s %q", v.Outcome, v.Answer)
		}
	})
}

// A session's token is refused without its cookie: that proves nothing, and is not asked.
func TestASessionIsAskedAboutWithItsCookie(t *testing.T) {
	w := newWorkspace(t, "")
	c := w.Mint("slack.session")
	if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Alive || v.Answer != "200 ok user=ada" {
		t.Errorf("%s %q", v.Outcome, v.Answer)
	}
	for name, cookie := range map[string]string{"none": "", "another header": "xoxd-" + strings.Repeat("x", 40) + "\r\nX: y", "two": c.Secret.Reveal("cookie") + "; e=f"} {
		before := len(w.Knobs().Calls())
		bad := c
		bad.Secret = credential.NewSecret(map[string]string{"value": c.Secret.Reveal("value"), "cookie": cookie})
		if v := w.provider.Verify(t.Context(), bad); v.Outcome != revoke.Inconclusive || !strings.HasPrefix(v.Answer, "not probed") || len(w.Knobs().Calls()) != before {
			t.Errorf("%s: %s %q", name, v.Outcome, v.Answer)
		}
	}
	other := c
	other.Secret = credential.NewSecret(map[string]string{"value": w.Mint("slack.session").Secret.Reveal("value"), "cookie": c.Secret.Reveal("cookie")})
	if v := w.provider.Verify(t.Context(), other); v.Outcome != revoke.Inconclusive {
		t.Errorf("another session's cookie: %s %q", v.Outcome, v.Answer)
	}
	w.RevokeByHand(c)
	if v := w.provider.Verify(t.Context(), c); v.Outcome != revoke.Refused {
		t.Errorf("signed out: %s %q", v.Outcome, v.Answer)
	}
}

func TestClientSecretAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want revoke.Outcome
	}{
		"lives":       {`{"ok":false,"error":"invalid_code"}`, revoke.Alive},
		"regenerated": {`{"ok":false,"error":"bad_client_secret"}`, revoke.Refused},
		"no such app": {`{"ok":false,"error":"invalid_client_id"}`, revoke.Inconclusive},
		"limited":     {`{"ok":false,"error":"ratelimited"}`, revoke.Inconclusive},
		"a token":     {`{"ok":true,"access_token":"x"}`, revoke.Inconclusive},
		"page":        {`<html>bad_client_secret</html>`, revoke.Inconclusive},
		"half":        {`{"ok":false,"error":"bad_client_secret"`, revoke.Inconclusive},
	} {
		c := token("slack.client_secret", "")
		c.Ref = map[string]string{"client_id": "123456789012.1234567890123"}
		scripted(t, said(tt.body), func(p revoke.Provider, asked *[]*http.Request) {
			v := p.Verify(context.Background(), c)
			if v.Outcome != tt.want || v.Answer == "" {
				t.Errorf("%s: %s %q, want %s", name, v.Outcome, v.Answer, tt.want)
			}
			id, secret, _ := (*asked)[0].BasicAuth()
			body, _ := io.ReadAll((*asked)[0].Body)
			if id != c.Ref["client_id"] || secret != c.Secret.Reveal("value") || strings.Contains(string(body), secret) || !strings.Contains(string(body), "code=0.0.no-code") {
				t.Errorf("%s: asked otherwise", name)
			}
			before := len(*asked)
			for _, id := range []string{"", "1/../2", "12345678:x.1234567890"} {
				c.Ref["client_id"] = id
				if v := p.Verify(context.Background(), c); v.Outcome != revoke.Inconclusive || len(*asked) != before {
					t.Errorf("client id %q: %s %q", id, v.Outcome, v.Answer)
				}
			}
		})
	}
}

func TestUninstall(t *testing.T) {
	w := newWorkspace(t, "uninstall: true")
	all, client := w.Install("slack.bot", "slack.user", "slack.rotating", "slack.refresh")
	w.authority = client
	other := w.Mint("slack.bot")
	for i, c := range all[:3] {
		r, err := w.provider.Revoke(t.Context(), c)
		if err != nil || r.Already != (i > 0) || len(r.Left) > 0 || (i == 0) != (len(r.Did) == 1 && strings.HasPrefix(r.Did[0], "uninstalled")) {
			t.Errorf("%s: %+v, %v", c.Kind, r, err)
		}
	}
	for _, c := range all {
		if w.Alive(c) {
			t.Errorf("%s lives on", c.Kind)
		}
	}
	if !w.Alive(other) {
		t.Error("another app's token is dead")
	}
	if slices.Contains(w.actions(), "auth.revoke") {
		t.Error("auth.revoke was called too")
	}
}

// What keeps an app installed does not keep its token alive, and the receipt says it.
func TestATokenThatCannotUninstallRevokesItself(t *testing.T) {
	mine, others := newWorkspace(t, "uninstall: true"), newWorkspace(t, "uninstall: true")
	_, others.authority = others.Install()
	refusing := newWorkspace(t, "uninstall: true")
	all, client := refusing.Install("slack.bot")
	refusing.authority = client
	refusing.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.HasSuffix(r.URL.Path, "apps.uninstall") {
			return fake.Fault{Status: 200, Body: `{"ok":false,"error":"is_bot"}`}
		}
		return fake.Fault{}
	})
	for name, tt := range map[string]struct {
		w    *workspace
		c    credential.Credential
		left string
	}{
		"no authority": {mine, mine.Mint("slack.bot"), "client_id and client_secret"},
		"another app":  {others, others.Mint("slack.bot"), "client_id_token_mismatch"},
		"a bot":        {refusing, all[0], "is_bot"},
	} {
		r, err := tt.w.provider.Revoke(t.Context(), tt.c)
		if err != nil || r.Already || len(r.Left) != 1 || !strings.Contains(r.Left[0], tt.left) || tt.w.Alive(tt.c) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestUninstallFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		fault                 fake.Fault
		uncertain, try, admin bool
	}{
		"the secret is wrong": {fault: fake.Fault{Status: 200, Body: `{"ok":false,"error":"bad_client_secret"}`}, admin: true},
		"no such client":      {fault: fake.Fault{Status: 200, Body: `{"ok":false,"error":"invalid_client_id"}`}, admin: true},
		"limited":             {fault: slackfake.RateLimited(time.Minute), try: true},
		"outage":              {fault: fake.Fault{Status: 200, Body: `{"ok":false,"error":"internal_error"}`}, uncertain: true, try: true},
		"lost":                {fault: fake.Fault{CutAfter: true}, uncertain: true},
		"page":                {fault: fake.Fault{Status: 200, Body: `<html>ok</html>`}, uncertain: true},
	} {
		w := newWorkspace(t, "uninstall: true")
		all, client := w.Install("slack.user")
		w.authority = client
		w.Knobs().SetFault(func(*http.Request) fake.Fault { return tt.fault })
		r, err := w.provider.Revoke(t.Context(), all[0])
		var retry *revoke.RetryError
		if err == nil || errors.Is(err, revoke.ErrUncertain) != tt.uncertain || errors.As(err, &retry) != tt.try || errors.Is(err, revoke.ErrAuthority) != tt.admin {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if err != nil && strings.Contains(err.Error(), client.Reveal("client_secret")[:10]) {
			t.Errorf("%s: the error shows the client secret", name)
		}
	}
	w := newWorkspace(t, "uninstall: true")
	all, client := w.Install("slack.user")
	w.authority = client
	for _, answer := range []string{`{"ok":false,"error":%q}`, `{"ok":true,"user":%q}`} {
		w.Knobs().SetFault(func(r *http.Request) fake.Fault { // a Slack that quotes what it was asked
			body, _ := io.ReadAll(r.Body)
			return fake.Fault{Status: 200, Body: fmt.Sprintf(answer, r.Header.Get("Authorization")+" "+string(body))}
		})
		r, err := w.provider.Revoke(t.Context(), all[0])
		said := map[string]string{"the receipt": fmt.Sprint(r), "the error": fmt.Sprint(err)}
		for _, c := range []credential.Credential{all[0], {Kind: "slack.client_secret", Secret: client, Ref: map[string]string{"id": client.Reveal("client_id")}}} {
			if where, leaks := revoketest.Leak(said, c); leaks {
				t.Errorf("%s shows a piece of %s", where, c.Kind)
			}
		}
	}
	w.Knobs().SetFault(nil)
	w.authority = all[0].Secret
	if _, err := w.provider.Revoke(t.Context(), all[0]); !errors.Is(err, revoke.ErrOurs) || !w.Alive(all[0]) {
		t.Errorf("the responder's own: %v", err)
	}
}

func TestFormats(t *testing.T) {
	f := slackfake.New(fake.Wall{})
	for _, kind := range []string{"slack.bot", "slack.user", "slack.rotating", "slack.refresh", "slack.legacy", "slack.session", "slack.app", "slack.webhook"} {
		if k, ok := credential.Recognize(f.Mint(kind).Secret.Reveal("value")); !ok || k.Name != kind {
			t.Errorf("%s is recognized as %q", kind, k.Name)
		}
	}
}

// The simulated Slack mints for who has both, and for nobody else.
func TestExchange(t *testing.T) {
	w := newWorkspace(t, "")
	all, client := w.Install("slack.refresh")
	ask := func(form url.Values) string {
		n := fake.NewNetwork(w.Fake)
		defer func() { _ = n.Close() }()
		form.Set("client_id", client.Reveal("client_id"))
		resp, err := n.Client().PostForm("https://slack.com/api/oauth.v2.access", form)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {all[0].Secret.Reveal("value")}}
	if got := ask(form); !strings.Contains(got, "bad_client_secret") {
		t.Error("without the secret it answered otherwise")
	}
	form.Set("client_secret", client.Reveal("client_secret"))
	if got := ask(form); !strings.Contains(got, `"access_token":"xoxe.xoxb-1-`) {
		t.Error("with both it minted nothing")
	}
	if _, err := w.provider.Revoke(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if got := ask(form); !strings.Contains(got, "invalid_refresh_token") {
		t.Error("a revoked refresh token mints")
	}
}
