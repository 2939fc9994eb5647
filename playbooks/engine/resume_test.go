package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// repeats is an action that a resumed run carries out again although it is done.
type repeats struct{ act }

func (repeats) Repeat(playbooks.Step) bool { return true }

// past writes into an engine's record what an earlier run left there, and has the engine go on with it.
func past(t *testing.T, e *Engine, entries ...any) {
	t.Helper()
	note := func(typ string, data any) {
		if err := e.Journal.Note(typ, data); err != nil {
			t.Fatal(err)
		}
	}
	note(incident.TypePlan, Plan(e.Playbook))
	for _, data := range entries {
		switch data.(type) {
		case incident.StepIntent:
			note(incident.TypeStepIntent, data)
		case incident.StepOutcome:
			note(incident.TypeStepOutcome, data)
		case incident.Question:
			note(incident.TypeAsked, data)
		case incident.Answer:
			note(incident.TypeAnswered, data)
		default:
			t.Fatalf("%T", data)
		}
	}
	if err := e.Journal.Append(t.Context(), incident.TypeResumed, incident.Resumed{By: "dana"}); err != nil {
		t.Fatal(err)
	}
	s := state(t, e)
	e.Resumed = &s
}

func intent(id string) incident.StepIntent { return incident.StepIntent{Step: id} }

func outcomeOf(id, status string) incident.StepOutcome {
	return incident.StepOutcome{Step: id, Status: status}
}

func answered(id, step, kind, choice string) []any {
	return []any{
		incident.Question{ID: id, Step: step, Kind: kind, Title: "Title of " + step, Options: options[kind]},
		incident.Answer{Question: id, Choice: choice, By: "dana"},
	}
}

var options = map[string][]incident.Option{incident.Choice: {{ID: "host"}, {ID: "theft"}}}

// What is done stands, and so does what a person or a condition left out. Everything else runs,
// again if need be, and nobody plans it a second time.
func TestWhatAResumedRunGoesOnWith(t *testing.T) {
	for name, c := range map[string]struct {
		before []any
		want   string // what runs of a, b (which needs a), again (which repeats)
	}{
		"nothing begun":      {nil, "a again b"},
		"done":               {[]any{intent("a"), outcomeOf("a", incident.Done), intent("b"), outcomeOf("b", incident.Done)}, "again"},
		"repeated":           {[]any{intent("again"), outcomeOf("again", incident.Done), intent("a"), outcomeOf("a", incident.Done)}, "again b"},
		"died under way":     {[]any{intent("a")}, "a again b"},
		"failed":             {[]any{intent("a"), outcomeOf("a", incident.Failed), intent("b"), outcomeOf("b", incident.Done)}, "a again"},
		"skipped for that":   {[]any{intent("a"), outcomeOf("a", incident.Failed), incident.StepOutcome{Step: "b", Status: incident.Skipped, Needed: "a"}}, "a again b"},
		"left out at gate":   {[]any{outcomeOf("a", incident.Skipped)}, "again b"},
		"left out by person": {slices.Concat([]any{intent("a")}, answered("q1", "a", incident.Guide, incident.No), []any{outcomeOf("a", incident.Skipped)}), "again b"},
		"left for later":     {slices.Concat([]any{intent("a")}, answered("q1", "a", incident.Guide, incident.Later), []any{outcomeOf("a", incident.Skipped)}), "a again b"},
		"nothing to do":      {[]any{intent("a"), outcomeOf("a", incident.Skipped)}, "a again b"},
	} {
		t.Run(name, func(t *testing.T) {
			var ran lines
			runs := act(func(_ context.Context, s playbooks.Step, _ Recorder) error { ran.add("%s", s.ID); return nil })
			e := newEngine(map[string]Action{"a": runs, "b": runs, "again": repeats{runs}}, step("a", nil), step("b", needs("a")), step("again", nil))
			past(t, e, c.before...)
			s := end(t, e)
			got := ran.got()
			slices.Sort(got)
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v ran, and %s should", got, c.want)
			}
			for id, step := range s.Steps {
				if step.Status != incident.Done && step.Status != incident.Skipped {
					t.Errorf("%s is %s", id, step.Status)
				}
			}
			plans := 0
			for entry, err := range e.Journal.Entries(t.Context()) {
				if err == nil && entry.Type == incident.TypePlan {
					plans++
				}
			}
			if plans != 1 {
				t.Errorf("it is planned %d times", plans)
			}
		})
	}
}

// A run that died before it planned anything is planned now.
func TestResumedWithoutAPlan(t *testing.T) {
	e := newEngine(map[string]Action{"a": act(nothing)}, step("a", nil))
	e.Resumed = new(incident.State)
	if s := end(t, e); len(s.Plan.Phases) != 1 || s.Steps["a"].Status != incident.Done {
		t.Errorf("%+v", s.Steps)
	}
}

