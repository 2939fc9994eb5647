package actions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// Why a revocation cannot be taken back.
var (
	ErrFinal      = errors.New("its provider cannot take the revocation back: it has to be issued anew")
	ErrNotOurWork = errors.New("no call of clawback's revoked it")
	ErrNotKept    = errors.New("its secret was not kept, and its provider knows it by nothing else")
	ErrUnderWay   = errors.New("its revocation is under way")
	ErrUndoing    = errors.New("its revocation is being taken back")
	ErrUndone     = errors.New("its revocation was taken back before")
	ErrNoReason   = errors.New("it takes a reason: the record is read in court")
)

// undoTimeout is how long a provider has to take a revocation back, for which it may be asked a dozen
// times: a key, its user, and the organization.
const undoTimeout = 2 * time.Minute

// Undoable returns what is on record of a credential together with its provider, or why its
// revocation cannot be taken back.
func (r *Response) Undoable(c *incident.Credential) (revoke.Undoer, error) {
	p := r.Providers[c.Provider]
	u, ok := p.(revoke.Undoer)
	if !ok {
		return nil, ErrFinal
	}
	if kind, known := p.Info().Kind(c.Kind); !known || !kind.Reversible {
		return nil, ErrFinal
	}
	if len(c.Receipt.Did) == 0 {
		return nil, ErrNotOurWork
	}
	return u, nil
}

// Undo takes back the revocation of one credential, which a person found to be a false alarm: the
// intent is durable before anything is sent, and what came of it is recorded whatever happens.
func (r *Response) Undo(ctx context.Context, j *journal.Journal, of credential.Fingerprint, by, why string) (incident.State, error) {
	r.Actions()
	defer r.vault.close()
	c := r.Before.State.Credential(of)
	if c == nil {
		return r.Before.State, revoke.ErrNotUnderWay
	}
	provider, err := r.Undoable(c)
	if err != nil {
		return r.Before.State, err
	}
	known, err := r.named(ctx, c)
	if err != nil {
		return r.Before.State, err
	}
	always := context.WithoutCancel(ctx)
	r.Before.Resumed.For = incident.ToUndo
	if err := record(always, j, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, err
	}
	r.warnBefore(notesOf{j})
	_, failed := r.sendUndo(always, provider, known, incident.Undo{Fingerprint: of, By: by, Why: why}, notesOf{j})
	state, err := r.conclude(always, j)
	if failed != nil {
		failed = fmt.Errorf("take back the revocation of %s: %w", c.Credential, failed)
	}
	return state, errors.Join(failed, err)
}

// named is a credential with its secret, or by what else its provider knows it.
func (r *Response) named(ctx context.Context, c *incident.Credential) (credential.Credential, error) {
	r.mu.Lock()
	known, ok := r.late.known[c.Fingerprint]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	kept, err := r.secrets(ctx)
	if err != nil {
		return known, err
	}
	known = c.Credential
	known.Secret = kept[c.Fingerprint]
	if known.Secret.Empty() && known.Ref["id"] == "" {
		return known, ErrNotKept
	}
	return known, nil
}

// takeBack begins to take a revocation back in the middle of a response. What came of it, only the
// record says: it may have to wait for what its sweep has sent.
func (r *Response) takeBack(ctx context.Context, c incident.Command) error {
	if c.Text == "" {
		return ErrNoReason
	}
	state, err := foldAll(ctx, r.late.rec.j)
	if err != nil {
		return err
	}
	known, err := r.mayTakeBack(ctx, state.Credential(c.Credential))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.overLocked():
		return ErrEnding
	case r.late.undoing[known.Fingerprint]:
		return ErrUndoing
	}
	r.late.undoing[known.Fingerprint] = true
	r.late.known[known.Fingerprint] = known
	r.late.running.Go(func() {
		r.takeBackNow(context.WithoutCancel(ctx), known, incident.Undo{Fingerprint: known.Fingerprint, By: c.By, Why: c.Text})
	})
	return nil
}

// mayTakeBack says why the revocation of a credential as it stands cannot be taken back.
func (r *Response) mayTakeBack(ctx context.Context, c *incident.Credential) (known credential.Credential, err error) {
	switch {
	case c == nil:
		return known, revoke.ErrNotUnderWay
	case c.Undoing != nil:
		return known, ErrUndoing
	case c.Life == credential.Requested:
		return known, ErrUnderWay
	case c.Decision.Kind == incident.TakeBack:
		return known, ErrUndone
	}
	if _, err := r.Undoable(c); err != nil {
		return known, err
	}
	return r.named(ctx, c)
}

