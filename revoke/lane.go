package revoke

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"clawback/revoke/credential"
)

// lane is the traffic with one provider: how much of it goes at once, how fast, and what goes
// first. Whoever wants to send something waits in it; keep lets them go.
type lane struct {
	provider Provider
	info     Info
	clock    Clock
	ledger   Ledger

	mu       sync.Mutex
	free     int // places
	proofs   int // places that probes of proofs hold
	seen     int // of these, for what was seen alive
	waiting  [3]waiters
	gives    time.Time // when the first of them gives up; zero where none does
	seq      int
	batch    []*batchItem // what waits for the next batch
	batchTop priority
	next     time.Time // of the next mutation, by the provider's pace
	paused   time.Time // until when the provider asked to be left alone
	unasked  time.Time // until when it asked not to be probed
	changed  context.CancelFunc
	refusals allowance
	ahead    int  // credentials whose revocation is still to come
	last     bool // no further credential comes

	work sync.WaitGroup // batches under way
}

func newLane(p Provider, clock Clock, ledger Ledger) *lane {
	info := p.Info()
	if info.Concurrency == 0 {
		info.Concurrency = 4
	}
	return &lane{
		provider: p, info: info, clock: clock, ledger: ledger, free: info.Concurrency,
		refusals: allowance{limit: info.RefusedAnHour},
	}
}

// stage is what a request is for.
type stage int

const (
	mutating stage = iota
	looking        // before the mutation, which waits for it
	proving
)

// priority orders what waits. What has to be revoked comes before what has to be proved; then the
// higher tier, then what moves money, what mints others, what was seen alive; then a mutation; then who came first.
type priority struct {
	stage   stage
	tier    int
	payment bool
	mints   bool
	seen    bool // alive
}

func (p priority) before(q priority) bool {
	switch {
	case (p.stage == proving) != (q.stage == proving):
		return q.stage == proving
	case p.tier != q.tier:
		return p.tier > q.tier
	case p.payment != q.payment:
		return p.payment
	case p.mints != q.mints:
		return p.mints
	case p.seen != q.seen:
		return p.seen
	}
	return p.stage < q.stage
}

// enter waits for a place in the lane, for patience at most. The caller leaves it again.
func (l *lane) enter(ctx context.Context, p priority, patience time.Duration) (leave func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return l.await(ctx, p, max(patience, 1), func() {})
}

// change is enter for who has a place already, and leaves it: only once it waits for the other one, so
// that nobody who is less urgent goes in between. It waits as long as ctx lasts.
func (l *lane) change(ctx context.Context, p priority, left func()) (leave func(), err error) {
	if ctx.Err() != nil {
		left()
		return nil, context.Cause(ctx)
	}
	return l.await(ctx, p, 0, left)
}

// await has no timer of its own, which ten thousand that wait would multiply: keep watches the clock.
func (l *lane) await(ctx context.Context, p priority, patience time.Duration, left func()) (leave func(), err error) {
	w := &waiter{priority: p, ready: make(chan struct{})}
	l.mu.Lock()
	l.seq++
	w.seq = l.seq
	if patience > 0 {
		w.until = l.clock.Now().Add(patience)
		l.gives = sooner(l.gives, w.until)
	}
	heap.Push(&l.waiting[p.stage], w)
	l.wake()
	l.mu.Unlock()
	left()
	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	leave = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.vacate(p)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.index >= 0:
		heap.Remove(&l.waiting[p.stage], w.index)
	case w.late:
		return nil, timeoutError{patience}
	case ctx.Err() == nil:
		return leave, nil
	default:
		l.vacate(p) // given to us at the last moment
	}
	return nil, context.Cause(ctx)
}

// giveUp sends away those who have waited for as long as they have patience.
func (l *lane) giveUp(now time.Time) {
	if l.gives.IsZero() || l.gives.After(now) {
		return
	}
	l.gives = time.Time{}
	for s := range l.waiting {
		kept := l.waiting[s][:0]
		for _, w := range l.waiting[s] {
			if w.until.IsZero() || w.until.After(now) {
				l.gives = sooner(l.gives, w.until)
				kept = append(kept, w)
				continue
			}
			w.index, w.late = -1, true
			close(w.ready)
		}
		clear(l.waiting[s][len(kept):])
		l.waiting[s] = kept
		for i, w := range kept {
			w.index = i
		}
		heap.Init(&l.waiting[s])
	}
}

func (l *lane) occupy(p priority) {
	l.free--
	switch p.stage {
	case mutating:
		l.next = l.clock.Now().Add(l.info.Every)
	case proving:
		l.count(p, 1)
	}
}

func (l *lane) vacate(p priority) {
	l.free++
	if p.stage == proving {
		l.count(p, -1)
	}
	l.wake()
}

// count keeps the books of the proofs under way.
func (l *lane) count(p priority, n int) {
	l.proofs += n
	if p.seen {
		l.seen += n
	}
}

// pause leaves the provider alone for d.
func (l *lane) pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = later(l.paused, l.clock.Now().Add(d))
	l.wake()
}

// pauseProbes asks the provider nothing for d. Revocations go on: its limit may be another one
// for them, and if not it says so.
func (l *lane) pauseProbes(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unasked = later(l.unasked, l.clock.Now().Add(d))
	l.wake()
}

// wake makes keep look again. The caller holds the lock.
func (l *lane) wake() {
	if l.changed != nil {
		l.changed()
	}
}

