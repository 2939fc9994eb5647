package disktest

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Hang mounts a FUSE file system whose server never answers, until the test ends. Where that cannot be
// had, it is Missing.
func Hang(t *testing.T, at string) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "root to mount")
	}
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		Missing(t, "/dev/fuse: "+err.Error())
	}
	if err := unix.Mount("hang", at, "fuse", unix.MS_NOSUID|unix.MS_NODEV, "fd="+strconv.Itoa(dev)+",rootmode=40000,user_id=0,group_id=0"); err != nil {
		_ = unix.Close(dev)
		Missing(t, "the right to mount: "+err.Error())
	}
	t.Cleanup(func() {
		_ = unix.Unmount(at, unix.MNT_DETACH)
		_ = unix.Close(dev) // ends every call that hangs
	})
}

// Missing skips a test for what it needs and this machine lacks; where tests must be complete it fails.
func Missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}
