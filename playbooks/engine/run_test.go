package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
)

func TestStepsRunAsSoonAsWhatTheyNeedIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		e := newEngine(map[string]Action{"a": takes(time.Second), "b": takes(3 * time.Second), "c": takes(time.Second), "d": takes(time.Second), "e": takes(time.Second)},
			step("e", needs("c", "b")), step("a", nil), step("b", nil), step("c", needs("a")), step("d", needs("a", "c")))
		s := end(t, e)
		if got := statuses(s); got != "a:done b:done c:done d:done e:done" {
			t.Error(got)
		}
		for id, want := range map[string][2]int{"a": {0, 1}, "b": {0, 3}, "c": {1, 2}, "d": {2, 3}, "e": {3, 4}} {
			step := s.Steps[id]
			if got := [2]int{int(step.Began.Sub(began).Seconds()), int(step.Ended.Sub(began).Seconds())}; got != want {
				t.Errorf("%s ran from second %d to %d instead of %v", id, got[0], got[1], want)
			}
		}
	})
}

func TestConditions(t *testing.T) {
	when := func(fact, choice string, not bool) func(*playbooks.Step) {
		return func(s *playbooks.Step) {
			s.When = playbooks.Condition{Fact: fact, Choice: choice, Not: not}
			if choice != "" {
				s.Needs = []string{"cause"}
			}
		}
	}
	cause := act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
		_, err := r.Ask(ctx, incident.Question{Kind: incident.Choice, Title: "How?", Options: []incident.Option{{ID: "host"}, {ID: "theft"}}})
		return err
	})
	for name, test := range map[string]struct {
		facts  map[string]bool
		choice string
		want   string
	}{
		"remote, host": {map[string]bool{"remote": true}, "host", "cause:done host:done local:skipped nothost:skipped notremote:skipped remote:done"},
		"local, theft": {map[string]bool{"local": true}, "theft", "cause:done host:skipped local:done nothost:done notremote:done remote:skipped"},
		"no decision":  {nil, "", "cause:failed host:skipped local:skipped nothost:done notremote:done remote:skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(map[string]Action{"cause": cause, "remote": act(nothing), "notremote": act(nothing), "local": act(nothing), "host": act(nothing), "nothost": act(nothing)},
				step("cause", nil), step("remote", when("remote", "", false)), step("notremote", when("remote", "", true)), step("local", when("local", "", false)),
				step("host", when("cause", "host", false)), step("nothost", when("cause", "host", true)))
			e.Facts, e.Decider = test.facts, always(test.choice, "")
			s := end(t, e)
			if got := statuses(s); got != test.want {
				t.Errorf("%s instead of %s", got, test.want)
			}
			for id, note := range map[string]string{"local": "only when local", "host": "only when cause is host"} {
				if step := s.Steps[id]; step.Status == incident.Skipped && (step.Outcome.Note != note || !step.Began.IsZero()) {
					t.Errorf("%s: %+v", id, step)
				}
			}
		})
	}
}

func TestWhatFollowsAFailure(t *testing.T) {
	stop := func(ids ...string) func(*playbooks.Step) {
		return func(s *playbooks.Step) { s.Needs, s.OnFailure = ids, playbooks.Stop }
	}
	for name, test := range map[string]struct {
		steps []playbooks.Step
		want  string
	}{
		"continue":         {[]playbooks.Step{step("bad", nil), step("b", needs("bad")), step("c", needs("b"))}, "b:done bad:failed c:done"},
		"stop":             {[]playbooks.Step{step("bad", stop()), step("b", needs("bad")), step("c", nil)}, "b:skipped bad:failed c:done"},
		"stop goes on":     {[]playbooks.Step{step("bad", stop()), step("b", stop("bad")), step("c", needs("b"))}, "b:skipped bad:failed c:skipped"},
		"stop ends":        {[]playbooks.Step{step("bad", stop()), step("b", needs("bad")), step("c", needs("b"))}, "b:skipped bad:failed c:done"},
		"stop and success": {[]playbooks.Step{step("a", stop()), step("b", needs("a"))}, "a:done b:done"},
		"one of two":       {[]playbooks.Step{step("a", nil), step("bad", stop()), step("b", needs("a", "bad"))}, "a:done b:skipped bad:failed"},
		"skipped":          {[]playbooks.Step{step("none", stop()), step("b", needs("none"))}, "b:done none:skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(map[string]Action{"a": act(nothing), "b": act(nothing), "c": act(nothing), "bad": fails("it broke"),
				"none": act(func(context.Context, playbooks.Step, Recorder) error {
					return fmt.Errorf("x: %w", Skipped{"nothing to do"})
				})}, test.steps...)
			s := end(t, e)
			if got := statuses(s); got != test.want {
				t.Errorf("%s instead of %s", got, test.want)
			}
			for id, step := range s.Steps {
				switch {
				case id == "bad" && step.Outcome.Error != "it broke",
					id == "none" && step.Outcome.Note != "nothing to do",
					id == "b" && step.Status == incident.Skipped && step.Outcome.Note != "it needs bad, which did not succeed":
					t.Errorf("%s: %+v", id, step.Outcome)
				}
			}
		})
	}
}

