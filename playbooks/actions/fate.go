package actions

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"clawback/forensics/incident"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// The ways in which a credential can meet its end.
const (
	ByItself       = "itself"       // its own secret revokes it
	ByAuthority    = "authority"    // the responder's authority does
	WithGateway    = "gateway"      // the agent's own gateway issued it, and it dies with that
	ByPerson       = "person"       // a person does it
	NeedsAuthority = "no-authority" // there is none that could be used
	NeedsRisk      = "risk"         // there is one, which may not be used on the suspect host
)

// Fate is how a credential would be revoked.
type Fate struct {
	Way string // one of the ways above
	Why string // in a line; it may quote the host
}

// Fate says how a credential would be revoked. Nothing is changed and nothing is sent.
func (r *Response) Fate(ctx context.Context, c incident.Found) Fate {
	if c.Unresolved != "" {
		return Fate{ByPerson, "by hand: " + c.Unresolved}
	}
	if gatewayKind(c.Kind) {
		return Fate{WithGateway, "dies with the agent's gateway"}
	}
	p := r.Providers[c.Provider]
	if p == nil {
		return Fate{ByPerson, "by hand: no provider of clawback knows it"}
	}
	k, ok := p.Info().Kind(c.Kind)
	switch {
	case !ok || k.Manual:
		return Fate{ByPerson, "by hand"}
	case k.Unkillable != "":
		return Fate{ByPerson, revoke.ErrUnkillable.Error() + ": " + k.Unkillable}
	case k.SelfRevoking:
		return Fate{ByItself, "revoked with itself"}
	}
	return r.Authorities.fate(ctx, c.Provider)
}

// fate says whether an authority could be used.
func (a *Authorities) fate(ctx context.Context, provider string) Fate {
	load := a.Load[provider]
	switch {
	case load == nil:
		return Fate{NeedsAuthority, "needs an authority for " + provider}
	case a.Suspect && !a.Accepted:
		return Fate{NeedsRisk, "needs --accept-risk " + RiskAuthorityOnSuspect}
	}
	if _, err := load(ctx); err != nil {
		return Fate{NeedsAuthority, fmt.Sprintf("needs an authority for %s: %v", provider, err)}
	}
	return Fate{ByAuthority, "revoked with your authority"}
}

// DiesWithGateway reports whether a credential of a kind dies with the agent's own gateway.
func DiesWithGateway(kind string) bool { return gatewayKind(kind) }

// gatewayKind reports whether the agent's own gateway, and no other, accepts credentials of a kind. What
// the host itself shows to gateways (openclaw.device) is not among them: they may be others.
func gatewayKind(kind string) bool {
	return kind == "openclaw.gateway" || kind == "openclaw.hook" || kind == "openclaw.paired"
}

// Found is the entry of a credential that was found first where f says.
func (r *Response) Found(c credential.Credential, f discover.Found) incident.Found {
	out := incident.Found{Credential: c, Unresolved: f.Unresolved, Endpoint: f.Endpoint, Doubt: string(f.Doubt), Other: f.Other}
	k, ok := r.kind(c)
	if out.Mints = Mints(c.Kind, k); ok {
		_, undoes := r.Providers[c.Provider].(revoke.Undoer)
		out.Reversible = k.Reversible && undoes
		out.Manual, out.Steps, out.Link, out.Effect = k.Manual, k.Steps, k.Link, k.Effect
		out.BudgetMS, out.Unproved = k.Propagation.Budget.Milliseconds(), cmp.Or(k.Unverifiable, k.Unkillable)
	}
	return out
}

// Mints is what a credential of a kind can make more of, by its provider or else by the kind; "" where
// nothing is known.
func Mints(kind string, info revoke.KindInfo) string {
	var titles []string
	for _, name := range info.Mints {
		if k, ok := credential.Lookup(name); ok {
			titles = append(titles, k.Title)
		}
	}
	if k, ok := credential.Lookup(kind); ok && len(titles) == 0 {
		return k.Mints
	}
	return strings.Join(titles, ", ")
}

// kind is what a credential's provider says of its kind.
func (r *Response) kind(c credential.Credential) (revoke.KindInfo, bool) {
	p := r.Providers[c.Provider]
	if p == nil {
		return revoke.KindInfo{}, false
	}
	return p.Info().Kind(c.Kind)
}
