package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// Cursor reads a record from its first entry on, at its own pace: a slow reader holds up nobody
// and misses nothing.
type Cursor struct {
	j      *Journal
	offset int64
	buf    []byte // read and not yet given out
	prev   Entry
}

// Cursor returns a reader that begins at the first entry.
func (j *Journal) Cursor() *Cursor { return &Cursor{j: j} }

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
			c.prev = e
			return e, nil
		}
		changed, err := c.fill()
		if err != nil {
			return Entry{}, err
		}
		if changed == nil {
			continue
		}
		select {
		case <-changed:
		case <-c.j.done:
		case <-ctx.Done():
			return Entry{}, context.Cause(ctx)
		}
	}
}

// fill reads on. It returns a channel to wait for when there is nothing to read.
func (c *Cursor) fill() (<-chan struct{}, error) {
	const chunk = 256 << 10
	j := c.j
	over := false // asked first: what is added before the end is then seen below
	select {
	case <-j.done:
		over = true
	default:
	}
	j.mu.Lock()
	size, changed := j.size, j.changed
	var held []byte
	if c.offset >= size && j.failure != nil {
		held = bytes.Clone(j.held[c.offset-size:])
	}
	j.mu.Unlock()

	switch {
	case c.offset < size:
		b := make([]byte, min(chunk, size-c.offset))
		n, err := j.file.ReadAt(b, c.offset)
		if n == 0 && err != nil {
			return nil, fmt.Errorf("read the record: %w", err)
		}
		c.buf, c.offset = append(c.buf, b[:n]...), c.offset+int64(n)
		return nil, nil
	case len(held) > 0:
		c.buf, c.offset = append(c.buf, held...), c.offset+int64(len(held))
		return nil, nil
	case over:
		return nil, io.EOF
	}
	return changed, nil
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
		f, err := os.Open(filepath.Join(dir, FileName))
		if err != nil {
			yield(Entry{}, fmt.Errorf("open the record: %w", err))
			return
		}
		defer func() { _ = f.Close() }()
		read(f, yield)
	}
}

func read(r io.Reader, yield func(Entry, error) bool) {
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
