package tui

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// maxText bounds what is shown of one text of the record.
const maxText = 16 << 10

// clean makes any text fit to be shown on one line: what could steer the terminal, hide or
// reorder text, or take no cell of its own becomes a visible replacement character. Nothing of
// an attacker's text vanishes, and nothing of it acts. To clean it again changes nothing.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:boundary(s, maxText)] + "…"
	}
	if harmless(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	marks := maxMarks // none may open a text: it would join what stands before it
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) && r != '\u2028' && r != '\u2029' && r != '\u0085' && r != '\v' && r != '\f':
			r = ' '
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) || unicode.Is(unicode.Mc, r):
			if marks++; marks > maxMarks || variation(r) {
				continue
			}
			b.WriteRune(r)
			continue
		case !unicode.IsPrint(r) && r != ' ', regional(r), joining(r):
			r = utf8.RuneError
		}
		marks = 0
		b.WriteRune(r)
	}
	return b.String()
}

// maxMarks is how many combining marks a character keeps: more of them paint over other lines.
const maxMarks = 2

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// harmless reports whether a text holds nothing but ASCII and the symbols of our own.
func harmless(s string) bool {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c >= 0x20 && c <= 0x7e:
			i++
		case c == 0xe2 && i+2 < len(s) && oneCell(s[i:i+3]):
			i += 3
		default:
			return false
		}
	}
	return true
}

// Terminals disagree on the width of these.
func variation(r rune) bool { return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef }
func regional(r rune) bool  { return r >= 0x1f1e6 && r <= 0x1f1ff }
func joining(r rune) bool {
	return r >= 0x1160 && r <= 0x11ff || r >= 0xd7b0 && r <= 0xd7ff || r >= 0x1f3fb && r <= 0x1f3ff ||
		r == 0x115f || r == 0x3164 || r == 0xffa0
}

// span is a piece of text with its look.
type span struct {
	look token
	text string
}

// line is one row of the screen. It is only ever drawn by theme.draw, which cleans it.
type line []span

func row(spans ...span) line { return spans }

func (l line) width() int {
	w := 0
	for _, s := range l {
		w += cells(opening(s.text, maxCells))
	}
	return w
}

func (l line) empty() bool {
	for _, s := range l {
		if s.text != "" {
			return false
		}
	}
	return true
}

// maxCells is more than any terminal has in a row.
const maxCells = 400

// opening is the cleaned beginning of a text, enough of it for w cells: a text of any length
// costs no more than what can be seen of it.
func opening(s string, w int) string {
	if most := 16*max(w, 0) + 64; len(s) > most { // a character with two marks takes 12 bytes
		s = s[:boundary(s, most)] + "…"
	}
	return clean(s)
}

// cells is how many cells a cleaned or drawn text takes. Most of what is on a screen needs no look at its
// grapheme clusters, which takes most of the time of a frame.
func cells(s string) (n int) {
	for i := 0; i < len(s); n++ {
		switch c := s[i]; {
		case c >= 0x20 && c <= 0x7e:
			i++
		case c == 0xe2 && i+2 < len(s) && oneCell(s[i:i+3]):
			i += 3
		case c == 0x1b && setsLook(s[i:]) > 0:
			i += setsLook(s[i:])
			n--
		default:
			return ansi.StringWidth(s)
		}
	}
	return n
}

// oneCell knows the frames, and the symbols that we use ourselves.
func oneCell(s string) bool {
	switch s {
	case "…", "–", "●", "○", "◌", "◔", "◑", "◕", "◐", "◇", "■", "▸", "▰", "▱", "▏", "✓", "✗":
		return true
	}
	return s >= "─" && s <= "╿"
}

