package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// ourselves looks at the authority's own token.
func (p *provider) ourselves(ctx context.Context, authority string, hide credential.Secret) (tokenData, error) {
	t := p.lookSelf(ctx, authority, hide)
	if !t.alive() {
		return tokenData{}, t.ofAuthority()
	}
	return t.data, nil
}

// spares refuses to kill a token that is the authority or may have made it: it would go down with
// it in the middle of the response. Vault tells nobody a token's parent, "otherwise you could
// escalate your privileges" (vault/token_store.go). What it tells rules a parent out: an orphan has
// none, a login's token has none, a child is not older than its parent, is of the same entity and
// has none but its parent's policies, a root token's apart.
func (ours tokenData) spares(t tokenData) error {
	root := slices.Contains(t.Policies, "root")
	beyond := func(policy string) bool { return policy != "default" && !slices.Contains(t.Policies, policy) }
	switch {
	case t.Accessor != "" && t.Accessor == ours.Accessor:
		return fmt.Errorf("%w: it is the authority itself", revoke.ErrOurs)
	case ours.Orphan, !strings.HasPrefix(ours.Path, "auth/token/create"):
		return nil
	case t.Created == 0: // nothing is known of it: it is not the authority, and lives
		return nil
	case ours.Created < t.Created, ours.Entity != t.Entity, !root && slices.ContainsFunc(ours.Policies, beyond):
		return nil
	}
	return fmt.Errorf("%w: the authority may be a child of this token and would die with it: use an orphan token (vault token create -orphan)", revoke.ErrOurs)
}

// sparesLeases refuses a prefix below which the authority's own lease is: a token's lease stands
// below the path that made it.
func (ours tokenData) sparesLeases(prefix string) error {
	if ours.Path == prefix || strings.HasPrefix(ours.Path+"/", prefix+"/") || strings.HasPrefix(prefix, ours.Path+"/") {
		return fmt.Errorf("%w: the authority's token was made at %s", revoke.ErrOurs, ours.Path)
	}
	return nil
}
