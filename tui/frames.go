package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

const (
	// frames is how many frames the terminal gets at most in any second.
	frames = 15
	// forKeys is how many of them are kept for what a person does, so that a key is answered at once
	// while the record pours in.
	forKeys = 5
	// flushes is how often a second the renderer looks for a new frame while some come: what a key waits
	// for at most.
	flushes = 60
)

// paced is the console with its frames counted. A frame that is one too many waits for its time; the one
// that stands is drawn once more meanwhile, which costs nothing.
type paced struct {
	*console
	frame string            // that stands
	drawn [frames]time.Time // when the last ones were, the oldest first
	draws bool              // the next View is a new frame
	at    time.Time         // when a frame was put off to; zero for none
	shows int               // how often a pause had begun, as of the frame that stands
	since time.Time         // when that was drawn
	looks looks             // of the renderer

	program *tea.Program // that shows it; nil: the rate of its renderer is left as it is
}

type drawMsg struct{}

// Update implements tea.Model.
func (p *paced) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	now := time.Now()
	switch m := msg.(type) {
	case drawMsg:
		p.at = time.Time{}
	case armMsg:
		if unseen := p.unseen(int(m), now); unseen > 0 {
			return p, later(unseen, m)
		}
		_, cmd = p.console.Update(msg)
	default:
		_, cmd = p.console.Update(msg)
	}
	wait := p.wait(msg, now)
	switch at := now.Add(wait); {
	case wait <= 0:
		p.draws = true
	case p.at.IsZero() || at.Before(p.at):
		p.at = at
		cmd = tea.Batch(cmd, later(wait, drawMsg{}))
	}
	return p, cmd
}

// unseen is how much longer the hands have to rest, since what began the pause came to the screen later than
// it happened: a dialog that nobody could see yet takes no key.
func (p *paced) unseen(opened int, now time.Time) time.Duration {
	rests, stood := p.console.rests(), now.Sub(p.since)
	switch {
	case opened > p.shows:
		return max(0, p.at.Sub(now)) + rests
	case stood < rests-time.Second/flushes:
		return rests - stood
	}
	return 0
}

// wait is how long the frame has to wait that a message asks for.
func (p *paced) wait(msg tea.Msg, now time.Time) time.Duration {
	before := p.drawn[0]
	switch msg.(type) {
	case entriesMsg, tickMsg, sentMsg, endMsg:
		before = p.drawn[forKeys]
	}
	return time.Second - now.Sub(before)
}

// View implements tea.Model.
func (p *paced) View() string {
	if !p.draws {
		return p.frame
	}
	p.draws = false
	if p.shows != p.console.opened {
		p.shows, p.since = p.console.opened, time.Now()
	}
	if frame := p.console.View(); frame != p.frame {
		p.frame = frame
		copy(p.drawn[:], p.drawn[1:])
		p.drawn[frames-1] = time.Now()
		p.looks.quicken(tickerOf(p.program))
	}
	return p.frame
}
