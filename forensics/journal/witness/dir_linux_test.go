package witness

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"clawback/forensics/journal"
)

func newDir(t *testing.T) (*Dir, string) {
	t.Helper()
	share := t.TempDir()
	d, err := NewDir(share)
	if err != nil {
		t.Fatal(err)
	}
	return d, filepath.Join(share, "INC-1")
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheCopyIsTheRecord(t *testing.T) {
	d, folder := newDir(t)
	entries := entriesOf(t, 9)
	note := "clawback/INC-1\n9\nAAAA\n\n— clawback/INC-1 BBBB\n"
	for _, delivery := range []Delivery{
		deliveryOf(entries[:3], ""), deliveryOf(entries[:3], ""), deliveryOf(entries[1:5], ""), deliveryOf(entries[5:6], ""), deliveryOf(entries[2:4], ""),
		deliveryOf(entries[6:], note), deliveryOf(entries[6:], note),
	} {
		if err := d.Send(t.Context(), delivery); err != nil {
			t.Fatalf("entries %d to %d: %v", delivery.First, delivery.Last, err)
		}
	}
	d, _ = NewDir(d.path) // another run
	if err := d.Send(t.Context(), deliveryOf(entries[4:], note)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(folder, journal.FileName)); !bytes.Equal(got, linesOf(entries)) {
		t.Errorf("the copy is %q", got)
	}
	if got := content(t, filepath.Join(folder, "checkpoint-9")); string(got) != note {
		t.Errorf("the checkpoint is %q", got)
	}
	n := uint64(0)
	for e, err := range journal.Read(folder) {
		if n++; err != nil || e.Seq != n {
			t.Fatalf("entry %d: %v", n, err)
		}
	}
	if n != 9 {
		t.Errorf("%d entries", n)
	}
}

func TestWhatIsWrongWithACopy(t *testing.T) {
	entries, other := entriesOf(t, 6), entriesOf(t, 6)
	whole := linesOf(entries[:4])
	tests := map[string]struct {
		copy   []byte // when entries 5 and 6 come
		says   string
		behind uint64
	}{
		"nothing":             {whole, "", 0},
		"torn":                {append(bytes.Clone(whole), "{\"v\":1,\"se"...), "", 0},
		"more of it":          {linesOf(entries[:5]), "", 0},
		"cut":                 {linesOf(entries[:2]), "ends at entry 2, and held entry 4 before", 2},
		"cut in a line":       {whole[:len(whole)-20], "ends at entry 3", 3},
		"emptied":             {nil, "ends at entry 0", 0},
		"another tail":        {append(linesOf(entries[:3]), linesOf(other[3:4])...), "was changed after entry 3", 0},
		"another record":      {linesOf(other[:4]), "another history", 0},
		"another one, longer": {linesOf(other), "another entry 6", 0},
		"a byte":              {bytes.Replace(whole, []byte(`"seq":2`), []byte(`"seq":7`), 1), "was changed after entry 1", 0},
		"no record":           {[]byte("hello\n"), "was changed after entry 0", 0},
		"no end":              {bytes.Repeat([]byte("x"), 3<<20), "more than", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, folder := newDir(t)
			path := filepath.Join(folder, journal.FileName)
			if err := d.Send(t.Context(), deliveryOf(entries[:4], "")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, test.copy, 0o600); err != nil {
				t.Fatal(err)
			}
			d, _ = NewDir(d.path)
			err := d.Send(t.Context(), deliveryOf(entries[4:], ""))
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Fatalf("Send returned %v", err)
			}
			var behind *BehindError
			if errors.As(err, &behind) != strings.Contains(test.says, "ends at") || behind != nil && behind.Have != test.behind {
				t.Errorf("behind: %+v", behind)
			}
			if err == nil {
				if got := content(t, path); !bytes.Equal(got, linesOf(entries)) {
					t.Errorf("the copy is %q", got)
				}
			} else if behind == nil && !bytes.Equal(content(t, path), test.copy) {
				t.Error("the proof was changed")
			}
		})
	}
}

// A copy that was cut while the run went on is made whole, and what happened to it is said.
func TestACutCopyIsMadeWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, folder := newDir(t)
		path := filepath.Join(folder, journal.FileName)
		s := begin(t, "", record(t), exact, Named{"share", d})
		s.append(5)
		s.witness.Flush(t.Context(), 5)
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		s.append(2)
		s.end()
		if got := strings.Split(strings.TrimSpace(string(content(t, path))), "\n"); !slices.Equal(got, recordOf(t, s.journal)) {
			t.Errorf("the copy has %d lines", len(got))
		}
		if h := s.witness.Held()[0]; h.Entries != 7 || !strings.Contains(h.Error, "it was cut") {
			t.Errorf("held: %+v", h)
		}
	})
}

