package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/report"
)

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "report [INCIDENT]", Short: "Write the report again from the record, and print where it is", Args: upTo(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.report(strings.Join(args, "")) },
	}
}

func (a *app) report(id string) error {
	dir, err := a.find(id)
	if err != nil {
		return err
	}
	s, err := incident.FoldAll(journal.Read(dir))
	if err != nil {
		complain(a.err, &failure{err: err, hint: "the report says what stands before it"})
	}
	written, err := report.Write(dir, s, journal.Read(dir))
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintln(a.out, written.Markdown)
	return nil
}
