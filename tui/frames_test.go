package tui

import (
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"

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
