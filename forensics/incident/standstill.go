package incident

import (
	"slices"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// changesHost lists the actions that change the machine under response. Half of one is worse than
// all of it or none.
var changesHost = []string{"agent.freeze", "agent.stop", "host.isolate"}

// InFlight names a change that was sent and has not been answered, so that nothing may stop the
// process now: a step that changes the host, or the revocation of a credential. It is "" where
// there is none.
func (s State) InFlight() string {
	if !s.runs() {
		return ""
	}
	for _, step := range s.steps() {
		if s.atWork(step) && slices.Contains(changesHost, step.Uses) {
			return step.Title
		}
	}
	for _, c := range s.Credentials {
		if c.sent() && !c.Indeterminate {
			return "the revocation of " + c.String()
		}
	}
	return ""
}

// AtWork names what goes on without a person: a change in flight, a step that runs, a proof. It is
// "" where all that is left waits for an answer or for a revocation by hand, or the run is over.
func (s State) AtWork() string {
	if what := s.InFlight(); what != "" || !s.runs() {
		return what
	}
	for _, step := range s.steps() {
		if !s.atWork(step) {
			continue
		}
		if step.Uses != "credentials.revoke" {
			return step.Title
		}
		for _, c := range s.Credentials { // what the agent's own gateway issued waits for its end
			if !c.Life.Settled() && c.Life != credential.Manual && c.Provider != "openclaw" {
				return "the proof of " + c.String()
			}
		}
	}
	return ""
}

// runs reports whether a process carries the response out, as far as the record says.
func (s State) runs() bool { return s.Entries > 0 && s.Exit == nil }

// atWork reports whether a step runs and does not wait for an answer or an approval.
func (s State) atWork(step *Step) bool {
	return step.Status == Running && !slices.ContainsFunc(s.Open, func(q Question) bool { return q.Step == step.ID })
}

// sent reports whether a revocation was sent whose answer is not on record.
func (c *Credential) sent() bool { return c.Life == credential.Requested && !c.RevokedAt.IsZero() }

// Pending lists the approvals that a step waits for, in the order of the plan. A step that went
// ahead without them waits no more.
func (s State) Pending() []*Approval {
	var all []*Approval
	for _, step := range s.steps() {
		if a := s.Approvals[step.ID]; a != nil && a.Missing() > 0 && a.Broken == nil && step.Status == Waiting {
			all = append(all, a)
		}
	}
	return all
}

// foldTerminal counts the consoles of a response.
func (s *State) foldTerminal(e journal.Entry) error {
	if err := grow(e, &s.Terminals); err != nil {
		return err
	}
	switch s.Terminals[len(s.Terminals)-1].State {
	case "attached":
		s.Consoles++
	case "lost", "detached":
		s.Consoles = max(0, s.Consoles-1)
	}
	return nil
}
