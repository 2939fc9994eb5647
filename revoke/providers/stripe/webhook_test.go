package stripe

import (
	"context"
	"errors"
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
)

// onlySecret is the credential as the host tells it mostly: without the endpoint's id.
func onlySecret(c credential.Credential) credential.Credential {
	c.Ref = nil
	return c
}

func TestWebhookDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.MintEndpoint(true)
		w.Fake.Knobs().SetLag(10 * time.Second)
		if got := w.Verify(t.Context(), c); got.Outcome != revoke.Alive {
			t.Fatalf("before: %v %q", got.Outcome, got.Answer)
		}
		receipt, err := w.Revoke(t.Context(), c)
		if err != nil || receipt.Already || !slices.Equal(receipt.Did, []string{"deleted webhook endpoint " + c.Ref["endpoint"]}) {
			t.Fatalf("receipt %+v, error %v", receipt, err)
		}
		if !slices.Equal(receipt.Left, []string{forgery}) {
			t.Errorf("the receipt is silent on what lives on: %q", receipt.Left)
		}
		if got := w.Verify(t.Context(), c); got.Outcome != revoke.Alive {
			t.Errorf("within the lag: %v %q", got.Outcome, got.Answer)
		}
		time.Sleep(10 * time.Second)
		if got := w.Verify(t.Context(), c); got.Outcome != revoke.Refused || w.Alive(c) {
			t.Errorf("after: %v %q", got.Outcome, got.Answer)
		}
		if receipt, err = w.Revoke(t.Context(), c); err != nil || !receipt.Already {
			t.Errorf("again: %+v, %v", receipt, err)
		}
	})
}

// Which endpoint a secret belongs to is never guessed, not even where there is only one.
func TestWebhookOfUnknownEndpoint(t *testing.T) {
	for _, endpoints := range []int{0, 1, 3} {
		w := newWorld(t)
		for range endpoints {
			w.MintEndpoint(true)
		}
		before := w.State()
		for range 2 {
			c := onlySecret(stripefake.New(fake.Wall{}).MintEndpoint(true)) // of another account
			_, err := w.Revoke(t.Context(), c)
			if !errors.Is(err, revoke.ErrManual) || !errors.Is(err, errNoEndpoint) {
				t.Errorf("%d endpoints: error %v", endpoints, err)
			}
			if got := w.Verify(t.Context(), c); got.Outcome != revoke.Inconclusive {
				t.Errorf("%d endpoints: %v", endpoints, got)
			}
		}
		if w.State() != before || len(w.sent()) != 0 {
			t.Errorf("%d endpoints: sent %v", endpoints, w.sent())
		}
	}
}

// An id comes from the host: it must not lead to another address.
func TestHostileEndpointID(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{".", "..", "we_", "we_1/../../charges/ch_1", "we_1?expand[]=x", "ch_1", "we_1\n", "we_%2e%2e"} {
		c := w.MintEndpoint(true)
		c.Ref["endpoint"] = id
		if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("%q: %v", id, err)
		}
		if got := w.Verify(t.Context(), c); got.Outcome != revoke.Inconclusive {
			t.Errorf("%q: %v", id, got)
		}
	}
	c := w.MintEndpoint(true)
	c.Secret = credential.Value("hunter2")
	if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
		t.Errorf("no signing secret: %v", err)
	}
	if len(w.sent()) != 0 {
		t.Errorf("sent %v", w.sent())
	}
}

