package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
)

func gated(gate string) func(*playbooks.Step) {
	return func(s *playbooks.Step) {
		s.Gate, s.Why = gate, "Because."
		if gate == playbooks.Typed {
			s.Irreversible = "It stays so."
		}
	}
}

// replies answers with one after the other.
func replies(all ...incident.Answer) decider {
	var mu sync.Mutex
	return func(context.Context, incident.Question) (incident.Answer, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(all) == 0 {
			return incident.Answer{}, errors.New("asked too often")
		}
		a := all[0]
		all = all[1:]
		return a, nil
	}
}

func TestGates(t *testing.T) {
	yes := func(text string) incident.Answer { return incident.Answer{Choice: incident.Yes, Text: text} }
	no, later, odd := incident.Answer{Choice: incident.No}, incident.Answer{Choice: incident.Later}, incident.Answer{Choice: "sure"}
	for name, test := range map[string]struct {
		gate    string
		answers []incident.Answer
		status  string
		note    string
	}{
		"auto":                {playbooks.Auto, nil, incident.Done, ""},
		"confirm":             {playbooks.Confirm, []incident.Answer{yes("")}, incident.Done, ""},
		"confirm, declined":   {playbooks.Confirm, []incident.Answer{no}, incident.Skipped, "left out by the responder"},
		"confirm, unclear":    {playbooks.Confirm, []incident.Answer{odd, later, {}, yes("")}, incident.Done, ""},
		"typed":               {playbooks.Typed, []incident.Answer{yes("revoke 20")}, incident.Done, ""},
		"typed, wrong":        {playbooks.Typed, []incident.Answer{yes("revoke 2"), yes(""), yes("Revoke 20"), yes("revoke 20 "), yes("revoke 20")}, incident.Done, ""},
		"typed, declined":     {playbooks.Typed, []incident.Answer{yes("revoke 2"), no}, incident.Skipped, "left out by the responder"},
		"typed, wrong always": {playbooks.Typed, slices.Repeat([]incident.Answer{yes("revoke 2")}, maxTries), incident.Failed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ran := false
			a := announced{
				func(context.Context, playbooks.Step, Recorder) error { ran = true; return nil },
				func() ([]string, string) { return []string{"github: 20 credentials"}, "revoke 20" },
			}
			e := newEngine(map[string]Action{"a": a}, step("a", gated(test.gate)))
			e.Decider = replies(test.answers...)
			s := end(t, e)
			if got := s.Steps["a"]; got.Status != test.status || got.Outcome.Note != test.note || ran != (test.status == incident.Done) {
				t.Errorf("%+v, ran: %v", got.Outcome, ran)
			}
			if began := !s.Steps["a"].Began.IsZero(); began != ran {
				t.Errorf("its intent is on record: %v", began)
			}
			text := []string{"Because.", "github: 20 credentials"}
			if test.gate == playbooks.Typed {
				text = append(text, "It stays so.")
			}
			asked, answered := 0, 0
			for entry := range e.Journal.Entries(t.Context()) {
				var q incident.Question
				switch entry.Type {
				case incident.TypeAsked:
					asked++
					if err := entry.Decode(&q); err != nil || q.ID != fmt.Sprintf("q%d", asked) || q.Step != "a" || q.Kind != test.gate || q.Title != "Title of a" ||
						!slices.Equal(q.Text, text) || q.Type != "revoke 20" {
						t.Errorf("asked %+v, %v", q, err)
					}
				case incident.TypeAnswered:
					answered++
				}
			}
			if asked != len(test.answers) || answered != asked {
				t.Errorf("%d questions and %d answers for %d", asked, answered, len(test.answers))
			}
		})
	}
	t.Run("typed without an announcement", func(t *testing.T) {
		e := newEngine(map[string]Action{"freeze": act(nothing)}, step("freeze", gated(playbooks.Typed)))
		e.Decider = always(incident.Yes, "freeze")
		if s := end(t, e); statuses(s) != "freeze:done" {
			t.Error(statuses(s))
		}
	})
}

