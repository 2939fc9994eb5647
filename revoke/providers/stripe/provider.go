// Package stripe ends what opens a Stripe account: API keys, by hand and proved by probe, ephemeral
// keys, webhook endpoints, a platform's access to connected accounts, and secrets of Stripe Apps. Where
// the desk allows it, it holds the payouts of connected accounts.
package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const (
	kindKey       = "stripe.api_key"
	kindWebhook   = "stripe.webhook_secret"
	kindEphemeral = "stripe.ephemeral_key"
	kindConnected = "stripe.connected_account"
	kindAppSecret = "stripe.app_secret"
	kindPayouts   = "stripe.payouts"

	host        = "api.stripe.com"
	connectHost = "connect.stripe.com"
)

// settings is what the desk says of its Stripe account.
type settings struct {
	ClientID string `yaml:"client_id"` // of the platform in Connect: ca_…
	// PreviewExpire has API keys ended by a call in private preview, where their id is known, in place
	// of a person. It is off for the reasons that stand at expireKey.
	PreviewExpire  bool   `yaml:"preview_expire"`
	PreviewVersion string `yaml:"preview_version"` // the API version that Stripe named for it: 20….preview
	// HoldPayouts allows that the payouts of connected accounts are set to manual.
	HoldPayouts bool `yaml:"hold_payouts"`
}

func (s settings) check() error {
	switch {
	case s.ClientID != "" && !clientID.MatchString(s.ClientID):
		return errors.New("client_id: want ca_…")
	case s.PreviewExpire != previewVersion.MatchString(s.PreviewVersion):
		return errors.New("preview_expire and preview_version: want both, the version as Stripe named it to the account")
	}
	return nil
}

// clientID is a platform's id: https://docs.stripe.com/connect/oauth-reference
var clientID = lazyregexp.New(`\Aca_[0-9A-Za-z]{8,100}\z`)

type provider struct {
	http      *http.Client
	base      string // no slash at its end
	connect   string // likewise
	settings  settings
	authority func(context.Context) (revoke.Authority, error)
	now       func() time.Time
}

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	if env.HTTP == nil {
		return nil, errors.New("stripe: no HTTP client")
	}
	p := &provider{http: env.HTTP, base: "https://" + host, connect: "https://" + connectHost, authority: env.Authority, now: env.Now}
	if p.now == nil {
		p.now = time.Now
	}
	if env.Endpoint != "" {
		if err := p.pin(env.Endpoint); err != nil {
			return nil, fmt.Errorf("stripe: endpoint: %w", err)
		}
	}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("stripe: settings: %w", err)
		}
	}
	if err := p.settings.check(); err != nil {
		return nil, fmt.Errorf("stripe: settings: %w", err)
	}
	return p, nil
}

// pin replaces the compiled-in endpoints.
func (p *provider) pin(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return fmt.Errorf("no address: %w", revoke.WithoutURL(err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("want http://… or https://…")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("want an address without user, query and fragment")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	p.base = u.String()
	p.connect = p.base
	return nil
}

func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	switch c.Kind {
	case kindKey:
		return p.inspectKey(ctx, c)
	case kindWebhook:
		return p.inspectWebhook(ctx, c)
	case kindEphemeral:
		return p.inspectEphemeral(ctx, c)
	case kindConnected:
		return p.inspectConnected(ctx, c)
	case kindAppSecret:
		return p.inspectAppSecret(ctx, c)
	case kindPayouts:
		return p.inspectPayouts(ctx, c)
	}
	return revoke.Exposure{}, unknownKind(c)
}

func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	switch c.Kind {
	case kindKey:
		if p.settings.PreviewExpire {
			return p.expireKey(ctx, c)
		}
		return revoke.Receipt{}, p.refuseToRoll(ctx, c)
	case kindWebhook:
		return p.deleteWebhook(ctx, c)
	case kindEphemeral:
		return p.deleteEphemeral(ctx, c)
	case kindConnected:
		return p.deauthorize(ctx, c)
	case kindAppSecret:
		return p.deleteAppSecret(ctx, c)
	case kindPayouts:
		return p.holdPayouts(ctx, c)
	}
	return revoke.Receipt{}, unknownKind(c)
}

func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch c.Kind {
	case kindKey:
		return p.verifyKey(ctx, c)
	case kindWebhook:
		return p.verifyWebhook(ctx, c)
	case kindEphemeral:
		return p.verifyEphemeral(ctx, c)
	case kindConnected:
		return p.verifyConnected(ctx, c)
	case kindAppSecret:
		return p.verifyAppSecret(ctx, c)
	case kindPayouts:
		return p.verifyPayouts(ctx, c)
	}
	return inconclusive(unknownKind(c), c)
}

// authorityFor returns the responder's key. It is never the credential itself: a key that is to
// die cannot be the one that proves it.
func (p *provider) authorityFor(ctx context.Context, c credential.Credential) (string, error) {
	if p.authority == nil {
		return "", revoke.ErrNoAuthority
	}
	a, err := p.authority(ctx)
	if err != nil {
		return "", fmt.Errorf("get the authority: %w", err)
	}
	key := a.Secret.Reveal("value")
	switch {
	case key == "":
		return "", revoke.ErrNoAuthority
	case key == c.Secret.Reveal("value"):
		return "", revoke.ErrOurs
	case !sendable(key):
		return "", fmt.Errorf("%w: the value from %s is no API key", revoke.ErrAuthority, a.From)
	}
	return key, nil
}

// sendable reports whether the value can stand in a header and is no longer than a key may be.
// Which keys exist is for Stripe to say: the oldest ones name no mode.
func sendable(key string) bool {
	return key != "" && len(key) <= 512 && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

func unknownKind(c credential.Credential) error {
	return fmt.Errorf("stripe has no credentials of the kind %q", c.Kind)
}

// inconclusive is the verdict where nothing was proved.
func inconclusive(err error, c credential.Credential) revoke.Verdict {
	v := revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	if retry, ok := errors.AsType[*revoke.RetryError](err); ok {
		v.RetryAfter = retry.After
	}
	return v
}
