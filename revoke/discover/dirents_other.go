//go:build !linux

package discover

import (
	"io/fs"
	"os"
)

// directory reads a directory on.
type directory struct{ *os.File }

func directoryOf(f *os.File) *directory { return &directory{f} }

// next returns at most n entries, and io.EOF behind the last one.
func (e *directory) next(n int) ([]fs.DirEntry, error) {
	batch, err := e.ReadDir(n)
	if len(batch) > 0 {
		return batch, nil
	}
	return nil, err
}
