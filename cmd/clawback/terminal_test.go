package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"clawback/forensics/incident"
)

// screen is a terminal of 80 by 24 in tmux, with a program in it.
type screen struct {
	t      *testing.T
	tmux   string
	env    []string
	code   string        // the file that takes the program's exit code
	banner string        // what the first row begins with
	most   time.Duration // that following may take
}

func (d *desk) screen(args ...string) *screen {
	d.t.Helper()
	return d.screenOf(d.bin + " " + strings.Join(args, " "))
}

// screenOf is a screen with a shell's command in it. Each has a tmux of its own.
func (d *desk) screenOf(line string) *screen {
	d.t.Helper()
	dir, err := os.MkdirTemp(d.dir, "screen")
	if err != nil {
		d.t.Fatal(err)
	}
	s := &screen{t: d.t, tmux: needsProgram(d.t, "tmux"), code: filepath.Join(dir, "code"), banner: "┃ DRILL ┃ DRILL-", most: 100 * time.Second}
	s.env = append(slices.Clip(d.env), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "TMUX_TMPDIR="+dir)
	s.run("new-session", "-d", "-x", "80", "-y", "24", fmt.Sprintf("%s; echo $? > %s.part; mv %s.part %s; sleep 60", line, s.code, s.code, s.code))
	d.t.Cleanup(func() { _ = s.command("kill-server").Run() })
	return s
}

// pid is the program in the screen.
func (s *screen) pid() int {
	s.t.Helper()
	pane := strings.TrimSpace(s.run("display-message", "-p", "#{pane_pid}"))
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", pane, pane))
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// exits waits for the program's end.
func (s *screen) exits(want int) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "the end", s.ended)
	if code, err := os.ReadFile(s.code); err != nil || string(code) != fmt.Sprintln(want) {
		s.t.Errorf("exit code %q (%v), want %d\n%s", code, err, want, s.text())
	}
}

func (s *screen) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.tmux, append([]string{"-u", "-f", "/dev/null"}, args...)...)
	cmd.Env = s.env
	return cmd
}

func (s *screen) run(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *screen) text() string { return s.run("capture-pane", "-p") }

func (s *screen) ended() bool {
	_, err := os.Stat(s.code)
	return err == nil
}

var (
	// highlighted is the key that leads on, in the last row of the topmost box.
	highlighted = regexp.MustCompile(`▸ (\S+)  (\S.*)`)
	// wanted is what a dialog wants typed.
	wanted = regexp.MustCompile(`Type  (.+?)  to go on`)
	// typed is what stands in its field.
	typed = regexp.MustCompile(`> (.*)▏`)
)

// loading is what a screen shows that is not complete yet.
var loading = regexp.MustCompile(`(?m)^reading |─ reading the record`)

// next is what a person does who knows nothing but what is on the screen: keys of tmux, or none to wait.
func next(text string) (keys []string, leads string) {
	if want := wanted.FindStringSubmatch(text); want != nil {
		switch in := typed.FindStringSubmatch(text); {
		case !strings.Contains(text, "once it is typed"): // no key counts yet
			return nil, ""
		case in != nil && in[1] == "":
			return []string{"-l", want[1]}, "type"
		}
	}
	all := highlighted.FindAllStringSubmatch(text, -1)
	if all == nil {
		return nil, ""
	}
	last := all[len(all)-1]
	names := map[string]string{"enter": "Enter", "esc": "Escape", "space": "Space", "↓": "Down", "↑": "Up", "tab": "Tab", "ctrl+s": "C-s"}
	if name, ok := names[last[1]]; ok {
		return []string{name}, last[2]
	}
	return []string{"-l", last[1]}, last[2]
}

