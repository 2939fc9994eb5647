package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

func (a *app) watchCommand() *cobra.Command {
	var json bool
	c := &cobra.Command{
		Use: "watch [INCIDENT]", Short: "Follow a response live, read-only",
		Long: `watch shows what the record says while another process writes it: the newest response that runs
where none is named, or the newest there was. On a terminal it is the console without a hand on
anything; elsewhere, and for a record that is closed, it prints. With --json the entries come as
they stand in the record, and a summary as the last line when it ends.

It ends with the exit code of the response, and with 0 when you left before its end.`,
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.watch(c.Context(), strings.Join(args, ""), json)
		},
	}
	a.accessibleFlag(c)
	c.Flags().BoolVar(&json, "json", false, "print the record as JSON Lines, and a summary as its last line")
	return c
}

func (a *app) watch(ctx context.Context, id string, json bool) error {
	dir := ""
	if id == "" {
		dir = a.newestRunning()
	}
	if dir == "" {
		var err error
		if dir, err = a.find(id); err != nil {
			return err
		}
	}
	v, err := newVisit(a, dir)
	if err != nil {
		return err
	}
	if held, err := journal.Held(dir); err == nil && held && !json && a.noConsole() == nil {
		return v.show(ctx, v.options(), func() {})
	}
	return v.print(ctx, json)
}

// print prints the record as it grows, until its end.
func (v *visit) print(ctx context.Context, json bool) error {
	text, lines := newTextPrinter(v.app.out, v.app.env), newJSONPrinter(v.app.out)
	var p printer = text
	if json {
		p = lines
	}
	var s incident.State
	for {
		e, err := v.rec.Next(ctx)
		if errors.Is(err, io.EOF) || errors.Is(err, journal.ErrTorn) {
			break
		}
		if err != nil {
			return &failure{incident.ExitNothing, err, "clawback verify " + v.id + " says what is wrong with the record"}
		}
		s = incident.Fold(s, e)
		p.entry(s, e)
		if err := errors.Join(text.err, lines.err); err != nil { // nobody reads it any more
			return &failure{incident.ExitNothing, err, "the response is not touched by this"}
		}
	}
	report := ""
	if s.Report != nil {
		report = s.Report.Markdown
	}
	p.summary(s.Summarize(report))
	switch {
	case s.Exit == nil:
		return v.died(nil)
	case *s.Exit != 0:
		return exitCode(*s.Exit)
	}
	return errors.Join(text.err, lines.err)
}
