package tui

import (
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

func TestCountdown(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		life credential.Life
		left time.Duration
		want string
	}{
		"nothing ends it":   {credential.Alive, 90 * time.Minute, "expires in 1h30; it still answers"},
		"soon":              {credential.Unverified, 61 * time.Second, "expires in 1:01; it still answers"},
		"dead":              {credential.Dead, time.Hour, "it still answers"},
		"expired":           {credential.Alive, -time.Second, "it still answers"},
		"not within a day":  {credential.Alive, 365 * 24 * time.Hour, "it still answers"},
		"without an expiry": {credential.Alive, 0, "it still answers"},
	} {
		cred := &incident.Credential{Life: c.life, Error: "it still answers"}
		if c.left != 0 {
			cred.Expires = now.Add(c.left)
		}
		if got := evidence(cred, now, 60); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
