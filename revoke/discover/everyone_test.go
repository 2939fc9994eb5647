package discover

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// On a host that is lost, what other accounts keep for themselves is read too, and says whose it is.
// What is an agent's own, or may be read by one, is nobody else's.
func TestEveryone(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to give files to other accounts")
		}
		t.Skip("needs root to give files to other accounts")
	}
	dir := tree(t, map[string]string{
		"etc/passwd":                     "u:x:4001:4001::/home/u:/bin/sh\nv:x:4002:4002::/home/v:/bin/sh\nw:x:4003:4003::/home/w:/bin/sh\n",
		"home/u/.vault-token":            secret(),
		"home/v/.vault-token":            secret(),
		"home/v/.openclaw/openclaw.json": "{}",
		"home/w/.vault-token":            secret(),
		"home/w/.pgpass":                 "db:5432:*:w:" + secret() + "\n",
	})
	for uid, home := range map[int]string{4001: "home/u", 4002: "home/v", 4003: "home/w"} {
		must(t, filepath.WalkDir(filepath.Join(dir, home), func(name string, _ os.DirEntry, err error) error {
			must(t, err)
			return os.Chown(name, uid, uid)
		}))
		must(t, os.Chmod(filepath.Join(dir, home), 0o700))
	}
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for _, everyone := range []bool{false, true} {
		var got []string
		summary, err := Scan(t.Context(), root, Options{Everyone: everyone}, func(f Found) { got = append(got, f.Source.Path+" of "+f.Other) })
		must(t, err)
		slices.Sort(got)
		want, apart := []string{"home/u/.vault-token of ", "home/v/.vault-token of "}, 2
		if everyone {
			want, apart = append(want, "home/w/.pgpass of w", "home/w/.vault-token of w"), 0
		}
		if !slices.Equal(got, want) || len(summary.Apart) != apart {
			t.Errorf("everyone %v: found %q, apart %+v", everyone, got, summary.Apart)
		}
		if want := []Agent{{"OpenClaw", "home/u/.openclaw", "u"}, {"OpenClaw", "home/v/.openclaw", "v"}}; !slices.Equal(summary.Agents, want) {
			t.Errorf("agents %+v", summary.Agents)
		}
	}
}
