package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// kinds die in all ways that there are without a person.
var kinds = []string{
	"github.pat", "github.installation", "aws.access_key", "aws.session", "slack.bot", "stripe.webhook_secret",
}

var page = fake.Fault{Status: 401, Type: "text/html", Body: "<html><body>Invalid credentials: sign in to the network</body></html>"}

// misbehaviour is a way in which a provider behaves, and how its credentials end then.
type misbehaviour struct {
	name  string
	begin func(w *world, name string) // before the sweep
	want  []credential.Life
}

func misbehaviours() []misbehaviour {
	knob := func(set func(*fake.Knobs)) func(*world, string) {
		return func(w *world, name string) { set(w.fakes[name].Knobs()) }
	}
	always := func(f fake.Fault) func(*world, string) {
		return knob(func(k *fake.Knobs) { k.SetFault(func(*http.Request) fake.Fault { return f }) })
	}
	mutations := func(f fake.Fault) func(*world, string) {
		return func(w *world, name string) { w.fakes[name].Knobs().SetFault(w.onMutations(name, f)) }
	}
	dead, alive := []credential.Life{credential.Dead}, []credential.Life{credential.Alive}
	soft := []credential.Life{credential.Unverified, credential.Failed}
	return []misbehaviour{
		{"honest", knob(func(*fake.Knobs) {}), dead},
		{"short lag", knob(func(k *fake.Knobs) { k.SetLag(4 * time.Second) }), dead},
		{"lag longer than the budget", knob(func(k *fake.Knobs) { k.SetLag(95 * time.Second) }), dead},
		{"lag of an hour", knob(func(k *fake.Knobs) { k.SetLag(time.Hour) }), alive},
		{"stays alive", knob(func(k *fake.Knobs) { k.SetStayAlive(true) }), alive},
		{"every second node lags", knob(func(k *fake.Knobs) { k.SetLaggingNode(2) }), alive},
		{"every third node lags", knob(func(k *fake.Knobs) { k.SetLaggingNode(3) }), alive},
		{"401 from a proxy", always(page), soft},
		{"500 for ever", always(fake.Fault{Status: 500}), soft},
		{"cut for ever", always(fake.Fault{Cut: true}), soft},
		{"hang for ever", always(fake.Fault{Hang: true}), soft},
		{"5xx storm", storm(fake.Fault{Status: 503}, 90*time.Second), dead},
		{"429 storm", storm(fake.Fault{Status: 429, RetryAfter: 17 * time.Second}, 40*time.Second), dead},
		// AWS's deny comes before the end of the key, which is not reached.
		{"mutations are cut after their effect", mutations(fake.Fault{CutAfter: true}), []credential.Life{credential.Dead, credential.Failed}},
		{"the first mutations are cut after their effect", func(w *world, name string) {
			began, cut := time.Now(), w.onMutations(name, fake.Fault{CutAfter: true})
			w.fakes[name].Knobs().SetFault(func(r *http.Request) fake.Fault {
				if time.Since(began) < 5*time.Second {
					return cut(r)
				}
				return fake.Fault{}
			})
		}, dead},
		{"mutations time out", mutations(fake.Fault{Hang: true}), soft},
		{"answers turn to pages after the revocation", func(w *world, name string) {
			w.afterReceipt(name, func(k *fake.Knobs) { k.SetFault(func(*http.Request) fake.Fault { return page }) })
		}, soft},
		{"accepted, not done, then pages", func(w *world, name string) {
			w.afterReceipt(name, func(k *fake.Knobs) {
				k.SetStayAlive(true)
				k.SetFault(func(*http.Request) fake.Fault { return page })
			})
		}, soft},
		{"accepted, not done, then 429", func(w *world, name string) {
			w.afterReceipt(name, func(k *fake.Knobs) {
				k.SetStayAlive(true)
				k.SetFault(func(*http.Request) fake.Fault { return fake.Fault{Status: 429, RetryAfter: time.Hour} })
			})
		}, soft},
		{"an outage while it is proved", func(w *world, name string) {
			w.afterReceipt(name, func(k *fake.Knobs) {
				began := time.Now()
				k.SetFault(func(*http.Request) fake.Fault {
					if d := time.Since(began); d > 20*time.Second && d < 3*time.Minute {
						return fake.Fault{Status: 502}
					}
					return fake.Fault{}
				})
			})
		}, dead},
	}
}

