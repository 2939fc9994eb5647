package google

import (
	"cmp"
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
	"clawback/revoke/wire"
)

const (
	assertionGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	refreshGrant   = "refresh_token"

	sessionLife = 30 * time.Minute // of Google's hour
)

// caller asks Google in one name, about one credential.
type caller struct {
	bearer string
	hide   credential.Secret
	own    bool // the name is that of the credential itself
}

// session is an access token that the authority's key was exchanged for.
type session struct {
	of     [sha256.Size]byte // the authority
	bearer string
	until  time.Time
}

// responder returns who asks about c: the authority, as an access token (gcloud auth
// print-access-token), a credentials file, or a refresh token with its client.
func (p *provider) responder(ctx context.Context, c credential.Credential) (caller, error) {
	a, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return caller{}, err
	}
	if p.ours(a, c) {
		return caller{}, revoke.ErrOurs
	}
	hide := both(c.Secret, a.Secret)
	value := a.Secret.Reveal("value")
	if _, isFile := readKeyFile(value); !isFile && a.Secret.Reveal("client_id") == "" && a.Kind != serviceAccount {
		if !wire.Sendable(value) {
			return caller{}, fmt.Errorf("%w: what %s gives is neither an access token nor a credentials file", revoke.ErrAuthority, a.From)
		}
		return caller{bearer: value, hide: hide}, nil
	}
	sum := sha256.Sum256([]byte(value + "\x00" + a.Secret.Reveal("private_key")))
	p.mu.Lock()
	known := p.minted
	p.mu.Unlock()
	if known.of == sum && p.now().Before(known.until) {
		return caller{bearer: known.bearer, hide: hide}, nil
	}
	bearer, err := p.exchange(ctx, a, hide)
	if err != nil {
		return caller{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.minted = session{of: sum, bearer: bearer, until: p.now().Add(sessionLife)}
	return caller{bearer: bearer, hide: hide}, nil
}

// ours reports whether the authority is the very key, in whatever form it is kept, or is of the
// account that is to be disabled.
func (p *provider) ours(a revoke.Authority, c credential.Credential) bool {
	if c.Kind != serviceAccount {
		return false
	}
	mine, err := identityOf(credential.Credential{Secret: a.Secret})
	if err != nil {
		return false
	}
	theirs, err := identityOf(c)
	if err != nil || mine.email != theirs.email {
		return false
	}
	return p.settings.DisableServiceAccounts || theirs.keyID != "" && theirs.keyID == mine.keyID ||
		theirs.key != nil && mine.key != nil && theirs.key.Equal(mine.key)
}

// exchange turns a key or a refresh token of the responder's into an access token.
func (p *provider) exchange(ctx context.Context, a revoke.Authority, hide credential.Secret) (string, error) {
	var token string
	var r wire.Reply
	file, _ := readKeyFile(a.Secret.Reveal("value"))
	if refresh := cmp.Or(file.Refresh, a.Secret.Reveal("value")); file.Refresh != "" || a.Secret.Reveal("client_id") != "" {
		token, _, r = p.refresh(ctx, refresh, cmp.Or(file.ClientID, a.Secret.Reveal("client_id")), cmp.Or(file.ClientSecret, a.Secret.Reveal("client_secret")), hide)
	} else {
		id, err := identityOf(credential.Credential{Secret: a.Secret})
		if err == nil && id.key == nil {
			err = errors.New("it holds no key")
		}
		if err != nil {
			return "", fmt.Errorf("%w: the credentials file from %s: %w", revoke.ErrAuthority, a.From, err)
		}
		if token, r, err = p.mint(ctx, id, cloudScope, hide); err != nil {
			return "", fmt.Errorf("%w: %w", revoke.ErrAuthority, err)
		}
	}
	if token != "" {
		return token, nil
	}
	if _, ok := denied(r); ok {
		return "", fmt.Errorf("%w: no access token for it: %s", revoke.ErrAuthority, r.Text(said(r)))
	}
	return "", fmt.Errorf("get an access token for the authority: %w", seen(r))
}

// granted is the token endpoint's success, RFC 6749 section 5.1.
type granted struct {
	Token string `json:"access_token"`
	Type  string `json:"token_type"`
	Scope string `json:"scope"`
}

// mint exchanges a service account key for an access token. Google refuses an assertion also where
// the clocks differ: it is tried once more, by the clock of the answer.
func (p *provider) mint(ctx context.Context, id identity, scope string, hide credential.Secret) (string, wire.Reply, error) {
	at := p.now()
	for again := false; ; again = true {
		assertion, err := id.assertion(scope, at)
		if err != nil {
			return "", wire.Reply{}, err
		}
		r := p.oauth.Do(ctx, wire.Request{
			Method: http.MethodPost, Path: "/token", Hide: hide,
			Form: url.Values{"grant_type": {assertionGrant}, "assertion": {assertion}},
		})
		theirs, unclear := http.ParseTime(r.Header.Get("Date"))
		if again || !untimely(r) || unclear != nil || theirs.Sub(at).Abs() < time.Minute {
			g := grantedBy(r)
			return g.Token, r, nil
		}
		at = theirs
	}
}

// refresh exchanges a refresh token for an access token.
func (p *provider) refresh(ctx context.Context, token, id, secret string, hide credential.Secret) (string, granted, wire.Reply) {
	r := p.oauth.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: "/token", Hide: hide,
		Form: url.Values{"grant_type": {refreshGrant}, "refresh_token": {token}, "client_id": {id}, "client_secret": {secret}},
	})
	g := grantedBy(r)
	return g.Token, g, r
}

// grantedBy reads a token, and nothing where the answer holds none that can be used.
func grantedBy(r wire.Reply) granted {
	var g granted
	if r.Status != http.StatusOK || !r.JSON(&g) || !strings.EqualFold(g.Type, "Bearer") || !wire.Sendable(g.Token) {
		return granted{}
	}
	return g
}

// untimely reports whether Google refused the assertion for its claims, which are ours, and not for
// its signature: "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable
// timeframe", https://developers.google.com/identity/protocols/oauth2/service-account#error-codes
func untimely(r wire.Reply) bool {
	d, ok := denied(r)
	return ok && d.Code == "invalid_grant" && (strings.HasPrefix(d.Description, "Invalid JWT:") || strings.Contains(d.Description, "short-lived"))
}

// both hides what two secrets hold.
func both(a, b credential.Secret) credential.Secret {
	parts := map[string]string{}
	for prefix, s := range map[string]credential.Secret{"a.": a, "b.": b} {
		for _, name := range s.Parts() {
			parts[prefix+name] = s.Reveal(name)
		}
	}
	return credential.NewSecret(parts)
}
