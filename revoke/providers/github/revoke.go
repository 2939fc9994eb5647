package github

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// Revoke kills one credential: a key under an authority, an installation token with itself, any
// other as a batch of one.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	k, ours := p.info.Kind(c.Kind)
	var r revoke.Receipt
	var err error
	switch {
	case ours && c.Provider == name && k.Manual:
		err = revoke.ErrManual
	case c.Provider == name && isKey(c.Kind):
		r, err = p.deleteKey(ctx, c)
	case c.Provider == name && c.Kind == kindAppInstallation:
		r, err = p.suspend(ctx, c, http.MethodPut)
	case c.Provider == name && c.Kind == kindOrgAccess:
		r, err = p.endOrgAccess(ctx, c)
	case p.granted(c):
		return p.endGrant(ctx, c)
	case c.Kind == kindInstallation:
		r, err = p.endInstallation(ctx, c)
	default:
		return p.RevokeBatch(ctx, []credential.Credential{c})
	}
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("github: revoke %s: %w", label(c), err)
	}
	return r, nil
}

// endInstallation has an installation token end itself.
func (p *provider) endInstallation(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	token, ok := p.token(c)
	if !ok {
		return revoke.Receipt{}, errNoToken(c)
	}
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("nothing was sent: %w", err)
	}
	r := p.send(ctx, http.MethodDelete, "installation/token", token, nil, nil)
	if err := r.mutationError(p.env.Now(), c.Secret); err != nil {
		return revoke.Receipt{}, err
	}
	receipt := revoke.Receipt{
		Answer: r.answer(c.Secret),
		Left:   []string{"the App's private key can mint new installation tokens: rotate it"},
	}
	switch {
	case r.status == http.StatusNoContent:
		receipt.Did = []string{"revoked the installation token with itself"}
		return receipt, nil
	case r.refused():
		receipt.Already = true
		return receipt, nil
	}
	return revoke.Receipt{}, r.unexpected(c.Secret)
}

// Batchable reports whether the token has the format of its kind. One that has not goes alone, so
// that it cannot spoil a batch, and so does one whose grant may end with it.
func (p *provider) Batchable(c credential.Credential) bool {
	token, ok := p.token(c)
	if !ok || c.Kind == kindInstallation || p.granted(c) {
		return false
	}
	k, ok := credential.Recognize(token)
	return ok && k.Name == c.Kind
}

// RevokeBatch asks for the revocation of up to 1000 tokens in one request. github.com takes it
// without authentication only, GitHub Enterprise Server with authentication only, so the
// authority is used where the server asks for it.
// https://docs.github.com/rest/credentials/revoke
// https://docs.github.com/enterprise-server@3.19/rest/credentials/revoke
func (p *provider) RevokeBatch(ctx context.Context, cs []credential.Credential) (revoke.Receipt, error) {
	what, secrets, tokens, err := p.batch(cs)
	if err != nil {
		return revoke.Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("github: revoke %s: nothing was sent: %w", what, err)
	}
	body := map[string][]string{"credentials": tokens}
	r := p.send(ctx, http.MethodPost, "credentials/revoke", "", body, nil)
	if p.pinned && r.err == nil && r.status == http.StatusUnauthorized && r.message != "" {
		token, err := p.authority(ctx)
		if err != nil {
			return revoke.Receipt{}, fmt.Errorf("github: revoke %s: this server wants authentication: %w", what, err)
		}
		r = p.send(ctx, http.MethodPost, "credentials/revoke", token, body, nil)
		secrets = joined(secrets, token)
		if r.err == nil && !r.limited && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden) {
			return revoke.Receipt{}, fmt.Errorf("github: revoke %s: %w: %s", what, revoke.ErrAuthority, r.answer(secrets))
		}
	}
	if err := r.mutationError(p.env.Now(), secrets); err != nil {
		return revoke.Receipt{}, fmt.Errorf("github: revoke %s: %w", what, err)
	}
	switch {
	case r.status == http.StatusAccepted:
		return accepted(cs), nil
	case p.pinned && r.status == http.StatusNotFound && r.message == "Not Found":
		return revoke.Receipt{}, fmt.Errorf("github: revoke %s: this server has no bulk revocation: %w", what, revoke.ErrManual)
	}
	return revoke.Receipt{}, fmt.Errorf("github: revoke %s: %w", what, r.unexpected(secrets))
}

