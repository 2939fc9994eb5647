package plan

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/playbooks/actions"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// oracle is a provider that answers as a test says.
type oracle struct {
	info   revoke.Info
	answer func(ctx context.Context, asked int) revoke.Verdict

	mu            sync.Mutex
	asked         int
	under, atOnce int
}

func (o *oracle) Info() revoke.Info { return o.info }
func (o *oracle) Inspect(context.Context, credential.Credential) (revoke.Exposure, error) {
	return revoke.Exposure{Account: "acme", Owner: "bot", Reach: []string{"repo"}}, nil
}
func (o *oracle) Revoke(context.Context, credential.Credential) (revoke.Receipt, error) {
	panic("a plan revokes")
}
func (o *oracle) Verify(ctx context.Context, _ credential.Credential) revoke.Verdict {
	o.mu.Lock()
	o.asked++
	o.under++
	o.atOnce = max(o.atOnce, o.under)
	asked := o.asked
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.under--
	}()
	return o.answer(ctx, asked)
}

// about is n finds of the oracle's, asked about.
func about(o *oracle, n int) []Seen {
	var finds []*find
	for i := range n {
		finds = append(finds, &find{Credential: credential.Credential{Provider: "oracle", Secret: credential.Value(fmt.Sprint("secret-", i))}})
	}
	into := make([]Credential, n)
	ask(context.Background(), map[string]revoke.Provider{"oracle": o}, finds, into)
	var all []Seen
	for _, c := range into {
		all = append(all, c.Seen)
	}
	return all
}

func count(all []Seen, outcome string) (n int) {
	for _, s := range all {
		if s.Outcome == outcome {
			n++
		}
	}
	return n
}

func TestAsk(t *testing.T) {
	refuse := func(context.Context, int) revoke.Verdict {
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "401 Bad credentials"}
	}
	alive := func(ctx context.Context, _ int) revoke.Verdict {
		_ = sleep(ctx, time.Second)
		return revoke.Verdict{Outcome: revoke.Alive}
	}
	hang := func(ctx context.Context, _ int) revoke.Verdict {
		<-ctx.Done()
		return revoke.Verdict{}
	}
	slow := func(ctx context.Context, _ int) revoke.Verdict {
		_ = sleep(ctx, askOne-time.Second)
		return revoke.Verdict{}
	}
	for name, c := range map[string]struct {
		info       revoke.Info
		answer     func(context.Context, int) revoke.Verdict
		n          int
		asked, max int // how many are asked about, and how many of them at once
		outcome    string
		why        string
		longest    time.Duration
	}{
		"alive":               {revoke.Info{}, alive, 20, 20, 4, "alive", "", 5 * time.Second},
		"its own concurrency": {revoke.Info{Concurrency: 2}, alive, 6, 6, 2, "alive", "", 3 * time.Second},
		"refusals counted":    {revoke.Info{RefusedAnHour: 54}, refuse, 20, 5, 1, "refused", "the proofs need that", 0},
		"few refusals":        {revoke.Info{RefusedAnHour: 3}, refuse, 20, 1, 1, "refused", "the proofs need that", 0},
		"not counted":         {revoke.Info{}, refuse, 20, 20, 4, "refused", "", 0},
		"asks to wait": {revoke.Info{Concurrency: 1}, func(_ context.Context, asked int) revoke.Verdict {
			v := revoke.Verdict{Answer: "429"}
			if asked == 3 {
				v.RetryAfter = time.Minute
			}
			return v
		}, 20, 3, 1, "inconclusive", "asked to be left alone", 0},
		"never answers": {revoke.Info{Concurrency: 4}, hang, 4, 4, 4, "inconclusive", "", askOne},
		"too many":      {revoke.Info{Concurrency: 1}, slow, 20, 7, 1, "inconclusive", "no time was left", askAll},
		"panics":        {revoke.Info{}, func(context.Context, int) revoke.Verdict { panic("secret-1") }, 3, 3, 4, "inconclusive", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &oracle{info: c.info, answer: c.answer}
				began := time.Now()
				all := about(o, c.n)
				if took := time.Since(began); took > c.longest {
					t.Errorf("it took %s, more than %s", took, c.longest)
				}
				if o.asked != c.asked || o.atOnce > c.max {
					t.Errorf("%d were asked about, %d at once; want %d and at most %d", o.asked, o.atOnce, c.asked, c.max)
				}
				if count(all, c.outcome) != c.asked || count(all, NotAsked) != c.n-c.asked {
					t.Errorf("%d %s, %d not asked; want %d and %d", count(all, c.outcome), c.outcome, count(all, NotAsked), c.asked, c.n-c.asked)
				}
				for _, s := range all {
					if s.Outcome == NotAsked && !strings.Contains(s.Answer, c.why) {
						t.Errorf("not asked since %q, want %q", s.Answer, c.why)
					}
					if s.Outcome == "alive" && (s.Account != "acme" || s.Owner != "bot" || len(s.Reach) != 1) {
						t.Errorf("it was not inspected: %+v", s)
					}
					if strings.Contains(s.Answer, "secret-") {
						t.Errorf("what was thrown is shown: %+v", s)
					}
				}
			})
		})
	}
}

// What is known without asking is not asked.
func TestAskNobody(t *testing.T) {
	o := &oracle{answer: func(context.Context, int) revoke.Verdict { t.Error("asked"); return revoke.Verdict{} }}
	finds := []*find{
		{Credential: credential.Credential{Provider: "oracle"}}, // no value
		{Credential: credential.Credential{Provider: "oracle", Secret: credential.Value("x")}},
		{Credential: credential.Credential{Provider: "nobody", Secret: credential.Value("x")}},
	}
	into := []Credential{{}, {Way: actions.WithGateway}, {Seen: Seen{Outcome: NotAsked}}}
	ask(t.Context(), map[string]revoke.Provider{"oracle": o}, finds, into)
	for i, c := range into {
		if c.Seen.Outcome != NotAsked {
			t.Errorf("%d: %+v", i, c.Seen)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
