package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clawback/revoke/credential"
)

// chain is one credential's way from its discovery to its proven death.
type chain struct {
	sweep *Sweep
	c     credential.Credential
	lane  *lane // nil where no provider of ours knows it
	kind  *KindInfo
	known bool // and its provider lists its kind

	// Guarded by sweep.mu.
	told    *order                  // not yet obeyed
	stop    context.CancelCauseFunc // ends what the chain does now
	waiting bool                    // not counted as busy
	over    bool                    // takes no more commands
	dead    bool                    // needs none
	ahead   bool                    // its revocation is still to come

	past      Past // what of it is not yet dealt with
	looked    bool // the baseline is on record, or there can be none
	seenAlive bool
	existed   bool // when its revocation was accepted
	byHand    bool // a person has to revoke it, and nobody said that they did
	unsure    bool // a revocation may have reached the provider
	trouble   error
	accepted  time.Time // zero before
	livedAt   time.Time // of the newest conclusive answer, where that was that it lives
	tries     int
	place     func() // leaves the place in the lane that the look before the revocation still has; nil for none
	held      hold   // of the provider's allowance of refusals
	proof     proof
}

// errSettled means that the credential's last Change is on record, unless a command comes.
var errSettled = errors.New("settled")

func (ch *chain) run(ctx context.Context) {
	s := ch.sweep
	defer s.wait(ch)
	for task := ch.live; ; {
		doing, stop := s.arm(ctx, ch)
		err := task(doing)
		settled := errors.Is(err, errSettled)
		if settled && !ch.dead {
			s.wait(ch)
			<-doing.Done()
		}
		stop(nil)
		told, more := s.next(ctx, ch)
		if !more {
			if !settled {
				ch.unfinished(context.Cause(ctx))
			}
			return
		}
		switch {
		case told.lend == nil:
			task = func(ctx context.Context) error { return ch.obey(ctx, told.command) }
		case ch.lent(told), settled:
			task = atRest
		default:
			task = ch.goOn
		}
	}
}

// live takes the credential from its discovery on. It returns errSettled, or why ctx is done.
func (ch *chain) live(ctx context.Context) error {
	accepted := ch.past.Accepted && !ch.past.Unsure // nothing is sent that needs to know whose it is
	ours := ctx.Err() == nil && !accepted && ch.ours(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case accepted:
		return ch.proveAccepted(ctx)
	case ours:
		return ch.settle(Change{Life: credential.Skipped, Err: ErrOurs})
	case !ch.named() && ch.past.Unsure:
		return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w, and before: %w", ErrUnresolved, ErrUncertain)})
	case !ch.named():
		return ch.manual(ctx, ErrUnresolved)
	case ch.lane == nil || !ch.known:
		return ch.manual(ctx, ErrNoProvider)
	case ch.kind.Manual:
		return ch.manual(ctx, ErrManual)
	}
	defer ch.leave()
	if err := ch.baseline(ctx); err != nil {
		return err
	}
	if ch.kind.Unkillable != "" {
		ch.leave()
		return ch.outlive(ctx)
	}
	if ch.past.Unsure {
		ch.leave()
		switch arrived, err := ch.lookFirst(ctx); {
		case err != nil:
			return err
		case arrived:
			ch.arrived()
			return ch.prove(ctx)
		}
	}
	if err := ch.afterMinters(ctx); err != nil {
		return err
	}
	if err := ch.kill(ctx); err != nil {
		return err
	}
	return ch.prove(ctx)
}

// named reports whether what is known of the credential is enough for its provider to end it.
func (ch *chain) named() bool { return !ch.c.Secret.Empty() || ch.kind.ByRef && ch.c.Ref["id"] != "" }

// leave gives up the place that the look before the revocation had.
func (ch *chain) leave() {
	if ch.place != nil {
		ch.place()
		ch.place = nil
	}
}

func (ch *chain) ours(ctx context.Context) bool {
	s := ch.sweep
	if s.Ours == nil {
		return false
	}
	asking, cancel := withTimeout(ctx, s.Clock, oursTimeout)
	defer cancel()
	return s.Ours(asking, ch.c)
}

