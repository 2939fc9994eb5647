package actions

import (
	"context"
	"fmt"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/engine"
)

// guide hands a step to a person: what to look at, where the evidence lies, what to record.
func guide(ctx context.Context, s playbooks.Step, rec engine.Recorder) error {
	if questions := texts(s, "questions"); len(questions) > 0 {
		return askInWriting(ctx, s, questions, rec)
	}
	a, err := rec.Ask(ctx, incident.Question{Kind: incident.Guide, Title: s.Title, Text: texts(s, "text")})
	switch {
	case err != nil:
		return err
	case a.Choice == incident.Yes:
		return nil
	}
	return engine.Skipped{Reason: "left open by " + a.By}
}

// askInWriting asks one question after the other, each answered in words or left open.
func askInWriting(ctx context.Context, s playbooks.Step, questions []string, rec engine.Recorder) error {
	open, by := 0, ""
	for _, q := range questions {
		a, err := rec.Ask(ctx, incident.Question{Kind: incident.Written, Title: q, Text: texts(s, "text")})
		if err != nil {
			return err
		}
		if a.Choice != incident.Yes {
			open, by = open+1, a.By
		}
	}
	if open > 0 {
		return engine.Skipped{Reason: fmt.Sprintf("%d of %s left open by %s", open, plural(len(questions), "question", "questions"), by)}
	}
	return nil
}

// decide asks which branch the response takes.
func decide(ctx context.Context, s playbooks.Step, rec engine.Recorder) error {
	q := incident.Question{Kind: incident.Choice, Title: s.Title, Text: texts(s, "text")}
	options, _ := s.With["options"].([]any)
	for _, o := range options {
		m, _ := o.(map[string]any)
		q.Options = append(q.Options, incident.Option{
			ID: fmt.Sprint(m["id"]), Title: fmt.Sprint(m["title"]), Text: text(m["text"]),
		})
	}
	_, err := rec.Ask(ctx, q)
	return err
}

// texts reads a parameter that is one text or a list of them; validation saw to its form.
func texts(s playbooks.Step, name string) []string {
	switch v := s.With[name].(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, line := range v {
			out = append(out, text(line))
		}
		return out
	}
	return nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
