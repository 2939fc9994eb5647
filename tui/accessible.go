package tui

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

const (
	// between is how long a line that sums up keeps the next one away.
	between = 15 * time.Second
	// backlog is how long the record of what went before is read before anything is said of it.
	backlog = 500 * time.Millisecond
	// calm is how long nothing needs the person before they are told so.
	calm = 3 * time.Second
	// mostNews bounds what is said of one batch of entries.
	mostNews = 20
)

// lineConsole is the console for who listens to it, and for a terminal that moves no cursor: lines
// are appended, what needs a person is asked with numbers, and no byte steers the terminal. It says
// what changed and what is needed; the console behind it knows what can be done.
type lineConsole struct {
	*console
	out     io.Writer
	newline string
	msgs    chan tea.Msg
	done    chan struct{}
	running sync.WaitGroup

	lineEditor
	prompts []*prompt        // the topmost one is asked
	putOff  map[itemKey]bool // what needs somebody, and is to be asked later
	asks    bool             // the cursor stands behind what is asked
	waits   bool             // it was said that nothing needs the person
	idle    time.Time        // since when that is so
	left    bool

	begun   time.Time // when the first entries came
	caught  bool      // up with what went before
	changed bool      // something, since it was last summed up
	told    time.Time // when that was
	died    map[string]int
	news    []string
}

// wakeMsg comes when something is due by the clock.
type wakeMsg struct{}

func newLineConsole(o Options, c *console) *lineConsole {
	c.w, c.h = 400, 100                                           // nothing is cut
	c.later = func(time.Duration, tea.Msg) tea.Cmd { return nil } // the editor knows when keys count
	return &lineConsole{
		console: c, out: o.Output, newline: "\n", msgs: make(chan tea.Msg), done: make(chan struct{}),
		putOff: make(map[itemKey]bool), died: make(map[string]int),
	}
}

func (l *lineConsole) send(m tea.Msg) {
	select {
	case l.msgs <- m:
	case <-l.done:
	}
}

// run goes on until the person leaves or ctx is done.
func (l *lineConsole) run(ctx context.Context, lost func()) error {
	defer l.running.Wait()
	defer close(l.done)
	hush, err := l.listen(lost)
	if err != nil {
		return err
	}
	defer hush()
	defer l.endLine()
	wake := time.NewTicker(time.Second)
	defer wake.Stop()
	for !l.left {
		select {
		case <-ctx.Done():
			return nil
		case m := <-l.msgs:
			l.hear(m)
		case <-wake.C:
			l.hear(wakeMsg{})
		}
		if l.failed != nil {
			return nil
		}
	}
	return nil
}

// do runs a command of the console.
func (l *lineConsole) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	l.running.Go(func() {
		m := cmd()
		if all, ok := m.(tea.BatchMsg); ok {
			for _, one := range all {
				l.do(one)
			}
			return
		}
		if m != nil {
			l.send(m)
		}
	})
}

func (l *lineConsole) hear(m tea.Msg) {
	switch m := m.(type) {
	case typedMsg:
		l.hearKeys(m)
	case tea.QuitMsg:
		l.left = true
		return
	case wakeMsg:
		l.now = l.o.Now()
	case entriesMsg:
		l.take(m)
	case reportMsg:
		l.read(m)
	default:
		l.do(l.update(m))
	}
	if l.left {
		return
	}
	if l.notice != "" {
		l.say(sentence(strings.ToUpper(l.notice[:1]) + l.notice[1:]))
		l.notice = ""
	}
	l.tell()
}

func (l *lineConsole) take(entries []journal.Entry) {
	if l.begun.IsZero() {
		l.begun = time.Now()
	}
	for _, e := range entries {
		l.rec.add(e)
		l.heard(e)
		l.note(e)
	}
	l.now = l.o.Now()
}

// note keeps what is to be said of an entry.
func (l *lineConsole) note(e journal.Entry) {
	switch e.Type {
	case incident.TypeLife:
		var life incident.Life
		if e.Decode(&life) == nil {
			l.changed = true
			if c := l.rec.Credential(life.Fingerprint); c != nil && life.Life == credential.Dead && l.caught {
				l.died[c.Provider]++
			}
		}
	case incident.TypeStepOutcome:
		var o incident.StepOutcome
		l.changed = true
		if e.Decode(&o) == nil && o.Status == incident.Done {
			l.news = append(l.news, "Done: "+l.rec.title(o.Step))
			return
		}
		l.line(e)
	case incident.TypeAnswered:
		var a incident.Answer
		if e.Decode(&a) == nil && a.By != l.o.By {
			l.line(e)
		}
	case incident.TypeFrozen, incident.TypeStopped, incident.TypeChecked, incident.TypeIsolated, incident.TypeHostLost, incident.TypeSealed,
		incident.TypeSearched, incident.TypeNote, incident.TypeWarning, incident.TypeInterrupted, incident.TypeTerminal, incident.TypeResumed,
		incident.TypeApproved, incident.TypeBreakGlass, incident.TypeReport, journal.TypeTrouble:
		l.changed = true
		l.line(e)
	}
}

