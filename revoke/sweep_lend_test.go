package revoke_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// A credential is lent once a revocation of it that is under way has ended, and nothing is done to it
// meanwhile; what is gone is left alone, and what is not is proved on.
func TestSweepLends(t *testing.T) {
	const held = 3 * time.Second // by whom it is lent to
	for _, k := range []struct {
		name  string
		at    time.Duration // of the loan, after it was found
		gone  bool
		begun time.Duration // of the loan, after it was asked for
		lives []credential.Life
		ends  time.Duration // after the loan was asked for
	}{
		{"in the revocation, and gone", 3 * time.Second, true, 3 * time.Second, nil, 6 * time.Second},
		{"in the revocation, and back", 3 * time.Second, false, 3 * time.Second, []credential.Life{credential.Dead}, 22 * time.Second},
		{"in the proof, and gone", 8 * time.Second, true, 0, nil, held},
		{"in the proof, and back", 8 * time.Second, false, 0, []credential.Life{credential.Dead}, 14 * time.Second},
	} {
		inBubble(t, k.name, func(t *testing.T) {
			p := newStub(kindsOfStub()...)
			p.took = 2 * time.Second
			p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
				time.Sleep(4 * time.Second)
				return p.kill(c), nil
			}
			s := startStub(p, nil)
			c := cred("a", "auto", 3)
			s.found <- c
			time.Sleep(k.at)
			asked := time.Now()
			var begun time.Duration
			lent := make(chan error, 1)
			var before []string
			go func() {
				lent <- s.Lend(c.Fingerprint, func() bool {
					begun, before = time.Since(asked), p.said()
					time.Sleep(held)
					if now := p.said(); !slices.Equal(now, before) {
						t.Errorf("meanwhile: %v, before %v", now, before)
					}
					return k.gone
				})
			}()
			synctest.Wait()
			s.finish()
			if err := <-lent; err != nil || begun != k.begun {
				t.Errorf("Lend: %v, begun after %v, want %v", err, begun, k.begun)
			}
			if took := time.Since(asked); took != k.ends {
				t.Errorf("ended after %v, want %v", took, k.ends)
			}
			if got := lives(s.ledger, c); !slices.Equal(got, k.lives) {
				t.Errorf("lives %v, want %v", got, k.lives)
			}
			if now := p.said(); k.gone && !slices.Equal(now, before) {
				t.Errorf("it was not left alone: %v", now[len(before):])
			}
		})
	}
}

// What was lent and is gone is revoked again where somebody wants that, whatever was known of it.
func TestSweepRevokesAgainWhatWasLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
		c, waits := cred("a", "auto", 3), cred("b", "manual", 3)
		s.found <- waits
		s.found <- c
		time.Sleep(3 * time.Second)
		err := s.Lend(c.Fingerprint, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.dead[c.Fingerprint] = false
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := lives(s.ledger, c); len(got) > 0 {
			t.Errorf("lives %v", got)
		}
		s.tell(t, c, revoke.Retry)
		time.Sleep(time.Minute)
		s.ledger.want(t, c, credential.Dead, nil)
		if n := len(slices.DeleteFunc(p.said(), func(s string) bool { return s != "revoke a" })); n != 2 {
			t.Errorf("revoked %d times", n)
		}
		if err := s.Lend(c.Fingerprint, nil); !errors.Is(err, revoke.ErrNotUnderWay) { // it is dead
			t.Errorf("Lend = %v", err)
		}
		s.tell(t, waits, revoke.Skip)
		s.finish()
	})
}

// A loan that cannot be is refused, and one that something else comes before, or the end, is not kept
// waiting for ever.
func TestSweepLendsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		p.revoke = func(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
			time.Sleep(5 * time.Second)
			return p.kill(c), nil
		}
		s := startStub(p, nil)
		if err := s.Lend("nobody", nil); !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("Lend = %v", err)
		}
		lent := func(c credential.Credential) chan error {
			done := make(chan error, 1)
			go func() { done <- s.Lend(c.Fingerprint, func() bool { t.Error("it was lent"); return false }) }()
			synctest.Wait()
			return done
		}
		a, b := cred("a", "auto", 3), cred("b", "auto", 3)
		s.found <- a
		s.found <- b
		synctest.Wait()
		first := lent(a)
		s.tell(t, a, revoke.Skip) // the later one counts
		if err := <-first; !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("Lend = %v", err)
		}
		second := lent(b)
		s.cancel(errDeadline)
		if err := <-second; !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("Lend = %v", err)
		}
		<-s.ended
		if err := s.Lend(b.Fingerprint, nil); !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// What is known of a credential from before it was lent and gone says nothing of it afterwards.
func TestSweepForgetsWhatWasLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
		c := cred("a", "auto", 3)
		s.found <- c
		time.Sleep(3 * time.Second) // it was accepted, and refused once
		if err := s.Lend(c.Fingerprint, func() bool { return true }); err != nil {
			t.Fatal(err)
		}
		p.revoke = func(context.Context, credential.Credential) (revoke.Receipt, error) {
			return revoke.Receipt{}, &revoke.RetryError{After: time.Hour, Answer: "429"}
		}
		s.tell(t, c, revoke.Retry)
		time.Sleep(time.Minute)
		s.cancel(errDeadline)
		<-s.ended
		s.ledger.want(t, c, credential.Failed, revoke.ErrUntouched)
	})
}