// baseline looks at the credential once before it is touched, and never holds up its revocation
// for longer than baselineTimeout.
func (ch *chain) baseline(ctx context.Context) error {
	if ch.looked {
		return context.Cause(ctx)
	}
	v, x := ch.look(ctx)
	if ctx.Err() != nil && v.Outcome == Inconclusive {
		return context.Cause(ctx) // cut short by us: no evidence of anything
	}
	ch.looked = true
	ch.sweep.Ledger.Baseline(ch.c, v, x)
	return context.Cause(ctx)
}

// look asks whether the credential works and, if so, whose it is: once revoked it cannot tell.
// Only one that works is asked twice, so that what providers count, refusals, stays one. It keeps its
// place, for the revocation that comes next.
func (ch *chain) look(ctx context.Context) (v Verdict, x Exposure) {
	l, began := ch.lane, ch.now()
	leave, err := l.enter(ctx, ch.priority(looking), baselineTimeout)
	if err != nil {
		return Verdict{Answer: "not asked: the provider was busy"}, x
	}
	ch.place = leave
	ctx, cancel := withTimeout(ctx, l.clock, baselineTimeout-ch.now().Sub(began))
	defer cancel()
	if !ch.mayBeRefused(looking) {
		return Verdict{Answer: "not asked: the provider counts what it refuses, and the proofs need that"}, x
	}
	defer l.giveBack(&ch.held)
	if v = ch.ask(ctx); v.Outcome == Alive {
		x = ch.inspect(ctx)
	}
	return v, x
}

// inspect returns what can be known of the credential in the time that is left: what is not known
// is shown as not known.
func (ch *chain) inspect(ctx context.Context) (x Exposure) {
	aside(func() {
		defer func() { _ = recover() }()
		x, _ = ch.lane.provider.Inspect(ctx, ch.c)
	})
	return x
}

// ask asks the provider once, from a place in the lane.
func (ch *chain) ask(ctx context.Context) (v Verdict) {
	aside(func() {
		defer func() {
			if recover() != nil { // what is thrown may quote a secret
				v = Verdict{Answer: ErrFault.Error()}
			}
		}()
		v = ch.lane.provider.Verify(ctx, ch.c)
	})
	var late timeoutError
	switch {
	case v.Outcome == Alive:
		ch.seenAlive = true
	case v.Outcome == Refused:
		ch.lane.refused(&ch.held)
	case errors.As(context.Cause(ctx), &late):
		v.Answer = late.Error()
	}
	return v
}

// aside runs f to its end on a stack of its own. Those of HTTP are large and stay as large as they were:
// ten thousand credentials wait at once, and few of them are asked about.
func aside(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	<-done
}

// kill revokes until the provider accepts, and then returns nil, or refuses.
func (ch *chain) kill(ctx context.Context) error {
	began := ch.now()
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		receipt, sent, err := ch.revoke(ctx)
		var retry *RetryError
		uncertain := errors.Is(err, ErrUncertain)
		switch {
		case err == nil:
			ch.existed = !receipt.Already
			ch.sweep.Ledger.Receipt(ch.c, receipt)
			ch.pass()
			ch.lookForMinted(ctx)
			return nil
		case !sent && ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrManual):
			return ch.manual(ctx, err)
		case errors.Is(err, ErrOurs):
			return ch.settle(Change{Life: credential.Skipped, Err: err})
		case errors.As(err, &retry):
			wait = max(wait, retry.After)
			ch.lane.pause(retry.After)
		case !uncertain:
			return ch.notKilled(err)
		}
		ch.trouble = err
		late := ch.now().Sub(began) > outagePatience
		if uncertain {
			ch.unsure, ch.livedAt = true, time.Time{}
		} else if late {
			return ch.notKilled(err)
		}
		if err := ch.rest(ctx, wait); err != nil {
			return err
		}
		if uncertain {
			if arrived, err := ch.lookAgain(ctx); arrived || err != nil {
				return err
			}
		}
		if late {
			return ch.notKilled(err)
		}
	}
}