// What cannot be undone is asked for by its name and target, typed, whatever the playbook's gate says;
// and every gate says on what it acts.
func TestIrreversibleIsTyped(t *testing.T) {
	for _, test := range []struct{ gate, irreversible, target, kind, typed string }{
		{playbooks.Confirm, "", "root@web-1", incident.Confirm, ""},
		{playbooks.Confirm, "It is gone.", "root@web-1", incident.Typed, "stop web-1"},
		{playbooks.Typed, "", "root@web-1", incident.Typed, "stop web-1"},
		{playbooks.Typed, "It is gone.", "web-1.example.org", incident.Typed, "stop web-1.example.org"},
		{playbooks.Confirm, "It is gone.", "/mnt/disk/", incident.Typed, "stop disk"},
		{playbooks.Confirm, "It is gone.", "/", incident.Typed, "stop"},
		{playbooks.Confirm, "It is gone.", "", incident.Typed, "stop"},
		{playbooks.Confirm, "It is gone.", "root@we\x1b[2Jb 漢\u202e1", incident.Typed, "stop we[2Jb1"},
		{playbooks.Confirm, "It is gone.", strings.Repeat("x", 300), incident.Typed, "stop " + strings.Repeat("x", 40)},
	} {
		e := newEngine(map[string]Action{"stop": act(nothing)}, step("stop", func(s *playbooks.Step) { s.Gate, s.Irreversible = test.gate, test.irreversible }))
		e.Target = test.target
		var q incident.Question
		e.Decider = decider(func(_ context.Context, asked incident.Question) (incident.Answer, error) {
			q = asked
			return incident.Answer{Choice: incident.Yes, Text: asked.Type}, nil
		})
		s := end(t, e)
		if q.Kind != test.kind || q.Type != test.typed || statuses(s) != "stop:done" {
			t.Errorf("%+v: asked %+v, %s", test, q, statuses(s))
		}
		if on := len(q.Text) > 0 && q.Text[0] == "On "+test.target+"."; on != (test.target != "") {
			t.Errorf("%+v: it says %q", test, q.Text)
		}
		want := test.gate
		if test.irreversible != "" {
			want = playbooks.Typed
		}
		if got := s.Plan.Phases[0].Steps[0].Gate; got != want {
			t.Errorf("%+v: the plan says %s", test, got)
		}
	}
	t.Run("a yes is not enough", func(t *testing.T) {
		e := newEngine(map[string]Action{"stop": act(nothing)}, step("stop", func(s *playbooks.Step) { s.Gate, s.Irreversible = playbooks.Confirm, "It is gone." }))
		e.Decider = always(incident.Yes, "")
		if s := end(t, e); statuses(s) != "stop:failed" {
			t.Error(statuses(s))
		}
	})
}

func TestAnswersHaveToFit(t *testing.T) {
	choice := incident.Question{Kind: incident.Choice, Options: []incident.Option{{ID: "host"}, {ID: "theft"}}}
	for _, test := range []struct {
		q    incident.Question
		a    incident.Answer
		want bool
	}{
		{choice, incident.Answer{Choice: "theft"}, true},
		{choice, incident.Answer{Choice: "Theft"}, false},
		{choice, incident.Answer{Choice: ""}, false},
		{choice, incident.Answer{Choice: incident.Yes}, false},
		{incident.Question{Kind: incident.Choice}, incident.Answer{}, false},
		{incident.Question{Kind: incident.Guide}, incident.Answer{Choice: incident.Later}, true},
		{incident.Question{Kind: incident.Guide}, incident.Answer{Choice: incident.No}, true},
		{incident.Question{Kind: incident.Guide}, incident.Answer{Choice: incident.Yes, Text: "done"}, true},
		{incident.Question{Kind: incident.Guide}, incident.Answer{Choice: "done"}, false},
		{incident.Question{Kind: incident.Confirm}, incident.Answer{Choice: incident.Later}, false},
		{incident.Question{Kind: incident.Typed, Type: "x"}, incident.Answer{Choice: incident.No, Text: "y"}, true},
		{incident.Question{Kind: incident.Typed, Type: "x"}, incident.Answer{Choice: incident.Later, Text: "x"}, false},
		{incident.Question{Kind: incident.Written}, incident.Answer{Choice: incident.Yes, Text: "by a mail"}, true},
		{incident.Question{Kind: incident.Written}, incident.Answer{Choice: incident.Yes, Text: " \n"}, false},
		{incident.Question{Kind: incident.Written}, incident.Answer{Choice: incident.Later}, true},
		{incident.Question{Kind: incident.Written}, incident.Answer{Choice: incident.No, Text: "no"}, false},
		{incident.Question{Kind: "riddle"}, incident.Answer{Choice: incident.Later}, false},
	} {
		if got := fits(test.q, test.a); got != test.want {
			t.Errorf("%+v fits %+v: %v", test.a, test.q, got)
		}
	}
}

