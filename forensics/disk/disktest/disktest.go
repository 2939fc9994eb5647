// Package disktest is a disk for tests, over a real folder: it fills up, fails or dies at a chosen
// operation, and says what would be left of the folder after the power was lost.
package disktest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"clawback/forensics/disk"
)

// ErrDead is returned for everything after the death of a disk. As the process has died, nothing
// that it wants to do then is done.
var ErrDead = errors.New("the process has died")

// Disk is a disk.FS over a real folder. It counts what changes something, which are its
// operations: creating and opening with O_TRUNC, every write, truncation, fsync, Mkdir, Rename,
// Remove, RemoveAll, SyncDir and Flush; MkdirAll of a Root counts each folder that it makes. It never waits
// for a real fsync. All its methods may be called from several goroutines at once.
type Disk struct {
	dir string

	mu     sync.Mutex
	root   *node // of dir
	list   []string
	dieAt  int
	faults []fault
	dead   chan struct{}
}

// fault is an error that operations return.
type fault struct {
	at   int
	on   bool // and all that follow
	path string
	err  error
}

var _ disk.FS = (*Disk)(nil)

// New returns a disk over dir, which exists. What is in there is durable.
func New(dir string) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := found(dir)
	if err != nil {
		return nil, err
	}
	return &Disk{dir: dir, root: root, dead: make(chan struct{})}, nil
}

// DieAt makes operation k, counted from 1, the last: of a write its first half is done, of
// anything else nothing.
func (d *Disk) DieAt(k int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dieAt = k
}

// FailAt makes operation k, counted from 1, fail with err: of a write its first half is done, of
// anything else nothing.
func (d *Disk) FailAt(k int, err error) { d.fail(fault{at: k, err: err}) }

// FailFrom makes operation k and all that follow fail as with FailAt, until Heal.
func (d *Disk) FailFrom(k int, err error) { d.fail(fault{at: k, on: true, err: err}) }

// FailOn makes all operations fail as with FailAt whose path contains a text, until Heal.
func (d *Disk) FailOn(path string, err error) { d.fail(fault{on: true, path: path, err: err}) }

func (d *Disk) fail(f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, f)
}

// Heal ends all faults.
func (d *Disk) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// Count returns how many operations there were, those that failed among them.
func (d *Disk) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.list)
}

// List returns the operations, one text each: "3 write journal.jsonl 120 bytes".
func (d *Disk) List() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.list...)
}

// Dead returns a channel that is closed when the disk dies, before the fatal operation returns.
func (d *Disk) Dead() <-chan struct{} { return d.dead }

func (d *Disk) isDead() bool {
	select {
	case <-d.dead:
		return true
	default:
		return false
	}
}

// operation counts an operation, and says whether it is to be done: with a nil error the whole of
// it, otherwise what a failing or dying disk does of it. The disk is locked.
func (d *Disk) operation(what, path string, more ...any) error {
	if d.isDead() {
		return ErrDead
	}
	name := path
	if rel, ok := d.below(path); ok {
		name = rel
	}
	n := len(d.list) + 1
	text := fmt.Sprintf("%d %s %s", n, what, name) + fmt.Sprint(more...)
	err := d.verdict(n, name)
	if err != nil {
		text += ": " + err.Error()
	}
	d.list = append(d.list, text)
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: what, Path: path, Err: err}
}

func (d *Disk) verdict(n int, name string) error {
	if n == d.dieAt {
		close(d.dead)
		return ErrDead
	}
	for _, f := range d.faults {
		if n == f.at || f.on && n >= f.at && strings.Contains(name, f.path) {
			return f.err
		}
	}
	return nil
}

// below returns a path relative to the disk's folder, "." for that itself, when it is in there.
func (d *Disk) below(path string) (string, bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(d.dir, abs)
	return rel, err == nil && filepath.IsLocal(rel)
}

// at returns the folder in which path is, as the disk knows it, and its name there. A folder that
// was made behind the disk's back is durable.
func (d *Disk) at(path string) (*node, string) {
	rel, ok := d.below(path)
	if !ok || rel == "." {
		return newFolder(), "." // nothing of ours: what happens there is not followed
	}
	dir, name := filepath.Split(rel)
	return d.root.walk(dir), name
}

// folder returns the folder at path, as the disk knows it.
func (d *Disk) folder(path string) *node {
	rel, ok := d.below(path)
	if !ok {
		return newFolder()
	}
	return d.root.walk(rel)
}

// OpenFile opens a file.
func (d *Disk) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.opening(name, flag); err != nil {
		return nil, err
	}
	f, err := disk.OS{}.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	dir, base := d.at(name)
	return d.opened(f, name, dir, base, flag), nil
}

// opening counts the opening of a file, if that changes something.
func (d *Disk) opening(path string, flag int) error {
	if d.isDead() {
		return ErrDead
	}
	if flag&(os.O_CREATE|os.O_TRUNC) == 0 {
		return nil
	}
	return d.operation("open", path)
}

// opened takes note of an open file, which is called base in dir.
func (d *Disk) opened(f disk.File, path string, dir *node, base string, flag int) disk.File {
	n := dir.names[base]
	if n == nil {
		n = &node{}
		if flag&os.O_CREATE == 0 { // made behind our back
			n.content, _ = os.ReadFile(path)
			dir.durable[base] = n
		}
		dir.names[base] = n
	}
	if flag&os.O_TRUNC != 0 {
		n.pending = append(n.pending, change{cut: true})
	}
	return &file{d: d, f: f, path: path, node: n, append: flag&os.O_APPEND != 0}
}

// Mkdir makes a folder.
func (d *Disk) Mkdir(name string, perm fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.operation("mkdir", name); err != nil {
		return err
	}
	if err := os.Mkdir(name, perm); err != nil {
		return err
	}
	dir, base := d.at(name)
	dir.names[base] = newFolder()
	return nil
}

// Rename gives a file or folder another name.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	rel, _ := d.below(to)
	if err := d.operation("rename", from, " to ", rel); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	oldDir, oldName := d.at(from)
	newDir, newName := d.at(to)
	moved := oldDir.child(oldName, to)
	delete(oldDir.names, oldName)
	newDir.names[newName] = moved
	return nil
}

// Remove removes a file or an empty folder.
func (d *Disk) Remove(name string) error { return d.remove("remove", name, os.Remove) }

// RemoveAll removes a file, or a folder with all that is in it, as one operation.
func (d *Disk) RemoveAll(name string) error { return d.remove("removeall", name, os.RemoveAll) }

func (d *Disk) remove(what, name string, remove func(string) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.operation(what, name); err != nil {
		return err
	}
	if err := remove(name); err != nil {
		return err
	}
	dir, base := d.at(name)
	delete(dir.names, base)
	return nil
}

// SyncDir makes the names in a folder durable.
func (d *Disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.operation("syncdir", name); err != nil {
		return err
	}
	if info, err := os.Stat(name); err != nil || !info.IsDir() {
		return cmp.Or(err, error(&fs.PathError{Op: "syncdir", Path: name, Err: syscall.ENOTDIR}))
	}
	d.folder(name).syncNames()
	return nil
}
