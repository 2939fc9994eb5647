package revoke

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWallSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		if err := (Wall{}).Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("Sleep = %v after %v", err, time.Since(start))
		}
		if err := (Wall{}).Sleep(t.Context(), time.Second); err != nil {
			t.Errorf("Sleep = %v", err)
		}
	})
}
