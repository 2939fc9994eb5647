package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk/disktest"
)

// big is data that no line takes.
func big(c string) step { return step{strings.Repeat(c, MaxLine+1)} }

// run is one life of a record: it opens or creates it, appends, closes. It returns the steps that
// were acknowledged, in order.
func run(t *testing.T, d *disktest.Disk, dir string, steps ...step) (acknowledged []string, err error) {
	t.Helper()
	j, _, err := OpenOn(d, dir, Holder{Who: "dana"}, ticking())
	if errors.Is(err, os.ErrNotExist) {
		j, err = CreateOn(d, dir, Holder{Who: "dana"}, ticking())
	}
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if err := j.Append(t.Context(), "note", s); err == nil {
			acknowledged = append(acknowledged, s.Step)
		} else if !errors.Is(err, ErrNotDurable) {
			t.Errorf("Append returned %v", err)
		}
	}
	return acknowledged, j.Close()
}

// recorded opens the record in dir as the next process would, and returns the steps in it.
func recorded(t *testing.T, dir string) (all []string) {
	t.Helper()
	d, err := disktest.New(dir) // does not wait for fsyncs
	if err != nil {
		t.Fatal(err)
	}
	j, _, err := OpenOn(d, dir, Holder{Who: "lee"}, ticking())
	if errors.Is(err, os.ErrNotExist) {
		return nil // it died before there was one
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), "resumed", step{}); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	for e, err := range Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		var s step
		if e.Type == TypeTrouble {
			continue
		}
		if err := e.Decode(&s); err != nil {
			t.Error(err)
		}
		if e.Type == "note" {
			all = append(all, s.Step)
		}
	}
	return all
}

// prefix says whether b begins with a.
func prefix(a, b []string) bool { return len(a) <= len(b) && slices.Equal(a, b[:len(a)]) }

// brief makes steps readable in messages.
func brief(steps []string) string {
	var short []string
	for _, s := range steps {
		short = append(short, fmt.Sprintf("%.3s(%d)", s, len(s)))
	}
	return strings.Join(short, " ")
}

// TestEveryCrash ends two lives of a record at each of their operations, in the middle of a write
// where it is one, and then looks at what the process left, and at what a loss of power would have left.
func TestEveryCrash(t *testing.T) {
	first, second := []step{{"one"}, big("2"), {"three"}}, []step{{"four"}, big("5"), big("2")}
	lives := func(t *testing.T, d *disktest.Disk, dir string) (acknowledged []string) {
		for _, steps := range [][]step{first, second} {
			got, err := run(t, d, dir, steps...)
			acknowledged = append(acknowledged, got...)
			if err != nil {
				break
			}
		}
		return acknowledged
	}
	var all []string
	for _, s := range slices.Concat(first, second) {
		all = append(all, s.Step)
	}
	points := 0
	for k := 1; ; k++ {
		dir := t.TempDir()
		d, err := disktest.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		d.DieAt(k)
		acknowledged := lives(t, d, dir)
		if d.Count() < k { // it lived
			if got := recorded(t, dir); !slices.Equal(got, all) || !slices.Equal(acknowledged, all) {
				t.Errorf("without a crash: %s, acknowledged %s", brief(got), brief(acknowledged))
			}
			break
		}
		worlds := map[string]string{"killed": dir}
		for name, loss := range map[string]disktest.Loss{"names lost": disktest.Names, "contents lost": disktest.Contents} {
			worlds[name] = t.TempDir()
			if err := d.PowerLoss(worlds[name], loss); err != nil {
				t.Fatal(err)
			}
		}
		for name, world := range worlds {
			points++
			got := recorded(t, world)
			if !prefix(acknowledged, got) || !prefix(got, all) {
				t.Errorf("%s, %s: %s was acknowledged, the record has %s", d.List()[k-1], name, brief(acknowledged), brief(got))
			}
		}
	}
	t.Logf("%d crashes tried, 0 entries lost", points)
	if points < 60 {
		t.Errorf("%d crashes are too few for this: what was not tried?", points)
	}
}

