package revoke

import (
	"context"
	"time"
)

// Clock is the time that a sweep runs by.
type Clock interface {
	Now() time.Time
	// Sleep returns nil after d, or why ctx is done.
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc runs f after d, unless stop is called before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Wall is the real clock. Inside a testing/synctest bubble it is the bubble's.
type Wall struct{}

func (Wall) Now() time.Time { return time.Now() }

func (Wall) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (Wall) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}
