package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
)

// listener is a person who hears lines and types.
type listener struct {
	t    *testing.T
	keys *io.PipeWriter
	heard
	ran chan error
	at  int // what was heard before has been dealt with
}

type heard = safeBuffer

func listenTo(t *testing.T, ctx context.Context, o Options) *listener {
	in, keys := io.Pipe()
	l := &listener{t: t, keys: keys, ran: make(chan error, 1)}
	o.Input, o.Output, o.Lines = in, &l.heard, true
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	go func() { l.ran <- Run(ctx, o) }()
	t.Cleanup(func() { _ = keys.Close() })
	return l
}

func (l *listener) rest() { time.Sleep(pause); synctest.Wait() }

// types keys as a hand does: none together with enter.
func (l *listener) types(text string) {
	for _, r := range text {
		l.piece(string(r))
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(beat)
	l.piece("\r")
}

// piece is what arrives at once.
func (l *listener) piece(text string) {
	if _, err := io.WriteString(l.keys, text); err != nil {
		l.t.Fatal(err)
	}
	synctest.Wait()
}

// fresh is what was said since it was last asked for.
func (l *listener) fresh() string {
	all := l.heard.String()
	new := all[l.at:]
	l.at = len(all)
	return new
}

func (l *listener) wants(parts ...string) {
	l.t.Helper()
	text := l.fresh()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			l.t.Errorf("%q was not said:\n%s", part, text)
		}
	}
	l.noEscape()
}

func (l *listener) noEscape() {
	l.t.Helper()
	for _, b := range []byte(l.heard.String()) {
		if b < ' ' && b != '\n' && b != '\r' && b != '\b' || b == 0x7f {
			l.t.Fatalf("the byte %#x was written:\n%q", b, l.heard.String())
		}
	}
	if strings.ContainsFunc(l.heard.String(), func(r rune) bool { return r >= 0x80 && r < 0xa0 }) {
		l.t.Fatalf("a control character was written: %q", l.heard.String())
	}
}

var (
	doubt = regexp.MustCompile(`If in doubt, (\d+)\.`)
	spell = regexp.MustCompile(`Type  (.+?)  to go on`)
)

// leadsOn is what is typed by who follows what is said: the safe choice, the text asked for, or the first.
func leadsOn(said string) (string, bool) {
	lines := strings.Split(said, "\n")
	last := lines[len(lines)-1]
	switch {
	case spell.MatchString(last):
		return spell.FindStringSubmatch(last)[1], true
	case doubt.MatchString(last):
		return doubt.FindStringSubmatch(last)[1], true
	case strings.HasSuffix(last, "Choice: "):
		return "1", true
	case strings.HasSuffix(last, "in a line: "):
		return "read it all", true
	case strings.HasSuffix(last, "to end: ") && strings.Contains(said, "Write as many lines"):
		return "by a mail", true
	case strings.HasSuffix(last, "to end: "):
		return ".", true
	}
	return "", false
}

// By numbers and what has to be typed, and nothing else, a response is led to its report.
func TestNumbersLeadToTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		dir := t.TempDir()
		w, err := newWorld(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		l := listenTo(t, ctx, Options{Journal: w.engine.Journal.Cursor(), Submit: w.engine.Submit, Dir: dir, By: "dana"})
		var typed []string
		for range 300 {
			l.rest()
			if len(l.ran) > 0 {
				break
			}
			if text, ok := leadsOn(l.fresh()); ok {
				typed = append(typed, text)
				l.types(text)
			}
		}
		if err := <-l.ran; err != nil {
			t.Errorf("it ended with %v", err)
		}
		<-w.done
		all := l.heard.String()
		if got := strings.Join(typed, " "); !strings.Contains(got, "revoke 7") || !strings.Contains(got, "read it all 4 ") {
			t.Errorf("typed: %q", got)
		}
		for _, want := range []string{
			"DRILL. Incident INC-20261122-0317 on claw-lab: suspected compromise. You are dana.", "Cannot be undone: What a provider revoked stays revoked.",
			"Page: https://dashboard.stripe.com/apikeys", "1 done by hand, 2 later, 3 cannot, 0 other things. Choice: ",
			"7 of 7 dead", "# INC-20261122-0317: suspected compromise",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("%q was never said:\n%s", want, all)
			}
		}
		l.noEscape()
		if testing.Verbose() {
			t.Log(all)
		}
	})
}

// askedOf is a console that was asked a question, and what it answered.
func askedOf(t *testing.T, q incident.Question) (*listener, *[]engine.Command) {
	s := begun(t)
	s.done("describe")
	s.begin(q.Step)
	s.add(incident.TypeAsked, q)
	sent := new([]engine.Command)
	l := listenTo(t, t.Context(), Options{Journal: &list{entries: s.entries}, By: "dana", Submit: func(_ context.Context, c engine.Command) error {
		*sent = append(*sent, c)
		return nil
	}})
	time.Sleep(backlog + time.Second)
	synctest.Wait()
	return l, sent
}

