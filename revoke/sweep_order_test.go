package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

func revocations(log []string) (out []string) {
	for _, l := range log {
		if name, ok := strings.CutPrefix(l, "revoke "); ok {
			out = append(out, name)
		}
	}
	return out
}

// The higher tier first, then what moves money, then who came first.
func TestSweepPriorities(t *testing.T) {
	kinds := []revoke.KindInfo{{Kind: "plain", Propagation: prompt}, {Kind: "money", Payment: true, Propagation: prompt}}
	arrivals := []credential.Credential{
		cred("first", "plain", 1), // nobody else waits when it comes
		cred("2 plain", "plain", 2), cred("3 plain", "plain", 3), cred("2 money", "money", 2),
		cred("4 plain", "plain", 4), cred("3 money", "money", 3), cred("1 plain", "plain", 1), cred("3 plain too", "plain", 3),
	}
	want := []string{"4 plain", "3 money", "3 plain", "3 plain too", "2 money", "2 plain", "first", "1 plain"}
	for name, every := range map[string]time.Duration{"by places": 0, "by pace": 2 * time.Second} {
		inBubble(t, name, func(t *testing.T) {
			p := newStub(kinds...)
			p.info.Concurrency, p.info.Every, p.took = 1, every, 100*time.Millisecond
			s := startStub(p, nil)
			for _, c := range arrivals {
				s.found <- c
				synctest.Wait() // in this order
			}
			s.finish()
			if got := revocations(p.said()); !slices.Equal(got, want) {
				t.Errorf("revoked in the order %q, want %q", got, want)
			}
			if n := s.ledger.count(credential.Dead, arrivals); n != len(arrivals) {
				t.Errorf("%d of %d are dead", n, len(arrivals))
			}
		})
	}
}

// Probes that wait leave a place to revocations, even where none of them is answered.
func TestSweepProbesDoNotStarveRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		p.verify = func(ctx context.Context, c credential.Credential) revoke.Verdict {
			if p.verdict(c).Outcome == revoke.Refused {
				<-ctx.Done() // of the dead, it says nothing
			}
			return revoke.Verdict{Outcome: revoke.Alive, Answer: "200"}
		}
		s := startStub(p, nil)
		for i := range 40 {
			s.found <- cred(fmt.Sprint("early ", i), "kind", 4)
		}
		time.Sleep(time.Minute)
		late := cred("late", "kind", 1)
		s.found <- late
		synctest.Wait()
		if n := len(s.ledger.of(late, "receipt")); n != 1 {
			t.Error("it was not revoked at once")
		}
		s.cancel(errDeadline)
		<-s.ended
	})
}

// The provider's pace is kept between mutations, and holds up no probe.
func TestSweepPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		p.info.Every = 30 * time.Second
		s := startStub(p, nil)
		var cs []credential.Credential
		for i := range 5 {
			cs = append(cs, cred(fmt.Sprint(i), "kind", 3))
			s.found <- cs[i]
			synctest.Wait() // in this order
		}
		s.finish()
		var last time.Time
		for i, l := range p.said() {
			if !strings.HasPrefix(l, "revoke") {
				continue
			}
			if d := p.at[i].Sub(last); d < 30*time.Second {
				t.Errorf("two revocations within %v", d)
			}
			last = p.at[i]
		}
		for i, c := range cs {
			life := s.ledger.of(c, "life")
			if died := life[0].at.Sub(p.at[0]); died != time.Duration(i)*30*time.Second+10*time.Second {
				t.Errorf("%s died after %v", c, died)
			}
		}
	})
}

func bulkRequests(calls []fake.Call) (out []fake.Call) {
	for _, c := range calls {
		if c.Action == "credentials/revoke" {
			out = append(out, c)
		}
	}
	return out
}

func TestSweepBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		early := w.hold("github.pat", 1500)
		found := make(chan credential.Credential)
		ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Second, errDeadline)
		defer cancel()
		began := time.Now()
		go func() {
			for _, c := range early {
				found <- c
			}
			time.Sleep(10*time.Second - time.Since(began))
			for _, c := range w.hold("github.oauth", 3) {
				found <- c
			}
			close(found)
		}()
		w.sweep.Run(ctx, found)
		bulk := bulkRequests(w.calls())
		var sizes []int
		for _, c := range bulk {
			sizes = append(sizes, len(strings.Fields(c.Credential)))
		}
		if !slices.Equal(sizes, []int{1000, 500, 3}) {
			t.Errorf("batches of %v", sizes)
		}
		if first, second := bulk[0].At.Sub(began), bulk[1].At.Sub(began); first > 100*time.Millisecond || second > 3*time.Second {
			t.Errorf("a full batch went after %v, the next one after %v", first, second)
		}
		for _, c := range w.held {
			if w.github.Alive(c) || len(w.ledger.of(c, "receipt")) != 1 {
				t.Fatalf("%s: alive=%v, entries %+v", c, w.github.Alive(c), w.ledger.of(c))
			}
		}
		w.client.CloseIdleConnections()
		_ = w.net.Close()
	})
}

