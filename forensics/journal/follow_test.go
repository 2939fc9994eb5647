package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// following reads a record in the background, as far as it goes.
type following struct {
	entries chan Entry
	end     chan error
}

func follow(t *testing.T, dir string) following {
	f := following{make(chan Entry, 1000), make(chan error, 1)}
	go func() {
		for c := Follow(dir); ; {
			e, err := c.Next(t.Context())
			if err != nil {
				f.end <- err
				return
			}
			f.entries <- e
		}
	}()
	return f
}

// next waits for as long as a follower may take.
func (f following) next(t *testing.T) Entry {
	t.Helper()
	select {
	case e := <-f.entries:
		return e
	case <-time.After(2 * followEvery): // of the bubble's time
		t.Fatal("nothing came")
		return Entry{}
	}
}

func (f following) nothing(t *testing.T) {
	t.Helper()
	select {
	case e := <-f.entries:
		t.Fatalf("entry %d came", e.Seq)
	case err := <-f.end:
		t.Fatalf("it ended: %v", err)
	case <-time.After(10 * followEvery):
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j, err := Create(dir, Holder{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		f := follow(t, dir)
		f.nothing(t) // an empty record, whose writer lives
		for n, s := range []step{{"a"}, big("b"), {"c"}} {
			if err := j.Append(t.Context(), "note", s); err != nil {
				t.Fatal(err)
			}
			var got step
			if e := f.next(t); e.Seq != uint64(n+1) || e.Decode(&got) != nil || got != s {
				t.Errorf("entry %d, %.20s", e.Seq, got.Step)
			}
			f.nothing(t)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-f.end; err != io.EOF {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestFollowGoesOnAfterADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, whole := written(t, 3)
		torn := whole[:len(whole)-10]
		overwrite(t, dir, torn)
		c := Follow(dir)
		next := func(want uint64) {
			t.Helper()
			if e, err := c.Next(t.Context()); err != nil || e.Seq != want {
				t.Fatalf("entry %d, %v", e.Seq, err)
			}
		}
		next(1)
		next(2)
		if _, err := c.Next(t.Context()); !errors.Is(err, ErrTorn) {
			t.Errorf("at what a dead writer left: %v", err)
		}
		j, cut, err := Open(dir, Holder{}, time.Now)
		if err != nil || cut == 0 {
			t.Fatalf("%d cut, %v", cut, err)
		}
		if err := j.Append(t.Context(), "note", step{"other"}); err != nil {
			t.Fatal(err)
		}
		next(3) // that a torn line went is no damage
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next returned %v while the writer lives", err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.Next(t.Context()); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}

func TestFollowWaitsForTheRestOfALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, whole := written(t, 2)
		lock, err := Lock(filepath.Join(dir, LockName), Holder{})
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, dir, whole[:len(whole)-10])
		f := follow(t, dir)
		f.next(t)
		f.nothing(t)
		if err := appendTo(dir, string(whole[len(whole)-10:])); err != nil {
			t.Fatal(err)
		}
		if e := f.next(t); e.Seq != 2 {
			t.Errorf("entry %d came", e.Seq)
		}
		_ = lock.Close()
		if err := <-f.end; err != io.EOF {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestFollowNotices(t *testing.T) {
	_, whole := written(t, 4)
	lines := bytes.SplitAfter(whole, nl)[:4]
	_, other := written(t, 4)
	other = bytes.ReplaceAll(other, []byte("note"), []byte("NOTE"))
	for name, test := range map[string]struct {
		do   func(dir string) error
		says string
	}{
		"cut at a line": {func(dir string) error { return os.Truncate(filepath.Join(dir, FileName), int64(len(lines[0]))) }, "was cut"},
		"emptied":       {func(dir string) error { return os.Truncate(filepath.Join(dir, FileName), 0) }, "was cut"},
		"another history": {func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_WRONLY, 0) // never shorter than it was
			if err == nil {
				_, err = f.Write(other[:len(lines[0])+len(lines[1])])
			}
			return errors.Join(err, f.Close())
		}, "is not what it was"},
		"a line that is not": {func(dir string) error { return appendTo(dir, "{}\n") }, "entry has version 0"},
		"two lines less one": {func(dir string) error { return appendTo(dir, string(lines[3])) }, "entry 4 stands where entry 3 belongs"},
		"a line of no end":   {func(dir string) error { return appendTo(dir, strings.Repeat("x", MaxLine+1)) }, "more than"},
		"removed":            {func(dir string) error { return os.Remove(filepath.Join(dir, FileName)) }, "no such file"},
		"replaced": {func(dir string) error {
			path := filepath.Join(dir, FileName)
			return errors.Join(os.WriteFile(path+".new", whole, 0o600), os.Rename(path+".new", path))
		}, "replaced by another file"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				overwrite(t, dir, join(lines[:2]...))
				lock, err := Lock(filepath.Join(dir, LockName), Holder{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = lock.Close() }()
				f := follow(t, dir)
				f.next(t)
				f.next(t)
				f.nothing(t)
				if err := test.do(dir); err != nil {
					t.Fatal(err)
				}
				if err := <-f.end; !strings.Contains(err.Error(), test.says) {
					t.Errorf("it ended with %v", err)
				}
			})
		})
	}
}

func appendTo(dir, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// A long record is read in chunks that end anywhere.
func TestFollowALongRecord(t *testing.T) {
	dir := t.TempDir()
	j, err := Create(dir, Holder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		if err := j.Note("note", step{strings.Repeat("x", MaxLine-1000-i*317)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	c := Follow(dir)
	for i := range n {
		if e, err := c.Next(t.Context()); err != nil || e.Seq != uint64(i+1) {
			t.Fatalf("entry %d: %v", e.Seq, err)
		}
	}
	if _, err := c.Next(t.Context()); err != io.EOF {
		t.Error(err)
	}
}