func TestVerifyWebhookReadsTheAnswer(t *testing.T) {
	w := newWorld(t)
	c := w.MintEndpoint(true)
	id := c.Ref["endpoint"]
	missing := jsonError("invalid_request_error", "resource_missing", "No such webhook endpoint: '"+id+"'")
	for name, tt := range map[string]struct {
		fault fake.Fault
		want  revoke.Outcome
	}{
		"gone":                  {fake.Fault{Status: 404, Body: missing}, revoke.Refused},
		"there":                 {fake.Fault{Status: 200, Body: `{"object":"webhook_endpoint","id":"` + id + `"}`}, revoke.Alive},
		"another endpoint":      {fake.Fault{Status: 200, Body: `{"object":"webhook_endpoint","id":"we_other"}`}, revoke.Inconclusive},
		"deleted by a 200":      {fake.Fault{Status: 200, Body: `{"object":"webhook_endpoint","deleted":true,"id":"` + id + `"}`}, revoke.Inconclusive},
		"missing by a 400":      {fake.Fault{Status: 400, Body: missing}, revoke.Inconclusive},
		"404 of an address":     {fake.Fault{Status: 404, Body: jsonError("invalid_request_error", "", "Unrecognized request URL")}, revoke.Inconclusive},
		"404 of somebody else":  {fake.Fault{Status: 404, Body: "not found"}, revoke.Inconclusive},
		"the authority expired": {fake.Fault{Status: 401, Body: jsonError("invalid_request_error", "api_key_expired", "Expired API Key provided")}, revoke.Inconclusive},
		"the authority is poor": {fake.Fault{Status: 403, Body: jsonError("invalid_request_error", "", "no permission")}, revoke.Inconclusive},
	} {
		w.says("GET", tt.fault)
		if got := w.Verify(t.Context(), c); got.Outcome != tt.want {
			t.Errorf("%s: %v %q", name, got.Outcome, got.Answer)
		}
	}
}

func TestAuthority(t *testing.T) {
	tests := []struct {
		name      string
		authority func(w *world, c credential.Credential) credential.Credential
		want      error
		sends     bool
	}{
		{"none", func(*world, credential.Credential) credential.Credential { return credential.Credential{} }, revoke.ErrNoAuthority, false},
		{"the credential itself", func(_ *world, c credential.Credential) credential.Credential { return c }, revoke.ErrOurs, false},
		{"no key at all", func(*world, credential.Credential) credential.Credential {
			return credential.Credential{Secret: credential.Value("two words")}
		}, revoke.ErrAuthority, false},
		{"without permission", func(w *world, _ credential.Credential) credential.Credential {
			return w.MintRestricted(true, stripefake.BalanceRead)
		}, revoke.ErrAuthority, true},
		{"expired", func(w *world, _ credential.Credential) credential.Credential {
			k := w.MintKey(true)
			w.RevokeByHand(k)
			return k
		}, revoke.ErrAuthority, true},
		{"of the other mode", func(w *world, _ credential.Credential) credential.Credential { return w.MintKey(false) }, revoke.ErrAuthority, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.MintEndpoint(true)
			w.authority = tt.authority(w, c)
			if _, err := w.Revoke(t.Context(), c); !errors.Is(err, tt.want) {
				t.Errorf("revoke: %v, want %v", err, tt.want)
			}
			got := w.Verify(t.Context(), c)
			if got.Outcome != revoke.Inconclusive || !strings.Contains(got.Answer, tt.want.Error()) {
				t.Errorf("verify: %v %q", got.Outcome, got.Answer)
			}
			if _, err := w.Inspect(t.Context(), c); !errors.Is(err, tt.want) {
				t.Errorf("inspect: %v, want %v", err, tt.want)
			}
			if !w.Alive(c) || tt.sends != (len(w.sent()) > 0) {
				t.Errorf("sent %v", w.sent())
			}
		})
	}
	w := newWorld(t)
	w.authority = w.MintKey(true)
	if _, err := w.Revoke(t.Context(), w.authority); !errors.Is(err, revoke.ErrOurs) {
		t.Errorf("the responder's own key: %v", err)
	}
	p, _ := New(revoke.Env{HTTP: w.network.Client()})
	if _, err := p.Revoke(t.Context(), w.MintEndpoint(true)); !errors.Is(err, revoke.ErrNoAuthority) {
		t.Errorf("without a source of authorities: %v", err)
	}
}

