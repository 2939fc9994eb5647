package tui

import (
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

// theme draws text. It uses the sixteen colours that people choose for their terminal, so it
// fits light and dark ones alike without asking which it is.
type theme struct {
	styles [tokens]style
	ascii  bool // the terminal shows nothing but ASCII
}

// style is what stands before and after a text to give it its look: hundreds of them make a frame.
type style struct{ on, off string }

func styleOf(s lipgloss.Style) style {
	on, off, _ := strings.Cut(s.Render("x"), "x")
	return style{on, off}
}

func newTheme(r *lipgloss.Renderer, ascii bool) theme {
	s := r.NewStyle
	t := theme{ascii: ascii}
	looks := [tokens]lipgloss.Style{
		plain:     s(),
		dim:       s().Faint(true),
		strong:    s().Bold(true),
		accent:    s().Bold(true).Foreground(lipgloss.Color("6")),
		next:      s().Bold(true).Foreground(lipgloss.Color("6")).Reverse(true),
		good:      s().Foreground(lipgloss.Color("2")),
		busy:      s().Foreground(lipgloss.Color("12")),
		warn:      s().Foreground(lipgloss.Color("3")),
		danger:    s().Bold(true).Foreground(lipgloss.Color("1")),
		realMode:  s().Bold(true).Foreground(lipgloss.Color("1")).Reverse(true),
		drillMode: s().Bold(true).Foreground(lipgloss.Color("4")).Reverse(true),
	}
	for i, look := range looks {
		t.styles[i] = styleOf(look)
	}
	return t
}

// newRenderer decides on colour by what the person asked for and what the terminal is.
func newRenderer(o Options) (r *lipgloss.Renderer, ascii bool) {
	term := o.Getenv("TERM")
	r = lipgloss.NewRenderer(o.Output)
	r.SetHasDarkBackground(true) // or it asks the terminal
	r.SetColorProfile(termenv.ANSI)
	if Dumb(term) || o.NoColor || o.Getenv("NO_COLOR") != "" {
		r.SetColorProfile(termenv.Ascii)
	}
	return r, Dumb(term) || term == "linux" // whose font has few of the symbols
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
