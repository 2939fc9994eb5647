package actions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// lastRecheck is how long after the last death the kept secrets are still of use: what is dead then
// does not come back, and they are wiped. An hour less than a day, so that a job that runs once a day
// meets it.
const lastRecheck = 23 * time.Hour

// ErrNothingKept means that there is nothing with which a death could be checked again.
var ErrNothingKept = errors.New("no credential on record can be probed again")

// Recheck asks the providers again about every credential that is on record as dead, or of which it
// is not known, as once they were revoked: nothing is sent but the providers' reads, of which the
// caller makes sure. The record is taken up and closed again, with the deaths proved anew or what
// lives. unasked counts those that a probe could judge, and whose secret nobody has any more.
func (r *Response) Recheck(ctx context.Context, j *journal.Journal) (_ incident.State, unasked int, _ error) {
	r.Actions()
	defer r.vault.close()
	always := context.WithoutCancel(ctx)
	kept, err := r.secrets(ctx)
	if err != nil {
		return r.Before.State, 0, err
	}
	var again []credential.Credential
	silent := 0
	for _, c := range r.Before.State.Credentials {
		known := c.Credential
		known.Secret = kept[c.Fingerprint]
		switch {
		case !recheckable(c):
		case !r.judges(known):
			silent++
		case !r.canProbe(known):
			unasked++
		default:
			again = append(again, known)
		}
	}
	if len(again) == 0 {
		return r.Before.State, unasked, ErrNothingKept
	}
	r.Before.Resumed.For = incident.ToRecheck
	if err := record(always, j, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, unasked, err
	}
	rec := notesOf{j}
	r.warnBefore(rec)
	for why, n := range map[string]int{"the secret was not kept": unasked, "no probe can tell": silent} {
		if n > 0 {
			rec.Note(incident.TypeWarning, incident.Warning{
				Text: fmt.Sprintf("%s not checked again: %s", plural(n, "credential was", "credentials were"), why),
				Hint: "look at the provider's own console whether it is gone"})
		}
	}
	sweep := &revoke.Sweep{
		Providers: r.Providers, Clock: r.Clock, Ledger: ledger{r: r, rec: rec},
		Past: func(f credential.Fingerprint) revoke.Past {
			past := r.past(f)
			past.Accepted, past.Unsure, past.Overdue = true, false, false // nothing is revoked, all is proved
			return past
		},
	}
	found := make(chan credential.Credential, len(again))
	for _, c := range again {
		found <- c
	}
	close(found)
	sweep.Run(ctx, found)
	interrupted(always, context.Cause(ctx), j)
	s, err := r.conclude(always, j)
	return s, unasked, err
}

// warnBefore records on what other terms than before the record is taken up.
func (r *Response) warnBefore(rec noter) {
	for _, w := range r.Before.Warnings {
		rec.Note(incident.TypeWarning, w)
	}
}

// secrets are those that the desk kept. Where desk and target are one machine it kept none: what is
// still there is found again, and taken for what it was by its fingerprint.
func (r *Response) secrets(ctx context.Context) (map[credential.Fingerprint]credential.Secret, error) {
	kept, err := r.vault.load()
	if err != nil || r.Host.Remote() {
		return kept, err
	}
	if kept == nil {
		kept = make(map[credential.Fingerprint]credential.Secret)
	}
	_, err = r.Host.Discover(ctx, func(f discover.Found) {
		if c := Credential(r.Key, f); r.before(c.Fingerprint) != nil {
			kept[c.Fingerprint] = c.Secret
		}
	})
	if err != nil && ctx.Err() != nil {
		return kept, err
	}
	return kept, nil // without the target, what is known by its reference alone can still be asked about
}

// recheckable reports whether there is a death to check again, or one that may have come since.
func recheckable(c *incident.Credential) bool {
	return slices.Contains([]credential.Life{credential.Dead, credential.Alive, credential.Unverified, credential.Propagating, credential.Accepted}, c.Life)
}

// judges reports whether a probe can tell if such a credential lives.
func (r *Response) judges(c credential.Credential) bool {
	kind, known := r.kindOf(c)
	return known && kind.Unverifiable == ""
}

func (r *Response) canProbe(c credential.Credential) bool {
	kind, _ := r.kindOf(c)
	return !c.Secret.Empty() || kind.ByRef && c.Ref["id"] != ""
}

func (r *Response) kindOf(c credential.Credential) (revoke.KindInfo, bool) {
	p := r.Providers[c.Provider]
	if p == nil {
		return revoke.KindInfo{}, false
	}
	return p.Info().Kind(c.Kind)
}

// Stands says how the credentials of an incident stand, as an exit code, whatever else became of the
// response: what a later check is asked for. A death that it could not look at again is unproved.
func Stands(s incident.State, unasked int) int {
	code := incident.ExitContained
	if unasked > 0 {
		code = incident.ExitUnproved
	}
	for _, c := range s.Credentials {
		switch c.Life {
		case credential.Dead, credential.Skipped:
		case credential.Unverified, credential.Accepted, credential.Propagating:
			if code != incident.ExitPartial {
				code = incident.ExitUnproved
			}
		case credential.Manual:
			if code == incident.ExitContained {
				code = incident.ExitManual
			}
		default:
			code = incident.ExitPartial
		}
	}
	return code
}

// wipeable reports whether the kept secrets are of no more use.
func (r *Response) wipeable(s incident.State) bool {
	if !allDead(s) {
		return false
	}
	if s.Declared.Mode != incident.Real || !r.keeps() {
		return true
	}
	for _, c := range s.Credentials {
		if r.Clock.Now().Sub(c.DiedAt) < lastRecheck {
			return false
		}
	}
	return true
}
