package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// While the record is not on disk, nothing happens at the providers.
func TestSweepIntentBeforeEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.holdTwenty()
		before := w.states()
		disk := make(chan struct{})
		w.ledger.intent = func(context.Context, []credential.Credential) error { <-disk; return nil }
		wait := w.start(time.Hour)
		time.Sleep(10 * time.Second)
		if !slices.Equal(w.states(), before) {
			t.Error("something was changed before its intent was on disk")
		}
		close(disk)
		wait()
		if n := w.ledger.count(credential.Dead, w.automatic()); n != len(w.automatic()) {
			t.Errorf("%d of %d are dead", n, len(w.automatic()))
		}
	})
}

func (w *world) states() (out []string) {
	for _, name := range []string{"aws", "github", "slack", "stripe"} {
		out = append(out, w.fakes[name].State())
	}
	return out
}

func TestSweepIntentFails(t *testing.T) {
	errFull := errors.New("the disk is full")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.holdTwenty()
		before := w.states()
		w.ledger.intent = func(context.Context, []credential.Credential) error { return errFull }
		w.run(time.Hour)
		if !slices.Equal(w.states(), before) {
			t.Error("something was changed without a record")
		}
		for _, c := range w.automatic() {
			w.ledger.want(t, c, credential.Failed, errFull)
		}
	})
}

// Each mutation that arrives anywhere has its intent, and each of its credentials its entries in order.
func TestSweepOrderOfEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.holdTwenty()
		var mu sync.Mutex
		intents := make(map[string]int)
		w.ledger.intent = func(_ context.Context, cs []credential.Credential) error {
			time.Sleep(20 * time.Millisecond) // the disk
			mu.Lock()
			defer mu.Unlock()
			intents[cs[0].Provider]++
			return nil
		}
		for name, f := range w.fakes {
			change := w.onMutations(name, fake.Fault{Status: 1})
			f.Knobs().SetFault(func(r *http.Request) fake.Fault {
				mu.Lock()
				defer mu.Unlock()
				if change(r).Status == 1 && intents[name] == 0 {
					t.Errorf("%s %s at %s came before any intent", r.Method, r.URL.Path, name)
				}
				return fake.Fault{}
			})
		}
		w.run(time.Hour)
		for _, c := range w.automatic() {
			var order []string
			for _, e := range w.ledger.of(c) {
				if e.what != "minted" && (len(order) == 0 || order[len(order)-1] != e.what) { // which is looked for at any time
					order = append(order, e.what)
				}
			}
			if want := []string{"baseline", "intent", "receipt", "probe", "life"}; !slices.Equal(order, want) {
				t.Errorf("%s: entries %v, want %v", c, order, want)
			}
		}
	})
}

// cut is a moment at which a sweep is told to end, and how the credential stands then.
type cut struct {
	name   string
	at     time.Duration
	change func(*stub, *revoke.Sweep, *ledger)
	want   credential.Life
	why    error
	log    []string // what was begun at the provider, in all
	soon   time.Duration
	accept bool // the receipt is on record
}

func cuts() []cut {
	slow := func(s *stub, _ *revoke.Sweep, _ *ledger) { s.took = time.Second }
	answer := func(err error) func(*stub, *revoke.Sweep, *ledger) {
		return func(s *stub, _ *revoke.Sweep, _ *ledger) {
			s.revoke = func(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
				if fake.Wall.Sleep(fake.Wall{}, ctx, 5*time.Second) != nil {
					return revoke.Receipt{}, errors.New("a mutation was cut short")
				}
				if err == nil {
					return s.kill(c), nil
				}
				return revoke.Receipt{}, err
			}
		}
	}
	immortal := func(s *stub, _ *revoke.Sweep, _ *ledger) {
		s.revoke = func(context.Context, credential.Credential) (revoke.Receipt, error) { return revoke.Receipt{}, nil }
	}
	errNo := errors.New("422 no")
	both := []string{"verify a", "revoke a"}
	return []cut{
		{name: "before anything", at: 0, want: ""},
		{name: "while it asks whose it is", at: time.Second, want: credential.Failed, why: revoke.ErrUntouched,
			change: func(_ *stub, s *revoke.Sweep, _ *ledger) {
				s.Ours = func(ctx context.Context, _ credential.Credential) bool { <-ctx.Done(); return false }
			}},
		{name: "in the baseline", at: 500 * time.Millisecond, change: slow, want: credential.Failed, why: revoke.ErrUntouched,
			log: []string{"verify a"}},
		{name: "while the intent is written", at: time.Second, want: credential.Failed, why: revoke.ErrUntouched, log: []string{"verify a"},
			change: func(_ *stub, _ *revoke.Sweep, l *ledger) {
				l.intent = func(ctx context.Context, _ []credential.Credential) error { <-ctx.Done(); return ctx.Err() }
			}},
		{name: "just as the intent is on disk", at: time.Second, want: credential.Failed, why: revoke.ErrUntouched, log: []string{"verify a"},
			change: func(_ *stub, _ *revoke.Sweep, l *ledger) {
				l.intent = func(ctx context.Context, _ []credential.Credential) error { <-ctx.Done(); return nil }
			}},
		{name: "in a mutation that succeeds", at: 2 * time.Second, change: answer(nil), want: credential.Unverified, why: revoke.ErrUnproved,
			log: both, soon: 3 * time.Second, accept: true},
		{name: "in a mutation that is refused", at: 2 * time.Second, change: answer(errNo), want: credential.Failed, why: errNo,
			log: both, soon: 3 * time.Second},
		{name: "in a mutation whose effect is not known", at: 2 * time.Second, change: answer(fmt.Errorf("%w: EOF", revoke.ErrUncertain)),
			want: credential.Unverified, why: revoke.ErrUncertain, log: both, soon: 3 * time.Second},
		{name: "in a mutation that is limited", at: 2 * time.Second, change: answer(&revoke.RetryError{After: time.Minute, Answer: "429"}),
			want: credential.Failed, why: revoke.ErrUntouched, log: both, soon: 3 * time.Second},
		{name: "before a limited mutation is tried again", at: 20 * time.Second, change: answer(&revoke.RetryError{After: time.Minute, Answer: "429"}),
			want: credential.Failed, why: revoke.ErrUntouched, log: both},
		{name: "while it proves", at: 7 * time.Second, want: credential.Unverified, why: revoke.ErrUnproved,
			log: []string{"verify a", "revoke a", "verify a", "verify a"}, accept: true},
		{name: "while it lives, and may", at: 7 * time.Second, change: immortal, want: credential.Unverified, why: revoke.ErrUnproved,
			log: []string{"verify a", "revoke a", "verify a", "verify a"}, accept: true},
		{name: "while it lives, and should not", at: 16 * time.Second, change: immortal, want: credential.Alive, why: revoke.ErrStillAlive,
			log: []string{"verify a", "revoke a", "verify a", "verify a", "verify a", "verify a"}, accept: true},
		{name: "in a probe", at: 500*time.Millisecond + 2*time.Second, change: slow, want: credential.Unverified, why: revoke.ErrUnproved,
			log: []string{"verify a", "revoke a", "verify a"}, accept: true},
	}
}

