package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// script is a stub whose answers after the revocation follow the time since its acceptance.
func script(after func(since time.Duration) revoke.Verdict) *stub {
	p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
	var accepted time.Time
	p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
		if accepted.IsZero() {
			accepted = time.Now()
		}
		return p.kill(c), nil
	}
	p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict {
		if v := p.verdict(c); v.Outcome == revoke.Alive {
			return v
		}
		return after(time.Since(accepted))
	}
	return p
}

var (
	refused = revoke.Verdict{Outcome: revoke.Refused, Answer: "401"}
	answers = revoke.Verdict{Outcome: revoke.Alive, Answer: "200"}
	unclear = revoke.Verdict{Answer: "502"}
)

func TestSweepProof(t *testing.T) {
	for _, k := range []struct {
		name   string
		change func(*revoke.Propagation)
		after  func(time.Duration) revoke.Verdict
		life   credential.Life
		took   time.Duration
	}{
		{"refused from the start", nil, func(time.Duration) revoke.Verdict { return refused }, credential.Dead, 10 * time.Second},
		{"few probes in the budget", func(p *revoke.Propagation) { p.Every = 20 * time.Second },
			func(time.Duration) revoke.Verdict { return refused }, credential.Dead, 40 * time.Second},
		{"more refusals are asked for", func(p *revoke.Propagation) { p.Refusals = 6 },
			func(time.Duration) revoke.Verdict { return refused }, credential.Dead, 25 * time.Second},
		{"one relapse begins it anew", nil, func(d time.Duration) revoke.Verdict {
			if d == 10*time.Second {
				return answers
			}
			return refused
		}, credential.Dead, 25 * time.Second},
		{"unclear answers neither count nor break it", nil, func(d time.Duration) revoke.Verdict {
			if d > 0 && d < time.Minute {
				return unclear
			}
			return refused
		}, credential.Dead, 65 * time.Second},
		{"a late beginning has its own patience", nil, func(d time.Duration) revoke.Verdict {
			switch {
			case d < time.Minute:
				return answers
			case d == time.Minute || d > 5*time.Minute+30*time.Second:
				return refused
			}
			return unclear
		}, credential.Dead, 5*time.Minute + 40*time.Second},
		{"refused once and never again", nil, func(d time.Duration) revoke.Verdict {
			if d == 0 {
				return refused
			}
			return unclear
		}, credential.Unverified, 5 * time.Minute},
	} {
		inBubble(t, k.name, func(t *testing.T) {
			p := script(k.after)
			if k.change != nil {
				k.change(&p.info.Kinds[0].Propagation)
			}
			c := cred("a", "kind", 3)
			began := time.Now()
			s := startStub(p, nil)
			s.found <- c
			s.finish()
			s.ledger.want(t, c, k.life, nil)
			if took := time.Since(began); took != k.took {
				t.Errorf("took %v, want %v", took, k.took)
			}
		})
	}
}

// After a second revocation the proof begins anew.
func TestSweepRetryBeginsTheProofAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := script(func(d time.Duration) revoke.Verdict {
			if d == 0 || d > 10*time.Minute {
				return refused
			}
			return unclear
		})
		c := cred("a", "kind", 3)
		s := startStub(p, nil)
		s.found <- c
		time.Sleep(time.Hour)
		s.ledger.want(t, c, credential.Unverified, revoke.ErrInconclusive)
		s.tell(t, c, revoke.Retry)
		began := time.Now()
		s.finish()
		s.ledger.want(t, c, credential.Dead, nil)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// What may have arrived is looked at before it is sent again.
func TestSweepUncertain(t *testing.T) {
	limit := &revoke.RetryError{After: 20 * time.Second, Answer: "503"}
	for _, k := range []struct {
		name    string
		arrives bool
		error   error
		verify  func(*stub, credential.Credential) revoke.Verdict
		life    credential.Life
		sent    func(n int) bool
	}{
		{"it arrived", true, revoke.ErrUncertain, nil, credential.Dead, func(n int) bool { return n == 1 }},
		{"it arrived, and comes back later", true, fmt.Errorf("%w: %w", revoke.ErrUncertain, limit), nil, credential.Dead, func(n int) bool { return n == 1 }},
		{"it never arrives", false, revoke.ErrUncertain, nil, credential.Failed, func(n int) bool { return n > 5 }},
		{"nobody can tell", false, revoke.ErrUncertain, func(*stub, credential.Credential) revoke.Verdict { return unclear },
			credential.Unverified, func(n int) bool { return n > 5 }},
		{"probes are limited", false, revoke.ErrUncertain, func(*stub, credential.Credential) revoke.Verdict {
			return revoke.Verdict{Answer: "429", RetryAfter: time.Hour}
		}, credential.Unverified, func(n int) bool { return n > 5 }},
	} {
		inBubble(t, k.name, func(t *testing.T) {
			p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
			sent := 0
			p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
				sent++
				if k.arrives {
					p.kill(c)
				}
				return revoke.Receipt{}, fmt.Errorf("stub: %w", k.error)
			}
			if k.verify != nil {
				p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict { return k.verify(p, c) }
			}
			c := cred("a", "kind", 3)
			s := startStub(p, nil)
			s.found <- c
			s.finish()
			s.ledger.want(t, c, k.life, nil)
			if !k.sent(sent) {
				t.Errorf("sent %d times", sent)
			}
		})
	}
}

