package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// answering is how the provider of a resumed sweep behaves.
type answering struct {
	name  string
	begin func(p *stub, c credential.Credential)
}

var (
	living  = answering{"lives", func(*stub, credential.Credential) {}}
	gone    = answering{"is dead", func(p *stub, c credential.Credential) { p.kill(c) }}
	endless = answering{"never dies", func(p *stub, _ credential.Credential) {
		p.verify = func(context.Context, credential.Credential) revoke.Verdict {
			return revoke.Verdict{Outcome: revoke.Alive, Answer: "200"}
		}
	}}
	mute = answering{"is not told of", muteFor(24*time.Hour, 0)}
)

// muteFor makes a provider's probes inconclusive for a time.
func muteFor(d, retryAfter time.Duration) func(*stub, credential.Credential) {
	return func(p *stub, _ credential.Credential) {
		began := time.Now()
		p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict {
			if time.Since(began) < d {
				return revoke.Verdict{Answer: "502", RetryAfter: retryAfter}
			}
			return p.verdict(c)
		}
	}
}

// resumed is a credential with a past, and what becomes of it.
type resumed struct {
	past   revoke.Past
	kind   string
	answer answering
	asked  string // what was begun at the provider, repetitions left out
	sent   int    // revocations
	life   credential.Life
	weak   bool
}

func pasts() []resumed {
	seen, sure := revoke.Past{SeenAlive: true}, revoke.Past{SeenAlive: true, Existed: true, Accepted: true}
	accepted, unsure := revoke.Past{Accepted: true}, revoke.Past{Unsure: true}
	repeated := revoke.Past{SeenAlive: true, Accepted: true, Unsure: true}
	existed := revoke.Past{Existed: true, Accepted: true}
	const dead, alive, unverified, manual = credential.Dead, credential.Alive, credential.Unverified, credential.Manual
	const all, mutated, looked = "verify revoke verify", "revoke verify", "verify"
	return []resumed{
		{revoke.Past{}, "auto", living, all, 1, dead, false},
		{revoke.Past{}, "auto", gone, all, 1, dead, true},
		{revoke.Past{}, "auto", endless, all, 1, alive, false},
		{revoke.Past{}, "auto", mute, all, 1, unverified, false},
		{seen, "auto", living, mutated, 1, dead, false},
		{seen, "auto", gone, mutated, 1, dead, false},
		{seen, "auto", endless, mutated, 1, alive, false},
		{seen, "auto", mute, mutated, 1, unverified, false},
		{sure, "auto", living, looked, 0, alive, false},
		{sure, "auto", gone, looked, 0, dead, false},
		{sure, "auto", mute, looked, 0, unverified, false},
		{accepted, "auto", gone, looked, 0, dead, true},
		{accepted, "named", gone, looked, 0, unverified, false},
		{existed, "named", gone, looked, 0, dead, true},
		{sure, "named", gone, looked, 0, dead, false},
		{accepted, "claimed", gone, looked, 0, unverified, false},
		{sure, "claimed", gone, looked, 0, dead, false},
		{accepted, "silent", gone, "", 0, unverified, false},
		{unsure, "auto", living, all, 1, dead, false},
		{unsure, "auto", gone, looked, 0, dead, true},
		{unsure, "auto", endless, all, 1, alive, false},
		{unsure, "auto", mute, all, 1, unverified, false},
		{unsure, "auto", answering{"is not told of for a minute, and lives", muteFor(time.Minute, 0)}, all, 1, dead, false},
		{unsure, "auto", answering{"is not told of for a minute, and is dead", func(p *stub, c credential.Credential) {
			p.kill(c)
			muteFor(time.Minute, 0)(p, c)
		}}, looked, 0, dead, true},
		{unsure, "auto", answering{"is not told of for an hour", muteFor(time.Hour, time.Hour)}, "verify revoke", 1, unverified, false},
		{unsure, "named", gone, looked, 0, unverified, false},
		{unsure, "silent", living, "revoke", 1, unverified, false},
		{revoke.Past{SeenAlive: true, Unsure: true}, "auto", gone, looked, 0, dead, false},
		{revoke.Past{SeenAlive: true, Unsure: true}, "named", gone, looked, 0, dead, false},
		{repeated, "auto", gone, looked, 0, dead, false},
		{repeated, "auto", living, all, 1, dead, false},
		{unsure, "unresolved", living, "", 0, unverified, false},
		{revoke.Past{}, "manual", gone, looked, 0, manual, false},
		{unsure, "manual", living, "", 0, manual, false},
		{accepted, "manual", gone, looked, 0, dead, true}, // a person said so
	}
}

