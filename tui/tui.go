// Package tui is the console: an incident's record as it grows, what it needs of a person, and
// their answers. It shows the record and nothing else, so what the responder saw is what the
// record says.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	_ "clawback/tui/background" // before Bubble Tea initialises
)

// Reader gives the entries of a record, one after the other: *journal.Cursor.
type Reader interface {
	// Next returns the next entry, waiting for it. io.EOF means that the record is closed.
	Next(ctx context.Context) (journal.Entry, error)
}

// Options say what the console shows and whom it tells.
type Options struct {
	Journal   Reader
	Submit    func(context.Context, engine.Command) error // nil: the console only watches
	Interrupt func() error                                // asks the response to end; called at most once a keypress, never after Run
	Attached  bool                                        // the response runs in another process: to leave the console leaves it running
	Sent      func(file string) bool                      // whether a message was put into the inbox from here; nil: none was
	Suspend   func() error                                // stops the process until it is told to go on; nil: it cannot be
	Now       func() time.Time                            // the response's clock; nil means time.Now
	By        string                                      // the responder
	Dir       string                                      // the incident's folder: the report is read from it
	Draft     func(context.Context) (string, error)       // the report as it would read now, in Markdown; nil: it is shown once it is written
	Input     io.Reader                                   // nil: the terminal, also when stdin is a pipe
	Output    io.Writer                                   // nil: stdout
	Getenv    func(string) string                         // nil: os.Getenv; NO_COLOR and TERM are asked for
	NoColor   bool
	Lines     bool   // appended lines and numbered choices in place of a screen; so it is on a terminal that moves no cursor
	Theme     string // one of Themes; empty: as the terminal says in COLORFGBG, else its own colours
	Instead   string // the command that shows the same elsewhere, for a terminal that is too small; default "clawback watch" of the incident

	resizes func(send func(tea.Msg)) // a test's: it gets what tells the size of a terminal that is none
}

// Dumb reports whether a terminal prints one line after the other, and nothing else.
func Dumb(term string) bool { return term == "dumb" }

// Run shows the console until the person leaves: it returns nil then, whether or not the response
// is over. It returns the cause when ctx is done, ErrTerminal when the terminal is gone, and an
// error when the record cannot be read or the console itself fails; the screen is restored in each
// case. What it started has ended when it returns. Nothing but Interrupt ends the response.
func Run(ctx context.Context, o Options) error {
	ours, end := context.WithCancelCause(ctx)
	cancel := func() { end(context.Canceled) }
	defer cancel()
	lost := func() { end(ErrTerminal) }
	o = o.withDefaults()
	o.Input, o.Output = o.input(lost), oneWriter(o.Output, lost)
	w := &work{ctx: ctx}
	c := newConsole(o, w)
	show, send := c.program(ours, o, lost)
	if o.resizes != nil {
		o.resizes(send)
	}

	var reader sync.WaitGroup
	var failed error
	reader.Go(func() {
		failed = guarded(func() error { return feed(ours, o.Journal, send) })
		if failed != nil {
			send(failedMsg{failed})
		}
	})
	err := show()
	gone := errors.Is(context.Cause(ours), ErrTerminal)
	cancel()
	reader.Wait()
	w.wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case gone:
		return ErrTerminal
	case failed != nil:
		return failed
	case c.failed != nil:
		return c.failed
	case err != nil:
		return fmt.Errorf("the console: %w", err)
	case c.rec.broken != nil:
		return c.rec.broken
	}
	return nil
}

// program is what shows the console until the person leaves, and what takes messages for it.
func (c *console) program(ctx context.Context, o Options, lost func()) (show func() error, send func(tea.Msg)) {
	if o.Lines || Dumb(o.Getenv("TERM")) {
		l := newLineConsole(o, c)
		return func() error { return guarded(func() error { return l.run(ctx, lost) }) }, l.send
	}
	model := &paced{console: c}
	p := tea.NewProgram(model, programOptions(ctx, o)...)
	model.program = p
	return func() error {
		defer model.looks.end()
		_, err := p.Run()
		return err
	}, p.Send
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Output == nil {
		o.Output = os.Stdout
	}
	return o
}

func programOptions(ctx context.Context, o Options) []tea.ProgramOption {
	opts := []tea.ProgramOption{
		tea.WithContext(ctx), tea.WithOutput(o.Output), tea.WithFPS(flushes),
		tea.WithoutSignalHandler(), // signals are the caller's: they end ctx
		tea.WithAltScreen(),
	}
	if o.Input != nil {
		opts = append(opts, tea.WithInput(o.Input))
	}
	return opts
}

// feed sends the entries of a record in batches, until its end or that of ctx.
func feed(ctx context.Context, r Reader, send func(tea.Msg)) error {
	const most = 1024 // entries in a batch: a key that comes meanwhile waits for no more
	entries := make(chan journal.Entry, 256)
	var end, fault error
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(entries)
		fault = guarded(func() error {
			for {
				var e journal.Entry
				if e, end = r.Next(ctx); end != nil {
					return nil
				}
				select {
				case entries <- e:
				case <-ctx.Done():
					return nil
				}
			}
		})
	})
	defer reading.Wait()
	for e := range entries {
		batch := []journal.Entry{e}
		frame := time.NewTimer(time.Second / frames)
		for open := true; open && len(batch) < most; {
			select {
			case e, ok := <-entries:
				if open = ok; ok {
					batch = append(batch, e)
				}
			case <-frame.C:
				open = false
			case <-ctx.Done():
				open = false
			}
		}
		frame.Stop()
		send(entriesMsg(batch))
	}
	reading.Wait()
	if errors.Is(end, io.EOF) {
		end = nil
	}
	if ctx.Err() == nil && fault == nil {
		send(endMsg{end})
	}
	return fault
}

// work runs what waits or touches a file, so that Run can wait for it: Bubble Tea does not.
type work struct {
	ctx context.Context

	mu      sync.Mutex
	over    bool
	running sync.WaitGroup
}

// cmd makes a command of do. A panic in it becomes a message.
func (w *work) cmd(do func() tea.Msg) tea.Cmd {
	return func() (msg tea.Msg) {
		w.mu.Lock()
		if w.over {
			w.mu.Unlock()
			return nil
		}
		w.running.Add(1)
		w.mu.Unlock()
		defer w.running.Done()
		err := guarded(func() error { msg = do(); return nil })
		if err != nil {
			return failedMsg{err}
		}
		return msg
	}
}

func (w *work) wait() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.running.Wait()
}
