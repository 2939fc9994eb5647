package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// maxField bounds what a person can type into one field, in characters.
const maxField = 2000

// field is text that is being typed: one line, or many where it is tall.
type field struct {
	text   []rune
	at     int  // the cursor stands before this one
	hidden bool // it holds a secret: what is typed is never drawn

	tall bool
	wide int // cells of its rows when it was drawn last
	top  int // its first row that was in sight
}

func (f *field) String() string { return string(f.text) }

// edit takes a key and reports whether it was one for a field.
func (f *field) edit(msg tea.KeyMsg) bool {
	if f.tall && f.editLines(msg) {
		return true
	}
	switch msg.Type {
	case tea.KeyRunes, tea.KeySpace:
		if msg.Alt {
			return false
		}
		f.insert(msg.Runes)
	case tea.KeyBackspace:
		if f.at > 0 {
			f.text = slices.Delete(f.text, f.at-1, f.at)
			f.at--
		}
	case tea.KeyDelete:
		if f.at < len(f.text) {
			f.text = slices.Delete(f.text, f.at, f.after(f.at))
		}
	case tea.KeyLeft:
		f.at = f.before(f.at)
	case tea.KeyRight:
		f.at = f.after(f.at)
	case tea.KeyHome, tea.KeyCtrlA:
		f.at = 0
	case tea.KeyEnd, tea.KeyCtrlE:
		f.at = len(f.text)
	case tea.KeyCtrlU:
		f.text, f.at = slices.Delete(f.text, 0, f.at), 0
	case tea.KeyCtrlW:
		from := f.at
		for from > 0 && f.text[from-1] == ' ' {
			from--
		}
		for from > 0 && f.text[from-1] != ' ' && f.text[from-1] != '\n' {
			from--
		}
		f.text, f.at = slices.Delete(f.text, from, f.at), from
	default:
		return false
	}
	return true
}

func (f *field) insert(runes []rune) {
	switch {
	case f.hidden: // as it is: a private key has lines
		runes = runes[:min(len(runes), maxSecret-len(f.text))]
	case f.tall:
		f.insertLines(runes)
		return
	default:
		runes = []rune(clean(string(runes)))
		runes = runes[:min(len(runes), maxField-len(f.text))]
	}
	f.text = slices.Insert(f.text, f.at, runes...)
	f.at += len(runes)
}

// line shows the field in w cells, with what stands around the cursor in sight.
func (f *field) line(w int) line {
	room := w - 3 // the prompt, and the cursor
	if f.hidden {
		dots := strings.Repeat("*", min(len(f.text), max(0, room-18)))
		return row(span{dim, "> "}, span{strong, dots}, span{accent, "▏"}, span{dim, " " + plural(len(f.text), "character", "characters")})
	}
	before, after := string(f.text[:f.at]), string(f.text[f.at:])
	if over := ansi.StringWidth(before) - room; over > 0 {
		before = ansi.TruncateLeft(before, over+1, "…")
	}
	after = ansi.Truncate(after, max(0, room-ansi.StringWidth(before)), "…")
	return row(span{dim, "> "}, span{strong, before}, span{accent, "▏"}, span{strong, after})
}

// wipe empties the field, and what it held.
func (f *field) wipe() {
	clear(f.text[:cap(f.text)])
	f.text, f.at = nil, 0
}

func (f *field) blank() bool { return strings.TrimSpace(string(f.text)) == "" }
