package actions

import (
	"context"
	"iter"
	"slices"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// Before is what the record holds of the runs before a resumed one.
type Before struct {
	State   incident.State
	Resumed incident.Resumed // who takes it up
	// Warnings are recorded first: on what other terms than before the run goes on.
	Warnings []incident.Warning

	past  map[credential.Fingerprint]*revoke.Past
	skip  map[credential.Fingerprint]bool // left alone by a decision
	taken map[credential.Fingerprint]bool // of those, whose revocation was taken back
}

// Recall reads what a record holds of earlier runs.
func Recall(entries iter.Seq2[journal.Entry, error], by incident.Resumed) (*Before, error) {
	b := &Before{
		Resumed: by, past: make(map[credential.Fingerprint]*revoke.Past),
		skip: make(map[credential.Fingerprint]bool), taken: make(map[credential.Fingerprint]bool),
	}
	var err error
	b.State, err = incident.FoldAll(func(yield func(journal.Entry, error) bool) {
		for e, err := range entries {
			if err == nil {
				b.recall(e)
			}
			if !yield(e, err) {
				return
			}
		}
	})
	return b, err
}

func (b *Before) of(f credential.Fingerprint) *revoke.Past {
	p := b.past[f]
	if p == nil {
		p = new(revoke.Past)
		b.past[f] = p
	}
	return p
}

// recall takes in what an entry says of a credential. Data that does not decode is a warning of the
// fold.
func (b *Before) recall(e journal.Entry) {
	switch e.Type {
	case incident.TypeBaseline, incident.TypeProbe:
		if v, ok := decoded[incident.Probe](e); ok {
			for _, o := range []revoke.Outcome{revoke.Alive, revoke.Refused} {
				if v.Outcome == o.String() {
					b.of(v.Fingerprint).Saw(o)
				}
			}
		}
	case incident.TypeRevoke:
		if v, ok := decoded[incident.Revoke](e); ok {
			b.of(v.Fingerprint).Intended()
			b.skip[v.Fingerprint], b.taken[v.Fingerprint] = false, false
		}
	case incident.TypeReceipt:
		if v, ok := decoded[incident.Receipt](e); ok {
			b.of(v.Fingerprint).Received(revoke.Receipt{Answer: v.Answer, Already: v.Already, Did: v.Did, Left: v.Left})
		}
	case incident.TypeLife:
		if v, ok := decoded[incident.Life](e); ok {
			b.became(v)
		}
	case incident.TypeUndo:
		if v, ok := decoded[incident.Undo](e); ok { // nobody wants it revoked again without being asked
			b.of(v.Fingerprint).Accepted, b.of(v.Fingerprint).Unsure = true, false
		}
	case incident.TypeUndone:
		if v, ok := decoded[incident.Undone](e); ok && v.Error == "" {
			*b.of(v.Fingerprint) = revoke.Past{SeenAlive: b.of(v.Fingerprint).SeenAlive}
			b.skip[v.Fingerprint], b.taken[v.Fingerprint] = true, true
		}
	case incident.TypeCommand:
		if v, ok := decoded[incident.Command](e); ok && v.Credential != "" && v.Kind != incident.TakeBack {
			b.told(v)
		}
	}
}

func (b *Before) became(l incident.Life) {
	b.of(l.Fingerprint).Became(l.Life)
	b.skip[l.Fingerprint] = l.Life == credential.Skipped && l.Reason == incident.ReasonDecision
	b.taken[l.Fingerprint] = b.taken[l.Fingerprint] && b.skip[l.Fingerprint]
}

// told takes in a command, which stands although the run that took it may have died before it obeyed. It
// may have been refused as well, so what was taken back is not revoked by it: a person is to ask again.
func (b *Before) told(c incident.Command) {
	if b.taken[c.Credential] {
		return
	}
	p := b.of(c.Credential)
	b.skip[c.Credential] = c.Kind == incident.Skip
	switch c.Kind {
	case incident.ByHand:
		p.Received(revoke.Receipt{Already: true}) // no provider said that it was alive
	case incident.Retry:
		p.Accepted = false
	}
}

func decoded[T any](e journal.Entry) (v T, ok bool) {
	err := e.Decode(&v)
	return v, err == nil
}

// settled reports whether nothing more is to be done here about a credential on record: it is dead,
// left alone by a decision, or the responder's own, to be rotated elsewhere.
func (b *Before) settled(c *incident.Credential) bool {
	switch c.Life {
	case credential.Dead:
		return true
	case credential.Skipped:
		return b.skip[c.Fingerprint]
	}
	return c.Life == credential.Manual && c.Reason == incident.ReasonRisk
}

// Undead counts the credentials on record about which something is left to do.
func (b *Before) Undead() int {
	n := 0
	for _, c := range b.State.Credentials {
		if !b.settled(c) {
			n++
		}
	}
	return n
}

// before is what is on record of a credential from earlier runs, or nil.
func (r *Response) before(f credential.Fingerprint) *incident.Credential {
	if r.Before == nil {
		return nil
	}
	return r.Before.State.Credential(f)
}

// past is what the sweep has to know of a credential's earlier life.
func (r *Response) past(f credential.Fingerprint) (past revoke.Past) {
	if r.Before != nil && r.Before.past[f] != nil {
		past = *r.Before.past[f]
	}
	if _, undone := r.late.undone.Load(f); undone { // and wanted dead again
		past.Accepted, past.Unsure, past.Overdue = false, false, false
	}
	if _, revoked := r.late.revoked.Load(f); revoked {
		_, alive := r.late.seenAlive.Load(f)
		past.Accepted, past.Unsure, past.Overdue, past.SeenAlive = true, false, false, past.SeenAlive || alive
	}
	return past
}

// died reports whether a step of the run before had begun and has no outcome: nobody knows how far
// it came.
func (r *Response) died(s playbooks.Step) bool {
	if r.Before == nil {
		return false
	}
	step := r.Before.State.Steps[s.ID]
	return step != nil && step.Status == incident.Running
}

// recollect takes over from the runs before, before the first step of this one begins: what was
// found, what is kept of it, and what has to be searched for again.
func (r *Response) recollect(e *engine.Engine) {
	if r.Before == nil {
		return
	}
	e.Resumed = &r.Before.State
	for _, w := range r.Before.Warnings {
		_ = e.Journal.Note(incident.TypeWarning, w)
	}
	kept, err := r.vault.load()
	if err != nil {
		_ = e.Journal.Note(incident.TypeWarning, incident.Warning{Text: err.Error(),
			Hint: "what is not found on the host again has to be revoked in the provider's own console"})
	}
	notes := notesOf{e.Journal}
	for _, c := range r.Before.State.Credentials {
		r.recallInventory(c, notes)
		known := c.Credential
		known.Secret = kept[c.Fingerprint]
		if r.Before.settled(c) || r.held(c) || known.Secret.Empty() && !byGateway(c) {
			continue
		}
		r.seen[c.Fingerprint] = true
		r.dispatch(known, c, notes)
	}
	search := slices.ContainsFunc(e.Playbook.Steps(), func(s playbooks.Step) bool {
		return s.Uses == "credentials.discover" && !e.Stands(s)
	})
	r.again = search || r.Before.Undead() > 0
	if !r.again { // the step that revokes stands: what is added needs a sweep of its own
		r.queue.end()
	}
	if !search {
		r.searchOver(notes)
	}
}

// held reports whether a credential on record is another user's, and nobody has said yet that it is
// to be revoked.
func (r *Response) held(c *incident.Credential) bool {
	return c.Other != "" && c.Life == credential.Found && !r.HostLost
}

// byGateway reports whether the agent's own gateway issued a credential on record.
func byGateway(c *incident.Credential) bool { return gatewayKind(c.Kind) && c.Unresolved == "" }

// missing lists the credentials on record whose secret is neither kept nor found again yet.
func (r *Response) missing() (list []*incident.Credential) {
	if r.Before == nil {
		return nil
	}
	for _, c := range r.Before.State.Credentials {
		if !r.seen[c.Fingerprint] && !r.Before.settled(c) && !r.held(c) {
			list = append(list, c)
		}
	}
	return list
}

// searchOver says that no further credential is found. What is on record and was neither kept nor
// found again goes to the sweep as it is: without its secret it cannot be probed, and a person has
// to see to it.
func (r *Response) searchOver(rec noter) {
	r.mu.Lock()
	missing := r.missing()
	for _, c := range missing {
		r.seen[c.Fingerprint] = true
	}
	r.mu.Unlock()
	for _, c := range missing {
		r.dispatch(c.Credential, c, rec)
	}
	close(r.searched)
	r.queue.close()
}

// noter is what of an engine.Recorder it takes to write things down.
type noter interface {
	Note(typ string, data any)
}

// notesOf records what belongs to no step.
type notesOf struct{ j *journal.Journal }

func (n notesOf) Note(typ string, data any) {
	if err := n.j.Note(typ, data); err != nil {
		_ = n.j.Note(incident.TypeWarning, incident.Warning{Text: err.Error(), Grave: true})
	}
}

func (n notesOf) Intent(ctx context.Context, typ string, data any) error {
	return record(ctx, n.j, typ, data)
}
