package report

import (
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
	stepReview    = "review"

	choiceUnknown = "unknown"
)

// Review is one of the questions of the review, and what is on record about it.
type Review struct {
	Question string   `json:"question"`
	Answered bool     `json:"answered"`
	OnRecord []Answer `json:"on_record"`
}

// review answers the four questions as far as the responder's answers do. The second result is
// what they wrote under the step that asks all four, or nil.
func review(answers []Answer) ([]Review, *Answer) {
	newest := make(map[string]Answer)
	for _, a := range answers {
		if a.Choice != incident.Later && a.Choice != incident.No {
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
	questions := []Review{
		{"How did they get in?", known && cause.Choice != choiceUnknown, of(stepRootCause, stepTimeline)},
		{"What was accessed or done?", len(of(stepTimeline)) > 0, of(stepTimeline, stepFoothold)},
		{"Which controls failed?", false, of(stepClosed)},
		{"What would have prevented or limited it?", false, []Answer{}},
	}
	if all := of(stepReview); len(all) > 0 {
		return questions, &all[0]
	}
	return questions, nil
}
