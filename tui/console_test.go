package tui

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/playbooks/engine"
)

// updating reports whether the golden files are to be written: by -update, a flag that teatest defines.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// keyboard drives a console without a terminal. What Update returns is run at once; what it wants
// to hear later waits until the hands rest.
type keyboard struct {
	t     testing.TB
	c     *console
	sent  []engine.Command
	err   error // of every Submit
	out   bytes.Buffer
	asks  int // how often the response was asked to end
	quit  bool
	later []delayed
}

type delayed struct {
	after time.Duration
	msg   tea.Msg
}

func newKeyboard(t testing.TB, s *story, w, h int, env map[string]string) *keyboard {
	k := &keyboard{t: t}
	k.c = newConsole(Options{
		Submit: func(_ context.Context, c engine.Command) error {
			k.sent = append(k.sent, c)
			return k.err
		},
		Interrupt: func() error { k.asks++; return nil },
		Now:       func() time.Time { return s.at.Add(time.Second) },
		By:        "dana", Dir: t.TempDir(), Output: oneWriter(&k.out, func() {}),
		Getenv: func(name string) string { return env[name] }, Instead: "clawback attach INC-20261122-0317",
	}, &work{ctx: t.Context()})
	k.c.later = func(after time.Duration, msg tea.Msg) tea.Cmd {
		k.later = append(k.later, delayed{after, msg})
		return nil
	}
	k.send(tea.WindowSizeMsg{Width: w, Height: h})
	k.send(entriesMsg(s.entries))
	return k
}

// aside runs Update and View: where they stand, unless a test has a place of their own for them.
var aside = func(do func()) { do() }

func (k *keyboard) send(msg tea.Msg) {
	k.t.Helper()
	var cmd tea.Cmd
	aside(func() { _, cmd = k.c.Update(msg) })
	if k.c.failed != nil {
		k.t.Fatalf("after %v: %v", msg, k.c.failed)
	}
	k.run(cmd)
}

func (k *keyboard) run(cmd tea.Cmd) {
	k.t.Helper()
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.QuitMsg:
		k.quit = true
	case tea.BatchMsg:
		for _, c := range msg {
			k.run(c)
		}
	default:
		k.send(msg)
	}
}

// rest lets the hands rest: what waits for that is told.
func (k *keyboard) rest() {
	k.t.Helper()
	k.wait(time.Hour)
}

// wait lets the hands rest for so long.
func (k *keyboard) wait(d time.Duration) {
	k.t.Helper()
	later := k.later
	k.later = nil
	for _, l := range later {
		if l.after > d {
			k.later = append(k.later, delayed{l.after - d, l.msg})
			continue
		}
		k.send(l.msg)
	}
}

var named = map[string]tea.KeyMsg{
	"enter": {Type: tea.KeyEnter}, "esc": {Type: tea.KeyEsc}, "tab": {Type: tea.KeyTab}, "shift+tab": {Type: tea.KeyShiftTab},
	"up": {Type: tea.KeyUp}, "down": {Type: tea.KeyDown}, "backspace": {Type: tea.KeyBackspace}, "ctrl+c": {Type: tea.KeyCtrlC},
	"ctrl+l": {Type: tea.KeyCtrlL}, "ctrl+u": {Type: tea.KeyCtrlU}, "pgdown": {Type: tea.KeyPgDown}, "pgup": {Type: tea.KeyPgUp},
	"ctrl+s": {Type: tea.KeyCtrlS}, "delete": {Type: tea.KeyDelete}, "home": {Type: tea.KeyHome}, "end": {Type: tea.KeyEnd}, "left": {Type: tea.KeyLeft}, "right": {Type: tea.KeyRight},
	" ": {Type: tea.KeySpace, Runes: []rune{' '}},
}

// press presses keys by name, and types what has no name. At "rest" the hands rest.
func (k *keyboard) press(keys ...string) {
	k.t.Helper()
	for _, key := range keys {
		if key == "rest" {
			k.rest()
			continue
		}
		msg, ok := named[key]
		if !ok {
			msg = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
		}
		k.send(msg)
	}
}

