package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"clawback/forensics/incident"
)

// atHome is clawback alone on a terminal.
func (d *desk) atHome(t *testing.T) (says func(text string), types func(text string), ends func(code int)) {
	t.Helper()
	cmd, keys, output := d.onTerminal()
	seen := 0
	says = func(text string) {
		t.Helper()
		eventually(t, 20*time.Second, text, func() bool { return bytes.Contains(output.bytes()[seen:], []byte(text)) })
		if bytes.ContainsRune(output.bytes(), '\x1b') && !strings.Contains(text, "┃") {
			t.Errorf("an escape in %q", output.bytes())
		}
	}
	types = func(text string) {
		seen = len(output.bytes())
		_, _ = io.WriteString(keys, text+"\n")
	}
	return says, types, func(code int) { t.Helper(); d.endsWith(cmd, code) }
}

// Where lines are appended, a person is told what can be begun and what is missing, and what is chosen is
// the command line that it shows. Without a terminal it is the help.
func TestHome(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.env = append(d.env, "ACCESSIBLE=1")
	says, types, ends := d.atHome(t)
	says("enter alone is s, q leaves: ")
	types("p")
	says("clawback help config shows what it can hold")
	says("nobody has drilled here")
	types("x")
	says(`There is no "x".`)
	types("s")
	says("1  this machine")
	types("")
	says("▸ s  Something is wrong")
	types("s")
	says("as [USER@]HOST: ")
	types("1")
	says("suspected-compromise: Freezes the agent")
	says("enter alone is 1: ")
	types("9")
	says("nothing was begun")
	types("s")
	says("as [USER@]HOST: ")
	types("1")
	says("enter alone is 1: ")
	types("1")
	says("How bad")
	types("4")
	says("nothing was begun")
	says("q leaves: ")
	types("q")
	ends(0)

	client, config := filepath.Join(d.dir, "ssh_config"), filepath.Join(d.dir, "config", "clawback", "clawback.yaml")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{client: "Host web-1\nProxyCommand false\n", config: "ssh_config: " + client + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	says, types, ends = d.atHome(t)
	says("q leaves: ")
	types("")
	says("as [USER@]HOST: ")
	types("web-1")
	says("No response to it is on record at this desk.")
	says("enter alone is 1: ")
	types("")
	says("How bad")
	types("2")
	says("It is declared by tester, by the account alone")
	says("clawback respond --host web-1 --severity 2\r\n")
	ends(incident.ExitNothing)

	if got := d.run(d.command()); got.code != 0 || !bytes.Contains(got.stdout, []byte("Usage:")) {
		t.Errorf("without a terminal: exit %d, %s", got.code, got.stdout)
	}
}

// Over ssh no machine can be responded to but those of the configuration.
func TestHomeOverSSH(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.env = append(d.env, "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22", "CLAWBACK_CONFIG="+d.config(), "TERM=dumb")
	if err := os.WriteFile(d.config(), []byte("hosts: [root@web-1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says, types, ends := d.atHome(t)
	says("q leaves: ")
	for _, other := range []string{"root@web-2", "2", "0", "-1", "this machine"} {
		types("s")
		says("Which machine, by number: ")
		types(other)
		says("that is none of them")
		says("q leaves: ")
	}
	types("s")
	says("Which machine, by number: ")
	types("1")
	says("by number; enter alone is 1: ")
	types("2")
	says("How bad")
	types("")
	says("over ssh it is the guided response alone")
	says("q leaves: ")
	types("q")
	ends(0)
}

// What is marked leads into a response that runs, and a drill that is chosen is a drill.
func TestTerminalFromHome(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.env = append(d.env, "ACCESSIBLE=1")
	says, types, _ := d.atHome(t)
	says("q leaves: ")
	types("d")
	says("clawback drill\r\n")
	says("DRILL. Incident DRILL-")
	says("Choice: ")
	id := filepath.Base(d.folder())
	says2, types2, _ := d.atHome(t)
	says2("▸ a  Attach to " + id)
	says2("which tester runs at ")
	says2("w  Watch it")
	says2("q leaves: ")
	types2("")
	says2("clawback attach " + id)
	says2("DRILL. Incident " + id)
	if s := d.recorded(); s.Declared.Mode != incident.Drill {
		t.Errorf("it is %s", s.Declared.Mode)
	}
}

// leavesHome presses only what is marked in Home, until a console is on the screen.
func (s *screen) leavesHome() (pressed []string) {
	s.t.Helper()
	for range 20 {
		var text string
		var keys []string
		eventually(s.t, 30*time.Second, "a key that leads on, after "+strings.Join(pressed, " "), func() bool {
			text = strings.TrimRight(s.text(), "\n ")
			keys = nil
			if strings.HasPrefix(text, "clawback  you: ") {
				keys, _ = next(text[strings.LastIndexByte(text, '\n')+1:])
			}
			return keys != nil || strings.HasPrefix(text, "┃") || s.ended()
		})
		if keys == nil {
			return pressed
		}
		pressed = append(pressed, keys[0])
		s.run(append([]string{"send-keys"}, keys...)...)
		eventually(s.t, 30*time.Second, "an answer to "+keys[0], func() bool { return strings.TrimRight(s.text(), "\n ") != text || s.ended() })
	}
	s.t.Fatalf("it leads nowhere: %q\n%s", pressed, s.text())
	return nil
}

// From clawback alone to the report of a drill: d, and from then on nothing but the key that is marked.
func TestTerminalHomeDrill(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.env = append(d.env, paceEnv+"="+drillSpeed)
	s := d.screen()
	eventually(t, 30*time.Second, "Home", func() bool { return strings.Contains(s.text(), "▸ enter  start a response") })
	for _, want := range []string{"clawback  you: tester", "desk: ", "Drill: nothing real is touched", "Readiness: "} {
		if text := s.text(); !strings.Contains(text, want) {
			t.Errorf("Home has no %q\n%s", want, text)
		}
	}
	s.run("send-keys", "-l", "d")
	eventually(t, 30*time.Second, "the end of Home", func() bool { return !strings.HasPrefix(s.text(), "clawback  you: ") })
	if pressed := s.leavesHome(); len(pressed) > 0 {
		t.Errorf("pressed in Home: %q", pressed)
	}
	text, pressed := s.follow(leads)
	for _, want := range []string{"20 of 20 dead", "# DRILL: post-incident report", "report.md  DRILL: post-incident report", "rows 1 to"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not show %q after %v\n%s", want, pressed, text)
		}
	}
	s.run("send-keys", "q")
	s.exits(0)
	eventually(t, 10*time.Second, "the command line that it was, and the last word", func() bool {
		text := s.text()
		return strings.Contains(text, "clawback drill\n") && strings.Contains(text, "exit 0. Report: ")
	})
}

// The marked key alone leads from Home through a declaration to the command line that it showed. Nobody
// is contacted before.
func TestTerminalHomeDeclares(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	asked := filepath.Join(d.dir, "asked")
	client := filepath.Join(d.dir, "ssh_config")
	for path, text := range map[string]string{client: "Host web-1\nProxyCommand touch " + asked + "; false\n", d.config(): "hosts: [web-1]\nssh_config: " + client + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.env = append(d.env, "CLAWBACK_CONFIG="+d.config())
	s := d.screen()
	eventually(t, 30*time.Second, "Home", func() bool { return strings.Contains(s.text(), "▸ enter  start a response") })
	s.run("send-keys", "Enter")
	for _, row := range []string{"Machine", "Playbook", "How bad"} {
		eventually(t, 30*time.Second, row, func() bool { return strings.Contains(s.text(), "▸ "+row) })
		for _, want := range []string{"┃ REAL ┃ Declare", "You       tester, by the account alone", "$ clawback respond --host web-1\n"} {
			if text := s.text(); !strings.Contains(text, want) {
				t.Errorf("%s: it has no %q\n%s", row, want, text)
			}
		}
		s.run("send-keys", "Enter")
	}
	eventually(t, 30*time.Second, "start counts", func() bool { return strings.Contains(s.text(), "▸ enter  start") })
	if _, err := os.Stat(asked); err == nil {
		t.Error("the machine was contacted before anybody went on")
	}
	s.run("send-keys", "Enter")
	s.exits(incident.ExitNothing)
	text := s.text()
	if _, err := os.Stat(asked); err != nil || !strings.Contains(text, "clawback respond --host web-1\n") {
		t.Errorf("it was not carried out: %v\n%s", err, text)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "state")); err == nil {
		t.Error("something was begun")
	}
}

// A signal ends Home, and so does a terminal that is hung up, with the screen given back and nothing begun.
func TestTerminalHomeSignals(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{
		syscall.SIGTERM: incident.ExitTerminated, syscall.SIGINT: incident.ExitInterrupted, syscall.SIGHUP: incident.ExitNothing,
	} {
		d := newDesk(t)
		cmd, _, output := d.onTerminal()
		eventually(t, 30*time.Second, "Home", func() bool { return bytes.Contains(output.bytes(), []byte("Something is wrong")) })
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		d.endsWith(cmd, want)
		eventually(t, 5*time.Second, "the screen is given back", func() bool { return bytes.Contains(output.bytes(), []byte("\x1b[?1049l")) })
		if _, err := os.Stat(filepath.Join(d.dir, "state")); err == nil {
			t.Error("something was begun")
		}
	}
	d := newDesk(t)
	cmd, keys, output := d.onTerminal()
	eventually(t, 30*time.Second, "Home", func() bool { return bytes.Contains(output.bytes(), []byte("Something is wrong")) })
	_, _ = io.WriteString(keys, "\x03")
	d.endsWith(cmd, 0)
}

// A terminal that does not say how large it is gets lines.
func TestTerminalHomeWithoutSize(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd := d.command()
	cmd.Env = append([]string{"TERM=xterm-256color"}, d.env...)
	keys, err := pty.StartWithSize(cmd, &pty.Winsize{})
	if err != nil {
		t.Fatal(err)
	}
	output := new(lockedBuffer)
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(output, keys) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = keys.Close(); <-read })
	eventually(t, 30*time.Second, "the list", func() bool { return bytes.Contains(output.bytes(), []byte("q leaves: ")) })
	_, _ = io.WriteString(keys, "q\n")
	d.endsWith(cmd, 0)
	if bytes.ContainsRune(output.bytes(), '\x1b') {
		t.Errorf("an escape in %q", output.bytes())
	}
}

// Home can be put aside for a moment, whatever runs: it holds nothing.
func TestTerminalHomeSuspend(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	program := d.bin
	d.bin = needsProgram(t, "bash")
	d.env = append(d.env, "PS1=ready> ", "HISTFILE=")
	_, master, output := d.onTerminal("--norc", "--noprofile", "-i")
	says := func(n int, text string) {
		t.Helper()
		eventually(t, 30*time.Second, fmt.Sprintf("%q, %d times", text, n), func() bool { return bytes.Count(output.bytes(), []byte(text)) >= n })
	}
	line := func(text string) { t.Helper(); _, _ = io.WriteString(master, text) }
	says(1, "ready> ")
	line(program + "\r")
	says(1, "Something is wrong")
	line("\x1a")
	says(1, "\x1b[?1049l")
	says(1, "Stopped")
	line("echo is $((6*7))\r")
	says(1, "is 42") // the terminal is the shell's again
	line("fg\r")
	says(2, "Something is wrong")
	line("p")
	says(1, "clawback help config shows what it can hold") // and it hears keys, without enter
	line("q")
	says(2, "\x1b[?1049l")
	line("echo code $?\r")
	says(1, "code 0")
}
