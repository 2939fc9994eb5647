package journal

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
	j := start(d, &payloadMemory{}, nil, ticking())
	for name, data := range map[string]any{
		"too large":        strings.Repeat("x", MaxPayload),
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
	j := start(d, &payloadMemory{}, nil, ticking())
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
	j := start(d, &payloadMemory{}, nil, ticking())
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
	faults := map[string]func(*testDisk){
		"write": func(d *testDisk) { d.writeErr = errors.New("input/output error") },
		"fsync": func(d *testDisk) { d.syncErr = errors.New("input/output error") },
		"full":  func(d *testDisk) { d.room = 200 }, // in the middle of the second line
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			j := start(d, &payloadMemory{}, nil, ticking())
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
			d.set(func(d *testDisk) { d.writeErr, d.syncErr, d.room = nil, nil, 0 })
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
			d.set(func(d *testDisk) { d.room = min(d.room, 1) })
			if err := j.Append(t.Context(), "note", step{"again"}); !errors.Is(err, ErrNotDurable) {
				t.Errorf("Append returned %v", err)
			}
			want = append(want, "note again", TypeTrouble+" ")
			if got := shown(t, j, len(want)); !slices.Equal(got, want) {
				t.Errorf("readers saw %q", got)
			}
			d.set(func(d *testDisk) { d.writeErr, d.syncErr, d.room = nil, nil, 0 })
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
	j := start(d, &payloadMemory{}, nil, ticking())
	if err := j.Append(t.Context(), "note", step{"durable"}); err != nil {
		t.Fatal(err)
	}
	line := int64(len(d.content(t)))
	// A whole second line that is not durable, and a part of the third.
	d.set(func(d *testDisk) { d.room, d.syncErr = 5*line/2+64, errNoSpace })
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
	j := start(d, &payloadMemory{}, nil, ticking())
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
