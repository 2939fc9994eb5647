package discover

import (
	"sync/atomic"
	"time"
)

// watch tells for how long the call is under way that an operation waits for, if it does.
type watch struct{ since atomic.Int64 } // when the call began, in ns since 1970; 0 is none

func (w *watch) begin() { w.since.Store(time.Now().UnixNano()) }
func (w *watch) end()   { w.since.Store(0) }

// left is how much longer the call may take.
func (w *watch) left() time.Duration {
	since := w.since.Load()
	if since == 0 {
		return patience
	}
	return patience - time.Since(time.Unix(0, since))
}

// watched is a file whose reads are watched.
type watched struct {
	textFile
	watch *watch
}

func (w watched) ReadAt(p []byte, at int64) (int, error) {
	w.watch.begin()
	defer w.watch.end()
	return w.textFile.ReadAt(p, at)
}

// watching calls op and returns what it returns, or errSilent where one of the calls that it watches takes
// too long: a call into a file system that hangs cannot be ended. It stays behind, and what op still returns is
// given to late. What op does between the calls may take its time, on a machine that has much else to do.
func watching[T any](op func(*watch) (T, error), late func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers, gone, w := make(chan answer), make(chan struct{}), new(watch)
	go func() {
		value, err := op(w)
		select {
		case answers <- answer{value, err}:
		case <-gone:
			late(value)
		}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case a := <-answers:
			return a.value, a.err
		case <-timer.C:
			if left := w.left(); left > 0 {
				timer.Reset(left)
				continue
			}
			close(gone)
			var none T
			return none, errSilent
		}
	}
}

// patiently is watching for an op that is one call.
func patiently[T any](op func() (T, error), late func(T)) (T, error) {
	return watching(func(w *watch) (T, error) {
		w.begin()
		return op()
	}, late)
}
