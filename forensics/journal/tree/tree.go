package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"clawback/forensics/disk"
)

// Names in the folder of an incident.
const (
	Dir            = "tlog"       // the tree's folder
	CheckpointName = "checkpoint" // in it: the newest checkpoint
)

// Tree is the tree of one record as it is kept on disk. It has one writer.
type Tree struct {
	fs     disk.FS
	dir    string
	signer *Signer

	lines   Builder
	sealed  Checkpoint
	waiting []file // full tiles that are not durable
	broken  error  // why nothing is sealed any more
}

type file struct {
	path    string // below the tree's folder, with slashes
	content []byte
}

// ErrChanged means that the lines of a record are not those that its checkpoint was made of.
var ErrChanged = errors.New("the record is not what its checkpoint says")

// Open opens the tree of the incident in dir, or begins one. What was sealed before stays: once
// its lines were added again, from the first on, the tree goes on behind them. What a crash left
// behind that no checkpoint covers is written again.
func Open(fsys disk.FS, dir string, signer *Signer) (*Tree, error) {
	t := &Tree{fs: fsys, dir: filepath.Join(dir, Dir), signer: signer}
	t.lines.Full = func(path string, content []byte) {
		if t.lines.Size() > t.sealed.Size {
			t.waiting = append(t.waiting, file{path, content})
		}
	}
	sealed, err := ReadCheckpoint(dir, signer.Verifier())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("go on with the tree in %s: %w", t.dir, err)
	}
	t.sealed = sealed
	return t, nil
}

// Size is how many lines were added since Open.
func (t *Tree) Size() uint64 { return t.lines.Size() }

// Sealed is the newest checkpoint; the zero one before the first.
func (t *Tree) Sealed() Checkpoint { return t.sealed }

// Add adds the record's next line, without its newline. It returns ErrChanged when it is the last
// of those that were sealed before, and they are not the same. After an error nothing is sealed
// any more: two checkpoints of one key never contradict each other.
func (t *Tree) Add(line []byte) error {
	if t.broken != nil {
		return t.broken
	}
	t.broken = t.lines.Add(line)
	if t.lines.Size() == t.sealed.Size && t.lines.Root() != t.sealed.Root {
		t.broken = fmt.Errorf("%w: entries 1 to %d", ErrChanged, t.sealed.Size)
	}
	return t.broken
}

// Checkpoint seals all lines that were added. Tiles are durable before the checkpoint that needs
// them is seen. After an error the checkpoint is the one before, and the next call tries everything
// again. It does nothing unless there are more lines than are sealed.
func (t *Tree) Checkpoint() (Checkpoint, error) {
	if t.broken != nil || t.lines.Size() <= t.sealed.Size {
		return t.sealed, t.broken
	}
	next, err := Checkpoint{Origin: t.signer.Origin(), Size: t.lines.Size(), Root: t.lines.Root()}.sign(t.signer)
	if err != nil {
		return t.sealed, err
	}
	if err := t.write(t.unsealed()); err != nil {
		return t.sealed, fmt.Errorf("write the record's tree: %w", err)
	}
	if err := disk.Replace(t.fs, filepath.Join(t.dir, CheckpointName), next.Note, 0o600); err != nil {
		return t.sealed, fmt.Errorf("write the checkpoint: %w", err)
	}
	t.sealed, t.waiting = next, nil
	return next, nil
}

// unsealed lists what the tree has on disk only once it is written now. Of what is sealed nothing
// is ever written again: a crash in the middle would destroy it.
func (t *Tree) unsealed() []file {
	files := t.waiting[:len(t.waiting):len(t.waiting)]
	same := make(map[string]bool) // partial tiles of the upper levels may not have grown
	if t.sealed.Size > 0 {
		for _, p := range partialPaths(int64(t.sealed.Size)) {
			same[p] = true
		}
	}
	t.lines.Partial(func(path string, content []byte) {
		if !same[path] {
			files = append(files, file{path, content})
		}
	})
	return files
}

// partialPaths names the tiles that are not full in a tree of n lines, and its last bundle.
func partialPaths(n int64) []string {
	var paths []string
	if w := n % width; w > 0 {
		paths = append(paths, path(tile(-1, n, int(w))))
	}
	for level := 0; n>>(level*height) > 0; level++ {
		if w := n >> (level * height) % width; w > 0 {
			paths = append(paths, path(tile(level, n, int(w))))
		}
	}
	return paths
}

// write makes files durable, then their names.
func (t *Tree) write(files []file) error {
	dirs := make(map[string]bool)
	for _, f := range files {
		name := filepath.Join(t.dir, filepath.FromSlash(f.path))
		dir := filepath.Dir(name)
		if !dirs[dir] {
			if err := disk.MkdirAll(t.fs, dir, 0o700); err != nil {
				return err
			}
			dirs[dir] = true
		}
		if err := t.writeFile(name, f.content); err != nil {
			return err
		}
	}
	for dir := range dirs {
		if err := t.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) writeFile(name string, content []byte) error {
	f, err := t.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
