package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/journal"
)

// keeper is a sink that keeps what it is given, unless answer refuses it.
type keeper struct {
	answer func(ctx context.Context, d Delivery) error

	mu         sync.Mutex
	tries      []time.Time
	deliveries []Delivery
	at         []time.Time
}

func (*keeper) Kind() string { return "test" }

func (k *keeper) Send(ctx context.Context, d Delivery) error {
	k.mu.Lock()
	k.tries = append(k.tries, time.Now())
	k.mu.Unlock()
	if k.answer != nil {
		if err := k.answer(ctx, d); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	d.Entries = slices.Clone(d.Entries)
	k.deliveries = append(k.deliveries, d)
	k.at = append(k.at, time.Now())
	return nil
}

func (k *keeper) given() []Delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.deliveries)
}

// lines are all lines that it was given, in the order in which they came.
func (k *keeper) lines() []string {
	var all []string
	for _, d := range k.given() {
		for _, e := range d.Entries {
			all = append(all, string(e.Line()))
		}
	}
	return all
}

// sizes are those of the checkpoints that it was given. Each has to come with or after what it covers.
func (k *keeper) sizes(t *testing.T) []uint64 {
	t.Helper()
	var all []uint64
	var held uint64
	for _, d := range k.given() {
		if len(d.Entries) > 0 && (d.First != d.Entries[0].Seq || d.Last != d.Entries[len(d.Entries)-1].Seq) {
			t.Errorf("a delivery of %d to %d holds %d entries from %d on", d.First, d.Last, len(d.Entries), d.Entries[0].Seq)
		}
		held = max(held, d.Last)
		if d.Checkpoint != nil {
			all = append(all, d.Size)
			if d.Size > held || string(d.Checkpoint) != fmt.Sprintf("note over %d", d.Size) {
				t.Errorf("the checkpoint %q of size %d came when %d entries were given", d.Checkpoint, d.Size, held)
			}
		}
	}
	return all
}

// scene is a record, and a witness that sends it.
type scene struct {
	t           *testing.T
	journal     *journal.Journal
	witness     *Witness
	checkpoints chan Checkpoint
	stop        context.CancelFunc
	ran         sync.WaitGroup
}

// exact leaves nothing to chance: no jitter takes anything off a wait.
var exact = Timing{Jitter: func() float64 { return 1 }}

func begin(t *testing.T, dir string, j *journal.Journal, timing Timing, sinks ...Named) *scene {
	t.Helper()
	w, err := New(disk.OS{}, dir, "INC-1", j.Length(), sinks, timing)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &scene{t: t, journal: j, witness: w, checkpoints: make(chan Checkpoint), stop: cancel}
	s.ran.Go(func() { w.Run(ctx, func() Cursor { return j.Cursor() }, s.checkpoints) })
	return s
}

