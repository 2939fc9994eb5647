package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk/disktest"
)

// written makes a record of n entries and returns its folder and content.
func written(t testing.TB, n int) (dir string, content []byte) {
	t.Helper()
	dir = t.TempDir()
	j, err := Create(dir, Holder{Who: "dana"}, ticking())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := j.Note("note", step{fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, content0(t, dir)
}

func content0(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func overwrite(t testing.TB, dir string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, FileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenGoesOn(t *testing.T) {
	dir, before := written(t, 2)
	past := func() time.Time { return time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) }
	j, cut, err := Open(dir, Holder{Who: "lee"}, past)
	if err != nil || cut != 0 || j.Length() != 2 {
		t.Fatalf("%d bytes cut, %v", cut, err)
	}
	early := j.Cursor()
	if err := j.Append(t.Context(), "note", step{"2"}); err != nil {
		t.Fatal(err)
	}
	var last Entry
	for range 3 { // a cursor begins at the first entry of the first life
		e, err := early.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if last.Seq > 0 && e.Time.Before(last.Time) {
			t.Errorf("entry %d is of %s, and the one before of %s", e.Seq, e.Time, last.Time)
		}
		last = e
	}
	var locked *LockedError
	if _, _, err := Open(dir, Holder{Who: "ada"}, time.Now); !errors.As(err, &locked) || locked.Holder.Who != "lee" {
		t.Errorf("a second writer: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if !bytes.HasPrefix(content0(t, dir), before) {
		t.Error("what was there was changed")
	}
	if all, err := steps(t, dir); err != nil || !slices.Equal(all, []string{"note 0", "note 1", "note 2"}) {
		t.Errorf("%q, %v", all, err)
	}
}

func TestOpenCutsWhatACrashLeaves(t *testing.T) {
	_, whole := written(t, 3)
	lines := bytes.SplitAfter(whole, nl)[:3]
	for name, tail := range map[string][]byte{
		"nothing":         nil,
		"one byte":        []byte("{"),
		"half a line":     lines[2][:40],
		"all but its end": bytes.TrimSuffix(lines[2], nl),
		"zeros":           make([]byte, 4096),
		"many zeros":      make([]byte, 3*MaxLine),
		"binary":          {0xff, 0xfe, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range 3 { // an empty record is one too
				dir := t.TempDir()
				good := join(lines[:n]...)
				if len(tail) > 0 && bytes.HasPrefix(lines[2], tail) && n != 2 {
					continue
				}
				overwrite(t, dir, join(good, tail))
				j, cut, err := Open(dir, Holder{Who: "lee"}, ticking())
				if err != nil || cut != int64(len(tail)) || j.Length() != uint64(n) {
					t.Fatalf("after %d lines: %d bytes cut, %v", n, cut, err)
				}
				if got := content0(t, dir); !bytes.Equal(got, good) {
					t.Errorf("after %d lines the record is %q", n, got)
				}
				if err := j.Append(t.Context(), "note", step{"on"}); err != nil {
					t.Error(err)
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				if all, err := steps(t, dir); err != nil || len(all) != n+1 {
					t.Errorf("after %d lines: %q, %v", n, all, err)
				}
			}
		})
	}
}

func TestOpenChangesNoDamagedRecord(t *testing.T) {
	_, whole := written(t, 4)
	lines := bytes.SplitAfter(whole, nl)[:4]
	for name, test := range map[string]struct {
		content []byte
		says    string
	}{
		"a changed line":          {bytes.Replace(whole, []byte(`"step":"1"`), []byte(`"step":"7"`), 1), "entry 3 does not carry the hash of entry 2"},
		"no JSON in the middle":   {join(lines[0], []byte("x\n"), lines[1]), "line 2: not an entry"},
		"no JSON, whole, at last": {join(lines[0], []byte("{\n")), "line 2: not an entry"},
		"a line of zeros":         {join(lines[0], make([]byte, 100), nl), "line 2: not an entry"},
		"removed":                 {join(lines[0], lines[2]), "entry 3 stands where entry 2"},
		"too long, with an end":   {join(lines[0], make([]byte, 2*MaxLine), nl, lines[1]), "line 2: more than"},
		"damage and a torn line":  {join(lines[0], lines[2], lines[3][:9]), "entry 3 stands where entry 2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			overwrite(t, dir, test.content)
			if _, _, err := Open(dir, Holder{}, time.Now); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Open returned %v", err)
			}
			if !bytes.Equal(content0(t, dir), test.content) {
				t.Error("the record was changed")
			}
			lock, err := Lock(filepath.Join(dir, LockName), Holder{})
			if err != nil {
				t.Fatalf("the lock was kept: %v", err)
			}
			_ = lock.Close()
		})
	}
}

func TestOpenTakesFilesAlone(t *testing.T) {
	dir, _ := written(t, 1)
	for name, make := range map[string]func(path string) error{
		"missing": func(string) error { return nil },
		"folder":  func(path string) error { return os.Mkdir(path, 0o700) },
		"link":    func(path string) error { return os.Symlink(filepath.Join(dir, FileName), path) },
		"FIFO":    func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		other := t.TempDir()
		if err := make(filepath.Join(other, FileName)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(other, Holder{}, time.Now); err == nil {
			t.Errorf("%s: it was opened", name)
		}
		if _, err := Follow(other).Next(t.Context()); err == nil {
			t.Errorf("%s: it was followed", name)
		}
		if _, err := os.Lstat(filepath.Join(other, LockName)); err == nil {
			t.Errorf("%s: a lock was left", name)
		}
	}
}

// Those who follow a record hold its lock for a moment: who goes on with it waits for them.
func TestOpenWaitsForWhoAsksForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, _ := written(t, 1)
		asking, err := os.Open(filepath.Join(dir, LockName))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(asking.Fd()), syscall.LOCK_SH); err != nil {
			t.Fatal(err)
		}
		opened := make(chan error)
		go func() {
			j, _, err := Open(dir, Holder{}, time.Now)
			if err == nil {
				err = j.Close()
			}
			opened <- err
		}()
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if err := asking.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Errorf("Open returned %v", err)
		}
	})
}

// What was read when a record was opened stays: a tree over its lines may seal them at once.
func TestWhatOpenReadIsDurable(t *testing.T) {
	dir, whole := written(t, 0)
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, lines := written(t, 3)
	f, err := d.OpenFile(filepath.Join(dir, FileName), os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(lines, int64(len(whole))) // and no fsync before the death
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	j, _, err := OpenOn(d, dir, Holder{}, ticking())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	c := j.DurableCursor()
	for range 3 {
		if _, err := c.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lost := t.TempDir()
	if err := d.PowerLoss(lost, disktest.Names); err != nil {
		t.Fatal(err)
	}
	if got := content0(t, lost); !bytes.Equal(got, lines) {
		t.Errorf("%d of %d bytes are left", len(got), len(lines))
	}
}

// A kill looks into the earlier incidents of its target first: nothing there may hold it up.
func TestReadWaitsForNoPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, FileName), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range Read(dir) {
		if err == nil {
			t.Error("a pipe was read as a record")
		}
	}
}
