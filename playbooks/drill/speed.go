package drill

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Speed compares how long the sweep took with the slowest chain of one credential, both by the
// times of requests at the providers. What a person has to revoke is left out, and so is a
// provider that never answers. Both are 0 before there was a request.
func (w *World) Speed() (sweep, slowest time.Duration) {
	known, err := w.Providers()
	if err != nil {
		return 0, 0
	}
	names := make(map[string]bool)
	for _, c := range w.Held {
		kind, ok := known[c.Provider].Info().Kind(c.Kind)
		if ok && !kind.Manual && c.Provider != w.Scenario.Hangs {
			names[cmp.Or(c.Ref["endpoint"], credential.Mask(c.Kind, c.Secret, c.Ref))] = true
		}
	}
	var about []fake.Call
	for _, p := range w.Fakes {
		for _, call := range p.Knobs().Calls() {
			if slices.ContainsFunc(strings.Fields(call.Credential), func(name string) bool { return names[name] }) {
				about = append(about, call)
			}
		}
	}
	for name, span := range fake.Spans(about) {
		if names[name] {
			slowest = max(slowest, span)
		}
	}
	return fake.Span(about), slowest
}
