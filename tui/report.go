package tui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
)

// maxReport bounds what is read of a report.
const maxReport = 1 << 20

// reportScreen shows the written report, or how it would read now.
type reportScreen struct {
	draft  bool
	path   string
	text   string
	err    error
	read   bool // it was on the screen
	scroll int
	page   int

	find   field
	typing bool // into find
	at     int  // the row that was gone to, counted from 1; 0 for none

	wrapped []line
	heads   []int // rows of its headings
	hits    []int // rows that hold what is searched for
	width   int   // that wrapped fits
}

type reportMsg struct {
	path, text string
	err        error
}

func (s *reportScreen) title() string { return "Report" }

// openReport shows the report and reads it; before it is written, how it would read now.
func (c *console) openReport() tea.Cmd {
	if c.rec.Report == nil {
		return c.openDraft()
	}
	path := c.rec.Report.Markdown
	c.screen, c.report.read = &c.report, true
	if c.report.path == path && c.report.err == nil {
		return nil
	}
	c.report = reportScreen{path: path, read: true, find: c.report.find}
	dir := c.o.Dir
	return c.work.cmd(func() tea.Msg {
		text, err := readReport(dir, path)
		return reportMsg{path, text, err}
	})
}

// openDraft shows what the report would say now: what it still asks can be answered from there.
func (c *console) openDraft() tea.Cmd {
	c.screen = &c.report
	c.report = reportScreen{draft: true, path: draftName, find: c.report.find}
	return c.work.cmd(func() tea.Msg {
		text, err := c.o.Draft(c.work.ctx)
		return reportMsg{draftName, atMost(text, maxReport), err}
	})
}

const draftName = "draft, not written yet"

// atMost cuts a text to so many bytes, at a character.
func atMost(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:boundary(s, n)] + "\n\n(It goes on.)\n"
}

// reportKey opens the report.
func reportKey(c *console) binding {
	b := binding{keys: []string{"v"}, label: "v", text: "report", do: func() tea.Cmd { return c.openReport() }}
	if c.rec.Report == nil && c.o.Draft == nil {
		b.off = "there is no report yet"
	}
	return b
}

// readReport reads a report that lies in the incident's folder, whatever path the record names.
func readReport(dir, path string) (string, error) {
	if dir == "" {
		return "", errors.New("read the report: the folder of the incident is not known")
	}
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return "", fmt.Errorf("read the report: %w", err)
		}
		path = rel
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("read the report: %w", err)
	}
	defer func() { _ = root.Close() }()
	if info, err := root.Stat(path); err != nil {
		return "", fmt.Errorf("read the report: %w", err)
	} else if !info.Mode().IsRegular() { // a FIFO would hold us up for ever
		return "", fmt.Errorf("read the report: %s is not a file", path)
	}
	f, err := root.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the report: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err != nil {
		return "", fmt.Errorf("read the report: %w", err)
	}
	if len(b) > maxReport {
		b = append(b[:maxReport], "\n\n(The rest is in the file.)\n"...)
	}
	return string(b), nil
}

func (s *reportScreen) loaded(msg reportMsg, w int) {
	if msg.path == s.path {
		s.text, s.err = msg.text, msg.err
		s.lay(w)
	}
}

func (s *reportScreen) keys(c *console) []binding {
	if s.typing {
		return []binding{
			{keys: []string{"enter"}, label: "enter", text: "go to the first", do: func() tea.Cmd { return s.search(c) }},
			{keys: []string{"esc"}, label: "esc", text: "search for nothing", do: func() tea.Cmd { s.typing, s.find, s.hits, s.at = false, field{}, nil, 0; return nil }},
		}
	}
	jump := func(rows []int, by int) func() tea.Cmd {
		return func() tea.Cmd { s.jump(rows, s.here(), by); return nil }
	}
	all := []binding{
		{keys: []string{"esc"}, label: "esc", text: "back", do: func() tea.Cmd { return c.show(&c.run) }},
		{keys: []string{"]"}, label: "]", text: "next heading", do: jump(s.heads, 1)},
		{keys: []string{"["}, label: "[", text: "heading before", quiet: true, do: jump(s.heads, -1)},
		{keys: []string{"/"}, label: "/", text: "search", do: func() tea.Cmd { s.typing = true; return nil }},
		{keys: []string{"n"}, label: "n", text: "next match", do: jump(s.hits, 1)},
		{keys: []string{"N"}, label: "N", text: "match before", quiet: true, do: jump(s.hits, -1)},
		s.answerKey(c),
	}
	if s.draft {
		written := reportKey(c)
		if written.text = "as it was written"; c.rec.Report == nil {
			written.text = "as it stands now"
		}
		all = append(all, written)
	}
	for i, b := range all {
		switch {
		case len(s.heads) == 0 && (b.label == "]" || b.label == "["):
			all[i].off = "it has no heading"
		case s.find.blank() && (b.label == "n" || b.label == "N"):
			all[i].off = "nothing is searched for"
		case len(s.hits) == 0 && (b.label == "n" || b.label == "N"):
			all[i].off = "no row holds “" + s.find.String() + "”"
		}
	}
	return append(all, scrollKeys(&s.scroll, s.page)...)
}

