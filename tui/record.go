package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// What the console remembers of a record beyond its state. The record itself has the rest.
const (
	maxLog    = 2000 // lines
	maxProbes = 200  // of one credential
)

// record is the incident's record as far as it was read.
type record struct {
	incident.State
	log       []logLine
	forgotten int // lines before them
	probes    map[credential.Fingerprint][]probe
	byHand    map[credential.Fingerprint]bool // a person did it, and the proof is under way
	read      uint64                          // entries
	widest    boardColumns                    // that was shown
	over      bool                            // there will be no further entry
	broken    error                           // why it cannot be read further
}

type logLine struct {
	at         time.Time
	word, text string
	entry      journal.Entry
}

type probe struct {
	at time.Time
	incident.Probe
	baseline bool
}

func newRecord() *record {
	return &record{probes: make(map[credential.Fingerprint][]probe), byHand: make(map[credential.Fingerprint]bool)}
}

func (r *record) add(e journal.Entry) {
	r.State = incident.Fold(r.State, e)
	r.read++
	switch e.Type {
	case incident.TypeFound:
		var f incident.Found
		if e.Decode(&f) == nil {
			r.widest.hold(f.Credential.Provider, f.Credential.Masked)
		}
	case incident.TypeSearched:
		if r.Searched != nil {
			for _, h := range r.Searched.Harmless {
				r.widest.hold(h.Provider, h.Masked)
			}
		}
	case incident.TypeBaseline, incident.TypeProbe:
		p := probe{at: e.Time, baseline: e.Type == incident.TypeBaseline}
		if e.Decode(&p.Probe) == nil {
			r.probes[p.Fingerprint] = tail(append(r.probes[p.Fingerprint], p), maxProbes)
		}
	case incident.TypeCommand:
		var c incident.Command
		if e.Decode(&c) == nil && c.Kind == incident.ByHand {
			r.byHand[c.Credential] = true
		}
	case incident.TypeLife:
		var l incident.Life
		if e.Decode(&l) == nil {
			delete(r.byHand, l.Fingerprint)
		}
	}
	if word, text, ok := incident.Line(r.State, e); ok {
		before := len(r.log) + 1
		r.log = tail(append(r.log, logLine{e.Time, word, text, e}), maxLog)
		r.forgotten += before - len(r.log)
	}
}

// tail keeps the last n, and moves them only now and then.
func tail[T any](all []T, n int) []T {
	if len(all) < 2*n {
		return all
	}
	return slices.Clone(all[len(all)-n:])
}

// active reports whether a response goes on that takes commands.
func (r *record) active() bool { return !r.over && r.Exit == nil && r.broken == nil }

// ended says why nothing can be asked of the response any more, and "" while it runs.
func (r *record) ended() string {
	switch {
	case r.broken != nil:
		return "the record cannot be read further"
	case !r.active():
		return "the response has ended"
	}
	return ""
}

// need is something that waits for a person: a question, a step that others have to approve, or a
// credential that they have to revoke.
type need struct {
	question *incident.Question
	approval *incident.Approval
	manual   *incident.Credential
}

func (n need) key() itemKey {
	switch {
	case n.question != nil:
		return itemKey{kind: 'q', id: n.question.ID}
	case n.approval != nil:
		return itemKey{kind: 'a', id: n.approval.Step}
	}
	return itemKey{kind: 'm', id: string(n.manual.Fingerprint)}
}

// needs lists what waits for a person, without the questions whose answer is on its way.
func (r *record) needs(answered map[string]bool) []need {
	var out []need
	if r.active() {
		for i := range r.Open {
			if !answered[r.Open[i].ID] {
				out = append(out, need{question: &r.Open[i]})
			}
		}
		for _, a := range r.Pending() {
			out = append(out, need{approval: a})
		}
	}
	for _, c := range r.Credentials {
		if c.Life == credential.Manual && !r.byHand[c.Fingerprint] {
			out = append(out, need{manual: c})
		}
	}
	return out
}

// board lists the credentials that match filter, those in trouble first. What is under way keeps
// its order, so that rows do not dance.
func (r *record) board(filter string) []*incident.Credential {
	words := strings.Fields(strings.ToLower(filter))
	shown := r.Credentials
	if len(words) > 0 {
		shown = slices.DeleteFunc(slices.Clone(shown), func(c *incident.Credential) bool { return !matches(c, words) })
	}
	var from [urgencies + 1]int // where each kind begins
	for _, c := range shown {
		from[urgency(c)+1]++
	}
	for i := range urgencies {
		from[i+1] += from[i]
	}
	out := make([]*incident.Credential, len(shown))
	for _, c := range shown {
		u := urgency(c)
		out[from[u]] = c
		from[u]++
	}
	return out
}

