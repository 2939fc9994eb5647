package tui

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// emulator is a terminal of which only so much is there as the console may use. Whatever else it is sent,
// it keeps as a fault: an escape that came from outside would be one. Its cells do not matter, only its
// rows, since the renderer writes whole ones.
type emulator struct {
	mu    sync.Mutex
	rows  []string
	y     int
	begin bool         // at the first cell of the row
	modes map[int]bool // that are on
	left  bool         // the console has ended: it has to be silent
	links []string     // that may go to the clipboard
	fault string       // the first

	asked   string    // what a dialog wants typed, "" for none
	stops   bool      // a dialog asks whether to stop the response
	changed time.Time // when that was another one
}

// Modes of a terminal that the console turns on, and has to turn off.
const (
	cursorMode = 25
	altMode    = 1049
	pasteMode  = 2004
)

func newEmulator(links ...string) *emulator {
	return &emulator{rows: make([]string, 200), begin: true, modes: map[int]bool{cursorMode: true}, links: links}
}

func (e *emulator) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left {
		e.blame("%q after the end", p)
	}
	for s := string(p); s != ""; {
		s = s[e.take(s):]
	}
	e.look()
	return len(p), nil
}

func (e *emulator) blame(format string, args ...any) {
	if e.fault == "" {
		e.fault = fmt.Sprintf(format, args...)
	}
}

var clipboard = regexp.MustCompile(`^\x1b\]52;c;([A-Za-z0-9+/=]*)\x07`)

// take takes the first character or sequence of s, and returns its length.
func (e *emulator) take(s string) int {
	if rest, ok := strings.CutPrefix(s, "\x1b["); ok {
		args, private := strings.CutPrefix(rest, "?")
		end := len(args) - len(strings.TrimLeft(args, "0123456789;"))
		if end < len(args) {
			e.control(private, args[:end], args[end:end+1])
			return len(s) - len(args) + end + 1
		}
	}
	if whole, inner := wrappedIn(s); whole > 0 && clipboard.MatchString(inner) {
		if end := e.take(inner); end != len(inner) {
			e.blame("%q after the clipboard", inner[end:])
		}
		return whole
	}
	if m := clipboard.FindStringSubmatch(s); s[0] == '\x1b' && m != nil {
		text, _ := base64.StdEncoding.DecodeString(m[1])
		if !strings.Contains(strings.Join(e.links, "\n")+"\n", string(text)+"\n") {
			e.blame("%q went to the clipboard", text)
		}
		return len(m[0])
	}
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case r == '\r':
		e.begin = true
	case r == '\n':
		e.y = min(e.y+1, len(e.rows)-1)
	case r == utf8.RuneError && n == 1, unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
		e.blame("%q in %q", r, s[:min(len(s), 60)])
	default:
		if !e.modes[altMode] {
			e.blame("%q outside of the alternate screen", s[:min(len(s), 60)])
		}
		if e.begin {
			e.rows[e.y], e.begin = "", false
		}
		for n < len(s) && s[n] >= ' ' && s[n] < 0x7f { // the rest of it at once
			n++
		}
		e.rows[e.y] += s[:n]
	}
	return n
}

// wrappedIn unwraps what tmux or GNU screen hand on to the terminal around them.
func wrappedIn(s string) (whole int, inner string) {
	rest, ok := strings.CutPrefix(s, "\x1bP")
	if !ok {
		return 0, ""
	}
	inner, after, ok := strings.Cut(rest, "\x1b\\")
	if !ok {
		return 0, ""
	}
	if doubled, tmux := strings.CutPrefix(inner, "tmux;"); tmux {
		inner = strings.ReplaceAll(doubled, "\x1b\x1b", "\x1b")
	}
	return len(s) - len(after), inner
}

func (e *emulator) control(private bool, args, what string) {
	n, _ := strconv.Atoi(args)
	switch {
	case private && (what == "h" || what == "l"):
		e.modes[n] = what == "h"
	case private:
		e.blame("CSI ?%s%s", args, what)
	case what == "m":
	case what == "H":
		row, _, _ := strings.Cut(args, ";")
		n, _ = strconv.Atoi(row)
		e.y, e.begin = min(max(n, 1), len(e.rows))-1, true
	case what == "K" && n == 2, what == "K" && n == 0 && e.begin:
		e.rows[e.y] = ""
	case what == "K" && n == 0: // right of what was written there is nothing
	case what == "J" && n == 2:
		clear(e.rows)
	case what == "J" && n == 0:
		clear(e.rows[e.y+1:])
	default:
		e.blame("CSI %s%s", args, what)
	}
}

var typeThis = regexp.MustCompile(`Type  (.+?)  to go on`)

// look sees what a person sees in a moment, and since when.
func (e *emulator) look() {
	asked, stops := "", false
	for _, row := range e.rows {
		if m := typeThis.FindStringSubmatch(row); m != nil {
			asked = m[1]
		}
		stops = stops || strings.Contains(row, "Stop the response and leave?") || strings.Contains(row, "Stop the response?")
	}
	if asked != e.asked || stops != e.stops {
		e.asked, e.stops, e.changed = asked, stops, time.Now()
	}
}

// dialog is the text that has to be typed, or whether to stop is asked, since when it stands there.
func (e *emulator) dialog() (asked string, stops bool, since time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked, e.stops, e.changed
}

var nextLabel = regexp.MustCompile(`▸ +(\S+) `)

// next is the label of the highlighted key.
func (e *emulator) next() (label string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, row := range e.rows {
		if m := nextLabel.FindStringSubmatch(row); m != nil {
			label = m[1]
		}
	}
	return label
}

func (e *emulator) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.TrimRight(strings.Join(e.rows, "\n"), "\n")
}

// leaves says what is wrong with the terminal once the console has ended, and "" where nothing is.
func (e *emulator) leaves() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left = true
	for mode, on := range e.modes {
		if on != (mode == cursorMode) {
			e.blame("mode %d is left as %v", mode, on)
		}
	}
	return e.fault
}
