package playbooks_test

import (
	"slices"
	"strings"
	"testing"

	"clawback/playbooks"
	"clawback/playbooks/actions"
)

// What a desk has decides which steps there are; none that is left waits for one that is gone.
func TestWhere(t *testing.T) {
	for _, name := range playbooks.Builtins() {
		book, err := playbooks.Builtin(name, actions.Names())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			facts    map[string]bool
			has, not string
		}{
			{map[string]bool{"remote": true}, "", "platform disks hoster"},
			{map[string]bool{"remote": true, playbooks.OnPlatform: true}, "platform disks", "hoster"},
			{map[string]bool{"remote": true, playbooks.OnHoster: true}, "hoster", "platform disks"},
		} {
			got := book.Where(c.facts)
			var ids []string
			for _, s := range got.Steps() {
				ids = append(ids, s.ID)
			}
			for _, s := range got.Steps() {
				for _, need := range s.Needs {
					if !slices.Contains(ids, need) {
						t.Errorf("%s, %v: %s waits for %s, which is gone", name, c.facts, s.ID, need)
					}
				}
			}
			for id := range strings.FieldsSeq(c.not) {
				if slices.Contains(ids, id) {
					t.Errorf("%s, %v: %s is shown", name, c.facts, id)
				}
			}
			if name == playbooks.LeakedCredentials || name == playbooks.Isolate || name == playbooks.KillSwitch && c.has == "hoster" {
				continue // no machine; the network alone; nobody to ask
			}
			for id := range strings.FieldsSeq(c.has) {
				if !slices.Contains(ids, id) {
					t.Errorf("%s, %v: no %s", name, c.facts, id)
				}
			}
			if _, err := playbooks.Builtin(name, actions.Names()); err != nil || len(book.Steps()) < len(got.Steps()) {
				t.Error("the playbook itself has changed")
			}
			if err := playbooks.Check("", got, actions.Names()); err != nil {
				t.Errorf("%s, %v: %v", name, c.facts, err)
			}
		}
	}
}
