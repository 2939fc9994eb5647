package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// FileName is the record's name in the folder of its incident.
const FileName = "journal.jsonl"

// TypeTrouble is the type of the entry that a journal writes about itself when the disk fails.
const TypeTrouble = "journal.trouble"

// Trouble is the data of TypeTrouble.
type Trouble struct {
	Error string `json:"error"`
}

// ErrNotDurable means that an entry is not on disk. It is still shown to readers in this process,
// and is written with the next commit that succeeds.
var ErrNotDurable = errors.New("the record is not on disk")

// maxHeld bounds what a journal holds in memory while the disk refuses it.
const maxHeld = 64 << 20

// Journal is the one writer of a record. Its methods may be called from several goroutines at once.
type Journal struct {
	now      func() time.Time
	file     file
	payloads payloads
	lock     *os.File
	most     int // bytes that wait for the disk

	mu      sync.Mutex
	last    Entry         // newest, written or not
	size    int64         // bytes on disk that are known to be durable
	whole   int64         // bytes on disk up to the end of the last whole line, durable or not
	held    []byte        // lines after them, in order
	large   []*large      // the payloads of those lines
	failure error         // why held is not on disk, once a commit has failed
	waiting []waiter      // for a commit
	wake    chan struct{} // capacity 1: there is something to commit
	changed chan struct{} // closed and replaced whenever readers have something new
	closed  bool

	done chan struct{} // the committer has ended
}

// large is a payload that waits for the disk.
type large struct {
	Payload
	b     []byte
	at    int64 // where its line begins in the record
	saved bool  // for the committer alone
}

// waiter waits until the record is durable up to a line's end.
type waiter struct {
	end  int64
	done chan<- error
}

// file is what the journal needs of its file; tests put a failing one in its place.
type file interface {
	WriteAt(b []byte, off int64) (int, error)
	ReadAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
}

// InMemory starts a record that is kept nowhere, for what changes nothing.
func InMemory(now func() time.Time) *Journal { return start(&memory{}, &payloadMemory{}, nil, now) }

// Refused starts a record that no disk would take, because of why. All of its entries are shown
// and none is durable.
func Refused(why error, now func() time.Time) *Journal {
	return start(refusing{why}, refusing{why}, nil, now)
}

func start(f file, p payloads, lock *os.File, now func() time.Time) *Journal {
	return proceed(&Journal{now: now, file: f, payloads: p, lock: lock})
}

// proceed starts the committer of a journal that knows where its record ends.
func proceed(j *Journal) *Journal {
	j.most, j.whole = maxHeld, j.size
	j.wake, j.changed, j.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go j.commit()
	return j
}

// Append writes an entry and returns once it is on disk. Entries that are appended at the same
// time share one fsync. With ErrNotDurable the entry stands in the record, but not on disk yet.
// Nothing is written when ctx is done already; when it ends later, the entry is on its way.
func (j *Journal) Append(ctx context.Context, typ string, data any) error {
	if ctx.Err() != nil {
		return fmt.Errorf("append %s: %w", typ, context.Cause(ctx))
	}
	committed := make(chan error, 1)
	if err := j.add(typ, data, committed); err != nil {
		return err
	}
	select {
	case err := <-committed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("append %s: %w", typ, context.Cause(ctx))
	}
}

// Note writes an entry in order, on disk with the next commit, and does not wait for it.
func (j *Journal) Note(typ string, data any) error { return j.add(typ, data, nil) }

// Length returns how many entries were added so far, written or not.
func (j *Journal) Length() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last.Seq
}

func (j *Journal) add(typ string, data any, committed chan error) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("entry %s: %w", typ, err)
	}
	raw = Visible(raw)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("entry %s: the record is closed", typ)
	}
	if err := j.addLocked(typ, raw); err != nil {
		return err
	}
	if committed != nil {
		j.waiting = append(j.waiting, waiter{j.size + int64(len(j.held)), committed})
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return nil
}

func (j *Journal) addLocked(typ string, raw json.RawMessage) error {
	now := j.now().UTC().Round(0)
	if now.Before(j.last.Time) {
		now = j.last.Time
	}
	e := Entry{V: Version, Seq: j.last.Seq + 1, Time: now, Type: typ, Data: raw}
	if j.last.Seq > 0 {
		e.Prev = j.last.Hash()
	}
	line, payload, err := e.write()
	if err == nil {
		e, err = Parse(line) // what cannot be read must not be written
	}
	waits := len(j.held)
	for _, l := range j.large {
		waits += len(l.b)
	}
	switch {
	case err != nil:
		return fmt.Errorf("entry %s: %w", typ, err)
	case waits+len(line)+len(payload) > j.most:
		return fmt.Errorf("entry %s: %w: %d bytes wait for the disk already", typ, ErrNotDurable, waits)
	}
	if e.Payload != nil {
		j.large = append(j.large, &large{Payload: *e.Payload, b: payload, at: j.size + int64(len(j.held))})
	}
	j.last = e
	j.held = append(append(j.held, line...), '\n')
	return nil
}