// lookAgain probes a credential whose revocation may have arrived. If it is refused, it did.
// Otherwise Revoke, which is idempotent, is asked again.
func (ch *chain) lookAgain(ctx context.Context) (arrived bool, err error) {
	if !ch.probeable() {
		return false, nil
	}
	v, err := ch.probe(ctx, proving, baselineTimeout)
	if err != nil || v.Outcome != Refused {
		ch.lane.giveBack(&ch.held)
		return false, err
	}
	ch.arrived()
	return true, nil
}

// notKilled gives up on a revocation, and says what is known.
func (ch *chain) notKilled(err error) error {
	if ch.unsure && ch.livedAt.IsZero() {
		return ch.settle(Change{Life: credential.Unverified, Err: err})
	}
	return ch.settle(Change{Life: credential.Failed, Err: err})
}

// revoke sends one revocation, alone or in a batch. Once its intent is on disk it is finished and
// recorded, whatever happens to the sweep.
func (ch *chain) revoke(ctx context.Context) (r Receipt, sent bool, err error) {
	left := ch.place
	if left == nil {
		left = func() {}
	}
	ch.place = nil
	if b, ok := ch.lane.provider.(Batcher); ok && b.Batchable(ch.c) {
		left()
		return ch.lane.join(ctx, ch.c, ch.priority(mutating))
	}
	leave, err := ch.lane.change(ctx, ch.priority(mutating), left)
	if err != nil {
		return r, false, err
	}
	defer leave()
	return ch.lane.mutate(ctx, []credential.Credential{ch.c}, func(ctx context.Context) (Receipt, error) {
		return ch.lane.provider.Revoke(ctx, ch.c)
	})
}

// prove probes until the refusals span the provider's propagation budget.
func (ch *chain) prove(ctx context.Context) error {
	ch.accepted, ch.livedAt = ch.now(), time.Time{}
	if ch.kind.Unverifiable != "" {
		return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w: %s", ErrUnverifiable, ch.kind.Unverifiable)})
	}
	defer ch.lane.giveBack(&ch.held)
	every := ch.kind.Propagation.Every
	if soon := every - ch.accepted.Sub(ch.proof.last); ch.proof.row > 0 && soon > 0 {
		if err := ch.rest(ctx, soon); err != nil {
			return err
		}
	}
	overdue := false
	for {
		v, err := ch.probe(ctx, proving, ch.patience()-ch.proof.stalled(ch.accepted, ch.now()))
		if err != nil {
			return err
		}
		wait := max(every, v.RetryAfter)
		if v.Outcome == Refused && ch.lane.crowded() {
			wait = max(wait, ch.proof.leisure())
		}
		since := ch.now().Sub(ch.accepted)
		switch {
		case ch.proof.done():
			return ch.died(ctx, v)
		case v.Outcome == Alive && since > ch.proof.patience(), v.Outcome == Inconclusive && ch.hopeless(v, wait):
			return ch.unproved(v)
		case v.Outcome == Alive && since > ch.proof.budget && !overdue:
			ch.overdue(v)
			overdue = true
		}
		if err := ch.rest(ctx, wait); err != nil {
			return err
		}
	}
}

// overdue records that the credential lives though its revocation should have bitten.
func (ch *chain) overdue(last Verdict) {
	ch.sweep.Ledger.Life(ch.c, Change{Life: credential.Alive, Err: fmt.Errorf("%w: %s", ErrStillAlive, last.Answer)})
}

// Why a credential was not probed.
const (
	notAllowed = "not asked: the provider takes few refused probes in an hour, and others came first"
	notOpen    = "not asked: the provider wants to be left alone"
)

// mayBeRefused reports whether the provider's allowance has room for one look, or for the proof.
func (ch *chain) mayBeRefused(s stage) bool {
	claim, n := toProve, ch.proof.missing()
	switch {
	case s == looking:
		claim, n = toLook, 1
	case ch.seenAlive:
		claim = toProveSeen
	}
	return ch.lane.afford(&ch.held, claim, n)
}

