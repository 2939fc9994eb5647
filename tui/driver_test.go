package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// Pressing the highlighted key, and nothing else, leads from the first screen to the report: over
// the real engine and journal, at the smallest size.
func TestHighlightedKeyLeadsToTheReport(t *testing.T) {
	for _, size := range []struct{ w, h int }{{60, 15}, {80, 24}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := t.TempDir()
			w, err := newWorld(ctx, dir)
			if err != nil {
				t.Fatal(err)
			}
			k := newKeyboard(t, newStory(t), size.w, size.h, nil)
			k.c.o.Dir, k.c.o.Submit, k.c.o.Now = dir, w.engine.Submit, time.Now
			msgs := make(chan tea.Msg, 10_000)
			go func() { _ = feed(ctx, w.engine.Journal.Cursor(), func(m tea.Msg) { msgs <- m }) }()

			pressed := follow(t, k, msgs)
			<-w.done
			if k.c.screen != &k.c.report {
				t.Fatalf("it ended at %s after %v:\n%s", k.c.screen.title(), pressed, k.view())
			}
			k.wants("# INC-20261122-0317: suspected compromise")
			if dead := k.c.rec.Tally().Dead; dead != 7 {
				t.Errorf("%d of 7 dead", dead)
			}
			text := strings.Join(pressed, "")
			for _, part := range []string{"revoke 7", "downdowndownenter", "omy"} {
				if !strings.Contains(text, part) {
					t.Errorf("%q was not among the keys: %v", part, pressed)
				}
			}
			if d := k.c.rec.Decisions["cause"]; d.Choice != "unknown" {
				t.Errorf("the cause was decided as %q: following the keys must end in the safe branch", d.Choice)
			}
		})
	}
}

// follow presses the highlighted key until it would leave, waiting for the record where there is none.
func follow(t *testing.T, k *keyboard, msgs chan tea.Msg) (pressed []string) {
	for len(pressed) < 200 {
		synctest.Wait()
		for len(msgs) > 0 {
			k.send(<-msgs)
		}
		k.rest()
		var l layer = k.c.screen
		if o := k.c.top(); o != nil {
			l = o
		}
		key := l.next(k.c)
		if key == "q" {
			return pressed
		}
		if key == "" {
			k.send(<-msgs) // nothing to press: the response goes on
			continue
		}
		if !strings.Contains(ansi.Strip(k.view()), labelOf(k, l, key)) {
			t.Fatalf("%q is next, and not on the screen:\n%s", key, k.view())
		}
		pressed = append(pressed, key)
		k.press(key)
	}
	t.Fatalf("no way to the report: %v\n%s", pressed, k.view())
	return nil
}

func labelOf(k *keyboard, l layer, key string) string {
	if b, ok := find(append(l.keys(k.c), k.c.globalKeys()...), key); ok {
		return "▸ " + b.label + " "
	}
	return key // of a text to be typed
}

// list is a record of given entries.
type list struct {
	entries []journal.Entry
	end     error
}

func (l *list) Next(ctx context.Context) (journal.Entry, error) {
	if len(l.entries) > 0 {
		e := l.entries[0]
		l.entries = l.entries[1:]
		return e, nil
	}
	if l.end != nil {
		return journal.Entry{}, l.end
	}
	<-ctx.Done()
	return journal.Entry{}, context.Cause(ctx)
}

type faulty struct{}

func (faulty) Next(context.Context) (journal.Entry, error) {
	panic("the value quotes \x1b[2J what it likes")
}

func TestFeedIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory(t)
		for range 1000 {
			s.add(incident.TypeNote, incident.Note{Text: "n"})
		}
		began := time.Now()
		var batches []int
		var end []error
		err := feed(t.Context(), &list{s.entries, io.EOF}, func(m tea.Msg) {
			switch m := m.(type) {
			case entriesMsg:
				batches = append(batches, len(m))
			case endMsg:
				end = append(end, m.err)
			}
		})
		if err != nil || len(end) != 1 || end[0] != nil {
			t.Errorf("feed: %v, ends %v", err, end)
		}
		total := 0
		for _, n := range batches {
			total += n
		}
		if most := int(time.Since(began)/(time.Second/frames)) + 1; total != 1000 || len(batches) > most {
			t.Errorf("%d entries in batches of %v, at most %d batches", total, batches, most)
		}
	})
}

func TestFeedEnds(t *testing.T) {
	broken := errors.New("entry 3 does not carry the hash of entry 2")
	var last tea.Msg
	if err := feed(t.Context(), &list{nil, broken}, func(m tea.Msg) { last = m }); err != nil || last != (endMsg{broken}) {
		t.Errorf("%v, %v", err, last)
	}
	last = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := feed(ctx, &list{}, func(m tea.Msg) { last = m }); err != nil || last != nil {
		t.Errorf("after its context: %v, %v", err, last)
	}
	err := feed(t.Context(), faulty{}, func(tea.Msg) {})
	if err == nil || !strings.Contains(err.Error(), "driver_test.go") || strings.Contains(err.Error(), "quotes") {
		t.Errorf("a panic became %v", err)
	}
}

