package discover

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"clawback/forensics/agents/openclaw"
)

// fileTree is the file system as the search of texts sees it.
type fileTree interface {
	list(dir string) (lister, error)
}

// lister is an open directory. It hands out its entries, some at a time, and then io.EOF.
type lister interface {
	next() ([]fs.DirEntry, error)
	// open opens a regular file of the directory: what else has the name is not waited for.
	open(base string) (textFile, error)
	io.Closer
}

// textFile is an open regular file.
type textFile interface {
	io.ReaderAt
	io.Closer
	size() int64 // when it was opened
	// data is where the file's data goes on, at or behind an offset: not a hole. io.EOF is the end.
	data(from int64) (int64, error)
}

// folder is a directory that is closed when its last user has released it: its files are opened
// while the walk is elsewhere.
type folder struct {
	lister
	users atomic.Int32
}

func (f *folder) hold() *folder {
	f.users.Add(1)
	return f
}

func (f *folder) release() {
	if f.users.Add(-1) == 0 {
		_ = f.Close() // opened for reading only
	}
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
	return diskDir{f, int(f.Fd()), directoryOf(f)}, nil
}

type diskDir struct {
	*os.File
	fd      int // asking for it again costs calls into the kernel
	entries *directory
}

func (d diskDir) next() ([]fs.DirEntry, error) { return d.entries.next(listBatch) }

// open opens by one name in the open directory: no link can lead the way there elsewhere, and a
// tree has 100,000 files, whose paths would be walked from the root again.
func (d diskDir) open(base string) (textFile, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openIn(d.fd, base, flags|noAtime)
	if err == unix.EPERM { // only the owner and root may keep the access time
		fd, err = openIn(d.fd, base, flags)
	}
	if err == unix.ELOOP {
		err = openclaw.ErrNotRegular // a link, since it was listed
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: base, Err: err}
	}
	f := diskFile{fd: fd}
	var st unix.Stat_t
	err = ignoringEINTR(func() error { return unix.Fstat(fd, &st) })
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = openclaw.ErrNotRegular // since it was listed
	}
	if err != nil {
		_ = f.Close() // opened for reading only
		return nil, &fs.PathError{Op: "open", Path: base, Err: err}
	}
	f.length = st.Size
	return f, nil
}

func openIn(dir int, base string, flags int) (fd int, err error) {
	err = ignoringEINTR(func() error { fd, err = unix.Openat(dir, base, flags, 0); return err })
	return fd, err
}

// ignoringEINTR repeats a call that a signal ended: those of Go's runtime do, too.
func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// diskFile is a file by its descriptor: an os.File asks the kernel twice more about each.
type diskFile struct {
	fd     int
	length int64
}

func (f diskFile) size() int64 { return f.length }

func (f diskFile) Close() error { return unix.Close(f.fd) }

// ReadAt reads up to the end that the file had when it was opened, which saves the read that would
// find it, and further where the file said less than it holds, as those of /proc do.
func (f diskFile) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		var more int
		err = ignoringEINTR(func() error { more, err = unix.Pread(f.fd, p[n:], at+int64(n)); return err })
		if err != nil {
			return n, &fs.PathError{Op: "read", Err: err}
		}
		n += max(0, more)
		if more <= 0 || at+int64(n) == f.length && n < len(p) {
			return n, io.EOF
		}
	}
	return n, nil
}

func (f diskFile) data(from int64) (int64, error) {
	const seekData = 3 // SEEK_DATA of Linux; other systems refuse it
	at, err := unix.Seek(f.fd, from, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return 0, io.EOF
	case err != nil:
		return from, nil
	}
	return at, nil
}
