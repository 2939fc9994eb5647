package deposit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"clawback/forensics/incident"
)

// Directory is a folder, such as a mounted share: evidence lies in DIR/INCIDENT. No symbolic link is
// followed below DIR. That nobody changes what lies there is up to what is mounted.
type Directory struct {
	path string
	busy chan struct{} // capacity 1: somebody uses the share
	hang func()        // of a test
}

// NewDirectory does not touch the directory yet: a share may hang.
func NewDirectory(path string) (*Directory, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("directory %q does not begin with /", path)
	}
	return &Directory{path: filepath.Clean(path), busy: make(chan struct{}, 1)}, nil
}

// Kind is "directory".
func (*Directory) Kind() string { return "directory" }

// Folder is DIR/INCIDENT.
func (d *Directory) Folder(incident string) string { return filepath.Join(d.path, incident) }

// Put copies a file, and reads it back past the page cache where the file system lets it. A share that
// hangs holds up nobody: what waits for it is left behind, once.
func (d *Directory) Put(ctx context.Context, name string, f File, _ bool) (incident.DepositedFile, error) {
	if err := checkIncident(name); err != nil {
		return incident.DepositedFile{}, err
	}
	select {
	case d.busy <- struct{}{}:
	case <-ctx.Done():
		return incident.DepositedFile{}, errors.New("the directory still hangs since an earlier attempt")
	}
	type result struct {
		incident.DepositedFile
		err error
	}
	out := make(chan result, 1)
	go func() { // left behind when the share hangs; no second one begins before it ends
		if d.hang != nil {
			d.hang()
		}
		kept, err := d.put(ctx, name, f)
		<-d.busy
		out <- result{kept, err}
	}()
	select {
	case r := <-out:
		return r.DepositedFile, r.err
	case <-ctx.Done():
		return incident.DepositedFile{}, fmt.Errorf("the directory hangs: %w", context.Cause(ctx))
	}
}

func (d *Directory) put(ctx context.Context, name string, f File) (kept incident.DepositedFile, err error) {
	folder, err := openFolder(d.path, name)
	if err != nil {
		return kept, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	kept = incident.DepositedFile{Name: f.Name(), SHA256: f.SHA256, Bytes: f.Bytes}
	there, err := openIn(folder, f.Name(), unix.O_RDONLY, 0)
	switch {
	case err == nil:
		_ = there.Close()
		kept.Before = true
	case !errors.Is(err, fs.ErrNotExist):
		return kept, err
	default:
		if err := f.copyInto(ctx, folder); err != nil {
			return kept, err
		}
		kept.Proof = []string{"written, flushed to the disk, and named without replacing anything"}
	}
	how, err := f.readBack(ctx, folder)
	if err != nil {
		return kept, fmt.Errorf("%s: %w", filepath.Join(folder.Name(), f.Name()), err)
	}
	kept.Proof = append(kept.Proof, how)
	return kept, nil
}

// openFolder opens DIR/INCIDENT, and makes it when DIR is there: an empty mount point would take the
// copy and keep it on the wrong disk, so DIR itself is never made.
func openFolder(dir, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	parent, err := unix.Open(dir, flags&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	share := os.NewFile(uintptr(parent), dir)
	defer func() { _ = share.Close() }()
	path := filepath.Join(dir, name)
	if err = unix.Mkdirat(parent, name, 0o700); err == nil {
		err = share.Sync()
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	fd, err := unix.Openat(parent, name, flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openIn opens a regular file in a folder and follows no link.
func openIn(folder *os.File, name string, flags int, mode uint32) (*os.File, error) {
	path := filepath.Join(folder.Name(), name)
	fd, err := unix.Openat(int(folder.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("it is no regular file")}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// copyInto copies a file into a folder. Until all of it is durable it is called NAME.partial, and what
// an earlier run left under that name is begun anew.
func (f File) copyInto(ctx context.Context, folder *os.File) (err error) {
	in, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	partial := f.Name() + ".partial"
	if err := unix.Unlinkat(int(folder.Fd()), partial, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "remove", Path: filepath.Join(folder.Name(), partial), Err: err}
	}
	out, err := openIn(folder, partial, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	sum := newSum()
	n, err := io.CopyBuffer(io.MultiWriter(out, sum), stoppable{ctx, in}, make([]byte, 1<<20))
	if err == nil {
		err = f.is(sum.hex(), n)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = renameNew(folder, partial, f.Name())
	}
	if err == nil {
		err = folder.Sync()
	}
	if err != nil {
		_ = unix.Unlinkat(int(folder.Fd()), partial, 0)
		return fmt.Errorf("copy %s to %s: %w", f.Path, folder.Name(), err)
	}
	return nil
}

// linkNew gives a file its name, unless something has it, where a rename would replace that.
func linkNew(fd int, from, to string) error {
	if err := unix.Linkat(fd, from, fd, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(fd, from, 0)
}

// readBack reads the copy and compares it. It says how.
func (f File) readBack(ctx context.Context, folder *os.File) (string, error) {
	digest, n, err := readDirect(ctx, folder, f.Name())
	if err == nil {
		return "read back from the disk itself (O_DIRECT): " + digest, f.is(digest, n)
	}
	if ctx.Err() != nil {
		return "", err
	}
	in, err := openIn(folder, f.Name(), unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	forget(in)
	digest, n, err = digestOf(ctx, in)
	if err != nil {
		return "", err
	}
	return "read back, after the system was told to forget what it holds of it in memory: " + digest, f.is(digest, n)
}
