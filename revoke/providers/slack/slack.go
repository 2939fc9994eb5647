// Package slack revokes Slack's tokens, and proves the death of those and of incoming webhooks.
package slack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"clawback/revoke"
	"clawback/revoke/credential"
)

type provider struct {
	env   revoke.Env
	api   string // base URL of the Web API, without a slash at its end
	hooks string // the same for incoming webhooks

	mu     sync.Mutex
	worked map[[sha256.Size]byte]bool // tokens that Slack accepted from here
}

// New makes the provider. A pinned endpoint stands for both of Slack's hosts.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env, api: "https://slack.com", hooks: "https://hooks.slack.com", worked: make(map[[sha256.Size]byte]bool)}
	if env.HTTP == nil {
		return nil, errors.New("slack: no HTTP client")
	}
	if env.Endpoint != "" {
		u, err := url.Parse(env.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("slack: the endpoint is not a base URL such as https://slack-gov.com")
		}
		p.api = strings.TrimRight(env.Endpoint, "/")
		p.hooks = p.api
	}
	return p, nil
}

// Inspect tells whose token it is and which scopes it has. A webhook and a signing secret name nobody.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	switch c.Kind {
	case signingSecret:
		return revoke.Exposure{}, errors.New("slack: inspect signing secret: " + noProbe)
	case webhook:
		v := p.verifyWebhook(ctx, c)
		if v.Outcome != revoke.Alive {
			return revoke.Exposure{}, inspectError(ctx, c, v.Answer)
		}
		return revoke.Exposure{Reach: []string{"post messages to one channel"}, Answer: v.Answer}, nil
	}
	a := p.call(ctx, "auth.test", c.Secret)
	if !a.accepted() {
		return revoke.Exposure{}, inspectError(ctx, c, a.text(c.Secret))
	}
	p.accept(c.Secret)
	return a.exposure(c.Secret), nil
}

func inspectError(ctx context.Context, c credential.Credential, saw string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("slack: inspect %s: %s: %w", c.Kind, saw, err)
	}
	return fmt.Errorf("slack: inspect %s: %s", c.Kind, saw)
}

// Revoke makes a token revoke itself: https://docs.slack.dev/reference/methods/auth.revoke
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	k, known := info.Kind(c.Kind)
	switch {
	case !known:
		return revoke.Receipt{}, fmt.Errorf("slack: revoke: %s is no kind of Slack's", c.Kind)
	case k.Manual:
		return revoke.Receipt{}, fmt.Errorf("slack: revoke %s: %w", c.Kind, revoke.ErrManual)
	case c.Secret.Reveal("value") == "":
		return revoke.Receipt{}, fmt.Errorf("slack: revoke %s: a token revokes itself, and this one is not known", c.Kind)
	}
	a := p.call(ctx, "auth.revoke", c.Secret)
	r := revoke.Receipt{Answer: a.text(c.Secret), Left: left(c.Kind)}
	switch {
	case a.ok() && a.Revoked:
		p.accept(c.Secret)
		r.Did = []string{"auth.revoke with the token itself"}
		return r, nil
	case p.refused(a, c):
		r.Already = true
		return r, nil
	}
	return revoke.Receipt{}, fmt.Errorf("slack: revoke %s: %w", c.Kind, a.failure(c.Secret))
}

// left names what outlives a token's revocation.
func left(kind string) []string {
	if kind == rotating {
		// https://docs.slack.dev/authentication/using-token-rotation does not say that the refresh
		// token dies with the access token.
		return []string{"the refresh token of the installation may mint another: uninstall the app, or regenerate its client secret"}
	}
	return nil
}

// Verify asks auth.test, or the webhook itself with a body that it cannot post.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch {
	case c.Kind == signingSecret:
		return revoke.Verdict{Answer: noProbe}
	case c.Secret.Reveal("value") == "":
		return revoke.Verdict{Answer: "not probed: its value is not known"}
	case c.Kind == webhook:
		return p.verifyWebhook(ctx, c)
	}
	a := p.call(ctx, "auth.test", c.Secret)
	v := revoke.Verdict{Answer: a.text(c.Secret), RetryAfter: a.after}
	switch {
	case a.accepted():
		p.accept(c.Secret)
		v.Outcome = revoke.Alive
	case p.refused(a, c):
		v.Outcome = revoke.Refused
	case a.ambiguous():
		v.Answer += ": says Slack to a dead token, and to a live one from an address that it does not allow"
	}
	return v
}

// refused reports whether the answer refuses the token itself.
//
// Slack says invalid_auth both to a token that does not exist and to a request "from an IP address
// disallowed from making the request" (https://docs.slack.dev/reference/methods/auth.test): a token
// that is tied to the agent's address would look dead from ours and serve its thief. It counts
// only where the token worked from here before: in this process, since the address of an earlier
// one may have been another (so there is no revoke.Rememberer here). Whether Slack says it to every app-level token
// at auth.test is not documented, so there it never counts.
func (p *provider) refused(a answer, c credential.Credential) bool {
	if a.Ok == nil || *a.Ok {
		return false
	}
	switch a.Error {
	case "token_revoked", "account_inactive", "token_expired":
		return true
	case "invalid_auth":
		return c.Kind != appLevel && p.accepted(c.Secret)
	}
	return false
}

func (p *provider) accept(s credential.Secret) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worked[sha256.Sum256([]byte(s.Reveal("value")))] = true
}

func (p *provider) accepted(s credential.Secret) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.worked[sha256.Sum256([]byte(s.Reveal("value")))]
}
