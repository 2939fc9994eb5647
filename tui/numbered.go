package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// prompt is something that is asked: by number, or with a line of text.
type prompt struct {
	of      itemKey // what needs somebody; the zero key for what was asked for
	text    []string
	options []numbered
	tall    bool   // an option a line
	ask     string // the end of what is asked
	take    func(text string)
}

type numbered struct {
	label string
	do    func()
}

const noLine = "Nothing was taken."

// put asks something.
func (l *lineConsole) put(p *prompt) {
	l.prompts = append(l.prompts, p)
	l.waits, l.idle = false, time.Time{}
	l.pose()
}

// pose says what is asked. No key counts until the hands have paused after that.
func (l *lineConsole) pose() {
	p := l.prompts[len(l.prompts)-1]
	l.asks = false
	for _, s := range p.text {
		if s != "" {
			l.say(sentence(s))
		}
	}
	if p.tall {
		for i, o := range p.options {
			l.say(sentence(fmt.Sprintf("%d %s", i+1, o.label)))
		}
	}
	l.text, l.half, l.since, l.scolded = nil, nil, time.Now(), false
	l.request()
}

// request is the last line of what is asked, with what was typed so far.
func (l *lineConsole) request() {
	p := l.prompts[len(l.prompts)-1]
	ask := p.ask
	if len(p.options) > 0 {
		var all []string
		if !p.tall {
			for i, o := range p.options {
				all = append(all, fmt.Sprintf("%d %s", i+1, o.label))
			}
		}
		if p.of.kind != 0 {
			all = append(all, "0 other things")
		}
		if ask = "Choice: "; len(all) > 0 {
			ask = strings.Join(all, ", ") + ". Choice: "
		}
		ask = p.ask + ask
	}
	l.write(clean(ask) + clean(string(l.text)))
	l.asks = true
}

func (l *lineConsole) drop() { l.prompts = l.prompts[:len(l.prompts)-1] }

