package main

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
)

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
