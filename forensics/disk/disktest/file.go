package disktest

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"path/filepath"

	"clawback/forensics/disk"
)

// file is an open file.
type file struct {
	d      *Disk
	f      disk.File
	path   string // where it was opened
	node   *node
	at     int64 // of the next Write
	append bool
}

func (f *file) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.append {
		f.at = f.node.size()
	}
	n, err := f.write(b, f.at, f.f.Write)
	f.at += int64(n)
	return n, err
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return f.write(b, at, func(b []byte) (int, error) { return f.f.WriteAt(b, at) })
}

// write writes all of b, or the first half of it when it fails.
func (f *file) write(b []byte, at int64, write func([]byte) (int, error)) (int, error) {
	if f.d.isDead() {
		return 0, ErrDead
	}
	fault := f.d.operation("write", f.path, " ", len(b), " bytes")
	if fault != nil {
		b = b[:len(b)/2]
	}
	n, err := write(b)
	f.node.pending = append(f.node.pending, change{at: at, b: bytes.Clone(b[:n])})
	return n, errors.Join(fault, err)
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.isDead() {
		return 0, ErrDead
	}
	return f.f.ReadAt(b, at)
}

func (f *file) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.operation("truncate", f.path); err != nil {
		return err
	}
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.node.pending = append(f.node.pending, change{at: size, cut: true})
	return nil
}

func (f *file) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.operation("sync", f.path); err != nil {
		return err
	}
	f.node.syncContent()
	return nil
}

// Close closes the file in any case.
func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.f.Close()
	if f.d.isDead() {
		return ErrDead
	}
	return err
}

// root is a disk.Root.
type root struct {
	d    *Disk
	r    disk.Root
	path string // where it was opened
	node *node
}

// OpenRoot opens a folder.
func (d *Disk) OpenRoot(name string) (disk.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isDead() {
		return nil, ErrDead
	}
	r, err := disk.OS{}.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &root{d, r, name, d.folder(name)}, nil
}

func (r *root) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if err := r.d.opening(filepath.Join(r.path, name), flag); err != nil {
		return nil, err
	}
	f, err := r.r.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	dir, base := path.Split(filepath.ToSlash(filepath.Clean(name)))
	return r.d.opened(f, filepath.Join(r.path, name), r.node.walk(dir), base, flag), nil
}

func (r *root) MkdirAll(name string, perm fs.FileMode) error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	dir, base := path.Split(filepath.ToSlash(filepath.Clean(name)))
	return r.mkdirAll(dir, base, perm)
}

func (r *root) mkdirAll(dir, base string, perm fs.FileMode) error {
	if base == "" || base == "." {
		return nil
	}
	if r.d.isDead() {
		return ErrDead
	}
	dir = path.Clean(dir)
	if dir != "." {
		above, last := path.Split(dir)
		if err := r.mkdirAll(above, last, perm); err != nil {
			return err
		}
	}
	parent := r.node.walk(dir)
	if parent.names[base] != nil {
		return nil
	}
	name := path.Join(dir, base)
	if err := r.d.operation("mkdir", filepath.Join(r.path, name)); err != nil {
		return err
	}
	if err := r.r.MkdirAll(name, perm); err != nil {
		return err
	}
	parent.names[base] = newFolder()
	return nil
}

func (r *root) Flush() error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if err := r.d.operation("flush", r.path); err != nil {
		return err
	}
	r.node.syncAll()
	return nil
}

func (r *root) Close() error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	err := r.r.Close()
	if r.d.isDead() {
		return ErrDead
	}
	return err
}