func (s *scene) append(n int) {
	s.t.Helper()
	for range n {
		if err := s.journal.Append(s.t.Context(), "note", map[string]uint64{"n": s.journal.Length() + 1}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *scene) seal(size uint64) {
	s.checkpoints <- Checkpoint{fmt.Appendf(nil, "note over %d", size), size}
}

// end closes the record and waits until all is sent.
func (s *scene) end() {
	s.t.Helper()
	if err := s.journal.Close(); err != nil {
		s.t.Error(err)
	}
	close(s.checkpoints)
	s.ran.Wait()
	s.stop()
}

// die ends the witness in the middle of it.
func (s *scene) die() {
	s.stop()
	s.ran.Wait()
}

func record(t *testing.T) *journal.Journal {
	j := journal.InMemory(time.Now)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func recordOf(t *testing.T, j *journal.Journal) []string {
	t.Helper()
	var all []string
	for e, err := range j.Entries(context.WithoutCancel(t.Context())) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(e.Line()))
	}
	return all
}

func TestSinksGetEveryLineAndCheckpointInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one, two keeper
		s := begin(t, "", record(t), exact, Named{"one", &one}, Named{"two", &two})
		s.append(3)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := len(one.given()); n != 0 {
			t.Errorf("%d deliveries before anything was due", n)
		}
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		if got := one.given(); len(got) != 1 || got[0].Last != 3 || got[0].Checkpoint != nil {
			t.Errorf("after a second: %+v", got)
		}
		s.append(4) // entries 4 to 7
		s.seal(5)
		synctest.Wait() // a checkpoint waits for nothing
		if got := one.given(); len(got) != 2 || got[1].First != 4 || got[1].Last != 5 || got[1].Size != 5 {
			t.Errorf("at the checkpoint: %+v", got)
		}
		s.seal(7)
		s.seal(9) // ahead of the record as far as it was read
		s.append(2)
		time.Sleep(time.Minute)
		s.append(1)
		s.end()
		for name, k := range map[string]*keeper{"one": &one, "two": &two} {
			if got := k.lines(); !slices.Equal(got, recordOf(t, s.journal)) {
				t.Errorf("%s has %d lines: %q", name, len(got), got)
			}
			if got := k.sizes(t); !slices.Equal(got, []uint64{5, 7, 9}) {
				t.Errorf("%s has checkpoints of %d", name, got)
			}
		}
		for _, h := range s.witness.Held() {
			if h.Entries != 10 || h.Checkpoint != 9 || h.Error != "" || h.Since.IsZero() || h.Kind != "test" {
				t.Errorf("held: %+v", h)
			}
		}
	})
}

func TestASinkThatIsDownHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := &keeper{answer: func(ctx context.Context, _ Delivery) error { <-ctx.Done(); return context.Cause(ctx) }}
		down := &keeper{answer: func(context.Context, Delivery) error { return errors.New("connection refused") }}
		var up keeper
		s := begin(t, "", record(t), exact, Named{"hang", hang}, Named{"down", down}, Named{"up", &up})
		began := time.Now()
		for n := range uint64(1000) {
			s.append(1)
			if n%100 == 99 {
				s.seal(n + 1)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the record was held up for %s", took)
		}
		synctest.Wait()
		if got := up.sizes(t); len(got) != 10 || len(up.lines()) != 1000 || time.Since(began) != 0 {
			t.Errorf("up has %d lines, checkpoints %d after %s", len(up.lines()), got, time.Since(began))
		}
		time.Sleep(time.Hour)
		for _, h := range s.witness.Held() {
			if (h.Entries == 1000) != (h.Sink == "up") || (h.Error == "") != (h.Sink == "up") {
				t.Errorf("held: %+v", h)
			}
		}
		s.die()
	})
}

func TestBackoffThenEverythingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		k := &keeper{answer: func(context.Context, Delivery) error {
			if time.Since(began) < 10*time.Minute {
				return errors.New("connection refused")
			}
			return nil
		}}
		s := begin(t, "", record(t), exact, Named{"siem", k})
		s.append(1)
		for n := range uint64(20) { // the record goes on all the while
			time.Sleep(30 * time.Second)
			s.append(50)
			s.seal(s.journal.Length())
			_ = n
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := k.lines(); !slices.Equal(got, recordOf(t, s.journal)) {
			t.Errorf("%d lines of %d", len(got), s.journal.Length())
		}
		if got := k.sizes(t); len(got) != 20 {
			t.Errorf("checkpoints of %d", got)
		}
		var waits []time.Duration
		for i := 1; i < len(k.tries) && k.tries[i].Sub(began) < 10*time.Minute; i++ {
			waits = append(waits, k.tries[i].Sub(k.tries[i-1]))
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(waits, want) {
			t.Errorf("it waited %v", waits)
		}
		s.end()
	})
}

func TestJitterTakesUpToHalf(t *testing.T) {
	for jitter, want := range map[float64]time.Duration{0: 2 * time.Second, 0.5: 3 * time.Second, 1: 4 * time.Second} {
		s := &sender{fails: 3, timing: Timing{Jitter: func() float64 { return jitter }}.withDefaults()}
		if got := s.pause(errors.New("down")); got != want {
			t.Errorf("jitter %v: %s", jitter, got)
		}
	}
	s := &sender{timing: Timing{}.withDefaults()}
	for s.fails = 1; s.fails < 200; s.fails++ {
		if got := s.pause(errors.New("down")); got < 500*time.Millisecond || got > time.Minute {
			t.Errorf("failure %d: %s", s.fails, got)
		}
	}
	if got := s.pause(&LaterError{errors.New("busy"), 3 * time.Minute}); got != 3*time.Minute {
		t.Errorf("asked to wait 3m: %s", got)
	}
	if got := s.pause(&LaterError{errors.New("busy"), 1000 * time.Hour}); got != maxLater {
		t.Errorf("asked to wait for weeks: %s", got)
	}
}

func TestDeliveriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k keeper
		timing := exact
		timing.Bytes = 10_000
		s := begin(t, "", record(t), timing, Named{"siem", &k})
		for range 100 {
			if err := s.journal.Append(t.Context(), "note", strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		s.seal(100)
		s.end()
		if len(k.lines()) != 100 || !slices.Equal(k.sizes(t), []uint64{100}) {
			t.Errorf("%d lines, checkpoints %d", len(k.lines()), k.sizes(t))
		}
		for _, d := range k.given() {
			if n := len(d.Entries); n > 10 {
				t.Errorf("%d lines of more than 1,000 bytes at once", n)
			}
		}
	})
}

func TestFlushIsSoonAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		late := &keeper{answer: func(context.Context, Delivery) error {
			if down {
				return errors.New("down")
			}
			return nil
		}}
		hang := &keeper{answer: func(ctx context.Context, _ Delivery) error { <-ctx.Done(); return context.Cause(ctx) }}
		var up keeper
		s := begin(t, "", record(t), exact, Named{"late", late}, Named{"hang", hang}, Named{"up", &up})
		s.append(1)
		time.Sleep(100 * time.Second) // late waits for a minute now
		s.append(3)
		s.seal(4)
		synctest.Wait()
		down = false
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s.append(2)
		s.witness.Flush(ctx, s.journal.Length())
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %s with a sink that hangs", took)
		}
		for _, h := range s.witness.Held() {
			if whole := h.Entries == 6 && h.Checkpoint == 4; whole != (h.Sink != "hang") {
				t.Errorf("held: %+v", h)
			}
		}
		for i, d := range up.given() {
			if d.Last == 6 && up.at[i] != began {
				t.Errorf("the last lines went out %s after they were asked for", up.at[i].Sub(began))
			}
		}
		if n := len(up.given()); n > 4 {
			t.Errorf("%d deliveries for 6 lines", n)
		}
		s.die()
	})
}

func TestFlushWaitsForNoSinkThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := &keeper{answer: func(context.Context, Delivery) error { time.Sleep(100 * time.Millisecond); return errors.New("down") }}
		s := begin(t, "", record(t), exact, Named{"down", down})
		s.append(1)
		time.Sleep(100 * time.Second)
		began := time.Now()
		s.witness.Flush(t.Context(), 1)
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		s.die()
	})
}

// A run that ends with a sink that is down ends when it is told to.
func TestTheEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := &keeper{answer: func(context.Context, Delivery) error { return errors.New("down") }}
		s := begin(t, "", record(t), exact, Named{"down", down})
		s.append(1)
		began := time.Now()
		time.AfterFunc(5*time.Second, s.stop)
		s.end()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it ended after %s", took)
		}
		if h := s.witness.Held()[0]; h.Entries != 0 || h.Error != "down" {
			t.Errorf("held: %+v", h)
		}
	})
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"", "../x", "a/b", "Siem", ".hidden", strings.Repeat("a", 64), "a b"} {
		if _, err := New(disk.OS{}, "", "INC-1", 0, []Named{{bad, &keeper{}}}, Timing{}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := New(disk.OS{}, "", "INC-1", 0, []Named{{"a", &keeper{}}, {"a", &keeper{}}}, Timing{}); err == nil {
		t.Error("two sinks of one name were taken")
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	got := oneLine(errors.New("bad\x1b[2J\nthing" + strings.Repeat("ä", 1000)))
	if bytes.ContainsAny([]byte(got), "\x1b\n") || len(got) > 310 {
		t.Errorf("%q", got)
	}
}
