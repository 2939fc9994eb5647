package tree

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"clawback/forensics/disk/disktest"
)

// checkpoints are the sizes at which a tree is sealed here: within a tile, at its end, behind it.
var checkpoints = []int{3, 255, 256, 257, 520}

// sealAll seals a tree at each of the sizes, as far as the disk goes along, and opens it anew in
// the middle. A failure is tried again at the next.
func sealAll(t *testing.T, d *disktest.Disk, dir string, s *Signer) {
	t.Helper()
	tr, err := Open(d, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range checkpoints {
		if i == 3 {
			if tr, err = Open(d, dir, s); err != nil {
				t.Fatal(err)
			}
		}
		add(t, tr, size)
		if _, err := tr.Checkpoint(); err != nil && errors.Is(err, disktest.ErrDead) {
			return
		}
	}
}

// sound checks that everything is there that the checkpoint on disk needs, and returns its size.
func sound(t *testing.T, what, dir string, s *Signer) uint64 {
	t.Helper()
	c, err := ReadCheckpoint(dir, s.Verifier())
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	compare := func(path string, content []byte) {
		if got, err := os.ReadFile(filepath.Join(dir, Dir, path)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: the checkpoint covers %d lines, and %s has %d bytes, not %d (%v)", what, c.Size, path, len(got), len(content), err)
		}
	}
	b := Builder{Full: compare}
	for n := range int(c.Size) {
		if err := b.Add(line(n)); err != nil {
			t.Fatal(err)
		}
	}
	b.Partial(compare)
	if b.Root() != c.Root {
		t.Errorf("%s: the root of %d lines is %s, and %s is sealed", what, c.Size, b.Root(), c.Root)
	}
	return c.Size
}

// Whenever the process dies or the power is lost, the checkpoint that is left has all of its tiles,
// and the tree goes on behind it.
func TestCrashAtEachOperation(t *testing.T) {
	t.Parallel()
	s := signer(t)
	on := func(prepare func(*disktest.Disk)) (*disktest.Disk, string) {
		dir := t.TempDir()
		d, err := disktest.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		prepare(d)
		sealAll(t, d, dir, s)
		return d, dir
	}
	whole, _ := on(func(*disktest.Disk) {})
	last := uint64(checkpoints[len(checkpoints)-1])
	for k, what := range whole.List() {
		died, dir := on(func(d *disktest.Disk) { d.DieAt(k + 1) })
		left := []string{dir}
		for _, loss := range []disktest.Loss{disktest.Names, disktest.Contents} {
			lost := t.TempDir()
			if err := died.PowerLoss(lost, loss); err != nil {
				t.Fatal(err)
			}
			left = append(left, lost)
		}
		for _, dir := range left {
			sound(t, what, dir, s)
			tr := open(t, dir, s)
			add(t, tr, int(last))
			seal(t, tr)
			if n := sound(t, what+", gone on with", dir, s); n != last {
				t.Errorf("%s: %d lines are sealed", what, n)
			}
		}
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
			_, dir := on(func(d *disktest.Disk) { d.FailAt(k+1, fault) })
			sound(t, what+" failed", dir, s)
		}
	}
	t.Logf("%d operations: a death, two losses of power and two faults at each", whole.Count())
}

// The checkpoint that is sealed is durable: a loss of power behind it takes nothing away.
func TestSealedIsDurable(t *testing.T) {
	t.Parallel()
	s, dir := signer(t), t.TempDir()
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	sealAll(t, d, dir, s)
	for _, loss := range []disktest.Loss{disktest.Names, disktest.Contents} {
		lost := t.TempDir()
		if err := d.PowerLoss(lost, loss); err != nil {
			t.Fatal(err)
		}
		if n := sound(t, "after the end", lost, s); n != uint64(checkpoints[len(checkpoints)-1]) {
			t.Errorf("%d lines are sealed", n)
		}
	}
}
