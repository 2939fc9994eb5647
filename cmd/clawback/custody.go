package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/verify"
)

func (a *app) custodyCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "custody [INCIDENT]",
		Short: "The custody log of the evidence: who took what, when, with what, and who had it since",
		Long: "custody prints what the record of an incident holds of its evidence, item by item: where it is from,\n" +
			"how, by whom and with what it was taken, its hashes, its time stamps, where it was put, and each person\n" +
			"who has had it since. The record is checked first, as verify does; one that does not agree with itself\n" +
			"gives no log.",
		Args: upTo(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.custody(strings.Join(args, ""), asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	c.AddCommand(a.transferCommand(), a.accessCommand(), a.holdCommand(), a.stampCommand(), a.depositCommand())
	return c
}

// custodyLog is what custody prints as JSON.
type custodyLog struct {
	Incident string                  `json:"incident"`
	Entries  uint64                  `json:"entries"`
	Last     string                  `json:"last_entry_sha256"`
	Hold     *incident.Hold          `json:"legal_hold,omitempty"` // the newest word on it; none where there never was one
	Holds    []incident.CustodyEvent `json:"legal_holds"`
	Items    []*incident.CustodyItem `json:"items"`
}

func (a *app) custody(id string, asJSON bool) error {
	dir, err := a.find(id)
	if err != nil {
		return err
	}
	found, err := verify.Incident(dir, verify.Options{})
	if fault := (*verify.Fault)(nil); errors.As(err, &fault) && fault.Check == "sealed" { // a run that goes on has no seal yet
		complain(a.err, &failure{err: err, hint: "the chain of its hashes holds; a seal is made while the response runs, and at its end"})
		err = nil
	}
	if err != nil {
		return wrong(err)
	}
	s, err := readRecord(dir)
	if err != nil {
		return wrong(err)
	}
	log := custodyLog{
		Incident: s.Declared.Incident, Entries: found.Entries, Last: found.Last,
		Hold: s.Custody.Hold, Holds: append([]incident.CustodyEvent{}, s.Custody.Holds...), Items: append([]*incident.CustodyItem{}, s.Custody.Items...),
	}
	if asJSON {
		out := json.NewEncoder(a.out)
		out.SetIndent("", "  ")
		return out.Encode(log)
	}
	log.print(a.out)
	return nil
}

func (l custodyLog) print(out io.Writer) {
	fmt.Fprintf(out, "%s: custody log, from %d entries, the last with the SHA-256 %s\nAll times are UTC, by the desk's clock.\n", show(l.Incident), l.Entries, l.Last)
	if l.Hold == nil {
		fmt.Fprintln(out, "Legal hold: none")
	}
	for _, h := range l.Holds {
		fmt.Fprintf(out, "Legal hold: %s  %s by %s: %s (entry %d)\n", h.At.Format(time.RFC3339), h.What, incident.Safe(h.By), incident.Safe(h.Purpose), h.Entry)
	}
	if len(l.Items) == 0 {
		fmt.Fprintln(out, "No evidence is sealed.")
	}
	for _, i := range l.Items {
		printItem(out, i)
	}
}

func printItem(out io.Writer, i *incident.CustodyItem) {
	title := i.Item
	if i.Replaced {
		title += " (found broken later, and set aside)"
	}
	fmt.Fprintf(out, "\n%s\n", incident.Safe(title))
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range i.Fields() {
		fmt.Fprintf(w, "  %s\t%s\n", row[0], incident.Safe(row[1]))
	}
	for _, e := range i.Events {
		fmt.Fprintf(w, "  %s\t%s\n", e.At.Format(time.RFC3339), incident.Safe(e.String()))
	}
	_ = w.Flush()
}
