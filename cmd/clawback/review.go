package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
)

// endOfAnswer is the line that ends an answer.
const endOfAnswer = "."

func (a *app) reviewCommand() *cobra.Command {
	var o resumption
	c := &cobra.Command{
		Use:   "review [INCIDENT]",
		Short: "Answer the questions that the report of a closed incident leaves open",
		Long: "review asks, one after the other, what nobody has answered yet of what the report asks: how they got\n" +
			"in, what was accessed, which controls failed, what would have prevented it; or what the incident's\n" +
			"playbook asks in their place. By default it is the newest incident. An answer has as many lines as it\n" +
			"takes; a line with a single . ends it, and a . at once leaves the question open. The answers go into\n" +
			"the record with your name and the time, and the report is written anew with them. No host and no\n" +
			"provider is asked anything. It ends with 1 where nothing was answered.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.review(c.Context(), strings.Join(args, ""), o)
		},
	}
	signKeyFlag(c, &o.signKey)
	c.Flags().BoolVar(&o.damaged, "damaged", false, "write on into a record that does not agree with its seals")
	return c
}

func (a *app) review(ctx context.Context, id string, o resumption) error {
	r, err := a.later(ctx, id, o, true)
	if err != nil {
		return err
	}
	written, err := a.askInWriting(r.work.Before.State)
	if err != nil {
		return errors.Join(err, r.open.close())
	}
	return r.alone(ctx, "what the record holds of it stands in the report", func(ctx context.Context) (incident.State, error) {
		return r.work.Review(ctx, r.open.journal, written, a.responder())
	})
}

// askInWriting reads an answer to each open question, and returns those that have one.
func (a *app) askInWriting(s incident.State) ([]incident.OpenQuestion, error) {
	open := s.Unwritten()
	if len(open) == 0 {
		return nil, &failure{incident.ExitNothing, fmt.Errorf("%s leaves no question open", s.Declared.Incident), "clawback note puts a word on record while a response goes on"}
	}
	fmt.Fprintf(a.err, "%s: %d open. A line with a single %s ends an answer; at once it leaves the question open.\n", incident.Safe(s.Declared.Incident), len(open), endOfAnswer)
	in := bufio.NewReaderSize(a.in, 4096)
	var written []incident.OpenQuestion
	for i, q := range open {
		fmt.Fprintf(a.err, "\n%d of %d: %s\n", i+1, len(open), incident.Safe(q.Question))
		text, err := readAnswer(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, &failure{incident.ExitUsage, fmt.Errorf("the answer to %q: %w", incident.Safe(q.Question), err), "nothing was put on record"}
		}
		if text != "" {
			q.Answer.Text = text
			written = append(written, q)
		}
		if err != nil {
			break
		}
	}
	if len(written) == 0 {
		return nil, &failure{incident.ExitNothing, errors.New("nothing was answered, and nothing put on record"), "the questions stay open"}
	}
	return written, nil
}

// readAnswer reads lines up to one with a single dot, or to the end of the input, with io.EOF.
func readAnswer(in *bufio.Reader) (string, error) {
	var all strings.Builder
	for {
		part, err := in.ReadSlice('\n')
		whole := !errors.Is(err, bufio.ErrBufferFull)
		if line := strings.TrimRight(string(part), "\r\n"); line != endOfAnswer || !whole || !lineStarts(all.String()) {
			all.Write(part)
		} else {
			return strings.TrimSpace(all.String()), nil
		}
		switch {
		case all.Len() > incident.MaxAnswer:
			return "", fmt.Errorf("it has more than %d bytes", incident.MaxAnswer)
		case err != nil && whole:
			return strings.TrimSpace(all.String()), err
		}
	}
}

// lineStarts reports whether what follows a text begins a line.
func lineStarts(text string) bool { return text == "" || strings.HasSuffix(text, "\n") }
