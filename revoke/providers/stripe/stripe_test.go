package stripe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/stripe/stripefake"
	"clawback/revoke/revoketest"
)

// world is a provider and the account that it talks to.
type world struct {
	*stripefake.Fake
	revoke.Provider
	network   *fake.Network
	authority credential.Credential // without a secret: none
}

// newWorld makes a world with an authority that may do what it must.
func newWorld(t *testing.T) *world {
	t.Helper()
	f := stripefake.New(fake.Wall{})
	w := &world{Fake: f, network: fake.NewNetwork(f)}
	t.Cleanup(func() { _ = w.network.Close() })
	w.authority, _ = f.MintAuthority()
	w.Provider = w.reach(t, w.network.Transport(), "")
	return w
}

// reach returns a provider that sends by that transport.
func (w *world) reach(t *testing.T, by http.RoundTripper, endpoint string) revoke.Provider {
	t.Helper()
	client := w.network.Client()
	client.Transport = by
	if tr, ok := by.(*http.Transport); ok {
		t.Cleanup(tr.CloseIdleConnections)
	}
	p, err := platform(revoke.Env{HTTP: client, Endpoint: endpoint, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			if w.authority.Secret.Empty() {
				return revoke.Authority{}, revoke.ErrNoAuthority
			}
			return revoke.Authority{Secret: w.authority.Secret, Kind: kindKey, From: "env STRIPE_ADMIN_KEY"}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// says makes Stripe answer like that to the requests with that method.
func (w *world) says(method string, fault fake.Fault) {
	w.Fake.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.Method == method {
			return fault
		}
		return fake.Fault{}
	})
}

// sent lists the requests that arrived.
func (w *world) sent() []string {
	var out []string
	for _, c := range w.Fake.Knobs().Calls() {
		out = append(out, fmt.Sprintf("%s %s %d", c.Method, c.Path, c.Status))
	}
	return out
}

// platform makes a provider for a desk that named its platform.
func platform(env revoke.Env) (revoke.Provider, error) {
	env.Settings = func(into any) error {
		*into.(*settings) = settings{ClientID: stripefake.ClientID, HoldPayouts: true}
		return nil
	}
	return New(env)
}

// previewing makes a provider for a desk that lets the preview's call end API keys.
func previewing(env revoke.Env) (revoke.Provider, error) {
	env.Settings = func(into any) error {
		*into.(*settings) = settings{
			ClientID: stripefake.ClientID, HoldPayouts: true, PreviewExpire: true, PreviewVersion: "2026-01-02.preview",
		}
		return nil
	}
	return New(env)
}

// preview is an account in the private preview.
type preview struct{ *stripefake.Fake }

func (p preview) Mint(kind string) credential.Credential {
	p.Preview = true
	return p.Fake.Mint(kind)
}

func TestConformance(t *testing.T) {
	t.Run("by a person", func(t *testing.T) {
		revoketest.Run(t, revoketest.Suite{New: platform, Fake: func(c fake.Clock) fake.Provider { return stripefake.New(c) }})
	})
	t.Run("by the preview", func(t *testing.T) {
		revoketest.Run(t, revoketest.Suite{New: previewing, Fake: func(c fake.Clock) fake.Provider { return preview{stripefake.New(c)} }})
	})
}

func jsonError(kind, code, message string) string {
	return fmt.Sprintf(`{"error":{"type":%q,"code":%q,"message":%q}}`, kind, code, message)
}

func TestVerifyKeyReadsTheAnswer(t *testing.T) {
	const page = "<html>Please log in to the hotel's network</html>"
	tests := []struct {
		name  string
		fault fake.Fault
		want  revoke.Outcome
		after time.Duration
	}{
		{"served", fake.Fault{}, revoke.Alive, 0},
		{"expired", fake.Fault{Status: 401, Body: jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided: sk_live_***")}, revoke.Refused, 0},
		{"unknown", fake.Fault{Status: 401, Body: jsonError("invalid_request_error", "", "Invalid API Key provided: sk_live_***")}, revoke.Refused, 0},
		{"key lost on the way", fake.Fault{Status: 401, Body: jsonError("invalid_request_error", "", "You did not provide an API key.")}, revoke.Inconclusive, 0},
		{"unknown, of another type", fake.Fault{Status: 401, Body: jsonError("api_error", "", "Invalid API Key provided: sk_live_***")}, revoke.Inconclusive, 0},
		{"expired, by a 400", fake.Fault{Status: 400, Body: jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided")}, revoke.Inconclusive, 0},
		{"expired, by a 200", fake.Fault{Status: 200, Body: jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided")}, revoke.Inconclusive, 0},
		{"captive portal", fake.Fault{Status: 401, Body: page, Type: "text/html"}, revoke.Inconclusive, 0},
		{"error of somebody else", fake.Fault{Status: 401, Body: `{"error":"Invalid API Key provided"}`}, revoke.Inconclusive, 0},
		{"error without a type", fake.Fault{Status: 401, Body: `{"error":{"message":"Invalid API Key provided: x"}}`}, revoke.Inconclusive, 0},
		{"no body", fake.Fault{Status: 401}, revoke.Inconclusive, 0},
		{"forbidden", fake.Fault{Status: 403, Body: jsonError("invalid_request_error", "", "The provided key does not have the required permissions")}, revoke.Alive, 0},
		{"forbidden by a proxy", fake.Fault{Status: 403, Body: page}, revoke.Inconclusive, 0},
		{"forbidden by somebody else", fake.Fault{Status: 403, Body: `{"error":{"message":"blocked by policy"}}`}, revoke.Inconclusive, 0},
		{"balance by a proxy", fake.Fault{Status: 203, Body: `{"object":"balance"}`}, revoke.Alive, 0},
		{"200 with a page", fake.Fault{Status: 200, Body: page}, revoke.Inconclusive, 0},
		{"200 with another object", fake.Fault{Status: 200, Body: `{"object":"charge"}`}, revoke.Inconclusive, 0},
		{"200 with null", fake.Fault{Status: 200, Body: `null`}, revoke.Inconclusive, 0},
		{"no content", fake.Fault{Status: 204}, revoke.Inconclusive, 0},
		{"redirect", fake.Fault{Status: 302}, revoke.Inconclusive, 0},
		{"not found", fake.Fault{Status: 404, Body: jsonError("invalid_request_error", "resource_missing", "Invalid API Key provided")}, revoke.Inconclusive, 0},
		{"rate limit", fake.Fault{Status: 429, Body: jsonError("invalid_request_error", "rate_limit", "slow down"), RetryAfter: 7 * time.Second}, revoke.Inconclusive, 7 * time.Second},
		{"outage", fake.Fault{Status: 503, Body: page, RetryAfter: time.Minute}, revoke.Inconclusive, time.Minute},
		{"500 that claims expiry", fake.Fault{Status: 500, Body: jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided")}, revoke.Inconclusive, 0},
		{"cut", fake.Fault{Cut: true}, revoke.Inconclusive, 0},
		{"cut 401", fake.Fault{Cut: true, Status: 401}, revoke.Inconclusive, 0},
		{"too long", fake.Fault{Status: 401, Body: jsonError("invalid_request_error", "api_key_expired", strings.Repeat("x", 1<<20))}, revoke.Inconclusive, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.says("GET", tt.fault)
			got := w.Verify(t.Context(), w.MintKey(true))
			if got.Outcome != tt.want || got.RetryAfter != tt.after || got.Answer == "" || len(got.Answer) > 200 {
				t.Errorf("got %v after %v: %q, want %v after %v", got.Outcome, got.RetryAfter, got.Answer, tt.want, tt.after)
			}
			if n := len(w.sent()); n != 1 {
				t.Errorf("one probe sent %d requests: %v", n, w.sent())
			}
		})
	}
}

func TestVerifyGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.says("GET", fake.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for _, c := range []credential.Credential{w.MintKey(true), w.MintEndpoint(true)} {
			if got := w.Verify(ctx, c); got.Outcome != revoke.Inconclusive {
				t.Errorf("%s: %v %q", c.Kind, got.Outcome, got.Answer)
			}
		}
	})
}

func TestKeyDiesByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Fake.Knobs().SetLag(20 * time.Second)
		for _, c := range []credential.Credential{w.MintKey(true), w.MintKey(false), w.MintRestricted(true, stripefake.ChargeRead)} {
			if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
				t.Errorf("revoke: %v, want ErrManual", err)
			}
			w.RevokeByHand(c)
			time.Sleep(20*time.Second - time.Nanosecond)
			if got := w.Verify(t.Context(), c); got.Outcome != revoke.Alive {
				t.Errorf("within the lag: %v %q", got.Outcome, got.Answer)
			}
			time.Sleep(time.Nanosecond)
			if got := w.Verify(t.Context(), c); got.Outcome != revoke.Refused || !strings.HasPrefix(got.Answer, "401 Expired API Key provided") {
				t.Errorf("after the lag: %v %q", got.Outcome, got.Answer)
			}
		}
	})
}

func TestInspect(t *testing.T) {
	w := newWorld(t)
	endpoint := w.MintEndpoint(true)
	dead := w.MintKey(true)
	w.RevokeByHand(dead)
	tests := []struct {
		name  string
		c     credential.Credential
		reach string
	}{
		{"secret key", w.MintKey(true), "live mode; everything the account can do"},
		{"test key", w.MintKey(false), "test mode; everything the account can do"},
		{"restricted key", w.MintRestricted(true, stripefake.BalanceRead), "live mode; what the restricted key's permissions allow, the balance among them"},
		{"restricted key without the balance", w.MintRestricted(true), "what the restricted key's permissions allow, not the balance"},
		{"dead key", dead, ""},
		{"endpoint", endpoint, "live mode; forge events to the receiver; charge.succeeded; payout.paid"},
	}
	for _, tt := range tests {
		got, err := w.Inspect(t.Context(), tt.c)
		if reach := strings.Join(got.Reach, "; "); err != nil || reach != tt.reach || got.Answer == "" {
			t.Errorf("%s: reach %q, answer %q, error %v; want reach %q", tt.name, reach, got.Answer, err, tt.reach)
		}
	}
	if _, err := w.Inspect(t.Context(), credential.Credential{Kind: kindWebhook}); !errors.Is(err, errNoEndpoint) {
		t.Errorf("unknown endpoint: %v", err)
	}
}

// What is no key is not sent anywhere, and proves nothing.
func TestWhatIsNoKeyStaysHere(t *testing.T) {
	w := newWorld(t)
	for _, value := range []string{"", "sk_live_a\r\nHost: evil.example.com", "sk live", "sk_live_é", "sk_" + strings.Repeat("a", 64<<10)} {
		c := credential.Credential{Provider: "stripe", Kind: kindKey, Secret: credential.Value(value)}
		if got := w.Verify(t.Context(), c); got.Outcome != revoke.Inconclusive {
			t.Errorf("verify: %v", got)
		}
		if _, err := w.Inspect(t.Context(), c); !errors.Is(err, errNotKey) {
			t.Errorf("inspect: %v", err)
		}
	}
	unknown := credential.Credential{Provider: "stripe", Kind: "stripe.other", Secret: credential.Value("x")}
	if got := w.Verify(t.Context(), unknown); got.Outcome != revoke.Inconclusive {
		t.Errorf("unknown kind: %v", got)
	}
	if _, err := w.Revoke(t.Context(), unknown); err == nil {
		t.Error("an unknown kind was revoked")
	}
	if len(w.sent()) != 0 {
		t.Errorf("sent %v", w.sent())
	}
}

func TestPinnedEndpoint(t *testing.T) {
	for _, endpoint := range []string{"http://mirror.example.com", "https://mirror.example.com/stripe/", "http://mirror.example.com:8080/a/b"} {
		w := newWorld(t)
		path := strings.Trim(endpoint[strings.LastIndex(endpoint, ".com")+4:], "/")
		path = strings.TrimPrefix(path, ":8080/")
		w.network.Handle("mirror.example.com", http.StripPrefix(strings.TrimSuffix("/"+path, "/"), w.Fake))
		w.network.Handle("api.stripe.com", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("the compiled-in endpoint was called")
		}))
		readOnly := revoke.ReadOnly(w.network.Transport(), w.Info().Reads, endpoint)
		p := w.reach(t, readOnly, endpoint)
		if got := p.Verify(t.Context(), w.MintKey(true)); got.Outcome != revoke.Alive {
			t.Errorf("%s: key: %v %q", endpoint, got.Outcome, got.Answer)
		}
		if got := p.Verify(t.Context(), w.MintEndpoint(true)); got.Outcome != revoke.Alive {
			t.Errorf("%s: endpoint: %v %q", endpoint, got.Outcome, got.Answer)
		}
	}
	for _, endpoint := range []string{"ftp://example.com", "example.com", "https://", "https://u:p@example.com", "https://example.com?x", "https://example.com#x", "https://exa mple.com", "%"} {
		if _, err := New(revoke.Env{HTTP: http.DefaultClient, Endpoint: endpoint}); err == nil {
			t.Errorf("endpoint %q was taken", endpoint)
		}
	}
	if _, err := New(revoke.Env{}); err == nil {
		t.Error("a provider without a client was made")
	}
}