// A decision that was made stands, for the steps that ask for it, whether its step ended or not;
// nobody is asked twice what they decided or recorded. A gate is asked again, and numbers of
// questions go on.
func TestDecisionsStand(t *testing.T) {
	cause := act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
		_, err := r.Ask(ctx, incident.Question{Kind: incident.Choice, Title: "Title of cause", Options: options[incident.Choice]})
		return err
	})
	confirms := act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
		_, err := r.Ask(ctx, incident.Question{Kind: incident.Confirm, Title: "Title of sure"})
		return err
	})
	decided := slices.Concat([]any{intent("cause")}, answered("q7", "cause", incident.Choice, "host"))
	for name, c := range map[string]struct {
		before []any
		asked  string
		want   string
	}{
		"ended":         {append(slices.Clone(decided), outcomeOf("cause", incident.Done)), "sure:q8", "cause:done host:done sure:done theft:skipped"},
		"never ended":   {decided, "sure:q8", "cause:done host:done sure:done theft:skipped"},
		"failed since":  {append(slices.Clone(decided), outcomeOf("cause", incident.Failed)), "cause:q8 sure:q9", "cause:done host:skipped sure:done theft:done"},
		"another asks":  {slices.Concat([]any{intent("cause")}, []any{incident.Question{ID: "q7", Step: "cause", Kind: incident.Choice, Title: "Other", Options: options[incident.Choice]}, incident.Answer{Question: "q7", Choice: "host"}}), "cause:q8 sure:q9", "cause:done host:skipped sure:done theft:done"},
		"does not fit":  {slices.Concat([]any{intent("cause")}, answered("q7", "cause", incident.Choice, "neither")), "cause:q8 sure:q9", "cause:done host:skipped sure:done theft:done"},
		"only asked":    {[]any{intent("cause"), answered("q7", "cause", incident.Choice, "host")[0]}, "cause:q8 sure:q9", "cause:done host:skipped sure:done theft:done"},
		"confirmed":     {append(append(slices.Clone(decided), intent("sure")), answered("q9", "sure", incident.Confirm, incident.Yes)...), "sure:q10", "cause:done host:done sure:done theft:skipped"},
		"skipped since": {append(slices.Clone(decided), outcomeOf("cause", incident.Failed), outcomeOf("host", incident.Skipped), outcomeOf("theft", incident.Skipped)), "cause:q8 sure:q9", "cause:done host:skipped sure:done theft:done"},
	} {
		t.Run(name, func(t *testing.T) {
			when := func(choice string) func(*playbooks.Step) {
				return func(s *playbooks.Step) {
					s.Needs, s.When = []string{"cause"}, playbooks.Condition{Fact: "cause", Choice: choice}
				}
			}
			e := newEngine(map[string]Action{"cause": cause, "host": act(nothing), "theft": act(nothing), "sure": confirms},
				step("cause", nil), step("host", when("host")), step("theft", when("theft")), step("sure", needs("cause")))
			var asked lines
			e.Decider = decider(func(_ context.Context, q incident.Question) (incident.Answer, error) {
				asked.add("%s:%s", q.Step, q.ID)
				if q.Kind == incident.Choice {
					return incident.Answer{Choice: "theft", By: "robin"}, nil
				}
				return incident.Answer{Choice: incident.Yes, By: "robin"}, nil
			})
			past(t, e, c.before...)
			s := end(t, e)
			if got := strings.Join(asked.got(), " "); got != c.asked {
				t.Errorf("asked %s instead of %s", got, c.asked)
			}
			if got := statuses(s); got != c.want {
				t.Errorf("%s instead of %s", got, c.want)
			}
		})
	}
}

// The gate of a step is asked again unless the step was done and can be undone.
func TestGatesOfRepeatedSteps(t *testing.T) {
	for _, irreversible := range []string{"", "it is gone"} {
		for _, status := range []string{incident.Done, incident.Failed} {
			asks := 0
			e := newEngine(map[string]Action{"a": repeats{nothing}}, step("a", func(s *playbooks.Step) { s.Gate, s.Irreversible = playbooks.Confirm, irreversible }))
			e.Decider = decider(func(_ context.Context, q incident.Question) (incident.Answer, error) {
				asks++
				return incident.Answer{Choice: incident.Yes, Text: q.Type}, nil
			})
			past(t, e, intent("a"), outcomeOf("a", status))
			end(t, e)
			if want := irreversible != "" || status != incident.Done; (asks == 1) != want {
				t.Errorf("%s, irreversible %q: asked %d times", status, irreversible, asks)
			}
		}
	}
}

// A step that was skipped because of another names it, for the run that goes on.
func TestSkippedStepsNameWhatTheyNeeded(t *testing.T) {
	e := newEngine(map[string]Action{"bad": act(func(context.Context, playbooks.Step, Recorder) error { return errors.New("broke") }), "b": act(nothing)},
		step("bad", func(s *playbooks.Step) { s.OnFailure = playbooks.Stop }), step("b", needs("bad")))
	if s := end(t, e); s.Steps["b"].Outcome.Needed != "bad" {
		t.Error(fmt.Sprint(s.Steps["b"].Outcome))
	}
}

// What was answered in writing is not asked again, whether its step ended or not; what was left open is.
func TestWrittenAnswersStand(t *testing.T) {
	put := func(id, title, choice, text string) []any {
		return []any{incident.Question{ID: id, Step: "a", Kind: incident.Written, Title: title}, incident.Answer{Question: id, Choice: choice, Text: text, By: "dana"}}
	}
	both := slices.Concat([]any{intent("a")}, put("q1", "How?", incident.Yes, "by a mail"), put("q2", "What?", incident.Later, ""))
	for name, before := range map[string][]any{"died": both, "ended": append(slices.Clone(both), outcomeOf("a", incident.Skipped))} {
		var asked, heard lines
		e := newEngine(map[string]Action{"a": act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
			for _, title := range []string{"How?", "What?"} {
				a, err := r.Ask(ctx, incident.Question{Kind: incident.Written, Title: title})
				if err != nil {
					return err
				}
				heard.add("%s", a.Text)
			}
			return nil
		})}, step("a", nil))
		e.Decider = decider(func(_ context.Context, q incident.Question) (incident.Answer, error) {
			asked.add("%s", q.Title)
			return incident.Answer{Choice: incident.Yes, Text: "two files"}, nil
		})
		past(t, e, before...)
		end(t, e)
		if got := strings.Join(asked.got(), " "); got != "What?" {
			t.Errorf("%s: asked %s", name, got)
		}
		if got := strings.Join(heard.got(), ", "); got != "by a mail, two files" {
			t.Errorf("%s: heard %s", name, got)
		}
	}
}
