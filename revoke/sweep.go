package revoke

import (
	"context"
	"errors"
	"sync"
	"time"

	"clawback/revoke/credential"
)

// Clock is the time that a sweep runs by.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Ledger writes down what a sweep does. Its methods may be called from several goroutines at once.
type Ledger interface {
	// Baseline is what a credential answered before it was touched.
	Baseline(c credential.Credential, v Verdict, x Exposure)
	// Intent returns once it is on disk that cs are about to be revoked, in one request.
	Intent(ctx context.Context, cs []credential.Credential) error
	Receipt(c credential.Credential, r Receipt)
	Probe(c credential.Credential, p Probe)
	Life(c credential.Credential, l Change)
}

// Probe is one look at a credential after its revocation, and how far the proof has come.
type Probe struct {
	Verdict
	Try    int           // counted from 1
	Row    int           // refusals in a row, this one included
	Span   time.Duration // between the first and the last of them
	Budget time.Duration // that they have to span
}

// Change is a change in a credential's life that no other entry of the ledger implies.
type Change struct {
	Life  credential.Life
	Proof string // what was seen, of which provider's answers, for Dead
	Err   error  // why, for everything but Dead; see the errors of this package
	Weak  bool   // it was never seen alive, so its refusals prove less
}

// Causes of a Change, beside those of Provider.
var (
	ErrNoProvider   = errors.New("no provider of clawback knows this kind: a person has to revoke it")
	ErrUnverifiable = errors.New("no probe can prove its death")
	ErrDecision     = errors.New("left alone by a decision")
	ErrStillAlive   = errors.New("it still answers")
	ErrInconclusive = errors.New("the provider gave no conclusive answer")
	ErrUnresolved   = errors.New("its value could not be resolved on the host")
)

// Sweep revokes credentials at all of their providers at once and proves each one dead. One
// provider that hangs delays nobody.
type Sweep struct {
	Providers map[string]Provider
	Clock     Clock
	Ledger    Ledger
	// Ours reports whether a credential is the responder's own.
	Ours func(context.Context, credential.Credential) bool
	// Attended says that somebody does the manual steps: the sweep waits for them. Otherwise
	// they are probed for as long as there is other work.
	Attended bool

	lanes map[string]*lane

	mu     sync.Mutex
	chains map[credential.Fingerprint]*chain
	busy   int           // chains that neither are settled nor wait for a person who may not come
	all    bool          // no further credential comes
	quiet  chan struct{} // closed when all came and none is busy
}

// How long one exchange with a provider may take. A mutation gets longer, since cutting it short
// leaves its effect unknown.
const (
	baselineTimeout = 2 * time.Second
	probeTimeout    = 10 * time.Second
	mutationTimeout = 30 * time.Second
	killPatience    = 5 * time.Minute // with a provider that takes no revocation
)

// Run takes credentials as they are found, each fingerprint once, and returns when the last one is
// settled, or soon after ctx is done. Mutations that are under way then are finished and recorded.
func (s *Sweep) Run(ctx context.Context, found <-chan credential.Credential) {
	s.lanes = make(map[string]*lane)
	s.chains = make(map[credential.Fingerprint]*chain)
	s.quiet = make(chan struct{})
	for name, p := range s.Providers {
		s.lanes[name] = newLane(p, s.Clock)
	}
	var work sync.WaitGroup
	defer work.Wait()
	for _, l := range s.lanes {
		if batcher, ok := l.provider.(Batcher); ok {
			stop := make(chan struct{})
			defer close(stop)
			work.Go(func() { l.batches(ctx, batcher, s.Ledger, stop) })
		}
	}

	var chains sync.WaitGroup
	defer chains.Wait()
	for {
		select {
		case c, more := <-found:
			if !more {
				s.count(func() { s.all = true })
				return
			}
			if ch := s.begin(c); ch != nil {
				chains.Go(func() { ch.run(ctx) })
			}
		case <-ctx.Done():
			return
		}
	}
}

// Command tells the sweep what a person did or wants with one credential.
type Command int

const (
	ByHand Command = iota // it was revoked by hand: prove it
	Retry
	Skip
)

// ErrNotUnderWay means that the sweep has no such credential under way.
var ErrNotUnderWay = errors.New("the sweep is not working on that credential")

// Tell hands a command to the credential's chain.
func (s *Sweep) Tell(f credential.Fingerprint, c Command) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chains[f]
	if ch == nil || ch.over || s.isQuiet() || len(ch.told) == cap(ch.told) {
		return ErrNotUnderWay
	}
	if ch.waiting {
		ch.waiting = false
		s.busy++
	}
	ch.told <- c // only we send, so there is room
	return nil
}

func (s *Sweep) begin(c credential.Credential) *chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chains[c.Fingerprint] != nil {
		return nil
	}
	ch := &chain{sweep: s, c: c, told: make(chan Command, 1)}
	if p := s.Providers[c.Provider]; p != nil {
		ch.lane = s.lanes[c.Provider]
		ch.kind, ch.known = p.Info().Kind(c.Kind)
	}
	s.chains[c.Fingerprint] = ch
	s.busy++
	return ch
}

// wait says that a chain has nothing to do until it is told something.
func (s *Sweep) wait(ch *chain) {
	s.count(func() {
		if !ch.waiting {
			ch.waiting = true
			s.busy--
		}
	})
}

// count changes the books and closes quiet when nothing is left to do.
func (s *Sweep) count(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if s.all && s.busy == 0 && !s.isQuiet() {
		close(s.quiet)
	}
}

func (s *Sweep) isQuiet() bool {
	select {
	case <-s.quiet:
		return true
	default:
		return false
	}
}