func storm(f fake.Fault, d time.Duration) func(*world, string) {
	return func(w *world, name string) {
		began := time.Now()
		w.fakes[name].Knobs().SetFault(func(*http.Request) fake.Fault {
			if time.Since(began) < d {
				return f
			}
			return fake.Fault{}
		})
	}
}

// afterReceipt changes the provider once it has accepted the first revocation.
func (w *world) afterReceipt(name string, change func(*fake.Knobs)) {
	var done atomic.Bool
	w.ledger.receipt = func() {
		if !done.Swap(true) {
			change(w.fakes[name].Knobs())
		}
	}
}

func TestSweepMisbehaviours(t *testing.T) {
	for _, m := range misbehaviours() {
		for _, kind := range kinds {
			inBubble(t, m.name+"/"+kind, func(t *testing.T) {
				w := newWorld(t)
				k, _ := credential.Lookup(kind)
				c := w.hold(kind, 1)[0]
				m.begin(w, k.Provider)
				began := time.Now()
				w.run(2 * time.Hour)
				l := w.ledger.last(c)
				if !slices.Contains(m.want, l.Life) {
					t.Errorf("ended as %q (%v %s), want one of %q", l.Life, l.Err, l.Proof, m.want)
				}
				if took := time.Since(began); took > 20*time.Minute {
					t.Errorf("took %v to say so", took)
				}
				if l.Life == credential.Dead && w.fakes[k.Provider].Alive(c) {
					t.Error("it works after all")
				}
			})
		}
	}
}

// What lives on past its budget is said at once, and its later death too.
func TestSweepLateDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.hold("slack.bot", 1)[0]
		w.lag(95 * time.Second)
		w.run(time.Hour)
		changes := w.ledger.of(c, "life")
		if len(changes) != 2 || changes[0].change.Life != credential.Alive || changes[1].change.Life != credential.Dead {
			t.Fatalf("changes: %+v", changes)
		}
		if took := changes[1].at.Sub(changes[0].at); took < time.Minute {
			t.Errorf("dead %v after it was seen alive: less than the budget", took)
		}
	})
}

// The time that a provider asks for is left to it.
func TestSweepRetryAfter(t *testing.T) {
	for _, kind := range []string{"slack.bot", "github.pat", "stripe.webhook_secret"} {
		inBubble(t, kind, func(t *testing.T) {
			w := newWorld(t)
			k, _ := credential.Lookup(kind)
			w.hold(kind, 6)
			knobs := w.fakes[k.Provider].Knobs()
			var asked atomic.Int64 // when the first 429 was sent, and every request while it held
			knobs.SetFault(func(r *http.Request) fake.Fault {
				f := w.onMutations(k.Provider, fake.Fault{Status: 429, RetryAfter: 17 * time.Second})(r)
				now := time.Now().UnixNano()
				since := time.Duration(now - asked.Load())
				switch {
				case f.Status == 0:
					return f
				case asked.CompareAndSwap(0, now) || since == 0:
					return f
				case since < 17*time.Second:
					t.Errorf("asked again after %v", since)
				}
				return fake.Fault{}
			})
			w.run(time.Hour)
			if n := w.ledger.count(credential.Dead, w.held); n != 6 {
				t.Errorf("%d of 6 are dead", n)
			}
		})
	}
}

// A limit of probes holds up no revocation.
func TestSweepRevokesWhileProbesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold("slack.bot", 8)
		change := w.onMutations("slack", fake.Fault{Status: 1})
		w.fakes["slack"].Knobs().SetFault(func(r *http.Request) fake.Fault {
			if change(r).Status == 1 {
				return fake.Fault{}
			}
			return fake.Fault{Status: 429, RetryAfter: time.Hour}
		})
		w.run(2 * time.Hour)
		for _, c := range w.held {
			w.ledger.want(t, c, credential.Unverified, revoke.ErrInconclusive)
			if r := w.ledger.of(c, "receipt"); len(r) != 1 || r[0].at.Sub(w.ledger.of(c)[0].at) > 3*time.Second {
				t.Errorf("%s was not revoked at once: %v", c, r)
			}
			if w.fakes["slack"].Alive(c) {
				t.Errorf("%s works", c)
			}
		}
	})
}

