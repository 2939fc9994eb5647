package drill

import (
	"context"
	"time"
)

// Clock runs faster than the wall clock by a factor, from its start on. What waits, waits that
// much shorter.
type Clock struct {
	start time.Time
	speed float64
}

// NewClock returns a clock that starts now.
func NewClock(speed float64) *Clock { return &Clock{start: time.Now(), speed: speed} }

// Now returns the simulated time.
func (c *Clock) Now() time.Time {
	return c.start.Add(time.Duration(float64(time.Since(c.start)) * c.speed))
}

// Sleep waits for d of simulated time, or until ctx is done, and then returns its cause.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(time.Duration(float64(d) / c.speed))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// AfterFunc runs f after d of simulated time, unless stop is called before.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(time.Duration(float64(d)/c.speed), f).Stop
}