var revokeSix = incident.Question{ID: "q2", Step: "revoke", Kind: incident.Typed, Title: "Revoke", Type: "revoke 6"}

// What was typed before a question stood there, or was pasted, answers nothing; nor does what comes close.
func TestLinesAnswerNothingByAccident(t *testing.T) {
	for name, tc := range map[string]struct {
		do    func(l *listener)
		sends string
	}{
		"typed":     {func(l *listener) { l.types("revoke 6") }, "yes revoke 6"},
		"left out":  {func(l *listener) { l.types("no") }, "no no"},
		"put off":   {func(l *listener) { l.types("later") }, ""},
		"close":     {func(l *listener) { l.types("Revoke 6"); l.types("revoke 6 "); l.types("y"); l.types("") }, ""},
		"pasted":    {func(l *listener) { l.piece("revoke 6\r\n") }, ""},
		"twice":     {func(l *listener) { l.piece("revoke 6\r\nrevoke 6\r\n") }, ""},
		"in a go":   {func(l *listener) { l.piece("revoke 6\n"); time.Sleep(beat); l.piece("\n") }, "yes revoke 6"}, // as a line editor hands it in, and enter once more
		"corrected": {func(l *listener) { l.types("revoke 7"); l.piece("revoke 7\x7f"); l.types("6") }, "yes revoke 6"},
		"cleared":   {func(l *listener) { l.piece("revoke 7\x15"); l.types("revoke 6") }, "yes revoke 6"},
		"with keys": {func(l *listener) { l.piece("\x1b[A\x1bOP\x1b[200~"); l.types("revoke 6") }, "yes revoke 6"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, sent := askedOf(t, revokeSix)
				l.wants("Type  revoke 6  to go on")
				tc.do(l)
				l.rest()
				if got := answers(*sent); got != tc.sends {
					t.Errorf("it sent %q, want %q\n%s", got, tc.sends, l.heard.String())
				}
				l.noEscape()
			})
		})
	}
}

func TestTypedTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begun(t)
		sent := 0
		more := &laterRecord{first: s.entries, wait: 2 * time.Second}
		s.entries = nil
		s.add(incident.TypeAsked, incident.Question{ID: "q1", Step: "freeze", Kind: incident.Confirm, Title: "Freeze the agent"})
		more.then = s.entries
		l := listenTo(t, t.Context(), Options{Journal: more, By: "dana", Submit: func(context.Context, engine.Command) error { sent++; return nil }})
		time.Sleep(1900 * time.Millisecond)
		l.piece("1")
		for range 20 { // across the question
			time.Sleep(50 * time.Millisecond)
			l.piece("1")
		}
		l.piece("\r")
		synctest.Wait()
		if sent > 0 {
			t.Fatalf("it was answered:\n%s", l.heard.String())
		}
		l.wants("Too soon after the question: that did nothing.")
		l.rest()
		l.types("1")
		l.rest()
		if sent != 1 {
			t.Errorf("%d answers\n%s", sent, l.heard.String())
		}
	})
}

// laterRecord is a record that goes on after a while.
type laterRecord struct {
	first, then []journal.Entry
	wait        time.Duration
}

func (r *laterRecord) Next(ctx context.Context) (journal.Entry, error) {
	if len(r.first) == 0 && r.then != nil {
		time.Sleep(r.wait)
		r.first, r.then = r.then, nil
	}
	if len(r.first) == 0 {
		<-ctx.Done()
		return journal.Entry{}, context.Cause(ctx)
	}
	e := r.first[0]
	r.first = r.first[1:]
	return e, nil
}

func answers(all []engine.Command) string {
	var out []string
	for _, c := range all {
		switch {
		case c.Answer != nil:
			out = append(out, strings.TrimSpace(c.Answer.Choice+" "+c.Answer.Text))
		case c.Step != nil:
			out = append(out, c.Step.Kind+" "+c.Step.Step+" "+c.Step.Text)
		case c.Credential != nil:
			out = append(out, c.Credential.Kind+" "+c.Credential.Text)
		case c.Note != nil:
			out = append(out, "note "+c.Note.Text)
		}
	}
	return strings.Join(out, "; ")
}

// The menu reaches what the console can do, and breaking the glass takes its words.
func TestLinesMenu(t *testing.T) {
	for name, tc := range map[string]struct {
		types []string
		sends string
		says  string
	}{
		"a note":        {[]string{"later", "", "0", "4", "it rains"}, "note it rains", "Note for the record"},
		"no note":       {[]string{"later", "", "0", "4", ""}, "", "Nothing happens."},
		"how it stands": {[]string{"later", "", "0", "2"}, "", "Asked: Revoke"},
		"stop, not yet": {[]string{"later", "", "0", "5", "1"}, "", "Nothing that was done is undone"},
		"no such":       {[]string{"later", "", "9"}, "", "Type one of the numbers."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := revokeSix
				q.Kind, q.Type = incident.Confirm, ""
				l, sent := askedOf(t, q)
				for _, text := range tc.types[2:] {
					l.types(text)
					l.rest()
				}
				l.wants(tc.says)
				if got := answers(*sent); got != tc.sends {
					t.Errorf("it sent %q, want %q\n%s", got, tc.sends, l.heard.String())
				}
			})
		})
	}
}

