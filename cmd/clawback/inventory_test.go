package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// What clawback.yaml knows of credentials goes into the record of a kill, its hints and its report;
// the record verifies with it, and what was not found alone does not change how the response ends.
func TestRealInventory(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("github.pat", "slack.bot")
	config := "inventory:\n- {provider: github, masked: " + credential.Mask(held[0].Kind, held[0].Secret, nil) +
		", owner: platform team, breaks: deploy-bot}\n- {provider: stripe, key_id: mk_1, purpose: billing, review: 2020-01-01}\n"
	if err := os.WriteFile(d.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "CLAWBACK_CONFIG="+d.config())

	plan := d.run(d.command(append([]string{"plan", "--offline", "--root", d.root}, d.city.args...)...))
	if text := string(plan.stdout); !strings.Contains(text, "inventory: owner platform team; breaks deploy-bot") || !strings.Contains(text, "stripe mk_1: billing") {
		t.Errorf("the plan says (%d)\n%s%s", plan.code, text, plan.stderr)
	}
	r := unlessBusy(t, func() ended { return d.kill() })
	r.wants(t, incident.ExitContained)
	s := d.recorded()
	i := slices.IndexFunc(s.Credentials, func(c *incident.Credential) bool { return c.Kind == "github.pat" })
	if i < 0 || s.Credentials[i].Inventory == nil || s.Credentials[i].Inventory.Breaks != "deploy-bot" || len(s.NotFound()) != 1 {
		t.Errorf("the record knows %+v, and misses %v", s.Inventory, s.NotFound())
	}
	if !strings.Contains(string(r.stderr), "stripe mk_1: in the inventory, not found on the host") {
		t.Errorf("nothing is said of what was not found:\n%s", r.stderr)
	}
	report, err := os.ReadFile(filepath.Join(d.folder(), "report.md"))
	if err != nil || !strings.Contains(string(report), "Breaks when it dies, by the inventory: `deploy-bot`") {
		t.Errorf("the report does not say what breaks, %v", err)
	}
	verified := d.run(d.command("verify"))
	verified.wants(t, 0)
}
