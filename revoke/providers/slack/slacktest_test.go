package slack_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack/slacktest"

	"clawback/revoke"
	"clawback/revoke/fake"
	"clawback/revoke/providers/slack"
)

// TestAgainstSlacktest asks the library's own test server, which knows auth.test and
// apps.connections.open and takes every token. It knows no auth.revoke, no oauth.v2.access and no
// webhooks: of those there is no peer but slackfake, which the library's own client is held to beside it.
func TestAgainstSlacktest(t *testing.T) {
	theirs := slacktest.NewTestServer()
	theirs.Start()
	defer theirs.Stop()
	at, err := url.Parse(theirs.GetAPIURL())
	if err != nil {
		t.Fatal(err)
	}
	network := fake.NewNetwork()
	defer func() { _ = network.Close() }()
	var asked []string
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = at.Scheme, at.Host, at.Host
	}}
	network.Handle("slack.com", http.StripPrefix("/api", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		proxy.ServeHTTP(w, r)
	})))
	client := network.Client()
	defer client.CloseIdleConnections()
	p, err := slack.New(revoke.Env{HTTP: client, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for kind, prefix := range map[string]string{"slack.bot": "xoxb-", "slack.user": "xoxp-", "slack.rotating": "xoxe.xoxb-1-", "slack.app": "xapp-1-"} {
		c := token(kind, prefix)
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
			t.Errorf("%s: verify showed %s (%s)", kind, v.Outcome, v.Answer)
		}
		e, err := p.Inspect(t.Context(), c)
		if err != nil || !strings.Contains(e.Account+e.Owner, "T024BE7LD") && !strings.Contains(e.Account+e.Owner, "Test") {
			t.Errorf("%s: inspect showed %+v, %v", kind, e, err)
		}
		if r, err := p.Revoke(t.Context(), c); err == nil {
			t.Errorf("%s: revoked by a server that has no such method: %+v", kind, r)
		}
	}
	if len(asked) == 0 {
		t.Error("nothing was asked")
	}
}