// follow presses only what is highlighted, and types only what is asked for, until the screen shows
// what it is to lead to. It returns that screen and what was pressed.
func (s *screen) follow(until func(text, leads string, pressed []string) bool) (text string, pressed []string) {
	s.t.Helper()
	for over := time.Now().Add(s.most); time.Now().Before(over) && len(pressed) < 150 && !s.ended(); {
		var keys []string
		var leads string
		eventually(s.t, 60*time.Second, "a key that leads on, after "+strings.Join(pressed, " "), func() bool {
			text = s.text()
			keys, leads = next(text)
			return !loading.MatchString(text) && (keys != nil || until(text, leads, pressed)) || s.ended()
		})
		if first, _, _ := strings.Cut(text, "\n"); !strings.HasPrefix(first, s.banner) && !s.ended() {
			s.t.Fatalf("the banner does not begin with %q\n%s", s.banner, text)
		}
		if until(text, leads, pressed) {
			return text, pressed
		}
		if keys == nil { // it ended
			break
		}
		pressed = append(pressed, keys[len(keys)-1])
		s.run(append([]string{"send-keys"}, keys...)...)
		if leads == "type" { // whatever else changes on the screen, it is not typed twice
			eventually(s.t, 30*time.Second, "what was typed", func() bool { return !strings.Contains(s.text(), "> ▏") })
			continue
		}
		changes(s, text)
	}
	s.t.Fatalf("it leads nowhere: %v\n%s", pressed, s.text())
	return "", nil
}

// changes waits for the screen to show something else, for a second at most: a key may do nothing visible.
func changes(s *screen, from string) {
	for end := time.Now().Add(time.Second); time.Now().Before(end) && s.text() == from; {
		<-time.After(20 * time.Millisecond)
	}
}

// press presses a key once the row of keys shows what it shows from when on it counts.
func (s *screen) press(key, once string) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, "keys count", func() bool { return strings.Contains(s.text(), once) })
	s.run("send-keys", key)
}

// onTerminal starts clawback on a pseudo-terminal on which nobody answers.
func (d *desk) onTerminal(args ...string) (cmd *exec.Cmd, master *os.File, output *lockedBuffer) {
	d.t.Helper()
	cmd = d.command(args...)
	cmd.Env = append([]string{"TERM=xterm-256color"}, d.env...) // the last one counts
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		d.t.Fatal(err)
	}
	output = new(lockedBuffer)
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(output, master) }()
	d.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = master.Close(); <-read })
	return cmd, master, output
}

// A signal ends the console: the screen is given back, and the record says how it ended.
func TestTerminalSignals(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{
		syscall.SIGTERM: incident.ExitTerminated, syscall.SIGINT: incident.ExitInterrupted,
	} {
		d := newDesk(t)
		cmd, _, output := d.onTerminal("drill", "--speed", drillSpeed)
		eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(output.bytes(), []byte("waiting for you")) })
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		d.endsWith(cmd, want)
		eventually(t, 5*time.Second, "the screen is given back", func() bool {
			return bytes.Contains(output.bytes(), []byte("\x1b[?1049l")) && bytes.Contains(output.bytes(), []byte(fmt.Sprintf("exit %d", want)))
		})
		verified := d.run(d.command("verify"))
		verified.wants(t, 0)
	}
}

// endsWith waits for a process.
func (d *desk) endsWith(cmd *exec.Cmd, want int) {
	d.t.Helper()
	hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != want {
		d.t.Errorf("ended with %v, want %d", cmd.ProcessState, want)
	}
}

// A command that prints one line asks the terminal nothing, and waits for no answer: a question that nobody answers
// costs five seconds. The fastest of some runs counts, since the machine may be busy.
func TestTerminalVersion(t *testing.T) {
	t.Parallel()
	const halfOfAQuestion = 2500 * time.Millisecond
	fastest := time.Hour
	for range 5 {
		d := newDesk(t)
		began := time.Now()
		cmd, _, output := d.onTerminal("version")
		d.endsWith(cmd, 0)
		fastest = min(fastest, time.Since(began))
		eventually(t, 5*time.Second, "the version", func() bool { return bytes.Contains(output.bytes(), []byte("clawback ")) })
		if bytes.ContainsRune(output.bytes(), '\x1b') {
			t.Fatalf("it says %q to a terminal", output.bytes())
		}
	}
	if fastest > halfOfAQuestion {
		t.Errorf("it took %s", fastest)
	}
}