// keep lets go what may go until stop is done, and waits for the batches that it sent. A batch is
// begun only while ctx lasts.
func (l *lane) keep(ctx, stop context.Context) {
	defer l.work.Wait()
	for stop.Err() == nil {
		l.mu.Lock()
		idle := l.dispatch(ctx)
		sleeping, changed := context.WithCancel(stop)
		l.changed = changed
		l.mu.Unlock()
		if idle > 0 {
			_ = l.clock.Sleep(sleeping, idle)
		} else {
			<-sleeping.Done()
		}
		changed()
	}
}

// dispatch lets go what may go now, the most urgent first. It returns after how long more may go
// by the clock alone, and 0 where nothing would.
func (l *lane) dispatch(ctx context.Context) time.Duration {
	now := l.clock.Now()
	l.giveUp(now)
	for l.free > 0 {
		var first *waiter
		for s := range l.waiting {
			if w := l.ready(stage(s), now); w != nil && (first == nil || w.before(first.priority)) {
				first = w
			}
		}
		switch batch := ctx.Err() == nil && l.batchReady(now); {
		case batch && (first == nil || l.batchTop.before(first.priority)):
			l.occupy(priority{stage: mutating})
			items := l.takeBatch()
			l.work.Go(func() { l.send(ctx, items) })
		case first != nil:
			heap.Pop(&l.waiting[first.stage])
			l.occupy(first.priority)
			close(first.ready)
		default:
			return l.untilReady(now)
		}
	}
	return max(l.gives.Sub(now), 0) // unless somebody leaves
}

// ready returns the most urgent waiter of a stage, where one may go now. Proofs leave one place to
// revocations while some may come, since a provider that answers no probe would hold them up, and where
// refusals are scarce.
func (l *lane) ready(s stage, now time.Time) *waiter {
	if len(l.waiting[s]) == 0 || l.opens(s).After(now) {
		return nil
	}
	if s == proving && (l.ahead > 0 || !l.last || l.refusals.limit > 0) && l.proofs >= max(l.info.Concurrency-1, 1) {
		return nil
	}
	return l.waiting[s][0]
}

// opens is from when on the provider can be asked again.
func (l *lane) opens(s stage) time.Time {
	if s == mutating {
		return later(l.paused, l.next)
	}
	return later(l.paused, l.unasked)
}

// comes counts a credential whose revocation is to come, and passed one whose is not any more.
func (l *lane) comes() { l.mu.Lock(); defer l.mu.Unlock(); l.ahead++ }

func (l *lane) passed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead--
	l.wake()
}

// noMore says that no further credential comes.
func (l *lane) noMore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = true
	l.wake()
}

// crowded reports whether more proofs wait than there are places.
func (l *lane) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting[proving]) > l.info.Concurrency
}

func (l *lane) untilReady(now time.Time) time.Duration {
	until := l.gives
	then := func(at time.Time) {
		if at.After(now) {
			until = sooner(until, at)
		}
	}
	for s, w := range l.waiting {
		if len(w) > 0 {
			then(l.opens(stage(s)))
		}
	}
	if len(l.batch) > 0 {
		then(l.batchOpens())
	}
	return max(until.Sub(now), 0)
}

// mutate writes down the intent and then runs the mutation to its end, whatever becomes of the
// sweep. sent is false where the provider was not called.
func (l *lane) mutate(ctx context.Context, cs []credential.Credential, do func(context.Context) (Receipt, error)) (r Receipt, sent bool, err error) {
	if err := l.ledger.Intent(ctx, cs); err != nil {
		return r, false, fmt.Errorf("write down that it is about to be revoked: %w", err)
	}
	if ctx.Err() != nil {
		return r, false, context.Cause(ctx)
	}
	finish, cancel := withTimeout(context.WithoutCancel(ctx), l.clock, mutationTimeout)
	defer cancel()
	sent = true
	aside(func() {
		defer func() {
			if recover() != nil { // what is thrown may quote a secret
				err = ErrFault
			}
		}()
		r, err = do(finish)
	})
	if late := context.Cause(finish); err != nil && late != nil {
		err = fmt.Errorf("%w: %w", ErrUncertain, late)
	}
	return r, sent, err
}

type waiter struct {
	priority
	seq   int
	index int           // in its heap; negative once it waits no more
	ready chan struct{} // closed then
	until time.Time     // for how long it waits at most; zero for no bound
	late  bool          // it waited as long
}

// waiters is a heap of those who wait in one stage.
type waiters []*waiter

func (w waiters) Len() int { return len(w) }
func (w waiters) Less(i, j int) bool {
	if w[i].before(w[j].priority) || w[j].before(w[i].priority) {
		return w[i].before(w[j].priority)
	}
	return w[i].seq < w[j].seq
}
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}
func (w *waiters) Push(x any) {
	x.(*waiter).index = len(*w)
	*w = append(*w, x.(*waiter))
}
func (w *waiters) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	x.index = -1
	(*w)[last] = nil
	*w = (*w)[:last]
	return x
}

// timeoutError is the cause of a context that withTimeout ended.
type timeoutError struct{ d time.Duration }

func (e timeoutError) Error() string { return "no answer within " + e.d.String() }
func (timeoutError) Timeout() bool   { return true }

// withTimeout is context.WithTimeoutCause by clock.
func withTimeout(ctx context.Context, clock Clock, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := clock.AfterFunc(d, func() { cancel(timeoutError{d}) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sooner is the earlier time of two, of which a zero one is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