// entered takes a line that was typed.
func (l *lineConsole) entered(text string) {
	if len(l.prompts) == 0 {
		clear(l.putOff)
		if len(l.wanted()) == 0 {
			l.menu()
		}
		return
	}
	p := l.prompts[len(l.prompts)-1]
	if len(p.options) == 0 {
		p.take(text)
		return
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	switch {
	case err == nil && n == 0 && p.of.kind != 0:
		l.menu()
	case err != nil || n < 1 || n > len(p.options):
		l.say(noLine + " Type one of the numbers.")
		l.pose()
	default:
		p.options[n-1].do()
	}
	if len(l.prompts) > 0 && !l.asks {
		l.pose()
	}
}

// wanted is what needs the person and was not put off.
func (l *lineConsole) wanted() []need {
	if l.o.Submit == nil {
		return nil
	}
	return slices.DeleteFunc(l.rec.needs(l.answered), func(n need) bool { return l.putOff[n.key()] || !l.rec.active() })
}

// ask asks what has to be asked next, and takes back what is not open any more.
func (l *lineConsole) ask() {
	if n := len(l.prompts); n > 0 {
		of := l.prompts[0].of
		if of.kind == 0 || slices.ContainsFunc(l.rec.needs(l.answered), func(n need) bool { return n.key() == of }) && l.rec.active() {
			return
		}
		l.prompts = nil
		l.say("That is not asked any more: it was answered elsewhere, or is over.")
	}
	switch needs := l.wanted(); {
	case len(needs) > 0:
		l.need(needs[0])
	case !l.rec.active():
		l.end()
	case !l.waits:
		if l.idle.IsZero() {
			l.idle = time.Now()
		}
		if time.Since(l.idle) < calm { // an answer brings the next question, as a rule
			return
		}
		l.waits = true
		switch n := len(l.rec.needs(l.answered)); {
		case n > 0 && l.o.Submit == nil:
			l.say(fmt.Sprintf("%d need somebody. This console only watches: clawback attach %s. Enter: what can be done here.", n, l.rec.Declared.Incident))
		case n > 0:
			l.say(fmt.Sprintf("%d were put off. Enter asks them again.", n))
		default:
			l.say("It goes on by itself. Enter: what can be done meanwhile.")
		}
	}
}

func (l *lineConsole) need(n need) {
	switch {
	case n.question != nil:
		l.question(*n.question)
	case n.approval != nil:
		l.approval(n.approval)
	default:
		l.manual(n.manual)
	}
}

// aside puts a need off.
func (l *lineConsole) aside(key itemKey) func() {
	return func() { l.putOff[key] = true; l.prompts = nil }
}

func (l *lineConsole) question(q incident.Question) {
	o := newAsk(l.console, q)
	text := []string{q.Title}
	if s := o.irreversible(l.console); s != "" {
		text = append(text, "Cannot be undone: "+s)
	}
	for _, t := range q.Text {
		if t != o.irreversible(l.console) {
			text = append(text, t)
		}
	}
	for _, p := range l.plan.steps(l.console) {
		if p.ID == q.Step && p.Why != "" && !slices.Contains(text, p.Why) {
			text = append(text, "Why: "+p.Why)
		}
	}
	if !q.Until.IsZero() {
		text = append(text, "If nobody answers by "+q.Until.Format("15:04:05 MST")+", it goes ahead")
	}
	p := &prompt{of: (need{question: &q}).key(), text: text}
	answer := func(choice, text string) {
		l.prompts = nil
		l.do(o.answer(l.console, choice, text))
	}
	say := func(label, choice string) numbered { return numbered{label, func() { answer(choice, "") }} }
	later := numbered{"later", l.aside(p.of)}
	switch q.Kind {
	case incident.Confirm:
		p.options = []numbered{say("yes", incident.Yes), say("no", incident.No), later}
	case incident.Guide:
		p.options = []numbered{{"done", func() { l.word(o, answer) }}, say("open for the report", incident.Later), later}
	case incident.Written:
		p.options = []numbered{{"write the answer", func() { l.lines(o, answer) }}, say("leave it open", incident.Later), later}
	case incident.Choice:
		p.tall = true
		for _, opt := range q.Options {
			p.options = append(p.options, say(opt.Title+": "+opt.Text, opt.ID))
		}
		p.options = append(p.options, later)
		p.ask = fmt.Sprintf("If in doubt, %d. ", len(q.Options))
	case incident.Typed:
		p.ask = "Type  " + q.Type + "  to go on, or no to leave it out, or later: "
		p.take = func(text string) {
			switch {
			case text == q.Type && q.Type != "":
				answer(incident.Yes, text)
			case strings.EqualFold(strings.TrimSpace(text), incident.No):
				answer(incident.No, text)
			case strings.EqualFold(strings.TrimSpace(text), "later"):
				l.aside(p.of)()
			default:
				l.say("That is not “" + q.Type + "”: nothing happens.")
				l.request()
			}
		}
	default: // of a version to come: not to be answered by guessing
		p.options = []numbered{later}
	}
	l.put(p)
}

// word asks what stands in the record about a guided step.
func (l *lineConsole) word(o *askOverlay, answer func(choice, text string)) {
	l.put(&prompt{of: (need{question: &o.q}).key(), ask: "For the record, what you did and saw, in a line: ", take: func(text string) {
		if strings.TrimSpace(text) == "" && !o.bare {
			o.bare = true
			l.say("Nothing is recorded. Enter again if it is done without a word.")
			l.request()
			return
		}
		answer(incident.Yes, text)
	}})
}

func (l *lineConsole) approval(a *incident.Approval) {
	key := (need{approval: a}).key()
	l.put(&prompt{of: key, text: []string{
		l.rec.title(a.Step) + " waits for others to approve it: " + l.rec.approvals(a.Step),
		"They run: clawback approve " + l.rec.Declared.Incident + " " + a.Step,
	}, options: []numbered{
		{"wait", l.aside(key)},
		{"break glass", func() { l.prompt(breakIt(l.console, a), key) }},
		{"leave it out", func() { l.prompt(leaveItOut(l.console, a), key) }},
	}})
}

func (l *lineConsole) manual(c *incident.Credential) {
	key := (need{manual: c}).key()
	text := []string{fmt.Sprintf("%s is alive, and only a person can revoke it", c)}
	if c.Inventory != nil && c.Inventory.Breaks != "" {
		text = append(text, "Breaks: "+c.Inventory.Breaks)
	}
	text = append(text, c.Steps...)
	if link := linkOf(c); link != "" {
		text = append(text, "Page: "+link)
	}
	l.put(&prompt{of: key, text: text, options: []numbered{
		{"done by hand", func() { l.prompts = nil; l.do(l.command(c, incident.ByHand, "", "the proof begins: "+c.String())) }},
		{"later", l.aside(key)},
		{"cannot", func() { l.prompt(skipIt(l.console, c), key) }},
	}})
}

// prompt asks what a prompt of the console asks: a line, then the name of what cannot be undone.
func (l *lineConsole) prompt(p *promptOverlay, of itemKey) {
	finish := func(text string) {
		if of.kind != 0 { // until the record shows it
			l.putOff[of] = true
		}
		l.prompts = nil
		l.do(p.do(text))
	}
	back := func() { l.drop(); l.say("Nothing happens.") }
	sure := func(reason string) {
		l.put(&prompt{of: of, ask: first(p.after, "It cannot be undone.") + " Type  " + p.sure.want + "  to go on, or nothing to go back: ", take: func(text string) {
			if text != p.sure.want {
				back()
				return
			}
			finish(reason)
		}})
	}
	text := append([]string{p.head}, p.text...)
	if p.asked {
		for _, s := range text {
			l.say(sentence(s))
		}
		sure("")
		return
	}
	l.put(&prompt{of: of, text: text, ask: "A line, or nothing to go back: ", take: func(line string) {
		switch {
		case strings.TrimSpace(line) == "":
			back()
		case p.danger():
			l.drop()
			sure(line)
		default:
			finish(line)
		}
	}})
}

// menu offers what can be done whatever is asked.
func (l *lineConsole) menu() {
	back := func() { l.prompts = nil }
	p := &prompt{options: []numbered{
		{"go back", back},
		{"how it stands", func() { back(); l.stands() }},
		{"credentials that are not dead", func() { l.credentials() }},
	}}
	if l.closed() == "" {
		p.options = append(p.options, numbered{"a note for the record", func() { l.prompt(l.noted(), itemKey{}) }})
	}
	if !l.guest() || l.o.Attached {
		p.options = append(p.options, numbered{"stop the response", l.stopIt})
	}
	if l.guest() {
		p.options = append(p.options, numbered{"leave, it goes on", func() { l.left = true }})
	}
	l.prompts = nil
	l.put(p)
}

func (l *lineConsole) noted() *promptOverlay {
	return &promptOverlay{
		head: "Note for the record", text: []string{"It is kept with its time and your name, and cannot be taken back."},
		do: func(text string) tea.Cmd {
			return l.submit(engine.Command{Note: &incident.Note{Text: text, By: l.o.By}}, "noted")
		},
	}
}

// stands says how it stands, at length.
func (l *lineConsole) stands() {
	l.sum()
	if now := l.rec.running(); len(now) > 0 {
		l.say(sentence("Under way: " + strings.Join(now, "; ")))
	}
	for _, n := range l.rec.needs(l.answered) {
		switch {
		case n.question != nil:
			l.say(sentence("Asked: " + n.question.Title))
		case n.approval != nil:
			l.say(sentence("To be approved: " + l.rec.title(n.approval.Step)))
		default:
			l.say(sentence("To be revoked by hand: " + n.manual.String()))
		}
	}
}

// mostListed is how many credentials are offered at once.
const mostListed = 20

func (l *lineConsole) credentials() {
	all := slices.DeleteFunc(l.rec.board(""), func(c *incident.Credential) bool { return c.Life == credential.Dead })
	p := &prompt{tall: true, options: []numbered{{"go back", func() { l.prompts = nil }}}}
	if n := len(all) - mostListed; n > 0 {
		p.text, all = []string{fmt.Sprintf("The first %d; %d more", mostListed, n)}, all[:mostListed]
	}
	for _, c := range all {
		p.options = append(p.options, numbered{c.String() + ", " + credMark(c).word, func() { l.about(c) }})
	}
	l.put(p)
}

// about offers what can be done about one credential.
func (l *lineConsole) about(c *incident.Credential) {
	p := &prompt{text: []string{c.String() + " is " + credMark(c).word + ". " + evidence(c, l.now, 200)}, options: []numbered{{"go back", func() { l.prompts = nil }}}}
	if s := breaks(c); s != "" {
		p.text = append(p.text, s)
	}
	for _, b := range credentialKeys(l.console, c) {
		if b.off != "" {
			continue
		}
		switch b.label {
		case "m":
			p.options = append(p.options, numbered{"done by hand", func() { l.prompts = nil; l.do(l.command(c, incident.ByHand, "", "the proof begins: "+c.String())) }})
		case "r":
			p.options = append(p.options, numbered{"try again", func() {
				if spared(c) {
					l.prompt(takeBack(l.console, c), itemKey{})
					return
				}
				l.prompts = nil
				l.do(l.command(c, incident.Retry, "", "retrying: "+c.String()))
			}})
		case "u":
			p.options = append(p.options, numbered{"undo its revocation", func() { l.prompt(undoIt(l.console, c), itemKey{}) }})
		case "s":
			p.options = append(p.options, numbered{"skip it", func() { l.prompt(skipIt(l.console, c), itemKey{}) }})
		}
	}
	l.put(p)
}

// stopIt asks before the response ends. Whoever runs it leaves with it.
func (l *lineConsole) stopIt() {
	var then tea.Msg
	if !l.guest() {
		then = tea.QuitMsg{}
	}
	l.put(&prompt{text: []string{
		"The response is not over. Steps under way come to their end, and no further step begins",
		"Nothing that was done is undone, and the agent stays as it is",
	}, options: []numbered{{"go back", func() { l.prompts = nil }}, {"stop the response", func() { l.prompts = nil; l.do(l.interrupt(then)) }}}})
}

// end offers the report.
func (l *lineConsole) end() {
	p := &prompt{options: []numbered{{"leave", func() { l.left = true }}}}
	if l.report.read {
		l.put(p)
		return
	}
	if l.changed || l.rec.Exit != nil {
		l.sum()
	}
	switch {
	case l.rec.broken != nil:
		p.text = []string{"The record cannot be read further: " + l.rec.broken.Error()}
	case l.rec.Exit != nil:
		p.text = []string{drawn(l.outcome(*l.rec.Exit))}
	default:
		p.text = []string{"The record ends here"}
	}
	if l.rec.Report != nil {
		p.options = slices.Insert(p.options, 0, numbered{"read the report", func() {
			l.prompts = []*prompt{{ask: "Reading it. ", take: func(string) {}}}
			l.do(l.openReport())
		}})
	}
	l.put(p)
}

// read prints the report.
func (l *lineConsole) read(m reportMsg) {
	l.prompts, l.asks = nil, false
	if m.err != nil {
		l.say(sentence(m.err.Error()))
		return
	}
	for line := range strings.Lines(m.text) {
		l.say(strings.TrimRight(line, "\r\n"))
	}
}

// drawn is the text of a line alone.
func drawn(all line) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s.text)
	}
	return strings.Trim(b.String(), " ─■")
}
