package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// kindsOfStub are one automatic kind and those that need a person.
func kindsOfStub() []revoke.KindInfo {
	return []revoke.KindInfo{
		{Kind: "auto", Propagation: prompt},
		{Kind: "manual", Manual: true, Propagation: prompt},
		{Kind: "silent", Manual: true, Unverifiable: "nobody can tell"},
		{Kind: "named", Manual: true, NeedsAlive: true, Propagation: prompt},
	}
}

func lives(l *ledger, c credential.Credential) (out []credential.Life) {
	for _, e := range l.of(c, "life") {
		out = append(out, e.change.Life)
	}
	return out
}

func TestSweepUnattended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		s := startStub(p, nil)
		auto, manual, silent := cred("auto", "auto", 3), cred("manual", "manual", 3), cred("silent", "silent", 3)
		strange := cred("strange", "other", 3)
		foreign := cred("foreign", "auto", 3)
		foreign.Provider = "nobody"
		unresolved := cred("unresolved", "auto", 3)
		unresolved.Secret = credential.Secret{}
		began := time.Now()
		for _, c := range []credential.Credential{auto, manual, silent, strange, foreign, unresolved} {
			s.found <- c
		}
		s.finish()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v: those that wait for a person end with the rest, after its 10s", took)
		}
		s.ledger.want(t, auto, credential.Dead, nil)
		s.ledger.want(t, manual, credential.Manual, revoke.ErrManual)
		s.ledger.want(t, silent, credential.Manual, revoke.ErrManual)
		s.ledger.want(t, strange, credential.Manual, revoke.ErrNoProvider)
		s.ledger.want(t, foreign, credential.Manual, revoke.ErrNoProvider)
		s.ledger.want(t, unresolved, credential.Manual, revoke.ErrUnresolved)
		order := s.ledger.of(manual)
		if order[0].what != "life" || order[1].what != "baseline" || order[1].verdict.Outcome != revoke.Alive || order[2].what != "probe" {
			t.Errorf("a manual credential is announced first, and probed meanwhile: %+v", order)
		}
	})
}

// With nothing but manual work, what can be seen is still on record.
func TestSweepUnattendedManualOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startStub(newStub(kindsOfStub()...), nil)
		manual := cred("manual", "manual", 3)
		s.found <- manual
		s.finish()
		if b := s.ledger.of(manual, "baseline"); len(b) != 1 || b[0].verdict.Outcome != revoke.Alive {
			t.Errorf("baseline: %+v", b)
		}
		s.ledger.want(t, manual, credential.Manual, revoke.ErrManual)
	})
}

// Somebody revoked it and said nothing: it is noticed within a minute, and proved.
func TestSweepNoticesManual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
		manual := cred("manual", "manual", 3)
		s.found <- manual
		time.Sleep(time.Hour)
		if n := len(p.said()); n > 70 {
			t.Errorf("%d probes in an hour of waiting", n)
		}
		p.kill(manual)
		began := time.Now()
		s.finish()
		if took := time.Since(began); took > time.Minute+10*time.Second {
			t.Errorf("took %v", took)
		}
		s.ledger.want(t, manual, credential.Dead, nil)
	})
}

// A manual credential that was dead before asks nobody, and says that its proof is weaker.
func TestSweepManualDeadBefore(t *testing.T) {
	for _, k := range []struct {
		kind string
		life credential.Life
	}{{"manual", credential.Dead}, {"named", credential.Manual}} {
		inBubble(t, k.kind, func(t *testing.T) {
			p := newStub(kindsOfStub()...)
			c := cred("a", k.kind, 3)
			p.kill(c)
			s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
			s.found <- c
			time.Sleep(time.Minute)
			s.ledger.want(t, c, k.life, nil)
			if l := s.ledger.last(c); l.Life == credential.Dead && !l.Weak {
				t.Error("it was never seen alive, and the proof does not say so")
			}
			s.cancel(errDeadline)
			<-s.ended
		})
	}
}

