package tui

import (
	"reflect"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

const (
	// calmAfter is how long after a new frame the renderer goes on to look for one at its full rate.
	calmAfter = 3 * time.Second / flushes
	// calmly is how often it looks then. A frame is never late by it, unless the processor left the console
	// alone for longer than calmAfter in the middle of a frame.
	calmly = 4
)

// looks is how often the renderer looks for a new frame. Bubble Tea's wakes at its full rate for as long as
// the console lives, which is four fifths of what one costs that waits for somebody, all night.
type looks struct {
	mu     sync.Mutex
	ticker *time.Ticker // of the renderer; nil until it was quickened
	until  time.Time    // when it calms down
	timer  *time.Timer
	over   bool
}

// quicken has a frame seen soon that comes now. Without a ticker the renderer keeps its rate.
func (l *looks) quicken(ticker *time.Ticker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || ticker == nil {
		return
	}
	ticker.Reset(time.Second / flushes)
	l.until = time.Now().Add(calmAfter)
	if l.ticker = ticker; l.timer == nil {
		l.timer = time.AfterFunc(calmAfter, l.calm)
	} else {
		l.timer.Reset(calmAfter)
	}
}

func (l *looks) calm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over && !time.Now().Before(l.until) {
		l.ticker.Reset(time.Second / calmly)
	}
}

// end stops what a renderer that has ended would not look at any more.
func (l *looks) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over = true; l.timer != nil {
		l.timer.Stop()
		l.ticker.Stop()
	}
}

// tickerOf returns what wakes the renderer of a program that runs. Bubble Tea has no way to ask for it; nil
// where a later version keeps it elsewhere, whose renderer then wakes as often as it likes.
func tickerOf(p *tea.Program) *time.Ticker {
	v := reflect.ValueOf(p)
	for _, name := range []string{"renderer", "ticker"} {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil
		}
		v = v.FieldByName(name)
	}
	if !v.IsValid() || v.Type() != reflect.TypeFor[*time.Ticker]() {
		return nil
	}
	return (*time.Ticker)(v.UnsafePointer())
}
