package revoke

import "time"

// allowance is how many more refused probes a provider takes from one address. Proofs take theirs
// whole and in advance: many that are begun and none that is finished would prove nothing. Where it
// is scarce, what was seen alive comes first: whoever owns the host can plant any number of tokens
// that never worked, to use it up.
type allowance struct {
	limit int         // an hour; 0 means none
	spent []time.Time // refusals of the last hour, oldest first
	looks []time.Time // those of them that came before a revocation
	held  [3]int      // that what is under way may still take, by claim
}

// claim is what a credential may be refused for.
type claim int

const (
	toProve     claim = iota
	toProveSeen       // it was seen alive
	toLook            // before its revocation
)

// hold is what one credential has of an allowance.
type hold struct {
	n int
	claim
}

// baselineShare is the part of the allowance that looks before the revocation may use: a host
// with many stale tokens must not spend on them what the proofs take.
const baselineShare = 3

// afford reports whether a credential may be probed now, from a place in the lane. One that holds
// nothing takes n, if there is room. Looks and proofs of what was seen alive may take what other
// proofs hold, but for the probes that those have under way: they lose it here.
func (l *lane) afford(h *hold, c claim, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.refusals
	if a.limit == 0 || h.n > 0 && h.claim != toProve {
		return true
	}
	a.forget(l.clock.Now().Add(-time.Hour))
	if h.n > 0 {
		n = h.n
		a.release(h, n)
	}
	others := a.held[toProve]
	switch c {
	case toLook:
		others = min(others, l.proofs)
	case toProveSeen:
		others = min(others, l.proofs-l.seen)
	}
	if c == toLook && len(a.looks)+a.held[toLook]+n > a.limit/baselineShare {
		return false
	}
	if len(a.spent)+a.held[toLook]+a.held[toProveSeen]+others+n > a.limit {
		return false
	}
	h.n, h.claim = n, c
	a.held[c] += n
	return true
}

// refused counts one refusal.
func (l *lane) refused(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.refusals
	if a.limit == 0 {
		return
	}
	a.spent = append(a.spent, l.clock.Now())
	if h.n > 0 && h.claim == toLook {
		a.looks = append(a.looks, l.clock.Now())
	}
	a.release(h, min(h.n, 1))
}

// giveBack returns what was held in vain.
func (l *lane) giveBack(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals.release(h, h.n)
}

func (a *allowance) release(h *hold, n int) {
	a.held[h.claim] -= n
	h.n -= n
}

// forget drops the refusals until then.
func (a *allowance) forget(until time.Time) {
	for _, times := range []*[]time.Time{&a.spent, &a.looks} {
		for len(*times) > 0 && !(*times)[0].After(until) {
			*times = (*times)[1:]
		}
	}
}
