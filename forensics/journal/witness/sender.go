package witness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/journal"
)

// sender gives the record to one sink. Its loop is the only one that reads the record for it.
type sender struct {
	Named
	incident string
	timing   Timing
	position position
	told     func(Held) // nil for nobody

	mu       sync.Mutex
	at       standing
	lastErr  string
	problem  string // with what the sink holds; stays
	pending  []Checkpoint
	complete bool          // no checkpoint comes after those
	urgent   uint64        // send what there is up to this entry at once
	changed  chan struct{} // closed and replaced with every change of the above
	stopped  bool
	fails    int       // in a row
	down     bool      // whoever wants to know was told
	retry    time.Time // not before; zero for now
}

// newSender takes up where an earlier run ended. length is how many entries the record has: a sink
// that was given more is given all of it again, since nobody knows where the two part.
func newSender(fsys disk.FS, dir, incident string, length uint64, sink Named, t Timing) *sender {
	s := &sender{Named: sink, incident: incident, timing: t, changed: make(chan struct{})}
	s.position = positionOf(fsys, dir, sink.Name)
	at, err := s.position.load()
	if err != nil {
		s.lastErr = oneLine(err) // it is given all of it again, which changes nothing
	}
	if at.Held > length {
		s.problem = fmt.Sprintf("it was given %d entries, and the record has %d now: entries of the record are lost", at.Held, length)
		at = standing{Since: at.Since}
	}
	s.at = at
	return s
}

func random() float64 { return rand.Float64() }

func (s *sender) held() Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Held{
		Sink: s.Name, Kind: s.Sink.Kind(), Entries: s.at.Held, Checkpoint: s.at.Checkpoint, Since: s.at.Since,
		Error: cmp.Or(s.problem, s.lastErr),
	}
}

// tell wakes everyone who waits for a change. The lock is held.
func (s *sender) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *sender) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.tell()
}

func (s *sender) checkpoint(c Checkpoint) {
	s.update(func() {
		s.pending = append(s.pending, c)
		if len(s.pending) > MaxCheckpoints {
			s.pending = s.pending[1:]
		}
	})
}

func (s *sender) noMoreCheckpoints() { s.update(func() { s.complete = true }) }

func (s *sender) hurry(entries uint64) {
	s.update(func() {
		s.urgent = max(s.urgent, entries)
		s.fails, s.retry = 0, time.Time{} // one that was down is asked once more
	})
}

