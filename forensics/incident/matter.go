package incident

import (
	"fmt"
	"strings"

	"clawback/revoke/credential"
)

// Kinds of an OpenMatter.
const (
	MatterAgent      = "agent"
	MatterEvidence   = "evidence"
	MatterRecord     = "record"
	MatterSearch     = "search"
	MatterCredential = "credential" // not dead
	MatterLivesOn    = "lives-on"   // what a revocation left alive
	MatterStep       = "step"
	MatterQuestion   = "question"
	MatterApproval   = "approval"  // of what went ahead without it
	MatterInventory  = "inventory" // known beforehand, and not found
)

// OpenMatter is one thing that is not done and needs somebody. Its texts may quote the host:
// whoever shows them makes them safe.
type OpenMatter struct {
	Kind       string                 `json:"kind"`
	What       string                 `json:"what"`
	Why        string                 `json:"why"`
	Hint       string                 `json:"hint,omitempty"` // what to do next
	Credential credential.Fingerprint `json:"credential,omitempty"`
}

// OpenMatters lists what is still open, the worst first: the agent, then what is missing of the
// proof, the credentials, the steps and the questions.
func (s State) OpenMatters() []OpenMatter {
	var open []OpenMatter
	if !s.Declared.DryRun { // which promises nothing of this
		open = append(open, s.openGoals()...)
		for _, c := range s.Credentials {
			open = append(open, c.open()...)
		}
		open = append(open, s.openInventory()...)
	}
	if s.Unreadable > 0 {
		open = append(open, OpenMatter{Kind: MatterRecord, What: "the record", Why: plural(s.Unreadable, "entry", "entries") + " could not be read",
			Hint: "look at the entries that the warnings name"})
	}
	for _, step := range s.steps() {
		if m, ok := s.openStep(step); ok {
			open = append(open, m)
		}
		if m, ok := s.openApproval(step); ok {
			open = append(open, m)
		}
	}
	for _, q := range s.Open {
		open = append(open, OpenMatter{Kind: MatterQuestion, What: q.Title, Why: "it was asked and not answered"})
	}
	return append(open, s.openQuestions()...)
}

// openGoals is what a response is for and this one does not show.
func (s State) openGoals() []OpenMatter {
	var open []OpenMatter
	switch {
	case s.Declared.Leak: // there is no host
	case s.LetGo != nil:
		open = append(open, OpenMatter{Kind: MatterAgent, What: "the agent", Why: "what kept it was taken back by " + s.LetGo.By + ": " + s.LetGo.Why,
			Hint: "where the alarm was not false, begin a new response: clawback kill"})
	case s.Checked == nil:
		open = append(open, OpenMatter{Kind: MatterAgent, What: "the agent", Why: "no look at whether it stays down is on record",
			Hint: s.hintOf("agent.", "look at the machine, and cut it off the network until it is known to be down")})
	case !s.Checked.Down:
		open = append(open, OpenMatter{Kind: MatterAgent, What: "the agent", Why: "the host says that it is not down" + first(s.Checked.Problems),
			Hint: s.hintOf("agent.", "cut the machine off the network, then find what starts it")})
	}
	if !s.Preserved() && !s.Declared.Leak {
		open = append(open, OpenMatter{Kind: MatterEvidence, What: "the evidence", Why: "none is sealed", Hint: s.hintOf("evidence.", "")})
	}
	open = append(open, s.Custody.open()...)
	if s.Trouble != "" {
		open = append(open, OpenMatter{Kind: MatterRecord, What: "the record", Why: "it was not on disk for some time: " + s.Trouble,
			Hint: "make room at the desk, and compare the record with the providers' own logs"})
	}
	for _, w := range s.Warnings {
		if w.Grave {
			open = append(open, OpenMatter{Kind: MatterRecord, What: "the record", Why: w.Text, Hint: w.Hint})
		}
	}
	switch {
	case s.Declared.Leak:
	case s.Searched == nil:
		open = append(open, OpenMatter{Kind: MatterSearch, What: "the search for credentials",
			Why: "its end is not on record: there may be more than are listed", Hint: s.hintOf("credentials.discover", "")})
	case len(s.Searched.Problems) > 0:
		open = append(open, OpenMatter{Kind: MatterSearch, What: "the search for credentials",
			Why: plural(len(s.Searched.Problems), "place was", "places were") + " not searched as it should be" + first(s.Searched.Problems)})
	}
	return open
}

