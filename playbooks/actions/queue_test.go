package actions

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
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

// Finds are taken in in their order, together where they came together. A fault in taking one in
// fails who searches, once, and holds up nobody.
func TestIntake(t *testing.T) {
	var got []int
	taken, release := make(chan struct{}, 1), make(chan struct{})
	batches := 0
	in := newIntake(func(batch []discover.Found) {
		batches++
		for _, f := range batch {
			got = append(got, f.Source.Line)
		}
		if batches == 1 {
			taken <- struct{}{}
			<-release
		}
	})
	for i := range 100 {
		in.put(discover.Found{Source: credential.Source{Line: i}})
		if i == 0 {
			<-taken
		}
	}
	close(release)
	in.end()
	in.end()
	if len(got) != 100 || !slices.IsSorted(got) || batches != 2 {
		t.Errorf("%d finds in %d batches, in order: %v", len(got), batches, slices.IsSorted(got))
	}

	broken := newIntake(func([]discover.Found) { panic("a fault") })
	for range 3 * mostFinds {
		broken.put(discover.Found{})
	}
	panics := func() (p bool) {
		defer func() { p = recover() != nil }()
		broken.end()
		return false
	}
	if !panics() || panics() {
		t.Error("the fault is not said once")
	}
}
