package tui

import (
	"errors"
	"runtime/debug"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

const (
	// pause is how long the hands must rest before a fresh overlay takes a key, or the screen below
	// one that was answered: who types "yes" at a question means none of its other letters.
	pause = 300 * time.Millisecond
	// beat is how long after what was typed enter counts: longer than a terminal takes between two keys
	// of a paste, and shorter than a person takes from the last letter to enter.
	beat = 150 * time.Millisecond
)

// console is the one Bubble Tea model. Update only routes: to the topmost layer, then to the
// global keys. Whatever waits or touches a file runs as a command.
type console struct {
	o     Options
	work  *work
	later func(time.Duration, tea.Msg) tea.Cmd // a message in a while
	theme theme
	w, h  int
	now   time.Time // by the response's clock

	rec      *record
	answered map[string]bool  // questions whose answer is on its way
	drafts   map[string]field // what was typed into a question and not sent
	copied   map[credential.Fingerprint]bool

	plan     planScreen
	run      runScreen
	detail   detailScreen
	report   reportScreen
	evidence evidenceScreen
	timeline timelineScreen
	brief    briefScreen
	screen   layer
	overlays []overlay
	armed    bool // keys count; not so for a moment after a guarded overlay opened or closed
	settled  bool // what weighs counts; not so for a moment after typing
	opened   int  // counts what starts such a moment anew

	notice   string
	bad      bool // the notice is about a failure
	shown    int  // seconds that the notice has stood there
	stopping bool
	failed   error // why the console had to end
}

// Messages to the console.
type (
	entriesMsg []journal.Entry
	endMsg     struct{ err error } // the record is closed, or cannot be read further
	tickMsg    struct{}
	armMsg     int
	sentMsg    struct {
		cmd  engine.Command
		done string
		err  error
	}
	copiedMsg struct {
		link string
		err  error
	}
	stoppedMsg struct{ err error } // the response was asked to end
	failedMsg  struct{ err error }
)

func newConsole(o Options, w *work) *console {
	c := &console{
		o: o, work: w, later: later, theme: themeOf(o), rec: newRecord(), now: o.Now(),
		answered: make(map[string]bool), drafts: make(map[string]field),
		copied: make(map[credential.Fingerprint]bool), armed: true, settled: true,
	}
	c.screen = &c.plan
	if c.guest() { // it is under way: what needs somebody comes first
		c.screen, c.plan.seen = &c.run, true
	}
	return c
}

// Init starts the clock of the screen.
func (c *console) Init() tea.Cmd { return c.later(time.Second, tickMsg{}) }

func later(d time.Duration, msg tea.Msg) tea.Cmd {
	return tea.Tick(d, func(time.Time) tea.Msg { return msg })
}

// Update handles one message. A fault in it ends the console with the screen restored; its value
// is not shown, for it may quote the record.
func (c *console) Update(msg tea.Msg) (m tea.Model, cmd tea.Cmd) {
	defer func() {
		if p := recover(); p != nil {
			c.failed = fault(debug.Stack())
			m, cmd = c, tea.Quit
		}
	}()
	if c.failed != nil { // in View
		return c, tea.Quit
	}
	return c, c.update(msg)
}

func (c *console) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		c.w, c.h = msg.Width, msg.Height
	case tickMsg:
		c.now = c.o.Now()
		if c.shown++; !c.bad && c.shown >= noticeSeconds { // a complaint stays until a key is pressed
			c.notice = ""
		}
		return c.later(time.Second, tickMsg{})
	case entriesMsg:
		return c.take(msg)
	case endMsg:
		c.rec.over, c.rec.broken = true, msg.err
		return c.closeStale()
	case armMsg:
		if int(msg) == c.opened {
			c.armed, c.settled = true, true
		}
	case sentMsg:
		c.sent(msg)
	case copiedMsg:
		c.say("copied: " + msg.link + " (where the terminal allows it)")
		if msg.err != nil {
			c.complain("copy the link: " + msg.err.Error())
		}
	case reportMsg:
		c.report.loaded(msg, c.w)
	case awakeMsg:
		c.now = c.o.Now()
		if msg.err != nil {
			c.complain("ctrl+z suspend: " + msg.err.Error())
		}
	case stoppedMsg:
		c.interrupted(msg.err)
	case failedMsg:
		c.failed = msg.err
		return tea.Quit
	case tea.KeyMsg:
		return c.key(msg)
	}
	return nil
}

