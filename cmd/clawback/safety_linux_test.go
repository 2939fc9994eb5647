package main

import (
	"bytes"
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

// faultyEnv names a part of a response that panics, and the file for which it waits before: PART:FILE.
const faultyEnv = "CLAWBACK_TEST_FAULT"

func faultAt(where string) func(string) {
	at, file, _ := strings.Cut(where, ":")
	return func(part string) {
		if part != at {
			return
		}
		for {
			if _, err := os.Stat(file); err == nil {
				panic("the value quotes a secret")
			}
			<-time.After(5 * time.Millisecond)
		}
	}
}

// A fault of a part of the response never leaves the terminal broken, is on record and in the exit
// code, and does not say what the panic said. What is not the response itself takes nothing with it.
func TestTerminalFault(t *testing.T) {
	t.Parallel()
	for part, tc := range map[string]struct {
		shows string // before the fault
		after string // on the screen after it; empty where the console ends with it
		code  int
	}{
		"carry": {"reading the record", "", incident.ExitNothing}, // before anything was declared
		"show":  {"waiting for you", "a fault of clawback itself", incident.ExitTerminated},
	} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			now := filepath.Join(d.dir, "now")
			d.env = append(d.env, faultyEnv+"="+part+":"+now)
			cmd, master, output := d.onTerminal("drill", "--speed", drillSpeed)
			eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(output.bytes(), []byte(tc.shows)) })
			if tc.after != "" {
				_, _ = io.WriteString(master, "\r") // to the log
				eventually(t, 10*time.Second, "the log", func() bool { return bytes.Contains(output.bytes(), []byte("CREDENTIALS")) })
			}
			if err := os.WriteFile(now, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if tc.after != "" {
				eventually(t, 30*time.Second, "the console says so", func() bool { return bytes.Contains(output.bytes(), []byte(tc.after)) })
				before := len(output.bytes())
				_, _ = io.WriteString(master, "?")
				eventually(t, 10*time.Second, "keys count", func() bool { return bytes.Contains(output.bytes()[before:], []byte("Keys: ")) })
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			d.endsWith(cmd, tc.code)
			eventually(t, 5*time.Second, "the screen is given back", func() bool { return bytes.Contains(output.bytes(), []byte("\x1b[?1049l")) })
			eventually(t, 5*time.Second, "what it was", func() bool {
				_, after, _ := bytes.Cut(output.bytes(), []byte("\x1b[?1049l"))
				return bytes.Contains(after, []byte("a fault of clawback itself, at "))
			})
			if bytes.Contains(output.bytes(), []byte("a secret")) {
				t.Error("it says what the panic said")
			}
			grave := false
			for _, w := range d.recorded().Warnings {
				grave = grave || w.Grave && strings.Contains(w.Text, "a fault of clawback itself, at ")
			}
			if !grave {
				t.Errorf("it is not on record: %+v", d.recorded().Warnings)
			}
		})
	}
}

// A terminal that is too small says how to see the response elsewhere, and never how to kill for real.
func TestTerminalTooSmall(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd, master, output := d.onTerminal("drill", "--speed", drillSpeed)
	eventually(t, 30*time.Second, "the console", func() bool { return bytes.Contains(output.bytes(), []byte("waiting for you")) })
	before := len(output.bytes())
	if err := pty.Setsize(master, &pty.Winsize{Rows: 12, Cols: 50}); err != nil {
		t.Fatal(err)
	}
	id := d.recorded().Declared.Incident
	eventually(t, 10*time.Second, "the notice", func() bool { return bytes.Contains(output.bytes()[before:], []byte("clawback attach "+id)) })
	if bytes.Contains(output.bytes()[before:], []byte("kill")) {
		t.Errorf("it says %q", output.bytes()[before:])
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.endsWith(cmd, incident.ExitTerminated)
}
