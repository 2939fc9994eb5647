package report

import (
	"slices"
	"strings"

	"clawback/forensics/incident"
)

// Steps of the guided response whose answers the review draws on. What another playbook asks
// stands among the answers.
const (
	stepRootCause = "root-cause"
	stepTimeline  = "timeline"
	stepFoothold  = "foothold"
	stepClosed    = "entry-closed"
	stepReview    = incident.ReviewStep

	choiceUnknown = "unknown"
)

// Review is one of the questions of the review, and what is on record about it.
type Review struct {
	Question string   `json:"question"`
	Answered bool     `json:"answered"`
	Open     bool     `json:"open,omitempty"`    // the plan wants it answered in writing, and nobody has
	LeftBy   string   `json:"left_by,omitempty"` // who put it off last
	OnRecord []Answer `json:"on_record"`
}

// review answers the four questions, and what else the plan wants answered in writing, as far as the
// responder's answers do. The second result is what they wrote under a step that asks all four in one,
// or nil.
func review(answers []Answer, written []incident.OpenQuestion) ([]Review, *Answer) {
	newest := make(map[string]Answer)
	for _, a := range answers {
		if a.Choice != incident.Later && a.Choice != incident.No && a.Kind != incident.Written {
			newest[a.Step] = a
		}
	}
	of := func(steps ...string) []Answer {
		list := []Answer{}
		for _, step := range steps {
			if a, ok := newest[step]; ok && (a.Kind == incident.Choice || strings.TrimSpace(a.Text) != "") {
				list = append(list, a)
			}
		}
		return list
	}
	cause, known := newest[stepRootCause]
	text := incident.ReviewQuestions
	questions := []Review{
		{Question: text[0], Answered: known && cause.Choice != choiceUnknown, OnRecord: of(stepRootCause, stepTimeline)},
		{Question: text[1], Answered: len(of(stepTimeline)) > 0, OnRecord: of(stepTimeline, stepFoothold)},
		{Question: text[2], OnRecord: of(stepClosed)},
		{Question: text[3], OnRecord: []Answer{}},
	}
	for _, q := range written {
		questions = inWriting(questions, q)
	}
	if all := of(stepReview); len(all) > 0 {
		return questions, &all[0]
	}
	return questions, nil
}

// inWriting takes in what somebody wrote in answer to a question, which may be one of the plan's own.
func inWriting(questions []Review, q incident.OpenQuestion) []Review {
	at := slices.IndexFunc(questions, func(r Review) bool { return r.Question == q.Question })
	if at < 0 {
		at, questions = len(questions), append(questions, Review{Question: q.Question, OnRecord: []Answer{}})
	}
	r := &questions[at]
	if !q.Answered() {
		r.Open, r.LeftBy = true, q.LeftBy
		return questions
	}
	r.Answered = true
	r.OnRecord = append(r.OnRecord, Answer{Time: q.At, Step: q.Step, Kind: incident.Written, Question: q.Question,
		Choice: q.Answer.Choice, Text: q.Answer.Text, By: q.Answer.By, Key: keyOf(q.Answer.Signed)})
	return questions
}

// headline is a question as a heading: the four are the report's own words, and others are quoted.
func headline(question string) any {
	if slices.Contains(incident.ReviewQuestions, question) {
		return words(question)
	}
	return question
}
