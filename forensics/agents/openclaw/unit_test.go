package openclaw

import (
	"slices"
	"testing"
)

// A unit leads to a state directory in whatever way systemd would take it.
func TestUnitsThatMoveTheStateDirectory(t *testing.T) {
	const user, system = "home/u/.config/systemd/user/openclaw-gateway.service", "etc/systemd/system/openclaw.service"
	for name, c := range map[string]struct {
		unit, text string
		want       []string
	}{
		"plain":               {user, "Environment=OPENCLAW_STATE_DIR=/data/one", []string{"data/one"}},
		"spaces":              {user, "  Environment  =  OPENCLAW_STATE_DIR=/data/one  ", []string{"data/one"}},
		"several":             {user, `Environment="A=b c" CLAWDBOT_STATE_DIR=/data/one 'MOLTBOT_STATE_DIR=/data/two'`, []string{"data/one", "data/two"}},
		"a space in the name": {user, `Environment="OPENCLAW_STATE_DIR=/data/with space"`, []string{"data/with space"}},
		"continued":           {user, "Environment=A=b \\\n  OPENCLAW_STATE_DIR=/data/one \\\n# why\n  C=d", []string{"data/one"}},
		"continued at once":   {system, "Environment= \\\nOPENCLAW_STATE_DIR=/data/one", []string{"data/one"}},
		"a drop-in":           {user + ".d/10.conf", "Environment=OPENCLAW_STATE_DIR=/data/one", []string{"data/one"}},
		"the system's":        {system + ".d/override.conf", "Environment=OPENCLAW_STATE_DIR=/data/one", []string{"data/one"}},
		"a home":              {user, "Environment=OPENCLAW_HOME=%h/moved", []string{"home/u/moved/.openclaw"}},
		"the home itself":     {system, "Environment=HOME=/srv/claw LANG=C", []string{"srv/claw/.openclaw"}},
		"a tilde":             {user, "Environment=OPENCLAW_STATE_DIR=~/state", []string{"home/u/state"}},
		"root's home":         {system, "Environment=OPENCLAW_STATE_DIR=%h/claw", []string{"root/claw"}},
		"a comment":           {user, "#Environment=OPENCLAW_STATE_DIR=/data/one", nil},
		"another key":         {user, "ExecStart=/bin/env OPENCLAW_STATE_DIR=/data/one", nil},
		"another variable":    {user, "Environment=X_OPENCLAW_STATE_DIR=/data/one OPENCLAW_STATE_DIRS=/data/two", nil},
		"another service":     {"etc/systemd/system/other.service.d/10.conf", "Environment=OPENCLAW_STATE_DIR=/data/one", nil},
		"an old copy":         {user + ".d/10.conf.bak", "Environment=OPENCLAW_STATE_DIR=/data/one", nil},
		"out of the root":     {user, "Environment=OPENCLAW_STATE_DIR=/../../data/one", []string{"data/one"}},
		"nowhere":             {user, "Environment=OPENCLAW_STATE_DIR=/gone OPENCLAW_HOME= HOME=/", nil},
	} {
		t.Run(name, func(t *testing.T) {
			root, _ := tree(t, map[string]string{
				c.unit: "[Service]\n" + c.text + "\n", "data/one/": "", "data/two/": "", "data/with space/": "", "home/u/moved/.openclaw/": "",
				"home/u/state/": "", "srv/claw/.openclaw/": "", "root/claw/": "",
			})
			found, problems := Locate(root)
			var got []string
			for _, in := range found {
				got = append(got, in.StateDir)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) || len(problems) > 0 {
				t.Errorf("found %q, want %q; problems %+v", got, c.want, problems)
			}
		})
	}
}
