package tui

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Home is what can be begun at a desk, and what is known there before anything is. It begins nothing
// itself: what is chosen comes back as a command line.
type Home struct {
	Desk  string
	By    string // who is here
	Known string // and by what that is known
	Ways  []Way  // the likeliest first
	// Missing is what a response would miss.
	Missing []Missing

	Machines []Machine // that can be responded to
	Types    bool      // any other machine can be typed
	Books    []Book
	// Line is the command line of a declaration, without the program's name, or why there is none. It
	// does no I/O.
	Line func(Declaration) ([]string, error)
	// Look says what is known of a machine before anybody goes on: of this one by a look at its disk, of
	// another from the records alone. It may take seconds. Nil: nothing is.
	Look func(ctx context.Context, machine string) string
}

// Way is something that can be begun from Home.
type Way struct {
	Key   string // a letter
	Text  string // a row
	About string // in full
	Does  string // what its key does, in a few words
	Args  []string
	Leads Leads
	// Asks is what is shown before it begins, for what goes on by itself from then on.
	Asks string
}

// Leads is where a way leads.
type Leads int

// A way begins its command line, or leads to a screen of Home.
const (
	ToCommand Leads = iota
	ToDeclare
	ToReadiness
)

// Missing is something that a response would miss, and what to do about it.
type Missing struct{ Text, Hint string }

// Machine is one that can be responded to.
type Machine struct{ Name, About string }

// Book is a playbook that can be carried out.
type Book struct {
	Name, Title, About string
	Then               string // what starting it does, and what of that asks
	Default            bool
}

// Declaration is what was chosen for a response.
type Declaration struct {
	Machine  string
	Book     string
	Severity int // 1 is the worst, 3 the least; 0 leaves it open
}

// RunHome shows Home until the person chooses what to begin, and returns its command line, or until
// they leave: then it is nil. The screen is given back in each case. It returns the cause when ctx is
// done, and ErrTerminal when the terminal is gone.
func RunHome(ctx context.Context, o Options, of Home) ([]string, error) {
	ours, end := context.WithCancelCause(ctx)
	defer end(context.Canceled)
	lost := func() { end(ErrTerminal) }
	o = o.withDefaults()
	o.Input, o.Output = o.input(lost), oneWriter(o.Output, lost)
	w := &work{ctx: ours}
	h := newHome(o, of, w)
	_, err := tea.NewProgram(h, append(programOptions(ours, o), tea.WithFPS(frames))...).Run()
	gone := errors.Is(context.Cause(ours), ErrTerminal)
	end(context.Canceled)
	w.wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case gone:
		return nil, ErrTerminal
	case h.failed != nil:
		return nil, h.failed
	case err != nil:
		return nil, fmt.Errorf("home: %w", err)
	}
	return h.chosen, nil
}

// home is the model of Home. Update only routes: to the page, then to the keys of every page.
type home struct {
	Home
	o     Options
	work  *work
	later func(time.Duration, tea.Msg) tea.Cmd // a message in a while
	theme theme
	w, h  int

	menu    menuPage
	declare declarePage
	page    page

	notice  string
	settled bool // what weighs counts; not so for a moment after a key that chose something
	opened  int  // counts what starts such a moment anew
	chosen  []string
	failed  error
}

// page is a screen of Home.
type page interface {
	title() string
	keys(h *home) []binding
	// next names the key that leads on.
	next(h *home) string
	// input is the field that takes what is no key of the page, or nil.
	input() *field
	// view draws into w by rows cells, or less.
	view(h *home, w, rows int) []line
}

// lookedMsg is what a look at a machine found.
type lookedMsg struct{ machine, text string }

func newHome(o Options, of Home, w *work) *home {
	h := &home{Home: of, o: o, work: w, later: later, theme: themeOf(o), settled: true}
	h.declare.looked = make(map[string]string)
	for i, b := range of.Books {
		if b.Default {
			h.declare.at[bookRow] = i
		}
	}
	h.page = &h.menu
	return h
}

// Init implements tea.Model.
func (h *home) Init() tea.Cmd { return nil }

// Update handles one message. A fault in it ends Home with the screen given back.
func (h *home) Update(msg tea.Msg) (m tea.Model, cmd tea.Cmd) {
	defer func() {
		if p := recover(); p != nil {
			h.failed = fault(debug.Stack())
			m, cmd = h, tea.Quit
		}
	}()
	if h.failed != nil { // in View
		return h, tea.Quit
	}
	return h, h.update(msg)
}

func (h *home) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		h.w, h.h = msg.Width, msg.Height
	case armMsg:
		if int(msg) == h.opened {
			h.settled = true
		}
	case lookedMsg:
		h.declare.looked[msg.machine] = msg.text
	case awakeMsg:
		if msg.err != nil {
			h.notice = "ctrl+z suspend: " + msg.err.Error()
		}
	case failedMsg:
		h.failed = msg.err
		return tea.Quit
	case tea.KeyMsg:
		return h.key(msg)
	}
	return nil
}

