package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine/signers"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// folder is the one incident of a desk.
func (d *desk) folder() string {
	d.t.Helper()
	all, _ := filepath.Glob(filepath.Join(d.dir, "state", "clawback", "incidents", "[A-Z]*-*"))
	if len(all) != 1 {
		d.t.Fatalf("incidents: %v", all)
	}
	return all[0]
}

// recorded folds the record of the desk's one incident as far as it goes now.
func (d *desk) recorded() incident.State {
	d.t.Helper()
	s, err := incident.FoldAll(journal.Read(d.folder()))
	if err != nil && s.Entries == 0 {
		d.t.Fatal(err)
	}
	return s
}

// lostTerminal waits until the record says that the terminal is lost, and checks that it says how
// to take the response back, wherever somebody may look.
func (d *desk) lostTerminal(pid int) {
	d.t.Helper()
	d.t.Cleanup(func() { // a test that fails must not leave behind what nothing but this ends
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.HasPrefix(string(line), d.bin) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	eventually(d.t, 30*time.Second, "the loss of the terminal on record", func() bool { return len(d.recorded().Terminals) > 0 })
	id := filepath.Base(d.folder())
	lost := d.recorded().Terminals[0]
	log := d.consoleLog()
	for _, want := range []string{"clawback attach " + id, "clawback resume " + id} {
		if lost.State != "lost" || !strings.Contains(lost.Hint, want) || !strings.Contains(log, want) {
			d.t.Errorf("%q is missing from the record, %+v, or from console.log, %q", want, lost, log)
		}
	}
	if stateOf(pid) == "" {
		d.t.Fatal("the process ended with its terminal")
	}
}

func (d *desk) consoleLog() (text string) {
	eventually(d.t, 10*time.Second, "console.log", func() bool {
		b, err := os.ReadFile(filepath.Join(d.folder(), consoleLog))
		text = string(b)
		return err == nil && strings.HasSuffix(text, "\n")
	})
	return text
}

// holdsUp lets the revocation at Slack wait for its answer, until answer is called.
func (d *desk) holdsUp() (revoking chan struct{}, answer func()) {
	revoking, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.city.fakes["slack"].Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.HasSuffix(r.URL.Path, "auth.revoke") {
			once.Do(func() { close(revoking) })
			<-held
		}
		return fake.Fault{}
	})
	answer = sync.OnceFunc(func() { close(held) })
	d.t.Cleanup(answer)
	return revoking, answer
}

// leads follows the keys of a screen until its last page.
func leads(_, leads string, _ []string) bool { return strings.HasPrefix(leads, "leave") }

// A terminal that is lost ends nothing: what was allowed before goes on, the process waits at its
// next question, and a second terminal takes it back and leads it to the report.
func TestTerminalLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.screen("drill", "--speed", drillSpeed)
	s.follow(func(_, _ string, pressed []string) bool {
		return slices.Contains(pressed, "revoke 20") && d.recorded().Decisions["revoke"].Choice == incident.Yes
	})
	s.run("send-keys", "C-z")
	eventually(t, 10*time.Second, "the reason why it does not stand still", func() bool { return strings.Contains(s.text(), "ctrl+z suspend: not now") })
	pid := s.pid()
	s.run("kill-server")
	d.lostTerminal(pid)
	eventually(t, 100*time.Second, "it goes on by itself, to what needs somebody", func() bool {
		state := d.recorded()
		return state.Count(credential.Dead) == 18 && state.AtWork() == ""
	})
	if state := d.recorded(); state.Interrupted != "" || state.Exit != nil || stateOf(pid) == "" {
		t.Fatalf("it did not wait: interrupted %q, exit %v", state.Interrupted, state.Exit)
	}

	again := d.screen("attach")
	text, _ := again.follow(leads)
	for _, want := range []string{"attached", "20 of 20 dead", "# DRILL: post-incident report"} {
		if !strings.Contains(text, want) {
			t.Errorf("the attached console does not show %q\n%s", want, text)
		}
	}
	again.run("send-keys", "q")
	again.exits(0)
	eventually(t, 60*time.Second, "the end of the process", func() bool { return stateOf(pid) == "" })
	verified := d.run(d.command("verify"))
	verified.wants(t, 0)
	state := d.recorded()
	if state.Exit == nil || *state.Exit != 0 || len(state.Terminals) < 2 || state.Terminals[1].State != "attached" || state.Terminals[1].Signed == nil {
		t.Errorf("the record ends with %v, terminals %+v", state.Exit, state.Terminals)
	}
}

