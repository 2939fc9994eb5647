package revoke_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// holdTwenty is what an agent typically has.
func (w *world) holdTwenty() {
	for _, h := range []struct {
		kind string
		n    int
	}{
		{"github.pat", 3}, {"github.fine_grained", 2}, {"github.oauth", 1}, {"github.installation", 1},
		{"aws.access_key", 3}, {"aws.session", 1}, {"slack.bot", 3}, {"slack.user", 2},
		{"stripe.webhook_secret", 2}, {"stripe.api_key", 2},
	} {
		w.hold(h.kind, h.n)
	}
}

// automatic are those that need no person.
func (w *world) automatic() (out []credential.Credential) {
	for _, c := range w.held {
		if k, _ := w.sweep.Providers[c.Provider].Info().Kind(c.Kind); !k.Manual {
			out = append(out, c)
		}
	}
	return out
}

// mustBeQuick compares the whole with the slowest of its parts, by the times of requests.
func (w *world) mustBeQuick(cs []credential.Credential) {
	w.t.Helper()
	names := make(map[string]bool)
	for _, c := range cs {
		names[nameOf(c)] = true
	}
	about := slices.DeleteFunc(w.calls(), func(c fake.Call) bool {
		return !slices.ContainsFunc(strings.Fields(c.Credential), func(name string) bool { return names[name] })
	})
	sweep, slowest := fake.Span(about), w.slowest(cs)
	if slowest < 60*time.Second || float64(sweep) > 1.1*float64(slowest) {
		w.t.Errorf("the sweep took %v, the slowest chain %v", sweep, slowest)
	}
	w.t.Logf("sweep %v, slowest chain %v, ratio %.3f", sweep, slowest, float64(sweep)/float64(slowest))
}

func TestSweepOfTwenty(t *testing.T) {
	for name, wire := range map[string]fake.Fault{"at once": {}, "far away": {Delay: 150 * time.Millisecond}} {
		inBubble(t, name, func(t *testing.T) {
			w := newWorld(t)
			w.holdTwenty()
			w.lag(4 * time.Second)
			for _, f := range w.fakes {
				f.Knobs().SetFault(func(*http.Request) fake.Fault { return wire })
			}
			w.run(10 * time.Minute)
			for _, c := range w.automatic() {
				w.ledger.want(t, c, credential.Dead, nil)
				if l := w.ledger.last(c); l.Weak || l.Proof == "" {
					t.Errorf("%s: weak=%v, proof %q", c, l.Weak, l.Proof)
				}
				if x := w.ledger.of(c, "baseline"); len(x) != 1 || x[0].exposure.Answer == "" {
					t.Errorf("%s was not inspected: %+v", c, x)
				}
			}
			if n := w.ledger.count(credential.Manual, w.held); n != 2 {
				t.Errorf("%d wait for a person, want the two keys of Stripe", n)
			}
			w.mustBeQuick(w.held)
		})
	}
}

func TestSweepOfTwentyAttended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.holdTwenty()
		w.lag(4 * time.Second)
		w.sweep.Attended = true
		wait := w.start(time.Hour)
		time.Sleep(15 * time.Second)
		for _, c := range w.held {
			if c.Kind == "stripe.api_key" {
				w.fakes["stripe"].RevokeByHand(c)
				if err := w.sweep.Tell(c.Fingerprint, revoke.ByHand); err != nil {
					t.Error(err)
				}
			}
		}
		wait()
		if n := w.ledger.count(credential.Dead, w.held); n != 20 {
			t.Errorf("%d of 20 are dead", n)
		}
		w.mustBeQuick(w.held)
	})
}

// A provider that never answers delays nobody but itself.
func TestSweepHangingProvider(t *testing.T) {
	for _, hangs := range []string{"aws", "github", "slack", "stripe"} {
		inBubble(t, hangs, func(t *testing.T) {
			w := newWorld(t)
			w.holdTwenty()
			w.lag(4 * time.Second)
			w.fakes[hangs].Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Hang: true} })
			began := time.Now()
			w.run(3 * time.Minute)
			if took := time.Since(began); took > 3*time.Minute+30*time.Second {
				t.Errorf("the sweep ended %v after its deadline", took-3*time.Minute)
			}
			var others []credential.Credential
			for _, c := range w.automatic() {
				if c.Provider != hangs {
					others = append(others, c)
					w.ledger.want(t, c, credential.Dead, nil)
					continue
				}
				w.ledger.want(t, c, credential.Unverified, errDeadline)
			}
			w.mustBeQuick(others)
		})
	}
}

// More than the places of a hanging provider: those that were never tried are not called unverified.
func TestSweepUntouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold("slack.bot", 20)
		w.fakes["slack"].Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Hang: true} })
		w.run(20 * time.Second)
		for _, c := range w.held {
			want, because := credential.Failed, revoke.ErrUntouched
			if len(w.ledger.of(c, "intent")) > 0 {
				want, because = credential.Unverified, revoke.ErrUncertain
			}
			w.ledger.want(t, c, want, because)
			if l := w.ledger.last(c); !errors.Is(l.Err, errDeadline) {
				t.Errorf("%v does not say what ended the sweep", l.Err)
			}
		}
		if n := w.ledger.count(credential.Unverified, w.held); n != 4 {
			t.Errorf("%d revocations were sent, want 4 places", n)
		}
	})
}