func (l *lineConsole) line(e journal.Entry) {
	if word, text, ok := incident.Line(l.rec.State, e); ok {
		l.news = append(l.news, strings.ToUpper(word[:1])+word[1:]+": "+text)
	}
}

// tell says what is due, and asks what has to be asked.
func (l *lineConsole) tell() {
	if !l.caught {
		if !l.rec.over && (l.begun.IsZero() || time.Since(l.begun) < backlog) {
			return
		}
		l.caught, l.news = true, nil
		l.declare()
	}
	if extra := len(l.news) - mostNews; extra > 0 {
		l.say(plural(extra, "line more", "lines more") + " on record.")
		l.news = l.news[extra:]
	}
	for _, s := range l.news {
		l.say(sentence(s))
	}
	l.news = nil
	if l.changed && time.Since(l.told) >= between {
		l.sum()
	}
	l.ask()
}

// declare says where one is.
func (l *lineConsole) declare() {
	d := l.rec.Declared
	l.say(fmt.Sprintf("%s. Incident %s on %s: %s. You are %s.", strings.ToUpper(d.Mode), d.Incident, d.Target, first(l.rec.Plan.Title, d.Playbook), l.o.By))
	if d.Mode == incident.Drill {
		l.say("This is a drill: nothing real is touched.")
	}
	for _, n := range l.rec.Plan.Phases {
		for _, p := range n.Steps {
			if p.Irreversible != "" {
				l.say(sentence("Cannot be undone, and is asked first: " + p.Title))
			}
		}
	}
	l.sum()
}

// sum says how it stands, in one line.
func (l *lineConsole) sum() {
	d, t := l.rec.Declared, l.rec.Tally()
	parts := []string{strings.ToUpper(d.Mode) + " " + d.Incident, inWords(l.rec.until(l.now).Sub(l.rec.DeclaredAt)), fmt.Sprintf("%d of %d dead", t.Dead, t.Total)}
	for _, n := range []struct {
		n    int
		what string
	}{{t.Alive, "alive"}, {t.Failed, "failed"}, {t.Unverified, "not proved yet"}, {t.Skipped, "left alone"}} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.n, n.what))
		}
	}
	if n := len(l.rec.needs(l.answered)); n > 0 {
		who := "you"
		if l.o.Submit == nil {
			who = "somebody"
		}
		parts = append(parts, fmt.Sprintf("%d need %s", n, who))
	}
	var died []string
	for provider, n := range l.died {
		died = append(died, fmt.Sprintf("%s %d", provider, n))
	}
	if slices.Sort(died); len(died) > 0 {
		parts = append(parts, "dead since the last line: "+strings.Join(died, ", "))
	}
	clear(l.died)
	l.changed, l.told = false, time.Now()
	l.say(strings.Join(parts, ". ") + ".")
}

// say appends a line. What is asked is asked again below it, with what was typed so far.
func (l *lineConsole) say(text string) {
	again := l.asks
	l.endLine()
	l.write(clean(text) + l.newline)
	if again && len(l.prompts) > 0 {
		l.request()
	}
}

func (l *lineConsole) endLine() {
	if l.asks {
		l.write(l.newline)
		l.asks = false
	}
}

func (l *lineConsole) write(text string) { _, _ = io.WriteString(l.out, text) }

func sentence(s string) string {
	last := s[strings.LastIndexByte(s, ' ')+1:]
	if s = strings.TrimSpace(s); s == "" || strings.Contains(last, "://") || strings.ContainsAny(s[len(s)-1:], ".!?:") {
		return s
	}
	return s + "."
}

// inWords is a time as it is spoken.
func inWords(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return plural(h, "hour", "hours") + " " + plural(m, "minute", "minutes")
	case m > 0:
		return plural(m, "minute", "minutes") + " " + plural(s, "second", "seconds")
	}
	return plural(s, "second", "seconds")
}