func TestNoLinkIsFollowed(t *testing.T) {
	entries := entriesOf(t, 1)
	elsewhere := t.TempDir()
	for name, plant := range map[string]func(folder string) error{
		"folder": func(folder string) error { return os.Symlink(elsewhere, folder) },
		"file": func(folder string) error {
			return os.Symlink(filepath.Join(elsewhere, "a"), filepath.Join(mkdir(folder), journal.FileName))
		},
		"checkpoint": func(folder string) error {
			return os.Symlink(filepath.Join(elsewhere, "b"), filepath.Join(mkdir(folder), "checkpoint-1"))
		},
		"pipe":   func(folder string) error { return unix.Mkfifo(filepath.Join(mkdir(folder), journal.FileName), 0o600) },
		"a file": func(folder string) error { return os.WriteFile(folder, nil, 0o600) },
	} {
		d, folder := newDir(t)
		if err := plant(folder); err != nil {
			t.Fatal(err)
		}
		if err := d.Send(t.Context(), deliveryOf(entries, "note")); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if there, _ := os.ReadDir(elsewhere); len(there) != 0 {
		t.Errorf("written elsewhere: %v", there)
	}
	d, _ := newDir(t)
	for _, incident := range []string{"..", ".", "", "a/b", "../x"} {
		if err := d.Send(t.Context(), Delivery{Incident: incident, Checkpoint: []byte("note")}); err == nil {
			t.Errorf("incident %q was taken", incident)
		}
	}
	d, _ = NewDir(filepath.Join(t.TempDir(), "not mounted"))
	if err := d.Send(t.Context(), deliveryOf(entries, "")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a share that is not there: %v", err)
	}
	if _, err := NewDir("relative"); err == nil {
		t.Error("a relative path was taken")
	}
}

func mkdir(path string) string {
	_ = os.Mkdir(path, 0o700)
	return path
}

func TestACheckpointIsWrittenOnce(t *testing.T) {
	d, folder := newDir(t)
	path := filepath.Join(mkdir(folder), "checkpoint-4")
	for there, says := range map[string]string{"": "", "the no": "", "the note": "", "another": "two histories", "the note and more": "two histories"} {
		if err := os.WriteFile(path, []byte(there), 0o600); err != nil {
			t.Fatal(err)
		}
		err := d.Send(t.Context(), Delivery{Incident: "INC-1", Checkpoint: []byte("the note"), Size: 4})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("over %q: %v", there, err)
		}
		want := there
		if says == "" {
			want = "the note"
		}
		if got := content(t, path); string(got) != want {
			t.Errorf("over %q: it is %q now", there, got)
		}
	}
}

func TestAFullShareKeepsWholeLines(t *testing.T) {
	share := t.TempDir()
	if err := unix.Mount("clawback-test", share, "tmpfs", 0, "size=64k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(share, unix.MNT_DETACH) })
	d, err := NewDir(share)
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(share, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(t, 400) // more than 64 KiB
	var last int
	for last = 0; last < len(entries); last += 20 {
		if err = d.Send(t.Context(), deliveryOf(entries[last:last+20], "")); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("after %d entries: %v", last, err)
	}
	path := filepath.Join(share, "INC-1", journal.FileName)
	if got := content(t, path); !bytes.Equal(got, linesOf(entries[:last])) {
		t.Errorf("the copy is not the first %d entries", last)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := d.Send(t.Context(), deliveryOf(entries[last:last+20], "")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := content(t, path); !bytes.Equal(got, linesOf(entries[:last+20])) {
		t.Error("the copy is not whole")
	}
}

func TestAShareThatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, folder := newDir(t)
		back, uses := make(chan struct{}), 0
		d.hang = func() { uses++; <-back }
		var up keeper
		s := begin(t, "", record(t), exact, Named{"share", d}, Named{"siem", &up})
		s.append(3)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(up.lines()) != 3 {
			t.Errorf("the other sink has %d lines", len(up.lines()))
		}
		if uses != 1 {
			t.Errorf("%d goroutines wait for the share", uses)
		}
		if h := s.witness.Held()[0]; h.Entries != 0 || !strings.Contains(h.Error, "still hangs") {
			t.Errorf("held: %+v", h)
		}
		close(back)
		time.Sleep(2 * time.Minute)
		s.append(1)
		s.end()
		if got := strings.Split(strings.TrimSpace(string(content(t, filepath.Join(folder, journal.FileName)))), "\n"); !slices.Equal(got, recordOf(t, s.journal)) {
			t.Errorf("the copy has %d lines", len(got))
		}
		if h := s.witness.Held()[0]; h.Entries != 4 || h.Error != "" {
			t.Errorf("held: %+v", h)
		}
	})
}

func TestAHangingShareEndsWithItsContext(t *testing.T) {
	d, _ := newDir(t)
	back := make(chan struct{})
	defer func() {
		close(back)
		d.busy <- struct{}{} // it has ended, and uses the folder no more
	}()
	d.hang = func() { <-back }
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the end")
	cancel(why)
	if err := d.Send(ctx, deliveryOf(entriesOf(t, 1), "")); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("Send returned %v", err)
	}
}
