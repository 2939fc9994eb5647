package tui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/term"
	"golang.org/x/sys/unix"
)

// maxTyped is how many characters a typed line holds.
const maxTyped = 2000

// lineEditor takes keys one after the other into a line. It is told when each one came, so that what
// was typed before a question stood there, or was pasted with an enter in it, answers nothing.
type lineEditor struct {
	text    []rune
	half    []byte    // of a character
	escape  int       // within a key that is no character
	since   time.Time // when what is asked was asked, or a key came too soon
	last    time.Time // when the last key came
	scolded bool      // it was said that keys came too soon
}

// typedMsg is what came from the keyboard in one piece.
type typedMsg struct {
	at    time.Time
	bytes []byte
}

const (
	ctrlC     = 0x03
	ctrlU     = 0x15
	ctrlZ     = 0x1a
	escapeKey = 0x1b
)

// hearKeys takes what was typed.
func (l *lineConsole) hearKeys(m typedMsg) {
	for _, b := range m.bytes {
		if l.left {
			return
		}
		l.byte(m.at, b)
	}
}

func (l *lineConsole) byte(at time.Time, b byte) {
	switch {
	case l.escaped(b):
		return
	case b == ctrlC:
		l.do(l.stop())
		l.say("ctrl+c: what is under way comes to its end.")
		return
	case b == ctrlZ:
		l.say("ctrl+z: not here. Take another terminal.")
		return
	case at.Before(l.since.Add(pause)): // it was typed before, or is still being typed
		l.since = at
		if !l.scolded {
			l.scolded = true
			l.say("Too soon after the question: that did nothing.")
		}
		return
	}
	switch b {
	case '\r', '\n':
		l.enter(at)
		return
	case 0x7f, '\b':
		if n := len(l.text); n > 0 {
			l.text = l.text[:n-1]
			l.write("\b \b")
		}
	case ctrlU:
		l.text, l.half = nil, nil
		l.say("Cleared.")
	default:
		l.character(b)
	}
	l.last = at
}

// escaped reports whether a byte belongs to a key such as an arrow, and to no text.
func (t *lineEditor) escaped(b byte) bool {
	switch {
	case b == escapeKey:
		t.escape = 1
	case t.escape == 1 && (b == '[' || b == 'O'):
		t.escape = 2
	case t.escape == 2:
		if b >= 0x40 {
			t.escape = 0
		}
	default:
		t.escape = 0
		return false
	}
	return true
}

func (l *lineConsole) character(b byte) {
	l.half = append(l.half, b)
	if !utf8.FullRune(l.half) {
		return
	}
	r, _ := utf8.DecodeRune(l.half)
	l.half = nil
	if r == utf8.RuneError || !unicode.IsPrint(r) || len(l.text) >= maxTyped {
		return
	}
	l.text = append(l.text, r)
	l.write(clean(string(r)))
	l.asks = true
}

// enter takes the line, once the hands have paused after what is in it.
func (l *lineConsole) enter(at time.Time) {
	if at.Before(l.last.Add(beat)) {
		l.last = at
		l.say(fmt.Sprintf("Too fast to be read. Enter again takes %q, ctrl+u clears it.", string(l.text)))
		return
	}
	text := string(l.text)
	l.last, l.text, l.half = at, nil, nil
	l.asks = true
	l.endLine()
	l.entered(text)
}

// listen reads the keyboard until what it returns is called, which gives a terminal back as it was.
// What is no terminal is read until its own end.
func (l *lineConsole) listen(lost func()) (hush func(), err error) {
	in := l.o.Input
	if in == nil {
		in = os.Stdin
	}
	file, ok := in.(term.File)
	if !ok || !term.IsTerminal(file.Fd()) {
		go func() {
			if l.keys(in) {
				lost()
			}
		}()
		return func() {}, nil
	}
	fd := int(file.Fd())
	before, err := term.MakeRaw(file.Fd())
	if err != nil {
		return nil, fmt.Errorf("the keyboard: %w", err)
	}
	l.newline = "\r\n"
	wakes, wake, err := os.Pipe()
	if err != nil {
		_ = term.Restore(file.Fd(), before)
		return nil, fmt.Errorf("the keyboard: %w", err)
	}
	l.running.Go(func() {
		if l.keys(&awaited{file, fd, wakes}) {
			lost()
		}
		_ = wakes.Close()
	})
	return func() {
		_ = wake.Close()
		_ = term.Restore(file.Fd(), before)
	}, nil
}

// keys hands on what is typed, and reports whether there is no keyboard any more.
func (l *lineConsole) keys(in io.Reader) (gone bool) {
	for {
		b := make([]byte, 1024)
		n, err := in.Read(b)
		if n > 0 {
			l.send(typedMsg{time.Now(), b[:n]})
		}
		if err != nil {
			return !errors.Is(err, errHushed)
		}
	}
}

var errHushed = errors.New("nobody listens")

// awaited is a terminal whose Read ends when the other end of wakes is closed.
type awaited struct {
	in    io.Reader
	fd    int
	wakes *os.File
}

func (a *awaited) Read(b []byte) (int, error) {
	for {
		both := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}, {Fd: int32(a.wakes.Fd()), Events: unix.POLLIN}} //nolint:gosec // file descriptors are small
		_, err := unix.Poll(both, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case both[1].Revents != 0:
			return 0, errHushed
		default:
			return a.in.Read(b)
		}
	}
}
