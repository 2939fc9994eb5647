package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// longEnough is how long what has to happen may take on a machine that does a lot beside.
const longEnough = 100 * time.Second

// person is somebody with a key of a bastion's at a terminal elsewhere: a shell in tmux, from which they
// get to the desk by a real ssh and a real sshd, as the README says.
type person struct {
	*screen
	b    *bastion
	name string
	home string
	line string // that they typed first
}

// story is a desk on a bastion as the README describes it, which some people share.
func story(t *testing.T, people ...string) (*desk, *bastion) {
	t.Helper()
	d := newDesk(t)
	d.team(people...)
	if err := os.WriteFile(d.config(), []byte("allowed_signers: "+filepath.Join(d.dir, "allowed_signers")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return d, d.bastion(people...)
}

// bastion is one on which the program runs, and then writes down in what state it left its terminal.
func (d *desk) bastion(people ...string) *bastion {
	d.t.Helper()
	left := filepath.Join(d.dir, "left")
	b := d.forcedBastion(d.bin+"; code=$?; stty -a >> "+left+"; exit $code", people...)
	b.left = left
	d.t.Cleanup(func() { b.cut(); d.endAll() }) // a response outlives its terminal
	return b
}

// person sits down somebody at a terminal of 80 by 24.
func (d *desk) person(b *bastion, name string, env ...string) *person {
	d.t.Helper()
	home, err := os.MkdirTemp(d.dir, name+"-")
	if err != nil {
		d.t.Fatal(err)
	}
	ssh := fmt.Sprintf("#!/bin/sh\n%[1]s -F %[2]s -i %[3]s \"$@\"\ncode=$?\nstty -a > %[4]s/stty\necho $code > %[4]s/part\nmv %[4]s/part %[4]s/code\n",
		needsProgram(d.t, "ssh"), b.client, filepath.Join(d.dir, name), home)
	prompt := "PS1='" + name + "$ '\n"
	for file, text := range map[string]string{"ssh": ssh, "prompt": prompt} {
		if err := os.WriteFile(filepath.Join(home, file), []byte(text), 0o700); err != nil {
			d.t.Fatal(err)
		}
	}
	p := &person{b: b, name: name, home: home, screen: &screen{
		t: d.t, tmux: needsProgram(d.t, "tmux"), code: filepath.Join(home, "code"), banner: "┃ DRILL ┃ DRILL-", most: 2 * longEnough,
		env: append(env, "PATH="+home+":"+os.Getenv("PATH"), "HOME="+home, "ENV="+filepath.Join(home, "prompt"), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "TMUX_TMPDIR="+home),
	}}
	p.run("new-session", "-d", "-x", "80", "-y", "24", "-c", home, "exec sh -i", ";", "pipe-pane", "exec cat > "+filepath.Join(home, "sent"))
	d.t.Cleanup(func() {
		if text, err := p.command("capture-pane", "-p").Output(); d.t.Failed() && err == nil {
			d.t.Logf("%s sees at the end:\n%s", name, text)
		}
		_ = p.command("kill-server").Run()
	})
	p.sees(name + "$")
	return p
}

// types types a command line.
func (p *person) types(line string) {
	p.t.Helper()
	_ = os.Remove(p.code)
	p.line = cmp.Or(p.line, line)
	_, _ = fmt.Fprintf(p, "%s\r", line)
}

// Write types text as it is.
func (p *person) Write(text []byte) (int, error) {
	p.run("send-keys", "-l", string(text))
	return len(text), nil
}

// sees waits until all of some texts are on the screen at once.
func (p *person) sees(all ...string) (text string) {
	p.t.Helper()
	missing := func(want string) bool { return !strings.Contains(text, want) }
	over := time.Now().Add(longEnough)
	for text = p.unbroken(); slices.ContainsFunc(all, missing); text = p.unbroken() {
		if time.Now().After(over) {
			p.t.Fatalf("%s does not see all of %q\n%s", p.name, all, text)
		}
		<-time.After(20 * time.Millisecond)
	}
	return text
}

// press presses a key once the screen shows what it shows from when on that counts.
func (p *person) press(key, once string) {
	p.t.Helper()
	p.sees(once)
	p.run("send-keys", key)
}

// unbroken is what is on the screen, with each line whole that is longer than a row.
func (p *person) unbroken() string {
	p.t.Helper()
	return p.run("capture-pane", "-p", "-J")
}

// sent is every byte that the terminal was sent.
func (p *person) sent() []byte {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.home, "sent"))
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// coloured finds a colour that the terminal is told to show, of 16, 256 or all.
var coloured = regexp.MustCompile(`\x1b\[(?:[0-9;:]*[;:])?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:[;:][0-9;:]*)?m`)

// stops ends the response before its end, and is asked before that.
func (p *person) stops() {
	p.t.Helper()
	p.press("q", "? help")
	p.sees("Stop the response and leave?")
	p.press("y", "y yes, stop and leave")
	p.isBack(incident.ExitInterrupted)
}

// isBack waits until ssh has ended, and looks at what is left behind: the exit code, the screen as it was
// before, its cursor, and a terminal on both ends that shows what is typed and takes lines.
func (p *person) isBack(code int) {
	p.t.Helper()
	p.exits(code)
	const state = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag} #{keypad_cursor_flag}"
	eventually(p.t, longEnough, "the main screen with its cursor, and the shell", func() bool {
		rows := strings.Split(strings.TrimRight(p.text(), "\n"), "\n")
		return p.run("display-message", "-p", state) == "0 1 0 0 0\n" && rows[len(rows)-1] == p.name+"$"
	})
	if text := p.run("capture-pane", "-p", "-J", "-S", "-"); !strings.Contains(text, p.name+"$ "+p.line) {
		p.t.Errorf("the screen is not as it was before %q\n%s", p.line, text)
	}
	if sent := p.sent(); bytes.LastIndex(sent, []byte("\x1b[?2004h")) > bytes.LastIndex(sent, []byte("\x1b[?2004l")) {
		p.t.Error("the terminal still marks what is pasted")
	}
	sane(p.t, filepath.Join(p.home, "stty"))
	if p.b.left != "" {
		sane(p.t, p.b.left)
	}
}