// The connection is cut in the middle of a revocation: its answer is recorded all the same, and
// the run goes on to its next question.
func TestTerminalLostInAMutation(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("slack.bot")
	revoking, answer := d.holdsUp()
	s := d.screen(append([]string{"respond", "--root", d.root}, d.city.args...)...)
	s.banner = "┃ REAL ┃ INC-"
	s.follow(func(_, _ string, pressed []string) bool {
		return slices.Contains(pressed, "revoke 1") && pressed[len(pressed)-1] == "Enter"
	})
	<-revoking
	eventually(t, 20*time.Second, "the revocation as the reason, once the screen shows that it was sent", func() bool {
		s.run("send-keys", "C-z")
		return strings.Contains(s.text(), "not now, the revocation of slack")
	})
	pid := s.pid()
	s.run("kill-server")
	d.lostTerminal(pid)
	if d.recorded().InFlight() == "" {
		t.Error("nothing was in flight: this shows nothing")
	}
	answer()
	eventually(t, 60*time.Second, "the provider's answer and the begin of the proof", func() bool {
		state := d.recorded()
		return len(state.Credentials) == 1 && state.Credentials[0].Receipt.Answer != "" && state.Credentials[0].Probes > 0
	})
	if d.city.fakes["slack"].Alive(held[0]) || stateOf(pid) == "" {
		t.Error("the revocation was not finished, or the process ended")
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "the end", func() bool { return stateOf(pid) == "" })
	if state := d.recorded(); state.Interrupted != "terminated" || state.Exit == nil || *state.Exit != incident.ExitTerminated {
		t.Errorf("interrupted %q, exit %v", state.Interrupted, state.Exit)
	}
}

// A process that lost its terminal hears a second SIGHUP without harm, and SIGTERM as ever.
func TestTerminalHangUpThenTerminated(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd, master, output := d.onTerminal("drill", "--speed", drillSpeed)
	eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(output.bytes(), []byte("waiting for you")) })
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.lostTerminal(cmd.Process.Pid)
	eventually(t, 10*time.Second, "the screen is given back, with the way back", func() bool {
		_, after, ok := strings.Cut(string(output.bytes()), "\x1b[?1049l")
		return ok && strings.Contains(after, "hint: clawback attach DRILL-")
	})
	_, _ = io.WriteString(master, "\x1a") // a terminal that is still there stops nobody
	eventually(t, 10*time.Second, "the reason", func() bool { return bytes.Contains(output.bytes(), []byte("ctrl+z: not suspended")) })
	if state := stateOf(cmd.Process.Pid); state == "T" || state == "" {
		t.Errorf("its state is %q", state)
	}
	_ = master.Close() // now every write is an error, and the system sends another SIGHUP
	for range 3 {
		_ = cmd.Process.Signal(syscall.SIGHUP)
	}
	<-time.After(200 * time.Millisecond) // nothing must happen
	if state := d.recorded(); stateOf(cmd.Process.Pid) == "" || len(state.Terminals) != 1 || state.Exit != nil {
		t.Fatalf("terminals %+v, exit %v", state.Terminals, state.Exit)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	d.endsWith(cmd, incident.ExitTerminated)
	if state := d.recorded(); state.Interrupted != "terminated" || *state.Exit != incident.ExitTerminated {
		t.Errorf("interrupted %q, exit %v", state.Interrupted, state.Exit)
	}
}

// A terminal that goes away without a word to the process, since it is not the one that controls
// it, is noticed as well.
func TestTerminalClosedSilently(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	master, terminal, err := pty.Open()
	if err == nil {
		err = pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := d.command("drill", "--speed", drillSpeed)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.SysProcAttr = terminal, terminal, &syscall.SysProcAttr{Setsid: true}
	run := d.start(cmd)
	_ = terminal.Close()
	shown := new(lockedBuffer)
	go func() { _, _ = io.Copy(shown, master) }() // it ends with the terminal
	eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(shown.bytes(), []byte("waiting for you")) })
	_ = master.Close()
	d.lostTerminal(cmd.Process.Pid)
	eventually(t, 10*time.Second, "it says so where it still can", func() bool {
		return bytes.Contains(run.stderr.bytes(), []byte("the terminal is gone; the response goes on"))
	})
	_ = cmd.Process.Signal(syscall.SIGTERM)
	d.endsWith(cmd, incident.ExitTerminated)
}

