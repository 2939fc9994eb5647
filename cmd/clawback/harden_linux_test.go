package main

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A program that was hardened leaves no core dump, and is attached to by nobody of its user.
func TestHarden(t *testing.T) {
	if os.Getenv("TEST_HARDEN") != "" {
		harden()
		var core unix.Rlimit
		err := unix.Getrlimit(unix.RLIMIT_CORE, &core)
		dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil || core.Max != 0 || dumpable != 0 {
			t.Errorf("core dumps up to %d bytes, dumpable %d: %v", core.Max, dumpable, err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHarden$") // in a process of its own: it cannot be undone
	cmd.Env = append(os.Environ(), "TEST_HARDEN=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
