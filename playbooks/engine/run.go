package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// settled is how a step ended, for the steps that need it.
type settled struct {
	id     string
	status string
	stop   bool // those that need it are skipped
}

// Run carries out the playbook: each step begins as soon as all that it needs has ended, so what
// does not depend on each other runs at once. A resumed run goes on with the steps that are left, of
// the plan that is on record. When ctx is done no further step begins, those under
// way are told, and Run returns once they have ended. A failed step is no error of Run.
func (e *Engine) Run(ctx context.Context) error {
	for _, s := range e.Playbook.Steps() {
		if e.Actions[s.Uses] == nil {
			return fmt.Errorf("step %s uses %s, which this program does not know", s.ID, s.Uses)
		}
	}
	var waiting []playbooks.Step
	done := make(map[string]settled)
	if e.Resumed == nil || len(e.Resumed.Plan.Phases) == 0 { // or it died before it said what it would do
		if err := durable(e.Journal.Append(ctx, incident.TypePlan, Plan(e.Playbook))); err != nil {
			return err
		}
		waiting = e.Playbook.Steps()
	} else {
		waiting = e.resume(done)
	}

	defer e.beginApprovals(ctx)()

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
	reason := fmt.Sprintf("it needs %s, which did not succeed", because)
	e.outcome(s, incident.StepOutcome{Status: incident.Skipped, Note: reason, Needed: because})
	done[s.ID] = settled{id: s.ID, status: incident.Skipped, stop: s.OnFailure == playbooks.Stop}
}

// step runs one step from its condition over its gate to its outcome. A step that was told to end
// before it began has none.
func (e *Engine) step(ctx context.Context, s playbooks.Step) settled {
	out, began := e.attempt(ctx, s)
	if !began && ctx.Err() != nil {
		return settled{id: s.ID, status: incident.Waiting}
	}
	e.outcome(s, out)
	return settled{id: s.ID, status: out.Status, stop: out.Status == incident.Failed && s.OnFailure == playbooks.Stop}
}

// attempt returns the outcome of a step, and whether its intent is on record.
func (e *Engine) attempt(ctx context.Context, s playbooks.Step) (out incident.StepOutcome, began bool) {
	if !e.holds(s.When) {
		return incident.StepOutcome{Status: incident.Skipped, Note: "only when " + s.When.String()}, false
	}
	action := e.Actions[s.Uses]
	allowed := false
	err := guarded(func() error {
		var err error
		allowed, err = e.permitted(ctx, s, action)
		return err
	})
	if err == nil && !allowed {
		return incident.StepOutcome{Status: incident.Skipped, Note: "left out by the responder"}, false
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		began = true
		err = durable(e.Journal.Append(ctx, incident.TypeStepIntent, incident.StepIntent{Step: s.ID}))
	}
	if err == nil {
		err = e.run(ctx, s, action)
	}
	return outcome(err), began
}

// maxText bounds what an error says, so that every outcome fits into the record.
const maxText = 8 << 10

// outcome says what an action's error means.
func outcome(err error) incident.StepOutcome {
	var skipped Skipped
	switch {
	case err == nil:
		return incident.StepOutcome{Status: incident.Done}
	case errors.As(err, &skipped):
		return incident.StepOutcome{Status: incident.Skipped, Note: incident.Cut(skipped.Reason, maxText)}
	}
	out := incident.StepOutcome{Status: incident.Failed, Error: incident.Cut(err.Error(), maxText)}
	var hinter Hinter
	if errors.As(err, &hinter) {
		out.Hint = incident.Cut(hinter.Hint(), maxText)
	}
	var gater Gater
	out.Gate = errors.As(err, &gater) && gater.EvidenceGate()
	return out
}

// run calls the action under the step's deadline.
func (e *Engine) run(ctx context.Context, s playbooks.Step, action Action) error {
	if s.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = WithDeadline(ctx, e.Clock, s.Deadline)
		defer cancel()
	}
	err := guarded(func() error { return action.Run(ctx, s, stepRecorder{recorder{e}, s}) })
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err) // "canceled" alone does not say by what
	}
	return err
}

// Guarded is for what runs beside an engine: it makes a panic in f an error that says where it was,
// and not what it said.
func Guarded(f func() error) error { return guarded(f) }

// guarded makes a panic in f an error, so that it fails what f belongs to and nothing else.
func guarded(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			// The value may quote what an attacker or a secret put there; the place does not.
			err = fmt.Errorf("a fault of clawback itself, at %s", place(debug.Stack()))
		}
	}()
	return f()
}

// gateOf is a step's gate as it is asked: what cannot be undone is typed, whatever the playbook says.
func gateOf(s playbooks.Step) string {
	if s.Gate == playbooks.Confirm && s.Irreversible != "" {
		return playbooks.Typed
	}
	return s.Gate
}

// maxSpoken bounds what of a target's name has to be typed.
const maxSpoken = 40

// Spoken is what a person types of a target: the host without the account, the last part of a path,
// and nothing that cannot be typed.
func Spoken(target string) string {
	name := strings.TrimRight(target, "/")
	name = name[strings.LastIndexAny(name, "/@")+1:]
	name = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, name)
	return name[:min(len(name), maxSpoken)]
}

// gate asks where the step's gate wants it.
func (e *Engine) gate(ctx context.Context, s playbooks.Step, action Action) (bool, error) {
	if s.Gate == playbooks.Auto || e.allowedBefore(s) {
		return true, nil
	}
	q := incident.Question{Step: s.ID, Kind: incident.Confirm, Title: s.Title}
	if e.Target != "" {
		q.Text = append(q.Text, "On "+e.Target+".")
	}
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
	if gateOf(s) == playbooks.Typed {
		q.Kind = incident.Typed
		if q.Type == "" {
			q.Type = strings.TrimSpace(s.ID + " " + Spoken(e.Target))
		}
	}
	if s.Unanswered > 0 {
		q.Until = e.Clock.Now().Add(s.Unanswered)
		q.Text = append(q.Text, "Without an answer it goes ahead at "+q.Until.UTC().Format(time.TimeOnly)+"Z.")
	}
	a, err := e.ask(ctx, q)
	return a.Choice == incident.Yes, err
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
	s playbooks.Step
}

func (r stepRecorder) Ask(ctx context.Context, q incident.Question) (incident.Answer, error) {
	q.Step = r.s.ID
	a, answered := r.e.said(q)
	var err error
	if !answered {
		a, err = r.e.ask(ctx, q)
	}
	if err == nil && q.Kind == incident.Choice {
		r.e.mu.Lock()
		defer r.e.mu.Unlock()
		if r.e.choices == nil {
			r.e.choices = make(map[string]string)
		}
		r.e.choices[r.s.ID] = a.Choice
	}
	return a, err
}

// ErrDeadline is the cause of a context whose deadline, by the clock of the response, has passed.
var ErrDeadline = errors.New("the deadline has passed")

// WithDeadline is context.WithTimeoutCause by a response's own clock.
func WithDeadline(ctx context.Context, c Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(ErrDeadline) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}
