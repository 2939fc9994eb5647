// Package playbooks reads playbooks: what a response does, in phases and steps, as YAML. It knows
// their form, not what an action does.
package playbooks

import "time"

// Playbook is a response as it is written down.
type Playbook struct {
	Name        string
	Title       string
	Description string
	Attended    bool // it asks a person: it cannot run as a kill switch
	Phases      []Phase
}

// Phase is a part of a response that people talk about by name.
type Phase struct {
	ID    string
	Title string
	Steps []Step
	Line  int // in the file
}

// Gates of a step.
const (
	Auto    = "auto"    // it runs when what it needs is done
	Confirm = "confirm" // the responder says yes
	Typed   = "typed"   // the responder types what will be done
)

// What happens to the steps that need a step that failed.
const (
	GoOn = "continue" // they run: one thing that fails never stops the rest
	Stop = "stop"     // they are skipped
)

var (
	gates        = []string{Auto, Confirm, Typed}
	afterFailure = []string{GoOn, Stop}
)

// Step is one thing that a response does.
type Step struct {
	ID           string
	Title        string
	Why          string // one sentence for the responder
	Irreversible string // what cannot be undone, where something cannot
	Uses         string // the action: "agent.freeze"
	With         map[string]any
	Needs        []string // steps that have to end first
	Gate         string
	Approvals    int // other people who have to approve it first, each with their own key
	When         Condition
	Unanswered   time.Duration // after which its gate lets it go ahead without an answer; 0 means never
	Deadline     time.Duration // 0 means none
	OnFailure    string
	Line         int // in the file
}

// Steps returns all steps in the order of the file.
func (p Playbook) Steps() []Step {
	var all []Step
	for _, phase := range p.Phases {
		all = append(all, phase.Steps...)
	}
	return all
}

// Condition says when a step runs. The zero value is always.
type Condition struct {
	Fact   string // one of Facts, or the id of a deciding step
	Choice string // with a deciding step: the option that was chosen
	Not    bool
}

// Zero reports whether the condition always holds.
func (c Condition) Zero() bool { return c.Fact == "" }

func (c Condition) String() string {
	switch {
	case c.Zero():
		return "always"
	case c.Choice == "" && c.Not:
		return "not " + c.Fact
	case c.Choice == "":
		return c.Fact
	case c.Not:
		return c.Fact + " is not " + c.Choice
	}
	return c.Fact + " is " + c.Choice
}