// hopeless reports whether the next probe would come later than is worth waiting for.
func (ch *chain) hopeless(v Verdict, wait time.Duration) bool {
	patience := ch.patience()
	if v.Answer == notAllowed { // that ends in an hour
		patience = ch.proof.patience()
	}
	return ch.proof.stalled(ch.accepted, ch.now())+wait > patience
}

// patience is how long a proof may make no progress: an outage may end.
func (ch *chain) patience() time.Duration { return max(ch.proof.patience(), outagePatience) }

// died settles a credential whose refusals are enough.
func (ch *chain) died(ctx context.Context, last Verdict) error {
	ch.lookForMinted(ctx)
	if ch.kind.NeedsAlive && !ch.seenAlive && !ch.existed {
		return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w, since it was never seen alive: %s", ErrUnverifiable, last.Answer)})
	}
	if ch.c.Ref[credential.ClaimedEndpoint] != "" && !ch.seenAlive {
		return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w: %s", ErrElsewhere, last.Answer)})
	}
	return ch.settle(Change{Life: credential.Dead, Proof: ch.proof.String(last), Weak: !ch.seenAlive})
}

// unproved gives up on a proof, and says which way the evidence points.
func (ch *chain) unproved(last Verdict) error {
	if ch.lives() {
		return ch.settle(Change{Life: credential.Alive, Err: fmt.Errorf("%w: %s", ErrStillAlive, last.Answer)})
	}
	return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w: %s", ErrInconclusive, last.Answer)})
}

// lives reports whether the credential still answered after its revocation should have bitten.
func (ch *chain) lives() bool {
	return !ch.accepted.IsZero() && ch.livedAt.Sub(ch.accepted) > ch.proof.budget
}

// rest waits before the next request.
func (ch *chain) rest(ctx context.Context, d time.Duration) error {
	return ch.sweep.Clock.Sleep(ctx, max(d, time.Second))
}

// probe asks the provider once, where its allowance has room for a proof, and counts the answer.
// For a place in the lane it waits for patience at most.
func (ch *chain) probe(ctx context.Context, s stage, patience time.Duration) (Verdict, error) {
	leave, err := ch.lane.enter(ctx, ch.priority(s), patience)
	if err != nil {
		return Verdict{Answer: notOpen}, context.Cause(ctx)
	}
	defer leave()
	if !ch.mayBeRefused(s) {
		return Verdict{Answer: notAllowed}, nil
	}
	asking, cancel := withTimeout(ctx, ch.sweep.Clock, probeTimeout)
	v := ch.ask(asking)
	cancel()
	if ctx.Err() != nil && v.Outcome == Inconclusive {
		return v, context.Cause(ctx) // cut short by us: no evidence of anything
	}
	ch.count(v)
	return v, nil
}

// count draws the conclusions from an answer, and records it.
func (ch *chain) count(v Verdict) {
	if v.RetryAfter > 0 {
		ch.lane.pauseProbes(v.RetryAfter)
	}
	switch v.Outcome {
	case Alive:
		ch.livedAt = ch.now()
	case Refused:
		ch.livedAt = time.Time{}
	}
	ch.tries++
	ch.proof.count(v, ch.now())
	ch.sweep.Ledger.Probe(ch.c, Probe{Verdict: v, Try: ch.tries, Row: ch.proof.row, Span: ch.proof.span(), Budget: ch.proof.budget})
}

func (ch *chain) probeable() bool {
	return ch.lane != nil && ch.known && ch.kind.Unverifiable == "" && ch.named()
}

func (ch *chain) now() time.Time { return ch.sweep.Clock.Now() }

func (ch *chain) priority(s stage) priority {
	return priority{stage: s, tier: ch.c.Tier, payment: ch.kind.Payment, mints: len(ch.kind.Mints) > 0, seen: ch.seenAlive}
}
