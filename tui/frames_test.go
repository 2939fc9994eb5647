package tui

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// pacing drives a console as the program does: a View after each Update, and what comes later when its
// time has come.
type pacing struct {
	p      *paced
	frames []time.Time
	msgs   chan tea.Msg
}

func (d *pacing) send(msg tea.Msg) {
	before := d.p.View()
	_, cmd := d.p.Update(msg)
	if after := d.p.View(); after != before {
		d.frames = append(d.frames, time.Now())
	}
	d.run(cmd)
}

func (d *pacing) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			for _, cmd := range msg {
				d.run(cmd)
			}
		default:
			d.msgs <- msg
		}
	}()
}

// pass lets time pass, and delivers what comes in it.
func (d *pacing) pass(t time.Duration) {
	end := time.After(t)
	for {
		select {
		case msg := <-d.msgs:
			d.send(msg)
		case <-end:
			return
		}
	}
}

func TestFramesInAnySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := underFire(t)
		k := newKeyboard(t, s, 80, 24, nil)
		d := &pacing{p: &paced{console: k.c}, msgs: make(chan tea.Msg, 10_000)}
		k.c.later = later
		note := func() {
			n := len(s.entries)
			s.add(incident.TypeNote, incident.Note{Text: time.Now().String(), By: "dana"})
			d.send(entriesMsg(s.entries[n:]))
		}
		d.send(tea.KeyMsg{Type: tea.KeyEnter})
		for i := range 3000 { // of an entry each millisecond
			note()
			if i%250 == 100 { // four keys a second, each of which shows at once
				before := len(d.frames)
				d.send(tea.KeyMsg{Type: tea.KeyTab})
				if len(d.frames) != before+1 {
					t.Fatalf("the key after %d ms is not answered at once", i)
				}
			}
			d.pass(time.Millisecond)
		}
		for range 300 { // and of keys alone
			d.send(tea.KeyMsg{Type: tea.KeyTab})
			d.pass(time.Millisecond)
		}
		d.pass(time.Second)
		if d.p.frame != k.c.View() {
			t.Error("the last frame never came")
		}
		for i := range d.frames {
			if i >= frames && d.frames[i].Sub(d.frames[i-frames]) < time.Second {
				t.Fatalf("%d frames in %v", frames+1, d.frames[i].Sub(d.frames[i-frames]))
			}
		}
		if len(d.frames) < 30 {
			t.Errorf("only %d frames", len(d.frames))
		}
		quiet := len(d.frames)
		for range 100 {
			d.send(drawMsg{})
			d.send(tea.KeyMsg{Type: tea.KeyF12})
		}
		d.pass(time.Second)
		if n := len(d.frames) - quiet; n > 2 { // a second of the clock
			t.Errorf("%d frames although nothing changed", n)
		}
	})
}

// A dialog takes no key before it was in sight for the whole of a pause, however long its frame has to wait.
func TestDialogCountsOnceItIsSeen(t *testing.T) {
	var longest time.Duration
	for quiet := time.Duration(0); quiet < time.Second; quiet += 30 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			k := newKeyboard(t, askingFor(t, "confirm"), 80, 24, nil)
			d := &pacing{p: &paced{console: k.c}, msgs: make(chan tea.Msg, 10_000)}
			k.c.later = later
			d.send(tea.KeyMsg{Type: tea.KeyEnter})
			for range 2 * frames { // nothing is left of this second's frames
				d.send(tea.KeyMsg{Type: tea.KeyTab})
				d.pass(time.Millisecond)
			}
			d.pass(quiet)
			d.send(tea.KeyMsg{Type: tea.KeyEnter})
			open, seen := time.Now(), time.Time{}
			for !k.c.armed && time.Since(open) < 3*time.Second {
				if seen.IsZero() && strings.Contains(ansi.Strip(d.p.View()), "┌ Freeze the agent") {
					seen = time.Now()
				}
				d.pass(time.Millisecond)
			}
			longest = max(longest, seen.Sub(open))
			if sight := time.Since(seen); sight < pause-time.Second/flushes || sight > 2*pause {
				t.Errorf("it takes keys %v after it was in sight, and that came %v after it opened", sight, seen.Sub(open))
			}
			d.pass(5 * time.Second)
		})
	}
	if longest < pause {
		t.Errorf("no frame waited longer than %v: nothing was tried", longest)
	}
}
