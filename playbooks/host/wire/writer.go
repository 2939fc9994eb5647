package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Writer is the host's side. Its methods are called from one goroutine. It is a snapshots.Sink.
type Writer struct {
	out       io.Writer
	recipient age.Recipient
	err       error // the first, after which nothing more is written

	finds, room int // finds that were sent, and bytes that are left for more
	leftOut     int
}

// NewWriter writes the header of a verb. Secrets are sealed to recipient; without one, a find that
// has a secret ends the verb.
func NewWriter(out io.Writer, verb, version string, recipient age.Recipient) (*Writer, error) {
	w := &Writer{out: out, recipient: recipient, room: roomForFinds}
	return w, w.send(message{Type: typeHeader, Protocol: Protocol, Verb: verb, Version: version})
}

// Found sends one find with its secret sealed. A secret that is too large, or has no room any more, is
// left out and Unresolved says so; a find for which the desk has no room is counted in LeftOut.
func (w *Writer) Found(f discover.Found) error {
	if w.err != nil {
		return w.err
	}
	f = clipped(f)
	f.Sealed = nil
	if !f.Secret.Empty() {
		if w.recipient == nil {
			return w.fail(errors.New("a secret was found, and there is no recipient to seal it to"))
		}
		sealed, err := credential.Seal(f.Secret, w.recipient)
		switch {
		case errors.Is(err, credential.ErrTooLarge):
			f.Unresolved = tooLarge
		case err != nil:
			return w.fail(err)
		default:
			f.Sealed = sealed
		}
	}
	return w.fit(f)
}

// LeftOut is how many finds were not sent, because the desk takes no more.
func (w *Writer) LeftOut() int { return w.leftOut }

// fit sends f as far as there is room: a desk that got too much would believe nothing.
func (w *Writer) fit(f discover.Found) error {
	line, err := json.Marshal(message{Type: typeFound, Found: &f})
	if err != nil {
		return w.fail(err)
	}
	switch {
	case w.finds < discoverItems && len(line) < w.room:
		w.finds++
		w.room -= len(line) + 1
		return w.write(line)
	case w.finds < discoverItems && f.Sealed != nil:
		f.Sealed, f.Unresolved = nil, noRoom
		return w.fit(f)
	}
	w.leftOut++
	return nil
}

// Begin implements snapshots.Sink.
func (w *Writer) Begin(f snapshots.File) (io.Writer, error) {
	if err := w.send(message{Type: typeBegin, File: &f}); err != nil {
		return nil, err
	}
	return chunks{w}, nil
}

// End implements snapshots.Sink.
func (w *Writer) End(f snapshots.File) error { return w.send(message{Type: typeEnd, File: &f}) }

type chunks struct{ w *Writer }

func (c chunks) Write(data []byte) (written int, err error) {
	for len(data) > 0 {
		piece := data[:min(len(data), maxChunk)]
		if err := c.w.send(message{Type: typeChunk, Bytes: len(piece)}); err != nil {
			return written, err
		}
		n, err := c.w.out.Write(piece)
		written += n
		if err != nil {
			return written, c.w.fail(err)
		}
		data = data[n:]
	}
	return written, nil
}

// Hole implements snapshots.HoleWriter.
func (c chunks) Hole(n int64) error {
	for n > 0 {
		piece := min(n, maxHole)
		if err := c.w.send(message{Type: typeHole, Bytes: int(piece)}); err != nil {
			return err
		}
		n -= piece
	}
	return nil
}

// Close ends the answer with the verb's result and its error, of which each may be nil.
func (w *Writer) Close(result any, failed error) error {
	m := message{Type: typeTrailer}
	if result != nil {
		data, err := json.Marshal(result)
		if err != nil {
			return w.fail(err)
		}
		m.Result = data
	}
	if failed != nil {
		m.Error = failed.Error()
		if errors.Is(failed, discover.ErrNoInstallation) {
			m.Code = codeNoInstallation
		}
	}
	return w.send(m)
}

func (w *Writer) send(m message) error {
	if w.err != nil {
		return w.err
	}
	line, err := json.Marshal(m)
	if err != nil {
		return w.fail(err)
	}
	return w.write(line)
}

func (w *Writer) write(line []byte) error {
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = fmt.Errorf("answer the desk: %w", err)
	}
	return w.err
}
