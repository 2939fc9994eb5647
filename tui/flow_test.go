package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/exp/teatest"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// observed is a console that says when something holds of it, from the program's own goroutine.
type observed struct {
	*console
	waits whenMsg
}

type whenMsg struct {
	holds func(*console) bool
	met   chan struct{}
}

func (o *observed) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	if when, ok := msg.(whenMsg); ok {
		o.waits = when
	} else {
		_, cmd = o.console.Update(msg)
	}
	if o.waits.holds != nil && o.waits.holds(o.console) {
		close(o.waits.met)
		o.waits = whenMsg{}
	}
	return o, cmd
}

// flow is a way through the console in Bubble Tea's program.
type flow struct {
	t  *testing.T
	k  *keyboard
	tm *teatest.TestModel
}

const patience = 30 * time.Second

func newFlow(t *testing.T, s *story) *flow {
	k := newKeyboard(t, s, 80, 24, nil)
	writeReport(t, k)
	k.c.later = func(d time.Duration, msg tea.Msg) tea.Cmd {
		if _, pause := msg.(armMsg); pause {
			return func() tea.Msg { return msg } // the hands rest for no time, and still not at once
		}
		return later(d, msg)
	}
	return &flow{t, k, teatest.NewTestModel(t, &observed{console: k.c}, teatest.WithInitialTermSize(80, 24))}
}

// when waits until something holds.
func (f *flow) when(what string, holds func(*console) bool) {
	f.t.Helper()
	met := make(chan struct{})
	f.tm.Send(whenMsg{holds, met})
	select {
	case <-met:
	case <-time.After(patience):
		f.t.Fatalf("never: %s", what)
	}
}

// press presses keys, each once the one before counts.
func (f *flow) press(keys ...string) {
	f.t.Helper()
	for _, key := range keys {
		f.when("a key counts", func(c *console) bool { return c.armed && c.settled })
		msg, ok := named[key]
		if !ok {
			msg = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
		}
		f.tm.Send(msg)
	}
}

// final is the console once the program has ended.
func (f *flow) final() *console {
	f.t.Helper()
	c := f.tm.FinalModel(f.t, teatest.WithFinalTimeout(patience)).(*observed).console
	if c.failed != nil {
		f.t.Fatal(c.failed)
	}
	return c
}

func (f *flow) quit() *console {
	f.t.Helper()
	f.when("all counts", func(c *console) bool { return c.armed && c.settled })
	if err := f.tm.Quit(); err != nil {
		f.t.Fatal(err)
	}
	return f.final()
}

// A decision is taken with what is on record for each of its options beside it.
func TestFlowDecide(t *testing.T) {
	s := begun(t)
	s.found("aws", "aws.access_key", "AKIA…N2QF", func(f *incident.Found) {
		f.Sources = append(f.Sources, credential.Source{Path: "sessions/0b.jsonl", Line: 881, Note: "shown to the model"})
	})
	s.add(incident.TypeAsked, questions["choice"])
	f := newFlow(t, s)
	f.press("enter", "enter")
	f.when("the grounds stand in the question", func(c *console) bool {
		ask, ok := c.top().(*askOverlay)
		if !ok {
			return false
		}
		text, _ := ask.body(c, 76)
		return strings.Contains(fmt.Sprint(text), "1 credential was shown to the model")
	})
	f.press("down", "down", "a", "enter")
	f.when("the answer is on its way", func(c *console) bool { return c.notice == "answered: How did they get in?" })
	c := f.quit()
	if c.top() != nil || c.screen != &c.run || !c.answered["q3"] || c.open("q3") {
		t.Errorf("the question is left at %v, on %s, answered: %v", c.top(), c.screen.title(), c.answered)
	}
	if got, want := commands(f.k.sent), commands([]engine.Command{answer("q3", "injection", "")}); got != want {
		t.Errorf("sent %s, not %s", got, want)
	}
}

// Who reads the brief out comes back to where they were.
func TestFlowBriefAndBack(t *testing.T) {
	f := newFlow(t, underFire(t))
	f.press("enter", "/", "slack", "enter", "j", "j")
	var before runScreen
	f.when("a row is selected", func(c *console) bool { before = c.run; return c.run.selected != itemKey{} })
	f.press("b")
	f.when("the brief", func(c *console) bool { return c.screen == &c.brief })
	f.press("down", "esc")
	c := f.quit()
	if c.screen != &c.run || c.run.selected != before.selected || c.run.filter.String() != "slack" || c.run.typing {
		t.Errorf("it came back to %s, row %v with the filter %q", c.screen.title(), c.run.selected, c.run.filter.String())
	}
	if len(f.k.sent) != 0 || f.k.asks != 0 {
		t.Errorf("sent %s", commands(f.k.sent))
	}
}

// The report is there to read once the response is over, and q leaves without a question.
func TestFlowReportAfterTheEnd(t *testing.T) {
	s := over(t)
	last := firstOf(s, incident.TypeReport)
	end := s.entries[last:]
	s.entries = s.entries[:last]
	f := newFlow(t, s)
	f.press("enter", "v")
	f.when("there is no report yet", func(c *console) bool { return strings.Contains(c.notice, "there is no report yet") })
	f.tm.Send(entriesMsg(end))
	f.tm.Send(endMsg{})
	f.when("the report is next", func(c *console) bool { return c.rec.over && c.screen.next(c) == "v" })
	f.press("v")
	f.when("it is read", func(c *console) bool { return c.report.text != "" })
	f.press("q")
	c := f.final()
	if c.screen != &c.report || c.report.err != nil || !strings.HasPrefix(c.report.text, "# INC-20261122-0317") || !c.report.read {
		t.Errorf("it ended on %s: %v, %q", c.screen.title(), c.report.err, c.report.text)
	}
	if f.k.asks != 0 || len(f.k.sent) != 0 {
		t.Errorf("it asked to end what is over %d times, and sent %s", f.k.asks, commands(f.k.sent))
	}
}

// firstOf is where the first entry of a type stands.
func firstOf(s *story, typ string) int {
	for i, e := range s.entries {
		if e.Type == typ {
			return i
		}
	}
	s.t.Fatalf("no entry is of the type %s", typ)
	return 0
}

// A credential that somebody began to add, and then did not, is nowhere any more.
func TestFlowAddAbandoned(t *testing.T) {
	f := newFlow(t, underFire(t))
	f.press("enter", "a")
	f.when("its value can be given", func(c *console) bool { return c.armed })
	f.tm.Send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(canary), Paste: true})
	f.press("enter", "enter", "from the wiki", "enter", "rev")
	var begun *addOverlay
	f.when("its name is being typed", func(c *console) bool {
		begun, _ = c.top().(*addOverlay)
		return begun != nil && begun.stage == sureStage && begun.sure.field.String() == "rev" && begun.parts["value"] == canary
	})
	f.press("esc")
	c := f.quit()
	if c.top() != nil || c.screen != &c.run || len(f.k.sent) != 0 {
		t.Errorf("it is left at %v, sent %s", c.top(), commands(f.k.sent))
	}
	if len(begun.parts) != 0 || len(begun.value.text) != 0 || len(c.drafts) != 0 || strings.Contains(c.notice, canary) {
		t.Errorf("something of it is kept: %d parts, %d characters, %d drafts", len(begun.parts), len(begun.value.text), len(c.drafts))
	}
	if len(c.rec.Credentials) != len(f.k.c.rec.Credentials) || c.rec.Count(credential.Found) != 1 {
		t.Errorf("the board has %d credentials that were found", c.rec.Count(credential.Found))
	}
}
