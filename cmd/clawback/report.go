package main

import (
	"errors"
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
	s, damaged := incident.FoldAll(journal.Read(dir))
	written, err := report.Write(dir, s, journal.Read(dir))
	if err != nil {
		return errors.Join(fmt.Errorf("write the report: %w", err), damaged)
	}
	fmt.Fprintln(a.out, written.Markdown)
	if damaged != nil {
		return &failure{incident.ExitPartial, damaged, "the report says what stands before it"}
	}
	return nil
}