// Who is most urgent goes with the first batch, whenever it came.
func TestSweepBatchPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &batchStub{stub: newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})}
		p.info.BatchMax, p.info.Every = 3, 2*time.Second
		s := startStub(p, nil)
		s.found <- cred("alone", "kind", 1)
		time.Sleep(time.Second) // its batch is gone: the next one waits for the pace
		for i, tier := range []int{1, 1, 2, 4, 3, 2} {
			s.found <- cred(fmt.Sprintf("%d of tier %d", i, tier), "kind", tier)
			synctest.Wait()
		}
		s.finish()
		if !slices.Equal(p.batches, []int{1, 3, 3}) {
			t.Errorf("batches of %v", p.batches)
		}
		if got := revocations(p.said())[1:4]; !slices.Equal(got, []string{"3 of tier 4", "4 of tier 3", "2 of tier 2"}) {
			t.Errorf("the second batch was %q", got)
		}
	})
}

// A batch is as urgent as the most urgent of its members, and has no privilege beside.
func TestSweepBatchAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &batchStub{stub: newStub(
			revoke.KindInfo{Kind: "kind", Propagation: prompt}, revoke.KindInfo{Kind: "alone", Propagation: prompt})}
		p.info.BatchMax, p.info.Every = 2, 5*time.Second
		s := startStub(p, nil)
		for _, c := range []credential.Credential{
			cred("first", "alone", 1), cred("b1", "kind", 1), cred("b3", "kind", 3), cred("a4", "alone", 4), cred("a2", "alone", 2),
		} {
			s.found <- c
			synctest.Wait()
		}
		s.finish()
		if got := revocations(p.said()); !slices.Equal(got, []string{"first", "a4", "b3", "b1", "a2"}) {
			t.Errorf("revoked in the order %q", got)
		}
	})
}

func TestSweepFailingBatch(t *testing.T) {
	no := errors.New("422 no")
	limited := &revoke.RetryError{After: time.Minute, Answer: "403 limited"}
	for name, k := range map[string]struct {
		fail    func(n int) error
		life    credential.Life
		why     error
		batches int
	}{
		"refused":          {func(int) error { return no }, credential.Failed, no, 1},
		"limited, then ok": {func(n int) error { return pick(n == 0, error(limited)) }, credential.Dead, nil, 2},
		"uncertain, then ok": {func(n int) error { return pick(n == 0, fmt.Errorf("%w: EOF", revoke.ErrUncertain)) },
			credential.Dead, nil, 2},
		"limited for ever": {func(int) error { return limited }, credential.Failed, limited, 6},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := &batchStub{stub: newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt}), fail: k.fail}
			p.info.BatchMax = 10
			s := startStub(p, nil)
			var cs []credential.Credential
			for i := range 5 {
				cs = append(cs, cred(fmt.Sprint(i), "kind", 3))
				s.found <- cs[i]
			}
			s.finish()
			for _, c := range cs {
				s.ledger.want(t, c, k.life, k.why)
			}
			if len(p.batches) != k.batches || slices.ContainsFunc(p.batches, func(n int) bool { return n != 5 }) {
				t.Errorf("batches of %v, want %d", p.batches, k.batches)
			}
		})
	}
}

