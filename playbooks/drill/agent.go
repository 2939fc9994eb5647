package drill

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// agentName is the name under which the drill's agent runs, as a real one would.
const agentName = "openclaw-gateway"

// What the agent's process writes into its pipe: it made a call, or it had a last word.
const (
	acted    = "act\n"
	lastWord = "last word\n"
)

// RunAgent is the main function of the drill's agent: a process that acts all the time, through a
// pipe that it inherited as descriptor 3, and acts once more when it is asked to end.
func RunAgent() error {
	pipe := os.NewFile(3, "calls")
	if info, err := pipe.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return errors.New("the drill's agent is started by a drill alone")
	}
	_ = os.WriteFile("/proc/self/comm", []byte(agentName), 0) // a name is decoration: without it the drill goes on
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := io.WriteString(pipe, acted); err != nil {
				return nil // the drill is over
			}
		case <-asked:
			_, _ = io.WriteString(pipe, lastWord)
			return nil
		}
	}
}

// agent is the drill's agent as its world sees it.
type agent struct {
	cmd  *exec.Cmd
	pipe *os.File

	wait   sync.WaitGroup
	mu     sync.Mutex
	acts   int
	last   bool // it had a last word
	alarm  bool
	after  int // acts after the alarm
	firsts chan struct{}
}

// startAgent starts command as the agent of the installation at stateDir, and returns once it acts.
func startAgent(command []string, stateDir string, act func()) (*agent, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the drill's agent: %w", err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Args[0] = agentName
	cmd.Dir = stateDir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + filepath.Dir(stateDir), AgentEnv + "=1"}
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = r.Close()
		_ = w.Close()
		return nil, fmt.Errorf("start the drill's agent: %w", err)
	}
	_ = w.Close()
	a := &agent{cmd: cmd, pipe: r, firsts: make(chan struct{})}
	a.wait.Go(func() { a.listen(act) })
	a.wait.Go(func() { _ = cmd.Wait() })
	select {
	case <-a.firsts:
		return a, nil
	case <-time.After(10 * time.Second):
		a.stop()
		return nil, errors.New("start the drill's agent: it never acted")
	}
}

// AgentEnv is set in the environment of the drill's agent, so that a program which starts itself
// as the agent can tell.
const AgentEnv = "CLAWBACK_DRILL_AGENT"

// listen counts what the agent does, and lets each act take effect.
func (a *agent) listen(act func()) {
	lines := bufio.NewScanner(a.pipe)
	for lines.Scan() {
		a.mu.Lock()
		a.acts++
		if a.acts == 1 {
			close(a.firsts)
		}
		if a.alarm {
			a.after++
		}
		a.last = a.last || lines.Text()+"\n" == lastWord
		a.mu.Unlock()
		act()
	}
}

// stop ends the process whatever state it is in.
func (a *agent) stop() {
	_ = a.cmd.Process.Kill()
	a.wait.Wait()
	_ = a.pipe.Close()
}
