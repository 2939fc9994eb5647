package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// leasePath is what may become part of an address: a mount and at least one segment below it, so
// that no host can have a whole mount revoked by naming it.
var leasePath = lazyregexp.New(`\A[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}(?:/[0-9A-Za-z_][0-9A-Za-z_.@:+-]{0,99}){1,9}\z`)

// leaseDepth is how many segments a leasePath may have.
const leaseDepth = 10

var errPath = errors.New("not asked: what is given is no path of leases: want a mount and what is leased there, as database/creds/agent")

// whatLeases returns the prefix that names the leases.
func whatLeases(c credential.Credential) (string, error) {
	if prefix := strings.Trim(c.Ref["id"], "/"); leasePath.MatchString(prefix) {
		return prefix, nil
	}
	return "", errPath
}

// leases is what Vault says of the leases below a prefix, or of the one with that name.
type leases struct {
	answer
	live, none bool
}

// leasesOf looks below the prefix and then for a lease of that name, since one lease is not below
// itself. Revoked ones are gone from both; those of which Vault gave up revoking stay, so they are
// alive here. https://developer.hashicorp.com/vault/api-docs/system/leases#list-leases
func (p *provider) leasesOf(ctx context.Context, authority, prefix string, hide credential.Secret) leases {
	var below struct {
		Keys []string `json:"keys"`
	}
	l := leases{answer: p.ask(ctx, authority, hide, list("sys/leases/lookup/"+prefix))}
	if l.into(&below) {
		l.live = len(below.Keys) > 0
		return l
	}
	if !l.nothing() {
		return l
	}
	// "invalid lease": vault/logical_system.go, handleLeaseLookup
	var one struct {
		ID string `json:"id"`
	}
	l.answer = p.ask(ctx, authority, hide, post("sys/leases/lookup", map[string]string{"lease_id": prefix}))
	l.live = l.into(&one) && one.ID == prefix
	l.none = l.says(http.StatusBadRequest, "invalid lease")
	return l
}

func (l leases) shown() string {
	switch {
	case l.live:
		return "there are leases"
	case l.none:
		return "no lease below it, " + l.said()
	}
	return l.said()
}

func (p *provider) leasesFor(ctx context.Context, c credential.Credential) (l leases, authority, prefix string, err error) {
	if prefix, err = whatLeases(c); err != nil {
		return l, "", "", err
	}
	if authority, err = p.authority(ctx, c); err != nil {
		return l, "", "", err
	}
	return p.leasesOf(ctx, authority, prefix, c.Secret), authority, prefix, nil
}

func (p *provider) verifyLease(ctx context.Context, c credential.Credential) revoke.Verdict {
	l, _, _, err := p.leasesFor(ctx, c)
	switch {
	case err != nil:
		return inconclusive(err, c)
	case l.live:
		return l.Verdict(revoke.Alive, l.shown())
	case l.none:
		return l.Verdict(revoke.Refused, l.shown())
	}
	return l.verdict(revoke.Inconclusive)
}

func (p *provider) inspectLease(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l, _, prefix, err := p.leasesFor(ctx, c)
	switch {
	case err != nil:
		return revoke.Exposure{}, err
	case !l.live && !l.none:
		return revoke.Exposure{}, l.ofAuthority()
	}
	return revoke.Exposure{Account: prefix, Reach: []string{"what " + prefix + " lends"}, Answer: l.Text(l.shown())}, nil
}

// revokeLease revokes all leases below a prefix and waits for each. Never by revoke-force, which
// forgets the leases whatever becomes of what they lent.
// https://developer.hashicorp.com/vault/api-docs/system/leases#revoke-prefix
func (p *provider) revokeLease(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	l, authority, prefix, err := p.leasesFor(ctx, c)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case l.none:
		return revoke.Receipt{Already: true, Answer: l.Text(l.shown())}, nil
	case !l.live:
		return revoke.Receipt{}, l.ofAuthority()
	}
	ours, err := p.ourselves(ctx, authority, c.Secret)
	if err == nil {
		err = ours.sparesLeases(prefix)
	}
	if err != nil {
		return revoke.Receipt{}, err
	}
	a := p.revokePrefix(ctx, authority, prefix, c.Secret)
	if !a.done() {
		return revoke.Receipt{}, a.ofAuthority()
	}
	return revoke.Receipt{
		Answer: a.text(),
		Did:    []string{"revoked the leases of " + prefix + ", each before the next"},
		Left:   p.irrevocable(ctx, authority, c.Secret),
	}, nil
}

func (p *provider) revokePrefix(ctx context.Context, authority, prefix string, hide credential.Secret) answer {
	return p.ask(ctx, authority, hide, post("sys/leases/revoke-prefix/"+prefix, map[string]bool{"sync": true}))
}

// revokeLeases revokes what the desk says that the agents lease. A token is killed whether that
// succeeds or not.
func (p *provider) revokeLeases(ctx context.Context, authority string, hide credential.Secret, r *revoke.Receipt) {
	for _, prefix := range p.settings.Leases {
		if a := p.revokePrefix(ctx, authority, prefix, hide); a.done() {
			r.Did = append(r.Did, "revoked the leases of "+prefix)
		} else {
			r.Left = append(r.Left, "the leases of "+prefix+": "+a.text())
		}
	}
}

// irrevocable says how many leases Vault has given up on: what they lent lives on at its own service.
// https://developer.hashicorp.com/vault/api-docs/system/leases#lease-counts
func (p *provider) irrevocable(ctx context.Context, authority string, hide credential.Secret) []string {
	q := get("sys/leases/count")
	q.Query = map[string][]string{"type": {"irrevocable"}}
	var count struct {
		All *int `json:"lease_count"`
	}
	switch a := p.ask(ctx, authority, hide, q); {
	case !a.into(&count) || count.All == nil:
		return []string{"leases that could not be revoked, if there are any: they could not be counted: " + a.text()}
	case *count.All > 0:
		return []string{fmt.Sprintf("%d leases in the whole Vault that it gave up revoking: what they lent lives on at its own service (vault read sys/leases type=irrevocable)", *count.All)}
	}
	return nil
}
