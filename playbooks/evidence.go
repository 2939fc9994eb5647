package playbooks

// Actions of which one destroys what the other preserves.
const (
	kills    = "agent.stop"
	captures = "evidence.capture"
	revokes  = "credentials.revoke"
)

// imagesMemory reports whether a step takes the part of the evidence that is optional. An image takes long, so
// it is none that a kill waits for, and comes after the revocation.
func imagesMemory(s Step) bool { return s.Uses == captures && s.With["part"] == "memory" }

// checkEvidence refuses a playbook that kills the agent without waiting for its evidence. What a record
// says was begun is not held to it: there the step itself waits.
func (p *parser) checkEvidence(b Playbook) {
	steps := make(map[string]Step)
	for _, s := range b.Steps() {
		steps[s.ID] = s
	}
	for _, s := range b.Steps() {
		if s.Uses == kills && !waitsFor(s, steps, func(o Step) bool { return o.Uses == captures && !imagesMemory(o) }) {
			p.fail(s.Line, "step %q kills the agent and destroys evidence that nothing before it captures: it needs a step that uses %s", s.ID, captures)
		}
		if imagesMemory(s) && !waitsFor(s, steps, func(o Step) bool { return o.Uses == revokes }) {
			p.fail(s.Line, "step %q images the memory while the credentials are alive: it needs a step that uses %s", s.ID, revokes)
		}
	}
}

// waitsFor reports whether a step needs, directly or through others, one of a kind.
func waitsFor(s Step, steps map[string]Step, kind func(Step) bool) bool {
	for id, other := range steps {
		if kind(other) && reaches(s.ID, id, steps) {
			return true
		}
	}
	return false
}
