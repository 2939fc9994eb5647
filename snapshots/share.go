package snapshots

import (
	"context"
	"fmt"
	"time"
)

// share is how much one target may take before the others had their turn: whoever may write to one
// place floods it so that the capture never comes to the next. What is beyond it is taken in the end.
type share struct {
	looked int   // of capture.looked
	bytes  int64 // of capture.bytesLeft
	until  time.Time
}

// shareOf is the part of what is left that a target may take, as 1 in shareOf: so none takes all.
const shareOf = 4

func (c *capture) shareNow() *share {
	return &share{
		looked: c.looked + (c.opts.MaxFiles-c.looked)/shareOf,
		bytes:  c.bytesLeft - c.bytesLeft/shareOf,
		until:  time.Now().Add(time.Until(c.until) / shareOf),
	}
}

// spent reports whether the target has had its share. Without a capture's bound there is nothing to share.
func (s *share) spent(c *capture) bool {
	return s != nil && (c.looked > s.looked || c.bytesLeft < s.bytes || time.Now().After(s.until))
}

func (c *capture) putOff(goOn func(context.Context) error) { c.rests = append(c.rests, goOn) }

// within takes one class of what is volatile in no more than its time, so that one that hangs or
// never ends leaves time for the next. What it did not come to is left out, and listed.
func within(ctx context.Context, class string, limit time.Duration, take func(context.Context) error) error {
	timed, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the %v for %s are up", limit, class))
	defer cancel()
	return take(timed)
}
