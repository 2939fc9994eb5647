package actions

import (
	"errors"
	"testing"
	"testing/synctest"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// An inventory that is read anew in the middle of a run names what was found before it, also by the
// key id that only the secret holds.
func TestReadInventory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		a := newAttended(t, h, "credentials.discover", "person.guide", "credentials.revoke")
		key, pat := a.fakes["aws"].Mint("aws.access_key"), a.fakes["github"].Mint("github.pat")
		h.discover = finds(foundAt(key, "a"), foundAt(pat, "b"))
		read := func() error {
			return a.e.Submit(t.Context(), engine.Command{Credential: &incident.Command{Kind: incident.ReadInventory, By: "dana"}})
		}
		unreadable := errors.New("clawback.yaml: no such file")
		a.asked = func(incident.Question) {
			if err := read(); !errors.Is(err, errNoInventory) {
				t.Errorf("without one: %v", err)
			}
			a.r.ReadInventory = func() (incident.Inventory, error) { return incident.Inventory{}, unreadable }
			if err := read(); !errors.Is(err, unreadable) || len(a.now().Inventory.Items) > 0 {
				t.Errorf("unreadable: %v", err)
			}
			a.r.ReadInventory = func() (incident.Inventory, error) {
				return incident.Inventory{Items: []incident.InventoryItem{
					{Provider: "aws", KeyID: key.Secret.Reveal("access_key_id"), Breaks: "the nightly backup"},
					{Provider: "github", Masked: credential.Mask(pat.Kind, pat.Secret, nil), Breaks: "deploy-bot"},
				}}, nil
			}
			if err := read(); err != nil {
				t.Error(err)
			}
			s := a.now()
			for c, breaks := range map[*credential.Credential]string{&key: "the nightly backup", &pat: "deploy-bot"} {
				if got := s.Credential(a.r.Key.Identify(*c).Fingerprint); got.Inventory == nil || got.Inventory.Breaks != breaks {
					t.Errorf("%s: %+v", c.Kind, got.Inventory)
				}
			}
			if lines, _ := (revocation{a.r}).Announce(a.e.Playbook.Steps()[2]); len(lines) < 3 || lines[2] != "Breaks: the nightly backup, deploy-bot." {
				t.Errorf("announced %q", lines)
			}
		}
		a.carry()
		a.nowhere(pat)
	})
}
