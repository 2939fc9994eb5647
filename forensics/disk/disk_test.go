package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"first", "", "a longer second"} {
		must(t, Replace(OS{}, path, []byte(text), 0o600))
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	elsewhere := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(elsewhere, []byte("theirs"), 0o600), os.Remove(path), os.Symlink(elsewhere, path))
	must(t, Replace(OS{}, path, []byte("ours"), 0o600)) // the link, not what it leads to
	if b, _ := os.ReadFile(elsewhere); string(b) != "theirs" {
		t.Errorf("it wrote through a link: %q", b)
	}
	must(t, os.Remove(path), os.Mkdir(path, 0o700))
	if err := Replace(OS{}, path, nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if err := Replace(OS{}, filepath.Join(dir, "missing", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	t.Chdir(dir)
	must(t, Replace(OS{}, "here", nil, 0o600))
	if _, err := os.Stat(filepath.Join(dir, "here")); err != nil {
		t.Error(err)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		must(t, MkdirAll(OS{}, filepath.Join(dir, "a", "b", "c"), 0o700))
	}
	for _, name := range []string{"a", "a/b", "a/b/c"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	for _, name := range []string{"f", "f/below"} {
		if err := MkdirAll(OS{}, filepath.Join(dir, name), 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Chdir(dir)
	must(t, MkdirAll(OS{}, "x/y", 0o700), MkdirAll(OS{}, ".", 0o700))
}

func TestNoNameLeadsOutOfARoot(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "in"), 0o700), os.WriteFile(filepath.Join(dir, "out"), nil, 0o600),
		os.Symlink("..", filepath.Join(dir, "in", "up")))
	root, err := OS{}.OpenRoot(filepath.Join(dir, "in"))
	must(t, err)
	for _, name := range []string{"../out", "/etc/passwd", "up/out", "up/new"} {
		if f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err == nil || f != nil {
			t.Errorf("%s was opened", name)
		}
		if err := root.MkdirAll(name+"/x", 0o700); err == nil {
			t.Errorf("%s/x was made", name)
		}
	}
	must(t, os.Rename(filepath.Join(dir, "in"), filepath.Join(dir, "moved")), root.MkdirAll("a/b", 0o700))
	f, err := root.OpenFile("a/b/f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	must(t, err)
	_, err = f.Write([]byte("x"))
	must(t, err, f.Sync(), f.Close(), root.Flush(), root.Close())
	if b, err := os.ReadFile(filepath.Join(dir, "moved/a/b/f")); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := (OS{}).OpenRoot(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestOpenFileFails(t *testing.T) {
	if f, err := (OS{}).OpenFile(filepath.Join(t.TempDir(), "missing"), os.O_RDWR, 0); f != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", f, err)
	}
	if err := (OS{}).SyncDir(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Whoever can write to a folder can put anything in a file's place: none of it is waited for.
func TestOpenRegular(t *testing.T) {
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	must(t, os.WriteFile(file, []byte("text"), 0o600), os.Symlink(file, link), syscall.Mkfifo(pipe, 0o600))
	f, err := OpenRegular(file)
	if err != nil {
		t.Fatal(err)
	}
	must(t, f.Close())
	for _, name := range []string{link, pipe, dir} {
		if f, err := OpenRegular(name); err == nil {
			t.Errorf("%s was opened: %v", name, f.Close())
		}
	}
}