// hint is an error that knows more.
type hint struct{ gate bool }

func (hint) Error() string        { return "no room" }
func (hint) Hint() string         { return "make room" }
func (h hint) EvidenceGate() bool { return h.gate }

func TestOutcomeSaysWhatTheErrorKnows(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want incident.StepOutcome
	}{
		"nil":     {nil, incident.StepOutcome{Status: incident.Done}},
		"hint":    {fmt.Errorf("capture: %w", hint{}), incident.StepOutcome{Status: incident.Failed, Error: "capture: no room", Hint: "make room"}},
		"gate":    {hint{true}, incident.StepOutcome{Status: incident.Failed, Error: "no room", Hint: "make room", Gate: true}},
		"skipped": {Skipped{"down already"}, incident.StepOutcome{Status: incident.Skipped, Note: "down already"}},
	} {
		if got := outcome(test.err); got != test.want {
			t.Errorf("%s: %+v instead of %+v", name, got, test.want)
		}
	}
	e := newEngine(map[string]Action{"a": fails(strings.Repeat("x", 2*journal.MaxPayload))}, step("a", nil))
	if s := end(t, e); s.Steps["a"].Status != incident.Failed || len(s.Warnings) > 0 {
		t.Errorf("an endless error made the step %s, warnings %v", s.Steps["a"].Status, s.Warnings)
	}
}

func TestDeadline(t *testing.T) {
	canceled := act(func(ctx context.Context, _ playbooks.Step, _ Recorder) error {
		<-ctx.Done()
		return fmt.Errorf("read: %w", ctx.Err())
	})
	deaf := act(func(context.Context, playbooks.Step, Recorder) error {
		return wall{}.Sleep(context.Background(), time.Minute)
	})
	for name, test := range map[string]struct {
		action act
		status string
		says   string
		after  time.Duration
	}{
		"too long":               {takes(time.Minute), incident.Failed, ErrDeadline.Error(), 5 * time.Second},
		"in time":                {takes(4 * time.Second), incident.Done, "", 4 * time.Second},
		"says canceled":          {canceled, incident.Failed, "the deadline has passed: read: context canceled", 5 * time.Second},
		"does not listen":        {deaf, incident.Done, "", time.Minute},
		"fails for other causes": {fails("it broke"), incident.Failed, "it broke", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				watched := act(func(ctx context.Context, s playbooks.Step, r Recorder) error {
					err := test.action(ctx, s, r)
					cause = context.Cause(ctx)
					return err
				})
				e := newEngine(map[string]Action{"a": watched}, step("a", func(s *playbooks.Step) { s.Deadline = 5 * time.Second }))
				began := time.Now()
				s := end(t, e).Steps["a"]
				if took := time.Since(began); s.Status != test.status || s.Outcome.Error != test.says || took != test.after {
					t.Errorf("%+v after %v", s.Outcome, took)
				}
				if passed := test.after >= 5*time.Second; errors.Is(cause, ErrDeadline) != passed {
					t.Errorf("the cause was %v", cause)
				}
			})
		})
	}
}

func TestAPanicFailsItsStepAlone(t *testing.T) {
	const secret = "ghp_thevalueofasecret"
	for name, action := range map[string]Action{
		"value":    act(func(context.Context, playbooks.Step, Recorder) error { panic(secret) }),
		"error":    act(func(context.Context, playbooks.Step, Recorder) error { panic(errors.New(secret)) }),
		"nil":      act(func(context.Context, playbooks.Step, Recorder) error { panic(nil) }),
		"map":      act(func(_ context.Context, s playbooks.Step, _ Recorder) error { s.With[secret] = 1; return nil }),
		"library":  act(func(context.Context, playbooks.Step, Recorder) error { return errors.New(strings.Repeat(secret, -1)) }),
		"announce": announced{act(nothing), func() ([]string, string) { panic(secret) }},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(map[string]Action{"bad": action, "good": act(nothing)},
				step("bad", func(s *playbooks.Step) { s.Gate = playbooks.Confirm }), step("good", needs("bad")))
			e.Decider = always(incident.Yes, "")
			s := end(t, e)
			if got := statuses(s); got != "bad:failed good:done" {
				t.Error(got)
			}
			text := s.Steps["bad"].Outcome.Error
			if !strings.Contains(text, "run_test.go:") || strings.Contains(text, secret) {
				t.Errorf("it says %q", text)
			}
			for entry, err := range e.Journal.Entries(t.Context()) {
				if err != nil || strings.Contains(string(entry.Line()), secret) {
					t.Errorf("the record has %s, %v", entry.Line(), err)
				}
			}
		})
	}
	if got := place([]byte("no stack")); got != "an unknown place" {
		t.Errorf("place is %q", got)
	}
}

func TestCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		var heard error
		slow := act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
			<-ctx.Done()
			heard = context.Cause(ctx)
			_ = wall{}.Sleep(context.Background(), 10*time.Second) // what is under way is finished
			r.Note(incident.TypeWarning, incident.Warning{Text: "finished"})
			return nil
		})
		never := act(func(context.Context, playbooks.Step, Recorder) error { t.Error("a further step began"); return nil })
		e := newEngine(map[string]Action{"slow": slow, "quick": takes(time.Second), "asks": never, "next": never, "after": never},
			step("slow", nil), step("quick", nil), step("asks", func(s *playbooks.Step) { s.Gate = playbooks.Confirm }),
			step("next", needs("slow")), step("after", needs("quick", "slow")))
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		time.Sleep(5 * time.Second)
		began := time.Now()
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took != 10*time.Second || !errors.Is(heard, why) {
			t.Errorf("Run waited %v for what was under way, which heard %v", took, heard)
		}
		_ = e.Journal.Close()
		s := state(t, e)
		if got := statuses(s); got != "after:waiting asks:waiting next:waiting quick:done slow:done" {
			t.Error(got)
		}
		if len(s.Warnings) != 1 {
			t.Errorf("warnings %v", s.Warnings)
		}
		if err := e.Submit(t.Context(), Command{Answer: &incident.Answer{Question: "q1", Choice: incident.Yes}}); !errors.Is(err, ErrNoQuestion) {
			t.Errorf("an answer after the end: %v", err)
		}
	})
	t.Run("at the moment at which the next could begin", func(t *testing.T) {
		never := act(func(context.Context, playbooks.Step, Recorder) error { t.Error("a further step began"); return nil })
		ctx, cancel := context.WithCancel(t.Context())
		e := newEngine(map[string]Action{"ends": act(func(context.Context, playbooks.Step, Recorder) error { cancel(); return nil }), "next": never},
			step("ends", nil), step("next", needs("ends")))
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		_ = e.Journal.Close()
		if got := statuses(state(t, e)); got != "ends:done next:waiting" {
			t.Error(got)
		}
	})
	t.Run("between gate and step", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := newEngine(nil)
		out, began := e.attempt(ctx, step("a", nil))
		if began || out.Status != incident.Failed || e.Journal.Length() > 0 {
			t.Errorf("%+v, began %v, %d entries", out, began, e.Journal.Length())
		}
		_ = e.Journal.Close()
	})
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := newEngine(map[string]Action{"a": act(func(context.Context, playbooks.Step, Recorder) error { t.Error("it ran"); return nil })}, step("a", nil))
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		_ = e.Journal.Close()
	})
}

