package containment

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Of what ends while it is read, only that counts which could have been the agent's.
func TestMayBeAgents(t *testing.T) {
	process := func(pid, ppid, session int, exe string) *proc {
		return &proc{session: session, ending: exe == "", Process: Process{PID: pid, PPID: ppid, Exe: exe}}
	}
	agent := process(10, 1, 10, "/opt/openclaw/bin/node")
	seen := map[int]*proc{
		1: process(1, 0, 1, "/sbin/init"), 10: agent, 20: process(20, 1, 20, "/bin/bash"), 21: process(21, 20, 20, ""),
		2: {kernel: true, Process: Process{PID: 2}}, 22: {Process: Process{PID: 22, PPID: 1}},
	}
	for name, c := range map[string]struct {
		p    *proc
		want bool
	}{
		"a shell's child":                      {process(30, 20, 20, ""), false},
		"another account's child":              {process(37, 22, 22, ""), false},
		"a thread of the kernel's child":       {process(31, 2, 0, ""), false},
		"the agent's child":                    {process(32, 10, 32, ""), true},
		"in the agent's session":               {process(33, 20, 10, ""), true},
		"itself recognised":                    {process(10, 20, 20, ""), true},
		"an orphan: whose it was is not known": {process(34, 1, 20, ""), true},
		"its parent is gone":                   {process(35, 99, 20, ""), true},
		"its parent could not be told itself":  {process(36, 21, 20, ""), true},
	} {
		if got := mayBeAgents(c.p, []Process{agent.Process}, seen); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// hide makes that no process of the same account may look at this one.
func hide() {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fatal(err)
	}
}

// Who may not look at other accounts' programs does not take every new process for one that ends; but
// one of its own account's that hides may be the agent's.
func TestAProcessThatMayNotBeLookedAt(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	program := testBinary(t, dir, "look")
	nobody := func(role string, args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Env, cmd.Dir = append(os.Environ(), "CLAWBACK_TEST_ROLE="+role), "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd
	}
	hidden := nobody("hidden")
	in, err := hidden.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := hidden.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hidden.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = hidden.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "hidden\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for pid, ending := range map[int]string{1: "false", hidden.Process.Pid: "true"} {
		if got, err := nobody("look", strconv.Itoa(pid)).CombinedOutput(); err != nil || string(got) != ending {
			t.Errorf("process %d counts as ending: %s, want %s: %v", pid, got, ending, err)
		}
	}
}

// Two quiet scans are enough on a quiet machine, twenty on a busy one, and none where a process of
// the agent was seen to go.
func TestQuietness(t *testing.T) {
	scans := func(doubts func(n int) error) int {
		var q quietness
		for n := 1; n <= 100; n++ {
			if q.enough(doubts(n)) {
				return n
			}
		}
		return 0
	}
	for name, c := range map[string]struct {
		doubts func(n int) error
		want   int
	}{
		"quiet":               {func(int) error { return nil }, quietScans},
		"busy":                {func(int) error { return ErrBusy }, busyScans},
		"busy once":           {func(n int) error { return map[int]error{1: ErrBusy}[n] }, busyScans},
		"missed in the fifth": {func(n int) error { return map[int]error{1: ErrBusy, 5: ErrMissed}[n] }, 5 + quietScans},
		"missed all the time": {func(int) error { return ErrMissed }, 0},
	} {
		if got := scans(c.doubts); got != c.want {
			t.Errorf("%s: enough after %d scans, want %d", name, got, c.want)
		}
	}
}
