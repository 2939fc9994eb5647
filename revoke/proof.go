package revoke

import (
	"fmt"
	"time"
)

// proof counts refusals in a row. One answer that the credential works begins it anew: one node
// that still lets it in is enough for whoever stole it. An inconclusive answer says nothing,
// neither for the proof nor against it.
type proof struct {
	need        int
	budget      time.Duration
	row         int
	first, last time.Time
}

func newProof(p Propagation) proof {
	need := p.Refusals
	if need == 0 {
		need = 3
	}
	return proof{need: need, budget: p.Budget}
}

func (p *proof) count(v Verdict, at time.Time) {
	switch v.Outcome {
	case Refused:
		if p.row == 0 {
			p.first = at
		}
		p.row++
		p.last = at
	case Alive:
		p.row = 0
	}
}

func (p *proof) span() time.Duration {
	if p.row == 0 {
		return 0
	}
	return p.last.Sub(p.first)
}

func (p *proof) done() bool { return p.row >= p.need && p.span() >= p.budget }

// leisure is how far apart the refusals may be that the proof still takes: where many credentials wait
// for the same provider, none of them is asked about more often than its proof needs.
func (p *proof) leisure() time.Duration {
	return (p.budget - p.span()) / time.Duration(p.missing())
}

// missing is how many refusals the proof takes beside those that it has, and 1 at least.
func (p *proof) missing() int { return max(p.need-p.row, 1) }

// patience is how long after its acceptance a revocation is given to bite.
func (p *proof) patience() time.Duration { return max(2*p.budget, p.budget+time.Minute) }

// stalled is how long the proof has not come to an end: since the acceptance, or since the first
// refusal in its row.
func (p *proof) stalled(accepted, now time.Time) time.Duration {
	if p.row > 0 && p.first.After(accepted) {
		accepted = p.first
	}
	return now.Sub(accepted)
}

// String is the proof as the report quotes it.
func (p *proof) String(last Verdict) string {
	return fmt.Sprintf("%s ×%d over %s", last.Answer, p.row, p.span().Round(time.Second))
}