// asks is an action that asks once, and says what it heard.
func asks(heard *lines) act {
	return func(ctx context.Context, _ playbooks.Step, r Recorder) error {
		a, err := r.Ask(ctx, incident.Question{Step: "another", Kind: incident.Guide, Title: "Look"})
		heard.add("%s by %s: %v", a.Choice, a.By, err)
		return err
	}
}

func TestNobodyIsWaitedForInVain(t *testing.T) {
	broken := errors.New("the script has no answer")
	nobody := decider(func(context.Context, incident.Question) (incident.Answer, error) {
		return incident.Answer{}, fmt.Errorf("x: %w", ErrNobody)
	})
	for name, test := range map[string]struct {
		attended bool
		decider  Decider
		says     string
	}{
		"unattended, no decider":        {false, nil, "the question was not answered: nobody attends to this response"},
		"unattended, decider passes":    {false, nobody, "nobody attends to this response"},
		"unattended, decider fails":     {false, decider(func(context.Context, incident.Question) (incident.Answer, error) { return incident.Answer{}, broken }), broken.Error()},
		"attended, decider fails":       {true, decider(func(context.Context, incident.Question) (incident.Answer, error) { return incident.Answer{}, broken }), broken.Error()},
		"attended, decider panics":      {true, decider(func(context.Context, incident.Question) (incident.Answer, error) { panic("secret") }), "a fault of clawback itself, at "},
		"attended, decider never fits":  {true, always("maybe", ""), "got 10 answers, and none of them fits"},
		"attended, answer is too large": {true, always(incident.Yes, strings.Repeat("x", journal.MaxPayload)), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails when everybody waits
				var heard lines
				e := newEngine(map[string]Action{"asks": asks(&heard), "gate": act(nothing), "after": act(nothing)},
					step("asks", nil), step("gate", gated(playbooks.Confirm)), step("after", needs("asks", "gate")))
				e.Playbook.Attended, e.Decider = test.attended, test.decider
				s := end(t, e)
				if got := statuses(s); got != "after:done asks:failed gate:failed" {
					t.Error(got)
				}
				for _, id := range []string{"asks", "gate"} {
					if text := s.Steps[id].Outcome.Error; !strings.Contains(text, test.says) || strings.Contains(text, "secret") {
						t.Errorf("%s: %q", id, text)
					}
				}
			})
		})
	}
	t.Run("unattended, decider answers", func(t *testing.T) {
		var heard lines
		e := newEngine(map[string]Action{"asks": asks(&heard)}, step("asks", nil))
		e.Playbook.Attended, e.Decider = false, always(incident.Yes, "")
		if s := end(t, e); statuses(s) != "asks:done" || !slices.Equal(heard.got(), []string{"yes by dana: <nil>"}) {
			t.Errorf("%s, heard %q", statuses(s), heard.got())
		}
	})
}

