package containment

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// While it is urgent, every thread goes before others; afterwards none does.
func TestUrgently(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	policies := func() map[uint32]int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		found := map[uint32]int{}
		for _, task := range tasks {
			id, _ := strconv.Atoi(task.Name())
			if attr, err := unix.SchedGetAttr(id, 0); err == nil {
				found[attr.Policy]++
			}
		}
		return found
	}
	normal, err := unix.SchedGetAttr(0, 0)
	if err == nil {
		err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs real time, which CI must allow: %v", err)
		}
		t.Skipf("needs real time: %v", err)
	}
	if err := unix.SchedSetAttr(0, normal, 0); err != nil {
		t.Fatal(err)
	}
	done := urgently()
	during := policies()
	done()
	if after := policies(); during[unix.SCHED_NORMAL] > 0 || during[unix.SCHED_RR] == 0 || after[unix.SCHED_RR] > 0 {
		t.Errorf("threads by policy: %v during, %v after", during, after)
	}
}
