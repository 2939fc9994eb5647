package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/drill/tree"
)

// treeEnv makes this program a process of an agent that acts all the time, and once more when it
// is asked to end. Its value says how many generations of children it starts.
const treeEnv = "CLAWBACK_TEST_TREE"

// runTree is the main function of such a process. It writes a byte an act into the file that it
// inherited as descriptor 3.
func runTree() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	acts := os.NewFile(3, "acts")
	if n, _ := strconv.Atoi(os.Getenv(treeEnv)); n > 0 {
		child := exec.Command("/proc/self/exe")
		child.Env = []string{treeEnv + "=" + strconv.Itoa(n-1)}
		child.ExtraFiles, child.Stdout = []*os.File{acts}, os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: n%2 == 0} // some leave the session
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
		go func() { _ = child.Wait() }()
	}
	fmt.Println(os.Getpid())
	for tick := time.Tick(5 * time.Millisecond); ; {
		select {
		case <-tick:
			_, _ = acts.WriteString(".")
		case <-asked:
			_, _ = acts.WriteString("last word")
			os.Exit(0)
		}
	}
}

// processTree is a real agent below a desk's target.
type processTree struct {
	pids []int
	acts string
}

// startTree starts processes whose working directory is the installation's, and returns once all act.
func startTree(t *testing.T, d *desk, how ...string) *processTree {
	t.Helper()
	generations := 2
	if slices.Contains(how, "--alone") {
		generations = 0
	}
	p := &processTree{acts: filepath.Join(d.dir, "acts")}
	file, err := os.OpenFile(p.acts, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(d.bin)
	cmd.Dir = filepath.Join(d.root, filepath.FromSlash(tree.Workspace))
	cmd.Env = []string{treeEnv + "=" + strconv.Itoa(generations)}
	cmd.ExtraFiles = []*os.File{file}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range p.pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	_ = w.Close()
	defer r.Close()
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	lines := bufio.NewScanner(r)
	for range generations + 1 {
		if !lines.Scan() {
			t.Fatal("the agent's processes did not start")
		}
		pid, _ := strconv.Atoi(lines.Text())
		p.pids = append(p.pids, pid)
	}
	eventually(t, 10*time.Second, "the agent acts", func() bool { return p.count() > 3 })
	return p
}

func (p *processTree) count() int64 {
	info, err := os.Stat(p.acts)
	if err != nil {
		return -1
	}
	return info.Size()
}

// stateOf is a process's state letter, and "" when it is gone. What is dead and not yet waited for is gone.
func stateOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	if state := rest[:1]; state != "Z" && state != "X" {
		return state
	}
	return ""
}

// gone checks that all processes were killed, and none had a last word.
func (p *processTree) gone(t *testing.T) {
	t.Helper()
	for _, pid := range p.pids {
		if s := stateOf(pid); s != "" {
			t.Errorf("process %d of the agent is in state %s", pid, s)
		}
	}
	text, err := os.ReadFile(p.acts)
	if err != nil || strings.Contains(string(text), "last") {
		t.Errorf("the agent had a last word (%v)", err)
	}
}

// startDecoy starts a process that is named like an agent and lies outside every target.
func startDecoy(t *testing.T) int {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "openclaw-gateway")
	if err := os.WriteFile(bin, b, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "600")
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func leftAlone(t *testing.T, pid int) {
	t.Helper()
	if s := stateOf(pid); s != "S" && s != "R" {
		t.Errorf("the decoy is in state %q", s)
	}
}

// The kill switch against real processes: frozen, then killed without a last word; what only has
// the agent's name is left alone.
func TestRealProcesses(t *testing.T) {
	t.Parallel()
	decoy := startDecoy(t)
	r := unlessBusy(t, func() ended {
		d := newDesk(t)
		d.hold()
		agent := startTree(t, d)
		run := d.start(d.command(d.killArgs()...))
		eventually(t, time.Minute, "the freeze is on record", func() bool {
			return strings.Contains(string(run.stdout.bytes()), `"agent.frozen"`) || stateOf(run.cmd.Process.Pid) == ""
		})
		atFreeze := agent.count()
		r := run.wait()
		r.check(t)
		agent.gone(t)
		if after := agent.count() - atFreeze; after != 0 {
			t.Errorf("the agent acted %d times after the freeze was on record", after)
		}
		return r
	})
	r.wants(t, incident.ExitContained, "frozen       3 processes", "killed       3 processes")
	if r.summary.Agent.FrozenMS == nil || *r.summary.Agent.FrozenMS > 5000 {
		t.Errorf("frozen in %v ms", r.summary.Agent.FrozenMS)
	}
	leftAlone(t, decoy)
}
