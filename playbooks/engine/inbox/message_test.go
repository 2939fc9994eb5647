package inbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/disk/disktest"
	"clawback/forensics/incident"
	"clawback/playbooks/engine/signers"
)

func TestDropLeavesNothingHalf(t *testing.T) {
	for k := 1; ; k++ {
		w := newWorld(t).create()
		_ = w.journal.Close()
		failing, err := disktest.New(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		failing.FailAt(k, syscall.EIO)
		_, err = DropOn(failing, w.dir, note("bob", "x"), w.bob)
		if err == nil && failing.Count() < k {
			return
		}
		for _, name := range dirOrNone(filepath.Join(w.dir, Name)) {
			src, readErr := os.ReadFile(filepath.Join(w.dir, Name, name))
			if _, parseErr := Parse(src); !strings.HasPrefix(name, ".") && (readErr != nil || parseErr != nil) {
				t.Errorf("failure at %d leaves half a message: %v", k, parseErr)
			}
		}
	}
}

func dirOrNone(path string) (names []string) {
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestBeforehand(t *testing.T) {
	w := newWorld(t)
	list, err := signers.Parse("list", []byte(w.list))
	if err != nil {
		t.Fatal(err)
	}
	plan := incident.Plan{Title: "T", Phases: []incident.PlanPhase{{Steps: []incident.PlanStep{{ID: "a", Uses: "x"}}}}}
	sum, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	m, err := ApprovePlan(plan, sum, "a", "bob")
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := Seal(m, w.bob)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := Beforehand(file, plan, sum, list, time.Now()); err != nil || a.By != "bob" || a.Plan != sum {
		t.Errorf("%+v, %v", a, err)
	}
	changed := incident.Plan{Title: "U", Phases: plan.Phases}
	stranger, _, err := Seal(m, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func() error{
		"another file":     func() error { _, err := Beforehand(file, plan, other, list, time.Now()); return err },
		"another plan":     func() error { _, err := Beforehand(file, changed, sum, list, time.Now()); return err },
		"nobody's key":     func() error { _, err := Beforehand(stranger, plan, sum, list, time.Now()); return err },
		"nobody's list":    func() error { _, err := Beforehand(file, plan, sum, signers.Signers{}, time.Now()); return err },
		"no approval":      func() error { _, err := Beforehand([]byte("{}"), plan, sum, list, time.Now()); return err },
		"a step of no one": func() error { _, err := ApprovePlan(plan, sum, "b", "bob"); return err },
	} {
		if f() == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func FuzzParse(f *testing.F) {
	key := newKey(f)
	for _, m := range []Message{
		note("bob", "x"), {Kind: KindApproval, As: "bob", Approval: &Approval{Step: "a", Binds: strings.Repeat("0", 64)}},
		{Kind: KindCommand, As: "bob", Command: &Command{Kind: "break-glass", Step: "a", Text: "t"}},
	} {
		m.Incident, m.Record = "INC-1", strings.Repeat("0", 64)
		file, _, err := Seal(m, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add([]byte(`{"v":1,"message":"{}","signature":""}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := Parse(src)
		if err != nil {
			return
		}
		var again Message
		if json.Unmarshal([]byte(m.Text), &again) != nil || m.check() != nil || string(m.Key.Marshal()) == "" {
			t.Errorf("%q is a message", src)
		}
		m.command()
	})
}
