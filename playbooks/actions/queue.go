package actions

import (
	"context"
	"sync"

	"clawback/revoke/credential"
)

// queue carries credentials from the search to the sweep, so that the first find is revoked while
// the search goes on and neither holds up the other.
type queue struct {
	mu     sync.Mutex
	items  []credential.Credential
	closed bool
	wake   chan struct{} // capacity 1
}

func (q *queue) init() { q.wake = make(chan struct{}, 1) }

func (q *queue) put(c credential.Credential) {
	q.mu.Lock()
	q.items = append(q.items, c)
	q.mu.Unlock()
	q.signal()
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
	for {
		q.mu.Lock()
		items, closed := q.items, q.closed
		q.items = nil
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