func (k *keyboard) paste(text string) {
	k.t.Helper()
	k.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true})
}

// view is the settled screen, checked against the size of the terminal.
func (k *keyboard) view() string {
	k.t.Helper()
	var v string
	aside(func() { v = k.c.View() })
	if k.c.failed != nil {
		k.t.Fatal(k.c.failed)
	}
	rows := strings.Split(v, "\n")
	if v != "" && len(rows) > k.c.h {
		k.t.Fatalf("%dx%d: %d rows:\n%s", k.c.w, k.c.h, len(rows), v)
	}
	for i, r := range rows {
		if w := ansi.StringWidth(r); w > k.c.w {
			k.t.Fatalf("%dx%d: row %d is %d cells wide: %q", k.c.w, k.c.h, i+1, w, r)
		}
	}
	return v
}

func (k *keyboard) wants(parts ...string) {
	k.t.Helper()
	v := ansi.Strip(k.view())
	for _, p := range parts {
		if !strings.Contains(v, p) {
			k.t.Errorf("%q is not on the screen:\n%s", p, v)
		}
	}
}

// screens are the settled screens that the golden files hold.
var screens = []struct {
	name  string
	story func(testing.TB) *story
	keys  []string
}{
	{"plan", begun, nil},
	{"plan-selected", underFire, []string{"j", "j", "j", "j", "j"}},
	{"run-begin", begun, []string{"enter"}},
	{"run", underFire, []string{"enter"}},
	{"run-log", underFire, []string{"enter", "tab"}},
	{"run-plan", underFire, []string{"enter", "tab", "tab", "j"}},
	{"evidence", preserved, []string{"enter", "e"}},
	{"evidence-none", begun, []string{"enter", "e"}},
	{"timeline", underFire, []string{"enter", "t"}},
	{"timeline-filter", underFire, []string{"enter", "t", "/", "aws", "enter", "k"}},
	{"timeline-entry", underFire, []string{"enter", "t", "k", "enter"}},
	{"brief", underFire, []string{"enter", "b"}},
	{"brief-over", over, []string{"enter", "b"}},
	{"words", underFire, []string{"enter", "?", "G"}},
	{"run-filter", underFire, []string{"enter", "/", "slack", "enter"}},
	{"run-over", over, []string{"enter"}},
	{"detail", underFire, []string{"enter", "/", "N2QF", "enter", "G", "enter"}},
	{"detail-manual", underFire, []string{"enter", "j", "enter"}},
	{"confirm", func(t testing.TB) *story { return askingFor(t, "confirm") }, []string{"enter", "enter"}},
	{"typed", func(t testing.TB) *story { return askingFor(t, "typed") }, []string{"enter", "enter", "rest", "rev"}},
	{"choice", func(t testing.TB) *story { return askingFor(t, "choice") }, []string{"enter", "enter", "rest", "b"}},
	{"guide", func(t testing.TB) *story { return askingFor(t, "guide") }, []string{"enter", "enter", "rest", "02:51 a mail"}},
	{"written", func(t testing.TB) *story { return askingFor(t, "written") }, []string{"enter", "enter", "rest", "02:51 a mail asked for it.", "enter", "enter", "漢字 and é, in a line that is so long that no row of the editor on a small terminal holds all of it"}},
	{"note", underFire, []string{"enter", "n", "called the owner"}},
	{"add", underFire, []string{"enter", "a", "rest", canary}},
	{"add-kind", underFire, []string{"enter", "a", "rest", canary, "enter", "rest"}},
	{"add-filter", underFire, []string{"enter", "a", "rest", canary, "enter", "rest", "access"}},
	{"add-note", underFire, []string{"enter", "a", "rest", canary, "enter", "rest", "enter", "rest", "from the wiki"}},
	{"add-sure", underFire, []string{"enter", "a", "rest", canary, "enter", "rest", "enter", "rest", "from the wiki", "rest", "enter", "rest", "rev"}},
	{"take-back", inventoried, []string{"enter", "/", "44TD", "enter", "G", "r", "rest", "rev"}},
	{"detail-inventory", inventoried, []string{"enter", "/", "deploy-bot", "enter", "G", "enter"}},
	{"run-doubt", doubtful, []string{"enter"}},
	{"detail-doubt", doubtful, []string{"enter", "/", "1a2B", "enter", "G", "enter"}},
	{"skip", underFire, []string{"enter", "j", "s", "rest"}},
	{"by-hand", underFire, []string{"enter", "j", "m", "rest"}},
	{"undo", underFire, []string{"enter", "/", "N2QF", "enter", "G", "enter", "u", "rest", "it was the red"}},
	{"undo-sure", underFire, []string{"enter", "/", "N2QF", "enter", "G", "enter", "u", "rest", "it was the red team", "rest", "enter", "rest", "un"}},
	{"leave", underFire, []string{"enter", "q", "rest"}},
	{"help", underFire, []string{"enter", "?"}},
	{"report", over, []string{"enter", "v"}},
	{"report-search", over, []string{"enter", "v", "]", "]", "/", "alive", "enter", "n"}},
}