func TestSweepCommands(t *testing.T) {
	no := errors.New("422 no")
	for _, k := range []struct {
		name     string
		kind     string
		provider func(*stub)
		at       time.Duration
		do       func(*stub, credential.Credential)
		command  revoke.Command
		lives    []credential.Life
		why      error
		ends     time.Duration // after the command
	}{
		{"by hand", "manual", nil, time.Minute, func(p *stub, c credential.Credential) { p.kill(c) }, revoke.ByHand,
			[]credential.Life{credential.Manual, credential.Dead}, nil, 10 * time.Second},
		{"by hand, which is not true", "manual", nil, time.Minute, nil, revoke.ByHand,
			[]credential.Life{credential.Manual, credential.Alive, credential.Alive}, revoke.ErrStillAlive, 75 * time.Second},
		{"by hand, and nobody can tell", "silent", nil, time.Minute, nil, revoke.ByHand,
			[]credential.Life{credential.Manual, credential.Unverified}, revoke.ErrUnverifiable, 0},
		{"skip a manual one", "manual", nil, time.Minute, nil, revoke.Skip,
			[]credential.Life{credential.Manual, credential.Skipped}, revoke.ErrDecision, 0},
		{"skip one in proof", "auto", nil, 3 * time.Second, nil, revoke.Skip,
			[]credential.Life{credential.Skipped}, revoke.ErrDecision, 0},
		{"skip one that waits for a limit", "auto", func(p *stub) {
			p.revoke = func(context.Context, credential.Credential) (revoke.Receipt, error) {
				return revoke.Receipt{}, &revoke.RetryError{After: time.Hour, Answer: "429"}
			}
		}, time.Minute, nil, revoke.Skip, []credential.Life{credential.Skipped}, revoke.ErrDecision, 0},
		{"by hand, what waits for a limit", "auto", func(p *stub) {
			p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
				return revoke.Receipt{}, &revoke.RetryError{After: 20 * time.Second, Answer: "429"}
			}
		}, 10 * time.Second, func(p *stub, c credential.Credential) { p.kill(c) }, revoke.ByHand,
			[]credential.Life{credential.Dead}, nil, 20 * time.Second},
		{"retry what failed", "auto", func(p *stub) {
			failed := false
			p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
				if !failed {
					failed = true
					return revoke.Receipt{}, no
				}
				return p.kill(c), nil
			}
		}, time.Minute, nil, revoke.Retry, []credential.Life{credential.Failed, credential.Dead}, nil, 10 * time.Second},
		{"retry what asks for a person", "manual", nil, 3 * time.Second, nil, revoke.Retry,
			[]credential.Life{credential.Manual, credential.Manual, credential.Manual}, nil, -1},
	} {
		inBubble(t, k.name, func(t *testing.T) {
			p := newStub(kindsOfStub()...)
			if k.provider != nil {
				k.provider(p)
			}
			s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
			c := cred("a", k.kind, 3)
			s.found <- c
			time.Sleep(k.at)
			if k.do != nil {
				k.do(p, c)
			}
			s.tell(t, c, k.command)
			if k.ends < 0 { // it goes on waiting
				time.Sleep(time.Hour)
				s.tell(t, c, k.command)
				synctest.Wait()
				s.cancel(errDeadline)
				<-s.ended
			} else {
				began := time.Now()
				s.finish()
				if took := time.Since(began); took != k.ends {
					t.Errorf("ended %v after the command, want %v", took, k.ends)
				}
			}
			if got := lives(s.ledger, c); !slices.Equal(got, k.lives) {
				t.Errorf("lives %v, want %v", got, k.lives)
			}
			s.ledger.want(t, c, k.lives[len(k.lives)-1], k.why)
			if n := len(s.ledger.of(c, "baseline")); n > 1 {
				t.Errorf("%d baselines", n)
			}
			if err := s.Tell(c.Fingerprint, revoke.Retry); !errors.Is(err, revoke.ErrNotUnderWay) {
				t.Errorf("Tell after the end = %v", err)
			}
		})
	}
}

