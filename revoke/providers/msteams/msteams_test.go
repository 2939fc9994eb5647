package msteams_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/msteams"
	"clawback/revoke/providers/msteams/msteamsfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: msteams.New, Fake: func(c fake.Clock) fake.Provider { return msteamsfake.New(c) }})
}

func world(t *testing.T) (*msteamsfake.Fake, revoke.Provider) {
	t.Helper()
	f := msteamsfake.New(fake.Wall{})
	n := fake.NewNetwork(f)
	t.Cleanup(func() { _ = n.Close() })
	client := n.Client()
	t.Cleanup(client.CloseIdleConnections)
	p, err := msteams.New(revoke.Env{HTTP: client, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

func TestVerifyReadsTheBody(t *testing.T) {
	f, p := world(t)
	for name, tt := range map[string]struct {
		fault fake.Fault
		want  revoke.Outcome
	}{
		"served":                 {fake.Fault{}, revoke.Alive},
		"text is required":       {fake.Fault{Status: 400, Body: "Text is required"}, revoke.Alive},
		"posted":                 {fake.Fault{Status: 200, Body: "1"}, revoke.Alive},
		"gone":                   {fake.Fault{Status: 410}, revoke.Refused},
		"a page that is gone":    {fake.Fault{Status: 410, Body: "<html>gone</html>", Type: "text/html"}, revoke.Inconclusive},
		"not found":              {fake.Fault{Status: 404}, revoke.Inconclusive},
		"other bad request":      {fake.Fault{Status: 400, Body: "Bad payload received by generic incoming webhook."}, revoke.Inconclusive},
		"a page that quotes it":  {fake.Fault{Status: 400, Body: "<html>" + strings.Repeat("x", 300) + "Text is required"}, revoke.Inconclusive},
		"an error inside a 200":  {fake.Fault{Status: 200, Body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 410 with ContextId x"}, revoke.Inconclusive},
		"forbidden":              {fake.Fault{Status: 403}, revoke.Inconclusive},
		"throttled":              {fake.Fault{Status: 429, Body: "Text is required"}, revoke.Inconclusive},
		"outage":                 {fake.Fault{Status: 503, Body: "Text is required"}, revoke.Inconclusive},
		"redirect":               {fake.Fault{Status: 302}, revoke.Inconclusive},
		"cut, and gone":          {fake.Fault{Status: 410, Cut: true}, revoke.Inconclusive},
		"cut, with the sentence": {fake.Fault{Status: 400, Cut: true}, revoke.Inconclusive},
	} {
		f.Knobs().SetFault(func(*http.Request) fake.Fault { return tt.fault })
		if v := p.Verify(t.Context(), f.Mint("msteams.webhook")); v.Outcome != tt.want || v.Answer == "" {
			t.Errorf("%s: %v %q, want %v", name, v.Outcome, v.Answer, tt.want)
		}
	}
}

// Only whole addresses of incoming webhooks are called; a workflow's never is, dead or alive.
func TestWhatIsNeverCalled(t *testing.T) {
	f, p := world(t)
	whole := f.Mint("msteams.webhook").Secret.Reveal("value")
	swap := func(old, new string) credential.Credential {
		value := strings.Replace(whole, old, new, 1)
		if value == whole {
			t.Fatalf("%s is not in the address", old)
		}
		return credential.Credential{Kind: "msteams.webhook", Secret: credential.Value(value)}
	}
	workflow := f.Mint("msteams.workflow")
	dead := f.Mint("msteams.workflow")
	f.RevokeByHand(dead)
	for name, c := range map[string]credential.Credential{
		"another host":         swap("outlook.webhook.office.com", "webhook.office.com.evil.test"),
		"a host before":        swap("https://", "https://evil.test/"),
		"a user before":        swap("https://", "https://x@"),
		"a port":               swap(".com/", ".com:8080/"),
		"no TLS":               swap("https", "http"),
		"another connector":    swap("IncomingWebhook", "JenkinsCI"),
		"a path that climbs":   swap("/IncomingWebhook", "/.."),
		"a query":              swap("/V2", "?V2"),
		"a fragment":           swap("/V2", "#V2"),
		"a workflow":           workflow,
		"a dead workflow":      dead,
		"a workflow's address": {Kind: "msteams.webhook", Secret: workflow.Secret},
		"another kind":         {Kind: "msteams.other", Secret: credential.Value(whole)},
	} {
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%s: %v %q", name, v.Outcome, v.Answer)
		}
		if _, err := p.Inspect(t.Context(), c); err == nil {
			t.Errorf("%s: inspected", name)
		}
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("sent %+v", calls)
	}
}

func TestRevokeIsForPeople(t *testing.T) {
	f, p := world(t)
	for _, kind := range f.Kinds() {
		if _, err := p.Revoke(t.Context(), f.Mint(kind)); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := p.Revoke(t.Context(), credential.Credential{Kind: "msteams.other"}); err == nil || errors.Is(err, revoke.ErrManual) {
		t.Errorf("another kind: %v", err)
	}
}

// The formats tell what the fake mints, and addresses as they were handed out before.
func TestFormats(t *testing.T) {
	f := msteamsfake.New(fake.Wall{})
	workflow := f.Mint("msteams.workflow").Secret.Reveal("value")
	_, query, _ := strings.Cut(workflow, "?")
	id := strings.Repeat("0a", 16)
	for value, want := range map[string]string{
		f.Mint("msteams.webhook").Secret.Reveal("value"): "msteams.webhook",
		workflow: "msteams.workflow",
		"https://prod-21.westeurope.logic.azure.com:443/workflows/" + id + "/triggers/manual/paths/invoke?" + query: "msteams.workflow",
		"https://prod-21.westeurope.logic.azure.com/workflows/" + id + "/triggers/manual/paths/invoke":              "", // unsigned
		"https://evil.test/webhookb2/": "",
	} {
		if kind, _ := credential.Recognize(value); kind.Name != want {
			t.Errorf("recognized as %q, want %q", kind.Name, want)
		}
	}
}

// What an adversary posts shows in the fake's state, and no address does.
func TestWhatAThiefDoesShowsInTheState(t *testing.T) {
	f, _ := world(t)
	n := fake.NewNetwork(f)
	defer func() { _ = n.Close() }()
	for _, c := range []credential.Credential{f.Mint("msteams.webhook"), f.Mint("msteams.workflow")} {
		resp, err := n.Client().Post(c.Secret.Reveal("value"), "application/json", strings.NewReader(`{"text":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if tail := c.Secret.Reveal("value")[100:120]; strings.Contains(f.State(), tail) {
			t.Errorf("the state shows a piece of %s", c.Kind)
		}
	}
	if !strings.HasSuffix(f.State(), "1 messages, 1 runs") {
		t.Error(f.State())
	}
	n.Client().CloseIdleConnections()
}