// safeBuffer is what a program writes while a test reads it.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Whatever ends Run, the screen is restored and Run says why.
func TestRunRestoresTheScreen(t *testing.T) {
	for name, tc := range map[string]struct {
		journal Reader
		shows   string // what is on the screen before q is pressed
		cancel  bool
		now     func() time.Time
		want    string // in the error; empty for none
	}{
		"left at the end":       {journal: &list{begun(t).entries, io.EOF}, shows: "the record ends here"},
		"a record that breaks":  {journal: &list{end: errors.New("the hash does not fit")}, shows: "cannot be read further", want: "the hash does not fit"},
		"told to end":           {journal: &list{}, cancel: true, want: "terminated"},
		"a panic in the reader": {journal: faulty{}, want: "a fault of clawback itself, at "},
		"a panic in the model":  {journal: &list{entries: begun(t).entries}, now: panicAfter(1), want: "a fault of clawback itself, at "},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			terminal, out := newTerminal(t)
			ran := make(chan error, 1)
			go func() {
				ran <- Run(ctx, Options{Journal: tc.journal, Input: terminal, Output: terminal, Now: tc.now, Getenv: func(string) string { return "" }})
			}()
			if tc.cancel {
				out.waitFor(t, "reading the record")
				cancel(errors.New("terminated"))
			}
			if tc.shows != "" {
				out.waitFor(t, tc.shows)
				out.press(t, "q")
			}
			err := <-ran
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("it returned %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("it returned %v, want %q", err, tc.want)
			case err != nil && strings.Contains(err.Error(), "quotes"):
				t.Errorf("the error quotes the panic: %v", err)
			}
			out.waitFor(t, "\x1b[?1049l")
		})
	}
}

// screenOf is the other end of a terminal.
type screenOf struct {
	pty  *os.File
	more chan struct{} // there is more; closed with the terminal
	safeBuffer
}

func newTerminal(t *testing.T) (*os.File, *screenOf) {
	t.Helper()
	ours, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(ours, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	s := &screenOf{pty: ours, more: make(chan struct{}, 1)}
	go func() {
		defer close(s.more)
		b := make([]byte, 4096)
		for {
			n, err := ours.Read(b)
			_, _ = s.Write(b[:n])
			if err != nil {
				return
			}
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = terminal.Close()
		_ = ours.Close()
		for range s.more { // until the reader has ended
		}
	})
	return terminal, s
}

func (s *screenOf) waitFor(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(s.String(), text) {
		if _, open := <-s.more; !open {
			t.Fatalf("the terminal never showed %q: %q", text, s.String())
		}
	}
}

func (s *screenOf) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(s.pty, keys); err != nil {
		t.Fatal(err)
	}
}

func panicAfter(n int) func() time.Time {
	return func() time.Time {
		if n--; n < 0 {
			panic("quotes")
		}
		return declaredAt
	}
}

// A terminal that answers nothing is not asked for its background, and sees the console at once.
// Where it is asked, every start takes seconds: so one start in time is enough, on a busy machine.
func TestSilentTerminal(t *testing.T) {
	limit := 300 * time.Millisecond
	if raceEnabled {
		limit *= 5
	}
	var took []time.Duration
	for range 3 {
		first, out := silentTerminal(t)
		for _, question := range []string{"\x1b]11", "\x1b]10", "\x1b[6n", "\x1b[c"} {
			if strings.Contains(out, question) {
				t.Fatalf("the terminal was asked %q", question)
			}
		}
		if strings.Count(out, "\x1b[?1049h") != 1 || strings.Count(out, "\x1b[?1049l") != 1 {
			t.Fatalf("the screen was not taken and given back: %q", out)
		}
		if took = append(took, first); first <= limit {
			return
		}
	}
	t.Errorf("the first output came after %v, not within %v", took, limit)
}

// silentTerminal starts the console on a terminal that says nothing but three times ctrl+c.
func silentTerminal(t *testing.T) (first time.Duration, output string) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "NO_COLOR=") || strings.HasPrefix(e, "TERM=") || strings.HasPrefix(e, "COLORFGBG=")
	}), consoleDir+"="+t.TempDir(), "TERM=xterm-256color")
	began := time.Now()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tty.Close() }()
	out := &safeBuffer{}
	seen := make(chan time.Duration, 1)
	drawn := make(chan struct{})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		b := make([]byte, 4096)
		var once sync.Once
		for {
			n, err := tty.Read(b)
			_, _ = out.Write(b[:n])
			if n > 0 {
				select {
				case seen <- time.Since(began):
				default:
				}
			}
			if err != nil || strings.Contains(out.String(), "Freeze the agent") {
				once.Do(func() { close(drawn) })
			}
			if err != nil {
				return
			}
		}
	}()
	first = <-seen
	<-drawn
	for range 3 { // stop; then leave, wherever it stands
		_, _ = tty.Write([]byte{3})
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	<-closed
	return first, out.String()
}

func TestPanicInACommand(t *testing.T) {
	w := &work{ctx: t.Context()}
	msg, ok := w.cmd(func() tea.Msg { panic("the value quotes what it likes") })().(failedMsg)
	if !ok || !strings.Contains(msg.err.Error(), "driver_test.go") || strings.Contains(msg.err.Error(), "quotes") {
		t.Errorf("it became %v", msg)
	}
	w.wait()
	if got := w.cmd(func() tea.Msg { t.Error("it ran after the end"); return nil })(); got != nil {
		t.Errorf("it gave %v", got)
	}
}