// TestEveryFault makes each operation of a life fail, once and from there on: of a new record, and
// of one that a crash has torn.
func TestEveryFault(t *testing.T) {
	_, old := written(t, 2)
	torn := append(old, "{\"v\":1"...)
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, on := range []bool{false, true} {
			for _, before := range [][]byte{nil, torn} {
				for k := 1; faultAt(t, k, fault, on, before); k++ {
				}
			}
		}
	}
}

// faultAt reports whether there was an operation k to fail.
func faultAt(t *testing.T, k int, fault error, on bool, before []byte) bool {
	steps := []step{{"one"}, big("2"), {"three"}, big("2"), {"four"}}
	var kept []string
	dir := t.TempDir()
	if before != nil {
		overwrite(t, dir, before)
		kept = []string{"0", "1"}
	}
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if on {
		d.FailFrom(k, fault)
	} else {
		d.FailAt(k, fault)
	}
	acknowledged, err := run(t, d, dir, steps...)
	if d.Count() < k {
		return false
	}
	kept = append(kept, acknowledged...)
	what := fmt.Sprintf("%s, from there on %v, an old record %v", d.List()[k-1], on, before != nil)
	if err == nil && len(acknowledged) == len(steps) && !troubled(t, dir) {
		t.Errorf("%s: nobody was told", what)
	}
	if err != nil && !errors.Is(err, fault) {
		t.Errorf("%s: %v", what, err)
	}
	got := recorded(t, dir)
	if all := len(kept) - len(acknowledged) + len(steps); err == nil && len(got) != all {
		t.Errorf("%s: Close returned nil, and the record has %d of %d", what, len(got), all)
	}
	if on && !prefix(kept, got) { // what failed once may be durable later
		t.Errorf("%s: %s is to be kept, the record has %s", what, brief(kept), brief(got))
	}
	for i := 0; i < len(kept); { // nothing acknowledged is missing, whatever stands between
		if len(got) == 0 {
			t.Errorf("%s: %s and more is missing", what, brief(kept[i:i+1]))
			break
		}
		if got[0] == kept[i] {
			i++
		}
		got = got[1:]
	}
	return true
}

func troubled(t *testing.T, dir string) bool {
	for e, err := range Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == TypeTrouble {
			return true
		}
	}
	return false
}

// A payload that does not fit is told like any lost entry; what it says is shown, and what comes
// before it is durable.
func TestPayloadThatTheDiskRefuses(t *testing.T) {
	dir := t.TempDir()
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := CreateOn(d, dir, Holder{}, ticking())
	if err != nil {
		t.Fatal(err)
	}
	d.FailOn(PayloadFolder, syscall.ENOSPC)
	shownAll := j.Cursor()
	if err := j.Append(t.Context(), "note", step{"before"}); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), "note", big("x")); !errors.Is(err, ErrNotDurable) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append returned %v", err)
	}
	if err := j.Append(t.Context(), "note", step{"after"}); !errors.Is(err, ErrNotDurable) {
		t.Errorf("Append of what stands behind it returned %v", err)
	}
	want := []string{"note before", "note " + big("x").Step, TypeTrouble + " ", "note after"}
	for i, w := range want {
		e, err := shownAll.Next(t.Context())
		var s step
		if err != nil || e.Decode(&s) != nil || e.Type+" "+s.Step != w {
			t.Errorf("entry %d is %.40s %v", i+1, e.Line(), err)
		}
	}
	if all, err := steps(t, dir); err != nil || !slices.Equal(all, want[:1]) {
		t.Errorf("the disk has %s, %v", brief(all), err)
	}
	d.Heal()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if all, err := steps(t, dir); err != nil || !slices.Equal(all, want) {
		t.Errorf("the disk has %s, %v", brief(all), err)
	}
}

