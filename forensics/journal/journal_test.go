package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// steps reads what the record in dir says, in order.
func steps(t *testing.T, dir string) (all []string, err error) {
	t.Helper()
	for e, err := range Read(dir) {
		if err != nil {
			return all, err
		}
		var s step
		if e.Type != TypeTrouble && e.Decode(&s) != nil {
			t.Fatalf("entry %d has data %s", e.Seq, e.Data)
		}
		all = append(all, e.Type+" "+s.Step)
	}
	return all, nil
}

func TestFormatIsWhatItHasAlwaysBeen(t *testing.T) {
	dir := t.TempDir()
	j, err := Create(dir, Holder{Who: "dana"}, ticking())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"freeze", "a<b & \u2028 \xff"} {
		if err := j.Append(t.Context(), "step.intent", step{s}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Note("report.written", nil); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// The hashes are those that sha256sum gives.
	want := `{"v":1,"seq":1,"time":"2026-11-22T02:17:00.001Z","type":"step.intent","prev":"","data":{"step":"freeze"}}
{"v":1,"seq":2,"time":"2026-11-22T02:17:00.002Z","type":"step.intent","prev":"9fde22ae632b7860bc1374355159b9cf66c5dddee721d5eebce3078489d5113e","data":{"step":"a\u003cb \u0026 \u2028 \ufffd"}}
{"v":1,"seq":3,"time":"2026-11-22T02:17:00.003Z","type":"report.written","prev":"9d5517d18f9dffed3cafd8e6113000895b5665465e10343d3c99873cdfa6259d","data":null}
`
	got, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the record is\n%s\nand not\n%s", got, want)
	}
	for name, mode := range map[string]os.FileMode{FileName: 0o600, LockName: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestTimeNeverRunsBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	back := now.Add(-time.Hour)
	times := []time.Time{now, back, now.Add(time.Nanosecond)}
	j := InMemory(func() time.Time { at := times[0]; times = times[1:]; return at })
	for range 3 {
		if err := j.Append(t.Context(), "note", nil); err != nil {
			t.Fatal(err)
		}
	}
	var got []time.Duration
	for e, err := range j.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Time.Sub(now))
	}
	if !slices.Equal(got, []time.Duration{0, 0, 1}) {
		t.Errorf("entries at %v", got)
	}
}

func TestEntriesThatCannotBeReadAreNotWritten(t *testing.T) {
	d := newDisk(t)
	j := start(d, nil, ticking())
	for name, data := range map[string]any{
		"too large":        strings.Repeat("x", MaxLine),
		"no JSON":          make(chan int),
		"a key twice":      json.RawMessage(`{"a":1,"b":{"c":1,"c":2}}`),
		"keys that differ": map[string]int{"step": 1, "Step": 2},
	} {
		if err := j.Append(t.Context(), "note", data); err == nil || errors.Is(err, ErrNotDurable) {
			t.Errorf("%s: %v", name, err)
		}
		if err := j.Note("note", data); err == nil {
			t.Errorf("%s: noted", name)
		}
	}
	if err := j.Append(t.Context(), "", nil); err == nil {
		t.Error("an entry without a type was written")
	}
	if err := j.Append(t.Context(), "note", step{"whole"}); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if all, err := steps(t, d.dir); err != nil || !slices.Equal(all, []string{"note whole"}) {
		t.Errorf("%q, %v", all, err)
	}
}

