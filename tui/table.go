package tui

import (
	"io"

	"clawback/forensics/incident"
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

// Keys lists every key of the console, screen by screen, from the tables that the console uses.
func Keys() []Section {
	c := newConsole(Options{Output: io.Discard, Getenv: func(string) string { return "" }}.withDefaults(), &work{})
	ask := func(kind, title string) *askOverlay {
		return &askOverlay{q: incident.Question{Kind: kind, Title: title, Options: make([]incident.Option, 1)}}
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
	for _, l := range []layer{&c.plan, &c.run, &c.detail, &c.report} {
		add(l.title(), l.keys(c))
	}
	for _, l := range []layer{
		ask(incident.Confirm, "Question: yes or no"), ask(incident.Typed, "Question: to be typed"),
		ask(incident.Choice, "Question: to choose (a to z: look at that option)"), ask(incident.Guide, "Question: to do by hand"),
		ask(incident.Written, "Question: to answer in writing"),
	} {
		add(l.title(), l.keys(c))
	}
	add((&addOverlay{}).title(), (&addOverlay{}).keys(c))
	add("Everywhere", c.globalKeys())
	return out
}
