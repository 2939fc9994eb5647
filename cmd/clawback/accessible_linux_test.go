package main

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
)

var (
	inDoubt  = regexp.MustCompile(`If in doubt, (\d+)\.`)
	toType   = regexp.MustCompile(`Type  (.+?)  to go on`)
	oneOrTwo = regexp.MustCompile(`1 \S`)
)

// leadsOnBy is what who follows the lines types: the safe choice, what has to be typed, or the first.
func leadsOnBy(said string) (string, bool) {
	last := said[strings.LastIndexByte(said, '\n')+1:]
	switch {
	case toType.MatchString(last):
		return toType.FindStringSubmatch(last)[1], true
	case inDoubt.MatchString(last):
		return inDoubt.FindStringSubmatch(last)[1], true
	case strings.HasSuffix(last, "Choice: ") && oneOrTwo.MatchString(last):
		return "1", true
	case strings.HasSuffix(last, "in a line: "):
		return "done as it says", true
	case strings.HasSuffix(last, "to end: ") && strings.Contains(said, "Write as many lines"):
		return "by a mail that it read", true
	case strings.HasSuffix(last, "to end: "):
		return ".", true
	}
	return "", false
}

// byNumbers follows the lines of a console until its program ends.
func byNumbers(t *testing.T, keys io.Writer, said func() []byte, ended func() bool) (typed []string) {
	t.Helper()
	t.Cleanup(func() {
		if all := said(); t.Failed() {
			t.Logf("it said last: %q", all[max(0, len(all)-2000):])
		}
	})
	sent := time.Now()
	for seen, lines := 0, 0; lines < 200; lines++ {
		var text string
		eventually(t, 100*time.Second, "a choice, after "+strings.Join(typed, " "), func() bool {
			var ok bool
			if text, ok = leadsOnBy(string(said()[seen:])); ok || ended() || time.Since(sent) < 5*time.Second {
				return ok || ended()
			}
			all := string(said())
			if text, ok = leadsOnBy(all); ok { // the question came again while it was answered
				return true
			}
			text = "" // enter came too soon to count: what was typed still stands there
			return len(typed) > 0 && strings.HasSuffix(all, typed[len(typed)-1])
		})
		if ended() {
			return typed
		}
		seen = len(said())
		time.Sleep(350 * time.Millisecond) // a hand's pause: nothing shows that it is over
		_, _ = io.WriteString(keys, text)
		eventually(t, 10*time.Second, "what was typed", func() bool { return bytes.Contains(said()[seen:], []byte(text)) })
		time.Sleep(200 * time.Millisecond) // the same before enter
		seen = len(said())
		_, _ = io.WriteString(keys, "\r")
		sent = time.Now()
		if text != "" {
			typed = append(typed, text)
		}
	}
	t.Fatalf("no end: %q", typed)
	return nil
}

// Where a terminal appends lines, nobody has to ask for them: a whole drill is led to its report by
// numbers, and no escape reaches the terminal. Others attach and watch in the same way.
func TestTerminalByNumbers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.env = append(d.env, "TERM=dumb")
	cmd, keys, output := d.onTerminal("drill", "--seed", "7", "--speed", drillSpeed)
	eventually(t, 30*time.Second, "a response to look at", func() bool { return bytes.Contains(output.bytes(), []byte("Choice: ")) })
	for _, other := range []string{"attach", "watch"} {
		second, _, says := d.onTerminal(other)
		eventually(t, 30*time.Second, "what it says", func() bool { return bytes.Contains(says.bytes(), []byte("DRILL. Incident DRILL-")) })
		_ = second.Process.Signal(syscall.SIGTERM)
		_ = second.Wait()
		if bytes.ContainsRune(says.bytes(), '\x1b') {
			t.Errorf("%s: an escape in %q", other, says.bytes())
		}
	}
	code := make(chan int, 1)
	go func() { _ = cmd.Wait(); code <- cmd.ProcessState.ExitCode() }()
	typed := byNumbers(t, keys, output.bytes, func() bool { return len(code) > 0 })
	if got := <-code; got != 0 {
		t.Errorf("it ends with %d\n%s", got, output.bytes())
	}
	if !slices.ContainsFunc(typed, func(s string) bool { return strings.HasPrefix(s, "revoke ") }) {
		t.Errorf("typed: %q", typed)
	}
	for _, want := range []string{"20 of 20 dead", "1 read the report, 2 leave. Choice: ", "## "} {
		if !bytes.Contains(output.bytes(), []byte(want)) {
			t.Errorf("%q was never said\n%s", want, output.bytes())
		}
	}
	if bytes.ContainsRune(output.bytes(), '\x1b') {
		t.Errorf("an escape in %q", output.bytes())
	}
	if s := d.recorded(); s.Exit == nil || *s.Exit != incident.ExitContained {
		t.Errorf("the record ends with %v", s.Exit)
	}
}