// In one commit, what stands before a payload that the disk refuses is durable, and is told so.
func TestPayloadHoldsUpNothingBeforeIt(t *testing.T) {
	d := newDisk(t)
	d.syncing, d.goOn = make(chan struct{}), make(chan struct{})
	j := start(d, refusing{syscall.ENOSPC}, nil, ticking())
	if err := j.Note("note", step{"first"}); err != nil {
		t.Fatal(err)
	}
	<-d.syncing // the rest comes together, with the next commit
	all := []step{{"before"}, big("x"), {"after"}}
	told := make([]chan error, len(all))
	for i, s := range all {
		told[i] = make(chan error, 1)
		if err := j.add("note", s, told[i]); err != nil {
			t.Fatal(err)
		}
	}
	d.goOn <- struct{}{}
	<-d.syncing
	d.goOn <- struct{}{}
	for i, want := range []error{nil, ErrNotDurable, ErrNotDurable} {
		if err := <-told[i]; !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if all, err := steps(t, d.dir); err != nil || !slices.Equal(all, []string{"note first", "note before"}) {
		t.Errorf("the disk has %s, %v", brief(all), err)
	}
	if err := j.Close(); !errors.Is(err, ErrNotDurable) {
		t.Errorf("Close returned %v", err)
	}
}

// A payload that is on disk before its line is shown, and is not written again with each try.
func TestPayloadWaitsForItsLine(t *testing.T) {
	dir := t.TempDir()
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := CreateOn(d, dir, Holder{}, ticking())
	if err != nil {
		t.Fatal(err)
	}
	d.FailOn(FileName, syscall.EIO)
	for _, s := range []step{big("x"), {"a"}, {"b"}} {
		if err := j.Append(t.Context(), "note", s); !errors.Is(err, ErrNotDurable) {
			t.Errorf("Append returned %v", err)
		}
	}
	if got := shown(t, j, 1); got[0] != "note "+big("x").Step {
		t.Errorf("readers saw %s", brief(got))
	}
	if n := strings.Count(strings.Join(d.List(), "\n"), " rename "); n != 1 {
		t.Errorf("the payload was written %d times", n)
	}
	_ = j.Close()
}

func TestDurableCursorNeverGetsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d, err := disktest.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		j, err := CreateOn(d, dir, Holder{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		ended := make(chan error)
		go func() {
			for c := j.DurableCursor(); ; {
				e, err := c.Next(t.Context())
				if err != nil {
					ended <- err
					return
				}
				var s step
				if err := e.Decode(&s); err != nil {
					t.Error(err)
				}
				got = append(got, e.Type+" "+s.Step)
			}
		}()
		add := func(s string) error {
			err := j.Append(t.Context(), "note", step{s})
			synctest.Wait() // the reader waits again: it does not spin
			return err
		}
		expect := func(want ...string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("it gave %q", got)
			}
		}
		if err := add("a"); err != nil {
			t.Error(err)
		}
		expect("note a")
		d.FailFrom(d.Count()+2, syscall.EIO) // the write succeeds, and its fsync does not
		for _, s := range []string{"b", "c"} {
			if err := add(s); !errors.Is(err, ErrNotDurable) {
				t.Errorf("Append returned %v", err)
			}
		}
		expect("note a")
		d.Heal()
		if err := add("d"); err != nil {
			t.Error(err)
		}
		durable := []string{"note a", "note b", TypeTrouble + " ", "note c", "note d"}
		expect(durable...)
		d.FailFrom(0, syscall.EIO)
		if err := add("e"); !errors.Is(err, ErrNotDurable) {
			t.Errorf("Append returned %v", err)
		}
		if err := j.Close(); !errors.Is(err, ErrNotDurable) {
			t.Errorf("Close returned %v", err)
		}
		if err := <-ended; err != io.EOF {
			t.Errorf("it ended with %v", err)
		}
		expect(durable...)
	})
}

func TestRefusedHasNothingDurable(t *testing.T) {
	j := Refused(syscall.EROFS, ticking())
	if err := j.Note("note", big("x")); err != nil {
		t.Fatal(err)
	}
	c := j.Cursor()
	if e, err := c.Next(t.Context()); err == nil {
		var s step
		if err := e.Decode(&s); err != nil || s != big("x") {
			t.Errorf("the payload is shown as %.20q, %v", s.Step, err)
		}
	} else {
		t.Error(err)
	}
	_ = j.Close()
	if _, err := j.DurableCursor().Next(t.Context()); err != io.EOF {
		t.Errorf("Next returned %v", err)
	}
}

func TestWhoHoldsALockMayBeUnknown(t *testing.T) {
	lock, err := Lock("/dev/full", Holder{Who: "dana"}) // takes locks and no bytes
	if err != nil {
		t.Fatalf("a full disk refused the lock: %v", err)
	}
	_ = lock.Close()
}
