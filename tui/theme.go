package tui

import (
	"cmp"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// token names what a piece of text is; the theme says how that looks. Colour is only ever an
// addition: the words and symbols say the same without it.
type token int

const (
	plain  token = iota
	dim          // what can be passed over
	strong       // titles, the selected row
	accent       // what needs a person, the pane with the focus
	next         // the next key
	good
	busy
	warn
	danger
	realMode
	drillMode
	tokens
)

// theme draws text.
type theme struct {
	styles [tokens]style
	ascii  bool // the terminal shows nothing but ASCII
}

// style is what stands before and after a text to give it its look: hundreds of them make a frame.
type style struct{ on, off string }

// look is a colour, by its number, and how the text is set.
type look struct {
	fg, bg               string
	bold, faint, reverse bool
}

type palette [tokens]look

var (
	// ansi16 are the sixteen colours that people choose for their terminal: they fit light and dark ones
	// alike without asking which it is.
	ansi16 = palette{
		plain: {}, dim: {faint: true}, strong: {bold: true},
		accent: {fg: "6", bold: true}, next: {fg: "6", bold: true, reverse: true},
		good: {fg: "2"}, busy: {fg: "12"}, warn: {fg: "3"}, danger: {fg: "1", bold: true},
		realMode: {fg: "1", bold: true, reverse: true}, drillMode: {fg: "4", bold: true, reverse: true},
	}
	// dark and light are of the colours that no terminal changes, 16 to 255, so that what stands on a ground
	// of which somebody said that it is dark, or light, can be read there.
	dark = palette{
		plain: {}, dim: {fg: "247"}, strong: {bold: true},
		accent: {fg: "80", bold: true}, next: {fg: "16", bg: "80", bold: true},
		good: {fg: "114"}, busy: {fg: "111"}, warn: {fg: "221"}, danger: {fg: "210", bold: true},
		realMode: {fg: "231", bg: "124", bold: true}, drillMode: {fg: "231", bg: "25", bold: true},
	}
	light = palette{
		plain: {}, dim: {fg: "240"}, strong: {bold: true},
		accent: {fg: "23", bold: true}, next: {fg: "231", bg: "23", bold: true},
		good: {fg: "22"}, busy: {fg: "25"}, warn: {fg: "94"}, danger: {fg: "124", bold: true},
		realMode: {fg: "231", bg: "124", bold: true}, drillMode: {fg: "231", bg: "25", bold: true},
	}
)

func newTheme(r *lipgloss.Renderer, of palette, ascii bool) theme {
	t := theme{ascii: ascii}
	for i, l := range of {
		s := r.NewStyle().Bold(l.bold).Faint(l.faint).Reverse(l.reverse)
		if l.fg != "" {
			s = s.Foreground(lipgloss.Color(l.fg))
		}
		if l.bg != "" {
			s = s.Background(lipgloss.Color(l.bg))
		}
		on, off, _ := strings.Cut(s.Render("x"), "x")
		t.styles[i] = style{on, off}
	}
	return t
}

// Themes are what a person can choose from. Without a choice it is the terminal's own sixteen colours.
var Themes = []string{"dark", "light"}

// themeOf decides on colour by what the person asked for and what the terminal is.
func themeOf(o Options) theme {
	term := o.Getenv("TERM")
	r := lipgloss.NewRenderer(o.Output)
	r.SetHasDarkBackground(true) // or it asks the terminal
	r.SetColorProfile(termenv.ANSI)
	of := ansi16
	if knows256(term, o.Getenv("COLORTERM")) {
		switch cmp.Or(o.Theme, ground(o.Getenv("COLORFGBG"))) {
		case "dark":
			of = dark
			r.SetColorProfile(termenv.ANSI256)
		case "light":
			of = light
			r.SetColorProfile(termenv.ANSI256)
		}
	}
	if Dumb(term) || o.NoColor || o.Getenv("NO_COLOR") != "" {
		r.SetColorProfile(termenv.Ascii)
	}
	return newTheme(r, of, Dumb(term) || term == "linux") // whose font has few of the symbols
}

func knows256(term, colorterm string) bool {
	return strings.HasSuffix(term, "-256color") || strings.HasSuffix(term, "-direct") || colorterm == "truecolor" || colorterm == "24bit"
}

// ground is "dark" or "light" as the terminal says of itself ("15;0": white on black), and "" where it says
// nothing.
func ground(colorfgbg string) string {
	switch bg := colorfgbg[strings.LastIndexByte(colorfgbg, ';')+1:]; bg {
	case "0", "1", "2", "3", "4", "5", "6", "8":
		return "dark"
	case "7", "15":
		return "light"
	}
	return ""
}

// mark is a state as people see it: always a symbol and a word.
type mark struct {
	symbol, word string
	look         token
}

var lifeMarks = map[credential.Life]mark{
	credential.Found:       {"○", "found", plain},
	credential.Requested:   {"◔", "requested", busy},
	credential.Accepted:    {"◑", "accepted", busy},
	credential.Propagating: {"◕", "propagating", busy},
	credential.Dead:        {"✓", "dead", good},
	credential.Alive:       {"!", "alive", danger},
	credential.Manual:      {"◇", "manual", warn},
	credential.Unverified:  {"?", "unverified", warn},
	credential.Failed:      {"✗", "failed", danger},
	credential.Skipped:     {"–", "skipped", dim},
}

// unknown is a credential whose revocation was sent by a run that died before the answer: not
// dead, not alive, and not the same as a proof that failed.
var unknown = mark{"◌", "unknown", warn}

// harmlessMark is what looks like a credential and is none that works.
var harmlessMark = mark{"–", "harmless", dim}

// credMark is how a credential stands.
func credMark(c *incident.Credential) mark {
	if c.Indeterminate {
		return unknown
	}
	return lifeMark(c.Life)
}

func lifeMark(l credential.Life) mark {
	if m, ok := lifeMarks[l]; ok {
		return m
	}
	return mark{"?", string(l), warn}
}

var stepMarks = map[string]mark{
	incident.Waiting: {"·", "waiting", dim},
	incident.Running: {"◐", "running", busy},
	incident.Done:    {"✓", "done", good},
	incident.Failed:  {"✗", "failed", danger},
	incident.Skipped: {"–", "skipped", dim},
	asking:           {"◇", "asks you", accent},
	approving:        {"◇", "approval", accent},
}

// Statuses of a step as the screens show it.
const (
	asking    = "asking"    // it waits for an answer
	approving = "approving" // it waits for people who approve it
)

func stepMark(status string) mark {
	if m, ok := stepMarks[status]; ok {
		return m
	}
	return mark{"?", status, warn}
}

// plainGlyphs stand in for our own symbols where only ASCII can be shown, cell for cell.
var plainGlyphs = strings.NewReplacer(
	"○", "o", "◌", "%", "◔", "o", "◑", "o", "◕", "o", "✓", "+", "◇", "!", "✗", "x", "–", "-", "·", ".", "◐", "*",
	"●", "*", "■", "#", "▸", ">", "…", "~", "×", "x", "▏", "_", "▰", "#", "▱", ".", "↑", "^", "↓", "v", "→", ">",
	"─", "-", "│", "|", "┃", "|", "┌", "+", "┐", "+", "└", "+", "┘", "+", "├", "+", "┤", "+", "┬", "+", "┴", "+", "\ufffd", "?",
)