func TestAppendsAtTheSameTimeShareAnFsync(t *testing.T) {
	const many = 500
	d := newDisk(t)
	d.syncing, d.goOn = make(chan struct{}), make(chan struct{})
	j := start(d, nil, ticking())
	var appends sync.WaitGroup
	var returned atomic.Int32
	begin := func() {
		appends.Go(func() {
			if err := j.Append(t.Context(), "step.intent", step{"x"}); err != nil {
				t.Error(err)
			}
			returned.Add(1)
		})
	}
	begin()
	<-d.syncing // the first is being written
	for range many {
		begin()
	}
	for j.Length() < many+1 { // all are waiting
		runtime.Gosched()
	}
	if n := returned.Load(); n != 0 {
		t.Errorf("%d appends returned before their fsync", n)
	}
	d.goOn <- struct{}{}
	<-d.syncing
	if n := returned.Load(); n > 1 {
		t.Errorf("%d appends returned after an fsync of one", n)
	}
	d.goOn <- struct{}{}
	appends.Wait()
	if n := d.count(); n != 2 {
		t.Errorf("%d entries took %d fsyncs", many+1, n)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if all, err := steps(t, d.dir); err != nil || len(all) != many+1 {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

func TestAppendEndsWithItsContext(t *testing.T) {
	d := newDisk(t)
	d.syncing, d.goOn = make(chan struct{}), make(chan struct{})
	j := start(d, nil, ticking())
	why := errors.New("the responder left")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error)
	go func() { result <- j.Append(ctx, "step.intent", step{"hangs"}) }()
	<-d.syncing
	cancel(why)
	if err := <-result; !errors.Is(err, why) || errors.Is(err, ErrNotDurable) {
		t.Errorf("Append returned %v", err)
	}
	if err := j.Append(ctx, "step.intent", step{"never"}); !errors.Is(err, why) {
		t.Errorf("Append returned %v", err)
	}
	close(d.goOn)
	go func() {
		for range d.syncing {
		}
	}()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	close(d.syncing)
	if all, err := steps(t, d.dir); err != nil || !slices.Equal(all, []string{"step.intent hangs"}) {
		t.Errorf("%q, %v", all, err)
	}
}

func TestADiskThatFailsLosesNothing(t *testing.T) {
	faults := map[string]func(*disk){
		"write": func(d *disk) { d.writeErr = errors.New("input/output error") },
		"fsync": func(d *disk) { d.syncErr = errors.New("input/output error") },
		"full":  func(d *disk) { d.room = 200 }, // in the middle of the second line
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			j := start(d, nil, ticking())
			defer func() { _ = j.Close() }()
			if err := j.Append(t.Context(), "note", step{"before"}); err != nil {
				t.Fatal(err)
			}
			d.set(fault)
			for _, s := range []string{"first", "second"} {
				if err := j.Append(t.Context(), "note", step{s}); !errors.Is(err, ErrNotDurable) {
					t.Fatalf("Append returned %v", err)
				}
			}
			want := []string{"note before", "note first", TypeTrouble + " ", "note second"}
			if got := shown(t, j, len(want)); !slices.Equal(got, want) {
				t.Errorf("readers saw %q", got)
			}
			d.set(func(d *disk) { d.writeErr, d.syncErr, d.room = nil, nil, 0 })
			if err := j.Append(t.Context(), "note", step{"after"}); err != nil {
				t.Fatal(err)
			}
			want = append(want, "note after")
			if got := shown(t, j, len(want)); !slices.Equal(got, want) {
				t.Errorf("readers saw %q", got)
			}
			if got, err := steps(t, d.dir); err != nil || !slices.Equal(got, want) {
				t.Errorf("the disk has %q, %v", got, err)
			}
			d.set(fault) // and once more: the second time is trouble again
			d.set(func(d *disk) { d.room = min(d.room, 1) })
			if err := j.Append(t.Context(), "note", step{"again"}); !errors.Is(err, ErrNotDurable) {
				t.Errorf("Append returned %v", err)
			}
			want = append(want, "note again", TypeTrouble+" ")
			if got := shown(t, j, len(want)); !slices.Equal(got, want) {
				t.Errorf("readers saw %q", got)
			}
			d.set(func(d *disk) { d.writeErr, d.syncErr, d.room = nil, nil, 0 })
			if err := j.Close(); err != nil {
				t.Errorf("Close returned %v although the disk works again", err)
			}
			if got, err := steps(t, d.dir); err != nil || !slices.Equal(got, want) {
				t.Errorf("the disk has %q, %v", got, err)
			}
		})
	}
}