// takeBackNow takes a revocation back while no sweep works on the credential: the one that does lends
// it, once what it has sent is answered, and leaves it alone afterwards.
func (r *Response) takeBackNow(ctx context.Context, c credential.Credential, undo incident.Undo) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.late.undoing, c.Fingerprint)
	}()
	gone := false
	try := func() bool {
		gone = r.undoAsItStands(ctx, c, undo)
		return gone
	}
	waited := r.queue.remove(c.Fingerprint)
	r.mu.Lock()
	sweeps := slices.Clone(r.sweeps)
	r.mu.Unlock()
	for _, s := range slices.Backward(sweeps) {
		if s.Lend(c.Fingerprint, try) == nil {
			return
		}
	}
	if try(); waited && !gone {
		r.handOn(c)
	}
}

// undoAsItStands reports whether the sweep has to leave the credential alone from here on. What it
// had sent may have been answered since it was asked for.
func (r *Response) undoAsItStands(ctx context.Context, c credential.Credential, undo incident.Undo) bool {
	state, err := foldAll(ctx, r.late.rec.j)
	var provider revoke.Undoer
	if err == nil {
		provider, err = r.Undoable(state.Credential(c.Fingerprint))
	}
	if err != nil {
		r.late.rec.Note(incident.TypeWarning, incident.Warning{Text: fmt.Sprintf("the revocation of %s was not taken back: %v", c, err)})
		return false
	}
	gone, _ := r.sendUndo(ctx, provider, c, undo, r.late.rec)
	if gone {
		r.late.revoked.Delete(c.Fingerprint)
		r.late.undone.Store(c.Fingerprint, true)
	}
	return gone
}

// sendUndo asks a provider to take a revocation back. It reports whether the credential may work again.
// Nothing is sent that is not on disk: unlike a revocation it can wait.
func (r *Response) sendUndo(ctx context.Context, p revoke.Undoer, c credential.Credential, undo incident.Undo, rec notesOf) (gone bool, err error) {
	if err := rec.j.Append(ctx, incident.TypeUndo, undo); err != nil {
		err = fmt.Errorf("nothing was sent: %w", err)
		rec.Note(incident.TypeUndone, incident.Undone{Fingerprint: c.Fingerprint, Error: err.Error()})
		return false, err
	}
	asking, cancel := engine.WithDeadline(ctx, r.Clock, undoTimeout)
	defer cancel()
	receipt, failed := revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrUncertain, revoke.ErrFault)
	if fault := engine.Guarded(func() error { receipt, failed = p.Undo(asking, c); return nil }); fault != nil {
		failed = fmt.Errorf("%w: %w", revoke.ErrUncertain, fault)
	}
	return r.undone(asking, p, c, receipt, failed, undo, rec), failed
}

// undone records what came of an undo, and reports whether the credential may work again. Where that is
// not certain, nobody may rely on the death any more that was proved before.
func (r *Response) undone(ctx context.Context, p revoke.Undoer, c credential.Credential, receipt revoke.Receipt, failed error, undo incident.Undo, rec notesOf) bool {
	out := incident.Undone{Fingerprint: c.Fingerprint, Answer: receipt.Answer, Did: receipt.Did, Left: receipt.Left}
	if failed != nil {
		out.Error, out.Unsure = failed.Error(), errors.Is(failed, revoke.ErrUncertain)
	}
	rec.Note(incident.TypeUndone, out)
	life := incident.Life{Fingerprint: c.Fingerprint, Life: credential.Skipped, Reason: incident.ReasonDecision, Error: undo.Taken()}
	switch {
	case out.Unsure, failed != nil && len(receipt.Did) > 0:
		life.Life, life.Reason, life.Hint = credential.Unverified, incident.ReasonProvider, "look at its provider's own console how it stands"
		life.Error = "its revocation may have been taken back: " + failed.Error()
	case failed != nil:
		return false // it is as dead as before
	}
	r.live(life, rec)
	v := revoke.Verdict{Answer: revoke.ErrFault.Error()}
	_ = engine.Guarded(func() error { v = p.Verify(ctx, c); return nil })
	rec.Note(incident.TypeProbe, incident.Probe{Fingerprint: c.Fingerprint, Outcome: v.Outcome.String(), Answer: v.Answer, From: r.Desk})
	return true
}
