package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// Plan returns the playbook as the journal and the screens show it.
func Plan(p playbooks.Playbook) incident.Plan {
	plan := incident.Plan{Title: p.Title}
	for _, phase := range p.Phases {
		out := incident.PlanPhase{ID: phase.ID, Title: phase.Title}
		for _, s := range phase.Steps {
			out.Steps = append(out.Steps, incident.PlanStep{
				ID: s.ID, Title: s.Title, Uses: s.Uses, Why: s.Why, Gate: s.Gate, Needs: s.Needs, Irreversible: s.Irreversible,
			})
		}
		plan.Phases = append(plan.Phases, out)
	}
	return plan
}

// settled is how a step ended, for the steps that need it.
type settled struct {
	id     string
	status string
	stop   bool // those that need it are skipped
}

// Run carries out the playbook: each step begins as soon as all that it needs has ended, so what
// does not depend on each other runs at once. When ctx is done no further step begins, those under
// way are told, and Run returns once they have ended. A failed step is no error of Run.
func (e *Engine) Run(ctx context.Context) error {
	e.choices = make(map[string]string)
	for _, s := range e.Playbook.Steps() {
		if e.Actions[s.Uses] == nil {
			return fmt.Errorf("step %s uses %s, which this program does not know", s.ID, s.Uses)
		}
	}
	if err := durable(e.Journal.Append(ctx, incident.TypePlan, Plan(e.Playbook))); err != nil {
		return err
	}

	waiting := e.Playbook.Steps()
	done := make(map[string]settled)
	ended := make(chan settled)
	var running sync.WaitGroup
	under := 0
	defer running.Wait()
	for len(waiting) > 0 || under > 0 {
		var later []playbooks.Step
		for _, s := range waiting {
			switch ready, blocked := readiness(s, done); {
			case ctx.Err() != nil: // no further step begins
			case blocked != "":
				e.skip(s, blocked, done)
			case !ready:
				later = append(later, s)
			default:
				under++
				running.Go(func() { ended <- e.step(ctx, s) })
			}
		}
		progressed := len(later) < len(waiting)
		waiting = later
		if under == 0 {
			if !progressed && len(waiting) > 0 {
				return fmt.Errorf("step %s waits for a step that never ends", waiting[0].ID) // validation lets none through
			}
			continue
		}
		select {
		case end := <-ended:
			under--
			done[end.id] = end
		case <-ctx.Done():
			for ; under > 0; under-- {
				<-ended
			}
			waiting = nil
		}
	}
	return context.Cause(ctx)
}

// readiness reports whether a step can begin, or which failed step keeps it from ever beginning.
func readiness(s playbooks.Step, done map[string]settled) (ready bool, blocked string) {
	ready = true
	for _, need := range s.Needs {
		end, ok := done[need]
		if !ok {
			ready = false
		} else if end.stop {
			return false, need
		}
	}
	return ready, ""
}

func (e *Engine) skip(s playbooks.Step, because string, done map[string]settled) {
	reason := fmt.Sprintf("it needs %s, which failed", because)
	e.outcome(s, incident.StepOutcome{Status: incident.Skipped, Note: reason})
	done[s.ID] = settled{id: s.ID, status: incident.Skipped, stop: s.OnFailure == playbooks.Stop}
}

// step runs one step from its condition over its gate to its outcome.
func (e *Engine) step(ctx context.Context, s playbooks.Step) settled {
	out := e.attempt(ctx, s)
	e.outcome(s, out)
	return settled{id: s.ID, status: out.Status, stop: out.Status == incident.Failed && s.OnFailure == playbooks.Stop}
}

