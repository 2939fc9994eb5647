package engine

import (
	"slices"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// resume takes over from the run whose record this one goes on with: it fills done with the steps
// that stand, and returns the others.
func (e *Engine) resume(done map[string]settled) (waiting []playbooks.Step) {
	e.mu.Lock()
	e.asked = e.Resumed.Asked
	e.choices = make(map[string]string)
	for _, s := range e.Playbook.Steps() {
		if step := e.Resumed.Steps[s.ID]; step != nil && step.Status == incident.Done {
			e.choices[s.ID] = e.Resumed.Decisions[s.ID].Choice
		}
	}
	e.mu.Unlock()
	for _, s := range e.Playbook.Steps() {
		if e.Stands(s) {
			done[s.ID] = settled{id: s.ID, status: e.Resumed.Steps[s.ID].Status}
		} else {
			waiting = append(waiting, s)
		}
	}
	return waiting
}

// Stands reports whether a step of the run before needs nothing more: it is done, or a person or its
// condition left it out. What failed is tried again, and so is what was skipped because of that; an
// intent without an outcome says nothing of how far the step came. In a new run nothing stands.
func (e *Engine) Stands(s playbooks.Step) bool {
	if e.Resumed == nil {
		return false
	}
	step := e.Resumed.Steps[s.ID]
	switch {
	case step == nil:
		return false
	case step.Status == incident.Done:
		r, ok := e.Actions[s.Uses].(Repeater)
		return !ok || !r.Repeat(s)
	case step.Status != incident.Skipped || step.Outcome.Needed != "":
		return false
	case !step.Began.IsZero(): // its action found nothing to do: the world may have changed, a refusal has not
		return e.Resumed.Decisions[s.ID].Choice == incident.No
	case s.When.Choice != "" && e.Resumed.Steps[s.When.Fact] != nil:
		return e.Resumed.Steps[s.When.Fact].Status == incident.Done // nobody had decided
	}
	return true
}

// allowedBefore reports whether a step that is repeated was allowed before and can be undone: nobody is
// asked for that twice.
func (e *Engine) allowedBefore(s playbooks.Step) bool {
	if e.Resumed == nil || s.Irreversible != "" {
		return false
	}
	step := e.Resumed.Steps[s.ID]
	return step != nil && step.Status == incident.Done
}

// said returns the answer that a person gave to this very question before the step that asked it
// died. Only what they decided or recorded stands: whether to go on depends on how things are now.
// What they wrote stands also where their step has ended, with other questions left open.
func (e *Engine) said(q incident.Question) (incident.Answer, bool) {
	if e.Resumed == nil {
		return incident.Answer{}, false
	}
	if q.Kind == incident.Written {
		return e.wrote(q)
	}
	if q.Kind != incident.Guide && q.Kind != incident.Choice {
		return incident.Answer{}, false
	}
	step := e.Resumed.Steps[q.Step]
	if step == nil || step.Status != incident.Running {
		return incident.Answer{}, false
	}
	for _, before := range slices.Backward(e.Resumed.Answered) {
		if before.Step == q.Step && !before.At.Before(step.Began) && same(before.Question, q) && fits(q, before.Answer) {
			return before.Answer, true
		}
	}
	return incident.Answer{}, false
}

// wrote returns what a person wrote in answer to this very question in an earlier run.
func (e *Engine) wrote(q incident.Question) (incident.Answer, bool) {
	for _, before := range slices.Backward(e.Resumed.Answered) {
		if a := before.Answer; before.Step == q.Step && a.Choice == incident.Yes && same(before.Question, q) && fits(q, a) {
			return a, true
		}
	}
	return incident.Answer{}, false
}

// same reports whether two questions ask the same.
func same(a, b incident.Question) bool {
	return a.Kind == b.Kind && a.Title == b.Title && slices.Equal(a.Text, b.Text) && slices.Equal(a.Options, b.Options)
}
