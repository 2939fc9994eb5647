package custom

import (
	"time"

	"clawback/revoke"
)

// margin is ours, for an API of which the desk says nothing.
const margin = time.Minute

var steps = []string{
	"Done by hand where the settings of custom describe no call that ends the credential, or do not know it.",
	"End it where the API's owner does: its console, its database, or by rotating the key that signs its tokens; then restart what caches logins.",
	"Then mark this as done. Where the settings know the API, the credential is probed until it was refused long enough.",
}

// Info describes what the desk's settings can do.
func (p *provider) Info() revoke.Info {
	lag, byRef := margin, len(p.services) > 0
	self, authority := len(p.services) > 0, false
	var reads []revoke.Read
	for _, s := range p.services {
		lag = max(lag, s.Propagation)
		reads = append(reads, s.Verify.read())
		byRef = byRef && s.Revoke != nil && !s.Verify.uses("secret") && !s.Revoke.uses("secret") && s.Revoke.uses("authority")
		authority = authority || s.Revoke.uses("authority")
	}
	self = self && !authority
	kind := revoke.KindInfo{
		Kind: kindToken, Steps: steps, NeedsAlive: true, ByRef: byRef, SelfRevoking: self,
		Propagation: revoke.Propagation{
			Budget: lag, Every: 5 * time.Second,
			Source: "the desk's, or clawback's own margin: https://www.rfc-editor.org/rfc/rfc9110 names no time",
		},
		Source: "https://www.rfc-editor.org/rfc/rfc9110",
	}
	if !self {
		kind.Authority = "whatever the API asks of who ends its credentials, as its settings write {authority}"
	}
	return revoke.Info{Name: "custom", Title: "Internal API (as configured)", SelfHosted: true, Kinds: []revoke.KindInfo{kind}, Reads: reads}
}
