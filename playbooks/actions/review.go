package actions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// ErrNothingWritten means that no answer was given.
var ErrNothingWritten = errors.New("no question was answered")

// Review puts answers to open questions into a record that is taken up again: written holds those of
// incident.State.Unwritten that are answered, each with its text in Answer. The report is written anew
// with them, and the record closed.
func (r *Response) Review(ctx context.Context, j *journal.Journal, written []incident.OpenQuestion, by string) (incident.State, error) {
	r.Actions()
	defer r.vault.close()
	if len(written) == 0 {
		return r.Before.State, ErrNothingWritten
	}
	for _, q := range written {
		if text := q.Answer.Text; strings.TrimSpace(text) == "" || len(text) > incident.MaxAnswer {
			return r.Before.State, fmt.Errorf("the answer to %q has no text, or more than %d bytes", q.Question, incident.MaxAnswer)
		}
	}
	always := context.WithoutCancel(ctx)
	r.Before.Resumed.For = incident.ToReview
	if err := j.Append(always, incident.TypeResumed, r.Before.Resumed); err != nil {
		return r.Before.State, err
	}
	r.warnBefore(notesOf{j})
	failed := answerAll(always, j, r.Before.State.Asked, written, by)
	s, err := r.conclude(always, j)
	return s, errors.Join(failed, err)
}

// answerAll records each question with its answer; asked is how many were asked before.
func answerAll(ctx context.Context, j *journal.Journal, asked int, written []incident.OpenQuestion, by string) error {
	for i, q := range written {
		id := fmt.Sprintf("q%d", asked+1+i)
		if err := j.Append(ctx, incident.TypeAsked, incident.Question{ID: id, Step: q.Step, Kind: incident.Written, Title: q.Question}); err != nil {
			return err
		}
		if err := j.Append(ctx, incident.TypeAnswered, incident.Answer{Question: id, Choice: incident.Yes, Text: q.Answer.Text, By: by}); err != nil {
			return err
		}
	}
	return nil
}
