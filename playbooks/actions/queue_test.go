package actions

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
)

func named(p string) credential.Credential { return credential.Credential{Provider: p} }

// drained starts to drain a queue, and collects what comes.
func drained(ctx context.Context, q *queue) (got *[]string, over chan struct{}) {
	out := make(chan credential.Credential)
	got, over = new([]string), make(chan struct{})
	go q.drain(ctx, out)
	go func() {
		defer close(over)
		for c := range out {
			*got = append(*got, c.Provider)
		}
	}()
	return got, over
}

func TestQueueKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.init()
		q.put(named("a"))
		q.put(named("b"))
		if w := q.waiting(); len(w) != 2 || w[0].Provider != "a" {
			t.Errorf("waiting %v", w)
		}
		got, over := drained(t.Context(), &q)
		synctest.Wait()
		if !slices.Equal(*got, []string{"a", "b"}) || len(q.waiting()) != 0 {
			t.Errorf("got %v before the end of the search", *got)
		}
		q.put(named("c"))
		synctest.Wait()
		q.put(named("d"))
		q.put(named("e"))
		q.close()
		<-over
		if !slices.Equal(*got, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("got %v", *got)
		}
	})
}

func TestQueueThatIsClosedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.init()
		q.put(named("a"))
		q.close()
		q.close()
		got, over := drained(t.Context(), &q)
		<-over
		if !slices.Equal(*got, []string{"a"}) {
			t.Errorf("got %v", *got)
		}
	})
}

// Neither a search that never ends nor a sweep that takes nothing holds up the end.
func TestQueueEndsWithItsContext(t *testing.T) {
	for _, full := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var q queue
			q.init()
			if full {
				q.put(named("a"))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			q.drain(ctx, make(chan credential.Credential)) // that nobody reads
			if took := time.Since(began); took != time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}
