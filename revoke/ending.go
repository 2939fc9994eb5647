package revoke

import (
	"context"
	"fmt"
	"time"

	"clawback/revoke/credential"
)

// obey carries out a command.
func (ch *chain) obey(ctx context.Context, c Command) error {
	switch c {
	case Skip:
		return ch.settle(Change{Life: credential.Skipped, Err: ErrDecision})
	case ByHand:
		ch.byHand = false
		ch.sweep.Ledger.Receipt(ch.c, Receipt{Answer: answerByHand})
		return ch.proveAccepted(ctx)
	}
	ch.byHand, ch.past.Accepted = false, false
	ch.proof = newProof(ch.kind.Propagation)
	return ch.live(ctx)
}

// atRest is what a chain does about which nothing more is to be done, unless a command comes.
func atRest(context.Context) error { return errSettled }

// lent lends the credential, and reports whether it is to be left alone.
func (ch *chain) lent(o order) (gone bool) {
	if gone = o.lend(); gone {
		ch.pass()
		ch.byHand, ch.unsure, ch.accepted, ch.livedAt = false, false, time.Time{}, time.Time{}
		ch.past.Accepted, ch.past.Unsure = false, false
		ch.proof = newProof(ch.kind.Propagation)
	}
	o.done <- true
	return gone
}

// goOn takes up what a chain did before its credential was lent.
func (ch *chain) goOn(ctx context.Context) error {
	if !ch.accepted.IsZero() || ch.past.Accepted {
		return ch.proveAccepted(ctx)
	}
	return ch.live(ctx)
}

// settle records the last change and ends the chain, unless a command comes.
func (ch *chain) settle(l Change) error {
	ch.pass()
	if l.Life == credential.Dead {
		ch.sweep.count(func() { ch.dead = true })
	}
	ch.sweep.Ledger.Life(ch.c, l)
	return errSettled
}

// unfinished records how a credential stands when the sweep was told to end.
func (ch *chain) unfinished(why error) {
	l := Change{Life: credential.Unverified}
	switch {
	case ch.byHand:
		return // it waits for a person, as it did before
	case ch.lives():
		l = Change{Life: credential.Alive, Err: fmt.Errorf("%w: %w", ErrStillAlive, why)}
	case !ch.accepted.IsZero(), ch.past.Accepted && !ch.past.Unsure:
		l.Err = fmt.Errorf("%w: %w", ErrUnproved, why)
	case ch.unsure:
		l.Err = fmt.Errorf("%w: %w", ErrUncertain, why)
	default:
		l = Change{Life: credential.Failed, Err: fmt.Errorf("%w: %w", ErrUntouched, why)}
	}
	if ch.accepted.IsZero() && ch.trouble != nil {
		l.Err = fmt.Errorf("%w; before: %w", l.Err, ch.trouble)
	}
	ch.sweep.Ledger.Life(ch.c, l)
}
