package actions

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// Secrets are wiped only once the decision is durable; what cannot be opened goes with the rest.
func TestForget(t *testing.T) {
	for name, c := range map[string]struct {
		refused, torn bool
		kept          int
	}{
		"on record":               {false, false, 2},
		"the record is not taken": {true, false, 2},
		"the key is of no use":    {false, true, 0},
		"neither":                 {true, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResponse(t, &machine{})
			dead, skipped := secret(t), secret(t)
			j := journal.InMemory(time.Now)
			for _, of := range []credential.Credential{dead, skipped} {
				note(t, j, incident.TypeFound, incident.Found{Credential: of})
			}
			note(t, j, incident.TypeLife, incident.Life{Fingerprint: dead.Fingerprint, Life: credential.Dead})
			note(t, j, incident.TypeLife, incident.Life{Fingerprint: skipped.Fingerprint, Life: credential.Skipped})
			was, err := foldAll(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			r.Before = &Before{State: was, Resumed: incident.Resumed{By: "dana"}}
			keys := filepath.Join(r.Dir, "keys")
			if _, err := r.Kept(); !errors.Is(err, ErrNoSecrets) {
				t.Errorf("nothing is kept: %v", err)
			}
			if err := (&vault{disk: disk.OS{}, dir: keys}).keep(dead, skipped); err != nil {
				t.Fatal(err)
			}
			if c.torn {
				write(t, filepath.Join(keys, vaultKeyName), "no key")
			}
			kept, err := r.Kept()
			if len(kept) != c.kept || (err != nil) != c.torn || errors.Is(err, ErrNoSecrets) {
				t.Fatalf("%d are kept, %v", len(kept), err)
			}
			if c.refused {
				_ = j.Close()
				j = journal.Refused(os.ErrPermission, time.Now)
			}
			defer func() { _ = j.Close() }()
			s, err := r.Forget(t.Context(), j, kept, "dana", "closed")
			left, _ := os.ReadDir(keys)
			if c.refused {
				if !errors.Is(err, journal.ErrNotDurable) || len(left) != 2 {
					t.Errorf("%v, %d files are left", err, len(left))
				}
				return
			}
			if err != nil || len(left) > 0 || s.Forgotten == nil || s.Forgotten.Kept != c.kept || s.Exit == nil || len(s.Warnings) > 0 {
				t.Errorf("%v, %d files are left, on record %+v, %v", err, len(left), s.Forgotten, s.Warnings)
			}
			if c.kept > 0 && (len(s.Forgotten.Undead) != 1 || s.Forgotten.Undead[0] != skipped.Fingerprint) {
				t.Errorf("not dead: %v", s.Forgotten.Undead)
			}
		})
	}
}