func kindsWithPast() []revoke.KindInfo {
	return []revoke.KindInfo{
		{Kind: "auto", Propagation: prompt}, {Kind: "claimed", Propagation: prompt},
		{Kind: "named", NeedsAlive: true, Propagation: prompt}, {Kind: "silent", Unverifiable: "nobody can tell"},
		{Kind: "manual", Manual: true, Propagation: prompt}, {Kind: "unresolved", Propagation: prompt},
	}
}

func TestSweepPast(t *testing.T) {
	for _, batched := range []bool{false, true} {
		for _, k := range pasts() {
			name := strings.NewReplacer("{", "", "}", "", "false", "no", "true", "yes").Replace(
				strings.Join([]string{pastName(k.past), k.kind, k.answer.name, map[bool]string{true: "in a batch"}[batched]}, " "))
			inBubble(t, name, func(t *testing.T) { testPast(t, k, batched) })
		}
	}
}

func pastName(p revoke.Past) string {
	var names []string
	for name, on := range map[string]bool{"seen": p.SeenAlive, "existed": p.Existed, "accepted": p.Accepted, "unsure": p.Unsure} {
		if on {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, "+")
}

func testPast(t *testing.T, k resumed, batched bool) {
	p := newStub(kindsWithPast()...)
	c := cred("a", k.kind, 3)
	switch k.kind {
	case "claimed":
		c.Ref = map[string]string{credential.ClaimedEndpoint: "elsewhere.example"}
	case "unresolved":
		c.Secret = credential.Secret{}
	}
	k.answer.begin(p, c)
	var provider revoke.Provider = p
	if batched {
		p.info.BatchMax = 10
		provider = &batchStub{stub: p}
	}
	s := startStub(provider, func(s *revoke.Sweep, _ *ledger) {
		s.Past = func(credential.Fingerprint) revoke.Past { return k.past }
	})
	s.found <- c
	s.finish()
	if got := collapsed(p.said()); got != k.asked {
		t.Errorf("asked %q, want %q", got, k.asked)
	}
	if n := count(p.said(), "revoke a"); n != k.sent {
		t.Errorf("revoked %d times, want %d", n, k.sent)
	}
	if got := s.ledger.last(c); got.Life != k.life || got.Weak != k.weak {
		t.Errorf("ended as %q (weak %v, %v), want %q (weak %v)", got.Life, got.Weak, got.Err, k.life, k.weak)
	}
	if n := len(s.ledger.of(c, "baseline")); n > 0 && k.past != (revoke.Past{}) {
		t.Error("a look after a revocation is on record as a baseline")
	}
	if k.past.Unsure && k.sent > 0 {
		if first := s.ledger.of(c)[0]; first.what != "probe" {
			t.Errorf("the first entry is a %s: nobody looked, and nobody said so", first.what)
		}
	}
}

// collapsed names what was asked, with repetitions left out.
func collapsed(log []string) string {
	var out []string
	for _, line := range log {
		what, _, _ := strings.Cut(line, " ")
		if len(out) == 0 || out[len(out)-1] != what {
			out = append(out, what)
		}
	}
	return strings.Join(out, " ")
}

func count(log []string, line string) (n int) {
	for _, l := range log {
		if l == line {
			n++
		}
	}
	return n
}

// Whoever asks for it again gets a second revocation, also of what was accepted before.
func TestSweepPastRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(kindsWithPast()...)
		c := cred("a", "auto", 3)
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) {
			s.Past = func(credential.Fingerprint) revoke.Past { return revoke.Past{SeenAlive: true, Accepted: true} }
		})
		s.found <- c
		time.Sleep(10 * time.Minute)
		s.ledger.want(t, c, credential.Alive, revoke.ErrStillAlive)
		s.tell(t, c, revoke.Retry)
		s.finish()
		s.ledger.want(t, c, credential.Dead, nil)
		if n := count(p.said(), "revoke a"); n != 1 {
			t.Errorf("revoked %d times", n)
		}
	})
}

