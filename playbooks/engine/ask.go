package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"clawback/forensics/incident"
)

// maxTries is how often a question is asked anew because its answer does not fit it.
const maxTries = 10

// question is a question that waits for its answer.
type question struct {
	recorded chan struct{}        // closed once the question is on record: no answer stands before it
	answer   chan incident.Answer // capacity 1; whoever takes the question out of the map sends
}

// ask asks until an answer fits. Every question and every answer is on record.
func (e *Engine) ask(ctx context.Context, q incident.Question) (incident.Answer, error) {
	for range maxTries {
		a, err := e.askOnce(ctx, q)
		if err != nil || fits(q, a) {
			return a, err
		}
	}
	return incident.Answer{}, fmt.Errorf("%w: %q got %d answers, and none of them fits", ErrUnanswered, q.Title, maxTries)
}

// fits reports whether an answer is one that the question can have. What has to be typed has to be
// typed exactly.
func fits(q incident.Question, a incident.Answer) bool {
	switch q.Kind {
	case incident.Choice:
		return slices.ContainsFunc(q.Options, func(o incident.Option) bool { return o.ID == a.Choice })
	case incident.Typed:
		return a.Choice == incident.No || a.Choice == incident.Yes && a.Text == q.Type
	case incident.Guide:
		return a.Choice == incident.Yes || a.Choice == incident.No || a.Choice == incident.Later
	case incident.Written:
		return a.Choice == incident.Yes && strings.TrimSpace(a.Text) != "" || a.Choice == incident.Later
	}
	return a.Choice == incident.Yes || a.Choice == incident.No
}

// askOnce records a question, hands it to the Decider, and waits for whoever answers first. Where
// nobody can answer it fails at once: a response that nobody attends to must not wait for ever.
func (e *Engine) askOnce(ctx context.Context, q incident.Question) (incident.Answer, error) {
	waiting := &question{recorded: make(chan struct{}), answer: make(chan incident.Answer, 1)}
	e.mu.Lock()
	e.asked++
	q.ID = fmt.Sprintf("q%d", e.asked)
	if e.questions == nil {
		e.questions = make(map[string]*question)
	}
	e.questions[q.ID] = waiting
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.questions, q.ID)
		e.mu.Unlock()
	}()
	err := durable(e.Journal.Append(ctx, incident.TypeAsked, q))
	close(waiting.recorded)
	if err != nil {
		return incident.Answer{}, err
	}

	over := make(chan error, 1)
	var decider sync.WaitGroup
	defer decider.Wait()
	deciding, cancel := context.WithCancel(ctx)
	defer cancel()
	decider.Go(func() {
		if err := e.decide(deciding, q); err != nil {
			over <- fmt.Errorf("%w: %w", ErrUnanswered, err)
		}
	})
	up, stop := e.until(q)
	defer stop()
	for {
		select {
		case a := <-waiting.answer:
			return a, nil
		case <-ctx.Done():
			return incident.Answer{}, context.Cause(ctx)
		case <-up:
			up = nil
			err := durable(e.answer(incident.Answer{Question: q.ID, Choice: incident.Yes, By: incident.Nobody}))
			if err != nil && !errors.Is(err, ErrNoQuestion) { // somebody was faster
				return incident.Answer{}, err
			}
		case err := <-over:
			select {
			case a := <-waiting.answer: // somebody else was faster
				return a, nil
			default:
			}
			return incident.Answer{}, cmp.Or(context.Cause(ctx), err)
		}
	}
}

// until is closed when nobody's answer is taken for Yes; it is nil for a question that waits for one.
func (e *Engine) until(q incident.Question) (up <-chan struct{}, stop func() bool) {
	if q.Until.IsZero() {
		return nil, func() bool { return true }
	}
	ring := make(chan struct{})
	return ring, e.Clock.AfterFunc(q.Until.Sub(e.Clock.Now()), func() { close(ring) })
}

// decide lets the Decider answer. It returns an error when nobody will.
func (e *Engine) decide(ctx context.Context, q incident.Question) error {
	err := ErrNobody
	var a incident.Answer
	if e.Decider != nil {
		err = guarded(func() error {
			var err error
			a, err = e.Decider.Decide(ctx, q)
			return err
		})
	}
	switch {
	case errors.Is(err, ErrNobody) && e.Playbook.Attended:
		return nil // it is left to Submit
	case errors.Is(err, ErrNobody):
		return errors.New("nobody attends to this response")
	case err != nil:
		return err
	}
	a.Question = q.ID
	if err := durable(e.answer(a)); err != nil && !errors.Is(err, ErrNoQuestion) { // somebody was faster
		return err
	}
	return nil
}

// answer records an answer and hands it to who asked, also with ErrNotDurable.
func (e *Engine) answer(a incident.Answer) error {
	e.mu.Lock()
	waiting := e.questions[a.Question]
	delete(e.questions, a.Question)
	e.mu.Unlock()
	if waiting == nil {
		return ErrNoQuestion
	}
	<-waiting.recorded
	// Not under the context of who answers: the question is theirs now, so this has to end one way
	// or the other.
	err := e.Journal.Append(context.Background(), incident.TypeAnswered, a)
	if durable(err) != nil {
		e.mu.Lock()
		e.questions[a.Question] = waiting // what is not on record was not answered
		e.mu.Unlock()
		return err
	}
	waiting.answer <- a
	return err
}
