package revoke

import (
	"context"
	"errors"
	"sync"
	"time"

	"clawback/revoke/credential"
)

// Ledger writes down what a sweep does. Its methods may be called from several goroutines at once.
type Ledger interface {
	// Baseline is what a credential answered before it was touched.
	Baseline(c credential.Credential, v Verdict, x Exposure)
	// Intent returns once it is on disk that cs are about to be revoked, in one request.
	Intent(ctx context.Context, cs []credential.Credential) error
	Receipt(c credential.Credential, r Receipt)
	Probe(c credential.Credential, p Probe)
	Life(c credential.Credential, l Change)
	// Minted is what a provider says that c has minted, or why it could not. Whoever is told adds
	// them to the sweep: see Sweep.Add.
	Minted(c credential.Credential, found []credential.Credential, err error)
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
	ErrElsewhere    = errors.New("it was never seen alive here, and the host says that it belongs elsewhere")
	ErrDecision     = errors.New("left alone by a decision")
	ErrStillAlive   = errors.New("it still answers")
	ErrInconclusive = errors.New("the provider gave no conclusive answer")
	ErrUnresolved   = errors.New("its value could not be resolved on the host")
	ErrUnproved     = errors.New("its revocation was accepted and its death not yet proved")
	ErrUntouched    = errors.New("no revocation of it was accepted")
	ErrFault        = errors.New("a fault of clawback itself")
)

// Sweep revokes credentials at all of their providers at once and proves each one dead. One
// provider that hangs delays nobody. It runs once.
type Sweep struct {
	Providers map[string]Provider
	Clock     Clock
	Ledger    Ledger
	// Ours reports whether a credential is the responder's own. It has ten seconds to say so.
	Ours func(context.Context, credential.Credential) bool
	// Attended says that somebody does the manual steps: the sweep waits for them. Otherwise
	// they are probed for as long as there is other work.
	Attended bool
	// Past is what earlier runs have on record of a credential; nil where there was none. What was
	// accepted is not revoked again but proved, and what may have been is looked at first.
	Past func(credential.Fingerprint) Past

	lanes   map[string]*lane
	running sync.WaitGroup // chains

	mu     sync.Mutex
	ctx    context.Context // of Run, for what is added later; nil before and after
	chains map[credential.Fingerprint]*chain
	gates  map[string]*gate // by kind
	busy   int              // chains that neither are settled nor wait for a person who may not come
	all    bool             // no further credential comes
	quiet  bool             // all came and none is busy: the sweep is over
}

// How long one exchange may take. A mutation gets longest, since cutting it short leaves its
// effect unknown.
const (
	oursTimeout     = 10 * time.Second
	baselineTimeout = 2 * time.Second
	probeTimeout    = 10 * time.Second
	mutationTimeout = 30 * time.Second
	outagePatience  = 5 * time.Minute // with a provider that takes no revocation, or answers no probe
)

// Run takes credentials as they are found, each fingerprint once, and returns when the last one is
// settled, or soon after ctx is done. Mutations that are under way then are finished and recorded,
// and the last Change of every credential that was taken says how it stands.
func (s *Sweep) Run(ctx context.Context, found <-chan credential.Credential) {
	s.mu.Lock()
	s.chains = make(map[credential.Fingerprint]*chain)
	s.lanes = make(map[string]*lane)
	s.gates = make(map[string]*gate)
	s.mu.Unlock()
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	var lanes sync.WaitGroup
	for name, p := range s.Providers {
		l := newLane(p, s.Clock, s.Ledger)
		s.lanes[name] = l
		lanes.Go(func() { l.keep(ctx, keeping) })
	}
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	s.take(ctx, found)
	s.running.Wait()
	stop() // nothing waits in the lanes any more
	lanes.Wait()
}

// take begins a chain for each credential, until no further one comes.
func (s *Sweep) take(ctx context.Context, found <-chan credential.Credential) {
	for {
		select {
		case c, more := <-found:
			if !more {
				s.count(func() { s.all = true })
				for _, l := range s.lanes {
					l.noMore()
				}
				return
			}
			s.mu.Lock()
			s.beginLocked(ctx, c)
			s.mu.Unlock()
		case <-ctx.Done():
			s.mu.Lock()
			s.ctx = nil // nobody counts on what would begin now
			s.mu.Unlock()
			return
		}
	}
}

// Add takes one more credential, which need not come from the channel of Run. With ErrNotUnderWay
// the sweep has not begun, is over, or knows the credential.
func (s *Sweep) Add(c credential.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Unless quiet, a chain is busy or more may come: Run still waits.
	if s.ctx == nil || s.quiet || !s.beginLocked(s.ctx, c) {
		return ErrNotUnderWay
	}
	return nil
}

