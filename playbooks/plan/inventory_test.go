package plan_test

import (
	"bytes"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/plan"
)

// A person who approves reads what breaks, what nobody listed, and what was listed and not found.
func TestTextOfInventory(t *testing.T) {
	p := sample(t)
	p.Inventoried = true
	p.Credentials[0].Inventory = &incident.InventoryItem{Provider: "aws", Account: "123456789012", Purpose: "backups", Breaks: "the nightly job"}
	p.NotFound = []incident.InventoryItem{{Provider: "github", Masked: "ghp_…1xQz", Owner: "platform\x1b[2J"}}
	var out bytes.Buffer
	if err := plan.WriteText(&out, p, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"        inventory: backups; breaks the nightly job\n",
		"\nIn the inventory, not found on the host\n  github ghp_…1xQz: owner platform�[2J\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "        not in inventory\n"); n != len(p.Credentials)-1 {
		t.Errorf("%d of %d are not in the inventory", n, len(p.Credentials))
	}
}