// Two consoles are attached: the first answer counts, and the other person is told.
func TestTerminalTwoAttached(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, _, output := d.onTerminal("drill", "--speed", drillSpeed)
	eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(output.bytes(), []byte("waiting for you")) })
	one, two := d.screen("attach"), d.screen("attach")
	for _, s := range []*screen{one, two} {
		eventually(t, 30*time.Second, "the question", func() bool { return strings.Contains(s.text(), "? Freeze the agent") })
		s.run("send-keys", "Enter")
		eventually(t, 30*time.Second, "the question is put", func() bool { return strings.Contains(s.text(), "y yes, go on") || strings.Contains(s.text(), "▸ y") })
	}
	one.press("y", "▸ y")
	eventually(t, 30*time.Second, "the other is told", func() bool { return strings.Contains(two.text(), "was answered by tester") })
	two.press("q", "? help")
	two.exits(0)
	eventually(t, 10*time.Second, "how to come back", func() bool { return strings.Contains(two.text(), "goes on without you. clawback attach") })

	one.press("Q", "? help")
	eventually(t, 10*time.Second, "it asks", func() bool { return strings.Contains(one.text(), "Stop the response?") })
	one.press("y", "y yes, stop it")
	eventually(t, 60*time.Second, "the end", func() bool { return strings.Contains(one.text(), "ended, exit 130") })
	one.press("q", "? help")
	one.exits(incident.ExitInterrupted)
	state := d.recorded()
	if state.Decisions["freeze"].Choice != incident.Yes || state.Interrupted != "interrupt" {
		t.Errorf("freeze: %+v, interrupted %q", state.Decisions["freeze"], state.Interrupted)
	}
}

// ctrl+z on a terminal with a shell: the console gives the terminal back, the process stands still
// while nothing is under way, and fg brings it back whole.
func TestTerminalSuspend(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	program := d.bin
	d.bin = needsProgram(t, "bash")
	d.env = append(d.env, "PS1=ready> ", "HISTFILE=")
	cmd, master, output := d.onTerminal("--norc", "--noprofile", "-i")
	says := func(n int, text string) {
		t.Helper()
		eventually(t, 30*time.Second, fmt.Sprintf("%q, %d times", text, n), func() bool { return bytes.Count(output.bytes(), []byte(text)) >= n })
	}
	line := func(text string) { t.Helper(); _, _ = io.WriteString(master, text) }
	says(1, "ready> ")
	line(program + " drill --speed " + drillSpeed + "\r")
	says(1, "waiting for you")
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	var pid int
	if _, err := fmt.Sscan(string(children), &pid); err != nil {
		t.Fatal(err)
	}
	line("\x1a")
	says(1, "\x1b[?1049l")
	says(1, "Stopped")
	eventually(t, 10*time.Second, "it stands still", func() bool { return stateOf(pid) == "T" })
	line("echo is $((6*7))\r")
	says(1, "is 42") // the terminal is the shell's again
	before := len(output.bytes())
	line("fg\r")
	says(2, "\x1b[?1049h")
	eventually(t, 30*time.Second, "the whole screen again", func() bool {
		again := output.bytes()[before:]
		return bytes.Contains(again, []byte("┃ DRILL ┃")) && bytes.Contains(again, []byte("to the response"))
	})
	line("?")
	says(1, "Keys: Plan") // and it hears keys, without enter
	if state := d.recorded(); state.Exit != nil || len(state.Terminals) != 0 {
		t.Errorf("exit %v, terminals %+v", state.Exit, state.Terminals)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "the end", func() bool { return stateOf(pid) == "" })
	line("echo code $?\r")
	says(1, "code 143")
}

// The kill switch asks nobody, so it never stands still.
func TestRealNotSuspended(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	revoking, answer := d.holdsUp()
	run := d.start(d.command(d.killArgs("--deadline", shortDeadline)...))
	<-revoking
	eventually(t, 60*time.Second, "nothing but the revocation is in flight: a change of the host would be named first", func() bool {
		s := d.recorded()
		stop := s.Steps["stop"]
		return stop != nil && stop.Status != incident.Waiting && strings.HasPrefix(s.InFlight(), "the revocation of slack")
	})
	if err := run.cmd.Process.Signal(syscall.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the reason", func() bool {
		return bytes.Contains(run.stderr.bytes(), []byte("ctrl+z: not suspended: the revocation of slack"))
	})
	if state := stateOf(run.cmd.Process.Pid); state == "T" || state == "" {
		t.Errorf("its state is %q", state)
	}
	answer()
	r := run.wait()
	r.check(t)
}