// beginLocked begins a credential's chain, unless there is one.
func (s *Sweep) beginLocked(ctx context.Context, c credential.Credential) bool {
	if s.chains[c.Fingerprint] != nil {
		return false
	}
	var past Past
	if s.Past != nil {
		past = s.Past(c.Fingerprint)
	}
	ch := &chain{sweep: s, c: c, lane: s.lanes[c.Provider]}
	if ch.lane != nil {
		ch.kind = ch.lane.info.kind(c.Kind)
	}
	if ch.known = ch.kind != nil; !ch.known {
		ch.kind = &KindInfo{}
	}
	ch.take(past)
	if ch.known && !ch.kind.Manual && ch.kind.Unkillable == "" && !past.Accepted && ch.named() {
		ch.holdBackLocked()
	}
	ch.proof = newProof(ch.kind.Propagation)
	s.chains[c.Fingerprint] = ch
	s.busy++
	s.running.Go(func() { ch.run(ctx) })
	return true
}

// Command tells the sweep what a person did or wants with one credential.
type Command int

const (
	ByHand Command = iota // it was revoked by hand: prove it
	Retry                 // revoke it again, or ask for it again
	Skip                  // leave it alone
)

// ErrNotUnderWay means that there is nothing to be done about such a credential: the sweep does
// not know it, has proved it dead, or is over.
var ErrNotUnderWay = errors.New("the sweep is not working on that credential")

// What ends the context of a chain, beside the end of the sweep's own.
var (
	errTold  = errors.New("a command came")
	errQuiet = errors.New("nothing else is left to do")
)

// Tell hands a command to the credential's chain, which lets go of everything but a revocation
// that is under way. Of two commands that come together the later one counts.
func (s *Sweep) Tell(f credential.Fingerprint, c Command) error { return s.order(f, order{command: c}) }

// Lend gives a credential out of the sweep's hands for a while: do runs as soon as a revocation of it
// that is under way has ended, and nothing of the sweep's is done to it meanwhile. Where do reports that
// it is no longer the sweep's business it is left alone from then on, until a command comes; otherwise
// its proof goes on. Lend returns when do has; with ErrNotUnderWay do was not called.
func (s *Sweep) Lend(f credential.Fingerprint, do func() (gone bool)) error {
	o := order{lend: do, done: make(chan bool, 1)}
	if err := s.order(f, o); err != nil {
		return err
	}
	if called := <-o.done; !called {
		return ErrNotUnderWay
	}
	return nil
}

// order is what a chain is told.
type order struct {
	command Command
	lend    func() (gone bool) // in place of a command
	done    chan bool          // of lend: whether it was called
}

// drop says of an order that nobody obeys it.
func (o *order) drop() {
	if o != nil && o.done != nil {
		o.done <- false
	}
}

func (s *Sweep) order(f credential.Fingerprint, o order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chains[f]
	if ch == nil || ch.over || ch.dead || s.quiet {
		return ErrNotUnderWay
	}
	if ch.waiting {
		ch.waiting = false
		s.busy++
	}
	ch.told.drop()
	ch.told = &o
	if ch.stop != nil {
		ch.stop(errTold)
	}
	return nil
}

// arm returns the context of what a chain does next. A command ends it, and so does quiet.
func (s *Sweep) arm(ctx context.Context, ch *chain) (context.Context, context.CancelCauseFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch.stop = stop
	switch {
	case ch.told != nil:
		stop(errTold)
	case s.quiet:
		stop(errQuiet)
	}
	return ctx, stop
}

// next returns what a chain was told. Without that, or at the end, the chain is over.
func (s *Sweep) next(ctx context.Context, ch *chain) (order, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := ch.told
	ch.told = nil
	if told == nil || ch.dead || ctx.Err() != nil {
		told.drop()
		ch.over = true
		return order{}, false
	}
	return *told, true
}

// wait says that a chain has nothing to do until it is told something.
func (s *Sweep) wait(ch *chain) {
	s.count(func() {
		if !ch.waiting && ch.told == nil {
			ch.waiting = true
			s.busy--
		}
	})
}

// count changes the books, and ends the sweep when nothing is left to do.
func (s *Sweep) count(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if !s.all || s.busy > 0 || s.quiet {
		return
	}
	s.quiet = true
	for _, ch := range s.chains {
		if ch.stop != nil {
			ch.stop(errQuiet)
		}
	}
}
