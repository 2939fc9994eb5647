package tui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// timelineScreen is what happened, line by line, and behind each line the entry of the record.
type timelineScreen struct {
	selected uint64 // an entry, by its number; 0 is the newest
	from     int
	filter   field
	typing   bool
	raw      bool // the entry itself is shown
	scroll   int  // in it
}

func (s *timelineScreen) title() string { return "Timeline" }

// rows are the lines that match the filter, the oldest first.
func (s *timelineScreen) rows(c *console) []logLine {
	words := strings.Fields(strings.ToLower(s.filter.String()))
	if len(words) == 0 {
		return c.rec.log
	}
	var out []logLine
	for _, l := range c.rec.log {
		if holds(l.word+" "+l.text, words) {
			out = append(out, l)
		}
	}
	return out
}

func (s *timelineScreen) at(rows []logLine) int {
	for i, l := range rows {
		if l.entry.Seq == s.selected {
			return i
		}
	}
	return len(rows) - 1
}

func (s *timelineScreen) keys(c *console) []binding {
	if s.typing {
		return []binding{
			{keys: []string{"enter"}, label: "enter", text: "keep the filter", do: func() tea.Cmd { s.typing = false; return nil }},
			{keys: []string{"esc"}, label: "esc", text: "show all", do: func() tea.Cmd { s.typing, s.filter = false, field{}; return nil }},
		}
	}
	if s.raw {
		return append([]binding{
			{keys: []string{"esc", "enter"}, label: "esc", text: "back to the timeline", do: func() tea.Cmd { s.raw = false; return nil }},
		}, scrollKeys(&s.scroll, 10)...)
	}
	move := func(by int) func() tea.Cmd {
		return func() tea.Cmd {
			if rows := s.rows(c); len(rows) > 0 {
				s.selected = rows[max(0, min(len(rows)-1, s.at(rows)+by))].entry.Seq
			}
			return nil
		}
	}
	open := binding{keys: []string{"enter"}, label: "enter", text: "the entry itself", do: func() tea.Cmd { s.raw, s.scroll = true, 0; return nil }}
	if len(s.rows(c)) == 0 {
		open.off = "nothing is selected"
	}
	return []binding{
		backToRun(c), open,
		{keys: []string{"/"}, label: "/", text: "filter", do: func() tea.Cmd { s.typing = true; return nil }},
		noteKey(c),
		{keys: []string{"j", "down"}, label: "j ↓", text: "later", quiet: true, do: move(1)},
		{keys: []string{"k", "up"}, label: "k ↑", text: "earlier", quiet: true, do: move(-1)},
		{keys: []string{" ", "pgdown"}, label: "space", text: "a page later", quiet: true, do: move(10)},
		{keys: []string{"b", "pgup"}, label: "b", text: "a page earlier", quiet: true, do: move(-10)},
		{keys: []string{"g", "home"}, label: "g", text: "to the first", quiet: true, do: move(-bottom)},
		{keys: []string{"G", "end"}, label: "G", text: "to the newest, and stay there", quiet: true, do: func() tea.Cmd { s.selected = 0; return nil }},
	}
}

func (s *timelineScreen) next(*console) string {
	if s.typing {
		return "enter"
	}
	return "esc"
}

func (s *timelineScreen) view(c *console, w, h int) []line {
	rows := s.rows(c)
	head := row(span{strong, " TIMELINE"}, span{dim, fmt.Sprintf("  %s, UTC", plural(len(rows), "line", "lines"))})
	if hidden := c.rec.forgotten; hidden > 0 {
		head = append(head, span{dim, fmt.Sprintf("; %d older stand in the record", hidden)})
	}
	switch {
	case s.typing:
		head = append(append(head, span{plain, "  filter "}), s.filter.line(max(10, w-50))...)
	case len(s.filter.text) > 0:
		head = append(head, span{accent, fmt.Sprintf("  match “%s”", s.filter.String())})
	}
	if len(rows) == 0 {
		return []line{head, row(span{dim, " nothing matches"})}
	}
	at := s.at(rows)
	if s.raw {
		return append([]line{row(span{strong, fmt.Sprintf(" ENTRY %d", rows[at].entry.Seq)}, span{dim, "  as it stands in the record"})},
			scrolledIn(indented(rawEntry(rows[at], w-2)), &s.scroll, h-1)...)
	}
	s.from = window(s.from, at, len(rows), h-1)
	out := []line{head}
	for i := s.from; i < len(rows) && len(out) < h; i++ {
		l, cursor := rows[i], " "
		look := plain
		if i == at {
			cursor, look = "▸", strong
		}
		out = append(out, row(span{accent, cursor}, span{dim, l.at.UTC().Format("15:04:05") + " "}, span{wordLook(l.word), column(l.word, 12) + " "}, span{look, l.text}))
	}
	return out
}

// rawEntry is an entry of the record in full, with what steers a terminal made visible.
func rawEntry(l logLine, w int) []line {
	var out []line
	var text bytes.Buffer
	entry := l.entry.Line()
	if len(entry) == 0 { // it was never written
		entry, _ = json.Marshal(l.entry)
	}
	if err := json.Indent(&text, entry, "", "  "); err != nil {
		text.Write(entry)
	}
	for part := range strings.Lines(text.String()) {
		inset := len(part) - len(strings.TrimLeft(part, " "))
		for _, piece := range wrap(strings.TrimSpace(part), w-min(inset, w/2)) {
			out = append(out, row(span{plain, strings.Repeat(" ", min(inset, w/2)) + piece}))
		}
	}
	return out
}
