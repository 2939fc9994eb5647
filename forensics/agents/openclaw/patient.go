package openclaw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"
)

// Root is a directory that is searched as the root of a machine. *os.Root is one, and Patient is one
// that no file system holds up.
type Root interface {
	Name() string
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
}

// ErrSilent is returned for what lies on a file system that did not answer.
var ErrSilent = errors.New("its file system does not answer: left alone")

// Patience is how long Locate waits for an answer: less than whoever captures evidence waits for Locate.
const Patience = 4 * time.Second

// leastPatience is the part of its patience that is left to a Patient that many kept waiting.
const leastPatience = 64

// Patient is a Root whose file systems may hang, as those do whose server is gone or belongs to an
// attacker: each call gets some time, and what took longer is not gone to again. A call that hangs
// cannot be ended. It stays behind, on a goroutine of its own, until its file system answers or is
// unmounted.
type Patient struct {
	ctx  context.Context
	root Root

	mu       sync.Mutex
	patience time.Duration // of the next call: halved by each that hung, so that many do not add up
	least    time.Duration
	silent   map[string]bool
	untold   []Problem
}

// Patiently makes a Patient of a root, unless it is one: it waits so long for an answer, or until
// ctx ends.
func Patiently(ctx context.Context, root Root, patience time.Duration) *Patient {
	if p, ok := root.(*Patient); ok {
		return p
	}
	return &Patient{ctx: ctx, root: root, patience: patience, least: patience / leastPatience, silent: map[string]bool{}}
}

// Name is the name of the root.
func (p *Patient) Name() string { return p.root.Name() }

// Lstat describes a file, and no link's target.
func (p *Patient) Lstat(name string) (fs.FileInfo, error) {
	return Await(p, name, func() (fs.FileInfo, error) { return p.root.Lstat(name) })
}

// Readlink returns the target of a link.
func (p *Patient) Readlink(name string) (string, error) {
	return Await(p, name, func() (string, error) { return p.root.Readlink(name) })
}

// OpenFile opens a file, whose own calls may hang: see File.
func (p *Patient) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return Await(p, name, func() (*os.File, error) { return p.root.OpenFile(name, flag, perm) })
}

// Silent reports whether a path lies on a file system that did not answer.
func (p *Patient) Silent(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.silent) == 0 {
		return false
	}
	for at := path.Clean(name); ; at = path.Dir(at) {
		if p.silent[at] {
			return true
		}
		if at == "." || at == "/" {
			return false
		}
	}
}

// Problems are what did not answer since this was last asked, each place once.
func (p *Patient) Problems() []Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.untold
	p.untold = nil
	return all
}

// Await calls op, which asks for the file at name, and returns what it returns; ErrSilent where root is
// a Patient and op takes too long. What op still does then, nobody may look at.
func Await[T any](root Root, name string, op func() (T, error)) (T, error) {
	p, ok := root.(*Patient)
	if !ok {
		return op()
	}
	var none T
	if p.Silent(name) {
		return none, about("wait for", name, ErrSilent)
	}
	v, err := within(p, op)
	if errors.Is(err, ErrSilent) {
		p.hung(path.Clean(name))
		err = about("wait for", name, ErrSilent)
	}
	return v, err
}

// within calls op, and returns ErrSilent where it takes too long.
func within[T any](p *Patient, op func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	answer := make(chan result, 1)
	go func() {
		v, err := op()
		answer <- result{v, err}
	}()
	p.mu.Lock()
	patience := p.patience
	p.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var none T
	select {
	case r := <-answer:
		return r.value, r.err
	case <-p.ctx.Done():
		return none, context.Cause(p.ctx)
	case <-timer.C:
		return none, ErrSilent
	}
}

// hung takes down that name did not answer, and each directory above it that does not either: the
// file system may hang as a whole, or at this file alone.
func (p *Patient) hung(name string) {
	for {
		p.mu.Lock()
		waited := p.patience
		p.patience = max(p.least, p.patience/2)
		p.mu.Unlock()
		above := path.Dir(name)
		if name == "." || !errors.Is(p.probe(above), ErrSilent) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.silent[name] = true
			p.untold = append(p.untold, Problem{Path: name, Reason: fmt.Sprintf("its file system did not answer within %v: left alone", waited)})
			return
		}
		name = above
	}
}

// probe asks for one entry of a directory.
func (p *Patient) probe(dir string) error {
	_, err := within(p, func() (struct{}, error) {
		f, err := p.root.OpenFile(dir, dirFlags, 0)
		if err != nil {
			return struct{}{}, err
		}
		_, err = f.Readdirnames(1)
		return struct{}{}, errors.Join(err, f.Close())
	})
	return err
}

// File is an open regular file. Where its root is a Patient, none of its calls waits for ever.
type File struct {
	root Root
	name string
	file *os.File
}

// Read reads up to len(b) bytes, as io.Reader.
func (f *File) Read(b []byte) (int, error) {
	if _, patient := f.root.(*Patient); !patient {
		return f.file.Read(b)
	}
	data, err := Await(f.root, f.name, func() ([]byte, error) {
		own := make([]byte, min(len(b), maxRead)) // b is the caller's again when we give up
		n, err := f.file.Read(own)
		return own[:n], err
	})
	if err != nil && err != io.EOF {
		err = about("read", f.name, err)
	}
	return copy(b, data), err
}

// maxRead bounds what one call reads, which is to be quick.
const maxRead = 1 << 20

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) {
	return Await(f.root, f.name, f.file.Stat)
}

// Ask calls op with the descriptor.
func (f *File) Ask(op func(fd int) error) error {
	_, err := Await(f.root, f.name, func() (struct{}, error) { return struct{}{}, op(int(f.file.Fd())) })
	return err
}

// Close closes the file, which was opened for reading only: there is nothing that it could fail to
// write. It does not wait for a file system that hangs.
func (f *File) Close() error {
	if p, ok := f.root.(*Patient); ok && p.Silent(f.name) {
		go f.file.Close() // closing asks the server too
		return nil
	}
	_, err := Await(f.root, f.name, func() (struct{}, error) { return struct{}{}, f.file.Close() })
	return err
}
