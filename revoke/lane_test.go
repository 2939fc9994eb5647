package revoke

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type silent struct{ Provider }

func (silent) Info() Info { return Info{Concurrency: 1} }

// A place that is given to one who has just gone is given back.
func TestLaneGivesBackPlaces(t *testing.T) {
	for _, s := range []stage{mutating, looking, proving} {
		synctest.Test(t, func(t *testing.T) {
			l := newLane(silent{}, Wall{}, nil)
			errGone := errors.New("gone")
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := l.enter(ctx, priority{stage: s}, time.Minute)
				ended <- err
			}()
			synctest.Wait()
			l.mu.Lock()
			l.dispatch(t.Context())
			cancel(errGone)
			l.mu.Unlock()
			if err := <-ended; !errors.Is(err, errGone) {
				t.Errorf("enter = %v", err)
			}
			if l.free != 1 || l.proofs != 0 || len(l.waiting[s]) != 0 {
				t.Errorf("%d places free, %d taken by proofs, %d wait", l.free, l.proofs, len(l.waiting[s]))
			}
		})
	}
}
