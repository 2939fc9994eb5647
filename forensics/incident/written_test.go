package incident

import (
	"slices"
	"strings"
	"testing"
)

const theStep = "look-back"

// reviewed is the record of a plan that asks two questions in writing.
func reviewed(t *testing.T, more ...entry) State {
	plan := entry{TypePlan, Plan{Title: "Response", Phases: []PlanPhase{{ID: "review", Title: "Review", Steps: []PlanStep{
		{ID: theStep, Title: "Review", Uses: "person.guide", With: map[string]any{"questions": []string{"How?", "What?"}}},
	}}}}}
	return folded(t, append([]entry{{TypeDeclared, Declared{Incident: "INC-1", Mode: Real}}, plan}, more...)...)
}

func putTo(id, question, choice, text string) []entry {
	return []entry{
		{TypeAsked, Question{ID: id, Step: theStep, Kind: Written, Title: question}},
		{TypeAnswered, Answer{Question: id, Choice: choice, Text: text, By: "dana"}},
	}
}

var (
	lookingBack = entry{TypeStepIntent, StepIntent{Step: theStep}}
	lookedBack  = entry{TypeStepOutcome, StepOutcome{Step: theStep, Status: Skipped, Note: "left open"}}
)

// What is answered is known by its question, what was put off is open, and what nobody was asked yet is
// no open matter of its own.
func TestWritten(t *testing.T) {
	for name, c := range map[string]struct {
		more    []entry
		written string // question=answer, of those that are answered
		open    string // questions that nobody answered
		matters string // what is said of them
	}{
		"not begun": {nil, "", "How? What?", ""},
		"asked":     {[]entry{lookingBack, {TypeAsked, Question{ID: "q1", Step: theStep, Kind: Written, Title: "How?"}}}, "", "How? What?", "How?: it was asked and not answered; What?: nobody has answered it"},
		"answered":  {slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Yes, "by a mail"), putTo("q2", "What?", Yes, "nothing"), []entry{{TypeStepOutcome, StepOutcome{Step: theStep, Status: Done}}}), "How?=by a mail What?=nothing", "", ""},
		"put off":   {slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Later, ""), putTo("q2", "What?", Yes, "nothing"), []entry{lookedBack}), "What?=nothing", "How?", "How?: left open by dana"},
		"put off, then answered": {slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Later, ""), putTo("q2", "What?", Later, ""), []entry{lookedBack, {TypeClosed, Closed{}}, {TypeResumed, Resumed{For: ToReview}}}, putTo("q3", "How?", Yes, "by a mail")),
			"How?=by a mail", "What?", "What?: left open by dana"},
		"answered, then anew":    {slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Yes, "by a mail"), putTo("q2", "How?", Yes, "by a page")), "How?=by a page", "What?", "What?: nobody has answered it"},
		"answered, then put off": {slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Yes, "by a mail"), putTo("q2", "How?", Later, "")), "How?=by a mail", "What?", "What?: nobody has answered it"},
		"blank":                  {slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Yes, " \n")), "", "How? What?", "How?: left open by dana; What?: nobody has answered it"},
		"another's":              {slices.Concat([]entry{lookingBack}, putTo("q1", "Why?", Yes, "because")), "Why?=because", "How? What?", "How?: nobody has answered it; What?: nobody has answered it"},
		"did not apply":          {[]entry{{TypeStepOutcome, StepOutcome{Step: theStep, Status: Skipped, Note: "only when remote"}}}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := reviewed(t, c.more...)
			var written, open, matters []string
			for _, q := range s.Written() {
				if q.Answered() {
					written = append(written, q.Question+"="+q.Answer.Text)
					if q.Answer.By != "dana" || q.At.IsZero() || q.LeftBy != "" {
						t.Errorf("%+v", q)
					}
				}
			}
			for _, q := range s.Unwritten() {
				open = append(open, q.Question)
			}
			for _, m := range s.OpenMatters() {
				if m.Kind == MatterQuestion {
					matters = append(matters, m.What+": "+m.Why)
				}
			}
			if got := strings.Join(written, " "); got != c.written {
				t.Errorf("written: %q, want %q", got, c.written)
			}
			if got := strings.Join(open, " "); got != c.open {
				t.Errorf("open: %q, want %q", got, c.open)
			}
			if got := strings.Join(matters, "; "); got != c.matters {
				t.Errorf("matters: %q, want %q", got, c.matters)
			}
		})
	}
}

// What nobody wrote keeps no response from having contained the agent; a step that a person put off does.
func TestOpenQuestionsChangeNoExitCode(t *testing.T) {
	s := reviewed(t, slices.Concat([]entry{lookingBack}, putTo("q1", "How?", Later, ""), []entry{lookedBack})...)
	if s.conditions()[ExitManual] {
		t.Error("an open question counts as a manual step")
	}
	s.Steps[theStep].With = nil
	if !s.conditions()[ExitManual] {
		t.Error("a step that was put off counts for nothing")
	}
}

// Where the plan asks nothing in writing, what every report asks is open until somebody answers it.
func TestUnwrittenOfAPlanThatAsksNothing(t *testing.T) {
	before := folded(t, aPlan)
	if got := before.Unwritten(); len(got) != len(ReviewQuestions) || len(before.OpenMatters()) == 0 {
		t.Errorf("%+v", got)
	}
	after := folded(t, aPlan, entry{TypeAsked, Question{ID: "q1", Step: ReviewStep, Kind: Written, Title: ReviewQuestions[1]}},
		entry{TypeAnswered, Answer{Question: "q1", Choice: Yes, Text: "two files", By: "dana"}})
	if got := after.Unwritten(); len(got) != len(ReviewQuestions)-1 || slices.ContainsFunc(got, func(q OpenQuestion) bool { return q.Question == ReviewQuestions[1] }) {
		t.Errorf("%+v", got)
	}
}
