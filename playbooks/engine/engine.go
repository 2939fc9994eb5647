// Package engine carries out a playbook: it runs steps as soon as what they need is done, asks the
// responder, and writes everything down before it happens. It is the only writer of the journal
// and knows neither providers nor what an action does.
package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
)

// Action is what a step can do.
type Action interface {
	// Run carries out the step. It returns nil, an error, or Skipped. What it changes is
	// recorded with r before it is changed.
	Run(ctx context.Context, s playbooks.Step, r Recorder) error
}

// Announcer is an Action that can say what it is about to do before its gate.
type Announcer interface {
	// Announce returns the lines that a responder sees before they allow the step, and what they
	// have to type where the gate is typed.
	Announce(s playbooks.Step) (lines []string, typed string)
}

// Commander is an Action that takes commands about credentials while a run goes on.
type Commander interface {
	Command(ctx context.Context, c incident.Command) error
}

// Adder is an Action that takes credentials which a person adds.
type Adder interface {
	// Add records the command that it makes of a before it has an effect: nothing else of a may be
	// written down anywhere but sealed.
	Add(ctx context.Context, a incident.Addition, record func(incident.Command) error) error
}

// Repeater is an Action of which something dies with the process, or with the machine, so that a
// resumed run may have to carry out a step again although it is done.
type Repeater interface {
	Repeat(s playbooks.Step) bool
}

// Recorder writes the journal for one step.
type Recorder interface {
	// Intent returns once the entry is on disk. A record that cannot be written never holds up
	// containment: the loss is shouted by the journal itself, and Intent returns nil.
	Intent(ctx context.Context, typ string, data any) error
	// Note writes an entry in order, on disk with the next commit.
	Note(typ string, data any)
	// Ask puts a question to the responder and waits for an answer that fits it. With ErrUnanswered
	// there will be none.
	Ask(ctx context.Context, q incident.Question) (incident.Answer, error)
}

// Decider answers questions. A nil Decider leaves them to Submit.
type Decider interface {
	// Decide answers q, and gives up when ctx is done. With ErrNobody the question stays open for
	// Submit; with any other error it is over, and so is what asked it.
	Decide(ctx context.Context, q incident.Question) (incident.Answer, error)
}

// Clock is the time that a response runs by.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc runs f after d, unless stop is called before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Skipped is returned by an Action that found nothing to do.
type Skipped struct{ Reason string }

func (s Skipped) Error() string { return "skipped: " + s.Reason }

// Hinter is an error that knows what to do next.
type Hinter interface{ Hint() string }

// Gater is an error that may mean that evidence is not safe.
type Gater interface{ EvidenceGate() bool }

// Errors of Submit.
var (
	ErrNoQuestion = errors.New("that question is not open")
	ErrNoTaker    = errors.New("nothing in this response takes that command now")
	ErrNotAsked   = errors.New("no approval of that step is asked for")
)

// Errors of a question.
var (
	ErrNobody     = errors.New("left to somebody else") // returned by a Decider
	ErrUnanswered = errors.New("the question was not answered")
)

// Engine carries out one playbook once.
type Engine struct {
	Journal  *journal.Journal
	Playbook playbooks.Playbook
	Actions  map[string]Action
	Decider  Decider
	Clock    Clock
	Facts    map[string]bool // "remote", "local": what conditions can ask for
	Target   string          // on what it acts, as people call it: every gate says so
	// Resumed is what the record adds up to of a run that died or was interrupted, and that this
	// one goes on with; nil for a new run. The engine keeps it, and changes nothing in it.
	Resumed *incident.State

	Approvals Approvals
	Inbox     Inbox           // what other terminals send; nil for none
	Interrupt func(by string) // ends the run on an incident.Interrupt; nil where nothing can

	desk approvalDesk

	mu        sync.Mutex
	questions map[string]*question
	choices   map[string]string // by deciding step
	asked     int
}

// Command is what somebody wants in the middle of a run. Exactly one field is set.
type Command struct {
	Answer     *incident.Answer
	Note       *incident.Note
	Credential *incident.Command  // of ByHand, Retry, Skip
	Add        *incident.Addition // from the process of the response alone: it holds a secret
	Step       *incident.Command  // of Break, LeaveOut
	Approval   *incident.Approved // whose signature the sender has checked
	Terminal   *incident.Terminal
	Interrupt  *incident.Command
}

// Submit hands in a command. It is recorded before it has an effect.
func (e *Engine) Submit(ctx context.Context, c Command) error {
	return durable(e.Deliver(ctx, c))
}

// Deliver is Submit, except that with journal.ErrNotDurable the command has its effect and is not
// on disk yet.
func (e *Engine) Deliver(ctx context.Context, c Command) error {
	err := e.deliver(ctx, c)
	if durable(err) == nil {
		e.remember(c.message())
	}
	return err
}

func (e *Engine) deliver(ctx context.Context, c Command) error {
	switch {
	case c.Answer != nil:
		return e.answer(*c.Answer)
	case c.Note != nil:
		return e.Journal.Append(ctx, incident.TypeNote, c.Note)
	case c.Credential != nil:
		return e.command(ctx, *c.Credential)
	case c.Add != nil:
		return e.add(ctx, *c.Add)
	case c.Step != nil:
		return e.aboutStep(ctx, *c.Step)
	case c.Approval != nil:
		return e.approve(ctx, *c.Approval)
	case c.Terminal != nil:
		return e.Journal.Append(ctx, incident.TypeTerminal, c.Terminal)
	case c.Interrupt != nil:
		return e.interrupt(ctx, *c.Interrupt)
	}
	return errors.New("a command of nothing")
}

func (e *Engine) interrupt(ctx context.Context, c incident.Command) error {
	if e.Interrupt == nil {
		return ErrNoTaker
	}
	err := e.Journal.Append(ctx, incident.TypeCommand, c)
	if durable(err) == nil {
		e.Interrupt(c.By)
	}
	return err
}

func (e *Engine) command(ctx context.Context, c incident.Command) error {
	recorded := e.Journal.Append(ctx, incident.TypeCommand, c)
	if durable(recorded) != nil {
		return recorded
	}
	for _, name := range slices.Sorted(maps.Keys(e.Actions)) {
		taker, ok := e.Actions[name].(Commander)
		if !ok {
			continue
		}
		err := guarded(func() error { return taker.Command(ctx, c) })
		if !errors.Is(err, ErrNoTaker) {
			return errors.Join(err, recorded)
		}
	}
	return ErrNoTaker
}

func (e *Engine) add(ctx context.Context, a incident.Addition) error {
	for _, name := range slices.Sorted(maps.Keys(e.Actions)) {
		if adder, ok := e.Actions[name].(Adder); ok {
			return guarded(func() error {
				return adder.Add(ctx, a, func(c incident.Command) error { return e.Journal.Append(ctx, incident.TypeCommand, c) })
			})
		}
	}
	return ErrNoTaker
}

// durable takes the loss of the record out of an error: containment goes on without it, and the
// journal shouts.
func durable(err error) error {
	if errors.Is(err, journal.ErrNotDurable) {
		return nil
	}
	return err
}

type recorder struct{ e *Engine }

func (r recorder) Intent(ctx context.Context, typ string, data any) error {
	return durable(r.e.Journal.Append(ctx, typ, data))
}

func (r recorder) Note(typ string, data any) {
	if err := r.e.Journal.Note(typ, data); err != nil {
		// An entry that the journal refuses (too large) must not vanish without a trace.
		_ = r.e.Journal.Note(incident.TypeWarning, incident.Warning{Text: err.Error(), Grave: true})
	}
}
