package peers

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"
	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/stripe"
)

// stripeMock is Stripe's own mock: it refuses a request that Stripe's description does not have, and
// answers with Stripe's fixtures. It keeps no state, and knows test keys alone.
func stripeMock(t *testing.T) http.Handler {
	t.Helper()
	description, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	stub, err := server.NewStubServer(fixtures, description, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(stub.HandleRequest)
}

func settings(text string) func(any) error {
	return func(into any) error {
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		return d.Decode(into)
	}
}

func stripeKey() credential.Secret { return credential.Value("sk_test_" + rand.Text()) }

func TestStripeMock(t *testing.T) {
	mock := stripeMock(t)
	var asked []string
	network := fake.NewNetwork()
	defer func() { _ = network.Close() }()
	network.Handle("api.stripe.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		watched := &statusOf{ResponseWriter: w, status: http.StatusOK}
		mock.ServeHTTP(watched, r)
		asked = append(asked, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, watched.status))
	}))
	client := network.Client()
	defer client.CloseIdleConnections()
	authority := stripeKey()
	p, err := stripe.New(revoke.Env{
		HTTP: client, Now: time.Now, Settings: settings("hold_payouts: true"),
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: authority, Kind: "stripe.api_key", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := func(kind string, ref map[string]string) credential.Credential {
		return credential.Credential{Provider: "stripe", Kind: kind, Ref: ref, Secret: stripeKey()}
	}
	endpoint := secret("stripe.webhook_secret", map[string]string{"endpoint": "we_1Abc"})
	endpoint.Secret = credential.Value("whsec_" + rand.Text() + rand.Text())
	ephemeral := secret("stripe.ephemeral_key", map[string]string{"id": "ephkey_1Abc"})
	app := credential.Credential{Provider: "stripe", Kind: "stripe.app_secret", Ref: map[string]string{"id": "my-secret"}}
	payouts := credential.Credential{Provider: "stripe", Kind: "stripe.payouts", Ref: map[string]string{"id": "acct_1Abcdefghij/payouts"}}
	connected := credential.Credential{Provider: "stripe", Kind: "stripe.connected_account", Ref: map[string]string{"id": "acct_1Abcdefghij"}}
	for _, tt := range []struct {
		c      credential.Credential
		alive  bool   // the mock knows no dead ones, and for some no live ones
		revoke string // part of what Revoke says it did, or of its error
	}{
		{secret("stripe.api_key", nil), true, "a person has to do it"},
		{endpoint, true, "deleted webhook endpoint we_1Abc"},
		{ephemeral, false, "deleted ephemeral key ephkey_1Abc"},
		{app, false, "an answer without its deletion"},                  // the mock answers with another secret's name
		{payouts, true, "an answer without a payout schedule"},          // the mock keeps no state: they stay daily
		{connected, true, "the platform's client id is not configured"}, // Connect is not part of the mock
	} {
		if v := p.Verify(t.Context(), tt.c); (v.Outcome == revoke.Alive) != tt.alive || v.Outcome == revoke.Refused {
			t.Errorf("%s: verify showed %s (%s)", tt.c.Kind, v.Outcome, v.Answer)
		}
		_, _ = p.Inspect(t.Context(), tt.c)
		r, err := p.Revoke(t.Context(), tt.c)
		if said := fmt.Sprint(r.Did, err); !strings.Contains(said, tt.revoke) {
			t.Errorf("%s: revoke said %s", tt.c.Kind, said)
		}
	}
	want := []string{
		"DELETE /v1/ephemeral_keys/ephkey_1Abc 200", "DELETE /v1/webhook_endpoints/we_1Abc 200", "GET /v1/accounts/acct_1Abcdefghij 200",
		"GET /v1/apps/secrets/find 200", "GET /v1/balance 200", "GET /v1/webhook_endpoints/we_1Abc 200",
		"POST /v1/accounts/acct_1Abcdefghij 200", "POST /v1/apps/secrets/delete 200",
	}
	slices.Sort(asked)
	if got := slices.Compact(asked); !slices.Equal(got, want) {
		t.Errorf("exchanged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// statusOf remembers the status of an answer.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