func TestIntentIsOnDiskBeforeTheEffect(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Create(dir, journal.Holder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	onDisk := func() (all []string) {
		for e, err := range journal.Read(dir) {
			if err != nil && !errors.Is(err, journal.ErrTorn) { // another entry is being written
				t.Error(err)
			}
			all = append(all, e.Type)
		}
		return all
	}
	effect := act(func(ctx context.Context, s playbooks.Step, r Recorder) error {
		if got := onDisk(); !slices.Equal(got, []string{incident.TypePlan, incident.TypeStepIntent}) {
			t.Errorf("before the step the disk has %q", got)
		}
		r.Note(incident.TypeFound, incident.Found{})
		if err := r.Intent(ctx, incident.TypeRevoke, incident.Revoke{}); err != nil {
			t.Error(err)
		}
		if got := onDisk(); !slices.Equal(got[2:], []string{incident.TypeFound, incident.TypeRevoke}) {
			t.Errorf("before the effect the disk has %q", got)
		}
		return nil
	})
	e := newEngine(map[string]Action{"a": effect}, step("a", nil))
	_ = e.Journal.Close()
	e.Journal = j
	if s := end(t, e); statuses(s) != "a:done" {
		t.Error(statuses(s))
	}
}

// TestNoEffectOvertakesItsIntent runs so many steps that one which does not wait would be caught.
func TestNoEffectOvertakesItsIntent(t *testing.T) {
	var e *Engine
	now, cancel := context.WithCancel(t.Context())
	cancel() // a cursor then gives what is committed, and waits for nothing
	committed := func(typ, holds string) bool {
		for c := e.Journal.Cursor(); ; {
			entry, err := c.Next(now)
			if err != nil {
				return false
			}
			if entry.Type == typ && strings.Contains(string(entry.Data), holds) {
				return true
			}
		}
	}
	actions := make(map[string]Action)
	var steps []playbooks.Step
	for i := range 100 {
		id := fmt.Sprintf("s-%d-", i)
		steps = append(steps, step(id, nil))
		actions[id] = act(func(ctx context.Context, s playbooks.Step, r Recorder) error {
			if !committed(incident.TypeStepIntent, s.ID) {
				return errors.New("it runs before its intent is on disk")
			}
			if err := r.Intent(ctx, incident.TypeCommand, incident.Command{Text: s.ID}); err != nil {
				return err
			}
			if !committed(incident.TypeCommand, s.ID) {
				return errors.New("Intent returned before it is on disk")
			}
			return nil
		})
	}
	e = newEngine(actions, steps...)
	for _, step := range end(t, e).Steps {
		if step.Status != incident.Done {
			t.Errorf("%s: %s", step.ID, step.Outcome.Error)
		}
	}
}

func TestARecordWithoutADiskStopsNothing(t *testing.T) {
	var did lines
	effect := act(func(ctx context.Context, s playbooks.Step, r Recorder) error {
		did.add("%s", s.ID)
		return r.Intent(ctx, incident.TypeRevoke, incident.Revoke{Fingerprint: "f"})
	})
	e := newEngine(map[string]Action{"a": effect, "b": effect}, step("a", nil), step("b", func(s *playbooks.Step) { s.Needs, s.Gate = []string{"a"}, playbooks.Confirm }))
	_ = e.Journal.Close()
	e.Journal = journal.Refused(syscall.ENOSPC, time.Now)
	e.Decider = always(incident.Yes, "")
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Submit(t.Context(), Command{Note: &incident.Note{Text: "so be it", By: "dana"}}); err != nil {
		t.Error(err)
	}
	_ = e.Journal.Close()
	s, err := incident.FoldAll(e.Journal.Entries(t.Context()))
	if err != nil || statuses(s) != "a:done b:done" || !slices.Equal(did.got(), []string{"a", "b"}) {
		t.Errorf("%v, %s, did %q", err, statuses(s), did.got())
	}
	if !strings.Contains(s.Trouble, "no space left") || s.ExitCode() == incident.ExitContained {
		t.Errorf("the record says %q, exit %d", s.Trouble, s.ExitCode())
	}
}

func TestWhatTheRecordCannotTakeIsSaid(t *testing.T) {
	large := strings.Repeat("x", journal.MaxPayload)
	e := newEngine(map[string]Action{"a": act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
		r.Note(incident.TypeNote, incident.Note{Text: large})
		return r.Intent(ctx, incident.TypeNote, incident.Note{Text: large})
	})}, step("a", nil))
	s := end(t, e)
	if statuses(s) != "a:failed" || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0].Text, "more than") {
		t.Errorf("%s, warnings %v", statuses(s), s.Warnings)
	}
}

func TestPlaybooksThatCannotRun(t *testing.T) {
	e := newEngine(map[string]Action{"a": act(func(context.Context, playbooks.Step, Recorder) error { t.Error("it ran"); return nil })}, step("a", nil), step("b", nil))
	if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "step b uses b") || e.Journal.Length() > 0 {
		t.Errorf("an unknown action: %v, %d entries", err, e.Journal.Length())
	}
	_ = e.Journal.Close()
	e = newEngine(map[string]Action{"a": act(nothing), "b": act(nothing)}, step("a", nil), step("b", needs("b", "a")))
	if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "step b waits for a step that never ends") {
		t.Errorf("a circle: %v", err)
	}
	_ = e.Journal.Close()
	if got := statuses(state(t, e)); got != "a:done b:waiting" {
		t.Error(got)
	}
}

func TestPlanShowsThePlaybook(t *testing.T) {
	s := playbooks.Step{ID: "a", Title: "A", Uses: "x.y", Why: "so", Gate: playbooks.Typed, Needs: []string{"b"}, Irreversible: "all", With: map[string]any{"k": "v"}}
	got := Plan(playbooks.Playbook{Title: "T", Phases: []playbooks.Phase{{ID: "p", Title: "P", Steps: []playbooks.Step{s}}}})
	want := incident.PlanStep{ID: "a", Title: "A", Uses: "x.y", Why: "so", Gate: "typed", Needs: []string{"b"}, Irreversible: "all", With: map[string]any{"k": "v"}}
	if got.Title != "T" || len(got.Phases) != 1 || got.Phases[0].ID != "p" || got.Phases[0].Title != "P" || fmt.Sprint(got.Phases[0].Steps) != fmt.Sprint([]incident.PlanStep{want}) {
		t.Errorf("%+v", got)
	}
}