// A resumed sweep that is told to end says what the record allows to say, and no more.
func TestSweepPastCut(t *testing.T) {
	for name, k := range map[string]struct {
		past revoke.Past
		why  error
	}{
		"accepted": {revoke.Past{Accepted: true}, revoke.ErrUnproved},
		"unsure":   {revoke.Past{Unsure: true}, revoke.ErrUncertain},
		"both":     {revoke.Past{Accepted: true, Unsure: true}, revoke.ErrUncertain},
	} {
		for _, at := range []time.Duration{time.Nanosecond, time.Second} { // asked whose it is, asked whether it lives
			inBubble(t, name+" "+at.String(), func(t *testing.T) {
				p := newStub(kindsWithPast()...)
				p.took = 5 * time.Second
				s := startStub(p, func(s *revoke.Sweep, _ *ledger) {
					s.Past = func(credential.Fingerprint) revoke.Past { return k.past }
					s.Ours = func(ctx context.Context, _ credential.Credential) bool {
						return fake.Wall{}.Sleep(ctx, time.Millisecond) != nil
					}
				})
				c := cred("a", "auto", 3)
				s.found <- c
				time.Sleep(at)
				s.cancel(errDeadline)
				<-s.ended
				s.ledger.want(t, c, credential.Unverified, k.why)
				if n := len(s.ledger.of(c)); n != 1 {
					t.Errorf("%d entries, want the last change alone", n)
				}
			})
		}
	}
}

func TestPast(t *testing.T) {
	accepted, byHand := revoke.Receipt{Answer: "202"}, revoke.Receipt{Answer: "revoked by hand"}
	for name, k := range map[string]struct {
		record func(*revoke.Past)
		want   revoke.Past
	}{
		"untouched":        {func(p *revoke.Past) { p.Saw(revoke.Refused); p.Saw(revoke.Inconclusive) }, revoke.Past{}},
		"seen":             {func(p *revoke.Past) { p.Saw(revoke.Alive); p.Saw(revoke.Refused) }, revoke.Past{SeenAlive: true}},
		"unanswered":       {func(p *revoke.Past) { p.Intended() }, revoke.Past{Unsure: true}},
		"unanswered, told": {func(p *revoke.Past) { p.Intended(); p.Became(credential.Unverified) }, revoke.Past{Unsure: true}},
		"skipped":          {func(p *revoke.Past) { p.Intended(); p.Became(credential.Skipped) }, revoke.Past{Unsure: true}},
		"refused":          {func(p *revoke.Past) { p.Intended(); p.Became(credential.Failed) }, revoke.Past{}},
		"for a person":     {func(p *revoke.Past) { p.Intended(); p.Became(credential.Manual) }, revoke.Past{}},
		"accepted":         {func(p *revoke.Past) { p.Intended(); p.Received(accepted) }, revoke.Past{Accepted: true, Existed: true}},
		"dead before":      {func(p *revoke.Past) { p.Intended(); p.Received(revoke.Receipt{Already: true}) }, revoke.Past{Accepted: true}},
		"by hand":          {func(p *revoke.Past) { p.Received(byHand) }, revoke.Past{Accepted: true}},
		"and again": {func(p *revoke.Past) { p.Intended(); p.Received(accepted); p.Intended() },
			revoke.Past{Accepted: true, Existed: true, Unsure: true}},
	} {
		var got revoke.Past
		if k.record(&got); got != k.want {
			t.Errorf("%s: %+v, want %+v", name, got, k.want)
		}
	}
}

// What is called failed was refused, or seen alive after the last revocation that may have arrived:
// otherwise the next run would take it for untouched.
func TestSweepFailedIsNotUnsure(t *testing.T) {
	for name, k := range map[string]struct {
		answer  answering
		refusal bool // comes after a minute
		life    credential.Life
	}{
		"alive":                    {endless, false, credential.Failed},
		"alive, then refused":      {endless, true, credential.Failed},
		"nobody can tell":          {mute, false, credential.Unverified},
		"nobody can tell, refused": {mute, true, credential.Unverified},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := newStub(kindsWithPast()...)
			began := time.Now()
			p.revoke = func(context.Context, credential.Credential) (revoke.Receipt, error) {
				if k.refusal && time.Since(began) > time.Minute {
					return revoke.Receipt{}, errors.New("422 no")
				}
				return revoke.Receipt{}, fmt.Errorf("%w: EOF", revoke.ErrUncertain)
			}
			c := cred("a", "auto", 3)
			k.answer.begin(p, c)
			s := startStub(p, nil)
			s.found <- c
			s.finish()
			s.ledger.want(t, c, k.life, nil)
			if log := p.said(); !k.refusal && log[len(log)-1] != "verify a" {
				t.Errorf("the last thing that was asked is %q", log[len(log)-1])
			}
			if unsure := s.ledger.pasts()[c.Fingerprint].Unsure; unsure != (k.life == credential.Unverified) {
				t.Errorf("unsure: %v", unsure)
			}
		})
	}
}