func TestSubmitAnswers(t *testing.T) {
	for name, d := range map[string]Decider{
		"no decider": nil,
		"decider passes": decider(func(context.Context, incident.Question) (incident.Answer, error) {
			return incident.Answer{}, ErrNobody
		}),
		"decider thinks": decider(func(ctx context.Context, _ incident.Question) (incident.Answer, error) {
			<-ctx.Done()
			return incident.Answer{}, ctx.Err()
		}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard lines
				e := newEngine(map[string]Action{"asks": asks(&heard)}, step("asks", nil))
				e.Decider = d
				answer := func(id, choice, text string) error {
					return e.Submit(t.Context(), Command{Answer: &incident.Answer{Question: id, Choice: choice, Text: text, By: "lee"}})
				}
				ended := make(chan error)
				go func() { ended <- e.Run(t.Context()) }()
				synctest.Wait()
				for _, id := range []string{"", "q0", "q2", "asks"} {
					if err := answer(id, incident.Yes, ""); !errors.Is(err, ErrNoQuestion) {
						t.Errorf("an answer to %q: %v", id, err)
					}
				}
				if err := answer("q1", incident.Yes, strings.Repeat("x", journal.MaxPayload)); err == nil {
					t.Error("an answer that the record cannot take was taken")
				}
				synctest.Wait()
				if len(heard.got()) > 0 {
					t.Error("an answer that is not on record took effect")
				}
				if err := answer("q1", incident.Later, "seen"); err != nil {
					t.Error(err)
				}
				if err := answer("q1", incident.Yes, ""); !errors.Is(err, ErrNoQuestion) {
					t.Errorf("a second answer: %v", err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				_ = e.Journal.Close()
				s := state(t, e)
				want := incident.Answer{Question: "q1", Choice: incident.Later, Text: "seen", By: "lee"}
				if s.Decisions["asks"] != want || len(s.Open) > 0 || !slices.Equal(heard.got(), []string{"later by lee: <nil>"}) {
					t.Errorf("decisions %+v, open %v, heard %q", s.Decisions, s.Open, heard.got())
				}
			})
		})
	}
}

// TestRacingAnswers lets a Decider and two responders answer the same questions: each is answered
// once, on record after it was asked and before it has an effect.
func TestRacingAnswers(t *testing.T) {
	const many = 60
	dir := t.TempDir()
	j, err := journal.Create(dir, journal.Holder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var steps []playbooks.Step
	actions := make(map[string]Action)
	for i := range many {
		id := fmt.Sprintf("s%d", i)
		steps = append(steps, step(id, nil))
		actions[id] = act(func(ctx context.Context, s playbooks.Step, r Recorder) error {
			a, err := r.Ask(ctx, incident.Question{Kind: incident.Guide})
			if err != nil {
				return err
			}
			for e := range journal.Read(dir) {
				var on incident.Answer
				if e.Type == incident.TypeAnswered && e.Decode(&on) == nil && on == a {
					return nil
				}
			}
			return fmt.Errorf("the answer %+v is not on disk", a)
		})
	}
	e := newEngine(actions, steps...)
	_ = e.Journal.Close()
	e.Journal, e.Decider = j, always(incident.Yes, "")
	reading, stop := context.WithCancel(t.Context())
	var responders sync.WaitGroup
	for _, who := range []string{"lee", "kim"} {
		responders.Go(func() {
			questions(reading, e, func(q incident.Question) {
				err := e.Submit(t.Context(), Command{Answer: &incident.Answer{Question: q.ID, Choice: incident.Yes, By: who}})
				if err != nil && !errors.Is(err, ErrNoQuestion) {
					t.Error(err)
				}
			})
		})
	}
	s := end(t, e)
	stop()
	responders.Wait()
	for id, step := range s.Steps {
		if step.Status != incident.Done {
			t.Errorf("%s: %+v", id, step.Outcome)
		}
	}
	if n := answeredInOrder(t, journal.Read(dir)); n != many {
		t.Errorf("%d of %d questions were answered", n, many)
	}
}

// answeredInOrder counts the answers of a record, of which each stands after its question, once.
func answeredInOrder(t *testing.T, entries iter.Seq2[journal.Entry, error]) int {
	t.Helper()
	asked, answered := make(map[string]bool), make(map[string]bool)
	for entry, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		var q incident.Question
		var a incident.Answer
		switch entry.Type {
		case incident.TypeAsked:
			_ = entry.Decode(&q)
			asked[q.ID] = true
		case incident.TypeAnswered:
			_ = entry.Decode(&a)
			if !asked[a.Question] || answered[a.Question] {
				t.Errorf("entry %d answers %s, asked: %v, answered: %v", entry.Seq, a.Question, asked[a.Question], answered[a.Question])
			}
			answered[a.Question] = true
		}
	}
	return len(answered)
}

