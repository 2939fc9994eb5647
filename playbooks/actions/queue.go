package actions

import (
	"context"
	"slices"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// queue carries credentials from the search to the sweep, so that the first find is revoked while
// the search goes on and neither holds up the other.
type queue struct {
	mu     sync.Mutex
	items  []credential.Credential
	closed bool
	over   bool          // nobody takes from it any more
	wake   chan struct{} // capacity 1
}

func (q *queue) init() { q.wake = make(chan struct{}, 1) }

// put reports whether somebody takes it, or will.
func (q *queue) put(c credential.Credential) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return false
	}
	q.items = append(q.items, c)
	q.signal()
	return true
}

// remove takes a credential out that nobody has taken yet.
func (q *queue) remove(f credential.Fingerprint) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.items)
	q.items = slices.DeleteFunc(q.items, func(c credential.Credential) bool { return c.Fingerprint == f })
	return len(q.items) < n
}

// end says that nobody takes from it any more.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
}

// close says that no further credential comes.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// waiting returns how many credentials nobody has taken yet.
func (q *queue) waiting() []credential.Credential {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]credential.Credential(nil), q.items...)
}

// drain hands everything to out until the queue is closed and empty, or ctx is done, and closes out.
func (q *queue) drain(ctx context.Context, out chan<- credential.Credential) {
	defer close(out)
	defer q.end()
	for {
		q.mu.Lock()
		items, closed := q.items, q.closed
		q.items, q.over = nil, closed && len(q.items) == 0
		q.mu.Unlock()
		for _, c := range items {
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
		}
		if closed && len(items) == 0 {
			return
		}
		if len(items) > 0 {
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return
		}
	}
}

// intake hands finds on in the order in which they come: all that came while the ones before were
// taken in, at once.
type intake struct {
	finds  chan discover.Found
	over   chan struct{}
	ended  sync.Once
	broken bool // taking them in panicked; valid when it is over
}

// mostFinds bounds what waits to be taken in; whoever finds more waits.
const mostFinds = 1000

func newIntake(take func([]discover.Found)) *intake {
	in := &intake{finds: make(chan discover.Found, mostFinds), over: make(chan struct{})}
	go func() {
		defer close(in.over)
		defer func() {
			if recover() != nil { // what is thrown may quote a secret
				in.broken = true
				for range in.finds { // so that nobody waits for ever
				}
			}
		}()
		for f := range in.finds {
			batch := []discover.Found{f}
			for range len(in.finds) {
				batch = append(batch, <-in.finds)
			}
			take(batch)
		}
	}()
	return in
}

func (in *intake) put(f discover.Found) { in.finds <- f }

// end returns when everything is taken in. Nothing may be put after it began. It panics, once, when
// taking something in did: that fails the step that it belongs to.
func (in *intake) end() {
	in.ended.Do(func() {
		close(in.finds)
		<-in.over
		if in.broken {
			panic("a find could not be taken in")
		}
	})
}
