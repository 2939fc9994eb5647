package containment

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// machineTree is a root folder with an installation and an agent at work in it.
type machineTree struct {
	dir, acts string
	agent     *exec.Cmd
}

func startTree(t *testing.T, env ...string) *machineTree {
	t.Helper()
	m := &machineTree{dir: t.TempDir()}
	state := filepath.Join(m.dir, "home/ada/.openclaw")
	for _, name := range []string{"delivery-queue/1.json", "subagents/runs.json", "cron/jobs.json", "restart-sentinel.json", "openclaw.json"} {
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.acts = filepath.Join(m.dir, "acts")
	m.agent = startAgent(t, testBinary(t, filepath.Join(m.dir, "opt/bin"), "openclaw-gateway"), state, m.acts, env...)
	return m
}

// startAgent starts an agent and makes sure that it and all that it forked are gone at the end.
func startAgent(t *testing.T, program, dir, acts string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CLAWBACK_TEST_ROLE=agent", "CLAWBACK_TEST_ACTS="+acts), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for range 3 {
				for _, pid := range running(program) {
					syscall.Kill(pid, sig)
				}
			}
		}
		cmd.Wait()
	})
	eventually(t, "the agent and its child act", func() bool {
		data, _ := os.ReadFile(acts)
		return bytes.Contains(data, []byte("tick\n")) && bytes.Contains(data, []byte("child\n"))
	})
	return cmd
}

// running lists the processes that run program.
func running(program string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && exe == program {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			if liveliest(pid) != "" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func openAgent(t *testing.T, dir string) *Agent {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	a, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// quiet fails when anything is appended to acts while a process beside it acts 20 times.
func quiet(t *testing.T, acts, other string) {
	t.Helper()
	before, start := lines(acts), lines(other)
	eventually(t, "the decoy acts", func() bool { return lines(other) >= start+40 })
	if after := lines(acts); after != before {
		data, _ := os.ReadFile(acts)
		t.Fatalf("the agent acted %d times more: … %s", after-before, data[max(0, len(data)-200):])
	}
}

func TestTreeOfProcesses(t *testing.T) {
	ctx := context.Background()
	m := startTree(t, "CLAWBACK_TEST_BURST=1")
	elsewhere := t.TempDir()
	decoy := testBinary(t, elsewhere, "openclaw-gateway")
	decoyActs := filepath.Join(elsewhere, "acts")
	startAgent(t, decoy, elsewhere, decoyActs)
	decoys := len(running(decoy))
	a := openAgent(t, m.dir)

	d, err := a.Describe(ctx)
	if err != nil || len(d.Processes) < 2 || len(d.Installations) != 1 {
		t.Fatalf("Describe = %+v, %v", d, err)
	}
	f, err := a.Freeze(ctx)
	if err != nil || !f.Complete() || len(f.Processes) < 2 || len(f.Proof) == 0 {
		t.Fatalf("Freeze = %+v, %v", f, err)
	}
	t.Logf("froze %d processes in %s: %q", len(f.Processes), f.Took, f.Proof)
	quiet(t, m.acts, decoyActs)

	// The verb that thaws may be another process, with no memory of the one that froze.
	if err := openAgent(t, m.dir).Thaw(ctx); err != nil {
		t.Fatal(err)
	}
	before := lines(m.acts)
	eventually(t, "the agent acts again", func() bool { return lines(m.acts) > before+10 })

	c, err := a.Check(ctx)
	if err != nil || c.Down || len(c.Processes) == 0 {
		t.Fatalf("Check of a running agent = %+v, %v", c, err)
	}
	s, err := a.Stop(ctx)
	if err != nil || len(s.Problems) > 0 || len(s.Killed) < 2 || len(s.Held) != 4 {
		t.Fatalf("Stop = %+v, %v", s, err)
	}
	data, _ := os.ReadFile(m.acts)
	if bytes.Contains(data, []byte("signal terminated")) {
		t.Error("the agent had a last word")
	}
	quiet(t, m.acts, decoyActs)
	if pids := running(filepath.Join(m.dir, "opt/bin/openclaw-gateway")); len(pids) > 0 {
		t.Errorf("alive: %v", pids)
	}
	if c, err := a.Check(ctx); err != nil || !c.Down {
		t.Errorf("Check = %+v, %v", c, err)
	}
	if n := len(running(decoy)); n != decoys {
		t.Errorf("%d decoys of %d are left", n, decoys)
	}
}

func TestQueueIsHeldAndGivenBack(t *testing.T) {
	ctx := context.Background()
	m := startTree(t)
	a := openAgent(t, m.dir)
	state := filepath.Join(m.dir, "home/ada/.openclaw")
	if _, err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range queued {
		if _, err := os.Lstat(filepath.Join(state, name)); err == nil {
			t.Errorf("%s is still where the agent resumes it", name)
		}
		if _, err := os.Lstat(filepath.Join(state, heldDir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := a.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(queued, "delivery-queue/1.json") {
		if _, err := os.Lstat(filepath.Join(state, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(state, heldDir)); err == nil {
		t.Errorf("%s is left behind", heldDir)
	}
}

// A folder that the agent replaced by a link must not lead out of its state directory.
func TestQueueFollowsNoLinkOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	state := filepath.Join(dir, "home/ada/.openclaw")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"runs.json", "jobs.json"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"subagents": outside, heldDir: outside, "openclaw.json": "/dev/null"} {
		if err := os.Symlink(target, filepath.Join(state, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(state, "restart-sentinel.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openAgent(t, dir).Stop(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Problems) == 0 || len(s.Held) != 0 {
		t.Errorf("Stop = %+v, want the links reported", s)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 2 {
		t.Errorf("outside the root: %v", entries)
	}
}

func TestOwnProcessesAreSpared(t *testing.T) {
	m := startTree(t)
	a := openAgent(t, m.dir)
	// This process works in the state directory, like a responder's shell.
	t.Chdir(filepath.Join(m.dir, "home/ada/.openclaw"))
	f, err := a.Freeze(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Processes {
		if p.PID == os.Getpid() || p.PID == os.Getppid() {
			t.Errorf("froze %+v", p)
		}
	}
}

func TestSignalRefusesAnotherProcess(t *testing.T) {
	m := startTree(t)
	sys, err := ThisMachine(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	p := sys.(*machine).readProc(m.agent.Process.Pid)
	if p == nil {
		t.Fatal("no agent")
	}
	p.Start++
	if err := sys.Signal(context.Background(), p.Process, syscall.SIGKILL); err != ErrGone {
		t.Errorf("signal to a reused pid = %v, want ErrGone", err)
	}
}
