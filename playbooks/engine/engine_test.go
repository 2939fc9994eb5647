package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/revoke"
)

// wall is the clock of a test; in a bubble of synctest it is the bubble's.
type wall = revoke.Wall

// act is an action made of a function.
type act func(ctx context.Context, s playbooks.Step, r Recorder) error

func (f act) Run(ctx context.Context, s playbooks.Step, r Recorder) error { return f(ctx, s, r) }

// announced is an action that says what it is about to do.
type announced struct {
	act
	say func() ([]string, string)
}

func (a announced) Announce(playbooks.Step) ([]string, string) { return a.say() }

// commanded is an action that takes commands.
type commanded struct {
	act
	take func(incident.Command) error
}

func (c commanded) Command(_ context.Context, cmd incident.Command) error { return c.take(cmd) }

// decider answers questions by a function.
type decider func(ctx context.Context, q incident.Question) (incident.Answer, error)

func (d decider) Decide(ctx context.Context, q incident.Question) (incident.Answer, error) {
	return d(ctx, q)
}

// always answers every question alike.
func always(choice, text string) decider {
	return func(context.Context, incident.Question) (incident.Answer, error) {
		return incident.Answer{Choice: choice, Text: text, By: "dana"}, nil
	}
}

func nothing(context.Context, playbooks.Step, Recorder) error { return nil }

// takes is an action that takes so long.
func takes(d time.Duration) act {
	return func(ctx context.Context, _ playbooks.Step, _ Recorder) error { return wall{}.Sleep(ctx, d) }
}

func fails(text string) act {
	return func(context.Context, playbooks.Step, Recorder) error { return fmt.Errorf("%s", text) }
}

// step makes a step that uses the action of its own name.
func step(id string, change func(*playbooks.Step)) playbooks.Step {
	s := playbooks.Step{ID: id, Title: "Title of " + id, Uses: id, Gate: playbooks.Auto, OnFailure: playbooks.GoOn}
	if change != nil {
		change(&s)
	}
	return s
}

func needs(ids ...string) func(*playbooks.Step) {
	return func(s *playbooks.Step) { s.Needs = ids }
}

// newEngine makes an engine for these steps, whose record is kept in memory.
func newEngine(actions map[string]Action, steps ...playbooks.Step) *Engine {
	return &Engine{
		Journal:  journal.InMemory(time.Now),
		Playbook: playbooks.Playbook{Title: "Test", Attended: true, Phases: []playbooks.Phase{{ID: "one", Title: "One", Steps: steps}}},
		Actions:  actions,
		Clock:    wall{},
	}
}

// state is what an engine's record adds up to so far.
func state(t testing.TB, e *Engine) incident.State {
	t.Helper()
	s, err := incident.FoldAll(e.Journal.Entries(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	if s.Unreadable > 0 {
		t.Errorf("warnings %v", s.Warnings)
	}
	return s
}

// end runs an engine to its end.
func end(t testing.TB, e *Engine) incident.State {
	t.Helper()
	if err := e.Run(t.Context()); err != nil {
		t.Errorf("Run returned %v", err)
	}
	_ = e.Journal.Close()
	return state(t, e)
}

// statuses says how each step stands: "a:done b:failed".
func statuses(s incident.State) string {
	var all []string
	for id, step := range s.Steps {
		all = append(all, id+":"+step.Status)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// questions waits for the questions of a running engine and hands each to f.
func questions(ctx context.Context, e *Engine, f func(incident.Question)) {
	c := e.Journal.Cursor()
	for {
		entry, err := c.Next(ctx)
		if err != nil {
			return
		}
		var q incident.Question
		if entry.Type == incident.TypeAsked && entry.Decode(&q) == nil {
			f(q)
		}
	}
}

// lines collects what happened, from several goroutines.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
}

func (l *lines) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}