// What servers echo stays out of all that is written down; the world checks that at its end.
func TestSweepKeepsSecrets(t *testing.T) {
	for _, status := range []int{200, 400, 401, 403, 429, 500} {
		for i, shape := range []string{"%s", `{"ok":false,"error":%[1]q,"message":%[1]q}`, `{"error":{"type":"invalid_request_error","message":%[1]q}}`} {
			inBubble(t, fmt.Sprintf("%d shape %d", status, i), func(t *testing.T) {
				w := newWorld(t)
				for _, kind := range append([]string{"stripe.api_key", "slack.webhook"}, kinds...) {
					w.hold(kind, 1)
				}
				for _, f := range w.fakes {
					f.Knobs().SetFault(func(r *http.Request) fake.Fault {
						body, _ := io.ReadAll(r.Body)
						echo := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + " " + r.RequestURI + " " + string(body)
						return fake.Fault{Status: status, Type: "application/json", Body: fmt.Sprintf(shape, echo)}
					})
				}
				w.run(2 * time.Minute)
				if n := w.ledger.count(credential.Dead, w.held); n != 0 {
					t.Errorf("%d are called dead", n)
				}
			})
		}
	}
}

// unreachable makes no connection for whatever changes something.
type unreachable struct {
	w     *world
	cause error
}

func (u unreachable) RoundTrip(r *http.Request) (*http.Response, error) {
	for name, f := range u.w.fakes {
		guard := revoke.ReadOnly(u.w.client.Transport, u.w.sweep.Providers[name].Info().Reads, "")
		if slices.Contains(f.Hosts(), r.URL.Hostname()) {
			if resp, err := guard.RoundTrip(r); !errors.Is(err, revoke.ErrNotARead) {
				return resp, err
			}
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: u.cause}
}

// What never left is no uncertainty, and worth another attempt: the network may come back.
func TestSweepNeverSent(t *testing.T) {
	for _, cause := range []error{syscall.ECONNREFUSED, context.DeadlineExceeded} {
		for _, kind := range kinds {
			inBubble(t, kind+" "+cause.Error(), func(t *testing.T) {
				w := newWorld(t)
				c := w.hold(kind, 1)[0]
				before := w.fakes[c.Provider].State()
				w.sweep = w.newSweep(revoke.NewClient(unreachable{w, cause}), w.ledger)
				w.run(time.Hour)
				w.ledger.want(t, c, credential.Failed, nil)
				if err := w.ledger.last(c).Err; errors.Is(err, revoke.ErrUncertain) {
					t.Errorf("nothing was sent, and it says %v", err)
				}
				if n := len(w.ledger.of(c, "intent")); n < 5 {
					t.Errorf("tried %d times", n)
				}
				if w.fakes[c.Provider].State() != before {
					t.Error("something was changed")
				}
			})
		}
	}
}

// Where the answer to AWS's deny stays lost, the key dies and the record says what may be missing.
func TestSweepLostDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.hold("aws.access_key", 1)[0]
		w.fakes["aws"].Knobs().SetFault(func(r *http.Request) fake.Fault {
			if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "Action=PutUserPolicy") {
				return fake.Fault{Cut: true}
			}
			return fake.Fault{}
		})
		w.run(time.Hour)
		w.ledger.want(t, c, credential.Dead, nil)
		receipts := w.ledger.of(c, "receipt")
		if len(receipts) != 1 || len(receipts[0].receipt.Left) != 1 || !strings.Contains(receipts[0].receipt.Left[0], "deny-all policy") {
			t.Errorf("receipts %+v", receipts)
		}
		if past := w.ledger.pasts()[c.Fingerprint]; !past.Accepted || past.Existed {
			t.Errorf("an answer that never came says %+v", past)
		}
	})
}
