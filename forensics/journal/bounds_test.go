package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
)

func TestNoDiskAtAll(t *testing.T) {
	why := &os.PathError{Op: "open", Path: "/journal.jsonl", Err: syscall.EROFS}
	j := Refused(why, ticking())
	if err := j.Append(t.Context(), "note", step{"a"}); !errors.Is(err, ErrNotDurable) || !errors.Is(err, syscall.EROFS) {
		t.Errorf("Append returned %v", err)
	}
	if got := shown(t, j, 2); !slices.Equal(got, []string{"note a", TypeTrouble + " "}) {
		t.Errorf("readers saw %q", got)
	}
	if err := j.Close(); !errors.Is(err, ErrNotDurable) {
		t.Errorf("Close returned %v", err)
	}
}

func TestWhatWaitsForTheDiskIsBounded(t *testing.T) {
	j := Refused(syscall.ENOSPC, ticking())
	j.most = 4 << 20
	defer func() { _ = j.Close() }()
	half := strings.Repeat("x", MaxLine/2)
	for n := 0; ; n++ {
		before := j.Length()
		if err := j.Note("note", half); err != nil {
			if !errors.Is(err, ErrNotDurable) || strings.Contains(err.Error(), "%!") {
				t.Errorf("Note returned %v", err)
			}
			break
		}
		if j.Length() == before || n*len(half) > j.most {
			t.Fatalf("%d entries are held", n)
		}
	}
}

func TestClosedJournalTakesNothing(t *testing.T) {
	j := InMemory(ticking())
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), "note", nil); err == nil || errors.Is(err, ErrNotDurable) {
		t.Errorf("Append returned %v", err)
	}
	if err := j.Note("note", nil); err == nil {
		t.Error("Note took an entry")
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	const writers, each, readers = 8, 200, 6
	dir := t.TempDir()
	j, err := Create(dir, Holder{Who: "dana"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var reading, writing sync.WaitGroup
	for range readers {
		reading.Go(func() {
			n := 0
			for c := j.Cursor(); ; n++ {
				if _, err := c.Next(t.Context()); err != nil {
					if n != writers*each {
						t.Errorf("a reader ended after %d entries: %v", n, err)
					}
					return
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				data := step{fmt.Sprintf("%d/%d", w, n)}
				var err error
				if n%2 == 0 {
					err = j.Append(t.Context(), "step.intent", data)
				} else {
					err = j.Note("step.outcome", data)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	reading.Wait()
	next := make([]int, writers)
	all, err := steps(t, dir)
	if err != nil || len(all) != writers*each {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for _, s := range all {
		var w, n int
		_, at, _ := strings.Cut(s, " ")
		if _, err := fmt.Sscanf(at, "%d/%d", &w, &n); err != nil || n != next[w] {
			t.Fatalf("%s stands where %d/%d belongs", at, w, next[w])
		}
		next[w]++
	}
}

func TestCreateNeverWritesOverARecord(t *testing.T) {
	dir := t.TempDir()
	old := []byte("somebody's record")
	if err := os.WriteFile(filepath.Join(dir, FileName), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, Holder{Who: "dana"}, time.Now); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create returned %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, FileName)); !bytes.Equal(b, old) {
		t.Errorf("the record is %q now", b)
	}
	lock, err := Lock(filepath.Join(dir, LockName), Holder{Who: "lee"})
	if err != nil {
		t.Fatalf("the lock was kept: %v", err)
	}
	_ = lock.Close()
	if _, err := Create(filepath.Join(dir, "missing"), Holder{}, time.Now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Create returned %v", err)
	}
}

// A record is read on terminals: what steers one stands in it as an escape, and means the same.
func TestNothingInALineSteersATerminal(t *testing.T) {
	for _, text := range []string{
		"\x1b]0;owned\a", "\u202egnp.exe", "\u2066\u2069", "\x7f\u0085\u009b2J", "\u2028", "\U000e0041", "\u200b\ufeff", "\u2800\ufe0f", "plain, größer, 日本, 👍",
	} {
		raw, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		shown := Visible(raw)
		if i := bytes.IndexFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) || r == '\ufe0f' || r == '\u2800' }); i >= 0 {
			t.Errorf("%q: %q stands in the line as it is", text, shown[i:])
		}
		var got map[string]string
		if err := json.Unmarshal(shown, &got); err != nil || got[text] != text {
			t.Errorf("%q became %q (%v)", text, got, err)
		}
		j := InMemory(time.Now)
		if err := j.Append(t.Context(), "test", map[string]string{text: text}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
