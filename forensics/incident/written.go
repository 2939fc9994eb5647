package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxAnswer bounds what a person writes in one go, in bytes, wherever they write it.
const MaxAnswer = 8 << 10

// OpenQuestion is a question of the plan that the report answers in the responder's words.
type OpenQuestion struct {
	Step     string
	Question string
	Answer   Answer    // the newest in words; zero while nobody has given one
	At       time.Time // of that
	Asked    bool      // its step has begun
	LeftBy   string    // who put it off last, where nobody has answered it
}

// Answered reports whether somebody wrote an answer.
func (q OpenQuestion) Answered() bool { return q.Answer.Choice == Yes }

// ReviewQuestions are what every report asks.
var ReviewQuestions = []string{
	"How did they get in?", "What was accessed or done?", "Which controls failed?", "What would have prevented or limited it?",
}

// ReviewStep is the step of a question that no step of the plan asked.
const ReviewStep = "review"

// Written lists the questions that the plan wants answered in writing, in its order, and those that
// somebody answered besides, each with what was written. A step that did not apply asks none.
func (s State) Written() []OpenQuestion {
	var all []OpenQuestion
	known := make(map[[2]string]bool)
	for _, step := range s.steps() {
		if step.Status == Skipped && step.Began.IsZero() && step.Outcome.Needed == "" {
			continue
		}
		for _, text := range step.Questions() {
			known[[2]string{step.ID, text}] = true
			all = append(all, s.written(OpenQuestion{Step: step.ID, Question: text, Asked: !step.Began.IsZero()}))
		}
	}
	for _, a := range s.Answered {
		if of := [2]string{a.Step, a.Title}; a.Kind == Written && !known[of] {
			known[of] = true
			all = append(all, s.written(OpenQuestion{Step: a.Step, Question: a.Title, Asked: true}))
		}
	}
	return all
}

// written takes in what was written in answer to a question.
func (s State) written(q OpenQuestion) OpenQuestion {
	for _, a := range s.Answered {
		if a.Kind != Written || a.Step != q.Step || a.Title != q.Question {
			continue
		}
		if a.Answer.Choice == Yes && strings.TrimSpace(a.Answer.Text) != "" {
			q.Answer, q.At = a.Answer, a.At
		}
		q.LeftBy = a.Answer.By
	}
	if q.Answered() {
		q.LeftBy = ""
	}
	return q
}

// Unwritten lists what nobody has answered in writing: of what the plan asks, or where it asks nothing,
// of what every report does.
func (s State) Unwritten() []OpenQuestion {
	all := s.Written()
	if !slices.ContainsFunc(s.steps(), func(step *Step) bool { return len(step.Questions()) > 0 }) {
		for _, text := range ReviewQuestions {
			if !slices.ContainsFunc(all, func(q OpenQuestion) bool { return q.Question == text }) {
				all = append(all, OpenQuestion{Step: ReviewStep, Question: text})
			}
		}
	}
	return slices.DeleteFunc(all, OpenQuestion.Answered)
}

// Questions are what a step wants answered in writing.
func (p PlanStep) Questions() []string {
	var out []string
	switch list := p.With["questions"].(type) {
	case []string:
		out = slices.Clone(list)
	case []any:
		for _, q := range list {
			if text, ok := q.(string); ok {
				out = append(out, text)
			}
		}
	}
	return out
}

// openQuestions are the questions that were put to somebody, or would have been by now, and that
// nobody has answered.
func (s State) openQuestions() []OpenMatter {
	var open []OpenMatter
	for _, q := range s.Written() {
		waits := slices.ContainsFunc(s.Open, func(o Question) bool { return o.Step == q.Step && o.Title == q.Question })
		if q.Answered() || !q.Asked || waits {
			continue
		}
		m := OpenMatter{Kind: MatterQuestion, What: q.Question, Why: "nobody has answered it"}
		if s.Declared.Mode == Real {
			m.Hint = "clawback review " + s.Declared.Incident
		}
		if q.LeftBy != "" {
			m.Why = fmt.Sprintf("left open by %s", q.LeftBy)
		}
		open = append(open, m)
	}
	return open
}
