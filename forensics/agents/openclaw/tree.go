package openclaw

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links one path may lead through, as in Linux.
const maxLinks = 40

// ErrNotRegular is returned for what is not a regular file: it is never opened, because a FIFO
// waits for ever and a device may act.
var ErrNotRegular = errors.New("not a regular file")

// ErrTooLarge is returned for a file that is longer than the caller wants to read.
var ErrTooLarge = errors.New("too large")

// ErrDangling is returned for a link whose target is not below the root, where that is not a whole
// machine: what it leads to may lie on another disk.
var ErrDangling = errors.New("a link to what is not on this disk: mount that too, or read it where it is")

const dirFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_DIRECTORY

// Resolve returns the path below root that name leads to, with no symbolic link left in it. A
// link's absolute target counts from root, so that a mounted disk is read as the machine saw it,
// and ".." at the root stays there. os.Root alone refuses such links.
func Resolve(root Root, name string) (string, error) {
	rest := strings.Split(name, "/")
	at, links := ".", 0
	own := len(rest) // parts of name itself that are still to come
	for len(rest) > 0 {
		part := rest[0]
		linked := len(rest) > own
		rest = rest[1:]
		own = min(own, len(rest))
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at) // at holds no link, so its parent is its directory
			continue
		}
		next := path.Join(at, part)
		info, err := root.Lstat(next)
		if linked && errors.Is(err, fs.ErrNotExist) && root.Name() != "/" {
			err = ErrDangling
		}
		if err != nil {
			return "", about("resolve", name, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", about("resolve", name, syscall.ELOOP)
		}
		target, err := root.Readlink(next)
		if err != nil {
			return "", about("resolve", name, err)
		}
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// Open opens the regular file that name leads to below root, for reading. It waits for nothing
// and leaves the file's access time alone where the system lets it.
func Open(root Root, name string) (*File, error) {
	resolved, err := Resolve(root, name)
	if err != nil {
		return nil, err
	}
	f, err := OpenResolved(root, resolved)
	if err != nil {
		return nil, err
	}
	return &File{root, resolved, f}, nil
}

// OpenResolved is Open for a path that Resolve returned, or that was found by listing directories.
func OpenResolved(root Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, about("open", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, about("open", name, fmt.Errorf("%s: %w", typeName(info.Mode()), ErrNotRegular))
	}
	flag := os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW
	f, err := root.OpenFile(name, flag|noAtime, 0)
	if errors.Is(err, syscall.EPERM) { // only the owner and root may keep the access time
		f, err = root.OpenFile(name, flag, 0)
	}
	if err != nil {
		return nil, about("open", name, err)
	}
	// Again on what was opened: its name may have been given to something else meanwhile.
	if info, err = Await(root, name, f.Stat); err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", typeName(info.Mode()), ErrNotRegular)
	}
	if err != nil {
		_ = (&File{root, name, f}).Close() // opened for reading only
		return nil, about("open", name, err)
	}
	return f, nil
}

// ReadFile returns the content of the regular file that name leads to below root, and
// ErrTooLarge where it is longer than max bytes.
func ReadFile(root Root, name string, max int64) ([]byte, error) {
	f, err := Open(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tooLarge := about("read", name, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, max))
	if info, err := f.Stat(); err == nil && info.Size() > max {
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1)) // a file may grow, and those of /proc say 0
	if err != nil {
		return nil, about("read", name, err)
	}
	if int64(len(data)) > max {
		return nil, tooLarge
	}
	return data, nil
}

// ReadDir lists the directory that name leads to below root, in the order of the directory, and
// at most max entries; more is ErrTooLarge beside the first max.
func ReadDir(root Root, name string, max int) ([]fs.DirEntry, error) {
	resolved, err := Resolve(root, name)
	if err != nil {
		return nil, err
	}
	info, err := root.Lstat(resolved)
	if err != nil {
		return nil, about("list", name, err)
	}
	if !info.IsDir() {
		return nil, about("list", name, syscall.ENOTDIR)
	}
	dir, err := root.OpenFile(resolved, dirFlags, 0)
	if err != nil {
		return nil, about("list", name, err)
	}
	// Names alone: a directory that was opened below an os.Root asks for the type of each entry, and one
	// that hangs would hide the others.
	names, err := Await(root, resolved, func() ([]string, error) {
		defer dir.Close() // opened for reading only
		return dir.Readdirnames(max + 1)
	})
	entries := make([]fs.DirEntry, len(names))
	for i, n := range names {
		entries[i] = entry{root, resolved, n}
	}
	if err != nil && err != io.EOF {
		return entries, about("list", name, err)
	}
	if len(entries) > max {
		return entries[:max], about("list", name, fmt.Errorf("%w: more than %d entries", ErrTooLarge, max))
	}
	return entries, nil
}

// entry is one of a directory's. What it is, it asks when it is asked.
type entry struct {
	root      Root
	dir, name string
}

func (e entry) Name() string               { return e.name }
func (e entry) Info() (fs.FileInfo, error) { return e.root.Lstat(path.Join(e.dir, e.name)) }
func (e entry) IsDir() bool                { return e.Type().IsDir() }

func (e entry) Type() fs.FileMode {
	info, err := e.Info()
	if err != nil {
		return fs.ModeIrregular
	}
	return info.Mode().Type()
}

// ProblemOf tells what could not be read and why, with the way out where there is one.
func ProblemOf(name string, err error) Problem {
	reason := err
	var p *fs.PathError
	if errors.As(err, &p) {
		reason = p.Err
	}
	text := reason.Error()
	switch {
	case errors.Is(err, fs.ErrPermission):
		text += ": run as root to read it"
	case errors.Is(err, syscall.ELOOP):
		text = "its links lead in a circle"
	}
	return Problem{Path: name, Reason: text}
}

// about names the path that the caller asked for: os.Root names only its last part.
func about(op, name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func typeName(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a special file"
}
