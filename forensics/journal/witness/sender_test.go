package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/journal"
)

// counted is a cursor that tells how far it was read.
type counted struct {
	Cursor
	read   *atomic.Int64
	closed *atomic.Int64
}

func (c counted) Next(ctx context.Context) (journal.Entry, error) {
	e, err := c.Cursor.Next(ctx)
	if err == nil {
		c.read.Add(1)
	}
	return e, err
}

func (c counted) Close() error {
	c.closed.Add(1)
	return nil
}

// What waits for a sink that is down waits in the record, not in memory.
func TestASinkThatIsDownTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := record(t)
		for range 5000 {
			if err := j.Note("note", "a hundred bytes or more, with all that stands around it in a line"); err != nil {
				t.Fatal(err)
			}
		}
		timing := exact
		timing.Bytes = 10_000
		down := &keeper{answer: func(context.Context, Delivery) error { return errors.New("down") }}
		w, err := New(disk.OS{}, "", "INC-1", 0, []Named{{"siem", down}}, timing)
		if err != nil {
			t.Fatal(err)
		}
		var read, closed atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		w.Run(ctx, func() Cursor { return counted{j.Cursor(), &read, &closed} }, nil)
		if n := read.Load(); n == 0 || n > 150 {
			t.Errorf("%d entries were read for a sink that takes none", n)
		}
		if closed.Load() != 1 {
			t.Error("the cursor was not closed")
		}
	})
}

// A sink that comes back just before the end is given all of it: the end waits for no back-off.
func TestTheEndTriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		k := &keeper{answer: func(context.Context, Delivery) error {
			if down {
				return errors.New("down")
			}
			return nil
		}}
		s := begin(t, "", record(t), exact, Named{"siem", k})
		s.append(3)
		time.Sleep(100 * time.Second) // it waits for a minute now
		synctest.Wait()
		down = false
		began := time.Now()
		s.end()
		if took := time.Since(began); took != 0 || len(k.lines()) != 3 {
			t.Errorf("%d lines after %s", len(k.lines()), took)
		}
	})
}

// Whoever shows the response is told once that a sink is down, and once that it is back.
func TestWhoWantsToKnowIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		k := &keeper{answer: func(context.Context, Delivery) error {
			if now := time.Since(began); now < 2*time.Second || now > time.Minute && now < 10*time.Minute {
				return errors.New("connection refused")
			}
			return nil
		}}
		j := record(t)
		w, err := New(disk.OS{}, "", "INC-1", 0, []Named{{"siem", k}}, exact)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		w.Told = func(h Held) { told = append(told, fmt.Sprintf("%d %s", h.Entries, h.Error)) }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Minute, cancel)
		go func() {
			for range 30 {
				_ = j.Note("note", "x")
				time.Sleep(10 * time.Second)
			}
		}()
		w.Run(ctx, func() Cursor { return j.Cursor() }, nil)
		if want := []string{"6 connection refused", "30 "}; !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
	})
}

// A record that cannot be read on is said to be, and what was read of it is sent.
func TestARecordThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entries := entriesOf(t, 3)
		var k keeper
		w, err := New(disk.OS{}, "", "INC-1", 0, []Named{{"siem", &k}}, exact)
		if err != nil {
			t.Fatal(err)
		}
		w.Run(t.Context(), func() Cursor { return &broken{entries} }, nil)
		if h := w.Held()[0]; h.Entries != 3 || h.Error == "" {
			t.Errorf("held: %+v", h)
		}
	})
}

// broken gives out entries, and then an error of the disk.
type broken struct{ rest []journal.Entry }

func (b *broken) Next(context.Context) (journal.Entry, error) {
	if len(b.rest) == 0 {
		return journal.Entry{}, io.ErrUnexpectedEOF
	}
	e := b.rest[0]
	b.rest = b.rest[1:]
	return e, nil
}