// hintOf is the newest hint of a failed step that uses such an action.
func (s State) hintOf(action, otherwise string) string {
	hint := otherwise
	for _, step := range s.failures() {
		if strings.HasPrefix(step.Uses, action) && step.Outcome.Hint != "" {
			hint = step.Outcome.Hint
		}
	}
	return hint
}

func (c *Credential) open() []OpenMatter {
	var open []OpenMatter
	if c.Life != credential.Dead {
		open = append(open, OpenMatter{Kind: MatterCredential, What: c.String(), Why: c.whyOpen(), Hint: c.hintOpen(), Credential: c.Fingerprint})
	}
	for _, left := range c.Receipt.Left {
		open = append(open, OpenMatter{Kind: MatterLivesOn, What: c.String(), Why: "lives on in spite of the revocation: " + left, Credential: c.Fingerprint})
	}
	return open
}

func (c *Credential) whyOpen() string {
	why := map[credential.Life]string{
		credential.Found:   "found, and nothing more is on record",
		credential.Alive:   "alive",
		credential.Manual:  "waits for a person",
		credential.Failed:  "not revoked",
		credential.Skipped: "left alone",
	}[c.Life]
	if why == "" {
		why = "unproved"
	}
	if c.Life == credential.Skipped && c.Reason == ReasonDecision && c.Decision.Text != "" {
		return fmt.Sprintf("%s by %s: %s", why, c.Decision.By, c.Decision.Text)
	}
	for _, more := range []string{c.Error, c.Evidence} {
		if more != "" {
			return why + ": " + more
		}
	}
	return why
}

func (c *Credential) hintOpen() string {
	switch {
	case c.Hint != "":
		return c.Hint
	case c.Life == credential.Alive, c.Life == credential.Failed, c.Life == credential.Skipped:
		return ""
	case c.Life != credential.Manual:
		return "run it again: the proof takes the provider's whole time anew"
	case len(c.Steps) > 0 && c.Link != "":
		return c.Steps[0] + ": " + c.Link
	case len(c.Steps) > 0:
		return c.Steps[0]
	}
	return c.Link
}

func (s State) openStep(step *Step) (OpenMatter, bool) {
	m := OpenMatter{Kind: MatterStep, What: fmt.Sprintf("step %q", step.Title)}
	switch {
	case s.madeGood(step):
		return m, false
	case step.Status == Failed:
		m.Why, m.Hint = "failed: "+step.Outcome.Error, step.Outcome.Hint
	case step.Status == Running && step.Uses == "report.write": // which asks this while it runs
		return m, false
	case step.Status == Running:
		m.Why = "it began and no outcome is on record: whether it took effect is not known"
		m.Hint = "look before it is done again"
	case step.Status == Waiting && s.Declared.DryRun:
		return m, false
	case step.Status == Waiting:
		m.Why = "it has not begun"
		if a := s.Approvals[step.ID]; a != nil && a.Missing() > 0 && a.Broken == nil {
			m.Why, m.Hint = "it lacks the approval of "+plural(a.Missing(), "person", "people"), s.approveHint(step.ID)
		}
	case s.leftOpen(step):
		m.Why = "left open by " + s.Decisions[step.ID].By
	default:
		return m, false
	}
	return m, true
}

// madeGood reports whether a step failed and what it was to do was done afterwards, by clawback custody deposit.
func (s State) madeGood(step *Step) bool {
	return step.Status == Failed && step.Uses == "evidence.deposit" && s.Custody.deposited(step.Ended)
}

// leftOpen reports whether a person put a step off. Of one that wants answers in writing the questions
// themselves are open, which keep no response from being over.
func (s State) leftOpen(step *Step) bool {
	return step.Status == Skipped && s.Decisions[step.ID].Choice == Later && len(step.Questions()) == 0
}

// openApproval is what has to be approved afterwards.
func (s State) openApproval(step *Step) (OpenMatter, bool) {
	a := s.Approvals[step.ID]
	if a == nil || a.Broken == nil || a.Missing() == 0 {
		return OpenMatter{}, false
	}
	return OpenMatter{
		Kind: MatterApproval, What: fmt.Sprintf("step %q", step.Title), Hint: s.approveHint(step.ID),
		Why: fmt.Sprintf("it went ahead without the approval of %s, by %s: %s", plural(a.Missing(), "person", "people"), a.Broken.By, a.Broken.Reason),
	}, true
}

func (s State) approveHint(step string) string {
	return fmt.Sprintf("clawback approve %s %s --key KEY", s.Declared.Incident, step)
}

func first(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return ": " + problems[0]
}
