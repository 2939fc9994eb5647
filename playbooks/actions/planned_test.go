package actions

import (
	"context"
	"strings"
	"testing"
	"time"

	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// What a plan lacks is revoked like the rest, and the record says that nobody approved it.
func TestNotInThePlan(t *testing.T) {
	for name, c := range map[string]struct {
		planned func(credential.Credential) bool
		want    int // warnings
	}{
		"without a plan":  {nil, 0},
		"in the plan":     {func(credential.Credential) bool { return true }, 0},
		"not in the plan": {func(c credential.Credential) bool { return c.Sources[0].Path != "late.env" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Response{Key: credential.NewFingerprintKey(), Planned: c.planned, Authorities: &Authorities{}}
			r.Host = &machine{discover: func(_ context.Context, found func(discover.Found)) (discover.Summary, error) {
				for _, path := range []string{".env", "late.env", "copy-of-late.env"} {
					value := "first"
					if path != ".env" {
						value = "late"
					}
					found(discover.Found{Provider: "unknown", Kind: "unknown", Secret: credential.Value(value), Source: credential.Source{Path: path}})
				}
				return discover.Summary{Files: 3}, nil
			}}
			r.Actions()
			j := journal.InMemory(time.Now)
			if err := r.discover(t.Context(), playbooks.Step{}, onlooker{j}); err != nil {
				t.Fatal(err)
			}
			s, err := foldAll(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Warnings) != c.want || c.want > 0 && !strings.Contains(s.Warnings[0].Text, "in late.env was not in the plan") {
				t.Errorf("warnings %+v, want %d", s.Warnings, c.want)
			}
			if n := len(r.queue.waiting()); n != 2 {
				t.Errorf("%d wait for their revocation, want both", n)
			}
		})
	}
}
