package playbooks

import "slices"

// Check checks a playbook that was not parsed, such as one that was rebuilt from a record, by the
// rules of Parse. file is what its errors name.
func Check(file string, b Playbook, actions []string) error {
	p := parser{file: file, actions: slices.Sorted(slices.Values(actions))}
	if b.Name == "" || b.Title == "" || len(b.Phases) == 0 {
		p.fail(1, "a playbook needs name, title and phases")
	}
	for _, phase := range b.Phases {
		if phase.ID == "" || phase.Title == "" || len(phase.Steps) == 0 {
			p.fail(phase.Line, "a phase needs id, title and steps")
		}
		for _, s := range phase.Steps {
			p.checkStep(s)
		}
	}
	if len(p.errs) == 0 {
		p.check(b)
	}
	return p.err()
}

func (p *parser) checkStep(s Step) {
	if s.ID == "" || s.Title == "" || s.Uses == "" {
		p.fail(s.Line, "a step needs id, title and uses")
	}
	for _, word := range []struct {
		what, is string
		known    []string
	}{{"action", s.Uses, p.actions}, {"gate", s.Gate, gates}, {"on_failure", s.OnFailure, afterFailure}} {
		if !slices.Contains(word.known, word.is) {
			p.fail(s.Line, "there is no %s %q%s", word.what, word.is, p.meant(word.is, word.known))
		}
	}
	if s.Approvals < 0 || s.Approvals > maxApprovals {
		p.fail(s.Line, "a number from 0 to %d belongs here, not %d", maxApprovals, s.Approvals)
	}
	if s.Deadline < 0 {
		p.fail(s.Line, "a duration such as 90s or 5m belongs here, not %q", s.Deadline)
	}
}
