package report_test

import (
	"os"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/forensics/report"
)

// The report claims of each witness what its kind can know, and no more.
func TestWitnesses(t *testing.T) {
	written := func(held ...incident.WitnessHeld) string {
		t.Helper()
		r := record(t).note(incident.TypeDeclared, incident.Declared{Incident: "INC-1", Mode: incident.Real})
		for _, h := range held {
			r = r.note(incident.TypeWitness, h)
		}
		all := r.entries()
		w, err := report.Write(t.TempDir(), fold(all), seq(all))
		if err != nil {
			t.Fatal(err)
		}
		md, err := os.ReadFile(w.Markdown)
		if err != nil {
			t.Fatal(err)
		}
		_, section, ok := strings.Cut(string(md), "The record (RS.AN-06)")
		if !ok {
			t.Fatalf("%s", md)
		}
		return section
	}
	if md := written(); !strings.Contains(md, "No witness is on record") {
		t.Errorf("without one:\n%s", md)
	}
	md := written(
		incident.WitnessHeld{Sink: "siem", Kind: "syslog", Entries: 3},
		incident.WitnessHeld{Sink: "audit", Kind: "https", Entries: 80, Checkpoint: 75, Error: "it answered 503"},
		incident.WitnessHeld{Sink: "vault", Kind: "s3", Error: "\x1b[2Jdown"},
		incident.WitnessHeld{Sink: "share", Kind: "dir", Entries: 90, Checkpoint: 90},
		incident.WitnessHeld{Sink: "siem", Kind: "syslog", Entries: 85, Checkpoint: 75},
	)
	for _, want := range []string{
		"- `audit` (`https`) accepted entries 1 to 80, and checkpoints up to the one over the first 75.", "**Problem:** `it answered 503`",
		"- `share` (`dir`) holds entries 1 to 90, and checkpoints up to the one over the first 90.",
		"- `siem` (`syslog`) was sent entries 1 to 85, and", "whether the receiver kept it is not known",
		"- `vault` (`s3`): **nothing is known to have arrived.**",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("it does not say %q:\n%s", want, md)
		}
	}
	if strings.Contains(md, "`siem` (`syslog`) holds") || strings.Contains(md, "1 to 3,") || strings.Contains(md, "\x1b") || strings.Contains(md, "compliance") {
		t.Errorf("it says too much:\n%s", md)
	}
}