// commit is the goroutine that writes: all that is held goes to disk with one write and one fsync.
func (j *Journal) commit() {
	defer func() {
		close(j.done)
		j.mu.Lock()
		close(j.changed) // for those who wait for more
		j.mu.Unlock()
	}()
	for range j.wake {
		j.commitHeld()
		j.mu.Lock()
		over := j.closed
		j.mu.Unlock()
		if over {
			j.commitHeld() // what came between that commit and the end
			return
		}
	}
}

func (j *Journal) commitHeld() {
	j.mu.Lock()
	batch, at, payloads := j.held[:len(j.held):len(j.held)], j.size, slices.Clone(j.large)
	j.mu.Unlock()

	whole, durable, err := j.write(batch, at, payloads)

	j.mu.Lock()
	defer j.mu.Unlock()
	j.whole = max(j.whole, at+int64(whole)) // an earlier try may have come further, with the same lines
	j.size += int64(durable)
	j.held = append([]byte(nil), j.held[durable:]...)
	j.large = slices.DeleteFunc(j.large, func(l *large) bool { return l.at < j.size })
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotDurable, err)
		if j.failure == nil {
			raw, _ := json.Marshal(Trouble{Error: err.Error()})
			_ = j.addLocked(TypeTrouble, raw)
		}
	}
	j.failure = err
	close(j.changed)
	j.changed = make(chan struct{})
	j.waiting = slices.DeleteFunc(j.waiting, func(w waiter) bool { return j.tell(w, at+int64(len(batch)), err) })
}

// tell tells a waiter how the commit up to tried went, if its line was among them.
func (j *Journal) tell(w waiter, tried int64, err error) bool {
	switch {
	case w.end <= j.size:
		w.done <- nil
	case w.end <= tried:
		w.done <- err
	default:
		return false // the next commit is theirs
	}
	return true
}

// write returns how many bytes of whole lines are in the file, and how many of them are durable,
// with an error unless all are. A payload that cannot be saved holds up its line and those after it.
func (j *Journal) write(batch []byte, at int64, payloads []*large) (whole, durable int, err error) {
	var unsaved error
	for _, l := range payloads {
		if l.saved {
			continue
		}
		if err := j.payloads.save(l.Payload, l.b); err != nil {
			unsaved = fmt.Errorf("%s: %w", l.name(), err)
			batch = batch[:l.at-at]
			break
		}
		l.saved = true
	}
	if len(batch) == 0 {
		return 0, 0, unsaved
	}
	// Always at the durable end: what a failed write left behind is overwritten by the same.
	if n, err := j.file.WriteAt(batch, at); err != nil {
		return bytes.LastIndexByte(batch[:n], '\n') + 1, 0, err
	}
	if err := j.file.Sync(); err != nil {
		return len(batch), 0, err
	}
	return len(batch), len(batch), unsaved
}

// load finds a payload while it waits for the disk, and after.
func (j *Journal) load(p Payload) ([]byte, error) {
	j.mu.Lock()
	for _, l := range j.large {
		if l.Payload == p {
			defer j.mu.Unlock()
			return bytes.Clone(l.b), nil
		}
	}
	j.mu.Unlock()
	return j.payloads.load(p)
}

// Close commits what is held and ends the record. It returns ErrNotDurable when the last
// entries never reached the disk.
func (j *Journal) Close() error {
	j.mu.Lock()
	first := !j.closed
	j.closed = true
	select {
	case j.wake <- struct{}{}:
	default:
	}
	j.mu.Unlock()
	<-j.done
	if !first {
		return j.failure
	}
	if j.failure != nil {
		_ = j.file.Truncate(j.whole) // no torn line behind the last whole one
	}
	// The file itself stays open: readers may still be behind. It goes with the last of them.
	if j.lock != nil {
		_ = j.lock.Close()
	}
	return j.failure
}

// refusing is the file of a record that has no place on disk.
type refusing struct{ why error }

func (r refusing) WriteAt([]byte, int64) (int, error) { return 0, r.why }
func (r refusing) ReadAt([]byte, int64) (int, error)  { return 0, r.why }
func (refusing) Truncate(int64) error                 { return nil }
func (refusing) Sync() error                          { return nil }
func (r refusing) save(Payload, []byte) error         { return r.why }
func (r refusing) load(Payload) ([]byte, error)       { return nil, r.why }

// memory is the file of a record that is kept nowhere. The journal writes at its end alone.
type memory struct {
	mu sync.RWMutex
	b  []byte
}

func (m *memory) WriteAt(b []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.b = append(m.b[:off], b...)
	return len(b), nil
}

func (m *memory) ReadAt(b []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return copy(b, m.b[off:]), nil
}
func (*memory) Truncate(int64) error { return nil }
func (*memory) Sync() error          { return nil }
