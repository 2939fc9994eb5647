// Package slack revokes Slack's tokens, each by itself or all of an app's installation by the app's
// client secret, and proves the death of those, of sessions, incoming webhooks and client secrets.
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

	settings settings

	mu     sync.Mutex
	worked map[[sha256.Size]byte]bool // tokens that Slack accepted from here
}

// settings are the desk's own for Slack.
type settings struct {
	// Uninstall has the app uninstalled from the workspace with the first of its tokens that is
	// revoked, where the authority is the app's client secret: all tokens of the installation die.
	Uninstall bool `yaml:"uninstall"`
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
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("slack: %w", err)
		}
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
	case refreshToken, clientSecret:
		v := p.Verify(ctx, c)
		if v.Outcome != revoke.Alive {
			return revoke.Exposure{}, inspectError(ctx, c, v.Answer)
		}
		return revoke.Exposure{Reach: []string{"mint tokens of the app: a refresh token and the client secret together"}, Answer: v.Answer}, nil
	}
	a, err := p.test(ctx, c)
	if err != nil {
		return revoke.Exposure{}, inspectError(ctx, c, err.Error())
	}
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

// Revoke makes a token revoke itself (https://docs.slack.dev/reference/methods/auth.revoke), or all of
// its installation where the desk set that.
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
	stays := ""
	if p.settings.Uninstall && c.Kind != refreshToken && c.Kind != legacy {
		r, why, err := p.uninstall(ctx, c)
		if err != nil {
			return revoke.Receipt{}, fmt.Errorf("slack: revoke %s: %w", c.Kind, err)
		}
		if why == "" {
			return r, nil
		}
		stays = why
	}
	a := p.call(ctx, "auth.revoke", c.Secret)
	r := revoke.Receipt{Answer: a.text(c.Secret), Left: left(c.Kind, stays)}
	switch {
	case a.revoked():
		p.accept(c.Secret)
		r.Did = []string{"auth.revoke with the token itself"}
		return r, nil
	case p.refused(a, c):
		r.Already = true
		return r, nil
	}
	return revoke.Receipt{}, fmt.Errorf("slack: revoke %s: %w", c.Kind, a.failure(c.Secret))
}

// left names what outlives a token's revocation. With token rotation auth.revoke "will revoke a single
// token (a refresh token, a bot access token that expires, or a user access token that expires) without
// changing the underlying installation": https://docs.slack.dev/authentication/using-token-rotation
func left(kind, stays string) (all []string) {
	switch kind {
	case rotating:
		all = append(all, "the refresh token of the installation may mint another: uninstall the app, or regenerate its client secret")
	case refreshToken:
		all = append(all, "access tokens that it was exchanged for, up to 12 hours, and the refresh token that came with them: uninstall the app where that may have been")
	}
	if stays != "" {
		all = append(all, "the app's installation: "+stays)
	}
	return all
}

// Verify asks auth.test, or whatever else takes the credential and changes nothing.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch {
	case c.Kind == signingSecret:
		return revoke.Verdict{Answer: noProbe}
	case c.Secret.Reveal("value") == "":
		return revoke.Verdict{Answer: "not probed: its value is not known"}
	case c.Kind == webhook:
		return p.verifyWebhook(ctx, c)
	case c.Kind == clientSecret:
		return p.verifyClient(ctx, c)
	}
	a, err := p.test(ctx, c)
	if err != nil {
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	}
	v := revoke.Verdict{Answer: a.text(c.Secret), RetryAfter: a.after}
	switch {
	case a.accepted(), c.Kind == refreshToken && a.spared():
		p.accept(c.Secret)
		v.Outcome = revoke.Alive
	case p.refused(a, c):
		v.Outcome = revoke.Refused
	case a.ambiguous():
		v.Answer += ": says Slack to a dead token, and to a live one from an address that it does not allow"
	}
	return v
}

// test asks whether a token works, in the way that its kind takes.
func (p *provider) test(ctx context.Context, c credential.Credential) (answer, error) {
	switch c.Kind {
	case refreshToken:
		return p.testRefresh(ctx, c)
	case session:
		return p.testSession(ctx, c)
	}
	return p.call(ctx, "auth.test", c.Secret), nil
}

// refused reports whether the answer refuses the token itself.
//
// Slack says invalid_auth both to a token that does not exist and to a request "from an IP address
// disallowed from making the request" (https://docs.slack.dev/reference/methods/auth.test): a token
// that is tied to the agent's address would look dead from ours and serve its thief. It counts
// only where the token worked from here before: in this process, since the address of an earlier
// one may have been another (so there is no revoke.Rememberer here).
func (p *provider) refused(a answer, c credential.Credential) bool {
	if a.Ok == nil || *a.Ok {
		return false
	}
	switch a.Error {
	case "token_revoked", "account_inactive", "token_expired":
		return true
	case "invalid_auth":
		return p.accepted(c.Secret)
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
