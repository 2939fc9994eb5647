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
	lane  *lane    // nil where no provider of ours knows it
	kind  KindInfo // valid where known
	known bool
	told  chan Command

	over    bool // guarded by sweep.mu: takes no more commands
	waiting bool // guarded by sweep.mu: not counted as busy

	seenAlive  bool // at the baseline
	answered   bool // the newest conclusive answer was that it lives
	byHand     bool // a person has to revoke it, and nobody said that they did
	tries      int
	acceptedAt time.Time
}

// How a chain ends, other than by the end of its context.
var (
	errSettled = errors.New("settled")       // its last Change is on record
	errQuiet   = errors.New("nothing to do") // it waits for a person, and nobody else is left
)

func (ch *chain) run(ctx context.Context) {
	s := ch.sweep
	err := ch.live(ctx)
	for errors.Is(err, errSettled) {
		s.wait(ch)
		select {
		case command := <-ch.told:
			err = ch.obey(ctx, command)
		case <-s.quiet:
			err = errQuiet
		case <-ctx.Done():
			err = errQuiet
		}
	}
	s.count(func() { ch.over = true })
	if !errors.Is(err, errQuiet) {
		ch.unfinished(err)
	}
	s.wait(ch)
}

// live takes the credential from its discovery on. It returns errSettled, or why ctx is done.
func (ch *chain) live(ctx context.Context) error {
	s := ch.sweep
	switch {
	case s.Ours != nil && s.Ours(ctx, ch.c):
		return ch.settle(Change{Life: credential.Skipped, Err: ErrOurs})
	case ch.c.Secret.Empty():
		return ch.manual(ctx, ErrUnresolved)
	case ch.lane == nil || !ch.known:
		return ch.manual(ctx, ErrNoProvider)
	case ch.kind.Manual:
		return ch.manual(ctx, ErrManual)
	}
	if err := ch.baseline(ctx); err != nil {
		return err
	}
	return ch.kill(ctx)
}

// baseline looks at the credential once before it is touched, and never holds up its revocation
// for longer than baselineTimeout.
func (ch *chain) baseline(ctx context.Context) error {
	looking, cancel := withTimeout(ctx, ch.sweep.Clock, baselineTimeout)
	defer cancel()
	var x Exposure
	v := Verdict{Answer: "not asked: the provider was busy"}
	if ch.lane.enter(looking, ch.priority(false)) == nil {
		v = ch.lane.provider.Verify(looking, ch.c)
		if v.Outcome == Alive {
			x, _ = ch.lane.provider.Inspect(looking, ch.c) // what is not known is shown as not known
		}
		ch.lane.leave()
	}
	ch.seenAlive = v.Outcome == Alive
	ch.sweep.Ledger.Baseline(ch.c, v, x)
	return context.Cause(ctx)
}

// kill revokes until the provider accepts or refuses, then proves.
func (ch *chain) kill(ctx context.Context) error {
	began := ch.sweep.Clock.Now()
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		receipt, err := ch.revoke(ctx)
		var retry *RetryError
		switch {
		case err == nil:
			ch.sweep.Ledger.Receipt(ch.c, receipt)
			ch.acceptedAt = ch.sweep.Clock.Now()
			return ch.prove(ctx)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrManual):
			return ch.manual(ctx, err)
		case errors.Is(err, ErrOurs):
			return ch.settle(Change{Life: credential.Skipped, Err: err})
		case errors.As(err, &retry):
			wait = max(wait, retry.After)
			ch.lane.pause(retry.After)
		case errors.Is(err, ErrUncertain):
			// Revoke is idempotent: asked again, it settles what happened.
		default:
			return ch.settle(Change{Life: credential.Failed, Err: err})
		}
		if ch.sweep.Clock.Now().Sub(began) > killPatience {
			return ch.settle(Change{Life: credential.Failed, Err: err})
		}
		if err := ch.rest(ctx, wait, nil); err != nil {
			return err
		}
	}
}

