package playbooks

import "slices"

// Facts that hold on few desks. A step that asks for one that does not hold is not shown at all.
const (
	// OnPlatform holds where the desk is configured to reach what the machine runs on.
	OnPlatform = "platform"
	// OnHoster holds where the machine is reached over the network, and the desk does not reach what it
	// runs on: a person has to.
	OnHoster = "hoster"
)

// Where returns the playbook without the steps that ask for a platform or a hoster where there is
// none. Other conditions stay: why a step is left out is on record.
func (p Playbook) Where(facts map[string]bool) Playbook {
	gone := make(map[string]bool)
	for _, s := range p.Steps() {
		c := s.When
		gone[s.ID] = c.Choice == "" && (c.Fact == OnPlatform || c.Fact == OnHoster) && facts[c.Fact] == c.Not
	}
	var phases []Phase
	for _, phase := range p.Phases {
		steps := slices.DeleteFunc(slices.Clone(phase.Steps), func(s Step) bool { return gone[s.ID] })
		for i := range steps {
			steps[i].Needs = slices.DeleteFunc(slices.Clone(steps[i].Needs), func(need string) bool { return gone[need] })
		}
		if phase.Steps = steps; len(steps) > 0 {
			phases = append(phases, phase)
		}
	}
	p.Phases = phases
	return p
}
