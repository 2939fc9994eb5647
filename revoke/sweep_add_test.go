package revoke_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// What is added while a credential is worked on belongs to the same sweep, also when the search is
// over; what comes before it, after it or twice is refused and begins nothing.
func TestSweepAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		s := startStub(p, nil)
		first, second, third, late := cred("first", "auto", 3), cred("second", "auto", 3), cred("third", "auto", 3), cred("late", "auto", 3)
		s.found <- first
		synctest.Wait()
		if err := s.Add(second); err != nil {
			t.Errorf("while more are found: %v", err)
		}
		if err := s.Add(first); !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("twice: %v", err)
		}
		close(s.found)
		time.Sleep(5 * time.Second) // the proofs take 10
		if err := s.Add(third); err != nil {
			t.Errorf("after the search: %v", err)
		}
		<-s.ended
		if err := s.Add(late); !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("after the end: %v", err)
		}
		s.cancel(nil)
		for _, c := range []credential.Credential{first, second, third} {
			s.ledger.want(t, c, credential.Dead, nil)
		}
		if len(s.ledger.of(late)) != 0 {
			t.Error("what was refused was begun")
		}
	})
	if err := new(revoke.Sweep).Add(cred("early", "auto", 3)); !errors.Is(err, revoke.ErrNotUnderWay) {
		t.Errorf("before the begin: %v", err)
	}
}

// A sweep that is told to end takes nothing more, and what it took is accounted for.
func TestSweepAddToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		s := startStub(p, nil)
		first := cred("first", "auto", 3)
		s.found <- first
		synctest.Wait()
		s.cancel(errors.New("told to end"))
		taken := 0
		for i := range 100 {
			if c := cred(string(rune('a'+i)), "auto", 3); s.Add(c) == nil {
				taken++
				defer func() {
					if len(lives(s.ledger, c)) == 0 {
						t.Errorf("%s was taken, and nothing is said of it", c.Masked)
					}
				}()
			}
		}
		<-s.ended
		if err := s.Add(cred("late", "auto", 3)); !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("after the end: %v (%d were taken)", err, taken)
		}
	})
}
