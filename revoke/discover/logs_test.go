package discover

import (
	"os"
	"path/filepath"
	"testing"
)

// A log that the configuration puts elsewhere is searched with what it was rotated to, and nothing
// else of its directory is.
func TestLogsElsewhere(t *testing.T) {
	now, rotated, packed, linked, other, outside := pat(), pat(), pat(), pat(), pat(), pat()
	elsewhere := t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "x.log"), []byte(outside), 0o600))
	dir := tree(t, map[string]string{
		state + "openclaw.json":          `{logging:{file:"/var/log/claw/gateway.log"}}`,
		"home/v/.openclaw/openclaw.json": `{logging:{file:"~/logs/now.log"}}`,
		"home/w/.openclaw/openclaw.json": `{logging:{file:"` + filepath.Join(elsewhere, "x.log") + `"}}`,
		"home/x/.openclaw/openclaw.json": `{logging:{file:"/var/log/claw/gateway.log"}}`,
		"var/log/claw/gateway.log":       now,
		"var/log/claw/gateway.1.log":     rotated,
		"var/log/claw/gateway.log.2.gz":  gzipped(t, packed),
		"var/log/claw/other.log":         other,
		"var/log/claw/gateway-data.db":   other,
		"home/v/logs/x/one.log":          linked,
	})
	must(t, os.Symlink("x/one.log", filepath.Join(dir, "home/v/logs/now.log")))
	found, summary := search(t, dir, places)
	for _, value := range []string{now, rotated, packed, linked} {
		if len(placesOf(found, value)) != 1 {
			t.Errorf("found at %q", placesOf(found, value))
		}
	}
	if len(found) != 4 || len(summary.Problems) > 0 {
		t.Errorf("found %d, problems %+v", len(found), summary.Problems)
	}
}