// setsLook is the length of the sequence at the beginning of a drawn text that sets a look; 0 for none.
func setsLook(s string) int {
	for i := 2; i < len(s) && s[1] == '['; i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// draw gives the line exactly w cells: cut with … or filled with blanks.
func (t theme) draw(l line, w int) string {
	if w <= 0 {
		return ""
	}
	var out strings.Builder
	left := w
	for i, s := range l {
		text := opening(s.text, left)
		sw := cells(text)
		over := sw > left || sw == left && !l[i+1:].empty()
		if over {
			text = ansi.Truncate(text+"  ", left, "…")
			sw = cells(text)
		}
		if t.ascii {
			text = toASCII(text)
			sw = len(text)
		}
		if text != "" {
			look := t.styles[s.look]
			out.WriteString(look.on + text + look.off)
		}
		left -= sw
		if over {
			break
		}
	}
	// Neighbours may still join into one cell, so the whole line is measured once more.
	return fit(out.String(), w)
}

// fit cuts or fills a drawn line to w cells.
func fit(s string, w int) string {
	have := cells(s)
	if have > w {
		s = ansi.Truncate(s, w, "")
		have = cells(s)
	}
	return s + strings.Repeat(" ", max(0, w-have))
}

func toASCII(s string) string {
	s = plainGlyphs.Replace(s)
	if printableASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

// column cuts or fills text to w cells.
func column(s string, w int) string {
	if w <= 0 {
		return ""
	}
	return fit(ansi.Truncate(opening(s, w), w, "…"), w)
}

// columnRight is column with the text at its right end.
func columnRight(s string, w int) string {
	s = ansi.Truncate(opening(s, w), max(0, w), "…")
	return strings.Repeat(" ", max(0, w-cells(s))) + s
}

// shorten cuts a masked credential so that its last characters, which tell it apart, stay.
func shorten(masked string, w int) string {
	s := opening(masked, 4*max(w, 0))
	if cells(s) <= w {
		return s
	}
	head, tail, ok := strings.Cut(s, "…")
	tail = "…" + tail
	if room := w - cells(tail); ok && room > 0 {
		return ansi.Truncate(head, room, "") + tail
	}
	return ansi.Truncate(s, max(0, w), "…")
}

// wrap breaks text into lines of at most w cells, keeping its own line ends.
func wrap(s string, w int) []string {
	w = max(w, 2) // room for a wide character
	if len(s) > maxText {
		s = s[:boundary(s, maxText)] + "…"
	}
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		out = append(out, wrapWords(clean(paragraph), w)...)
	}
	return out
}

// wrapWords breaks at blanks, and within words that no line holds. (ansi.Wrap now and then gives
// a line one cell too wide, and its last character would then be lost.)
func wrapWords(s string, w int) []string {
	var out []string
	now := ""
	for s != "" {
		end := strings.IndexByte(s, ' ')
		if end == 0 {
			end = len(s) - len(strings.TrimLeft(s, " "))
		} else if end < 0 {
			end = len(s)
		}
		word := s[:end]
		s = s[end:]
		if cells(now+word) <= w {
			now += word
			continue
		}
		if now = strings.TrimRight(now, " "); now != "" {
			out = append(out, now)
		}
		now = ""
		if word[0] == ' ' { // a line never begins with the blanks that it was broken at
			continue
		}
		for {
			piece := word[:boundary(word, 16*w+64)] // more than a line holds: a long word stays cheap
			if len(piece) == len(word) && cells(piece) <= w {
				break
			}
			head := ansi.Truncate(piece, w, "")
			if head == "" { // one character that is wider than a line
				break
			}
			out = append(out, head)
			word = word[len(head):]
		}
		now = word
	}
	return append(out, now)
}

// boundary is the end of the character that stands at n, or of the text.
func boundary(s string, n int) int {
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n++
	}
	return min(n, len(s))
}

// paragraph is wrapped text with one look.
func paragraph(look token, s string, w int) []line {
	var out []line
	for _, l := range wrap(s, w) {
		out = append(out, row(span{look, l}))
	}
	return out
}

// indented puts a blank before each line.
func indented(all []line) []line {
	for i, l := range all {
		all[i] = append(row(span{plain, " "}), l...)
	}
	return all
}

// labelled is wrapped text behind a label.
func labelled(label string, look token, s string, w int) []line {
	const indent = 12
	var out []line
	for _, l := range wrap(s, w-indent) {
		out = append(out, row(span{dim, column(label, indent)}, span{look, l}))
		label = ""
	}
	return out
}

func clock(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	return fmt.Sprintf("+%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// age is a time that fits a narrow column: 0:08, 12:40, 3h07, 4d.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02d", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
