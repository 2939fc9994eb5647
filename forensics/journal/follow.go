package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"clawback/forensics/disk"
)

// A record that another process writes is looked at this often, and less often while nothing comes.
const (
	followEvery  = 100 * time.Millisecond
	followSeldom = 4 * followEvery
)

// Follow returns a reader of the record in dir, which another process may still write. It gives
// what is in the file, durable or not, and waits for the rest of a half-written line. When nobody
// holds the record's lock, Next returns io.EOF after the last entry, or ErrTorn where a dead
// writer left a part of one; asked again, it goes on with what came since. A record that became
// shorter than what was read, changed its last line or was replaced is an error.
func Follow(dir string) *Cursor {
	return &Cursor{from: &follower{payloadFolder: payloadFolder{dir: dir}}}
}

// follower reads a record's file. It is open only while it is read, so that a reader may be
// dropped at any time.
type follower struct {
	payloadFolder
	first os.FileInfo // the file, as it was found
	spare []byte      // of a look that found nothing new
}

func (f *follower) more(ctx context.Context, offset int64, last []byte) ([]byte, error) {
	for wait := followEvery; ; wait = min(2*wait, followSeldom) {
		b, _, err := f.read(offset, last)
		if err != nil || len(b) > 0 {
			return b, err
		}
		over, err := free(filepath.Join(f.dir, LockName))
		if err != nil {
			return nil, err
		}
		if over { // once more: the end may have been written in between
			b, torn, err := f.read(offset, last)
			switch {
			case err != nil || len(b) > 0:
				return b, err
			case torn:
				return nil, ErrTorn
			}
			return nil, io.EOF
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// read returns whole lines that begin at offset, and whether a part of one stands where they end.
// It reads the line before them again: it has to be the one that was read.
func (f *follower) read(offset int64, last []byte) (lines []byte, torn bool, err error) {
	file, err := f.open()
	if err != nil {
		return nil, false, fmt.Errorf("follow the record: %w", err)
	}
	defer func() { _ = file.Close() }()
	if len(last) > 0 {
		last = append(bytes.Clone(last), '\n')
	}
	b := f.spare
	if f.spare = nil; len(b) != len(last)+chunk {
		b = make([]byte, len(last)+chunk)
	}
	n, err := file.ReadAt(b, offset-int64(len(last)))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("follow the record: %w", err)
	}
	if n < len(last) {
		return nil, false, fmt.Errorf("follow the record: %s was cut: it ends before byte %d, up to which it was read", FileName, offset)
	}
	rest, ok := bytes.CutPrefix(b[:n], last)
	if !ok {
		return nil, false, errors.New("follow the record: a line that was read is not what it was")
	}
	whole := bytes.LastIndexByte(rest, '\n') + 1
	if whole == 0 && len(rest) > MaxLine {
		return nil, false, fmt.Errorf("follow the record: a line has more than %d bytes", MaxLine)
	}
	if whole == 0 {
		f.spare = b
	}
	return rest[:whole], whole < len(rest), nil
}

func (f *follower) open() (*os.File, error) {
	file, err := disk.OpenRegular(filepath.Join(f.dir, FileName))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = f.same(info)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// same says whether a file is the one that was read before.
func (f *follower) same(info os.FileInfo) error {
	if f.first != nil && !os.SameFile(f.first, info) {
		return fmt.Errorf("%s was replaced by another file", info.Name())
	}
	f.first = info
	return nil
}
