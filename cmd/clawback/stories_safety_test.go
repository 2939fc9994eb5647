package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// asksToRevoke follows the keys until the screen wants it typed that all is revoked, and returns what
// it wants.
func (s *screen) asksToRevoke() string {
	s.t.Helper()
	text, _ := s.follow(func(text, _ string, _ []string) bool {
		want := wanted.FindStringSubmatch(text)
		return want != nil && strings.HasPrefix(want[1], "revoke ") && strings.Contains(text, "once it is typed")
	})
	return wanted.FindStringSubmatch(text)[1]
}

// terminate ends the program in the screen, and waits for it.
func (s *screen) terminate() {
	s.t.Helper()
	if err := syscall.Kill(s.pid(), syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	s.exits(incident.ExitTerminated)
}

// A clipboard that holds the very text that a dialog wants, with its enter, answers nothing, whether
// the terminal says that it is a paste or not. Who types it goes on.
func TestTerminalPaste(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.screen("drill", "--speed", drillSpeed, "--seed", "9")
	want := s.asksToRevoke()
	s.run("set-buffer", "--", want+"\n")
	for _, paste := range [][]string{{"paste-buffer", "-p"}, {"paste-buffer"}} { // marked, and not
		before := s.text()
		s.run(paste...)
		eventually(t, 10*time.Second, "the paste is refused", func() bool {
			text := s.text()
			return text != before && (strings.Contains(text, "a paste approves nothing") || strings.Contains(text, "too fast to be read"))
		})
		if answered := d.recorded().Answered; strings.Contains(fmt.Sprint(answered), want) {
			t.Fatalf("%v answered: %+v", paste, answered)
		}
		s.run("send-keys", "C-u")
		eventually(t, 10*time.Second, "the field is empty", func() bool { in := typed.FindStringSubmatch(s.text()); return in != nil && in[1] == "" })
	}
	s.run("send-keys", "-l", want)
	s.press("Enter", "▸ enter")
	eventually(t, 30*time.Second, "who types it goes on", func() bool { return strings.Contains(fmt.Sprint(d.recorded().Answered), want) })
	s.terminate()
}

// A terminal that changes its size all the time while the credentials are revoked neither ends the
// response nor breaks the screen, and keys count afterwards.
func TestTerminalResizeStorm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.screen("drill", "--speed", drillSpeed, "--seed", "9")
	want := s.asksToRevoke()
	s.run("send-keys", "-l", want)
	eventually(t, 10*time.Second, "it is typed", func() bool { in := typed.FindStringSubmatch(s.text()); return in != nil && in[1] == want })
	for n := range 60 {
		if n%20 == 5 {
			s.run("send-keys", "Enter")
		}
		s.run("resize-window", "-x", fmt.Sprint(20+n*47%281), "-y", fmt.Sprint(5+n*31%76))
	}
	s.run("resize-window", "-x", "80", "-y", "24")
	eventually(t, 30*time.Second, "the whole screen again", func() bool {
		rows := strings.Split(s.text(), "\n")
		return strings.HasPrefix(rows[0], s.banner) && strings.Count(s.text(), "┃ DRILL ┃") == 1 && len(rows) >= 24 && !strings.Contains(s.text(), "The console needs")
	})
	if s.ended() || d.recorded().Exit != nil {
		t.Fatalf("it ended\n%s", s.text())
	}
	_, _ = s.follow(func(text, _ string, _ []string) bool {
		return strings.Contains(fmt.Sprint(d.recorded().Answered), want)
	})
	eventually(t, 60*time.Second, "a credential dies", func() bool { return d.recorded().Tally().Dead > 0 })
	s.terminate()
}

// randomInput is what a keyboard sends that is hit at random, ctrl+c and ctrl+z left out.
func randomInput(seed uint64, n int) [][]byte {
	rnd := rand.New(rand.NewPCG(seed, 2))
	special := []string{"\r", "\r", "\x1b", "\x1b[A", "\x1b[B", "\t", "\x7f", "\x1b[200~revoke 20\r\x1b[201~", "漢", "y", "y"}
	var all [][]byte
	for range n {
		if rnd.IntN(3) == 0 {
			all = append(all, []byte(special[rnd.IntN(len(special))]))
		} else {
			all = append(all, []byte{byte(' ' + rnd.IntN(95))})
		}
	}
	return all
}

// Keys at random on a real terminal: whatever comes of them, the terminal is given back.
func TestTerminalRandomKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd, master, output := d.onTerminal("drill", "--speed", drillSpeed, "--seed", "3")
	eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(output.bytes(), []byte("waiting for you")) })
	pace := time.NewTicker(3 * time.Millisecond) // of the hands
	defer pace.Stop()
	for _, keys := range randomInput(7, 300) {
		<-pace.C
		if _, err := master.Write(keys); err != nil {
			break
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	eventually(t, 10*time.Second, "the screen is given back", func() bool {
		return bytes.Count(output.bytes(), []byte("\x1b[?1049h")) == bytes.Count(output.bytes(), []byte("\x1b[?1049l"))
	})
	if out := output.bytes(); bytes.LastIndex(out, []byte("\x1b[?25h")) < bytes.LastIndex(out, []byte("\x1b[?25l")) {
		t.Error("the cursor stays hidden")
	}
	for _, a := range d.recorded().Answered {
		if a.Kind == incident.Typed && a.Answer.Choice == incident.Yes {
			t.Errorf("%+v", a)
		}
	}
	if stopped := d.recorded().Stopped; stopped != nil {
		t.Errorf("the agent was killed: %+v", stopped)
	}
}