func TestSweepCut(t *testing.T) {
	for _, k := range cuts() {
		inBubble(t, k.name, func(t *testing.T) {
			p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
			c := cred("a", "kind", 3)
			s := startStub(p, func(s *revoke.Sweep, l *ledger) {
				if k.change != nil {
					k.change(p, s, l)
				}
			})
			if k.at > 0 {
				s.found <- c
				time.Sleep(k.at)
			}
			s.cancel(errDeadline)
			began := time.Now()
			<-s.ended
			if took := time.Since(began); took != k.soon {
				t.Errorf("ended %v after it was told to, want %v", took, k.soon)
			}
			if log := p.said(); !slices.Equal(log, k.log) {
				t.Errorf("asked %q, want %q", log, k.log)
			}
			s.ledger.want(t, c, k.want, k.why)
			if l := s.ledger.last(c); k.want != "" && k.soon == 0 && !errors.Is(l.Err, errDeadline) {
				t.Errorf("%v does not say what ended the sweep", l.Err)
			}
			for _, e := range s.ledger.of(c, "baseline", "probe") {
				if e.verdict.Outcome+e.probe.Outcome == revoke.Inconclusive {
					t.Errorf("what was cut short is on record as a %s: %+v", e.what, e)
				}
			}
			if accepted := len(s.ledger.of(c, "receipt")) > 0; accepted != k.accept {
				t.Errorf("receipt on record: %v, want %v", accepted, k.accept)
			}
		})
	}
}

// A mutation in flight is finished and recorded also in a batch, and one that lingers is not begun.
func TestSweepCutBatch(t *testing.T) {
	for name, k := range map[string]struct {
		at      time.Duration
		batches int
		why     error
		life    credential.Life
	}{
		"while it lingers": {100 * time.Millisecond, 0, revoke.ErrUntouched, credential.Failed},
		"on its way":       {time.Second, 1, revoke.ErrUnproved, credential.Unverified},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := &batchStub{stub: newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})}
			p.info.BatchMax = 10
			p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict { return p.verdict(c) }
			p.took = 3 * time.Second
			s := startStub(p, nil)
			a, b := cred("a", "kind", 3), cred("b", "kind", 3)
			s.found <- a
			s.found <- b
			time.Sleep(k.at)
			s.cancel(errDeadline)
			<-s.ended
			if len(p.batches) != k.batches {
				t.Errorf("%d batches, want %d", len(p.batches), k.batches)
			}
			for _, c := range []credential.Credential{a, b} {
				s.ledger.want(t, c, k.life, k.why)
				if n := len(s.ledger.of(c, "receipt")); n != k.batches {
					t.Errorf("%d receipts, want %d", n, k.batches)
				}
			}
		})
	}
}

// A fault in one provider's code is that credential's trouble alone, and says nothing of the value.
func TestSweepSurvivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		a, b := cred("a", "kind", 3), cred("b", "kind", 3)
		p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
			if c.Masked == "a" {
				panic(c.Secret.Reveal("value"))
			}
			return p.kill(c), nil
		}
		p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict {
			if c.Masked == "a" {
				panic(c.Secret.Reveal("value"))
			}
			return p.verdict(c)
		}
		s := startStub(p, nil)
		s.found <- a
		s.found <- b
		s.finish()
		s.ledger.want(t, a, credential.Failed, revoke.ErrFault)
		s.ledger.want(t, b, credential.Dead, nil)
	})
}
