package actions

import (
	"context"
	"errors"
	"fmt"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// ErrNoSecrets means that the desk keeps no secret of an incident.
var ErrNoSecrets = errors.New("no secret of it is kept")

// Kept is a credential whose secret the desk keeps.
type Kept struct {
	*incident.Credential
	Provable bool // a probe can tell whether it lives
	Named    bool // without its secret, too, its provider can be asked about it, with an authority
}

// Kept lists what the desk still keeps the secrets of, in the order of discovery. With an error some
// could not be opened; with ErrNoSecrets there are none.
func (r *Response) Kept() ([]Kept, error) {
	r.Actions()
	defer r.vault.close()
	if there, err := r.vault.there(); err != nil || !there {
		return nil, errors.Join(err, ErrNoSecrets)
	}
	secrets, err := r.vault.load()
	var all []Kept
	for _, c := range r.Before.State.Credentials {
		if _, ok := secrets[c.Fingerprint]; ok {
			byName := c.Credential
			byName.Secret = credential.Secret{}
			all = append(all, Kept{c, r.judges(byName), r.canProbe(byName)})
		}
	}
	return all, err
}

// Forget wipes the kept secrets before their time, which somebody decided: from then on nobody can
// ask about what was known by its secret alone. That is on record, durably, before anything is wiped.
func (r *Response) Forget(ctx context.Context, j *journal.Journal, kept []Kept, by, why string) (incident.State, error) {
	r.Actions()
	defer r.vault.close()
	always := context.WithoutCancel(ctx)
	out := incident.Forgotten{By: by, Why: why, Kept: len(kept)}
	for _, k := range kept {
		if k.Life != credential.Dead {
			out.Undead = append(out.Undead, k.Fingerprint)
		}
	}
	r.Before.Resumed.For = incident.ToForget
	if err := j.Append(always, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, fmt.Errorf("nothing was wiped: %w", err)
	}
	r.warnBefore(notesOf{j})
	wiped := j.Append(always, incident.TypeForgotten, out)
	if wiped != nil {
		wiped = fmt.Errorf("nothing was wiped: %w", wiped)
	} else if wiped = r.vault.wipe(); wiped != nil {
		notesOf{j}.Note(incident.TypeWarning, incident.Warning{Text: wiped.Error(), Hint: "remove keys/" + vaultName + " and keys/" + vaultKeyName + " by hand", Grave: true})
	}
	s, err := r.conclude(always, j)
	return s, errors.Join(wiped, err)
}
