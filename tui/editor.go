package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// A field that is tall is an editor: it takes lines, and says so much as the record takes in one go.

// newEditor is an empty editor.
func newEditor() field { return field{tall: true} }

// cleanLines makes pasted or typed text fit to be shown, line by line.
func cleanLines(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\t", "  ").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// within cuts text to so many bytes, at a character.
func within(runes []rune, bytes int) []rune {
	for i, r := range runes {
		if bytes -= utf8.RuneLen(r); bytes < 0 {
			return runes[:i]
		}
	}
	return runes
}

// place is a row of an editor: the characters from one to another.
type place struct{ from, to int }

// places breaks the text into rows of at most w cells: at its own line ends, at blanks, and within what
// no row holds. A mark stays with what it stands on.
func (f *field) places(w int) []place {
	w = max(w, 2) // room for a wide character
	var out []place
	from, blank, used := 0, -1, 0
	for i := 0; i < len(f.text); {
		r := f.text[i]
		if r == '\n' {
			out = append(out, place{from, i})
			from, blank, used = i+1, -1, 0
			i++
			continue
		}
		end := f.after(i)
		cells := ansi.StringWidth(string(f.text[i:end]))
		if used+cells > w && r != ' ' { // blanks hang over the edge
			if blank < 0 {
				blank = i
			}
			out = append(out, place{from, blank})
			from, used = blank, ansi.StringWidth(string(f.text[blank:i]))
			blank = -1
		}
		used += cells
		i = end
		if r == ' ' {
			blank = i
		}
	}
	return append(out, place{from, len(f.text)})
}

// after is where the character at i ends, with the marks on it.
func (f *field) after(i int) int {
	i++
	for i < len(f.text) && combining(f.text[i]) {
		i++
	}
	return min(i, len(f.text))
}

// before is where the character before i begins.
func (f *field) before(i int) int {
	i--
	for i > 0 && combining(f.text[i]) {
		i--
	}
	return max(i, 0)
}

func combining(r rune) bool { return unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) }

// rowOf is the row in which the cursor stands.
func (f *field) rowOf(all []place) int {
	for i, p := range all {
		if f.at < p.to || f.at == p.to && (i+1 == len(all) || all[i+1].from > p.to) {
			return i
		}
	}
	return len(all) - 1
}

// climb moves the cursor by rows, and keeps its column where it can.
func (f *field) climb(by int) {
	all := f.places(f.wide)
	now := f.rowOf(all)
	to := now + by
	switch {
	case to < 0:
		f.at = 0
		return
	case to >= len(all):
		f.at = len(f.text)
		return
	}
	column := ansi.StringWidth(string(f.text[all[now].from:f.at]))
	at, used := all[to].from, 0
	for at < all[to].to {
		end := f.after(at)
		if used += ansi.StringWidth(string(f.text[at:end])); used > column {
			break
		}
		at = end
	}
	if to+1 < len(all) && at == all[to].to && all[to+1].from == at && at > all[to].from {
		at = f.before(at) // its end is the beginning of the next row
	}
	f.at = at
}

// editLines takes the keys that only an editor has.
func (f *field) editLines(msg tea.KeyMsg) bool {
	switch msg.Type {
	case tea.KeyEnter:
		f.insert([]rune{'\n'})
	case tea.KeyUp:
		f.climb(-1)
	case tea.KeyDown:
		f.climb(1)
	case tea.KeyHome, tea.KeyCtrlA:
		f.at = f.lineStart()
	case tea.KeyEnd, tea.KeyCtrlE:
		if n := slices.Index(f.text[f.at:], '\n'); n >= 0 {
			f.at += n
		} else {
			f.at = len(f.text)
		}
	case tea.KeyCtrlU:
		from := f.lineStart()
		f.text, f.at = slices.Delete(f.text, from, f.at), from
	default:
		return false
	}
	return true
}

// insertLines puts text in where the cursor stands. It is cleaned together with what stands before it,
// so that a mark which is typed by itself finds its character.
func (f *field) insertLines(runes []rune) {
	room := incident.MaxAnswer - len(string(f.text))
	before := []rune(cleanLines(string(f.text[:f.at]) + string(within(runes, room))))
	f.text = within(slices.Concat(before, f.text[f.at:]), incident.MaxAnswer)
	f.at = min(len(before), len(f.text))
}

func (f *field) lineStart() int {
	at := f.at
	for at > 0 && f.text[at-1] != '\n' {
		at--
	}
	return at
}

// rows are the text in w cells and at most h rows, with what stands around the cursor in sight.
func (f *field) rows(w, h int) []line {
	f.wide = w - 3 // what stands before each row, and the cursor
	all := f.places(f.wide)
	now := f.rowOf(all)
	f.top = window(f.top, now, len(all), h)
	var out []line
	for i := f.top; i < len(all) && len(out) < h; i++ {
		p := all[i]
		if i != now {
			out = append(out, row(span{dim, "│ "}, span{plain, string(f.text[p.from:p.to])}))
			continue
		}
		out = append(out, row(span{accent, "│ "}, span{strong, string(f.text[p.from:f.at])}, span{accent, "▏"}, span{strong, string(f.text[f.at:p.to])}))
	}
	for len(out) < h {
		out = append(out, row(span{dim, "│"}))
	}
	return out
}

// extent says how much is written, of how much the record takes.
func (f *field) extent(w int) string {
	text := fmt.Sprintf("%d of %d bytes", len(string(f.text)), incident.MaxAnswer)
	if hidden := len(f.places(w-3)) - 1; hidden > 0 {
		text = plural(hidden+1, "row", "rows") + ", " + text
	}
	return text
}
