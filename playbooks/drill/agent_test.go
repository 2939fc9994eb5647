package drill

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"clawback/playbooks/containment"
	"clawback/revoke/fake"
)

// newDecoy starts another program of the agent's name, in the agent's own folder, which is none of
// the drill's business.
func newDecoy(t *testing.T, w *World) *agent {
	t.Helper()
	decoy, err := startAgent(self(t), w.agent.cmd.Dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoy.stop)
	await(t, "the decoy has the agent's name", func() bool {
		p, err := readProcess(decoy.cmd.Process.Pid)
		return err == nil && p.Name == agentName[:15] // as much as the kernel keeps
	})
	return decoy
}

// The agent acts until it is frozen, goes on where it stood when it is thawed, and is killed
// without a last word. What has the same name beside it is neither seen nor touched.
func TestContainmentOfTheAgent(t *testing.T) {
	w := newWorld(t, small)
	decoy := newDecoy(t, w)
	machine, err := w.Host()
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	goesOn(t, w.agent, 2)

	d, err := machine.Describe(t.Context())
	if err != nil || len(d.Processes) != 1 || d.Processes[0].PID != w.agent.cmd.Process.Pid || len(d.Installations) != 1 {
		t.Fatalf("Describe: %+v, %v", d, err)
	}
	f, err := machine.Freeze(t.Context())
	if err != nil || !f.Complete() || len(f.Processes) != 1 {
		t.Fatalf("Freeze: %+v, %v", f, err)
	}
	goesOn(t, decoy, 3) // what the agent wrote before is read by then
	before, _, _ := w.agent.count()
	goesOn(t, decoy, 10)
	if after, _, _ := w.agent.count(); after != before {
		t.Errorf("the frozen agent acted %d times", after-before)
	}
	if c, err := machine.Check(t.Context()); err != nil || c.Down {
		t.Errorf("a frozen agent counts as down: %+v, %v", c, err)
	}

	if err := machine.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	goesOn(t, w.agent, 2)
	s, err := machine.Stop(t.Context())
	if err != nil || len(s.Killed) != 1 || len(s.Problems) > 0 {
		t.Fatalf("Stop: %+v, %v", s, err)
	}
	w.agent.wait.Wait()
	if _, _, last := w.agent.count(); last {
		t.Error("the killed agent had a last word")
	}
	if c, err := machine.Check(t.Context()); err != nil || !c.Down {
		t.Errorf("the killed agent is not down: %+v, %v", c, err)
	}
	goesOn(t, decoy, 2)
	if p, err := readProcess(decoy.cmd.Process.Pid); err != nil || p.Still() {
		t.Errorf("the decoy was touched: %+v, %v", p, err)
	}
}