// Who watches from elsewhere gets every entry as it stands, while the response goes on and after
// its end, and its exit code; who attaches without a terminal nothing.
func TestRealWatched(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	revoking, answer := d.holdsUp()
	run := d.start(d.command(d.killArgs("--deadline", shortDeadline)...))
	<-revoking
	watching := d.start(d.command("watch", "--json"))
	prints := d.start(d.command("watch", filepath.Base(d.folder())))
	eventually(t, 20*time.Second, "what was there before, and what is in flight", func() bool {
		return bytes.Contains(watching.stdout.bytes(), []byte(`"credential.intent"`)) && bytes.Contains(prints.stdout.bytes(), []byte(" requested "))
	})
	refused := d.run(d.command("attach"))
	refused.wants(t, incident.ExitUsage, "this needs a terminal")
	answer()
	r := run.wait()
	r.check(t)
	live, text := watching.wait(), prints.wait()
	live.wants(t, r.code)
	text.wants(t, r.code)
	if !bytes.Equal(live.stdout, r.stdout) {
		t.Errorf("who watched saw something else: %d bytes, the response printed %d", len(live.stdout), len(r.stdout))
	}
	if !bytes.Contains(text.stdout, []byte(fmt.Sprintf("exit %d", r.code))) {
		t.Errorf("the text does not end with the verdict\n%s", text.stdout)
	}
	late := d.run(d.command("watch", "--json"))
	late.wants(t, r.code)
	if !bytes.Equal(late.stdout, r.stdout) {
		t.Error("who came late saw something else")
	}
}

// Who watches a process that is killed is told, and how to go on.
func TestRealWatchedToItsDeath(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	revoking, _ := d.holdsUp()
	run := d.start(d.command(d.killArgs("--deadline", shortDeadline)...))
	<-revoking
	watching := d.start(d.command("watch", "--json"))
	eventually(t, 20*time.Second, "an entry", func() bool { return len(watching.stdout.bytes()) > 0 })
	_ = run.cmd.Process.Kill()
	r := watching.wait()
	r.wants(t, incident.ExitPartial, "nobody runs INC-", "hint: clawback resume INC-")
	_ = run.cmd.Wait()
}

func TestPrincipal(t *testing.T) {
	for name, want := range map[string]string{"dana": "dana", "uid 1000": "uid-1000", "Dana B, on call": "Dana-B--on-call", "dana@example.com": "dana@example.com"} {
		if got := principal(name); got != want || signers.CheckName(got) != nil {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}

// The clock of a drill that is watched runs as fast as the drill.
func TestPacedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)
		dir := t.TempDir()
		j, err := journal.Create(dir, journal.Holder{}, func() time.Time { return at })
		if err == nil {
			err = errors.Join(j.Note(incident.TypeNote, incident.Note{}), j.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		p := &pacedRecord{cursor: journal.Follow(dir), speed: 20}
		if _, err := p.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := p.now().Sub(at); got != time.Minute {
			t.Errorf("after 3 s at 20 times the speed it is %s later", got)
		}
	})
}

// Without a name, it is the newest response that a process carries out; with one that nobody
// carries out, the error says what can be done instead.
func TestRunning(t *testing.T) {
	a := &app{env: environment{"XDG_STATE_HOME": t.TempDir()}}
	record := func(id string, entries ...any) *journal.Journal {
		t.Helper()
		dir := filepath.Join(a.stateDir(), id)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Create(dir, journal.Holder{}, time.Now)
		if err == nil {
			err = j.Note(incident.TypeDeclared, incident.Declared{Incident: id})
		}
		for _, e := range entries {
			err = errors.Join(err, j.Note(incident.TypeClosed, e))
		}
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	wants := func(id, dir string, says ...string) {
		t.Helper()
		got, err := a.running(id)
		text := new(bytes.Buffer)
		if err != nil {
			complain(text, err)
		}
		if got != "" && filepath.Base(got) != dir || (got == "") != (dir == "") {
			t.Errorf("%q is %q, want %q", id, got, dir)
		}
		for _, s := range says {
			if !strings.Contains(text.String(), s) || codeOf(err) != incident.ExitNoInstallation {
				t.Errorf("%q: exit %d, %q is missing: %s", id, codeOf(err), s, text)
			}
		}
	}
	wants("", "", "no incident was ever recorded")
	runs := record("INC-1")
	for _, j := range []*journal.Journal{record("INC-2"), record("INC-3", incident.Closed{Exit: 3})} {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wants("", "INC-1")
	wants("INC-1", "INC-1")
	wants("INC-2", "", "nobody runs INC-2", "hint: clawback resume INC-2")
	wants("INC-3", "", "INC-3 has ended, with exit code 3", "hint: clawback report INC-3")
	wants("INC-4", "", "no incident INC-4")
	if err := runs.Close(); err != nil {
		t.Fatal(err)
	}
	wants("", "", "hint: clawback re")
}
