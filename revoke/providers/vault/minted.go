package vault

import (
	"context"
	"fmt"
	"slices"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// maxAccessors bounds how many tokens are looked at for one secret-id.
const maxAccessors = 2000

// Minted lists what the desk says that nobody but the agents can have made: leases below its
// prefixes, for a token; tokens of its roles, for a secret-id. A token's children die with it, and of
// other tokens Vault does not tell who made them.
func (p *provider) Minted(ctx context.Context, c credential.Credential) ([]credential.Credential, error) {
	var found []credential.Credential
	var err error
	switch c.Kind {
	case kindToken:
		found, err = p.leasesLeft(ctx, c)
	case kindSecretID:
		found, err = p.tokensOf(ctx, c)
	}
	if err != nil {
		err = fmt.Errorf("vault: what %s minted: %w", c.Kind, err)
	}
	return found, err
}

func (p *provider) leasesLeft(ctx context.Context, c credential.Credential) (found []credential.Credential, err error) {
	if len(p.settings.Leases) == 0 {
		return nil, nil
	}
	authority, err := p.authority(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, prefix := range p.settings.Leases {
		switch l := p.leasesOf(ctx, authority, prefix, c.Secret); {
		case l.live:
			found = append(found, credential.Credential{Provider: "vault", Kind: kindLease, Ref: map[string]string{"id": prefix}})
		case !l.none:
			return found, l.ofAuthority()
		}
	}
	return found, nil
}

// tokensOf looks at every token, since nothing lists those of one role.
func (p *provider) tokensOf(ctx context.Context, c credential.Credential) (found []credential.Credential, err error) {
	role, err := p.roleOf(c)
	if err != nil || !slices.Contains(p.settings.Roles, role) {
		return nil, err
	}
	authority, err := p.authority(ctx, c)
	if err != nil {
		return nil, err
	}
	ours, err := p.ourselves(ctx, authority, c.Secret)
	if err != nil {
		return nil, err
	}
	var all struct {
		Keys []string `json:"keys"`
	}
	// https://developer.hashicorp.com/vault/api-docs/auth/token#list-accessors
	a := p.ask(ctx, authority, c.Secret, list("auth/token/accessors"))
	switch {
	case a.nothing():
		return nil, nil
	case !a.into(&all):
		return nil, a.ofAuthority()
	}
	for _, accessor := range all.Keys[:min(len(all.Keys), maxAccessors)] {
		if accessor == ours.Accessor || !accessorID.MatchString(accessor) {
			continue
		}
		t := p.lookUp(ctx, authority, credential.Credential{Ref: map[string]string{"id": accessor}})
		switch {
		case t.dead(): // it ended meanwhile
		case !t.alive():
			return found, t.ofAuthority()
		case t.data.Path == "auth/"+p.settings.AppRole+"/login" && t.data.Meta["role_name"] == role && t.data.Type == "service":
			m := credential.Credential{Provider: "vault", Kind: kindToken, Ref: map[string]string{"id": accessor}}
			if t.data.Expires != nil {
				m.Expires = *t.data.Expires
			}
			found = append(found, m)
		}
	}
	if len(all.Keys) > maxAccessors {
		return found, fmt.Errorf("looked at %d of %d tokens", maxAccessors, len(all.Keys))
	}
	return found, nil
}

var _ revoke.Enumerator = (*provider)(nil)
