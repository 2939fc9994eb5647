package discover

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"clawback/forensics/agents/openclaw"
)

// fileTree is the file system as the search of texts sees it.
type fileTree interface {
	list(dir string) (lister, error)
	open(name string) (textFile, error)
}

// lister hands out the entries of a directory, some at a time, and then io.EOF.
type lister interface {
	next() ([]fs.DirEntry, error)
	io.Closer
}

// textFile is an open regular file.
type textFile interface {
	io.ReaderAt
	io.Closer
	size() (int64, error)
	// data is where the file's data goes on, at or behind an offset: not a hole. io.EOF is the end.
	data(from int64) (int64, error)
}

// rootTree is a tree on disk.
type rootTree struct{ root *os.Root }

func (t rootTree) list(dir string) (lister, error) {
	info, err := t.root.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fs.ErrNotExist // what a link leads to is searched where that is ours
	}
	f, err := t.root.OpenFile(dir, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return diskDir{f}, nil
}

type diskDir struct{ *os.File }

func (d diskDir) next() ([]fs.DirEntry, error) {
	batch, err := d.ReadDir(listBatch)
	if len(batch) > 0 {
		return batch, nil
	}
	return nil, err
}

func (t rootTree) open(name string) (textFile, error) {
	f, err := openclaw.OpenResolved(t.root, name)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

type diskFile struct{ *os.File }

func (f diskFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f diskFile) data(from int64) (int64, error) {
	const seekData = 3 // SEEK_DATA of Linux; other systems refuse it
	at, err := f.Seek(from, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return 0, io.EOF
	case err != nil:
		return from, nil
	}
	return at, nil
}