// shown reads n entries with a new cursor.
func shown(t *testing.T, j *Journal, n int) (all []string) {
	t.Helper()
	c := j.Cursor()
	for range n {
		e, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var s step
		if err := e.Decode(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Type+" "+s.Step)
	}
	return all
}

func TestCloseOnAFullDiskLeavesWholeLines(t *testing.T) {
	d := newDisk(t)
	j := start(d, nil, ticking())
	if err := j.Append(t.Context(), "note", step{"durable"}); err != nil {
		t.Fatal(err)
	}
	line := int64(len(d.content(t)))
	// A whole second line that is not durable, and a part of the third.
	d.set(func(d *disk) { d.room, d.syncErr = 5*line/2+64, errNoSpace })
	for _, s := range []string{"written", "torn off", "missing"} {
		if err := j.Append(t.Context(), "note", step{s}); !errors.Is(err, ErrNotDurable) {
			t.Fatal(err)
		}
	}
	if b := d.content(t); b[len(b)-1] == '\n' {
		t.Fatal("the test's disk tore no line")
	}
	if _, err := steps(t, d.dir); !errors.Is(err, ErrTorn) {
		t.Errorf("before Close: %v", err)
	}
	err := j.Close()
	if !errors.Is(err, ErrNotDurable) || !errors.Is(err, errNoSpace) {
		t.Errorf("Close returned %v", err)
	}
	if again := j.Close(); !errors.Is(again, ErrNotDurable) {
		t.Errorf("Close returned %v the second time", again)
	}
	if got, err := steps(t, d.dir); err != nil || !slices.Equal(got, []string{"note durable", "note written"}) {
		t.Errorf("the disk has %q, %v", got, err)
	}
	want := []string{"note durable", "note written", TypeTrouble + " ", "note torn off", "note missing"}
	if got := shown(t, j, len(want)); !slices.Equal(got, want) {
		t.Errorf("readers saw %q after Close", got)
	}
}

func TestCloseWritesWhatCameLast(t *testing.T) {
	d := newDisk(t)
	d.syncing, d.goOn = make(chan struct{}), make(chan struct{})
	j := start(d, nil, ticking())
	for _, s := range []string{"first", "last"} {
		if err := j.Note("note", step{s}); err != nil {
			t.Fatal(err)
		}
		if s == "first" {
			<-d.syncing
		}
	}
	closed := make(chan error)
	go func() { closed <- j.Close() }()
	for taken := true; taken; taken = j.Note("note", step{"more"}) == nil { // until it is being closed
		runtime.Gosched()
	}
	n := int(j.Length())
	d.goOn <- struct{}{}
	<-d.syncing
	d.goOn <- struct{}{}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got, err := steps(t, d.dir); err != nil || len(got) != n || got[1] != "note last" {
		t.Errorf("the disk has %d of %d entries, %v", len(got), n, err)
	}
}

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

func BenchmarkAppendAlone(b *testing.B) {
	j := benchmarked(b)
	for b.Loop() {
		if err := j.Append(b.Context(), "credential.intent", step{"x"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendGroup is 1,000 appends at the same time.
func BenchmarkAppendGroup(b *testing.B) {
	const many = 1000
	d := newDisk(b)
	j := start(d, nil, time.Now)
	defer func() { _ = j.Close() }()
	for b.Loop() {
		var group sync.WaitGroup
		for range many {
			group.Go(func() {
				if err := j.Append(b.Context(), "credential.intent", step{"x"}); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(float64(d.count())/float64(b.N), "fsyncs/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many, "ns/entry")
}

func benchmarked(b *testing.B) *Journal {
	j, err := Create(b.TempDir(), Holder{Who: "dana"}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = j.Close() })
	return j
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
