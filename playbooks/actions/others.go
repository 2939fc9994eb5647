package actions

import (
	"context"
	"fmt"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// othersWait bounds the search for what other users keep.
const othersWait = 10 * time.Minute

// others finds what other users keep on a host that is lost, and hands it to the sweep once somebody
// has said so: none of it is the agent's.
func (r *Response) others(ctx context.Context, s playbooks.Step, rec engine.Recorder) error {
	if r.HostLost {
		return engine.Skipped{Reason: "the host was declared lost before: the search found them with the others"}
	}
	rec.Note(incident.TypeHostLost, incident.HostLost{Why: s.When.String()})
	due, failed := r.findOthers(ctx, rec)
	if len(due) > 0 {
		a, err := rec.Ask(ctx, r.askOthers(due))
		if err != nil {
			return err
		}
		if a.Choice != incident.Yes {
			r.leaveAlone(due, rec)
			return engine.Skipped{Reason: "left alone by " + a.By}
		}
		for _, c := range due {
			r.dispatch(c, r.before(c.Fingerprint), r.late.rec)
		}
	}
	switch {
	case failed != nil:
		return failed
	case len(due) == 0:
		return engine.Skipped{Reason: "no other user keeps a credential where the search looks"}
	}
	return nil
}

// findOthers puts what other users keep on record, and returns what of it is to be revoked.
func (r *Response) findOthers(ctx context.Context, rec engine.Recorder) (due []credential.Credential, err error) {
	ctx, cancel := engine.WithDeadline(ctx, r.Clock, othersWait)
	defer cancel()
	finds := newIntake(func(batch []discover.Found) {
		due = append(due, r.note(slices.DeleteFunc(batch, func(f discover.Found) bool { return f.Other == "" || f.Doubt.Harmless() }), rec)...)
	})
	defer finds.end()
	summary, err := r.Host.DiscoverAll(ctx, finds.put)
	finds.end()
	if err != nil {
		return due, hinted{err: fmt.Errorf("search %s for other users' credentials: %w", r.Host.Name(), err),
			hint: "what belongs to other users is listed with the search: have each of them revoke it"}
	}
	r.haveSearchedAll(summary, rec)
	return due, nil
}

// haveSearchedAll adds to what is on record of the search how it went for other users.
func (r *Response) haveSearchedAll(summary discover.Summary, rec noter) {
	r.mu.Lock()
	var out incident.Searched
	switch {
	case r.extent != nil:
		out = *r.extent
	case r.Before != nil && r.Before.State.Searched != nil:
		out = *r.Before.State.Searched
	}
	r.mu.Unlock()
	out.Apart, out.Problems = nil, slices.Clone(out.Problems)
	for _, p := range summary.Apart {
		out.Apart = append(out.Apart, p.Path+": "+p.Reason)
	}
	for _, p := range summary.Problems {
		text := p.Path + ": " + p.Reason
		if !slices.Contains(summary.Deferred, p.Path) && !slices.Contains(out.Problems, text) { // the first search dealt with the databases
			out.Problems = append(out.Problems, text)
		}
	}
	out.Problems, out.Apart = bounded(out.Problems), bounded(out.Apart)
	r.haveSearched(out, rec)
}

// askOthers asks for what cannot be undone.
func (r *Response) askOthers(due []credential.Credential) incident.Question {
	count := make(map[string]int)
	for _, c := range due {
		count[c.Provider]++
	}
	lines := []string{"Whoever owns the host could read what its users keep there. None of these is the agent's: tell the users."}
	seen := make(map[string]bool)
	for _, c := range due {
		if !seen[c.Provider] {
			seen[c.Provider] = true
			lines = append(lines, fmt.Sprintf("%s: %s", c.Provider, plural(count[c.Provider], "credential", "credentials")))
		}
	}
	if breaks := r.breaks(due); breaks != "" {
		lines = append(lines, breaks)
	}
	return incident.Question{Kind: incident.Typed, Title: fmt.Sprintf("Revoke %s of other users", plural(len(due), "credential", "credentials")),
		Text: lines, Type: fmt.Sprintf("revoke %d", len(due))}
}

// leaveAlone records that a person decided against it.
func (r *Response) leaveAlone(all []credential.Credential, rec noter) {
	for _, c := range all {
		r.mu.Lock()
		r.late.known[c.Fingerprint] = c // so that the decision can be taken back
		r.mu.Unlock()
		r.live(incident.Life{Fingerprint: c.Fingerprint, Life: credential.Skipped, Reason: incident.ReasonDecision, Error: revoke.ErrDecision.Error()}, rec)
	}
}