// accepted is the receipt for a 202, which is the same for tokens that never existed.
func accepted(cs []credential.Credential) revoke.Receipt {
	r := revoke.Receipt{
		Answer: "202 Accepted (it does not tell whether a token was dead before)",
		Did:    []string{"bulk revocation requested; GitHub mails the owners of live tokens"},
		// Who may add keys can say when and by whom, but not with which token: none is surely a thief's.
		Left: []string{"keys, webhooks and secrets that were added with a token: see its owner's security log"},
	}
	if slices.ContainsFunc(cs, func(c credential.Credential) bool { return c.Kind == kindRefresh }) {
		r.Left = append(r.Left, "access tokens (ghu_) minted with a refresh token, up to 8 h, unless they are revoked as well")
	}
	return r
}

// batch takes the tokens out of the credentials, and a name for errors.
func (p *provider) batch(cs []credential.Credential) (what string, secrets credential.Secret, tokens []string, err error) {
	if len(cs) == 0 || len(cs) > maxBatch {
		return "", secrets, nil, fmt.Errorf("github: a batch has 1 to %d credentials, not %d", maxBatch, len(cs))
	}
	parts := make(map[string]string, len(cs))
	for i, c := range cs {
		token, ok := p.token(c)
		if !ok {
			return "", secrets, nil, errNoToken(c)
		}
		if c.Kind == kindInstallation {
			return "", secrets, nil, fmt.Errorf("github: revoke %s: bulk revocation takes no installation tokens", label(c))
		}
		tokens = append(tokens, token)
		parts[strconv.Itoa(i)] = token
	}
	what = label(cs[0])
	if len(cs) > 1 {
		what = fmt.Sprintf("%d tokens", len(cs))
	}
	return what, credential.NewSecret(parts), tokens, nil
}

// held is the authority. Its part "value" is a token; "app_id" and "private_key" are those of a
// GitHub App. It may have both.
func (p *provider) held(ctx context.Context) (revoke.Authority, error) {
	if p.env.Authority == nil {
		return revoke.Authority{}, revoke.ErrNoAuthority
	}
	return p.env.Authority(ctx)
}

func (p *provider) authority(ctx context.Context) (string, error) {
	a, err := p.held(ctx)
	if err != nil {
		return "", err
	}
	token := a.Secret.Reveal("value")
	if token == "" {
		return "", revoke.ErrNoAuthority
	}
	return token, nil
}

// errNoToken is for what GitHub offers no call: a token is revoked by its value alone.
func errNoToken(c credential.Credential) error {
	if c.Provider != name {
		return fmt.Errorf("github: revoke %s: it belongs to %q", label(c), c.Provider)
	}
	if c.Secret.Empty() {
		return fmt.Errorf("github: revoke %s: its value is not known: %w", label(c), revoke.ErrManual)
	}
	return fmt.Errorf("github: revoke %s: not a kind of token that GitHub has", label(c))
}

// label names a credential in errors, also where nobody has masked it yet.
func label(c credential.Credential) string {
	return strings.TrimSpace(c.Kind + " " + credential.Mask(c.Kind, c.Secret, c.Ref))
}

// joined is the secret with one more token.
func joined(s credential.Secret, token string) credential.Secret {
	parts := map[string]string{"authority": token}
	for _, name := range s.Parts() {
		parts[name] = s.Reveal(name)
	}
	return credential.NewSecret(parts)
}
