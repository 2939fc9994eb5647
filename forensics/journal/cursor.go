package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"clawback/forensics/disk"
)

// Cursor reads a record from its first entry on, at its own pace: a slow reader holds up nobody
// and misses nothing.
type Cursor struct {
	from   source
	offset int64  // of what is read next
	buf    []byte // read and not yet given out
	prev   Entry
}

// source is a record that may still grow.
type source interface {
	loader
	// more waits for what stands behind the first offset bytes, the last of which are the line last. It
	// returns io.EOF when nothing will come any more.
	more(ctx context.Context, offset int64, last []byte) ([]byte, error)
}

// chunk is how much is read at once.
const chunk = 256 << 10

// Cursor returns a reader that begins at the first entry.
func (j *Journal) Cursor() *Cursor { return &Cursor{from: entries{j, false}} }

// DurableCursor returns a reader that begins at the first entry and waits before each one until it
// is on disk: what it has given out is in the record after any crash. It ends with io.EOF after
// the last durable entry of a closed record.
func (j *Journal) DurableCursor() *Cursor { return &Cursor{from: entries{j, true}} }

// Next returns the next entry, waiting for it if need be. It returns io.EOF after the last entry
// of a closed record.
func (c *Cursor) Next(ctx context.Context) (Entry, error) {
	for {
		if i := bytes.IndexByte(c.buf, '\n'); i >= 0 {
			e, err := Parse(c.buf[:i])
			if err == nil {
				err = Check(c.prev, e)
			}
			if err != nil {
				return Entry{}, fmt.Errorf("read the record: %w", err)
			}
			c.buf = c.buf[i+1:]
			e.from = c.from
			c.prev = e
			return e, nil
		}
		b, err := c.from.more(ctx, c.offset, c.prev.line)
		if err != nil {
			return Entry{}, err
		}
		c.buf, c.offset = append(c.buf, b...), c.offset+int64(len(b))
	}
}

// entries is the source of a journal's own cursors.
type entries struct {
	*Journal
	durable bool // those that are on disk alone
}

func (s entries) more(ctx context.Context, offset int64, _ []byte) ([]byte, error) {
	for {
		b, changed, err := s.there(offset)
		if changed == nil {
			return b, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// there returns what there is to read, or a channel to wait for.
func (s entries) there(offset int64) ([]byte, <-chan struct{}, error) {
	j := s.Journal
	over := false // asked first: what is added before the end is then seen below
	select {
	case <-j.done:
		over = true
	default:
	}
	j.mu.Lock()
	size, changed := j.size, j.changed
	var held []byte
	if offset >= size && j.failure != nil && !s.durable {
		held = bytes.Clone(j.held[offset-size:])
	}
	j.mu.Unlock()

	switch {
	case offset < size:
		b := make([]byte, min(chunk, size-offset))
		n, err := j.file.ReadAt(b, offset)
		if n == 0 && err != nil {
			return nil, nil, fmt.Errorf("read the record: %w", err)
		}
		return b[:n], nil, nil
	case len(held) > 0:
		return held, nil, nil
	case over:
		return nil, nil, io.EOF
	}
	return nil, changed, nil
}

// Entries gives what the record holds now, from its first entry on.
func (j *Journal) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		cursor := j.Cursor()
		for range j.Length() {
			e, err := cursor.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// ErrTorn means that the last line of a record is not whole, as after a crash: everything before it holds.
var ErrTorn = errors.New("the last line is not whole")

// Read gives the entries of the record in dir, checking each one's place. It ends with the first
// error; a torn last line is ErrTorn.
func Read(dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f, err := disk.OpenRegular(filepath.Join(dir, FileName))
		if err != nil {
			yield(Entry{}, fmt.Errorf("open the record: %w", err))
			return
		}
		defer func() { _ = f.Close() }()
		read(f, &payloadFolder{dir: dir}, yield)
	}
}

func read(r io.Reader, from loader, yield func(Entry, error) bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, MaxLine+1)
	lines.Split(withNewline)
	var prev Entry
	n := 1
	for ; lines.Scan(); n++ {
		line, whole := bytes.CutSuffix(lines.Bytes(), []byte("\n"))
		var e Entry
		err := ErrTorn
		if whole {
			e, err = Parse(line)
		}
		if err == nil {
			err = Check(prev, e)
		}
		if err != nil {
			yield(Entry{}, fmt.Errorf("line %d: %w", n, err))
			return
		}
		e.from = from
		prev = e
		if !yield(e, nil) {
			return
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("more than %d bytes", MaxLine)
	}
	if err != nil {
		yield(Entry{}, fmt.Errorf("line %d: %w", n, err))
	}
}

// withNewline splits after each newline, so that a last line without one can be told.
func withNewline(data []byte, atEOF bool) (advance int, line []byte, err error) {
	n := bytes.IndexByte(data, '\n') + 1
	if n == 0 && atEOF {
		n = len(data)
	}
	if n == 0 {
		return 0, nil, nil // it takes more to tell
	}
	return n, data[:n], nil
}
