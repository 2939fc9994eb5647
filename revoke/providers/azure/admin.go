package azure

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// bearer is an access token of the authority.
type bearer struct {
	value string
	until time.Time
}

// admin calls one API under the authority.
type admin struct {
	client wire.Client
	bearer string
	hide   credential.Secret
	forget func() // drops the token that is remembered
}

// admin returns the authority's way to an API. The authority is a client secret, with the parts
// client_id and tenant beside its value or these in the settings; or access tokens, of which "value"
// is for Graph and "vault" for Key Vault. It is never of the application that is to die.
func (p *provider) admin(ctx context.Context, c credential.Credential, audience string, client wire.Client) (admin, error) {
	auth, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return admin{}, err
	}
	a := admin{client: client, hide: auth.Secret, forget: func() {}}
	if c.Kind != kindCertificate { // of which nothing is sent
		a.hide = both(c.Secret, auth.Secret)
	}
	switch auth.Kind {
	case kindAccess:
		part := "value"
		if audience == vaultAudience {
			part = "vault"
		}
		if a.bearer = auth.Secret.Reveal(part); !wire.Sendable(a.bearer) {
			return admin{}, fmt.Errorf("%w: part %q from %s is no access token for %s", revoke.ErrAuthority, part, auth.From, audience)
		}
		if app := claimsOf(a.bearer).App; app != "" && ofApplication(c, app) {
			return admin{}, revoke.ErrOurs
		}
		return a, nil
	case kindSecret:
		err := p.signIn(ctx, c, auth, audience, &a)
		return a, err
	}
	return admin{}, fmt.Errorf("%w: %s is %s, want %s or %s", revoke.ErrAuthority, auth.From, auth.Kind, kindSecret, kindAccess)
}

// ofApplication reports whether a credential is one of that application.
func ofApplication(c credential.Credential, client string) bool {
	return (c.Kind == kindSecret || c.Kind == kindCertificate) && strings.EqualFold(client, c.Ref["client_id"])
}

// signIn gets the authority's access token for an API, or the one that is remembered.
func (p *provider) signIn(ctx context.Context, c credential.Credential, auth revoke.Authority, audience string, a *admin) error {
	client, tenant, secret := auth.Secret.Reveal("client_id"), auth.Secret.Reveal("tenant"), auth.Secret.Reveal("value")
	if client == "" {
		client = p.settings.ClientID
	}
	if tenant == "" {
		tenant = p.settings.Tenant
	}
	if !guidForm.MatchString(client) || !tenantForm.MatchString(tenant) || !wire.Sendable(secret) {
		return fmt.Errorf("%w: %s names no client_id, tenant and value", revoke.ErrAuthority, auth.From)
	}
	if ofApplication(c, client) {
		return revoke.ErrOurs
	}
	key := fmt.Sprintf("%s %s %s %x", audience, client, tenant, sha256.Sum256([]byte(secret)))
	p.mu.Lock()
	known, ok := p.tokens[key]
	p.mu.Unlock()
	a.forget = func() { p.mu.Lock(); defer p.mu.Unlock(); delete(p.tokens, key) }
	if a.bearer = known.value; ok && p.now().Before(known.until) {
		return nil
	}
	g := p.token(ctx, tenant, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}, "scope": {audience + "/.default"},
	}, a.hide)
	switch {
	case g.answered():
		return fmt.Errorf("%w: %s", revoke.ErrAuthority, g.Text(g.said()))
	case !g.issued() || !wire.Sendable(g.AccessToken):
		return fmt.Errorf("sign the authority in: %w", failure(g.Reply, g.said()))
	}
	a.bearer = g.AccessToken
	half := time.Duration(min(max(g.ExpiresIn, 0), 24*60*60)) * time.Second / 2
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[key] = bearer{a.bearer, p.now().Add(half)}
	return nil
}

// both is all that two secrets hide.
func both(one, two credential.Secret) credential.Secret {
	parts := make(map[string]string)
	for prefix, s := range map[string]credential.Secret{"one.": one, "two.": two} {
		for _, name := range s.Parts() {
			parts[prefix+name] = s.Reveal(name)
		}
	}
	return credential.NewSecret(parts)
}

func (a admin) do(ctx context.Context, method, path string, query url.Values, body any) wire.Reply {
	return a.client.Do(ctx, wire.Request{Method: method, Path: path, Query: query, JSON: body, Bearer: a.bearer, Hide: a.hide})
}

// errMissing means that the API says that there is no such object.
var errMissing = errors.New("not found")

// read gets one object. It changes nothing.
func (a admin) read(ctx context.Context, path string, query url.Values, into any) (wire.Reply, error) {
	r := a.do(ctx, http.MethodGet, path, query, nil)
	if r.Status == http.StatusOK && r.JSON(into) {
		return r, nil
	}
	said, told := apiError(r)
	err := failure(r, said)
	switch {
	case told && r.Status == http.StatusNotFound && missing[said]:
		return r, fmt.Errorf("%w: %w", errMissing, err)
	case told:
		return r, a.refused(r, err)
	}
	return r, err
}

// change sends a request that changes something. Which answers mean that it was done is told by done.
func (a admin) change(ctx context.Context, method, path string, query url.Values, body any, done func(wire.Reply) bool) (wire.Reply, error) {
	r := a.do(ctx, method, path, query, body)
	if r.Err == nil && done(r) {
		return r, nil
	}
	said, told := apiError(r)
	err := r.Failure(said)
	if told {
		err = a.refused(r, err)
	}
	return r, err
}

// noContent is how Graph says that a change was made.
func noContent(r wire.Reply) bool { return r.Status == http.StatusNoContent }

// refused adds that the authority was refused, where it was.
func (a admin) refused(r wire.Reply, err error) error {
	if r.Status != http.StatusUnauthorized && r.Status != http.StatusForbidden {
		return err
	}
	a.forget()
	return fmt.Errorf("%w: %w", revoke.ErrAuthority, err)
}

// missing are the codes of Graph and Key Vault for what does not exist: a 404 without one of them may
// be anybody's. https://learn.microsoft.com/graph/errors and
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
var missing = map[string]bool{"Request_ResourceNotFound": true, "SecretNotFound": true}

var codeForm = lazyregexp.New(`\A[A-Za-z][A-Za-z0-9_.]{0,60}\z`)

// apiError returns the code of an error of Graph or Key Vault, and whether the answer is one.
func apiError(r wire.Reply) (code string, told bool) {
	var body struct {
		Error *struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if !r.JSON(&body) || body.Error == nil || !codeForm.MatchString(body.Error.Code) {
		return "not an answer of the API", false
	}
	return body.Error.Code, true
}