const sampleReport = `# INC-20261122-0317: suspected compromise

**Real** response on claw-prod-1 by dana. Ended *partial*, exit 3.

## Summary

- Declared 03:17:00, agent frozen 03:17:01 (14 processes in 31 ms).
- 9 of 21 credentials are proved dead. 1 is alive, 1 failed, 1 is unverified, 2 wait for a person.

## Credentials

| Credential | Verdict | Evidence |
| --- | --- | --- |
| github ghp_…1xQz | dead | 401 Bad credentials ×3 over 12 s, seen from bastion-2 |
| gitlab glpat-…c0Rr | alive | 403 insufficient_scope: it lives |

> What the host said is the host's claim.

` + "\x1b[2J\x1b]52;c;ZXZpbA==\a a line that came from a log\n"

func TestGolden(t *testing.T) {
	type size struct{ w, h int }
	all, common := []size{{60, 15}, {80, 24}, {120, 40}}, []size{{80, 24}}
	for _, sc := range screens {
		for _, mode := range []struct {
			name  string
			sizes []size
			env   map[string]string
		}{
			{"", all, map[string]string{"NO_COLOR": "1"}},
			{".color", all, nil},
			{".dark", common, map[string]string{"COLORFGBG": "15;0"}},
			{".light", common, map[string]string{"COLORFGBG": "0;15"}},
		} {
			name, env := sc.name+mode.name+".golden", map[string]string{"TERM": "xterm-256color"}
			maps.Copy(env, mode.env)
			if mode.name == "" && (sc.name == "run" || sc.name == "plan") {
				mode.sizes = append(mode.sizes, size{300, 80})
			}
			t.Run(name, func(t *testing.T) {
				var got strings.Builder
				for _, size := range mode.sizes {
					k := newKeyboard(t, sc.story(t), size.w, size.h, env)
					writeReport(t, k)
					k.press(sc.keys...)
					fmt.Fprintf(&got, "== %dx%d\n%s\n", size.w, size.h, strings.ReplaceAll(k.view(), "\x1b", "␛"))
				}
				if mode.name == "" && strings.Contains(got.String(), "␛") {
					t.Errorf("an escape with NO_COLOR")
				}
				golden(t, filepath.Join("testdata", name), got.String())
			})
		}
	}
}

func writeReport(t testing.TB, k *keyboard) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(k.c.o.Dir, "report.md"), []byte(sampleReport), 0o600); err != nil {
		t.Fatal(err)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with go test ./tui -update)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs: look at the screen, then go test ./tui -update\n%s", path, got)
	}
}

func testTheme(term string) theme {
	return themeOf(Options{Output: io.Discard, Getenv: func(key string) string { return map[string]string{"TERM": term}[key] }})
}