// take folds entries into the record.
func (c *console) take(entries []journal.Entry) tea.Cmd {
	for _, e := range entries {
		c.rec.add(e)
		c.heard(e)
	}
	c.now = c.o.Now()
	return c.closeStale()
}

// heard takes note of what the record says about what was sent from here, or from another console.
func (c *console) heard(e journal.Entry) {
	switch e.Type {
	case incident.TypeAnswered:
		var a incident.Answer
		if e.Decode(&a) == nil {
			delete(c.answered, a.Question)
			delete(c.drafts, a.Question)
		}
	case incident.TypeRefused:
		var r incident.InboxRefused
		if e.Decode(&r) != nil || !c.rec.active() {
			return
		}
		clear(c.answered) // what is still open can be answered again
		if c.o.Sent != nil && c.o.Sent(r.File) {
			c.complain("not taken: " + r.Why)
		}
	}
}

// closeStale closes the overlay of a question that somebody else answered, or that ended
// unanswered. What is still being typed into it must not press the keys of the screen below.
func (c *console) closeStale() tea.Cmd {
	for i, o := range c.overlays {
		if ask, ok := o.(*askOverlay); ok && !c.open(ask.q.ID) {
			c.overlays = c.overlays[:i]
			c.say("“" + ask.q.Title + "” " + c.closedBy(ask.q))
			return c.guard()
		}
	}
	return nil
}

// closedBy says what became of a question that is not open.
func (c *console) closedBy(q incident.Question) string {
	if a, ok := c.rec.Decisions[q.Step]; ok && a.Question == q.ID {
		return "was answered by " + a.By
	}
	return "is not open any more"
}

func (c *console) open(question string) bool {
	for _, n := range c.rec.needs(c.answered) {
		if n.question != nil && n.question.ID == question {
			return true
		}
	}
	return false
}

func (c *console) key(msg tea.KeyMsg) tea.Cmd {
	switch msg.Type { // hands that press these, or what they cannot see, have not paused
	case tea.KeyCtrlC:
		return tea.Batch(c.settle(), c.stop())
	case tea.KeyCtrlZ:
		return c.suspend()
	}
	if c.small() { // nothing is done that cannot be seen
		return c.settle()
	}
	if msg.Paste {
		return c.paste(msg)
	}
	if !c.armed && msg.Type != tea.KeyEsc {
		if c.top() == nil && c.notice == "" {
			c.complain("that key came too soon after a dialog closed: it did nothing")
		}
		return c.guard()
	}
	c.notice = ""
	if msg.Type == tea.KeyRunes && len(msg.Runes) > 1 && c.input() == nil {
		if o := c.top(); o != nil && o.guarded() {
			c.complain("that came in one piece, as a paste does: press one key")
			return c.guard()
		}
		// Fast typing over a slow line arrives in one piece.
		var cmds []tea.Cmd
		for _, r := range msg.Runes {
			one := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt}
			cmds = append(cmds, c.key(one))
		}
		return tea.Batch(cmds...)
	}
	return c.press(msg)
}

// press hands one key to the topmost layer, then to the global keys.
func (c *console) press(msg tea.KeyMsg) tea.Cmd {
	var l layer = c.screen
	o := c.top()
	if o != nil {
		l = o
	}
	b, ok := find(l.keys(c), msg.String())
	if f := c.input(); !ok && f != nil {
		f.edit(msg)
		if o != nil && o.guarded() {
			return c.settle()
		}
		return nil
	}
	if !ok && o == nil {
		b, ok = find(c.globalKeys(), msg.String())
	}
	switch {
	case !ok:
		return nil
	case b.off != "":
		c.complain(b.label + " " + b.text + ": not now, " + b.off)
		return nil
	case b.weighs && !c.settled:
		c.complain("too fast to be read: press " + b.label + " again")
		return c.settle()
	}
	return b.do()
}

// input is the field that is being typed into, or nil.
func (c *console) input() *field {
	if o := c.top(); o != nil {
		return o.input()
	}
	switch {
	case c.screen == &c.run && c.run.typing:
		return &c.run.filter
	case c.screen == &c.timeline && c.timeline.typing:
		return &c.timeline.filter
	case c.screen == &c.report && c.report.typing:
		return &c.report.find
	}
	return nil
}

