package revoke_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// mintStub is a provider whose credentials of the kind "mint" make those of the kind "minted".
type mintStub struct {
	*stub
	minted func(n int) ([]credential.Credential, error) // at the nth look, counted from 1
	looks  int
}

func (s *mintStub) Minted(_ context.Context, c credential.Credential) ([]credential.Credential, error) {
	s.begin("minted", c)
	s.mu.Lock()
	s.looks++
	n := s.looks
	s.mu.Unlock()
	if s.minted == nil {
		return nil, nil
	}
	return s.minted(n)
}

func newMintStub() *mintStub {
	return &mintStub{stub: newStub(
		revoke.KindInfo{Kind: "mint", Mints: []string{"minted", "mint"}, Propagation: prompt},
		revoke.KindInfo{Kind: "minted", Propagation: prompt, ByRef: true},
		revoke.KindInfo{Kind: "other", Propagation: prompt},
		revoke.KindInfo{Kind: "manual mint", Manual: true, Mints: []string{"minted"}, Propagation: prompt},
		revoke.KindInfo{Kind: "lasting", Unkillable: "its signature is checked and nothing else", Propagation: prompt},
	)}
}

// What mints is revoked before what it mints, whoever came first, and holds up nothing else.
func TestSweepMintersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMintStub()
		p.took = time.Second
		s := startStub(p, nil)
		cs := []credential.Credential{cred("minter", "mint", 3), cred("child", "minted", 3), cred("other", "other", 3), cred("by hand", "manual mint", 3)}
		for _, c := range cs {
			s.found <- c
		}
		s.finish()
		took := func(what string) time.Duration { return p.at[slices.Index(p.said(), what)].Sub(p.at[0]) }
		if got := took("revoke child"); got != took("revoke minter")+p.took {
			t.Errorf("the child was revoked after %v, the minter after %v", got, took("revoke minter"))
		}
		if took("revoke other") != took("revoke minter") {
			t.Error("the other one was held up")
		}
		if n := s.ledger.count(credential.Dead, cs); n != 3 {
			t.Errorf("%d are dead", n)
		}
	})
}

// A minter that is never revoked does not keep what it minted alive.
func TestSweepMinterHangs(t *testing.T) {
	for name, why := range map[string]error{"hangs": nil, "fails": errors.New("403"), "has no authority": revoke.ErrNoAuthority} {
		inBubble(t, name, func(t *testing.T) {
			p := newMintStub()
			minter, child := cred("minter", "mint", 3), cred("child", "minted", 3)
			p.revoke = func(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
				switch {
				case c.Fingerprint == child.Fingerprint:
					return p.kill(c), nil
				case why == nil:
					<-ctx.Done()
					return revoke.Receipt{}, ctx.Err()
				}
				return revoke.Receipt{}, why
			}
			s := startStub(p, nil)
			began := time.Now()
			s.found <- minter
			s.found <- child
			synctest.Wait()
			time.Sleep(16 * time.Second)
			synctest.Wait()
			receipts := s.ledger.of(child, "receipt")
			if len(receipts) != 1 || why != nil && receipts[0].at.Sub(began) > time.Second {
				t.Errorf("the child was revoked %d times: %+v", len(receipts), receipts)
			}
			s.cancel(errDeadline)
			<-s.ended
		})
	}
}

// What was minted is looked for when its minter's revocation was accepted and when it is dead, and
// what is found is killed, by its reference alone.
func TestSweepLooksForWhatWasMinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMintStub()
		named := func(name, kind string) credential.Credential {
			return credential.Credential{Provider: "stub", Kind: kind, Masked: name, Ref: map[string]string{"id": name}, Fingerprint: credential.Fingerprint(name)}
		}
		first, second := named("first", "minted"), named("second", "minted")
		foreign := named("foreign", "minted")
		foreign.Provider = "elsewhere"
		p.minted = func(n int) ([]credential.Credential, error) {
			if n == 1 {
				return []credential.Credential{first, foreign, named("stranger", "other"), {Provider: "stub", Kind: "minted"}}, nil
			}
			return []credential.Credential{first, second}, nil
		}
		var s *stubSweep
		var told [][]credential.Credential
		s = startStub(p, func(_ *revoke.Sweep, l *ledger) {
			l.minted = func(found []credential.Credential) {
				told = append(told, found)
				for _, c := range found {
					_ = s.Add(c) // one that is known already is refused
				}
			}
		})
		s.found <- cred("minter", "mint", 3)
		s.finish()
		if len(told) != 2 || len(told[0]) != 1 || len(told[1]) != 2 {
			t.Fatalf("told of %+v", told)
		}
		for _, c := range []credential.Credential{first, second} {
			if l := s.ledger.last(c); l.Life != credential.Dead {
				t.Errorf("%s is %+v", c.Masked, l)
			}
		}
		log := p.said()
		if at := slices.Index(log, "minted minter"); at < slices.Index(log, "revoke minter") || strings.Contains(strings.Join(log, " "), "stranger") {
			t.Errorf("in the order %q", log)
		}
	})
}

