package armfake

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Packet is one TCP packet of a machine that belongs to no connection yet. Far is an address, or a tag
// of the platform's.
type Packet struct {
	Out  bool
	Far  string
	Port int // the destination's
}

// Passes reports whether a packet passes at one of a machine's interfaces: by the rule with the lowest
// number that matches, and by the default rules. What the platform serves itself passes those.
func (f *Fake) Passes(name string, p Packet) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	direction := map[bool]string{true: "Outbound", false: "Inbound"}[p.Out]
	return slices.ContainsFunc(f.machines[name].nics, func(n string) bool {
		g := f.groups[lastPart(f.nics[n].nsg)]
		if g == nil {
			return true
		}
		var best *Rule
		for _, r := range g.Rules {
			if r.Properties.Direction == direction && r.matches(p) && (best == nil || r.Properties.Priority < best.Properties.Priority) {
				best = &r
			}
		}
		if best == nil {
			return p.Out
		}
		return best.Properties.Access == "Allow"
	})
}

func (r Rule) matches(p Packet) bool {
	is, far := r.Properties, r.Properties.Destination
	list := append(slices.Clone(is.Sources), is.Source)
	if p.Out {
		list = []string{far}
	}
	return (is.Port == "*" || is.Port == strconv.Itoa(p.Port)) && slices.ContainsFunc(list, func(text string) bool {
		if strings.HasPrefix(p.Far, "AzurePlatform") {
			return text == p.Far // an asterisk does not match what the platform serves
		}
		at, err := netip.ParsePrefix(text)
		return text == "*" || err == nil && at.Contains(netip.MustParseAddr(p.Far))
	})
}
