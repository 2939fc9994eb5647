package discover

import (
	"os"
	"path/filepath"
	"testing"

	"clawback/forensics/disk/disktest"
)

// What two agents may both read is searched and counted once, and what only the second may read is
// searched in its turn.
func TestTextsOfTwoAccounts(t *testing.T) {
	if os.Getuid() != 0 {
		disktest.Missing(t, "root to give files to other accounts")
	}
	both, second, known := pat(), pat(), secret()
	config := `{agents:{defaults:{workspace:"/srv/shared"}},hooks:{token:"` + known + `"}}`
	dir := tree(t, map[string]string{
		"etc/passwd":                     "u:x:4001:4001::/home/u:/bin/sh\nv:x:4002:4002::/home/v:/bin/sh\n",
		"home/u/.openclaw/openclaw.json": config,
		"home/v/.openclaw/openclaw.json": config,
		"srv/shared/both.txt":            both + "\n" + known + "\n",
		"srv/shared/second.txt":          second + "\n",
	})
	for name, uid := range map[string]int{"home/u": 4001, "home/v": 4002} {
		must(t, filepath.WalkDir(filepath.Join(dir, name), func(at string, _ os.DirEntry, err error) error {
			must(t, err)
			return os.Chown(at, uid, uid)
		}))
	}
	for name, mode := range map[string]os.FileMode{".": 0o755, "srv": 0o755, "srv/shared": 0o755, "srv/shared/both.txt": 0o644} {
		must(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	must(t, os.Chown(filepath.Join(dir, "srv/shared/second.txt"), 4002, 4002))
	found, summary := search(t, dir, places)
	count := map[string]int{}
	for _, f := range found {
		count[f.Secret.Reveal("value")]++
	}
	if count[both] != 1 || count[second] != 1 || count[known] != 3 {
		t.Errorf("both %d, second %d, known %d", count[both], count[second], count[known])
	}
	if summary.Files != 4 {
		t.Errorf("%d files", summary.Files)
	}
}

// A Compose file that two agents may read names files that only the second may.
func TestComposeOfTwoAccounts(t *testing.T) {
	if os.Getuid() != 0 {
		disktest.Missing(t, "root to give files to other accounts")
	}
	value := secret()
	dir := tree(t, map[string]string{
		"etc/passwd":                     "u:x:4001:4001::/home/u:/bin/sh\nv:x:4002:4002::/home/v:/bin/sh\n",
		"home/u/.openclaw/openclaw.json": "{}",
		"home/v/.openclaw/openclaw.json": "{}",
		"opt/openclaw/compose.yml":       "services:\n  openclaw-gateway:\n    env_file: [gateway.env]\n",
		"opt/openclaw/gateway.env":       "ACME_TOKEN=" + value + "\n",
	})
	for name, uid := range map[string]int{"home/u": 4001, "home/v": 4002, "opt/openclaw/gateway.env": 4002} {
		must(t, filepath.WalkDir(filepath.Join(dir, name), func(at string, _ os.DirEntry, err error) error {
			must(t, err)
			return os.Chown(at, uid, uid)
		}))
	}
	for name, mode := range map[string]os.FileMode{".": 0o755, "opt": 0o755, "opt/openclaw": 0o755, "opt/openclaw/compose.yml": 0o644} {
		must(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	found, summary := search(t, dir, places)
	expect(t, found, "acme unknown value="+value+" at opt/openclaw/gateway.env:1 (ACME_TOKEN)")
	if len(summary.Apart) > 0 {
		t.Errorf("apart %+v", summary.Apart)
	}
}
