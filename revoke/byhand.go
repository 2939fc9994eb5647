package revoke

import (
	"context"
	"time"

	"clawback/revoke/credential"
)

// manual waits for a person. The credential is announced before anything else is done with it,
// because people are slowest, and probed meanwhile where that can be done: they may act without
// saying so. Where nobody attends to it, it ends with the rest of the sweep.
func (ch *chain) manual(ctx context.Context, why error) error {
	ch.byHand = true
	ch.pass()
	ch.sweep.Ledger.Life(ch.c, Change{Life: credential.Manual, Err: why})
	if ch.probeable() {
		err := ch.baseline(ctx)
		ch.leave()
		if err != nil {
			return err
		}
		if ch.seenAlive { // once a person ended it, it can tell nothing any more
			ch.lookForMinted(ctx)
		}
	}
	if !ch.sweep.Attended {
		ch.sweep.wait(ch)
	}
	if !ch.probeable() || ch.kind.NeedsAlive && !ch.seenAlive {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return ch.watch(ctx)
}

// watch probes a credential that a person has to revoke, ever more seldom while it lives: nobody
// knows how long it takes them, and probes can be noticed.
func (ch *chain) watch(ctx context.Context) error {
	defer ch.lane.giveBack(&ch.held)
	every := ch.kind.Propagation.Every
	for wait := every; ; {
		if err := ch.rest(ctx, wait); err != nil {
			return err
		}
		v, err := ch.probe(ctx, proving, outagePatience)
		switch {
		case err != nil:
			return err
		case v.Answer == notAllowed:
		case ch.proof.done():
			ch.byHand = false
			return ch.died(ctx, v)
		case v.Outcome == Refused:
			wait = every
		default:
			ch.lane.giveBack(&ch.held)
			wait = max(min(2*wait, time.Minute), every, v.RetryAfter)
		}
	}
}
