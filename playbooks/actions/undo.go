package actions

import (
	"context"
	"errors"
	"fmt"
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
	kept, err := r.secrets(ctx)
	if err != nil {
		return r.Before.State, err
	}
	known := c.Credential
	known.Secret = kept[of]
	if known.Secret.Empty() && known.Ref["id"] == "" {
		return r.Before.State, ErrNotKept
	}
	always := context.WithoutCancel(ctx)
	r.Before.Resumed.For = incident.ToUndo
	if err := record(always, j, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, err
	}
	r.warnBefore(notesOf{j})
	if err := record(always, j, incident.TypeUndo, incident.Undo{Fingerprint: of, By: by, Why: why}); err != nil {
		return r.Before.State, err
	}
	asking, cancel := engine.WithDeadline(always, r.Clock, undoTimeout)
	defer cancel()
	receipt, failed := provider.Undo(asking, known)
	r.undone(asking, provider, known, receipt, failed, by, why, notesOf{j})
	state, err := r.conclude(always, j)
	if failed != nil {
		failed = fmt.Errorf("take back the revocation of %s: %w", c.Credential, failed)
	}
	return state, errors.Join(failed, err)
}

// undone records what came of an undo. Where that is not certain, nobody may rely on the death any
// more that was proved before.
func (r *Response) undone(ctx context.Context, p revoke.Provider, c credential.Credential, receipt revoke.Receipt, failed error, by, why string, rec noter) {
	out := incident.Undone{Fingerprint: c.Fingerprint, Answer: receipt.Answer, Did: receipt.Did, Left: receipt.Left}
	if failed != nil {
		out.Error = failed.Error()
	}
	rec.Note(incident.TypeUndone, out)
	life := incident.Life{Fingerprint: c.Fingerprint, Life: credential.Skipped, Reason: incident.ReasonDecision,
		Error: fmt.Sprintf("its revocation was taken back by %s: %s", by, why)}
	switch {
	case errors.Is(failed, revoke.ErrUncertain), failed != nil && len(receipt.Did) > 0:
		life.Life, life.Reason, life.Hint = credential.Unverified, incident.ReasonProvider, "look at its provider's own console how it stands"
		life.Error = "its revocation may have been taken back: " + failed.Error()
	case failed != nil:
		return // it is as dead as before
	}
	v := p.Verify(ctx, c)
	rec.Note(incident.TypeProbe, incident.Probe{Fingerprint: c.Fingerprint, Outcome: v.Outcome.String(), Answer: v.Answer, From: r.Desk})
	r.live(life, rec)
}