func (e *Engine) attempt(ctx context.Context, s playbooks.Step) incident.StepOutcome {
	if !e.holds(s.When) {
		return incident.StepOutcome{Status: incident.Skipped, Note: "only when " + s.When.String()}
	}
	action := e.Actions[s.Uses]
	allowed, err := e.gate(ctx, s, action)
	if err == nil && !allowed {
		return incident.StepOutcome{Status: incident.Skipped, Note: "left out by the responder"}
	}
	if err == nil {
		err = durable(e.Journal.Append(ctx, incident.TypeStepIntent, incident.StepIntent{Step: s.ID}))
	}
	if err == nil {
		err = e.run(ctx, s, action)
	}
	var skipped Skipped
	switch {
	case err == nil:
		return incident.StepOutcome{Status: incident.Done}
	case errors.As(err, &skipped):
		return incident.StepOutcome{Status: incident.Skipped, Note: skipped.Reason}
	}
	out := incident.StepOutcome{Status: incident.Failed, Error: err.Error()}
	var hinter Hinter
	if errors.As(err, &hinter) {
		out.Hint = hinter.Hint()
	}
	var gater Gater
	out.Gate = errors.As(err, &gater) && gater.EvidenceGate()
	return out
}

// run calls the action under the step's deadline. A panic is a failure of the step alone.
func (e *Engine) run(ctx context.Context, s playbooks.Step, action Action) (err error) {
	if s.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = WithDeadline(ctx, e.Clock, s.Deadline)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			// The value may quote what an attacker or a secret put there; the place does not.
			err = fmt.Errorf("step %s: a fault of clawback itself, at %s", s.ID, place(debug.Stack()))
		}
	}()
	return action.Run(ctx, s, stepRecorder{recorder{e}, e, s})
}

// gate asks where the step's gate wants it.
func (e *Engine) gate(ctx context.Context, s playbooks.Step, action Action) (bool, error) {
	if s.Gate == playbooks.Auto {
		return true, nil
	}
	q := incident.Question{Step: s.ID, Kind: incident.Confirm, Title: s.Title}
	if s.Why != "" {
		q.Text = append(q.Text, s.Why)
	}
	if a, ok := action.(Announcer); ok {
		lines, typed := a.Announce(s)
		q.Text, q.Type = append(q.Text, lines...), typed
	}
	if s.Irreversible != "" {
		q.Text = append(q.Text, s.Irreversible)
	}
	if s.Gate == playbooks.Typed {
		q.Kind = incident.Typed
		if q.Type == "" {
			q.Type = s.ID
		}
	}
	for {
		a, err := e.ask(ctx, q)
		if err != nil {
			return false, err
		}
		if q.Kind == incident.Typed && a.Choice == incident.Yes && a.Text != q.Type {
			continue // not what was asked for: nothing happens, and the question comes again
		}
		return a.Choice == incident.Yes, nil
	}
}

func (e *Engine) holds(c playbooks.Condition) bool {
	if c.Zero() {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.Choice == "" {
		return e.Facts[c.Fact] != c.Not
	}
	return (e.choices[c.Fact] == c.Choice) != c.Not
}

func (e *Engine) outcome(s playbooks.Step, out incident.StepOutcome) {
	out.Step = s.ID
	recorder{e}.Note(incident.TypeStepOutcome, out)
}

// stepRecorder remembers what was chosen in a step, for the conditions of others.
type stepRecorder struct {
	recorder
	e *Engine
	s playbooks.Step
}

func (r stepRecorder) Ask(ctx context.Context, q incident.Question) (incident.Answer, error) {
	q.Step = r.s.ID
	a, err := r.recorder.Ask(ctx, q)
	if err == nil && q.Kind == incident.Choice {
		known := slices.ContainsFunc(q.Options, func(o incident.Option) bool { return o.ID == a.Choice })
		if !known {
			return a, fmt.Errorf("%q is none of the answers to %q", a.Choice, q.Title)
		}
		r.e.mu.Lock()
		r.e.choices[r.s.ID] = a.Choice
		r.e.mu.Unlock()
	}
	return a, err
}

// ErrDeadline is the cause of a context whose deadline, by the clock of the response, has passed.
var ErrDeadline = errors.New("the deadline has passed")

// WithDeadline is context.WithTimeoutCause by a response's own clock. The cancel function waits
// for the goroutine that watches the clock.
func WithDeadline(ctx context.Context, c Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		if c.Sleep(ctx, d) == nil {
			cancel(ErrDeadline)
		}
	})
	return ctx, func() { cancel(context.Canceled); watch.Wait() }
}
