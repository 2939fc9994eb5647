package tui

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// Bounds that the benchmarks print their values against.
const (
	frameBound = 5 * time.Millisecond  // of one frame with 10,000 credentials
	keyBound   = 50 * time.Millisecond // from a key to its frame, 99 of 100
)

// crowd is a response with so many credentials, in every state.
func crowd(t testing.TB, n int) *story {
	s := begun(t)
	s.begin("revoke")
	for i := range n {
		f := s.found([]string{"github", "aws", "slack", "stripe"}[i%4], "github.pat", fmt.Sprintf("ghp_…%05d", i), nil)
		s.life(f, []credential.Life{credential.Dead, credential.Accepted, credential.Alive, credential.Propagating, credential.Manual}[i%5], nil)
	}
	return s
}

// BenchmarkFrame draws after each change there is: an entry, a second of the clock, a key.
func BenchmarkFrame(b *testing.B) {
	for _, filter := range []string{"", "github"} {
		b.Run("filter="+filter, func(b *testing.B) {
			s := crowd(b, 10_000)
			k := newKeyboard(b, s, 80, 24, nil)
			k.press("enter")
			if filter != "" {
				k.press("/", filter, "enter")
			}
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				n := len(s.entries)
				s.refused(print("github"+fmt.Sprintf("ghp_…%05d", i%2500*4)), "401", 1, 0, time.Minute)
				k.send(entriesMsg(s.entries[n:]))
				k.c.now = k.c.now.Add(time.Second)
				k.press([]string{"j", "j", "k", "tab"}[i%4])
				began := time.Now()
				if k.c.View() == "" {
					b.Fatal("nothing was drawn")
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			p99 := took[len(took)*99/100]
			b.ReportMetric(float64(p99)/float64(time.Millisecond), "p99-ms")
			b.ReportMetric(float64(p99)/float64(frameBound), "of-5ms-bound")
		})
	}
}

// screenTimes hands on what is written to the terminal, and when.
type screenTimes struct{ wrote chan written }

type written struct {
	at   time.Time
	text string
}

func (w screenTimes) Write(p []byte) (int, error) {
	w.wrote <- written{time.Now(), string(p)}
	return len(p), nil
}

// shown is when a text came to the terminal.
func (w screenTimes) shown(text string) time.Time {
	for {
		if f := <-w.wrote; strings.Contains(f.text, text) {
			return f.at
		}
	}
}

// flood is a record that goes on with its last thousand entries, as fast as they are read.
type flood struct {
	entries []journal.Entry
	read    int
	most    int
}

func (f *flood) Next(ctx context.Context) (journal.Entry, error) {
	if f.read == f.most {
		<-ctx.Done()
		return journal.Entry{}, context.Cause(ctx)
	}
	f.read++
	if f.read <= len(f.entries) {
		return f.entries[f.read-1], nil
	}
	return f.entries[len(f.entries)-1-f.read%1000], nil
}

// BenchmarkKey opens and closes the help while a million lines come in, with 10,000 credentials on the
// board, and measures from each key until the terminal gets its frame.
func BenchmarkKey(b *testing.B) {
	const entries = 1_000_000
	for range b.N {
		s := crowd(b, 10_000)
		for i := range 1000 {
			s.add(incident.TypeNote, incident.Note{Text: fmt.Sprintf("line %d", i), By: "dana"})
		}
		screen := screenTimes{make(chan written)}
		keys, press := io.Pipe()
		ctx, cancel := context.WithCancel(b.Context())
		record := &flood{entries: s.entries, most: entries}
		o := Options{Journal: record, Output: screen, Input: keys, Now: time.Now, Getenv: func(string) string { return "" }}.withDefaults()
		p := tea.NewProgram(&paced{console: newConsole(o, &work{ctx: ctx})}, programOptions(ctx, o)...)
		var running sync.WaitGroup
		running.Go(func() { _, _ = p.Run() })
		running.Go(func() { p.Send(tea.WindowSizeMsg{Width: 80, Height: 24}); _ = feed(ctx, o.Journal, p.Send) })
		screen.shown("CREDENTIALS")
		var took []time.Duration
		hands := time.NewTicker(250 * time.Millisecond) // as fast as a person reads
		for i := range 100 {
			for waiting := true; waiting; {
				select {
				case <-hands.C:
					waiting = false
				case <-screen.wrote: // what the record makes of the screen meanwhile
				}
			}
			key, shows := "?", "Keys"
			if i%2 == 1 {
				key, shows = "\x1b", "CREDENTIALS"
			}
			began := time.Now()
			_, _ = io.WriteString(press, key)
			took = append(took, screen.shown(shows).Sub(began))
		}
		cancel()
		go func() {
			for range screen.wrote {
			}
		}()
		running.Wait()
		close(screen.wrote)
		slices.Sort(took)
		b.ReportMetric(float64(took[50])/float64(time.Millisecond), "median-ms")
		b.ReportMetric(float64(took[98])/float64(time.Millisecond), "p99-ms")
		b.ReportMetric(float64(took[98])/float64(keyBound), "of-50ms-bound")
		b.ReportMetric(float64(record.read), "entries")
	}
}
