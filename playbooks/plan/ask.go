package plan

import (
	"context"
	"errors"
	"sync"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/revoke"
)

// How long asking may take: one credential, and all of them.
const (
	askOne = 10 * time.Second
	askAll = time.Minute
)

// refusedShare is the part of what a provider takes in refusals an hour that a plan may use up:
// the proofs of a kill right after it need the rest.
const refusedShare = 10

// errNoAnswer is the cause of an exchange that took too long.
var errNoAnswer = errors.New("no answer in time")

// ask asks each provider what each of its credentials is, with nothing but its reads, all providers
// at once. into[i] is what becomes of finds[i].
func ask(ctx context.Context, providers map[string]revoke.Provider, finds []*find, into []Credential) {
	ctx, cancel := context.WithTimeoutCause(ctx, askAll, errNoAnswer)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for name, p := range providers {
		q := &inquiry{provider: p}
		if n := p.Info().RefusedAnHour; n > 0 {
			q.limit = max(1, n/refusedShare)
		}
		jobs := make(chan int)
		all.Go(func() {
			defer close(jobs)
			for i, f := range finds {
				if f.Provider == name {
					jobs <- i
				}
			}
		})
		for range q.atOnce() {
			all.Go(func() {
				for i := range jobs {
					into[i].Seen = q.look(ctx, finds[i], into[i].Way)
				}
			})
		}
	}
}

// inquiry is what one provider is asked.
type inquiry struct {
	provider revoke.Provider
	limit    int // refusals; 0 means none

	mu      sync.Mutex
	refused int
	stopped string // why it is asked no more
}

// atOnce is how many are asked about at once. Where refusals are counted it is one, so that no
// more of them come than are allowed.
func (q *inquiry) atOnce() int {
	info := q.provider.Info()
	switch {
	case info.RefusedAnHour > 0:
		return 1
	case info.Concurrency > 0:
		return info.Concurrency
	}
	return 4
}

// look asks whether a credential works and, if so, whose it is.
func (q *inquiry) look(ctx context.Context, f *find, way string) Seen {
	switch why := q.closed(); {
	case f.Secret.Empty():
		return Seen{Outcome: NotAsked, Answer: "its value is not known"}
	case way == actions.WithGateway:
		return Seen{Outcome: NotAsked}
	case why != "":
		return Seen{Outcome: NotAsked, Answer: why}
	case ctx.Err() != nil:
		return Seen{Outcome: NotAsked, Answer: "no time was left"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askOne, errNoAnswer)
	defer cancel()
	v := q.verify(ctx, f)
	q.count(v)
	seen := Seen{Outcome: v.Outcome.String(), Answer: incident.Cut(text(v.Answer), maxAnswer)}
	if v.Outcome == revoke.Alive {
		x := q.inspect(ctx, f)
		seen.Account, seen.Owner = incident.Cut(text(x.Account), maxAnswer), incident.Cut(text(x.Owner), maxAnswer)
		for _, reach := range x.Reach[:min(len(x.Reach), maxReach)] {
			seen.Reach = append(seen.Reach, incident.Cut(text(reach), maxAnswer))
		}
	}
	return seen
}

func (q *inquiry) closed() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopped
}

// count stops the inquiry where the provider has had enough.
func (q *inquiry) count(v revoke.Verdict) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if v.Outcome == revoke.Refused {
		q.refused++
	}
	switch {
	case v.RetryAfter > 0:
		q.stopped = "the provider asked to be left alone for a while"
	case q.limit > 0 && q.refused >= q.limit:
		q.stopped = "the provider counts what it refuses, and the proofs need that"
	}
}

// verify and inspect survive a fault of a provider's code, whose text may quote a secret.
func (q *inquiry) verify(ctx context.Context, f *find) (v revoke.Verdict) {
	defer func() {
		if recover() != nil {
			v = revoke.Verdict{Answer: revoke.ErrFault.Error()}
		}
	}()
	return q.provider.Verify(ctx, f.Credential)
}

func (q *inquiry) inspect(ctx context.Context, f *find) (x revoke.Exposure) {
	defer func() { _ = recover() }()
	x, _ = q.provider.Inspect(ctx, f.Credential)
	return x
}