// No text of a record steers the terminal.
func TestLinesHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bad = "\x1b[2J\x1b]0;x\x07\u009b31m\r\b\x00evil\u202e"
		s := begun(t)
		s.add(incident.TypeDeclared, incident.Declared{Incident: "INC" + bad, Mode: incident.Real + bad, Playbook: bad, Target: bad, Responder: bad})
		f := s.found("stripe"+bad, "k"+bad, "sk"+bad, func(f *incident.Found) { f.Manual, f.Steps, f.Link = true, []string{bad}, "https://x"+bad })
		s.life(f, "manual", nil)
		s.add(incident.TypeNote, incident.Note{Text: bad, By: bad})
		s.add(incident.TypeWarning, incident.Warning{Text: bad})
		s.end("describe", incident.Failed)
		s.add(incident.TypeAsked, incident.Question{ID: "q" + bad, Step: "x" + bad, Kind: incident.Choice, Title: bad, Text: []string{bad}, Options: []incident.Option{{ID: bad, Title: bad, Text: bad}}})
		s.add(incident.TypeClosed, incident.Closed{Exit: 3})
		l := listenTo(t, t.Context(), Options{Journal: &list{s.entries, io.EOF}, By: bad, Submit: func(context.Context, engine.Command) error { return errors.New(bad) }})
		l.rest()
		l.types("0")
		l.types("\x1b[31m\x9b\x07x")
		l.rest()
		l.wants("evil")
	})
}

// A keyboard that ends is a lost terminal, and one that only watches answers nothing.
func TestLinesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listenTo(t, t.Context(), Options{Journal: &list{entries: begun(t).entries}, By: "dana"})
		l.rest()
		_ = l.keys.Close()
		if err := <-l.ran; !errors.Is(err, ErrTerminal) {
			t.Errorf("it ended with %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := underFire(t)
		l := listenTo(t, t.Context(), Options{Journal: &list{entries: s.entries}, By: "dana"})
		time.Sleep(6 * time.Second)
		l.wants("need somebody. This console only watches: clawback attach INC-20261122-0317", "REAL. Incident")
		l.types("")
		l.rest()
		l.wants("1 go back, 2 how it stands, 3 credentials that are not dead, 4 leave, it goes on. Choice: ")
		l.types("4")
		if err := <-l.ran; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := listenTo(t, t.Context(), Options{Journal: faulty{}})
		if err := <-l.ran; err == nil || !strings.Contains(err.Error(), "a fault of clawback itself") {
			t.Errorf("a panic became %v", err)
		}
	})
}

// However much changes, a line that sums up comes every quarter of a minute at most.
func TestLinesSumUpSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begun(t)
		r := &every{s: s, each: 100 * time.Millisecond}
		l := listenTo(t, t.Context(), Options{Journal: r, By: "dana", Submit: func(context.Context, engine.Command) error { return nil }})
		time.Sleep(time.Minute)
		synctest.Wait()
		said := strings.Count(l.heard.String(), "REAL INC-")
		if said < 3 || said > 5 {
			t.Errorf("%d lines in a minute:\n%s", said, l.heard.String())
		}
		if n := strings.Count(l.heard.String(), "\n"); n > 20 {
			t.Errorf("%d lines:\n%s", n, l.heard.String())
		}
		if !strings.Contains(l.heard.String(), "dead since the last line: github ") {
			t.Errorf("deaths are not grouped:\n%s", l.heard.String())
		}
	})
}

// every is a record in which one credential dies after the other.
type every struct {
	s    *story
	each time.Duration
	n    int
}

func (r *every) Next(ctx context.Context) (journal.Entry, error) {
	if len(r.s.entries) == 0 {
		select {
		case <-time.After(r.each):
		case <-ctx.Done():
			return journal.Entry{}, context.Cause(ctx)
		}
		r.n++
		r.s.killed(r.s.found("github", "github.pat", fmt.Sprintf("ghp_…%04d", r.n), nil), "401")
	}
	e := r.s.entries[0]
	r.s.entries = r.s.entries[1:]
	return e, nil
}

func TestLinesOnATerminal(t *testing.T) {
	terminal, out := newTerminal(t)
	ran := make(chan error, 1)
	go func() {
		ran <- Run(t.Context(), Options{Journal: &list{begun(t).entries, io.EOF}, Input: terminal, Output: terminal, By: "dana", Getenv: func(name string) string {
			return map[string]string{"TERM": "dumb"}[name]
		}})
	}()
	out.waitFor(t, "1 leave. Choice: ")
	for len(ran) == 0 { // until the question has stood there for a moment
		out.press(t, "\x03")
		select {
		case <-out.more:
		case <-ran:
			if bytes.ContainsRune([]byte(out.String()), '\x1b') {
				t.Errorf("an escape in %q", out.String())
			}
			return
		}
	}
}
