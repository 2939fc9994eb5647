package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// What a person pastes into the console of a real response stands on the board and in the record,
// and its value stands nowhere: not on the terminal, not in any file of the desk.
func TestTerminalAdd(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	d.env = append(d.env, "NO_COLOR=1") // so that a row is one piece
	added := d.city.fakes["github"].Mint("github.pat")
	value := added.Secret.Reveal("value")
	cmd, terminal, output := d.onTerminal(append([]string{"respond", "--root", d.root}, d.city.args...)...)
	shows := func(from int, what string) {
		t.Helper()
		eventually(t, 30*time.Second, what, func() bool { return strings.Contains(string(output.bytes()[from:]), what) })
	}
	press := func(keys, thenShows string) {
		t.Helper()
		from := len(output.bytes())
		if _, err := terminal.WriteString(keys); err != nil {
			t.Fatal(err)
		}
		shows(from, thenShows)
	}
	const ready = "nothing is added" // once keys count
	shows(0, "waiting for you")
	press("\r", "CREDENTIALS")
	press("a", ready)
	press("\x1b[200~"+value+"\r\n\x1b[201~", " characters")
	press("\r", ready)
	press("\r", ready)
	typed := func(text string, thenShows string) {
		t.Helper()
		press(text, text[len(text)-1:]+"▏")
		eventually(t, 30*time.Second, "enter counts", func() bool {
			keys, _, _ := cutLast(string(output.bytes()), ready)
			_, keys, _ = cutLast(keys, "\n")
			return strings.Contains(keys, "▸")
		})
		press("\r", thenShows)
	}
	typed("from the wiki", ready)
	typed("revoke github.pat", "added: github.pat")
	var got *incident.Credential
	eventually(t, 30*time.Second, "the credential on record", func() bool {
		for _, c := range d.recorded().Credentials {
			if c.Kind == "github.pat" {
				got = c
			}
		}
		return got != nil
	})
	if got.Masked != added.Masked && !strings.HasSuffix(value, got.Masked[len(got.Masked)-4:]) {
		t.Errorf("it is on record as %s", got.Masked)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.endsWith(cmd, incident.ExitTerminated)
	if bytes.Contains(output.bytes(), []byte(value)) || bytes.Contains(output.bytes(), []byte(value[10:30])) {
		t.Error("the terminal shows the value")
	}
	err := filepath.WalkDir(filepath.Join(d.dir, "state"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(value)) {
			t.Errorf("%s holds the value", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if at := strings.LastIndex(s, sep); at >= 0 {
		return s[:at], s[at+len(sep):], true
	}
	return s, "", false
}
