package playbooks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
)

func TestBuiltinsHoldAgainstTheActions(t *testing.T) {
	if got := playbooks.Builtins(); !slices.Equal(got, []string{playbooks.Isolate, playbooks.KillSwitch, playbooks.LeakedCredentials, playbooks.SuspectedCompromise}) {
		t.Fatalf("the playbooks are %q", got)
	}
	for _, name := range playbooks.Builtins() {
		t.Run(name, func(t *testing.T) {
			book, err := playbooks.Builtin(name, actions.Names())
			if err != nil {
				t.Fatal(err)
			}
			if book.Name != name {
				t.Errorf("its name is %q", book.Name)
			}
			if book.Attended != (name == playbooks.SuspectedCompromise) {
				t.Errorf("attended: %v", book.Attended)
			}
			for _, s := range book.Steps() {
				if s.Why == "" {
					t.Errorf("step %s does not say why", s.ID)
				}
				if s.Gate == playbooks.Confirm && s.Irreversible != "" {
					t.Errorf("step %s cannot be undone, and asks for no more than a yes", s.ID)
				}
				if s.Gate == playbooks.Typed && s.Irreversible == "" {
					t.Errorf("step %s is typed, and does not say what cannot be undone", s.ID)
				}
			}
			last := book.Steps()[len(book.Steps())-1]
			if waits := everythingBefore(book, last.ID); last.Uses != "report.write" || len(waits) != len(book.Steps()) {
				t.Errorf("the last step, %s, does not wait for all others: %v", last.ID, waits)
			}
		})
	}
}

// everythingBefore is what has to end before a step ends, itself included.
func everythingBefore(book playbooks.Playbook, id string) map[string]bool {
	all := map[string]bool{id: true}
	for changed := true; changed; {
		changed = false
		for _, s := range book.Steps() {
			for _, need := range s.Needs {
				if all[s.ID] && !all[need] {
					all[need], changed = true, true
				}
			}
		}
	}
	return all
}

// TestContainmentWaitsForNothingOptional holds the order of the response: freeze first, revoke as
// soon as it is frozen, kill only what was captured.
func TestContainmentWaitsForNothingOptional(t *testing.T) {
	before := map[string][]string{
		"freeze":   {"freeze", "stock"},
		"discover": {"discover", "freeze", "stock"},
		"revoke":   {"freeze", "revoke", "stock"},
		"isolate":  {"freeze", "isolate", "stock"},
		"stop":     {"files", "freeze", "stock", "stop", "volatile"},
	}
	book, err := playbooks.Builtin(playbooks.KillSwitch, actions.Names())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range before {
		var got []string
		for each := range everythingBefore(book, id) {
			got = append(got, each)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("before %s: %q", id, got)
		}
	}
}

func TestBuiltinThatIsNone(t *testing.T) {
	for _, name := range []string{"kill-swich", "", "../builtin", "kill-switch.yaml", "\x00"} {
		if _, err := playbooks.Builtin(name, nil); err == nil {
			t.Errorf("%q is a playbook", name)
		}
	}
	if _, err := playbooks.Source("kill-swich"); err == nil || !strings.Contains(err.Error(), `did you mean "kill-switch"?`) {
		t.Errorf("%v", err)
	}
}

// TestLargestPlanFitsTheRecord makes the largest playbook of the bytes that take most room in JSON.
func TestLargestPlanFitsTheRecord(t *testing.T) {
	const head, foot = "name: a\ntitle: ", "\nphases: [{id: p, title: P, steps: [{id: s, title: S, uses: x.y}]}]\n"
	for _, fill := range []string{"<", "'\u2028'"} {
		unit := strings.Trim(fill, "'")
		title := strings.Repeat(unit, (playbooks.MaxPlaybook-len(head)-len(foot)-2)/len(unit))
		book, err := playbooks.Parse("a.yaml", []byte(head+`"`+title+`"`+foot), []string{"x.y"})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(engine.Plan(book))
		if err != nil || len(raw) > journal.MaxPayload-1024 {
			t.Errorf("%q: the plan has %d bytes, %v", unit, len(raw), err)
		}
	}
	var steps bytes.Buffer
	for i := 0; steps.Len() < playbooks.MaxPlaybook-200 && i < playbooks.MaxSteps; i++ {
		fmt.Fprintf(&steps, "{id: s%d, title: S, uses: x.y},", i)
	}
	book, err := playbooks.Parse("a.yaml", []byte("name: a\ntitle: A\nphases: [{id: p, title: P, steps: ["+steps.String()+"]}]\n"), []string{"x.y"})
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := json.Marshal(engine.Plan(book)); err != nil || len(raw) > journal.MaxPayload-1024 {
		t.Errorf("%d steps: the plan has %d bytes, %v", len(book.Steps()), len(raw), err)
	}
}
