package actions

import (
	"context"
	"errors"
	"fmt"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// ledger writes what the sweep does into the journal.
type ledger struct {
	r   *Response
	rec intents
}

// intents is what of an engine.Recorder it takes to write down what is about to be done.
type intents interface {
	noter
	Intent(ctx context.Context, typ string, data any) error
}

func (l ledger) Baseline(c credential.Credential, v revoke.Verdict, x revoke.Exposure) {
	l.rec.Note(incident.TypeBaseline, incident.Probe{
		Fingerprint: c.Fingerprint, Outcome: v.Outcome.String(), Answer: v.Answer, From: l.r.Desk,
		Account: x.Account, Owner: x.Owner, Reach: x.Reach,
	})
	l.saw(c, v)
	l.r.inventoried(c, l.rec, x.Account, x.Owner)
}

// Intent makes every credential of the request durable with one fsync: the last append waits for
// all that were noted before it.
func (l ledger) Intent(ctx context.Context, cs []credential.Credential) error {
	batch := 0
	if len(cs) > 1 {
		batch = len(cs)
	}
	for i, c := range cs {
		entry := incident.Revoke{Fingerprint: c.Fingerprint, Batch: batch}
		if i < len(cs)-1 {
			l.rec.Note(incident.TypeRevoke, entry)
			continue
		}
		if err := l.rec.Intent(ctx, incident.TypeRevoke, entry); err != nil {
			return err
		}
	}
	return nil
}

func (l ledger) Receipt(c credential.Credential, r revoke.Receipt) {
	l.rec.Note(incident.TypeReceipt, incident.Receipt{
		Fingerprint: c.Fingerprint, Answer: r.Answer, Already: r.Already, Did: r.Did, Left: r.Left,
	})
}

// saw remembers what makes a later refusal a proof.
func (l ledger) saw(c credential.Credential, v revoke.Verdict) {
	if v.Outcome == revoke.Alive {
		l.r.late.seenAlive.Store(c.Fingerprint, true)
	}
}

func (l ledger) Probe(c credential.Credential, p revoke.Probe) {
	l.saw(c, p.Verdict)
	l.rec.Note(incident.TypeProbe, incident.Probe{
		Fingerprint: c.Fingerprint, Outcome: p.Outcome.String(), Answer: p.Answer, From: l.r.Desk,
		Try: p.Try, Row: p.Row, SpanMS: p.Span.Milliseconds(), BudgetMS: p.Budget.Milliseconds(),
	})
}

func (l ledger) Life(c credential.Credential, ch revoke.Change) {
	out := incident.Life{Fingerprint: c.Fingerprint, Life: ch.Life, Weak: ch.Weak}
	if ch.Proof != "" {
		out.Evidence = fmt.Sprintf("%s, seen from %s", ch.Proof, l.r.Desk)
	}
	if errors.Is(ch.Err, revoke.ErrAuthority) && l.r.Authorities != nil {
		l.r.Authorities.renew(c.Provider)
	}
	if ch.Err != nil {
		out.Error = ch.Err.Error()
		out.Reason, out.Hint = l.r.explain(c, ch)
	}
	l.r.live(out, l.rec)
}

// Minted hands what a credential minted to the sweep, as finds at no place of the host.
func (l ledger) Minted(c credential.Credential, found []credential.Credential, err error) {
	if err != nil {
		l.rec.Note(incident.TypeWarning, incident.Warning{
			Text: fmt.Sprintf("not all that %s %s minted can be ended: %v", c.Kind, c.Masked, err),
			Hint: "look for the rest at " + c.Provider + " by hand: what a credential minted outlives it",
		})
	}
	finds := make([]discover.Found, len(found))
	for i, m := range found {
		finds[i] = discover.Found{Provider: m.Provider, Kind: m.Kind, Secret: m.Secret, Ref: m.Ref, Owner: m.Owner, Expires: m.Expires,
			Source: credential.Source{Path: c.Provider + ", asked what " + c.Masked + " minted"}}
	}
	l.r.take(finds, l.rec)
}

// explain says why a credential is not dead, in the terms of the exit codes, and what to do next.
func (r *Response) explain(c credential.Credential, ch revoke.Change) (reason, hint string) {
	kind, link := revoke.KindInfo{}, ""
	if p := r.Providers[c.Provider]; p != nil {
		kind, _ = p.Info().Kind(c.Kind)
		link = kind.Link
	}
	switch err := ch.Err; {
	case errors.Is(err, ErrRisk):
		return incident.ReasonRisk, "run clawback from another machine with --host, or accept it with --accept-risk " + RiskAuthorityOnSuspect
	case errors.Is(err, revoke.ErrNoAuthority):
		return incident.ReasonAuthority, "name an authority for " + c.Provider + " in clawback.yaml (" + kind.Authority + ") and run it again" + r.with("")
	case errors.Is(err, revoke.ErrAuthority):
		return incident.ReasonAuthority, "renew the authority for " + c.Provider + " or give it what is missing (" + kind.Authority + ") and run it again" + r.with("")
	case errors.Is(err, revoke.ErrOurs):
		return incident.ReasonOurs, "it was on the suspect host, so it is known to the attacker: revoke it with another authority"
	case errors.Is(err, revoke.ErrUntouched):
		return incident.ReasonDeadline, "no revocation of it was accepted: run it again" + r.with("")
	case errors.Is(err, revoke.ErrFault):
		return incident.ReasonProvider, "this is a fault of clawback: revoke it in the provider's own console"
	case errors.Is(err, revoke.ErrDecision):
		return incident.ReasonDecision, ""
	case errors.Is(err, engine.ErrDeadline):
		return incident.ReasonDeadline, "run it again with a longer --deadline, since the proof takes the provider's whole time anew" + r.with(" --deadline 10m")
	case errors.Is(err, revoke.ErrManual):
		return incident.ReasonProvider, manualHint(kind, link)
	case errors.Is(err, revoke.ErrNoProvider):
		return incident.ReasonProvider, "revoke it in the console of " + c.Provider + "; clawback cannot prove its death"
	case errors.Is(err, revoke.ErrUnresolved):
		return incident.ReasonProvider, "find out what it refers to and revoke it at its provider: clawback runs no command that it finds on a host"
	case errors.Is(err, revoke.ErrUnkillable):
		return incident.ReasonProvider, "watch what it does until then; clawback recheck tells when it is dead"
	case errors.Is(err, revoke.ErrStillAlive):
		return incident.ReasonProvider, "revoke it in the provider's own console, then run it again for the proof" + r.with("")
	case errors.Is(err, revoke.ErrElsewhere):
		return incident.ReasonProvider, "where the host says that it belongs: " + c.Ref[credential.ClaimedEndpoint] + "; if that is yours, run it again with --endpoint " + c.Provider + "=URL"
	case errors.Is(err, revoke.ErrUnverifiable):
		return incident.ReasonProvider, "look at the provider's own console whether it is gone"
	}
	return incident.ReasonProvider, "revoke it in the provider's own console, then run it again for the proof" + r.with("")
}

func manualHint(kind revoke.KindInfo, link string) string {
	hint := firstOr(kind.Steps, "revoke it in the provider's own console")
	if link != "" {
		hint += ": " + link
	}
	return hint
}
