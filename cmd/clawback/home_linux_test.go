package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// Without a command, a terminal is told what can be begun and what is missing, and what is chosen is
// the command line that it shows. Without a terminal it is the help.
func TestHome(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
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
	says("How bad")
	types("4")
	says("Nothing was begun.")
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
	says("How bad")
	types("2")
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
	d.env = append(d.env, "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22", "CLAWBACK_CONFIG="+d.config())
	if err := os.WriteFile(d.config(), []byte("hosts: [root@web-1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says, types, ends := d.atHome(t)
	says("q leaves: ")
	for _, other := range []string{"root@web-2", "2", "0", "-1", "this machine"} {
		types("s")
		says("Which machine, by number: ")
		types(other)
		says("That is none of them.")
		says("q leaves: ")
	}
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
	says2("w  Watch it")
	says2("q leaves: ")
	types2("")
	says2("clawback attach " + id)
	says2("DRILL. Incident " + id)
	if s := d.recorded(); s.Declared.Mode != incident.Drill {
		t.Errorf("it is %s", s.Declared.Mode)
	}
}
