package containment

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What starts the agent at a time or at boot is listed with whom to ask, and nothing else is.
func TestDescribeListsWhatStartsItLater(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"etc/passwd":                         fmt.Sprintf("ada:x:%d:1000::/home/ada:/bin/sh\n", os.Getuid()) + "bob:x:1001:1001::/home/bob:/bin/sh\n",
		"home/ada/.openclaw/openclaw.json":   "{}",
		"var/lib/systemd/linger/ada":         "",
		"var/lib/systemd/linger/bob":         "",
		"etc/crontab":                        "# openclaw ran here once\n0 * * * * root run-parts /etc/cron.hourly\n",
		"etc/cron.d/gateway":                 "*/5 * * * * ada /usr/bin/OpenClaw gateway\n",
		"etc/cron.daily/heal":                "#!/bin/sh\npgrep moltbot || moltbot &\n",
		"var/spool/cron/crontabs/ada":        "@reboot ~/.openclaw/start.sh\n",
		"var/spool/cron/crontabs/bob":        "0 5 * * * backup\n",
		"var/spool/cron/atjobs/a0000101c2f0": "#!/bin/sh\n# atrun uid=1000 gid=1000\ncd /home/ada/.openclaw || exit\nnode x.js\n",
		"var/spool/cron/atjobs/a0000201c2f0": "#!/bin/sh\n# mail openclaw 0\ntrue\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := openAgent(t, dir).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range d.Revivers {
		got = append(got, r.Kind+" "+r.Name)
		if r.Paused || r.Ask == "" && r.Kind != "linger" {
			t.Errorf("%+v", r)
		}
	}
	slices.Sort(got)
	want := []string{
		"at var/spool/cron/atjobs/a0000101c2f0", "cron etc/cron.d/gateway", "cron etc/cron.daily/heal", "cron var/spool/cron/crontabs/ada", "linger ada",
	}
	if !slices.Equal(got, want) {
		t.Errorf("revivers %q, want %q", got, want)
	}
}