// A provider that asks not to be probed is not, by anybody; and what came of no answer is said.
func TestSweepProbesPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		p.info.Concurrency = 1
		var limited atomic.Int64
		p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict {
			v := p.verdict(c)
			switch since := time.Duration(time.Now().UnixNano() - limited.Load()); {
			case v.Outcome == revoke.Alive:
				return v
			case limited.CompareAndSwap(0, time.Now().UnixNano()):
				return revoke.Verdict{Answer: "429", RetryAfter: 40 * time.Second}
			case since < 40*time.Second:
				t.Errorf("asked %v after it asked for 40s", since)
			}
			return v
		}
		s := startStub(p, nil)
		cs := []credential.Credential{cred("a", "kind", 3), cred("b", "kind", 3), cred("c", "kind", 3)}
		for _, c := range cs {
			s.found <- c
		}
		s.finish()
		if n := s.ledger.count(credential.Dead, cs); n != 3 {
			t.Errorf("%d of 3 are dead", n)
		}
	})
}

func TestSweepSaysWhatTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		p.verify = func(ctx context.Context, _ credential.Credential) revoke.Verdict {
			<-ctx.Done()
			return revoke.Verdict{Answer: ctx.Err().Error()}
		}
		c := cred("a", "kind", 3)
		began := time.Now()
		s := startStub(p, nil)
		s.found <- c
		s.finish()
		entries := s.ledger.of(c)
		if e := entries[0]; e.verdict.Answer != "no answer within 2s" || e.at.Sub(began) != 2*time.Second {
			t.Errorf("baseline after %v: %q", e.at.Sub(began), e.verdict.Answer)
		}
		if e := s.ledger.of(c, "probe")[0]; e.probe.Answer != "no answer within 10s" {
			t.Errorf("probe: %q", e.probe.Answer)
		}
		s.ledger.want(t, c, credential.Unverified, revoke.ErrInconclusive)
	})
}

// A baseline whose time is up just as it gets its place gives the place back.
func TestSweepPlacesAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		p.info.Concurrency = 1
		p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict { return p.verdict(c) }
		p.took = 2 * time.Second // a revocation takes as long as a baseline may wait
		s := startStub(p, nil)
		var cs []credential.Credential
		for i := range 50 {
			cs = append(cs, cred(fmt.Sprint(i), "kind", 50-i))
			s.found <- cs[i]
			if i%2 == 1 {
				time.Sleep(4 * time.Second)
			}
		}
		s.finish()
		if n := s.ledger.count(credential.Dead, cs); n != 50 {
			t.Errorf("%d of 50 are dead", n)
		}
	})
}

// A command that comes at the moment of death changes nothing.
func TestSweepTellAtTheMomentOfDeath(t *testing.T) {
	for _, when := range []string{"in the last probe", "as it is written down"} {
		inBubble(t, when, func(t *testing.T) {
			p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
			c := cred("a", "kind", 3)
			var s *stubSweep
			refusals := 0
			p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict {
				v := p.verdict(c)
				if v.Outcome == revoke.Refused {
					refusals++
				}
				if refusals == 3 && when == "in the last probe" {
					s.tell(t, c, revoke.ByHand)
				}
				return v
			}
			s = startStub(p, func(sweep *revoke.Sweep, l *ledger) {
				l.changed = func(c credential.Credential, _ revoke.Change) {
					if err := sweep.Tell(c.Fingerprint, revoke.ByHand); when == "as it is written down" && !errors.Is(err, revoke.ErrNotUnderWay) {
						t.Errorf("Tell = %v", err)
					}
				}
			})
			s.found <- c
			s.finish()
			if got := lives(s.ledger, c); !slices.Equal(got, []credential.Life{credential.Dead}) {
				t.Errorf("lives %v", got)
			}
			if r := s.ledger.of(c, "receipt"); len(r) != 1 {
				t.Errorf("receipts: %+v", r)
			}
		})
	}
}

// What was taken after the end is not touched, and says so.
func TestSweepTakenTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errDeadline)
		taken := 0
		for range 100 { // each time it may take some or none
			l := &ledger{}
			s := &revoke.Sweep{
				Providers: map[string]revoke.Provider{"stub": p}, Clock: fake.Wall{}, Ledger: l,
				Ours: func(context.Context, credential.Credential) bool { t.Error("asked whose it is"); return false },
			}
			c := cred("a", "kind", 3)
			found := all([]credential.Credential{c})
			s.Run(ctx, found)
			if len(found) == 0 {
				taken++
				l.want(t, c, credential.Failed, errDeadline)
			}
		}
		if log := p.said(); len(log) > 0 || taken == 0 {
			t.Errorf("asked %q, %d taken", log, taken)
		}
	})
}

// What lived too long and is refused since is not called alive.
func TestSweepCutAfterALateRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := script(func(d time.Duration) revoke.Verdict {
			if d < 20*time.Second {
				return answers
			}
			return refused
		})
		c := cred("a", "kind", 3)
		s := startStub(p, nil)
		s.found <- c
		time.Sleep(22 * time.Second)
		s.ledger.want(t, c, credential.Alive, revoke.ErrStillAlive)
		s.cancel(errDeadline)
		<-s.ended
		s.ledger.want(t, c, credential.Unverified, revoke.ErrUnproved)
	})
}
