package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// menuPage lists what can be begun.
type menuPage struct{ at, from int }

func (p *menuPage) title() string     { return "What can be begun here" }
func (p *menuPage) input() *field     { return nil }
func (p *menuPage) next(*home) string { return "enter" }

func (p *menuPage) keys(h *home) []binding {
	move := func(by int) func() tea.Cmd {
		return func() tea.Cmd { p.at = max(0, min(len(h.Ways)-1, p.at+by)); return nil }
	}
	all := []binding{
		{keys: []string{"enter"}, label: "enter", text: h.Ways[p.at].Does, do: func() tea.Cmd { return h.take(p.at) }},
		{keys: []string{"j", "down"}, label: "j ↓", text: "the next", quiet: true, do: move(1)},
		{keys: []string{"k", "up"}, label: "k ↑", text: "the one before", quiet: true, do: move(-1)},
	}
	for i, w := range h.Ways {
		do := func() tea.Cmd {
			if w.Leads != ToReadiness { // who comes back from there is led on as before
				p.at = i
			}
			return h.take(i)
		}
		all = append(all, binding{keys: []string{w.Key}, label: w.Key, text: w.Does, quiet: i == p.at, do: do})
	}
	return all
}

// take takes a way.
func (h *home) take(i int) tea.Cmd {
	switch w := h.Ways[i]; {
	case w.Leads == ToDeclare:
		h.declare.row = machineRow
		return tea.Batch(h.show(&h.declare), h.look())
	case w.Leads == ToReadiness:
		return h.show(&missingPage{})
	case w.Asks != "":
		return h.show(&surePage{way: w})
	default:
		return h.begin(w.Args)
	}
}

func (p *menuPage) view(h *home, w, rows int) []line {
	about := indented(paragraph(plain, h.Ways[p.at].About, w-2))
	if text := h.Ways[p.at].Text; row(span{plain, text}).width() > w-6 { // the row shows a part of it
		about = append(indented(paragraph(strong, text, w-2)), about...)
	}
	about = append(about, commandLine(h.Ways[p.at].Args))
	list := max(3, rows-1-len(about))
	p.from = window(p.from, p.at, len(h.Ways), list)
	var out []line
	for i := p.from; i < len(h.Ways) && len(out) < list; i++ {
		way := h.Ways[i]
		if i == p.at {
			out = append(out, row(span{accent, " ▸ "}, span{accent, way.Key}, span{strong, "  " + way.Text}))
			continue
		}
		out = append(out, row(span{plain, "   "}, span{strong, way.Key}, span{plain, "  " + way.Text}))
	}
	if room := rows - len(out) - len(about); room > 1 {
		out = append(out, nil)
	}
	out = append(out, rule(w, span{dim, h.Ways[p.at].Does}))
	out = append(out, about[:min(len(about), max(0, rows-len(out)))]...)
	return append(out, p.lacks(h, w, rows-len(out))...)
}

// lacks is the beginning of what is missing, where there is room for it.
func (p *menuPage) lacks(h *home, w, rows int) []line {
	const head = 2
	if len(h.Missing) == 0 || rows < head+min(2, len(h.Missing)) {
		return nil
	}
	out := []line{nil, rule(w, span{dim, "what a response would miss tonight"})}
	for i, m := range h.Missing {
		if len(out) == rows-1 && i < len(h.Missing)-1 {
			return append(out, row(span{dim, fmt.Sprintf("   … and %d more: p", len(h.Missing)-i)}))
		}
		out = append(out, row(span{warn, " ! "}, span{plain, m.Text}))
	}
	return out
}

// commandLine is what a person could have typed.
func commandLine(args []string) line {
	if len(args) == 0 {
		return nil
	}
	return row(span{dim, " $ "}, span{strong, "clawback " + Quoted(args)})
}

// Quoted is a command line as a shell takes it.
func Quoted(args []string) string {
	var words []string
	for _, arg := range args {
		plain := func(r rune) bool {
			return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./@:=+,%", r)
		}
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// missingPage lists what a response would miss, and what to do about each.
type missingPage struct{ scroll int }

func (p *missingPage) title() string     { return "Readiness" }
func (p *missingPage) input() *field     { return nil }
func (p *missingPage) next(*home) string { return "esc" }

func (p *missingPage) keys(h *home) []binding {
	return append([]binding{backKey(h, &h.menu)}, scrollKeys(&p.scroll, h.h-6)...)
}

// backKey leads back to a page, and begins nothing.
func backKey(h *home, to page) binding {
	return binding{keys: []string{"esc", "enter"}, label: "esc", text: "back", do: func() tea.Cmd { return h.show(to) }}
}

func (p *missingPage) view(h *home, w, rows int) []line {
	if len(h.Missing) == 0 {
		return indented(paragraph(good, "Nothing is missing that can be seen from here. clawback providers --check asks the providers.", w-2))
	}
	var out []line
	for _, m := range h.Missing {
		for i, text := range wrap(m.Text, w-4) {
			mark := "   "
			if i == 0 {
				mark = " ! "
			}
			out = append(out, row(span{warn, mark}, span{plain, text}))
		}
		for _, text := range wrap(m.Hint, w-4) {
			out = append(out, row(span{plain, "   "}, span{dim, text}))
		}
	}
	return scrolledIn(out, &p.scroll, rows)
}

// surePage says what a way does that goes on by itself once it is begun.
type surePage struct{ way Way }

func (p *surePage) title() string     { return p.way.Text }
func (p *surePage) input() *field     { return nil }
func (p *surePage) next(*home) string { return "enter" }

func (p *surePage) keys(h *home) []binding {
	back := backKey(h, &h.menu)
	back.keys = []string{"esc"}
	return []binding{{keys: []string{"enter"}, label: "enter", text: p.way.Does, weighs: true, do: func() tea.Cmd { return h.begin(p.way.Args) }}, back}
}

func (p *surePage) view(_ *home, w, rows int) []line {
	out := append(indented(paragraph(plain, p.way.About, w-2)), nil)
	out = append(out, indented(paragraph(warn, p.way.Asks, w-2))...)
	out = append(out, nil, commandLine(p.way.Args))
	return out[:min(len(out), rows)]
}

// keysPage lists the keys of a page.
type keysPage struct {
	of     page
	scroll int
}

func (p *keysPage) title() string     { return "Keys: " + p.of.title() }
func (p *keysPage) input() *field     { return nil }
func (p *keysPage) next(*home) string { return "esc" }

func (p *keysPage) keys(h *home) []binding {
	back := backKey(h, p.of)
	back.keys = append(back.keys, "?")
	return append([]binding{back}, scrollKeys(&p.scroll, h.h-6)...)
}

func (p *keysPage) view(h *home, w, rows int) []line {
	return indented(scrolledIn(keyLines(append(p.of.keys(h), h.globalKeys()...), w-1), &p.scroll, rows))
}
