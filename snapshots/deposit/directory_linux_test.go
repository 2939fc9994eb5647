package deposit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fileOf is a file of this desk with some random content.
func fileOf(t *testing.T, bytes int) (File, []byte) {
	t.Helper()
	content := make([]byte, bytes)
	_, _ = rand.Read(content)
	path := filepath.Join(t.TempDir(), "files.tar.zst")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Look(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	if f.Bytes != int64(bytes) || f.SHA256 != hex.EncodeToString(sum[:]) || f.Name() != "files.tar.zst" {
		t.Fatalf("%+v", f)
	}
	return f, content
}

func newDirectory(t *testing.T) (*Directory, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := NewDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d, dir
}

func TestDirectoryKeeps(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 4096, 1 << 20, 1<<20 + 7, 3<<20 + 512} {
		d, dir := newDirectory(t)
		f, content := fileOf(t, size)
		kept, err := d.Put(t.Context(), "INC-1", f, true)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "INC-1", "files.tar.zst")
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o277 != 0 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if kept.SHA256 != f.SHA256 || kept.Before || len(kept.Proof) != 2 || !strings.Contains(kept.Proof[1], f.SHA256) || len(kept.Unproved) != 0 {
			t.Errorf("%+v", kept)
		}
		again, err := d.Put(t.Context(), "INC-1", f, true)
		if err != nil || !again.Before || len(again.Proof) != 1 {
			t.Errorf("again: %+v, %v", again, err)
		}
		if list, _ := os.ReadDir(filepath.Join(dir, "INC-1")); len(list) != 1 {
			t.Errorf("%v", list)
		}
	}
}

// What lies there is never replaced, and what is not what was sealed is never put there.
func TestDirectoryNeverReplaces(t *testing.T) {
	d, dir := newDirectory(t)
	one, content := fileOf(t, 1000)
	if _, err := d.Put(t.Context(), "INC-1", one, false); err != nil {
		t.Fatal(err)
	}
	other, _ := fileOf(t, 1000)
	if _, err := d.Put(t.Context(), "INC-1", other, false); !errors.Is(err, ErrOther) {
		t.Errorf("other content under the same name: %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "INC-1", one.Name())); !bytes.Equal(got, content) {
		t.Error("it was replaced")
	}
	for name, change := range map[string]func() error{
		"changed since": func() error { return os.WriteFile(other.Path, make([]byte, 1000), 0o600) },
		"grew since":    func() error { return os.WriteFile(other.Path, make([]byte, 1001), 0o600) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Put(t.Context(), "INC-2", other, false); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
		if list, _ := os.ReadDir(filepath.Join(dir, "INC-2")); len(list) != 0 {
			t.Errorf("%s: %v is left", name, list)
		}
	}
}

// Two desks may come at once: the name goes to one of them.
func TestNameGoesToOne(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"first", "second"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	for how, rename := range map[string]func(from, to string) error{
		"rename": func(from, to string) error { return renameNew(folder, from, to) },
		"link":   func(from, to string) error { return linkNew(int(folder.Fd()), from, to) },
	} {
		if err := rename("second", "first"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", how, err)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "first")); string(got) != "first" {
			t.Errorf("%s: it was replaced by %q", how, got)
		}
		if err := rename("second", how); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if err := rename(how, "second"); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// A run that died in the middle leaves half a file under another name, which the next one begins anew.
func TestDirectoryAfterACrash(t *testing.T) {
	d, dir := newDirectory(t)
	f, content := fileOf(t, 1000)
	partial := filepath.Join(dir, "INC-1", f.Name()+".partial")
	if err := errors.Join(os.Mkdir(filepath.Dir(partial), 0o700), os.WriteFile(partial, []byte("half"), 0o400)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "INC-1", f, false); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "INC-1", f.Name())); !bytes.Equal(got, content) {
		t.Error("it is not what was sealed")
	}
	if _, err := os.Stat(partial); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the half is still there")
	}
}

func TestDirectoryFollowsNoLink(t *testing.T) {
	d, dir := newDirectory(t)
	f, _ := fileOf(t, 10)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, "INC-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "INC-1", f, false); err == nil {
		t.Error("it followed a link out of the directory")
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "INC-2"), 0o700), os.Symlink(f.Path, filepath.Join(dir, "INC-2", f.Name()))); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "INC-2", f, false); err == nil {
		t.Error("a link to the original counts as a copy")
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "INC-3"), 0o700), syscall.Mkfifo(filepath.Join(dir, "INC-3", f.Name()), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "INC-3", f, false); err == nil {
		t.Error("a FIFO counts as a copy")
	}
	for _, bad := range []string{"", ".", "..", "../INC", "a/b"} {
		if _, err := d.Put(t.Context(), bad, f, false); err == nil {
			t.Errorf("%q was taken for an incident", bad)
		}
	}
}

// A directory that is not there is not made: it is the place where something should be mounted.
func TestDirectoryIsNotMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "worm")
	d, _ := NewDirectory(dir)
	f, _ := fileOf(t, 10)
	if _, err := d.Put(t.Context(), "INC-1", f, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := NewDirectory("worm"); err == nil {
		t.Error("a relative path was taken")
	}
}

func TestDirectoryFull(t *testing.T) {
	d, dir := newDirectory(t)
	if os.Getuid() != 0 {
		missing(t, "root, to mount a small tmpfs")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		missing(t, "the right to mount: "+err.Error())
	}
	defer func() { _ = syscall.Unmount(dir, 0) }()
	f, _ := fileOf(t, 1<<20)
	if _, err := d.Put(t.Context(), "INC-1", f, false); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if list, _ := os.ReadDir(filepath.Join(dir, "INC-1")); len(list) != 0 {
		t.Errorf("%v is left, and takes the room of what comes next", list)
	}
	small, _ := fileOf(t, 100<<10)
	if _, err := d.Put(t.Context(), "INC-1", small, false); err != nil {
		t.Errorf("what fits: %v", err)
	}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("CI lacks " + what)
	}
	t.Skip("needs " + what)
}

// A share that hangs holds nobody up, and no second one waits behind it.
func TestDirectoryHangs(t *testing.T) {
	d, _ := newDirectory(t)
	goOn := make(chan struct{})
	d.hang = func() { <-goOn }
	f, _ := fileOf(t, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Put(ctx, "INC-1", f, false); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("%v", err)
	}
	if _, err := d.Put(ctx, "INC-1", f, false); err == nil || !strings.Contains(err.Error(), "still hangs") {
		t.Errorf("the second: %v", err)
	}
	close(goOn)
	d.busy <- struct{}{} // the first has ended
	<-d.busy
	if _, err := d.Put(t.Context(), "INC-1", f, false); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{dir, fifo, filepath.Join(dir, "none")} {
		if _, err := Look(t.Context(), bad); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	f, _ := fileOf(t, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Look(ctx, f.Path); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
