package engine

import (
	"errors"
	"fmt"
	"math"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// Plan returns the playbook as the journal and the screens show it. Nothing that a run needs is
// left out: Book makes the playbook of it again.
func Plan(p playbooks.Playbook) incident.Plan {
	plan := incident.Plan{Title: p.Title}
	for _, phase := range p.Phases {
		out := incident.PlanPhase{ID: phase.ID, Title: phase.Title}
		for _, s := range phase.Steps {
			step := incident.PlanStep{
				ID: s.ID, Title: s.Title, Uses: s.Uses, Why: s.Why, Gate: gateOf(s), Needs: s.Needs, Irreversible: s.Irreversible,
				With: s.With, OnFailure: s.OnFailure, Approvals: s.Approvals,
			}
			if !s.When.Zero() {
				step.When = s.When.String()
			}
			if s.Unanswered > 0 {
				step.Unanswered = s.Unanswered.String()
			}
			if s.Deadline > 0 {
				step.Deadline = s.Deadline.String()
			}
			out.Steps = append(out.Steps, step)
		}
		plan.Phases = append(plan.Phases, out)
	}
	return plan
}

// Book makes the playbook of what a record declared and planned, and checks it by the rules of
// playbooks.Parse: another version of this program may have written it, or somebody else. actions
// are the names that a step can use.
func Book(d incident.Declared, plan incident.Plan, actions []string) (playbooks.Playbook, error) {
	book := playbooks.Playbook{Name: d.Playbook, Title: plan.Title, Attended: d.Attended}
	var errs []error
	for _, phase := range plan.Phases {
		out := playbooks.Phase{ID: phase.ID, Title: phase.Title}
		for _, s := range phase.Steps {
			step, err := planned(s)
			errs = append(errs, err)
			out.Steps = append(out.Steps, step)
		}
		book.Phases = append(book.Phases, out)
	}
	err := errors.Join(errs...)
	if err == nil {
		err = playbooks.Check("the recorded plan", book, actions)
	}
	if err != nil {
		return playbooks.Playbook{}, err
	}
	return book, nil
}

func planned(s incident.PlanStep) (playbooks.Step, error) {
	step := playbooks.Step{
		ID: s.ID, Title: s.Title, Uses: s.Uses, Why: s.Why, Gate: s.Gate, Needs: s.Needs, Irreversible: s.Irreversible,
		OnFailure: s.OnFailure, Approvals: s.Approvals,
	}
	if s.With != nil {
		step.With, _ = asParsed(s.With).(map[string]any)
	}
	var err error
	if s.When != "" {
		if step.When, err = playbooks.ParseCondition(s.When); err != nil {
			return step, fmt.Errorf("the recorded plan: step %q: %w", s.ID, err)
		}
	}
	for _, d := range []struct {
		text string
		into *time.Duration
	}{{s.Unanswered, &step.Unanswered}, {s.Deadline, &step.Deadline}} {
		if d.text != "" {
			if *d.into, err = time.ParseDuration(d.text); err != nil {
				return step, fmt.Errorf("the recorded plan: step %q: %w", s.ID, err)
			}
		}
	}
	return step, nil
}

// asParsed gives a parameter that went through JSON the type that it has in a parsed playbook.
func asParsed(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v)
		}
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = asParsed(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = asParsed(item)
		}
		return out
	}
	return v
}