// revoke sends one revocation, alone or in a batch. Once its intent is on disk it is finished and
// recorded, whatever happens to the sweep.
func (ch *chain) revoke(ctx context.Context) (Receipt, error) {
	if b, ok := ch.lane.provider.(Batcher); ok && b.Batchable(ch.c) {
		item := &batchItem{c: ch.c, result: make(chan batchResult, 1)}
		select {
		case ch.lane.batched <- item:
			r := <-item.result
			return r.receipt, r.err
		case <-ctx.Done():
			return Receipt{}, context.Cause(ctx)
		}
	}
	if err := ch.lane.enter(ctx, ch.priority(true)); err != nil {
		return Receipt{}, err
	}
	defer ch.lane.leave()
	if err := ch.sweep.Ledger.Intent(ctx, []credential.Credential{ch.c}); err != nil {
		return Receipt{}, err
	}
	finish, cancel := withTimeout(context.WithoutCancel(ctx), ch.sweep.Clock, mutationTimeout)
	defer cancel()
	return ch.lane.provider.Revoke(finish, ch.c)
}

// prove probes until the refusals span the provider's propagation budget.
func (ch *chain) prove(ctx context.Context) error {
	if ch.kind.Unverifiable != "" {
		return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w: %s", ErrUnverifiable, ch.kind.Unverifiable)})
	}
	shown := false // that it lives on past its budget
	p := ch.newProof()
	for {
		v, err := ch.probe(ctx, &p)
		if err != nil {
			return err
		}
		since := ch.sweep.Clock.Now().Sub(ch.acceptedAt)
		switch {
		case p.done() && ch.kind.NeedsAlive && !ch.seenAlive:
			return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w, and it was never seen alive: %s", ErrUnverifiable, v.Answer)})
		case p.done():
			return ch.settle(Change{Life: credential.Dead, Proof: p.String(v), Weak: !ch.seenAlive})
		case p.row == 0 && since > p.patience():
			return ch.unproved(v)
		case v.Outcome == Alive && !shown && since > p.budget:
			ch.sweep.Ledger.Life(ch.c, Change{Life: credential.Alive, Err: fmt.Errorf("%w: %s", ErrStillAlive, v.Answer)})
			shown = true
		}
		if err := ch.rest(ctx, max(ch.kind.Propagation.Every, v.RetryAfter), nil); err != nil {
			return err
		}
	}
}

// unproved gives up on a proof, and says which way the evidence points.
func (ch *chain) unproved(last Verdict) error {
	if ch.answered {
		return ch.settle(Change{Life: credential.Alive, Err: fmt.Errorf("%w: %s", ErrStillAlive, last.Answer)})
	}
	return ch.settle(Change{Life: credential.Unverified, Err: fmt.Errorf("%w: %s", ErrInconclusive, last.Answer)})
}

// rest waits before the next probe. A command ends it early, and so does quiet, where given.
func (ch *chain) rest(ctx context.Context, d time.Duration, quiet <-chan struct{}) error {
	sleeping, cancel := context.WithCancel(ctx)
	slept := make(chan error, 1)
	go func() { slept <- ch.sweep.Clock.Sleep(sleeping, max(d, time.Second)) }()
	wake := func() { cancel(); <-slept }
	defer cancel()
	select {
	case err := <-slept:
		return err
	case command := <-ch.told:
		wake()
		return ch.obey(ctx, command)
	case <-quiet:
		wake()
		return errQuiet
	}
}

// probe asks the provider once and counts the answer.
func (ch *chain) probe(ctx context.Context, p *proof) (Verdict, error) {
	if err := ch.lane.enter(ctx, ch.priority(false)); err != nil {
		return Verdict{}, err
	}
	asking, cancel := withTimeout(ctx, ch.sweep.Clock, probeTimeout)
	v := ch.lane.provider.Verify(asking, ch.c)
	cancel()
	ch.lane.leave()
	if ctx.Err() != nil && v.Outcome == Inconclusive {
		return v, context.Cause(ctx) // it was cut short by us: no evidence of anything
	}
	if v.RetryAfter > 0 {
		ch.lane.pause(v.RetryAfter)
	}
	if v.Outcome != Inconclusive {
		ch.answered = v.Outcome == Alive
	}
	ch.tries++
	p.count(v, ch.sweep.Clock.Now())
	ch.sweep.Ledger.Probe(ch.c, Probe{Verdict: v, Try: ch.tries, Row: p.row, Span: p.span(), Budget: p.budget})
	return v, nil
}

