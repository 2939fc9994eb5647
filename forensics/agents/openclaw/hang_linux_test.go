package openclaw

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clawback/forensics/disk/disktest"
)

func TestLocateBelowAMountThatHangs(t *testing.T) {
	root, dir := tree(t, map[string]string{"home/u/.openclaw/": "", "home/v/.openclaw/openclaw.json": "{}"})
	disktest.Hang(t, filepath.Join(dir, "home/u/.openclaw"))
	p := Patiently(t.Context(), root, 2*time.Second)
	found, problems := Locate(p)
	if len(found) != 2 || found[0].StateDir != "home/u/.openclaw" || found[0].UID != 0 || found[1].Config == "" {
		t.Errorf("found %+v", found)
	}
	if len(problems) != 1 || problems[0].Path != "home/u/.openclaw" || !strings.Contains(problems[0].Reason, "did not answer") {
		t.Errorf("problems %+v", problems)
	}
}
