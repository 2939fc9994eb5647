package disktest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// node is a file or a folder, as a program sees it and as it would be after a loss of power.
type node struct {
	// Of a folder:
	names   map[string]*node
	durable map[string]*node

	// Of a file:
	content []byte   // durable
	pending []change // since then
}

// change is a write, or a truncation.
type change struct {
	at  int64
	b   []byte
	cut bool // to the length at
}

func newFolder() *node { return &node{names: map[string]*node{}, durable: map[string]*node{}} }

// found is what is at path now, all of it durable.
func found(path string) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		n := &node{}
		if info.Mode().IsRegular() {
			n.content, err = os.ReadFile(path)
		}
		return n, err
	}
	n := newFolder()
	list, err := os.ReadDir(path)
	for _, e := range list {
		if n.names[e.Name()], err = found(filepath.Join(path, e.Name())); err != nil {
			return nil, err
		}
	}
	n.syncNames()
	return n, err
}

// walk returns the folder at a relative path below n.
func (n *node) walk(rel string) *node {
	for _, name := range strings.Split(filepath.ToSlash(filepath.Clean(rel)), "/") {
		if name == "." {
			continue
		}
		next := n.names[name]
		if next == nil { // made behind our back
			next = newFolder()
			n.names[name], n.durable[name] = next, next
		}
		n = next
	}
	return n
}

// child returns what is called name, which is at path now.
func (n *node) child(name, path string) *node {
	if c := n.names[name]; c != nil {
		return c
	}
	c, err := found(path) // made behind our back
	if err != nil {
		return &node{}
	}
	n.durable[name] = c
	return c
}

func (n *node) syncNames() { n.durable = maps.Clone(n.names) }

// syncContent makes all changes of a file durable.
func (n *node) syncContent() {
	for _, c := range n.pending {
		grow := c.at + int64(len(c.b)) - int64(len(n.content))
		if grow > 0 {
			n.content = append(n.content, make([]byte, grow)...)
		}
		if c.cut {
			n.content = n.content[:c.at]
		}
		copy(n.content[c.at:], c.b)
	}
	n.pending = nil
}

// size is a file's size as a program sees it.
func (n *node) size() int64 {
	size := int64(len(n.content))
	for _, c := range n.pending {
		size = max(size, c.at+int64(len(c.b)))
		if c.cut {
			size = c.at
		}
	}
	return size
}

// syncAll makes everything in a folder durable.
func (n *node) syncAll() {
	if n.names == nil {
		n.syncContent()
		return
	}
	n.syncNames()
	for _, c := range n.names {
		c.syncAll()
	}
}

// Loss is what a loss of power takes.
type Loss int

// Losses. A file system may write names down before they are made durable, and usually does.
const (
	Names    Loss = iota // names that were not made durable, and content that was not
	Contents             // content alone: the names, renamed ones among them, are what the program last saw
)

// PowerLoss makes in the folder into, which exists and is empty, what is left of the disk's folder
// when the power is lost now. Files that were made without the disk are not in there, unless they
// were there at its start.
func (d *Disk) PowerLoss(into string, loss Loss) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.root.write(into, loss)
}

func (n *node) write(path string, loss Loss) error {
	names := n.durable
	if loss == Contents {
		names = n.names
	}
	for name, c := range names {
		at := filepath.Join(path, name)
		var err error
		if c.names == nil {
			err = os.WriteFile(at, c.content, fs.FileMode(0o600))
		} else if err = os.Mkdir(at, 0o700); err == nil {
			err = c.write(at, loss)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