func pick(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// GitHub counts each refused probe against the hour's 60 requests. All tokens are revoked, as many
// are proved as that allows, the rest is called unverified, and the limit is never hit.
func TestSweepCountedRefusals(t *testing.T) {
	for name, k := range map[string]struct{ live, stale, dead int }{
		"few":        {10, 0, 10},
		"many":       {100, 0, 18},
		"many stale": {5, 200, 0},
	} {
		inBubble(t, name, func(t *testing.T) {
			w := newWorld(t)
			w.github.SetCountRefusals(true)
			stale := w.hold("github.pat", k.stale)
			for _, c := range stale {
				w.github.RevokeByHand(c)
			}
			live := w.hold("github.pat", k.live)
			var limited atomic.Int64
			w.net.Handle("api.github.com", counting{w.github, &limited})
			began := time.Now()
			w.run(time.Hour)
			if n := limited.Load(); n > 0 {
				t.Errorf("%d requests ran into the limit", n)
			}
			if took := time.Since(began); took > 4*time.Minute {
				t.Errorf("took %v to say what can be said", took)
			}
			for _, c := range live {
				if r := w.ledger.of(c, "receipt"); w.github.Alive(c) || len(r) != 1 || r[0].at.Sub(began) > 5*time.Second {
					t.Fatalf("%s was not revoked at once: %+v", c, r)
				}
			}
			dead := w.ledger.count(credential.Dead, w.held)
			if k.dead > 0 && dead != k.dead || dead < min(10, k.dead) {
				t.Errorf("%d are proved dead, want %d", dead, k.dead)
			}
			if n := w.ledger.count(credential.Unverified, w.held); n+dead != len(w.held) {
				t.Errorf("%d dead and %d unverified of %d", dead, n, len(w.held))
			}
			if k.dead == 0 && dead < 10 {
				t.Errorf("only %d are proved: the looks before the revocations took too much", dead)
			}
		})
	}
}

// counting counts what is answered with a rate limit.
type counting struct {
	next    http.Handler
	limited *atomic.Int64
}

func (c counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.next.ServeHTTP(watched{w, c.limited}, r)
}

type watched struct {
	http.ResponseWriter
	limited *atomic.Int64
}

func (w watched) WriteHeader(status int) {
	if status == http.StatusForbidden || status == http.StatusTooManyRequests {
		w.limited.Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}

// The allowance comes back after its hour.
func TestSweepAllowanceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
		p.info.RefusedAnHour = 3
		s := startStub(p, func(s *revoke.Sweep, _ *ledger) { s.Attended = true })
		a, b := cred("a", "kind", 3), cred("b", "kind", 3)
		s.found <- a
		s.found <- b
		time.Sleep(10 * time.Minute)
		if n := s.ledger.count(credential.Dead, []credential.Credential{a, b}); n != 1 {
			t.Errorf("%d are proved, want the one that the allowance allows", n)
		}
		if s.ledger.last(a).Life == credential.Dead {
			a, b = b, a
		}
		s.ledger.want(t, a, credential.Unverified, revoke.ErrInconclusive)
		time.Sleep(time.Hour)
		s.tell(t, a, revoke.Retry)
		s.finish()
		s.ledger.want(t, a, credential.Dead, nil)
	})
}

// Where the allowance is scarce, what was seen alive is proved before what may be planted, and the
// provider is never asked more than it allows. Where it is not, nobody waits for anybody.
func TestSweepAllowanceGoesToWhatLived(t *testing.T) {
	for name, k := range map[string]struct {
		limit, planted, living int
		dead                   int // of the planted
	}{
		"for them alone":          {12, 3, 2, 0},
		"for one of the others":   {15, 3, 2, 1},
		"for all":                 {60, 3, 2, 3},
		"with nothing seen alive": {12, 3, 0, 3},
	} {
		inBubble(t, name, func(t *testing.T) {
			p := newStub(revoke.KindInfo{Kind: "kind", Propagation: prompt})
			p.info.Concurrency, p.info.RefusedAnHour = 1, k.limit // one look at a time: each holds what it may use
			refusals := 0
			p.verify = func(_ context.Context, c credential.Credential) revoke.Verdict {
				v := p.verdict(c)
				if v.Outcome == revoke.Refused {
					p.mu.Lock()
					refusals++
					p.mu.Unlock()
				}
				return v
			}
			s := startStub(p, nil)
			var planted, living []credential.Credential
			for i := range k.planted {
				c := cred(fmt.Sprintf("planted %d", i), "kind", 3)
				p.kill(c)
				planted = append(planted, c)
				s.found <- c
			}
			time.Sleep(time.Second) // their proofs hold what there is
			for i := range k.living {
				c := cred(fmt.Sprintf("living %d", i), "kind", 3)
				living = append(living, c)
				s.found <- c
			}
			s.finish()
			for _, c := range living {
				s.ledger.want(t, c, credential.Dead, nil)
			}
			if n := s.ledger.count(credential.Dead, planted); n != k.dead {
				t.Errorf("%d of the planted are proved, want %d", n, k.dead)
			}
			if refusals > k.limit {
				t.Errorf("refused %d times, and %d are allowed", refusals, k.limit)
			}
		})
	}
}