func TestInfo(t *testing.T) {
	info := newWorld(t).Info()
	for _, kind := range []string{kindKey, kindWebhook} {
		k, ok := info.Kind(kind)
		if !ok || k.Link == "" || len(k.Steps) == 0 || k.Effect == "" || k.Source == "" ||
			k.Propagation.Source == "" || k.Propagation.Budget < k.Propagation.Every*time.Duration(k.Propagation.Refusals) {
			t.Errorf("%s is told in part: %+v", kind, k)
		}
		if _, ok := credential.Lookup(kind); !ok {
			t.Errorf("%s is no kind that clawback knows", kind)
		}
	}
	if !slices.Equal(info.Hosts, stripefake.New(fake.Wall{}).Hosts()) {
		t.Errorf("hosts %v", info.Hosts)
	}
}

// A server that sends secrets back, whole, escaped or in its own protocol errors, gets them into nothing.
func TestNothingShowsASecret(t *testing.T) {
	w := newWorld(t)
	key, hook := w.MintKey(true), w.MintEndpoint(true)
	ours := w.authority.Secret.Reveal("value")
	all := strings.Join([]string{key.Secret.Reveal("value"), hook.Secret.Reveal("value"), ours}, " ")
	bodies := []string{
		jsonError("invalid_request_error", "", "Invalid API Key provided: "+all),
		jsonError("invalid_request_error", all, ""), all, "<html>" + all,
		fmt.Sprintf(`{"object":%q,"id":%q}`, all, all),
		fmt.Sprintf(`{"object":"webhook_endpoint","id":%q,"enabled_events":[%q]}`, hook.Ref["endpoint"], hook.Secret.Reveal("value")),
	}
	show := func(t *testing.T, p revoke.Provider) {
		for _, c := range []credential.Credential{key, hook} {
			exposure, inspected := p.Inspect(t.Context(), c)
			receipt, revoked := p.Revoke(t.Context(), c)
			shown := fmt.Sprintf("%+v %v %+v %v %+v", exposure, inspected, receipt, revoked, p.Verify(t.Context(), c))
			secrets := []string{c.Secret.Reveal("value")}
			if c.Kind == kindWebhook {
				secrets = append(secrets, ours)
			}
			for _, s := range secrets { // what the server knows of
				for i := len("whsec_sk"); i+8 <= len(s); i++ {
					if strings.Contains(shown, s[i:i+8]) {
						t.Fatalf("%s: a secret is shown", c.Kind)
					}
				}
			}
		}
	}
	for _, body := range bodies {
		for _, status := range []int{200, 401, 403, 404, 429, 500} {
			w.Fake.Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Status: status, Body: body} })
			show(t, w.Provider)
		}
	}
	show(t, w.reach(t, &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			_, _ = server.Read(make([]byte, 4096))
			_, _ = fmt.Fprintf(server, "HTTP/1.1 %s\r\n\r\n", strings.ReplaceAll(all, " ", ""))
		}()
		return client, nil
	}}, ""))
}

func FuzzAnswer(f *testing.F) {
	f.Add(401, []byte(jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided")))
	f.Add(403, []byte(`{"error":{"type":"a","payment_intent":"pi_1"}}`))
	f.Add(404, []byte(jsonError("invalid_request_error", "resource_missing", "No such webhook endpoint")))
	f.Add(200, []byte(`{"object":"balance"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		secret := credential.Value("sk_live_" + strings.Repeat("Zq7", 33))
		b := (&provider{now: time.Now}).sending(secret.Reveal("value"), credential.Credential{Secret: secret})
		got := b.refused(&http.Response{StatusCode: status, Header: http.Header{}}, body)
		if len(got.text) > 200 || strings.Contains(got.text, "Zq7Zq7Zq7") || strings.ContainsAny(got.text, "\n\x1b\x00") {
			t.Errorf("unsafe text %q", got.text)
		}
		if got.refusesKey() && (status != 401 || !strings.Contains(string(body), "error")) {
			t.Errorf("%d is taken for a refusal of the key", status)
		}
		if got.missing() && status != 404 {
			t.Errorf("%d is taken for a missing endpoint", status)
		}
	})
}
