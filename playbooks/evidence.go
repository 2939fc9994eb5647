package playbooks

// Actions of which one destroys what the other preserves.
const (
	kills    = "agent.stop"
	captures = "evidence.capture"
)

// checkEvidence refuses a playbook that kills the agent without waiting for its evidence. What a record
// says was begun is not held to it: there the step itself waits.
func (p *parser) checkEvidence(b Playbook) {
	steps := make(map[string]Step)
	for _, s := range b.Steps() {
		steps[s.ID] = s
	}
	for _, s := range b.Steps() {
		if s.Uses == kills && !waitsFor(s, captures, steps) {
			p.fail(s.Line, "step %q kills the agent and destroys evidence that nothing before it captures: it needs a step that uses %s", s.ID, captures)
		}
	}
}

// waitsFor reports whether a step needs, directly or through others, one that uses an action.
func waitsFor(s Step, action string, steps map[string]Step) bool {
	for id, other := range steps {
		if other.Uses == action && reaches(s.ID, id, steps) {
			return true
		}
	}
	return false
}