func TestDeletionThatFails(t *testing.T) {
	tests := []struct {
		name      string
		fault     fake.Fault
		uncertain bool
		retry     bool
		after     time.Duration
	}{
		{"rate limit", fake.Fault{Status: 429, Body: jsonError("invalid_request_error", "rate_limit", "slow"), RetryAfter: 3 * time.Second}, false, true, 3 * time.Second},
		{"rate limit by a proxy", fake.Fault{Status: 429, RetryAfter: time.Second}, false, true, time.Second},
		{"outage", fake.Fault{Status: 503, RetryAfter: time.Second}, true, true, time.Second},
		{"outage, told by Stripe", fake.Fault{Status: 500, Body: jsonError("api_error", "", "sorry")}, true, true, 0},
		{"cut", fake.Fault{Cut: true}, true, true, 0},
		{"cut after its effect", fake.Fault{CutAfter: true}, true, true, 0},
		{"captive portal", fake.Fault{Status: 200, Body: "<html>"}, true, false, 0},
		{"not found by a proxy", fake.Fault{Status: 404, Body: "<html>"}, true, false, 0},
		{"redirect", fake.Fault{Status: 307}, true, false, 0},
		{"redirect that quotes Stripe", fake.Fault{Status: 307, Body: jsonError("invalid_request_error", "", "no")}, true, false, 0},
		{"200 of another object", fake.Fault{Status: 200, Body: `{"id":"we_other","object":"webhook_endpoint","deleted":true}`}, true, false, 0},
		{"200 without deletion", fake.Fault{Status: 200, Body: `{}`}, true, false, 0},
		{"bad request", fake.Fault{Status: 400, Body: jsonError("invalid_request_error", "", "no")}, false, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.MintEndpoint(true)
			w.says("DELETE", tt.fault)
			receipt, err := w.Revoke(t.Context(), c)
			retry, _ := errors.AsType[*revoke.RetryError](err)
			if err == nil || receipt.Already || errors.Is(err, revoke.ErrUncertain) != tt.uncertain || (retry != nil) != tt.retry {
				t.Fatalf("receipt %+v, error %v", receipt, err)
			}
			if errors.Is(err, revoke.ErrAuthority) {
				t.Errorf("the authority is blamed: %v", err)
			}
			if retry != nil && retry.After != tt.after {
				t.Errorf("retry after %v, want %v", retry.After, tt.after)
			}
			w.Fake.Knobs().SetFault(nil)
			want := revoke.Alive
			if tt.fault.CutAfter {
				want = revoke.Refused
			}
			if got := w.Verify(t.Context(), c); got.Outcome != want {
				t.Errorf("verify: %v %q, want %v", got.Outcome, got.Answer, want)
			}
		})
	}
}

func TestDeletionIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.MintEndpoint(true)
		done, cancel := context.WithCancel(t.Context())
		cancel()
		for _, c := range []credential.Credential{c, onlySecret(c)} {
			_, err := w.Revoke(done, c)
			if !errors.Is(err, context.Canceled) || errors.Is(err, revoke.ErrUncertain) || len(w.sent()) != 0 {
				t.Errorf("before: %v, sent %v", err, w.sent())
			}
		}
		w.says("DELETE", fake.Fault{Hang: true})
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Revoke(soon, c)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, revoke.ErrUncertain) {
			t.Errorf("meanwhile: %v", err)
		}
	})
}

// The authority may take long: what is cancelled meanwhile is not sent, and not uncertain either.
func TestCancelledWhileTheAuthorityIsFetched(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	p, err := New(revoke.Env{HTTP: w.network.Client(), Authority: func(context.Context) (revoke.Authority, error) {
		cancel()
		return revoke.Authority{Secret: w.authority.Secret, Kind: kindKey}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Revoke(ctx, w.MintEndpoint(true))
	if !errors.Is(err, context.Canceled) || errors.Is(err, revoke.ErrUncertain) || len(w.sent()) != 0 {
		t.Errorf("%v, sent %v", err, w.sent())
	}
}

func TestUnreachableIsNotUncertain(t *testing.T) {
	w := newWorld(t)
	p := w.reach(t, &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}}, "")
	_, err := p.Revoke(t.Context(), w.MintEndpoint(true))
	if retry, _ := errors.AsType[*revoke.RetryError](err); retry == nil || errors.Is(err, revoke.ErrUncertain) {
		t.Errorf("error %v", err)
	}
}