func (s *sender) wait(ctx context.Context, entries uint64) {
	for {
		s.mu.Lock()
		over, changed := s.stopped || s.fails > 0 || s.at.Held >= entries && s.nothingDue(), s.changed
		s.mu.Unlock()
		if over {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// nothingDue reports whether no checkpoint waits that could go out. The lock is held.
func (s *sender) nothingDue() bool { return len(s.pending) == 0 || s.pending[0].Size > s.at.Held }

// run sends until all is sent or ctx is done, reading the record anew where the sink turns out to
// hold less of it than thought.
func (s *sender) run(ctx context.Context, open func() Cursor) {
	defer s.update(func() { s.stopped = true })
	for ctx.Err() == nil {
		reading, stop := context.WithCancel(ctx)
		entries := make(chan journal.Entry)
		result := make(chan error, 1)
		go func() { result <- read(reading, open(), entries) }()
		again := s.send(ctx, entries, result)
		stop()
		for range entries { // the reader ends before the next one begins
		}
		if !again {
			return
		}
	}
}

// read gives out the entries of a record, and returns why there are no more.
func read(ctx context.Context, c Cursor, to chan<- journal.Entry) error {
	defer close(to)
	if c, ok := c.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	for {
		e, err := c.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case to <- e:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// outbox is what was read for a sink and not yet sent, and when it has to go.
type outbox struct {
	lines []journal.Entry
	bytes int
	since time.Time // when the oldest of lines was read
	over  bool      // the record ends with them
}

// send is the loop over one reading of the record. It returns whether to read the record again.
func (s *sender) send(ctx context.Context, entries <-chan journal.Entry, result <-chan error) (again bool) {
	var box outbox
	for {
		in := entries
		if box.bytes >= s.timing.Bytes {
			in = nil // the rest waits in the record
		}
		d, wait, changed := s.next(&box)
		if d == nil && changed == nil {
			return false
		}
		if d != nil {
			if again := s.deliver(ctx, &box, *d); again || ctx.Err() != nil {
				return again
			}
			continue
		}
		timer, stop := after(wait)
		select {
		case e, ok := <-in:
			if !ok {
				s.finish(&box, <-result)
				entries = nil
				break
			}
			if diverged := s.take(&box, e); diverged {
				stop()
				return true
			}
		case <-changed:
		case <-timer:
		case <-ctx.Done():
			stop()
			return false
		}
		stop()
	}
}

// after returns a channel that fires after wait, or never when it is negative.
func after(wait time.Duration) (<-chan time.Time, func()) {
	if wait < 0 {
		return nil, func() {}
	}
	t := time.NewTimer(wait)
	return t.C, func() { t.Stop() }
}

// finish notes the end of the record, or that it cannot be read further.
func (s *sender) finish(box *outbox, err error) {
	box.over = true
	s.update(func() { s.retry = time.Time{} }) // the last deliveries do not wait
	if err != nil && !ended(err) && !errors.Is(err, context.Canceled) {
		s.update(func() { s.problem = fmt.Sprintf("the record cannot be read on after entry %d: %v", s.at.Held, err) })
	}
}

// take puts an entry that the sink was not given yet into the box. It reports whether the record
// turned out to be another one than the sink was given.
func (s *sender) take(box *outbox, e journal.Entry) (diverged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Seq <= s.at.Held {
		if e.Seq == s.at.Held && s.at.Hash != "" && s.at.Hash != e.Hash() {
			s.problem = fmt.Sprintf("it was given another entry %d than the record holds now", e.Seq)
			s.at = standing{Since: s.at.Since} // both histories are there then
			s.tell()
			return true
		}
		return false
	}
	if len(box.lines) == 0 {
		box.since = time.Now()
	}
	box.lines = append(box.lines, e)
	box.bytes += len(e.Line()) + 1
	return false
}

// next returns the delivery that is due, or how long to wait for it, below 0 for something to
// happen, and what tells that it may be due sooner. It returns no channel when all is sent.
func (s *sender) next(box *outbox) (d *Delivery, wait time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > 0 && s.pending[0].Size <= s.at.Checkpoint {
		s.pending = s.pending[1:] // it was given it, perhaps in an earlier run
	}
	end := s.at.Held + uint64(len(box.lines))
	sealed := len(s.pending) > 0 && s.pending[0].Size <= end // all that the checkpoint covers is here
	if len(box.lines) == 0 && !sealed {
		if box.over && s.complete {
			return nil, 0, nil
		}
		return nil, -1, s.changed
	}
	now := time.Now()
	due := now
	hurried := s.urgent > s.at.Held && s.urgent <= end
	if !sealed && !box.over && !hurried && box.bytes < s.timing.Bytes {
		due = box.since.Add(s.timing.Every)
	}
	if s.retry.After(due) {
		due = s.retry
	}
	if due.After(now) {
		return nil, due.Sub(now), s.changed
	}
	return s.delivery(box, sealed), 0, s.changed
}

// delivery is made of the box, up to the end of the next checkpoint. The lock is held.
func (s *sender) delivery(box *outbox, sealed bool) *Delivery {
	d := &Delivery{Incident: s.incident, Entries: box.lines}
	if sealed {
		c := s.pending[0]
		d.Checkpoint, d.Size = c.Note, c.Size
		if c.Size > s.at.Held {
			d.Entries = box.lines[:c.Size-s.at.Held]
		} else {
			d.Entries = nil
		}
	}
	if n := len(d.Entries); n > 0 {
		d.First, d.Last = d.Entries[0].Seq, d.Entries[n-1].Seq
	}
	return d
}

// deliver sends one delivery and notes how it went. It returns whether the record has to be read
// again, from what the sink holds.
func (s *sender) deliver(ctx context.Context, box *outbox, d Delivery) (again bool) {
	sending, cancel := context.WithTimeoutCause(ctx, s.timing.Send, fmt.Errorf("no answer within %s", s.timing.Send))
	err := s.Sink.Send(sending, d)
	cancel()
	if err == nil {
		s.sent(box, d)
		return false
	}
	var behind *BehindError
	s.update(func() {
		s.fails++
		s.retry = time.Now().Add(s.pause(err))
		if ctx.Err() == nil || s.lastErr == "" { // that we had no more time says less than why it failed before
			s.lastErr = oneLine(err)
		}
		if errors.As(err, &behind) && behind.Have < s.at.Held {
			s.problem = oneLine(err)
			s.at = standing{Held: behind.Have, Since: s.at.Since}
			again = true
		}
	})
	s.tellDown(true)
	return again
}

// tellDown tells, once, that the sink is down, or that it is back.
func (s *sender) tellDown(down bool) {
	s.mu.Lock()
	news := down != s.down && (!down || s.fails >= downAfter)
	if news {
		s.down = down
	}
	s.mu.Unlock()
	if news && s.told != nil {
		s.told(s.held())
	}
}

func (s *sender) sent(box *outbox, d Delivery) {
	n := len(d.Entries)
	s.update(func() {
		if n > 0 {
			s.at.Held, s.at.Hash = d.Last, d.Entries[n-1].Hash()
		}
		s.at.Checkpoint = max(s.at.Checkpoint, d.Size)
		s.at.Since = time.Now().UTC()
		s.lastErr, s.fails, s.retry = "", 0, time.Time{}
	})
	for _, e := range d.Entries {
		box.bytes -= len(e.Line()) + 1
	}
	box.lines = append([]journal.Entry(nil), box.lines[n:]...)
	box.since = time.Now()
	s.mu.Lock()
	at := s.at
	s.mu.Unlock()
	s.tellDown(false)
	if err := s.position.save(at); err != nil {
		// The sink has it. A resumed run will send it again, which changes nothing.
		s.update(func() { s.lastErr = oneLine(err) })
	}
}

// pause is the wait after a failure, half of it left to chance, so that desks which lost the same
// sink do not all come back at once. The lock is held.
func (s *sender) pause(err error) time.Duration {
	wait := s.timing.Longest
	if n := s.fails - 1; n < 20 && s.timing.Backoff<<n < wait {
		wait = s.timing.Backoff << n
	}
	wait = wait/2 + time.Duration(s.timing.Jitter()*float64(wait/2))
	var later *LaterError
	if errors.As(err, &later) {
		wait = max(wait, min(later.After, maxLater))
	}
	return wait
}

// maxLater bounds what a sink can ask for with Retry-After.
const maxLater = 10 * time.Minute
