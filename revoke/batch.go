package revoke

import (
	"context"
	"slices"
	"time"

	"clawback/revoke/credential"
)

// linger is how long the first credential of a batch waits for company. Where a provider's limit
// counts requests, that is cheaper than a second request.
const linger = 250 * time.Millisecond

// batchItem is a credential that waits for the next batch.
type batchItem struct {
	priority
	c      credential.Credential
	since  time.Time
	result chan batchResult // capacity 1
}

type batchResult struct {
	receipt Receipt
	sent    bool
	err     error
}

// join revokes c with the next batch. Until that is on its way, ctx takes c out of it.
func (l *lane) join(ctx context.Context, c credential.Credential, p priority) (Receipt, bool, error) {
	if ctx.Err() != nil {
		return Receipt{}, false, context.Cause(ctx)
	}
	item := &batchItem{priority: p, c: c, since: l.clock.Now(), result: make(chan batchResult, 1)}
	l.mu.Lock()
	if len(l.batch) == 0 || p.before(l.batchTop) {
		l.batchTop = p
	}
	l.batch = append(l.batch, item)
	l.wake()
	l.mu.Unlock()
	select {
	case r := <-item.result:
		return r.receipt, r.sent, r.err
	case <-ctx.Done():
	}
	if l.withdraw(item) {
		return Receipt{}, false, context.Cause(ctx)
	}
	r := <-item.result
	return r.receipt, r.sent, r.err
}

func (l *lane) withdraw(item *batchItem) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.batch, item)
	if i < 0 {
		return false
	}
	l.batch = slices.Delete(l.batch, i, i+1)
	return true
}

// batchOpens is when the next batch may go: a full one as soon as the provider's pace allows,
// another one when its first credential has waited for company.
func (l *lane) batchOpens() time.Time {
	if len(l.batch) >= max(l.info.BatchMax, 1) {
		return l.opens(mutating)
	}
	return later(l.opens(mutating), l.batch[0].since.Add(linger))
}

func (l *lane) batchReady(now time.Time) bool {
	return len(l.batch) > 0 && !l.batchOpens().After(now)
}

// takeBatch takes the most urgent of what waits. The rest goes with the next batch.
func (l *lane) takeBatch() []*batchItem {
	slices.SortStableFunc(l.batch, func(a, b *batchItem) int {
		switch {
		case a.before(b.priority):
			return -1
		case b.before(a.priority):
			return 1
		}
		return a.since.Compare(b.since)
	})
	n := min(len(l.batch), max(l.info.BatchMax, 1))
	items := slices.Clone(l.batch[:n])
	l.batch = slices.Delete(l.batch, 0, n)
	if len(l.batch) > 0 {
		l.batchTop = l.batch[0].priority
	}
	return items
}

// send sends one batch from the place that it holds. Its outcome is that of each of its members.
func (l *lane) send(ctx context.Context, items []*batchItem) {
	cs := make([]credential.Credential, len(items))
	for i, item := range items {
		cs[i] = item.c
	}
	var r batchResult
	r.receipt, r.sent, r.err = l.mutate(ctx, cs, func(ctx context.Context) (Receipt, error) {
		return l.provider.(Batcher).RevokeBatch(ctx, cs)
	})
	l.mu.Lock()
	l.vacate(priority{stage: mutating})
	l.mu.Unlock()
	for _, item := range items {
		item.result <- r
	}
}
