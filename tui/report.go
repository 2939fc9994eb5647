package tui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	tea "github.com/charmbracelet/bubbletea"
)

// maxReport bounds what is read of a report.
const maxReport = 1 << 20

// reportScreen shows the written report.
type reportScreen struct {
	path   string
	text   string
	err    error
	read   bool // it was on the screen
	scroll int
	page   int

	wrapped []line
	width   int // that wrapped fits
}

type reportMsg struct {
	path, text string
	err        error
}

func (s *reportScreen) title() string { return "Report" }

// openReport shows the report and reads it.
func (c *console) openReport() tea.Cmd {
	path := c.rec.Report.Markdown
	c.screen, c.report.read = &c.report, true
	if c.report.path == path && c.report.err == nil {
		return nil
	}
	c.report = reportScreen{path: path, read: true}
	dir := c.o.Dir
	return c.work.cmd(func() tea.Msg {
		text, err := readReport(dir, path)
		return reportMsg{path, text, err}
	})
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

func (s *reportScreen) loaded(msg reportMsg) {
	if msg.path == s.path {
		s.text, s.err, s.width = msg.text, msg.err, 0
	}
}

func (s *reportScreen) keys(c *console) []binding {
	return append([]binding{
		{keys: []string{"esc"}, label: "esc", text: "back", do: func() tea.Cmd { return c.show(&c.run) }},
	}, scrollKeys(&s.scroll, s.page)...)
}

func (s *reportScreen) next(c *console) string {
	if c.rec.active() {
		return "esc"
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
		s.wrapped, s.width = markdown(s.text, w-2), w
	}
	s.page = h - 2
	shown := scrolled(s.wrapped, &s.scroll, h-1)
	out := make([]line, 0, h)
	for _, l := range shown {
		out = append(out, append(row(span{plain, " "}), l...))
	}
	for len(out) < h-1 {
		out = append(out, nil)
	}
	at := fmt.Sprintf(" %s, rows %d to %d of %d   space: a page down", filepath.Base(s.path), s.scroll+1, min(len(s.wrapped), s.scroll+h-1), len(s.wrapped))
	return append(out, row(span{dim, at}))
}