// answerKey leads to the questions that the report leaves open.
func (s *reportScreen) answerKey(c *console) binding {
	b := binding{keys: []string{"a"}, label: "a", text: "answer what is open"}
	for _, n := range c.rec.needs(c.answered) {
		if n.question != nil && n.question.Kind == incident.Written {
			q := *n.question
			b.do = func() tea.Cmd { return c.push(newAsk(c, q)) }
			b.off = c.closed()
			return b
		}
	}
	switch {
	case len(c.rec.Unwritten()) == 0:
		b.off = "none is open"
	case c.rec.active():
		b.off = "the review asks it later"
	default:
		b.off = c.rec.ended()
		if c.rec.Declared.Mode == incident.Real {
			b.off = "clawback review " + c.rec.Declared.Incident + " asks it"
		}
	}
	return b
}

// lay breaks the text into rows of w cells, and finds what can be jumped to.
func (s *reportScreen) lay(w int) {
	s.wrapped, s.width, s.at, s.heads = markdown(s.text, w-2), w, 0, nil
	for i, l := range s.wrapped {
		if len(l) > 0 && l[0].look == accent && strings.HasPrefix(l[0].text, "#") {
			s.heads = append(s.heads, i)
		}
	}
	s.look()
}

// look finds the rows that hold what is searched for.
func (s *reportScreen) look() {
	s.hits = nil
	words := strings.Fields(strings.ToLower(s.find.String()))
	for i, l := range s.wrapped {
		if len(words) > 0 && holds(textOf(l), words) {
			s.hits = append(s.hits, i)
		}
	}
}

// search goes to the first row from what is in sight on that holds what was typed.
func (s *reportScreen) search(c *console) tea.Cmd {
	s.typing, s.at = false, 0
	if s.look(); len(s.hits) == 0 && !s.find.blank() {
		c.complain("no row holds “" + s.find.String() + "”")
		return nil
	}
	s.jump(s.hits, s.scroll-1, 1)
	return nil
}

// jump goes from a row to the next of some, or to the one before, and around at the ends.
func (s *reportScreen) jump(rows []int, from, by int) {
	if len(rows) == 0 {
		return
	}
	next, on := slices.BinarySearch(rows, from)
	switch {
	case by < 0:
		next--
	case on:
		next++
	}
	to := rows[(next+len(rows))%len(rows)]
	s.scroll, s.at = to, to+1
}

// here is the row that was gone to, where it is in sight, and else the first that is.
func (s *reportScreen) here() int {
	if s.at > s.scroll && s.at <= s.scroll+s.page+1 {
		return s.at - 1
	}
	return s.scroll
}

// section is the heading that one stands under.
func (s *reportScreen) section() string {
	n, on := slices.BinarySearch(s.heads, s.here())
	if on {
		n++
	}
	if n == 0 {
		return ""
	}
	return strings.TrimLeft(textOf(s.wrapped[s.heads[n-1]]), "# ")
}

// textOf is a line without its looks.
func textOf(l line) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text)
	}
	return b.String()
}

func (s *reportScreen) next(c *console) string {
	if s.typing {
		return "enter"
	}
	switch {
	case c.rec.active():
		return "esc"
	case s.draft && c.rec.Report != nil:
		return "v"
	}
	return "q"
}

func (s *reportScreen) view(_ *console, w, h int) []line {
	switch {
	case s.err != nil:
		return paragraph(danger, s.err.Error(), w)
	case s.text == "":
		return []line{row(span{dim, "reading " + s.path})}
	}
	if s.width != w {
		s.lay(w)
	}
	s.page = h - 2
	shown := scrolled(s.wrapped, &s.scroll, h-1)
	out := make([]line, 0, h)
	for i, l := range shown {
		cursor := span{plain, " "}
		if s.scroll+i+1 == s.at {
			cursor = span{accent, "▸"}
		}
		out = append(out, append(row(cursor), l...))
	}
	for len(out) < h-1 {
		out = append(out, nil)
	}
	return append(out, s.foot(w, h))
}

// foot says where one is in the report.
func (s *reportScreen) foot(w, h int) line {
	if s.typing {
		return append(row(span{plain, " search "}), s.find.line(w-10)...)
	}
	right := row(span{dim, fmt.Sprintf("rows %d to %d of %d ", s.scroll+1, min(len(s.wrapped), s.scroll+h-1), len(s.wrapped))})
	left := row(span{plain, " "})
	if s.draft {
		left = append(left, span{warn, s.path + "  "})
	} else if w >= 72 {
		left = append(left, span{dim, filepath.Base(s.path) + "  "})
	}
	left = append(left, span{plain, s.section()})
	if n, on := slices.BinarySearch(s.hits, s.here()); on && s.at > 0 {
		left = append(left, span{accent, fmt.Sprintf("  match %d of %d", n+1, len(s.hits))})
	}
	return spread(left, right, w)
}
