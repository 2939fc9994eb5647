package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// atHome drives Home without a terminal. What Update returns is run at once; what it wants to hear later
// waits until the hands rest.
type atHome struct {
	t     testing.TB
	h     *home
	later []tea.Msg
	looks []string // at which machines
	stops int      // how often it was suspended
	quit  bool
}

// sampleHome is a desk with something unfinished, some machines, and playbooks of all sorts.
func sampleHome() Home {
	return Home{
		Desk: "bastion-2", By: "dana", Known: "by the key of this login",
		Ways: []Way{
			{Key: "a", Does: "attach", Text: "Attach to INC-20261122-0102 on root@web-1, which bob runs at bastion-1 since 01:02 UTC", About: "It goes on by itself.", Args: []string{"attach", "INC-20261122-0102"}},
			{Key: "r", Does: "resume", Text: "Resume INC-20261121-2240 on root@web-2, by dana, which is not finished", About: "Nobody runs it now.", Asks: "Its playbook asks nobody.", Args: []string{"resume", "INC-20261121-2240"}},
			{Key: "s", Does: "start a response", Text: "Something is wrong: start a response", About: "Asks which machine. Nothing is done before you say so.", Leads: ToDeclare},
			{Key: "d", Does: "drill", Text: "Drill: nothing real is touched. The last one: 2 November 2026", About: "A simulated world.", Args: []string{"drill"}},
			{Key: "p", Does: "what is missing", Text: "Readiness: 2 missing: nobody else holds the record", About: "What a response would miss tonight.", Leads: ToReadiness},
		},
		Missing: []Missing{
			{"nobody else holds the record", "witness: in the configuration"},
			{"the last drill is more than 90 days ago", "clawback drill"},
		},
		Machines: []Machine{{"root@web-1", "It is reached over ssh once you start, and not before."}, {"this machine", "Desk and host are one machine then."}},
		Types:    true,
		Books: []Book{
			{Name: "suspected-compromise", Title: "Suspected compromise", About: "Freezes the agent and preserves its evidence at once, shows every credential before it revokes them all.", Then: "The console shows the plan. Nothing is done before you say so.", Default: true},
			{Name: "kill-switch", Title: "Kill switch", About: "Nobody is asked.", Then: "The plan is printed."},
			{Name: "leaked-credentials", Title: "Leaked credentials", About: "No host is touched."},
		},
		Line: func(d Declaration) ([]string, error) {
			switch {
			case d.Book == "leaked-credentials":
				return nil, errors.New("it takes what leaked, and no machine: clawback revoke")
			case strings.ContainsAny(d.Machine, " ;") && d.Machine != "this machine":
				return nil, errors.New("it is no machine")
			}
			args := []string{map[string]string{"suspected-compromise": "respond", "kill-switch": "kill"}[d.Book]}
			if d.Machine != "this machine" {
				args = append(args, "--host", d.Machine)
			}
			if d.Severity > 0 {
				args = append(args, "--severity", fmt.Sprint(d.Severity))
			}
			return args, nil
		},
	}
}

func newAtHome(t testing.TB, of Home, w, h int, env map[string]string) *atHome {
	k := &atHome{t: t}
	if of.Look == nil {
		of.Look = func(_ context.Context, machine string) string {
			k.looks = append(k.looks, machine)
			return "OpenClaw at /home/claw/.openclaw, as " + machine + " shows."
		}
	}
	o := Options{
		Getenv: func(name string) string { return env[name] }, Output: io.Discard,
		Suspend: func() error { k.stops++; return nil },
	}.withDefaults()
	k.h = newHome(o, of, &work{ctx: t.Context()})
	k.h.later = func(_ time.Duration, msg tea.Msg) tea.Cmd {
		k.later = append(k.later, msg)
		return nil
	}
	k.send(tea.WindowSizeMsg{Width: w, Height: h})
	return k
}

func (k *atHome) send(msg tea.Msg) {
	k.t.Helper()
	var cmd tea.Cmd
	aside(func() { _, cmd = k.h.Update(msg) })
	if k.h.failed != nil {
		k.t.Fatalf("after %v: %v", msg, k.h.failed)
	}
	k.run(cmd)
}

func (k *atHome) run(cmd tea.Cmd) {
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

// press presses keys by name, and types what has no name. At "rest" the hands rest.
func (k *atHome) press(keys ...string) {
	k.t.Helper()
	for _, key := range keys {
		if key == "rest" {
			later := k.later
			k.later = nil
			for _, msg := range later {
				k.send(msg)
			}
			continue
		}
		msg, ok := named[key]
		if !ok {
			msg = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
		}
		k.send(msg)
	}
}

func (k *atHome) view() string {
	k.t.Helper()
	var v string
	aside(func() { v = k.h.View() })
	if k.h.failed != nil {
		k.t.Fatal(k.h.failed)
	}
	rows := strings.Split(v, "\n")
	if v != "" && len(rows) > k.h.h {
		k.t.Fatalf("%dx%d: %d rows:\n%s", k.h.w, k.h.h, len(rows), v)
	}
	for i, r := range rows {
		if w := ansi.StringWidth(r); w > k.h.w {
			k.t.Fatalf("%dx%d: row %d is %d cells wide: %q", k.h.w, k.h.h, i+1, w, r)
		}
	}
	return v
}

func (k *atHome) wants(parts ...string) {
	k.t.Helper()
	v := ansi.Strip(k.view())
	for _, p := range parts {
		if !strings.Contains(v, p) {
			k.t.Errorf("%q is not on the screen:\n%s", p, v)
		}
	}
}
