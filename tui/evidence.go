package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
)

// evidenceScreen is what was preserved: how much, with which hashes, what is missing, and who holds it.
type evidenceScreen struct {
	scroll int
	page   int
}

func (s *evidenceScreen) title() string { return "Evidence" }

func (s *evidenceScreen) keys(c *console) []binding {
	return append([]binding{backToRun(c), noteKey(c)}, scrollKeys(&s.scroll, s.page)...)
}

func (s *evidenceScreen) next(*console) string { return "esc" }

func (s *evidenceScreen) view(c *console, w, h int) []line {
	s.page = h - 1
	return scrolledIn(indented(s.lines(c, w-2)), &s.scroll, h)
}

func (s *evidenceScreen) lines(c *console, w int) []line {
	r := c.rec
	out := []line{row(span{strong, "EVIDENCE"}, span{dim, fmt.Sprintf("  %s sealed at the desk", plural(len(r.Sealed), "package", "packages"))})}
	if len(r.Sealed) == 0 {
		out = append(out, row(span{dim, "nothing is sealed yet"}))
	}
	for _, item := range r.Custody.Items {
		out = append(append(out, nil), s.item(item, w)...)
	}
	out = append(out, nil, row(span{strong, "HOLD"}))
	switch held := r.Custody.Hold; {
	case held == nil:
		out = append(out, row(span{dim, "no legal hold"}))
	case held.On:
		out = append(out, paragraph(warn, "legal hold, by "+held.By+": "+held.Why, w)...)
	default:
		out = append(out, paragraph(plain, "legal hold released, by "+held.By+": "+held.Why, w)...)
	}
	out = append(out, nil, row(span{strong, "RECORD"}, span{dim, fmt.Sprintf("  %d entries", r.Entries)}))
	if len(r.Witnesses) == 0 {
		out = append(out, row(span{warn, "nobody else holds it: whoever owns this desk can write it anew"}))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Witnesses)) {
		v := r.Witnesses[name]
		text, look := fmt.Sprintf("entries up to %d, checkpoint of %d", v.Entries, v.Checkpoint), good
		if v.Error != "" {
			text, look = text+"; "+v.Error, warn
		}
		out = append(out, labelled(name, look, text, w)...)
	}
	return out
}

// item is one package.
func (s *evidenceScreen) item(item *incident.CustodyItem, w int) []line {
	e := item.Evidence
	head := row(span{good, "✓ "}, span{strong, item.Item}, span{plain, fmt.Sprintf("  %s, %s", plural(e.Files, "file", "files"), size(e.Bytes))})
	if item.Replaced {
		head[0] = span{warn, "! "}
		head = append(head, span{warn, "  broken, set aside"})
	}
	out := []line{head}
	add := func(label string, look token, text string) {
		if text != "" {
			out = append(out, labelled(label, look, text, w)...)
		}
	}
	var verdicts []string
	for _, v := range slices.Sorted(maps.Keys(e.Verdicts)) {
		verdicts = append(verdicts, fmt.Sprintf("%d %s", e.Verdicts[v], v))
	}
	add("  Files", plain, strings.Join(verdicts, ", "))
	add("  Lies in", plain, e.Path)
	add("  SHA-256", plain, e.Package)
	add("  Digest", dim, e.Digest)
	add("  Signed", plain, e.Signer)
	add("  Taken", plain, strings.Trim(item.At.UTC().Format("15:04:05")+" UTC, by "+item.By, " "))
	for _, left := range e.Left {
		add("  Left out", warn, left)
	}
	for _, p := range e.Problems {
		add("  Problem", warn, p)
	}
	for _, ev := range item.Events {
		if ev.What == "sealed" {
			continue
		}
		text, look := strings.TrimSpace(ev.At.UTC().Format("15:04:05")+" "+first(ev.Text, ev.Purpose)), plain
		if ev.Error != "" {
			text, look = text+" "+ev.Error, warn
		}
		add("  "+ev.What, look, text)
	}
	return out
}

// size is a number of bytes as people read it.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

func backToRun(c *console) binding {
	return binding{keys: []string{"esc"}, label: "esc", text: "back", do: func() tea.Cmd { return c.show(&c.run) }}
}