// TestNoAnswerStandsBeforeItsQuestion guesses the ids of questions that take long to write down.
func TestNoAnswerStandsBeforeItsQuestion(t *testing.T) {
	const many = 10
	long := incident.Question{Kind: incident.Guide, Text: []string{strings.Repeat("<", 100_000)}}
	e := newEngine(map[string]Action{"a": act(func(ctx context.Context, _ playbooks.Step, r Recorder) error {
		for range many {
			if _, err := r.Ask(ctx, long); err != nil {
				return err
			}
		}
		return nil
	})}, step("a", nil))
	var guessing sync.WaitGroup
	guessing.Go(func() {
		for n := 1; n <= many; runtime.Gosched() {
			if e.Submit(t.Context(), Command{Answer: &incident.Answer{Question: fmt.Sprintf("q%d", n), Choice: incident.Yes}}) == nil {
				n++
			}
		}
	})
	s := end(t, e)
	guessing.Wait()
	if n := answeredInOrder(t, e.Journal.Entries(t.Context())); n != many || statuses(s) != "a:done" {
		t.Errorf("%d of %d questions were answered, %s", n, many, statuses(s))
	}
}

func TestCommandsAreRecordedBeforeTheyHaveAnEffect(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Create(dir, journal.Holder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	sent := incident.Command{Kind: incident.ByHand, Credential: "f1", Text: "in the console", By: "dana"}
	taken := 0
	e := newEngine(map[string]Action{
		"a": commanded{act(nothing), func(incident.Command) error { return fmt.Errorf("x: %w", ErrNoTaker) }},
		"b": act(nothing),
		"c": commanded{act(nothing), func(c incident.Command) error {
			taken++
			for e := range journal.Read(dir) {
				var on incident.Command
				if e.Type == incident.TypeCommand && e.Decode(&on) == nil && on == sent && c == sent {
					return errors.New("taken")
				}
			}
			t.Errorf("%+v is not on disk", c)
			return nil
		}},
	})
	_ = e.Journal.Close()
	e.Journal = j
	if err := e.Submit(t.Context(), Command{Credential: &sent}); err == nil || err.Error() != "taken" || taken != 1 {
		t.Errorf("%v, taken %d times", err, taken)
	}
	if err := e.Submit(t.Context(), Command{Credential: &incident.Command{Text: strings.Repeat("x", journal.MaxPayload)}}); err == nil || taken != 1 {
		t.Errorf("a command that the record cannot take: %v", err)
	}
	if err := e.Submit(t.Context(), Command{Note: &incident.Note{Text: "the pager rang at 3", By: "dana"}}); err != nil {
		t.Error(err)
	}
	if err := e.Submit(t.Context(), Command{}); err == nil {
		t.Error("a command of nothing was taken")
	}
	e.Actions["c"] = commanded{act(nothing), func(incident.Command) error { panic("secret") }}
	if err := e.Submit(t.Context(), Command{Credential: &sent}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a panic: %v", err)
	}
	delete(e.Actions, "c")
	if err := e.Submit(t.Context(), Command{Credential: &sent}); !errors.Is(err, ErrNoTaker) {
		t.Errorf("nobody takes it: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if s := state(t, e); len(s.Notes) != 1 || s.Notes[0].Text != "the pager rang at 3" {
		t.Errorf("notes %v", s.Notes)
	}
	if err := e.Submit(t.Context(), Command{Note: &incident.Note{}}); err == nil {
		t.Error("a note was taken after the end")
	}
}
