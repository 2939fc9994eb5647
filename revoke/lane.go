package revoke

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"clawback/revoke/credential"
)

// lane is the traffic with one provider: how much of it goes at once, and what goes first.
type lane struct {
	provider Provider
	info     Info
	clock    Clock

	mu     sync.Mutex
	free   int
	queue  waiters
	seq    int
	next   time.Time // of the next mutation
	paused time.Time // until when the provider asked to be left alone

	batched chan *batchItem
}

func newLane(p Provider, clock Clock) *lane {
	info := p.Info()
	if info.Concurrency == 0 {
		info.Concurrency = 4
	}
	return &lane{provider: p, info: info, clock: clock, free: info.Concurrency, batched: make(chan *batchItem)}
}

// priority orders what waits: mutations before probes, then the higher tier, then payment, then
// who came first.
type priority struct {
	mutation bool
	tier     int
	payment  bool
}

func (p priority) before(q priority) bool {
	switch {
	case p.mutation != q.mutation:
		return p.mutation
	case p.tier != q.tier:
		return p.tier > q.tier
	}
	return p.payment && !q.payment
}

// enter waits for a place in the lane. The caller must leave.
func (l *lane) enter(ctx context.Context, p priority) error {
	l.mu.Lock()
	if l.free > 0 && l.queue.Len() == 0 {
		l.free--
		l.mu.Unlock()
	} else {
		w := &waiter{priority: p, seq: l.seq, ready: make(chan struct{})}
		l.seq++
		heap.Push(&l.queue, w)
		l.mu.Unlock()
		select {
		case <-w.ready:
		case <-ctx.Done():
			l.abandon(w)
			return context.Cause(ctx)
		}
	}
	if err := l.pace(ctx, p.mutation); err != nil {
		l.leave()
		return err
	}
	return nil
}

// pace waits until the provider can be asked again.
func (l *lane) pace(ctx context.Context, mutation bool) error {
	for {
		l.mu.Lock()
		now := l.clock.Now()
		until := l.paused
		if mutation && l.next.After(until) {
			until = l.next
		}
		if !until.After(now) {
			if mutation {
				l.next = now.Add(l.info.Every)
			}
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		if err := l.clock.Sleep(ctx, until.Sub(now)); err != nil {
			return err
		}
	}
}

func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.Len() > 0 {
		close(heap.Pop(&l.queue).(*waiter).ready)
		return
	}
	l.free++
}

// abandon takes back a place that was waited for in vain.
func (l *lane) abandon(w *waiter) {
	l.mu.Lock()
	for i, other := range l.queue {
		if other == w {
			heap.Remove(&l.queue, i)
			l.mu.Unlock()
			return
		}
	}
	l.mu.Unlock()
	l.leave() // the place was given to us in the meantime
}

// pause leaves the provider alone for d.
func (l *lane) pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := l.clock.Now().Add(d); until.After(l.paused) {
		l.paused = until
	}
}

type waiter struct {
	priority
	seq   int
	ready chan struct{}
}

type waiters []*waiter

func (w waiters) Len() int { return len(w) }
func (w waiters) Less(i, j int) bool {
	if w[i].priority != w[j].priority {
		return w[i].before(w[j].priority)
	}
	return w[i].seq < w[j].seq
}
func (w waiters) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiters) Push(x any)   { *w = append(*w, x.(*waiter)) }
func (w *waiters) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	*w = (*w)[:last]
	return x
}

// batchItem is a credential that waits for the next batch.
type batchItem struct {
	c      credential.Credential
	result chan batchResult // capacity 1
}

type batchResult struct {
	receipt Receipt
	err     error
}

// linger is how long the first credential of a batch waits for company. Where a provider's limit
// counts requests, that is cheaper than a second request.
const linger = 250 * time.Millisecond

// batches sends batches until stop. What comes while one is under way goes into the next.
func (l *lane) batches(ctx context.Context, p Batcher, ledger Ledger, stop <-chan struct{}) {
	for {
		var batch []*batchItem
		select {
		case first := <-l.batched:
			batch = append(batch, first)
		case <-stop:
			return
		}
		batch = l.gather(ctx, batch)
		l.send(ctx, p, ledger, batch)
	}
}

func (l *lane) gather(ctx context.Context, batch []*batchItem) []*batchItem {
	lingering, cancel := context.WithCancel(ctx)
	full := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() { _ = l.clock.Sleep(lingering, linger); close(full) })
	for len(batch) < max(l.info.BatchMax, 1) {
		select {
		case item := <-l.batched:
			batch = append(batch, item)
		case <-full:
			return batch
		}
	}
	return batch
}

func (l *lane) send(ctx context.Context, p Batcher, ledger Ledger, batch []*batchItem) {
	cs := make([]credential.Credential, len(batch))
	top := priority{mutation: true, payment: l.info.Payment}
	for i, item := range batch {
		cs[i] = item.c
		top.tier = max(top.tier, item.c.Tier)
	}
	var r batchResult
	if r.err = l.enter(ctx, top); r.err == nil {
		if r.err = ledger.Intent(ctx, cs); r.err == nil {
			// From here on it is finished and recorded, whatever happens to the sweep.
			finish, cancel := withTimeout(context.WithoutCancel(ctx), l.clock, mutationTimeout)
			r.receipt, r.err = p.RevokeBatch(finish, cs)
			cancel()
		}
		l.leave()
	}
	for _, item := range batch {
		item.result <- r
	}
}

// timeoutError is the cause of a context that withTimeout ended.
type timeoutError struct{ d time.Duration }

func (e timeoutError) Error() string { return "no answer within " + e.d.String() }
func (timeoutError) Timeout() bool   { return true }

// withTimeout is context.WithTimeoutCause by clock. cancel waits for the goroutine that watches it.
func withTimeout(ctx context.Context, clock Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		if clock.Sleep(ctx, d) == nil {
			cancel(timeoutError{d})
		}
	})
	return ctx, func() { cancel(context.Canceled); watch.Wait() }
}