// paste puts pasted text into a field. It never answers, and never presses a key.
func (c *console) paste(msg tea.KeyMsg) tea.Cmd {
	o, f := c.top(), c.input()
	ask, isQuestion := o.(*askOverlay)
	add, isAddition := o.(*addOverlay)
	prompt, isPrompt := o.(*promptOverlay)
	switch {
	case isPrompt && prompt.asked:
		c.complain("type it: a paste approves nothing")
		return c.settle()
	case isQuestion && ask.q.Kind == incident.Typed:
		c.complain("type it: a paste approves nothing")
		return c.settle()
	case isAddition && !add.pastes():
		c.complain("a paste is taken for the value alone: type this")
		return c.settle()
	case f == nil:
		c.complain("a paste presses no keys")
	case o != nil && o.guarded() && !c.armed:
		c.complain("a moment: press nothing until the field is ready")
	default:
		f.insert(msg.Runes)
	}
	return nil
}

// submit hands a command to the response. done is said once it was taken. Until the record shows
// it, the console takes it for granted, so that nothing is asked twice.
func (c *console) submit(cmd engine.Command, done string) tea.Cmd {
	c.expect(cmd, true)
	if c.o.Submit == nil {
		c.sent(sentMsg{cmd, done, errors.New("this console only watches")})
		return nil
	}
	return c.work.cmd(func() tea.Msg { return sentMsg{cmd, done, c.o.Submit(c.work.ctx, cmd)} })
}

func (c *console) expect(cmd engine.Command, on bool) {
	switch {
	case cmd.Answer != nil && on:
		c.answered[cmd.Answer.Question] = true
	case cmd.Answer != nil:
		delete(c.answered, cmd.Answer.Question)
	case cmd.Credential != nil && cmd.Credential.Kind == incident.ByHand && on:
		c.rec.byHand[cmd.Credential.Credential] = true
	case cmd.Credential != nil:
		delete(c.rec.byHand, cmd.Credential.Credential)
	}
}

func (c *console) sent(msg sentMsg) {
	switch {
	case msg.err == nil && c.o.Attached:
		c.say("sent: " + msg.done)
	case msg.err == nil:
		c.say(msg.done)
	case errors.Is(msg.err, engine.ErrNoQuestion): // the record shows who was faster
		c.complain("somebody else answered, or the question is not open any more")
	default:
		c.expect(msg.cmd, false)
		c.complain(msg.err.Error())
	}
}

// noticeSeconds is how long the screen says that something went well.
const noticeSeconds = 10

func (c *console) say(s string)      { c.notice, c.bad, c.shown = s, false, 0 }
func (c *console) complain(s string) { c.notice, c.bad, c.shown = s, true, 0 }

func (c *console) top() overlay {
	if len(c.overlays) == 0 {
		return nil
	}
	return c.overlays[len(c.overlays)-1]
}

// push opens an overlay.
func (c *console) push(o overlay) tea.Cmd {
	c.overlays = append(c.overlays, o)
	if !o.guarded() {
		c.armed, c.settled = true, true
		return nil
	}
	return c.guard()
}

// guard starts the pause anew in which no key counts.
func (c *console) guard() tea.Cmd {
	c.armed = false
	return c.settle()
}

// settle starts the pause anew in which nothing counts that acts on what was typed or chosen: a
// terminal that marks no paste hands it in as keys, its enter among them.
func (c *console) settle() tea.Cmd { return c.wait(c.rests()) }

// rests is how long the hands have to rest until that counts.
func (c *console) rests() time.Duration {
	if !c.armed {
		return pause
	}
	return beat
}

func (c *console) wait(d time.Duration) tea.Cmd {
	c.settled = false
	c.opened++
	return c.later(d, armMsg(c.opened))
}

// pop closes the topmost overlay. What is still being typed into one that acts must not press the
// keys of what is below it.
func (c *console) pop() tea.Cmd {
	o := c.top()
	if o == nil {
		return nil
	}
	c.overlays = c.overlays[:len(c.overlays)-1]
	if o.guarded() {
		return c.guard()
	}
	c.armed, c.settled = true, true
	return nil
}

// back closes the topmost overlay, in which nothing was answered.
func (c *console) back() tea.Cmd {
	cmd := c.pop()
	if c.armed {
		return cmd
	}
	return c.wait(beat)
}

func (c *console) show(l layer) tea.Cmd {
	c.screen = l
	return nil
}

func (c *console) small() bool { return c.w < minWidth || c.h < minHeight }