// An agent that is asked to end acts once more: that is why a kill must not ask.
func TestLastWord(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		a, err := startAgent(self(t), t.TempDir(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		a.wait.Wait()
		if _, _, last := a.count(); !last {
			t.Errorf("no last word after %v", sig)
		}
		a.stop()
	}
}

// Each act takes effect, and those after the alarm are counted apart.
func TestActs(t *testing.T) {
	effects := make(chan struct{}, 1000)
	a, err := startAgent(self(t), t.TempDir(), func() { effects <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	goesOn(t, a, 2)
	if _, after, _ := a.count(); after != 0 {
		t.Errorf("%d acts after an alarm that never was", after)
	}
	a.mu.Lock()
	a.alarm = true
	a.mu.Unlock()
	goesOn(t, a, 2)
	a.stop()
	acts, after, _ := a.count()
	if after < 2 || after > acts-2 || len(effects) != acts {
		t.Errorf("%d acts, %d after the alarm, %d took effect", acts, after, len(effects))
	}
}

// Started by anything but a drill, the agent says so instead of ending as if all were well.
func TestAgentOutsideADrill(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "not a pipe"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, extra := range map[string][]*os.File{"nothing": nil, "a file": {file}} {
		cmd := exec.Command(self(t)[0])
		cmd.Env = []string{AgentEnv + "=1"}
		cmd.ExtraFiles = extra
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "by a drill alone") {
			t.Errorf("with %s as descriptor 3: %v, %q", name, err, out)
		}
	}
	if info, err := file.Stat(); err != nil || info.Size() > 0 {
		t.Errorf("it wrote into a file that it was not given for that: %v, %v", info, err)
	}
}

// The drill's machine is its own child with all that this started, and nothing else.
func TestSystem(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "sleep 60 & echo started; read x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() }) // whatever fails
	if _, err := io.ReadFull(out, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	s := system{cmd.Process.Pid}
	var found []containment.Process
	await(t, "parent and child are seen", func() bool {
		var err error
		found, err = s.Processes(t.Context(), containment.Traits{Root: "/"})
		return err == nil && len(found) == 2
	})
	child := slices.IndexFunc(found, func(p containment.Process) bool { return p.PPID == cmd.Process.Pid })
	if child < 0 || found[1-child].PID != cmd.Process.Pid || found[child].UID != os.Getuid() || found[child].Why == "" {
		t.Fatalf("found %+v", found)
	}
	other := found[child]
	other.Start++ // the pid names another process by now
	if err := s.Signal(t.Context(), other, syscall.SIGKILL); !errors.Is(err, containment.ErrGone) {
		t.Errorf("Signal to a process that is gone: %v", err)
	}
	if p, err := readProcess(other.PID); err != nil || p.Start != found[child].Start {
		t.Errorf("a process was killed that has the pid of one that is gone: %+v, %v", p, err)
	}
	for _, p := range found {
		if err := s.Signal(t.Context(), p, syscall.SIGKILL); err != nil {
			t.Errorf("Signal: %v", err)
		}
	}
	_ = cmd.Wait()
	for _, p := range found {
		await(t, "it is gone", func() bool { now, err := readProcess(p.PID); return err != nil || now.Start != p.Start })
	}
	if err := s.Signal(t.Context(), found[0], syscall.SIGKILL); !errors.Is(err, containment.ErrGone) {
		t.Errorf("Signal to the dead: %v", err)
	}
	if managers, problems := s.Managers(t.Context()); len(managers) > 0 || len(problems) > 0 || s.Cgroup("/") != nil || s.Isolator() != nil {
		t.Error("a drill reaches service managers, control groups or the network of this machine")
	}
}

// The end of a world is the end of its agent, whatever state that is in, and of its network.
func TestCloseLeavesNothing(t *testing.T) {
	for _, state := range []string{"running", "frozen", "killed"} {
		t.Run(state, func(t *testing.T) {
			w, err := New(t.Context(), Options{Scenario: small, Clock: fake.Wall{}, Dir: t.TempDir(), Agent: self(t)})
			if err != nil {
				t.Fatal(err)
			}
			pid := w.agent.cmd.Process.Pid
			p, err := readProcess(pid)
			if err != nil {
				t.Fatal(err)
			}
			machine, err := w.Host()
			if err != nil {
				t.Fatal(err)
			}
			defer machine.Close()
			switch state {
			case "frozen":
				_, err = machine.Freeze(t.Context())
			case "killed":
				_, err = machine.Stop(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if now, err := readProcess(pid); err == nil && now.Start == p.Start {
				t.Errorf("process %d (%s) is left", pid, now.Name)
			}
			if resp, err := w.network.Client().Get("https://api.github.com/user"); err == nil {
				resp.Body.Close()
				t.Error("the network answers after the end of the world")
			}
		})
	}
}

// A world that cannot be made leaves nothing behind either.
func TestNewFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := small
	nobody.Held = []Holding{{"openai.api_key", 1}}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no such agent":     {Options{Scenario: small, Dir: t.TempDir(), Agent: []string{"/does/not/exist"}}, "start the drill's agent"},
		"no such folder":    {Options{Scenario: small, Dir: filepath.Join(file, "below"), Agent: self(t)}, "make the drill's host"},
		"nobody issues it":  {Options{Scenario: nobody, Dir: t.TempDir(), Agent: self(t)}, "nobody issues openai.api_key"},
		"no such kind":      {Options{Scenario: Scenario{Name: "odd", Held: []Holding{{"no.kind", 1}}}, Dir: t.TempDir(), Agent: self(t)}, "nobody issues no.kind"},
		"a file for folder": {Options{Scenario: small, Dir: file, Agent: self(t)}, "make the drill's host"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Clock = fake.Wall{}
			w, err := New(t.Context(), c.o)
			if err == nil {
				_ = w.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: %v, want %q", err, c.want)
			}
		})
	}
	if left := children(os.Getpid()); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}
