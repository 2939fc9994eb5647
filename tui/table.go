package tui

import (
	"context"
	"io"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
)

// Section is the keys of one screen or overlay, for the documentation.
type Section struct {
	Title string
	Keys  []Key
}

// Key is one key and what it does.
type Key struct {
	Key, Does string
	Danger    bool // what it does cannot be undone, or may not be
}

// titled is a screen or a dialog in one of its states.
type titled struct {
	title string
	of    layer
}

// documented are the screens and the dialogs, each with a title that no other has.
func documented(c *console) []titled {
	ask := func(kind string) *askOverlay {
		return &askOverlay{q: incident.Question{Kind: kind, Options: make([]incident.Option, 1)}}
	}
	no := func() tea.Cmd { return nil }
	return []titled{
		{"Plan", &c.plan}, {"Response", &c.run}, {"Credential", &c.detail}, {"Evidence", &c.evidence},
		{"Timeline", &c.timeline}, {"Timeline: one entry", &timelineScreen{raw: true}}, {"Brief", &c.brief}, {"Report", &c.report},
		{"Filter of the response or the timeline", &timelineScreen{typing: true}},
		{"Question: yes or no", ask(incident.Confirm)}, {"Question: to be typed", ask(incident.Typed)},
		{"Question: to choose (a to z: look at that option)", ask(incident.Choice)}, {"Question: to do by hand", ask(incident.Guide)},
		{"Question: to answer in writing", ask(incident.Written)},
		{"Dialog: a text, such as a note or a reason", &promptOverlay{label: "go on", field: field{text: []rune("x")}}},
		{"Dialog: the name of what cannot be undone", &promptOverlay{asked: true, sure: confirmation{want: "x"}}},
		{"Dialog: are you sure?", &sureOverlay{label: "go on", safe: true, do: no}},
		{"Add a credential", &addOverlay{}}, {"Add a credential: its kind", &addOverlay{stage: kindStage}},
		{"Help", &helpOverlay{of: &c.run}},
	}
}

// pages are those of Home, each with a title that no other has.
func pages(h *home) []struct {
	title string
	of    page
} {
	return []struct {
		title string
		of    page
	}{
		{"Home", &h.menu}, {"Home: declare", &h.declare}, {"Home: readiness", &missingPage{}},
		{"Home: before what goes on by itself", &surePage{way: h.Ways[0]}}, {"Home: help", &keysPage{of: &h.menu}},
	}
}

// homeOfOne is Home with one of everything, so that each of its keys is there.
func homeOfOne() *home {
	o := Options{Output: io.Discard, Getenv: func(string) string { return "" }}.withDefaults()
	return newHome(o, Home{
		Ways: []Way{{Key: "its letter", Does: "begin it", Leads: ToDeclare}}, Machines: make([]Machine, 1), Books: make([]Book, 1),
		Line: func(Declaration) ([]string, error) { return nil, nil },
	}, &work{})
}

// Keys lists every key of the console, screen by screen, from the tables that the console uses.
func Keys() []Section {
	o := Options{Output: io.Discard, Getenv: func(string) string { return "" }}
	o.Submit = func(context.Context, engine.Command) error { return nil } // it is not a console that only watches
	c := newConsole(o.withDefaults(), &work{})
	c.rec.Entries = 1 // and the response goes on
	scroll := scrollKeys(new(int), 1)
	scrolls := func(b binding) bool {
		return slices.ContainsFunc(scroll, func(s binding) bool { return s.text == b.text })
	}
	var out []Section
	add := func(title string, all []binding) {
		s := Section{Title: title}
		for _, b := range all {
			if b.text != "" { // a letter of an option has the option's own text
				s.Keys = append(s.Keys, Key{b.label, b.text, b.danger})
			}
		}
		out = append(out, s)
	}
	h := homeOfOne()
	for _, p := range pages(h) {
		add(p.title, slices.DeleteFunc(p.of.keys(h), scrolls))
	}
	add("Home: everywhere", h.globalKeys())
	for _, l := range documented(c) {
		add(l.title, slices.DeleteFunc(l.of.keys(c), scrolls))
	}
	add("Response: a step that waits for approvals", approvalKeys(c, &incident.Approval{}))
	add("All that is longer than its screen", scroll)
	add("Everywhere", c.globalKeys())
	c.o.Attached = true
	add("Everywhere, of a response that runs elsewhere", c.globalKeys())
	return out
}
