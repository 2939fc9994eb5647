package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal/tree"
	"clawback/forensics/report"
)

func TestSeal(t *testing.T) {
	secret, verifier, err := tree.NewKey(tree.Origin("INC-1"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tree.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	all := record(t).note(incident.TypeDeclared, incident.Declared{Incident: "INC-1", CheckpointKey: verifier}).
		note(incident.TypeNote, incident.Note{Text: "look"}).entries()
	dir := t.TempDir()
	written := func() string {
		t.Helper()
		w, err := report.Write(dir, fold(all), seq(all))
		if err != nil {
			t.Fatal(err)
		}
		md, err := os.ReadFile(w.Markdown)
		if err != nil {
			t.Fatal(err)
		}
		return string(md)
	}
	if md := written(); !strings.Contains(md, "was not sealed when this was written") || !strings.Contains(md, "clawback verify INC-1") {
		t.Errorf("without a checkpoint:\n%s", md)
	}
	sealed, err := tree.Open(disk.OS{}, dir, signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := sealed.Add(all[0].Line()); err != nil {
		t.Fatal(err)
	}
	c, err := sealed.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"entries 1 to 1 were sealed", c.Root.String(), verifier, "--checkpoint FILE", "Nothing protects the entries after it"} {
		if md := written(); !strings.Contains(md, want) {
			t.Errorf("it does not say %q:\n%s", want, md)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, tree.Dir, tree.CheckpointName), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if md := written(); !strings.Contains(md, "was not sealed when this was written") || strings.Contains(md, "were sealed by") {
		t.Errorf("with a checkpoint that is none:\n%s", md)
	}
}
