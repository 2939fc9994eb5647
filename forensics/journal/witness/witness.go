// Package witness gives the record of an incident to sinks off the host while it is written, so
// that whoever changes it later contradicts what somebody else holds. It only ever reads the
// record: a sink that is down, slow or full holds up nobody else, and what it missed is sent later
// from the record itself.
//
// Each sink is given every line once and in order, and after a crash perhaps again: to send the
// same lines twice changes nothing. A line goes out only once it is durable at the desk, so a sink
// never holds one that a resumed run writes differently.
package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/journal"
)

// Delivery is what a sink is given at once: lines of the record that follow what it was given
// before, a checkpoint, or both.
type Delivery struct {
	Incident    string
	First, Last uint64          // the entries; both 0 when there are none
	Entries     []journal.Entry // First to Last
	Checkpoint  []byte          // a signed note, or nil
	Size        uint64          // how many entries the checkpoint covers: none of them comes later
}

// Sink is a place off the host that keeps what it is given.
type Sink interface {
	// Kind is "syslog", "https", "dir" or "s3".
	Kind() string
	// Send returns nil once the sink has the delivery, in the sense that its kind gives to that.
	// It takes the same delivery, or one that overlaps, again and changes nothing by it. It
	// returns soon after ctx is done.
	Send(ctx context.Context, d Delivery) error
}

// Named is a sink by the name that the configuration gives it.
type Named struct {
	Name string
	Sink Sink
}

// Checkpoint is a signed note over the first Size entries.
type Checkpoint struct {
	Note []byte
	Size uint64
}

// Cursor reads the entries of a record that are durable, from the first one on. Next waits for
// the next, and returns io.EOF after the last entry of a record that is closed. A Cursor that is
// an io.Closer is closed once it is read no more.
type Cursor interface {
	Next(ctx context.Context) (journal.Entry, error)
}

// Held is how much of the record a sink was given.
type Held struct {
	Sink       string
	Kind       string
	Entries    uint64    // up to this one
	Checkpoint uint64    // size of the newest checkpoint; 0 for none
	Since      time.Time // when it was last given something; zero for never
	Error      string    // why the newest attempt failed, or what is wrong with what it holds
}

// LaterError is a refusal with the time after which to try again.
type LaterError struct {
	Err   error
	After time.Duration
}

func (e *LaterError) Error() string { return e.Err.Error() }
func (e *LaterError) Unwrap() error { return e.Err }

// BehindError means that a sink holds less than it was given before: up to entry Have only. It is
// given the rest again.
type BehindError struct {
	Have uint64
	Err  error
}

func (e *BehindError) Error() string { return e.Err.Error() }
func (e *BehindError) Unwrap() error { return e.Err }

// Timing is how a Witness paces itself; what is zero has a default.
type Timing struct {
	Every   time.Duration // how long a line waits for others or a checkpoint to go with; 1 s
	Send    time.Duration // how long one delivery may take; 30 s
	Backoff time.Duration // the first wait after a failure, doubled with each; 1 s
	Longest time.Duration // the longest wait; 1 min
	Jitter  func() float64
	Bytes   int // of lines in a delivery; 256 KiB
}

// MaxCheckpoints bounds the checkpoints that wait for one sink. The oldest go first: each newer
// one covers what they covered.
const MaxCheckpoints = 256

// Witness sends the record of one incident to its sinks.
type Witness struct {
	// Told, unless nil, is told that a sink has failed for the third time in a row, and that it is
	// back after that. It is set before Run.
	Told func(Held)

	incident string
	senders  []*sender
}

// downAfter is how many failures in a row make a sink one that is down.
const downAfter = 3

var sinkName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// CheckName reports whether name can be a sink's: it becomes a file's.
func CheckName(name string) error {
	if !sinkName.MatchString(name) {
		return fmt.Errorf("%q: a name is made of up to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit", name)
	}
	return nil
}

// New prepares the witness of the incident whose folder is dir and whose record has length entries
// by now. What each sink was given in an earlier run is read from there and kept there, below
// witness/.
func New(fsys disk.FS, dir, incident string, length uint64, sinks []Named, t Timing) (*Witness, error) {
	w := &Witness{incident: incident}
	seen := make(map[string]bool)
	for _, s := range sinks {
		if err := CheckName(s.Name); err != nil {
			return nil, fmt.Errorf("witness %w", err)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("witness %q: the name is taken", s.Name)
		}
		seen[s.Name] = true
		w.senders = append(w.senders, newSender(fsys, dir, incident, length, s, t.withDefaults()))
	}
	return w, nil
}

// Run sends until the record is closed and every sink has all of it, or until ctx is done. Each
// sink reads with a cursor of its own from open. checkpoints is read at once whatever the sinks
// do, and is closed by whoever makes them; nil means that there are none.
func (w *Witness) Run(ctx context.Context, open func() Cursor, checkpoints <-chan Checkpoint) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, s := range w.senders {
		s.told = w.Told
		all.Go(func() { s.run(ctx, open) })
	}
	for checkpoints != nil {
		select {
		case c, ok := <-checkpoints:
			if !ok {
				checkpoints = nil
				break
			}
			for _, s := range w.senders {
				s.checkpoint(c)
			}
		case <-ctx.Done():
			return
		}
	}
	for _, s := range w.senders {
		s.noMoreCheckpoints()
	}
}

// Flush asks for everything up to an entry to be sent now, also to sinks that failed before, and
// waits until each has it, fails again, or ctx is done.
func (w *Witness) Flush(ctx context.Context, entries uint64) {
	for _, s := range w.senders {
		s.hurry(entries)
	}
	for _, s := range w.senders {
		s.wait(ctx, entries)
	}
}

// Held tells how much of the record each sink was given so far, in the order of the configuration.
func (w *Witness) Held() []Held {
	var all []Held
	for _, s := range w.senders {
		all = append(all, s.held())
	}
	return all
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	set(&t.Every, time.Second)
	set(&t.Send, 30*time.Second)
	set(&t.Backoff, time.Second)
	set(&t.Longest, time.Minute)
	if t.Bytes <= 0 {
		t.Bytes = 256 << 10
	}
	if t.Jitter == nil {
		t.Jitter = random
	}
	return t
}

// ended reports whether a cursor's error is the end of the record.
func ended(err error) bool { return errors.Is(err, io.EOF) }
