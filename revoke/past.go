package revoke

import (
	"context"

	"clawback/revoke/credential"
)

// Past is what the record of earlier runs says of a credential. Its zero value is that of one which
// no run has touched. The methods derive it from the entries of a Ledger, oldest first. A credential
// that is Dead needs no further run, whatever its Past.
type Past struct {
	// SeenAlive: a look found that it works, so that its refusals prove a death.
	SeenAlive bool
	// Existed: a provider that accepted its revocation said that it was not dead before.
	Existed bool
	// Accepted: a provider accepted its revocation, or a person said that they revoked it.
	Accepted bool
	// Unsure: an intent to revoke it is on record, and neither a receipt nor a refusal followed: it
	// may have reached the provider. With Accepted, it is a later revocation than the accepted one.
	Unsure bool
	// Overdue: it was found alive after an accepted revocation should have bitten, which Accepted
	// stands for no more. Nothing was sent since, and nothing refused.
	Overdue bool
}

// Saw takes in the outcome of a baseline or probe.
func (p *Past) Saw(o Outcome) {
	p.SeenAlive = p.SeenAlive || o == Alive
	if p.Overdue && o == Refused { // what was accepted bit after all: it takes no other one
		p.Accepted, p.Overdue = true, false
	}
}

// Intended takes in an intent.
func (p *Past) Intended() { p.Unsure, p.Overdue = true, false }

// Received takes in a receipt.
func (p *Past) Received(r Receipt) {
	p.Accepted, p.Unsure = true, false
	p.Existed = p.Existed || !r.Already && r.Answer != answerByHand && r.Answer != answerLost
}

// Became takes in a change of life. What failed, or was left to a person, was refused by the
// provider, or found alive after the last revocation that it may have got. What
// lived on although its revocation was accepted takes another one.
func (p *Past) Became(l credential.Life) {
	switch l {
	case credential.Failed, credential.Manual:
		p.Unsure = false
	case credential.Alive:
		p.Overdue, p.Accepted = p.Overdue || p.Accepted, false
	}
}

// Answers of receipts that no provider gave.
const (
	answerByHand = "revoked by hand"
	answerLost   = "its answer was lost; the credential is refused since"
)

// take carries what is known of the credential into its chain.
func (ch *chain) take(p Past) {
	ch.past = p
	ch.seenAlive, ch.existed, ch.unsure = p.SeenAlive, p.Existed, p.Unsure
	ch.looked = p != (Past{}) // a look after a revocation is no baseline
	if ch.lane == nil || !p.SeenAlive {
		return
	}
	if r, ok := ch.lane.provider.(Rememberer); ok {
		r.Remember(ch.c)
	}
}

// proveAccepted proves the death of a credential whose revocation was accepted before.
func (ch *chain) proveAccepted(ctx context.Context) error {
	if ch.lane == nil || !ch.known || !ch.named() {
		return ch.settle(Change{Life: credential.Unverified, Err: ErrUnverifiable})
	}
	return ch.prove(ctx)
}

// lookFirst finds out whether a revocation of an earlier run arrived, before it is repeated. A
// credential must not live on because nobody can tell: after outagePatience it is revoked again,
// which is idempotent, and the looks are on record.
func (ch *chain) lookFirst(ctx context.Context) (arrived bool, err error) {
	if !ch.probeable() {
		return false, ch.notSeen(ctx, "not asked: "+ch.kind.Unverifiable)
	}
	defer ch.lane.giveBack(&ch.held)
	for began := ch.now(); ; {
		v, err := ch.probe(ctx, looking, outagePatience-ch.now().Sub(began))
		wait := max(ch.kind.Propagation.Every, v.RetryAfter)
		switch {
		case err != nil:
			return false, err
		case v.Outcome != Inconclusive:
			ch.past.Unsure = false
			return v.Outcome == Refused, nil
		case v.Answer == notOpen, v.Answer == notAllowed: // nor within outagePatience
			return false, ch.notSeen(ctx, v.Answer)
		case ch.now().Sub(began)+wait > outagePatience:
			ch.past.Unsure = false
			return false, nil
		}
		if err := ch.rest(ctx, wait); err != nil {
			return false, err
		}
	}
}

// notSeen records that nobody could look, and why. It returns why ctx is done.
func (ch *chain) notSeen(ctx context.Context, why string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ch.past.Unsure = false
	ch.sweep.Ledger.Probe(ch.c, Probe{Verdict: Verdict{Answer: why}, Try: ch.tries, Row: ch.proof.row, Span: ch.proof.span(), Budget: ch.proof.budget})
	return nil
}

// arrived says of a credential that is refused though no receipt came for it what may be missing.
func (ch *chain) arrived() {
	if left := ch.kind.Unanswered; left != "" {
		ch.sweep.Ledger.Receipt(ch.c, Receipt{Answer: answerLost, Left: []string{left}})
	}
}
