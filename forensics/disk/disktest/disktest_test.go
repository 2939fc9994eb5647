package disktest

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"clawback/forensics/disk"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func newDisk(t testing.TB) (*Disk, string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o600))
	d, err := New(dir)
	must(t, err)
	return d, dir
}

// files is what is in a folder, a folder's name with a slash.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		if e.IsDir() {
			all[rel+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(path)
		all[rel] = string(b)
		return err
	}))
	return all
}

func expect(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %q instead of %q", what, got, want)
	}
}

func after(t *testing.T, d *Disk, loss Loss) map[string]string {
	t.Helper()
	into := t.TempDir()
	must(t, d.PowerLoss(into, loss))
	return files(t, into)
}

type world = map[string]string

func TestPowerLossKeepsWhatIsDurable(t *testing.T) {
	d, dir := newDisk(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	f, err := d.OpenFile(at("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	must(t, err)
	write := func(text string) { _, err := f.Write([]byte(text)); must(t, err) }
	write("one")
	expect(t, "no name", after(t, d, Names), world{"old": "old"})
	expect(t, "no content", after(t, d, Contents), world{"old": "old", "a": ""})
	must(t, f.Sync())
	expect(t, "content without a name", after(t, d, Names), world{"old": "old"})
	must(t, d.SyncDir(dir))
	write("two")
	expect(t, "content since", after(t, d, Names), world{"old": "old", "a": "one"})
	expect(t, "real", files(t, dir), world{"old": "old", "a": "onetwo"})
	must(t, f.Truncate(2), f.Sync())
	_, err = f.WriteAt([]byte("X"), 1)
	must(t, err)
	expect(t, "written over", after(t, d, Names), world{"old": "old", "a": "on"})
	must(t, f.Sync())
	expect(t, "written over, durably", after(t, d, Names), world{"old": "old", "a": "oX"})

	must(t, d.Rename(at("a"), at("b")), d.Remove(at("old")))
	expect(t, "renamed", after(t, d, Names), world{"old": "old", "a": "oX"})
	expect(t, "renamed, lucky", after(t, d, Contents), world{"b": "oX"})
	must(t, d.SyncDir(dir))
	expect(t, "renamed, durably", after(t, d, Names), world{"b": "oX"})

	must(t, d.Mkdir(at("x"), 0o700), d.SyncDir(at("x")))
	expect(t, "folder", after(t, d, Names), world{"b": "oX"})
	must(t, f.Close(), disk.MkdirAll(d, at("y/z"), 0o700), d.Mkdir(at("y/w"), 0o700), d.SyncDir(at("y")), d.RemoveAll(at("y/w")))
	expect(t, "removed", after(t, d, Names), world{"b": "oX", "x/": "", "y/": "", "y/z/": "", "y/w/": ""})
	must(t, d.SyncDir(at("y")))
	expect(t, "folders", after(t, d, Names), world{"b": "oX", "x/": "", "y/": "", "y/z/": ""})
}

func TestRoot(t *testing.T) {
	d, dir := newDisk(t)
	part := filepath.Join(dir, "bag.partial")
	must(t, d.Mkdir(part, 0o700))
	r, err := d.OpenRoot(part)
	must(t, err)
	must(t, r.MkdirAll("data/x", 0o700))
	f, err := r.OpenFile("data/x/f", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	must(t, err)
	_, err = f.Write([]byte("evidence"))
	must(t, err, f.Close())
	if _, err := r.OpenFile("../out", os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
		t.Error("a name led out of the folder")
	}
	must(t, d.SyncDir(dir))
	expect(t, "not flushed", after(t, d, Names), world{"old": "old", "bag.partial/": ""})
	must(t, r.Flush(), d.Rename(part, filepath.Join(dir, "bag")), d.SyncDir(dir))
	want := world{"old": "old", "bag/": "", "bag/data/": "", "bag/data/x/": "", "bag/data/x/f": "evidence"}
	expect(t, "flushed", after(t, d, Names), want)
	expect(t, "real", files(t, dir), want)
	f, err = r.OpenFile("late", os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err, f.Close(), r.Flush(), r.Close())
	if _, ok := after(t, d, Names)["bag/late"]; !ok {
		t.Error("a root does not stay with its folder")
	}
}

// script is some work, each operation of which can be the last.
func script(d disk.FS, dir string) error {
	for _, name := range []string{"one", "two"} {
		if err := disk.Replace(d, filepath.Join(dir, name), []byte("1234"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func TestDeath(t *testing.T) {
	d, dir := newDisk(t)
	must(t, script(d, dir))
	total := d.Count()
	if total != 10 || len(d.List()) != total || !strings.HasPrefix(d.List()[1], "2 write .one.") || !strings.HasSuffix(d.List()[1], ".tmp 4 bytes") {
		t.Errorf("%q", d.List())
	}
	for k := 1; k <= total; k++ {
		d, dir := newDisk(t)
		d.DieAt(k)
		if err := script(d, dir); !errors.Is(err, ErrDead) {
			t.Errorf("death at %d: %v", k, err)
		}
		select {
		case <-d.Dead():
		default:
			t.Errorf("death at %d was not announced", k)
		}
		if d.Count() != k {
			t.Errorf("death at %d: %q", k, d.List())
		}
		if err := d.Mkdir(filepath.Join(dir, "later"), 0o700); !errors.Is(err, ErrDead) {
			t.Errorf("after death: %v", err)
		}
		whole(t, k, files(t, dir))
		whole(t, k, after(t, d, Names))
		whole(t, k, after(t, d, Contents))
		left := files(t, dir)
		delete(left, "old")
		if torn := strings.Contains(d.List()[k-1], "write"); torn {
			found := false
			for _, text := range left {
				found = found || text == "12"
			}
			if !found {
				t.Errorf("death at %d, a write: %q", k, left)
			}
		}
	}
}

// whole fails when a file that was replaced is there in part.
func whole(t *testing.T, k int, all map[string]string) {
	t.Helper()
	for name, text := range all {
		if (name == "one" || name == "two") && text != "1234" {
			t.Errorf("death at %d: %s is %q", k, name, text)
		}
		if name == "later" {
			t.Errorf("death at %d: something happened after it", k)
		}
	}
}

func TestFaults(t *testing.T) {
	d, dir := newDisk(t)
	must(t, script(d, dir))
	total := d.Count()
	for k := 1; k <= total; k++ {
		d, dir := newDisk(t)
		d.FailAt(k, syscall.EIO)
		if err := script(d, dir); !errors.Is(err, syscall.EIO) {
			t.Errorf("fault at %d: %v", k, err)
		}
		whole(t, k, files(t, dir))
		for name := range files(t, dir) {
			if strings.HasSuffix(name, ".tmp") {
				t.Errorf("fault at %d: %s was left", k, name)
			}
		}
		if err := script(d, dir); err != nil {
			t.Errorf("after the fault at %d: %v", k, err)
		}
	}
	d, dir = newDisk(t)
	d.FailFrom(3, syscall.ENOSPC)
	for range 3 {
		if err := script(d, dir); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	d.Heal()
	must(t, script(d, dir))
	d.FailOn(".two", syscall.EIO)
	if err := script(d, dir); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), ".two") {
		t.Errorf("a fault of one file: %v", err)
	}
}

func TestAtTheSameTime(t *testing.T) {
	d, dir := newDisk(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := script(d, dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	expect(t, "names", after(t, d, Names), files(t, dir))
}

func TestMadeBehindItsBack(t *testing.T) {
	d, dir := newDisk(t)
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o700), os.WriteFile(filepath.Join(dir, "a/b/f"), []byte("x"), 0o600))
	if err := disk.Replace(d, filepath.Join(dir, "no/f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	must(t, disk.Replace(d, filepath.Join(dir, "a/b/g"), []byte("y"), 0o600))
	f, err := d.OpenFile(filepath.Join(dir, "a/b/f"), os.O_RDWR, 0)
	must(t, err, f.Close())
	expect(t, "after", after(t, d, Names), world{"old": "old", "a/": "", "a/b/": "", "a/b/f": "x", "a/b/g": "y"})
	must(t, d.SyncDir(dir+"/..")) // not ours
}