// manual waits for a person. The credential is announced before anything else is done with it,
// because people are slowest, and probed meanwhile where that can be done: they may act without
// saying so. Where nobody attends to it, it ends with the rest of the sweep.
func (ch *chain) manual(ctx context.Context, why error) error {
	s := ch.sweep
	ch.byHand = true
	s.Ledger.Life(ch.c, Change{Life: credential.Manual, Err: why})
	if !s.Attended {
		s.wait(ch)
	}
	if ch.probeable() {
		if err := ch.baseline(ctx); err != nil {
			return err
		}
	}
	p := ch.newProof()
	for {
		if err := ch.rest(ctx, ch.kind.Propagation.Every, s.quiet); err != nil {
			return err
		}
		if !ch.probeable() {
			continue
		}
		v, err := ch.probe(ctx, &p)
		if err != nil {
			return err
		}
		if p.done() && ch.seenAlive {
			ch.byHand = false
			return ch.settle(Change{Life: credential.Dead, Proof: p.String(v)})
		}
	}
}

func (ch *chain) probeable() bool {
	return ch.lane != nil && ch.known && ch.kind.Unverifiable == "" && !ch.c.Secret.Empty()
}

// obey carries out a command.
func (ch *chain) obey(ctx context.Context, c Command) error {
	switch c {
	case Skip:
		return ch.settle(Change{Life: credential.Skipped, Err: ErrDecision})
	case ByHand:
		if !ch.probeable() {
			return ch.settle(Change{Life: credential.Unverified, Err: ErrUnverifiable})
		}
		ch.byHand = false
		ch.sweep.Ledger.Receipt(ch.c, Receipt{Answer: "revoked by hand"})
		ch.acceptedAt = ch.sweep.Clock.Now()
		return ch.prove(ctx)
	}
	return ch.live(ctx)
}

// settle records the last change and ends the chain.
func (ch *chain) settle(l Change) error {
	ch.sweep.Ledger.Life(ch.c, l)
	return errSettled
}

// unfinished records how a credential stands when the sweep was told to end.
func (ch *chain) unfinished(why error) {
	switch {
	case ch.byHand:
		// It waits for a person, as it did before.
	case ch.answered:
		ch.sweep.Ledger.Life(ch.c, Change{Life: credential.Alive, Err: fmt.Errorf("%w: %w", ErrStillAlive, why)})
	default:
		ch.sweep.Ledger.Life(ch.c, Change{Life: credential.Unverified, Err: why})
	}
}

func (ch *chain) priority(mutation bool) priority {
	return priority{mutation: mutation, tier: ch.c.Tier, payment: ch.lane.info.Payment}
}

func (ch *chain) newProof() proof {
	need := ch.kind.Propagation.Refusals
	if need == 0 {
		need = 3
	}
	return proof{need: need, budget: ch.kind.Propagation.Budget}
}

// proof counts refusals in a row. Anything that is not a refusal begins it anew: one node that
// still lets the credential in is enough for whoever stole it.
type proof struct {
	need        int
	budget      time.Duration
	row         int
	first, last time.Time
}

func (p *proof) count(v Verdict, at time.Time) {
	switch v.Outcome {
	case Refused:
		if p.row == 0 {
			p.first = at
		}
		p.row++
		p.last = at
	case Alive:
		p.row = 0
	}
	// An inconclusive answer says nothing: neither for the proof nor against it.
}

func (p *proof) span() time.Duration {
	if p.row == 0 {
		return 0
	}
	return p.last.Sub(p.first)
}

// patience is how long after its acceptance a revocation is given to bite.
func (p *proof) patience() time.Duration { return max(2*p.budget, p.budget+time.Minute) }

func (p *proof) done() bool { return p.row >= p.need && p.span() >= p.budget }

// String is the proof as the report quotes it.
func (p *proof) String(last Verdict) string {
	return fmt.Sprintf("%s ×%d over %s", last.Answer, p.row, p.span().Round(time.Second))
}
