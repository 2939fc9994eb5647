package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// whyBatch is why no call ends a batch token.
// https://developer.hashicorp.com/vault/docs/concepts/tokens#batch-tokens
const whyBatch = "batch tokens are not stored, so they cannot be revoked: they end with the token that made them, or when they expire"

// accessorID is what a token's accessor may look like; of old versions it is a UUID.
var accessorID = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z._-]{7,99}\z`)

var errUnknown = errors.New("not asked: neither its value nor a valid accessor is known")

// tokenData is what a look at a token tells. Who its parent is, no call does.
type tokenData struct {
	Accessor  string            `json:"accessor"`
	Policies  []string          `json:"policies"`
	Path      string            `json:"path"` // what made it: auth/token/create, auth/approle/login
	Display   string            `json:"display_name"`
	Entity    string            `json:"entity_id"`
	Type      string            `json:"type"`
	Orphan    bool              `json:"orphan"`
	Created   int64             `json:"creation_time"`
	Expires   *time.Time        `json:"expire_time"`
	Namespace string            `json:"namespace_path"`
	Meta      map[string]string `json:"meta"`
}

// token is what was found out about a token.
type token struct {
	answer
	data tokenData
	self bool // the token asked for itself
}

func (t token) alive() bool { return t.into(&t.data) && t.data.Created > 0 && t.data.Policies != nil }

// dead reports whether Vault says that there is no such token. To the token itself it says "invalid
// token", which its source explains as "revoked, expired, or non-existent"
// (github.com/hashicorp/vault/sdk/logical/error.go); "permission denied" alone is said to a live one
// too, that may not look itself up or comes from another address. To an authority it says "bad token"
// or "invalid accessor" (vault/token_store.go, with 400 or, in older ones, 403).
func (t token) dead() bool {
	if t.self {
		return t.says(http.StatusForbidden, "invalid token")
	}
	return t.says(http.StatusForbidden, "bad token") ||
		t.says(http.StatusBadRequest, "invalid accessor") || t.says(http.StatusForbidden, "invalid accessor")
}

// lookSelf asks with the token itself: https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-self
func (p *provider) lookSelf(ctx context.Context, value string, hide credential.Secret) token {
	t := token{answer: p.ask(ctx, value, hide, get("auth/token/lookup-self")), self: true}
	t.into(&t.data)
	return t
}

// lookUp asks with the authority, by the token's value or, where that is not known, by its accessor:
// https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-accessor
func (p *provider) lookUp(ctx context.Context, authority string, c credential.Credential) token {
	q := post("auth/token/lookup", map[string]string{"token": c.Secret.Reveal("value")})
	if c.Secret.Reveal("value") == "" {
		q = post("auth/token/lookup-accessor", map[string]string{"accessor": c.Ref["id"]})
	}
	t := token{answer: p.ask(ctx, authority, c.Secret, q)}
	t.into(&t.data)
	return t
}

// look finds out about a token: first by itself and, where it is not let, by the authority. The two
// proofs that an authority adds up to are in the second answer's text. An authority that is
// empty is none.
func (p *provider) look(ctx context.Context, authority string, c credential.Credential) (t token, also string, err error) {
	value := c.Secret.Reveal("value")
	switch {
	case value == "" && !accessorID.MatchString(c.Ref["id"]), value != "" && !wire.Sendable(value):
		return t, "", errUnknown
	case value == "" && authority == "":
		return t, "", fmt.Errorf("only an authority can look a token up by its accessor: %w", revoke.ErrNoAuthority)
	case value == "":
		return p.lookUp(ctx, authority, c), "", nil
	}
	t = p.lookSelf(ctx, value, c.Secret)
	if authority == "" || !t.says(http.StatusForbidden, "permission denied") {
		return t, "", nil
	}
	switch second := p.lookUp(ctx, authority, c); {
	case second.alive():
		return second, ", though to the token itself: " + t.text(), nil
	case second.dead():
		return second, ", says Vault to the authority; to the token itself: " + t.text(), nil
	case t.dead():
		return t, "; the authority could not look it up: " + second.text(), nil
	}
	return t, "", nil
}

func (p *provider) verifyToken(ctx context.Context, c credential.Credential) revoke.Verdict {
	authority, err := p.authority(ctx, c)
	if err != nil && c.Secret.Reveal("value") == "" {
		return inconclusive(fmt.Errorf("not asked: %w", err), c)
	}
	t, also, err := p.look(ctx, authority, c)
	if err != nil {
		return inconclusive(err, c)
	}
	v := t.verdict(revoke.Inconclusive)
	switch {
	case t.alive():
		v = t.Verdict(revoke.Alive, t.shown())
	case t.dead():
		v = t.verdict(revoke.Refused)
	case t.self && t.says(http.StatusForbidden, "permission denied"):
		also = ": said to a live token that may not look itself up, and by old versions to a dead one; an authority tells them apart"
	}
	v.Answer += also
	return v
}

// shown is a token as people know it.
func (t token) shown() string {
	text := fmt.Sprintf("%s token %s", t.data.Type, t.data.Display)
	if t.data.Accessor != "" {
		text += " accessor=" + t.data.Accessor
	}
	if t.data.Expires != nil {
		text += " expires " + t.data.Expires.UTC().Format(time.RFC3339)
	}
	return text
}

func (p *provider) inspectToken(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	authority, _ := p.authority(ctx, c) // without one it is asked for itself alone
	t, _, err := p.look(ctx, authority, c)
	switch {
	case err != nil:
		return revoke.Exposure{}, err
	case t.dead():
		return revoke.Exposure{Answer: t.text()}, nil
	case !t.alive():
		return revoke.Exposure{}, t.failure()
	}
	// The owner is the token: no other dies with it that does not belong to it.
	e := revoke.Exposure{Account: t.Show(strings.TrimSpace(t.data.Namespace + " " + t.data.Display)), Answer: t.Text(t.shown())}
	if t.data.Accessor != "" {
		e.Owner = t.Show("token " + t.data.Accessor)
	}
	for _, policy := range t.data.Policies[:min(len(t.data.Policies), 100)] {
		e.Reach = append(e.Reach, t.Show("policy "+policy))
	}
	return e, nil
}

// isBatch reports whether a value is a batch token, wherever it was found.
func isBatch(value string) bool {
	return strings.HasPrefix(value, "hvb.") || strings.HasPrefix(value, "b.")
}

// revokeToken looks first, since a token that is dead tells nothing any more; revokes what the desk
// says that it leases, while it is known whose; and then the token, which takes its children and its
// leases along. https://developer.hashicorp.com/vault/docs/concepts/lease#prefix-based-revocation
func (p *provider) revokeToken(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	value := c.Secret.Reveal("value")
	if isBatch(value) {
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrManual, whyBatch)
	}
	authority, err := p.authority(ctx, c)
	if errors.Is(err, revoke.ErrOurs) || err != nil && value == "" {
		return revoke.Receipt{}, err
	}
	t, also, err := p.look(ctx, authority, c)
	switch {
	case err != nil:
		return revoke.Receipt{}, err
	case t.dead():
		return revoke.Receipt{Already: true, Answer: t.text() + also}, nil
	case t.alive() && t.data.Type == "batch":
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrManual, whyBatch)
	case !t.alive() && (!t.self || !t.says(http.StatusForbidden, "permission denied")):
		return revoke.Receipt{}, t.ofAuthority()
	}
	var r revoke.Receipt
	if authority != "" {
		ours, err := p.ourselves(ctx, authority, c.Secret)
		if err == nil {
			err = ours.spares(t.data)
		}
		switch {
		case errors.Is(err, revoke.ErrOurs):
			return r, err
		case err != nil && value == "":
			return r, err
		case err != nil: // it may do without
			r.Left, authority = append(r.Left, "leases could not be looked at: the authority: "+revoke.Answer(0, err.Error(), c.Secret)), ""
		}
	}
	if authority != "" {
		p.revokeLeases(ctx, authority, c.Secret, &r)
	}
	if err := p.endToken(ctx, authority, c, t, &r); err != nil || r.Already {
		return r, err
	}
	r.Left = append(r.Left, "orphan tokens that it may have made, and logins of the same person or machine: Vault names no parent")
	if authority != "" {
		r.Left = append(r.Left, p.irrevocable(ctx, authority, c.Secret)...)
	}
	return r, nil
}

// endToken revokes a token by itself or, where it may not or is not known, by its accessor.
func (p *provider) endToken(ctx context.Context, authority string, c credential.Credential, t token, r *revoke.Receipt) error {
	if value := c.Secret.Reveal("value"); value != "" {
		// https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-self
		a := token{answer: p.ask(ctx, value, c.Secret, wire.Request{Method: http.MethodPost, Path: "auth/token/revoke-self"}), self: true}
		switch {
		case a.done():
			r.Answer, r.Did = a.text(), append(r.Did, "the token revoked itself, its children and its leases")
			return nil
		case a.dead():
			r.Answer, r.Already = a.text(), true
			return nil
		case !a.says(http.StatusForbidden, "permission denied"):
			return a.failure()
		case authority == "" || !accessorID.MatchString(t.data.Accessor):
			return fmt.Errorf("%w: the token is dead or may not revoke itself: %w", revoke.ErrNoAuthority, a.failure())
		}
	}
	// https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-accessor
	a := p.ask(ctx, authority, c.Secret, post("auth/token/revoke-accessor", map[string]string{"accessor": t.data.Accessor}))
	if !a.done() {
		return a.ofAuthority()
	}
	r.Answer, r.Did = a.text(), append(r.Did, "revoked the token "+t.Show(t.data.Accessor)+", its children and its leases")
	return nil
}
