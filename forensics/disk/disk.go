// Package disk is how a desk changes its state directory: every file, folder and name in there is
// made through an FS, so that a test can stand in for the disk that fails, fills up or loses its
// power in the middle. Reading needs no seam.
package disk

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is an open file. What was written is durable after Sync, and its name after SyncDir of its folder.
type File interface {
	io.Writer
	io.WriterAt
	io.ReaderAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// FS changes folders and names. Its methods do what their namesakes in package os do.
type FS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	OpenRoot(name string) (Root, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	SyncDir(name string) error // makes the names in a folder durable
}

// Root is a folder that no name given to it leads out of, for names that somebody else chose. It
// stays the same folder when that is renamed.
type Root interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	MkdirAll(name string, perm fs.FileMode) error
	Flush() error // makes all that is in the folder durable, names and contents, and reports what failed since OpenRoot
	Close() error
}

// OS is the disk of this machine.
type OS struct{}

// OpenFile is os.OpenFile.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenRoot is os.OpenRoot.
func (OS) OpenRoot(name string) (Root, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &osRoot{root, self}, nil
}

// Mkdir is os.Mkdir.
func (OS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// Rename is os.Rename.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (OS) Remove(name string) error { return os.Remove(name) }

// RemoveAll is os.RemoveAll.
func (OS) RemoveAll(name string) error { return os.RemoveAll(name) }

// SyncDir is the fsync of a folder.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osRoot struct {
	*os.Root
	self *os.File // open from the start: errors of writing back are reported to it
}

func (r *osRoot) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := r.Root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r *osRoot) Flush() error { return flush(r.Root, r.self) }

func (r *osRoot) Close() error { return errors.Join(r.self.Close(), r.Root.Close()) }

// Replace gives the file at path this content: it is there as a whole, and durable, or it is what
// it was before. Only when the last step fails, the fsync of its folder, may it be either.
func Replace(fsys FS, path string, content []byte, perm fs.FileMode) error {
	dir, name := filepath.Split(path)
	temp := filepath.Join(dir, "."+name+"."+rand.Text()[:12]+".tmp")
	f, err := fsys.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		_ = fsys.Remove(temp) // what failed first is what matters
		return err
	}
	return fsys.SyncDir(filepath.Clean(dir))
}

// OpenRegular opens a file for reading where somebody else may have put another thing in its place:
// not through a link, and without waiting for the other end of a FIFO.
func OpenRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// MkdirAll makes a folder and what is missing above it, each durable before what is below it. A
// folder that is there already is taken as it is.
func MkdirAll(fsys FS, path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := MkdirAll(fsys, parent, perm); err != nil {
		return err
	}
	err = fsys.Mkdir(path, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody else was faster
	}
	if err != nil {
		return err
	}
	err = fsys.SyncDir(parent)
	if err == nil || errors.Is(err, fs.ErrPermission) { // a folder that may be written to and not read
		return nil
	}
	_ = fsys.Remove(path) // so that the next try does not take it as it is
	return err
}