// What a person has to revoke is asked at once what it minted: when it is dead it can tell nothing.
func TestSweepLooksForWhatWasMintedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newMintStub()
		child := credential.Credential{Provider: "stub", Kind: "minted", Masked: "child", Ref: map[string]string{"id": "child"}, Fingerprint: "child"}
		p.minted = func(int) ([]credential.Credential, error) { return []credential.Credential{child}, nil }
		var s *stubSweep
		s = startStub(p, func(_ *revoke.Sweep, l *ledger) {
			l.minted = func(found []credential.Credential) { _ = s.Add(found[0]) }
		})
		mint := cred("by hand", "manual mint", 3)
		s.found <- mint
		s.finish()
		if s.ledger.last(child).Life != credential.Dead || s.ledger.last(mint).Life != credential.Manual {
			t.Errorf("the child is %+v, its mint %+v", s.ledger.last(child), s.ledger.last(mint))
		}
	})
}

// A look that fails, hangs or throws is on record and holds up no proof for long.
func TestSweepCannotLook(t *testing.T) {
	for name, look := range map[string]func(int) ([]credential.Credential, error){
		"fails":  func(int) ([]credential.Credential, error) { return nil, revoke.ErrNoAuthority },
		"throws": func(int) ([]credential.Credential, error) { panic("a secret") },
	} {
		inBubble(t, name, func(t *testing.T) {
			p := newMintStub()
			p.minted = look
			s := startStub(p, nil)
			c := cred("minter", "mint", 3)
			s.found <- c
			s.finish()
			looks := s.ledger.of(c, "minted")
			if len(looks) != 2 || looks[0].change.Err == nil || strings.Contains(looks[0].change.Err.Error(), "a secret") {
				t.Errorf("looked %+v", looks)
			}
			if s.ledger.last(c).Life != credential.Dead {
				t.Errorf("it is %+v", s.ledger.last(c))
			}
		})
	}
}

// What nothing ends is said to live until it expires; what expires soon is waited for and proved.
func TestSweepLasting(t *testing.T) {
	for name, c := range map[string]struct {
		left  time.Duration
		alive bool
		want  credential.Life
	}{
		"for hours":       {2 * time.Hour, true, credential.Alive},
		"for a minute":    {time.Minute, true, credential.Dead},
		"for ever":        {0, true, credential.Alive},
		"expired already": {-time.Minute, false, credential.Dead},
		"refused already": {2 * time.Hour, false, credential.Dead},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := newMintStub()
			token := cred("token", "lasting", 3)
			if c.left != 0 {
				token.Expires = time.Now().Add(c.left)
			}
			end := time.Now().Add(c.left)
			p.verify = func(context.Context, credential.Credential) revoke.Verdict {
				if !c.alive || c.left != 0 && !time.Now().Before(end) {
					return revoke.Verdict{Outcome: revoke.Refused, Answer: "401 expired"}
				}
				return revoke.Verdict{Outcome: revoke.Alive, Answer: "200"}
			}
			s := startStub(p, nil)
			s.found <- token
			s.finish()
			if l := s.ledger.last(token); l.Life != c.want || c.want == credential.Alive && !errors.Is(l.Err, revoke.ErrUnkillable) {
				t.Errorf("it is %+v", l)
			}
			if len(revocations(p.said())) > 0 {
				t.Error("it was revoked, which nothing can do")
			}
		})
	}
}