// sane complains unless stty said of each terminal that it shows what is typed, and takes lines.
func sane(t *testing.T, file string) {
	t.Helper()
	says, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	modes := strings.Fields(strings.ReplaceAll(string(says), ";", " "))
	for _, mode := range []string{"icanon", "echo", "isig", "icrnl", "opost"} {
		if !slices.Contains(modes, mode) || slices.Contains(modes, "-"+mode) {
			t.Errorf("a terminal is left without %s: %s", mode, says)
		}
	}
}

// commands are those that people gave, oldest first.
func (d *desk) commands() (all []incident.Command) {
	d.t.Helper()
	for e, err := range journal.Read(d.folder()) {
		if err != nil {
			d.t.Fatal(err)
		}
		var c incident.Command
		if e.Type == incident.TypeCommand && e.Decode(&c) == nil {
			all = append(all, c)
		}
	}
	return all
}

// verified checks the record as clawback verify does, and that nothing of the world is left behind.
func (d *desk) verified() {
	d.t.Helper()
	r := d.run(d.command("verify"))
	r.wants(d.t, 0)
	if left, _ := filepath.Glob(filepath.Join(d.dir, "tmp", "*")); len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

// keyring is an agent of ssh that holds somebody's key, as the environment names it.
func (d *desk) keyring(name string) string {
	d.t.Helper()
	socket := filepath.Join(d.dir, name+".agent")
	daemon := exec.Command(needsProgram(d.t, "ssh-agent"), "-D", "-a", socket)
	if err := daemon.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	eventually(d.t, longEnough, "the agent", func() bool { _, err := os.Stat(socket); return err == nil })
	add := exec.Command("ssh-add", filepath.Join(d.dir, name))
	add.Env = append(slices.Clone(d.env), "SSH_AUTH_SOCK="+socket)
	if code, text := said(add); code != 0 {
		d.t.Fatal(text)
	}
	return "SSH_AUTH_SOCK=" + socket
}
