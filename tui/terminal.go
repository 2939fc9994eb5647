package tui

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/term"
)

// ErrTerminal means that the console ended because its terminal is gone: nobody can read it or
// type into it any more. It says nothing about the response, which goes on.
var ErrTerminal = errors.New("the terminal is gone")

// input is the terminal to read from. A terminal that is read to its end was hung up; Bubble Tea
// would go on without a keyboard and say nothing.
func (o Options) input(lost func()) io.Reader {
	in := o.Input
	if in == nil && term.IsTerminal(os.Stdin.Fd()) {
		in = os.Stdin
	}
	if f, ok := in.(*os.File); ok {
		return &keyboardFile{f, lost}
	}
	return in // nil: Bubble Tea opens the terminal
}

// keyboardFile is a file for Bubble Tea, which looks for its methods.
type keyboardFile struct {
	*os.File
	lost func()
}

func (k *keyboardFile) Read(b []byte) (int, error) {
	n, err := k.File.Read(b)
	if errors.Is(err, io.EOF) || gone(err) {
		k.lost()
	}
	return n, err
}

// gone reports whether an error of a terminal is its end.
func gone(err error) bool {
	for _, end := range []error{syscall.EIO, syscall.EPIPE, syscall.ENXIO, syscall.EBADF, os.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// oneWriter lets the screen and the clipboard write in turn: each Write is whole. What is a
// terminal stays one for Bubble Tea, which takes no notice of a Write that fails: lost is called
// when the terminal is gone.
func oneWriter(out io.Writer, lost func()) io.Writer {
	if f, ok := out.(term.File); ok {
		return &turnFile{File: f, lost: lost}
	}
	return &turnWriter{out: out}
}

type turnWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (t *turnWriter) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(b)
}

type turnFile struct {
	term.File
	mu   sync.Mutex
	lost func()
}

func (t *turnFile) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.File.Write(b)
	if gone(err) {
		t.lost()
	}
	return n, err
}

// suspend is ctrl+z. It stops the whole process, and with it every proof, every deadline and every
// answer to the host. Whoever presses it at 3 am wants their shell for a moment, and no screen
// would show them that meanwhile nothing is being proved. So it is refused not only while half a
// change would be left standing, but as long as anything goes on by itself. Where all that is left
// waits for a person, standing still costs nothing. A console over a response that runs elsewhere
// stops alone, and always may.
func (c *console) suspend() tea.Cmd {
	if why := c.awake(); why != "" {
		c.complain("ctrl+z suspend: not now, " + why)
		return nil
	}
	return tea.Exec(suspension{c.o.Suspend}, func(err error) tea.Msg { return awakeMsg{err} })
}

// awake says why the process must not stop now.
func (c *console) awake() string {
	switch {
	case c.o.Suspend == nil:
		return "there is no shell to come back to"
	case c.guest():
		return ""
	case c.rec.InFlight() != "":
		return c.rec.InFlight() + " is under way, and half of it is worse than all or nothing"
	case c.rec.AtWork() != "":
		return c.rec.AtWork() + " goes on, and would stand still: take another terminal"
	case c.rec.active() && len(c.answered)+len(c.rec.byHand) > 0:
		return "what you sent is being taken up"
	}
	return ""
}

// awakeMsg comes back from a suspension, or from one that did not happen.
type awakeMsg struct{ err error }

// suspension is a suspension as Bubble Tea runs it: with the terminal given back.
type suspension struct{ suspend func() error }

func (p suspension) Run() error          { return p.suspend() }
func (p suspension) SetStdin(io.Reader)  {}
func (p suspension) SetStdout(io.Writer) {}
func (p suspension) SetStderr(io.Writer) {}