func matches(c *incident.Credential, words []string) bool {
	text := c.Provider + " " + c.Masked + " " + c.Kind + " " + credMark(c).word + " " + c.Owner + " " + c.Principal + " " + doubtWords[c.Doubt] + " " + c.Other
	if c.Inventory != nil {
		text += " " + c.Inventory.About()
	}
	return holds(text, words)
}

// harmless lists what there is nothing to revoke of, and matches filter.
func (r *record) harmless(filter string) (out []*incident.Harmless) {
	if r.Searched == nil {
		return nil
	}
	words := strings.Fields(strings.ToLower(filter))
	for i, h := range r.Searched.Harmless {
		if holds(h.Provider+" "+h.Masked+" "+h.Kind+" "+harmlessMark.word+" "+h.Doubt+" "+h.Source.Path, words) {
			out = append(out, &r.Searched.Harmless[i])
		}
	}
	return out
}

// holds reports whether a text holds every one of some words.
func holds(text string, words []string) bool {
	text = strings.ToLower(text)
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func urgency(c *incident.Credential) int {
	if c.Indeterminate {
		return 2
	}
	switch c.Life {
	case credential.Alive:
		return 0
	case credential.Failed:
		return 1
	case credential.Unverified:
		return 2
	case credential.Manual: // it stands above the board already
		return 4
	case credential.Dead:
		return 5
	case credential.Skipped:
		return 6
	}
	return 3
}

const urgencies = 7

// lived is how long a credential has been usable since it was found.
func (r *record) lived(c *incident.Credential, now time.Time) time.Duration {
	if c.Life == credential.Dead {
		return c.DiedAt.Sub(c.FoundAt)
	}
	return r.until(now).Sub(c.FoundAt)
}

// until is the time up to which the clocks of the screen count.
func (r *record) until(now time.Time) time.Time {
	if r.Exit != nil {
		return r.ClosedAt
	}
	return now
}

// status adds up the steps of a phase: what fails or runs counts before what is done.
func (r *record) status(phase incident.PlanPhase) string {
	seen := make(map[string]int)
	for _, p := range phase.Steps {
		seen[r.stepStatus(p.ID)]++
	}
	switch n := len(phase.Steps); {
	case seen[incident.Failed] > 0:
		return incident.Failed
	case seen[asking] > 0: // before what runs: somebody has to act
		return asking
	case seen[approving] > 0:
		return approving
	case seen[incident.Running] > 0:
		return incident.Running
	case seen[incident.Waiting] == n:
		return incident.Waiting
	case seen[incident.Skipped] == n:
		return incident.Skipped
	case seen[incident.Waiting] > 0:
		return incident.Running // begun, and not at its end
	}
	return incident.Done
}

// question is the oldest question that waits for its answer; nil for none.
func (r *record) question(answered map[string]bool) *incident.Question {
	if !r.active() {
		return nil
	}
	for i := range r.Open {
		if !answered[r.Open[i].ID] {
			return &r.Open[i]
		}
	}
	return nil
}

func (r *record) stepStatus(id string) string {
	if r.active() && slices.ContainsFunc(r.Open, func(q incident.Question) bool { return q.Step == id }) {
		return asking
	}
	if r.active() && slices.ContainsFunc(r.Pending(), func(a *incident.Approval) bool { return a.Step == id }) {
		return approving
	}
	if s := r.Steps[id]; s != nil {
		return s.Status
	}
	return incident.Waiting
}

// running lists the titles of the steps under way.
func (r *record) running() []string {
	var out []string
	for _, phase := range r.Plan.Phases {
		for _, p := range phase.Steps {
			if r.stepStatus(p.ID) == incident.Running {
				out = append(out, p.Title)
			}
		}
	}
	return out
}

// sent counts the answers that were sent and are not on record yet.
func (r *record) sent(answered map[string]bool) int {
	n := 0
	for _, q := range r.Open {
		if answered[q.ID] {
			n++
		}
	}
	return n
}

// approvals says how the approval of a step stands, and "" where it needs none.
func (r *record) approvals(step string) string {
	a := r.Approvals[step]
	if a == nil {
		return ""
	}
	var by []string
	for _, given := range a.Given {
		by = append(by, given.By)
	}
	text := fmt.Sprintf("%d of %d", len(a.Given), a.Needs)
	if len(by) > 0 {
		text += ", by " + strings.Join(by, ", ")
	}
	if a.Broken != nil {
		text += "; " + a.Broken.By + " broke the glass: " + a.Broken.Reason
	}
	return text
}
