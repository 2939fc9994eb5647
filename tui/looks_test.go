package tui

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// A renderer looks often for a little after each frame, seldom afterwards, and not at all once it is over.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ticker := time.NewTicker(time.Hour)
		var l looks
		ticks := func(during time.Duration) (n int) {
			for end := time.After(during); ; {
				select {
				case <-ticker.C:
					n++
				case <-end:
					return n
				}
			}
		}
		l.quicken(nil)
		l.quicken(ticker)
		const most = int(calmAfter * flushes / time.Second)
		if n := ticks(calmAfter); n < most-1 || n > most {
			t.Errorf("%d looks in %s after a frame", n, calmAfter)
		}
		if n := ticks(10 * time.Second); n < 10*calmly-1 || n > 10*calmly+1 {
			t.Errorf("%d looks in 10 s of rest", n)
		}
		l.quicken(ticker)
		time.Sleep(calmAfter - time.Nanosecond)
		<-ticker.C
		l.quicken(ticker) // as it would have calmed down
		if n := ticks(calmAfter - time.Nanosecond); n < most-1 || n > most {
			t.Errorf("%d looks in %s after the next frame", n, calmAfter)
		}
		l.end()
		l.quicken(ticker)
		if n := ticks(time.Minute); n > 0 {
			t.Errorf("%d looks after the end", n)
		}
	})
}

// Bubble Tea keeps its ticker where it is looked for; an upgrade may move it.
func TestTickerOf(t *testing.T) {
	if tickerOf(nil) != nil {
		t.Error("no program has a ticker")
	}
	found := make(chan *time.Ticker, 1)
	asks := &seeksTicker{found: found}
	asks.program = tea.NewProgram(asks, tea.WithInput(nil), tea.WithOutput(io.Discard), tea.WithoutSignalHandler())
	if tickerOf(asks.program) != nil {
		t.Error("one that does not run has a ticker")
	}
	if _, err := asks.program.Run(); err != nil {
		t.Fatal(err)
	}
	if <-found == nil {
		t.Error("one that runs has no ticker where it is looked for")
	}
	var out bytes.Buffer
	bare := &seeksTicker{found: found}
	bare.program = tea.NewProgram(bare, tea.WithInput(nil), tea.WithOutput(&out), tea.WithoutRenderer(), tea.WithoutSignalHandler())
	if _, err := bare.program.Run(); err != nil || <-found != nil {
		t.Errorf("one without a renderer has a ticker, %v", err)
	}
}

// seeksTicker looks for the ticker of its program while that runs, and ends it.
type seeksTicker struct {
	program *tea.Program
	found   chan<- *time.Ticker
}

func (a *seeksTicker) Init() tea.Cmd { return tea.Quit }
func (a *seeksTicker) Update(tea.Msg) (tea.Model, tea.Cmd) {
	return a, nil
}

func (a *seeksTicker) View() string {
	select {
	case a.found <- tickerOf(a.program):
	default:
	}
	return "here"
}
