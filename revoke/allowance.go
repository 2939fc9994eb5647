package revoke

import "time"

// allowance is how many more refused probes a provider takes from one address. Proofs take theirs
// whole and in advance: many that are begun and none that is finished would prove nothing.
type allowance struct {
	limit int         // an hour; 0 means none
	spent []time.Time // refusals of the last hour, oldest first
	held  int         // that running proofs still take
}

// baselineShare is the part of the allowance that looks before the revocation may use: a host
// with many stale tokens must not spend on them what the proofs take.
const baselineShare = 3

// afford reports whether a credential that holds *held refusals may be probed. One that holds
// none takes n, if no more than limit are then in use.
func (l *lane) afford(held *int, n, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.refusals
	if a.limit == 0 || *held > 0 {
		return true
	}
	for hour := l.clock.Now().Add(-time.Hour); len(a.spent) > 0 && !a.spent[0].After(hour); {
		a.spent = a.spent[1:]
	}
	if len(a.spent)+a.held+n > limit {
		return false
	}
	a.held += n
	*held = n
	return true
}

// refused counts one refusal.
func (l *lane) refused(held *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := &l.refusals; a.limit > 0 {
		a.spent = append(a.spent, l.clock.Now())
		a.held -= min(*held, 1)
		*held -= min(*held, 1)
	}
}

// giveBack returns what was held in vain.
func (l *lane) giveBack(held *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals.held -= *held
	*held = 0
}
