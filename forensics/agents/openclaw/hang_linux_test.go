package openclaw

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// missing skips a test for what it needs and this machine lacks; where tests must be complete it fails.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

// hang mounts a FUSE file system whose server never answers, until the test ends.
func hang(t *testing.T, at string) {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "root to mount")
	}
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		missing(t, "/dev/fuse: "+err.Error())
	}
	if err := unix.Mount("hang", at, "fuse", unix.MS_NOSUID|unix.MS_NODEV, "fd="+strconv.Itoa(dev)+",rootmode=40000,user_id=0,group_id=0"); err != nil {
		_ = unix.Close(dev)
		missing(t, "the right to mount: "+err.Error())
	}
	t.Cleanup(func() {
		_ = unix.Unmount(at, unix.MNT_DETACH)
		_ = unix.Close(dev) // ends every call that hangs
	})
}

func TestLocateBelowAMountThatHangs(t *testing.T) {
	root, dir := tree(t, map[string]string{"home/u/.openclaw/": "", "home/v/.openclaw/openclaw.json": "{}"})
	hang(t, filepath.Join(dir, "home/u/.openclaw"))
	p := Patiently(t.Context(), root, 2*time.Second)
	found, problems := Locate(p)
	if len(found) != 2 || found[0].StateDir != "home/u/.openclaw" || found[0].UID != 0 || found[1].Config == "" {
		t.Errorf("found %+v", found)
	}
	if len(problems) != 1 || problems[0].Path != "home/u/.openclaw" || !strings.Contains(problems[0].Reason, "did not answer") {
		t.Errorf("problems %+v", problems)
	}
}