func (h *home) key(msg tea.KeyMsg) tea.Cmd {
	switch {
	case msg.Type == tea.KeyCtrlC:
		return tea.Quit
	case msg.Type == tea.KeyCtrlZ:
		return h.suspend()
	case h.small(): // nothing is chosen that cannot be seen
		return nil
	}
	h.notice = ""
	f := h.page.input()
	switch several := msg.Type == tea.KeyRunes && len(msg.Runes) > 1; {
	case msg.Paste && f == nil:
		h.notice = "a paste presses no keys"
		return nil
	case msg.Paste:
		f.insert(msg.Runes)
		return h.settle()
	case several && f == nil:
		h.notice = "that came in one piece, as a paste does: press one key"
		return h.settle()
	}
	return h.press(msg)
}

// press hands one key to the page, then to the keys of every page.
func (h *home) press(msg tea.KeyMsg) tea.Cmd {
	b, ok := find(h.page.keys(h), msg.String())
	if f := h.page.input(); !ok && f != nil {
		f.edit(msg)
		return h.settle()
	}
	if !ok {
		b, ok = find(h.globalKeys(), msg.String())
	}
	switch {
	case !ok:
		return nil
	case b.off != "":
		h.notice = b.label + " " + b.text + ": not now, " + b.off
		return nil
	case b.weighs && !h.settled:
		h.notice = "too fast to be read: press " + b.label + " again"
		return h.settle()
	}
	return b.do()
}

// settle starts the pause in which nothing is begun: a terminal that marks no paste hands it in as keys.
func (h *home) settle() tea.Cmd {
	h.settled = false
	h.opened++
	return h.later(beat, armMsg(h.opened))
}

func (h *home) suspend() tea.Cmd {
	if h.o.Suspend == nil {
		h.notice = "ctrl+z suspend: not now, there is no shell to come back to"
		return nil
	}
	return tea.Exec(suspension{h.o.Suspend}, func(err error) tea.Msg { return awakeMsg{err} })
}

// begin leaves Home with a command line.
func (h *home) begin(args []string) tea.Cmd {
	h.chosen = args
	return tea.Quit
}

func (h *home) show(p page) tea.Cmd {
	h.page = p
	return h.settle()
}

// globalKeys work on every page.
func (h *home) globalKeys() []binding {
	help := binding{keys: []string{"?"}, label: "?", text: "help", do: func() tea.Cmd { return h.show(&keysPage{of: h.page}) }}
	leave := binding{keys: []string{"q", "ctrl+c"}, label: "q", text: "leave", do: func() tea.Cmd { return tea.Quit }}
	still := binding{keys: []string{"ctrl+z"}, label: "ctrl+z", text: "suspend", quiet: true, do: h.suspend}
	if h.page.input() != nil { // the others are letters of what is typed
		leave.keys, leave.label = leave.keys[1:], "ctrl+c"
		return []binding{leave, still}
	}
	return []binding{help, leave, still}
}

func (h *home) small() bool { return h.w < minWidth || h.h < minHeight }

// View draws the screen: never more rows or cells than the terminal has.
func (h *home) View() (view string) {
	defer func() {
		if p := recover(); p != nil {
			h.failed = fault(debug.Stack())
			view = ""
		}
	}()
	if h.w <= 0 || h.h <= 0 {
		return ""
	}
	all := h.lines()
	rows := make([]string, 0, h.h)
	for _, l := range all[:min(len(all), h.h)] {
		rows = append(rows, h.theme.draw(l, h.w))
	}
	return strings.Join(rows, "\n")
}

func (h *home) lines() []line {
	head := spread(row(span{strong, "clawback"}, span{dim, "  you: " + h.By}), row(span{dim, "desk: "}, span{plain, h.Desk + " "}), h.w)
	if h.small() {
		text := fmt.Sprintf("Home needs %dx%d; this is %dx%d. Enlarge it, or leave with ctrl+c:\nclawback --help lists the commands; ACCESSIBLE=1 clawback asks line by line.", minWidth, minHeight, h.w, h.h)
		return append([]line{head}, paragraph(plain, text, h.w)...)
	}
	body := layoutFrame(h.w, h.h).Body
	title := rule(h.w, span{strong, h.page.title()})
	if h.page == &h.declare {
		title = rule(h.w, span{realMode, "┃ REAL ┃"}, span{strong, " " + h.page.title()})
	}
	out := append([]line{head, title}, h.page.view(h, body.W, body.H)...)
	for len(out) < h.h-2 {
		out = append(out, nil)
	}
	note := rule(h.w)
	if h.notice != "" {
		note = rule(h.w, span{warn, "! " + h.notice})
	}
	keys, next := append(h.page.keys(h), h.globalKeys()...), h.page.next(h)
	b, _ := find(keys, next)
	return append(out[:h.h-2], note, footer(keys, next, !b.weighs || h.settled, h.w))
}
