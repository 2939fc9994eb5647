package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"clawback/forensics/disk"
)

// Create starts a new record in dir, which must exist, and takes its lock for holder; it is a
// LockedError when somebody holds that for a second.
func Create(dir string, holder Holder, now func() time.Time) (*Journal, error) {
	return CreateOn(disk.OS{}, dir, holder, now)
}

// CreateOn is Create on a given disk.
func CreateOn(fsys disk.FS, dir string, holder Holder, now func() time.Time) (*Journal, error) {
	lock, err := lockSoon(filepath.Join(dir, LockName), holder)
	if err != nil {
		return nil, err
	}
	f, err := fsys.OpenFile(filepath.Join(dir, FileName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		if err = syncNames(fsys, dir); err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("create the record: %w", err)
	}
	return start(f, &payloadFolder{fs: fsys, dir: dir}, lock, now), nil
}

// Open goes on with the record in dir, whose writer has died or ended, and takes its lock for
// holder; it is a LockedError when somebody holds that for a second. The whole record is read and
// checked first, and made durable. A last line without its newline, which is what a crash leaves
// of a write that nobody was told of, is cut away, and cut says how many bytes that were. Any other
// damage is an error that names its line, and then nothing is changed: whole lines are never cut.
func Open(dir string, holder Holder, now func() time.Time) (j *Journal, cut int64, err error) {
	return OpenOn(disk.OS{}, dir, holder, now)
}

// OpenOn is Open on a given disk.
func OpenOn(fsys disk.FS, dir string, holder Holder, now func() time.Time) (j *Journal, cut int64, err error) {
	path := filepath.Join(dir, FileName)
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open the record: %w", err)
	}
	lock, err := lockSoon(filepath.Join(dir, LockName), holder)
	if err != nil {
		return nil, 0, err
	}
	f, err := fsys.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err == nil {
		j = &Journal{now: now, file: f, lock: lock, payloads: &payloadFolder{fs: fsys, dir: dir}}
		if cut, err = j.recover(f); err == nil {
			err = syncNames(fsys, dir)
		}
		if err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		_ = lock.Close()
		return nil, 0, fmt.Errorf("open the record: %w", err)
	}
	return proceed(j), cut, nil
}

// recover finds where the record ends, cuts a torn last line and makes the rest durable.
func (j *Journal) recover(f disk.File) (cut int64, err error) {
	read(io.NewSectionReader(f, 0, math.MaxInt64), nil, func(e Entry, fault error) bool {
		if fault == nil {
			j.last = e
			j.size += int64(len(e.line)) + 1
		}
		err = fault
		return true
	})
	if err != nil {
		var torn bool
		if cut, torn = noLine(io.NewSectionReader(f, j.size, math.MaxInt64-j.size)); !torn {
			return 0, err
		}
		if err := f.Truncate(j.size); err != nil {
			return 0, err
		}
	}
	return cut, f.Sync()
}

// noLine says whether there is no end of a line in r, and how long it is.
func noLine(r io.Reader) (size int64, none bool) {
	b := make([]byte, MaxLine+1)
	for {
		n, err := r.Read(b)
		size += int64(n)
		if bytes.IndexByte(b[:n], '\n') >= 0 {
			return size, false
		}
		if err != nil {
			return size, errors.Is(err, io.EOF)
		}
	}
}

// syncNames makes the record's name durable, and that of its folder, which is new.
func syncNames(fsys disk.FS, dir string) error {
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	err := fsys.SyncDir(dir + "/..")
	if errors.Is(err, fs.ErrPermission) {
		return nil // a folder that is not ours to read was there before
	}
	return err
}
