package discover

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"clawback/forensics/agents/openclaw"
)

// A name that has become something else since it was listed is not followed, waited for or read.
func TestOpenInDirectory(t *testing.T) {
	dir := tree(t, map[string]string{"d/plain": "hunter2", "d/sub/x": "", "x": "outside"})
	at := func(name string) string { return filepath.Join(dir, "d", name) }
	must(t, os.Symlink("../x", at("link")))
	must(t, os.Symlink("nothing", at("dangling")))
	must(t, syscall.Mkfifo(at("fifo"), 0o600))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	l, err := rootTree{root}.list("d")
	must(t, err)
	defer l.Close()
	must(t, os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "elsewhere"))) // it stays open
	for name, want := range map[string]error{"plain": nil, "link": openclaw.ErrNotRegular, "dangling": openclaw.ErrNotRegular,
		"fifo": openclaw.ErrNotRegular, "sub": openclaw.ErrNotRegular, "none": fs.ErrNotExist} {
		f, err := l.open(name)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err != nil {
			continue
		}
		if text, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); err != nil || string(text) != "hunter2" || f.size() != 7 {
			t.Errorf("%s holds %d of %d bytes, error %v", name, len(text), f.size(), err)
		}
		must(t, f.Close())
	}
	for _, dir := range []string{"link", "nothing", "x"} {
		if l, err := (rootTree{root}).list(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: listed %v, error %v", dir, l, err)
		}
	}
}

// A file is read to its end, whether it says where that is or not.
func TestReadOpenFile(t *testing.T) {
	dir := tree(t, map[string]string{"grows": "first ", "whole": strings.Repeat("x", 100)})
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	l, err := rootTree{root}.list(".")
	must(t, err)
	defer l.Close()
	grows, err := l.open("grows")
	must(t, err)
	defer grows.Close()
	f := grows.(diskFile)
	f.length = 0 // as a file of /proc says
	whole, err := l.open("whole")
	must(t, err)
	defer whole.Close()
	for _, test := range []struct {
		file  textFile
		at, n int
		want  int
		err   error
	}{{f, 0, 100, 6, io.EOF}, {f, 6, 1, 0, io.EOF}, {whole, 0, 100, 100, nil}, {whole, 0, 101, 100, io.EOF}, {whole, 40, 20, 20, nil},
		{whole, 90, 20, 10, io.EOF}, {whole, 200, 1, 0, io.EOF}} {
		if n, err := test.file.ReadAt(make([]byte, test.n), int64(test.at)); n != test.want || err != test.err {
			t.Errorf("%d bytes from %d on: %d, error %v; want %d, %v", test.n, test.at, n, err, test.want, test.err)
		}
	}
	if at, err := whole.data(100); err != io.EOF && at != 100 {
		t.Errorf("data behind the end at %d, error %v", at, err)
	}
}