// A proof that is under way is not begun anew by the word that it was revoked by hand.
func TestSweepByHandKeepsTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		c := cred("a", "manual", 3)
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
		s.found <- c
		time.Sleep(time.Second)
		p.kill(c)
		time.Sleep(11 * time.Second) // refused at 5s and 10s
		s.tell(t, c, revoke.ByHand)
		s.finish()
		probes := s.ledger.of(c, "probe")
		if n := len(probes); n != 3 || probes[2].probe.Row != 3 {
			t.Errorf("%d probes, the last %+v", n, probes[n-1].probe)
		}
		s.ledger.want(t, c, credential.Dead, nil)
	})
}

// The dead stay dead, and strangers are not known.
func TestSweepTellRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startStub(newStub(kindsOfStub()...), func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
		dead, manual := cred("dead", "auto", 3), cred("manual", "manual", 3)
		s.found <- dead
		s.found <- manual
		time.Sleep(30 * time.Second)
		for _, c := range []revoke.Command{revoke.ByHand, revoke.Retry, revoke.Skip} {
			if err := s.Tell(dead.Fingerprint, c); !errors.Is(err, revoke.ErrNotUnderWay) {
				t.Errorf("Tell(dead, %d) = %v", c, err)
			}
			if err := s.Tell("nobody", c); !errors.Is(err, revoke.ErrNotUnderWay) {
				t.Errorf("Tell(nobody, %d) = %v", c, err)
			}
		}
		s.tell(t, manual, revoke.Skip)
		s.finish()
		s.ledger.want(t, dead, credential.Dead, nil)
	})
}

func TestSweepOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsOfStub()...)
		ours, theirs, shared := cred("ours", "auto", 3), cred("theirs", "auto", 3), cred("shared", "auto", 3)
		p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
			if c.Masked == "shared" {
				return revoke.Receipt{}, fmt.Errorf("stub: of the same user: %w", revoke.ErrOurs)
			}
			return p.kill(c), nil
		}
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) {
			s.Ours = func(ctx context.Context, c credential.Credential) bool {
				if c.Masked == "theirs" {
					<-ctx.Done() // a password manager that waits for a touch
				}
				return c.Masked == "ours"
			}
		})
		began := time.Now()
		for _, c := range []credential.Credential{ours, ours, theirs, shared} {
			s.found <- c
		}
		s.finish()
		s.ledger.want(t, ours, credential.Skipped, revoke.ErrOurs)
		s.ledger.want(t, shared, credential.Skipped, revoke.ErrOurs)
		s.ledger.want(t, theirs, credential.Dead, nil)
		if n := len(lives(s.ledger, ours)); n != 1 {
			t.Errorf("what was found twice was settled %d times", n)
		}
		if slices.Contains(p.said(), "verify ours") || slices.Contains(p.said(), "revoke ours") {
			t.Errorf("asked about ours: %q", p.said())
		}
		if took := time.Since(began); took > 21*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// What names a credential may be a lie: then only one that lived can be proved dead.
func TestSweepNeedsAlive(t *testing.T) {
	for name, k := range map[string]struct {
		before, already bool
		life            credential.Life
	}{
		"seen alive":        {false, false, credential.Dead},
		"never seen, ended": {true, false, credential.Dead},
		"never seen":        {true, true, credential.Unverified},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := newStub(revoke.KindInfo{Kind: "named", NeedsAlive: true, Propagation: prompt})
			c := cred("a", "named", 3)
			if k.before {
				p.kill(c)
			}
			p.revoke = func(_ context.Context, c credential.Credential) (revoke.Receipt, error) {
				r := p.kill(c)
				r.Already = k.already
				return r, nil
			}
			s := startStub(p, nil)
			s.found <- c
			s.finish()
			s.ledger.want(t, c, k.life, nil)
		})
	}
}
