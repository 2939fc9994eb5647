// Package aws revokes access keys and temporary sessions of Amazon Web Services through IAM, and
// proves their death through STS and IAM. What a key created is looked for in CloudTrail.
package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const (
	keyKind     = "aws.access_key"
	sessionKind = "aws.session"
	mintedKind  = "aws.minted_key"
	userKind    = "aws.user"
	bedrockKind = "aws.bedrock_key"
	shortKind   = "aws.bedrock_session_key"
	secretKind  = "aws.secret_version"
	ssoKind     = "aws.sso"

	stsHost = "sts.amazonaws.com"
	iamHost = "iam.amazonaws.com"
	// trailHost is where IAM's events are, and those of the global STS:
	// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events
	trailHost = "cloudtrail.us-east-1.amazonaws.com"

	// baselinePatience is how long the revocation of a session waits for a look at it beforehand.
	baselinePatience = 2 * time.Second
)

// settings are the desk's.
type settings struct {
	// DeletePasswords takes the console password from a user who is denied. It cannot be undone.
	DeletePasswords bool `yaml:"delete_passwords" json:"delete_passwords"`
	// Organization denies what is ended in the whole organization too.
	Organization *organizationSettings `yaml:"organization" json:"-"`
}

type provider struct {
	env              revoke.Env
	sts, iam, trails string // base URLs
	pinned           string // the one that serves all of AWS; empty where none is pinned
	bedrock          wire.Client
	trail            *trail
	settings         settings
	org              *organization // nil where the desk has none

	mu       sync.Mutex
	undenied map[string]bool    // ids of sessions that were seen working, or refused without an explicit deny
	known    map[string]bool    // ids of sessions that STS named somebody for
	signed   map[keys]principal // whose the pairs are that signed for themselves
	looked   map[string]bool    // ids of what was asked about in CloudTrail before

	bedrockUser map[string]string // by alias of the key
}

var (
	_ revoke.Rememberer = (*provider)(nil)
	_ wire.Holder       = (*settings)(nil)
)

// New makes the provider. A pinned endpoint serves all of AWS.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{
		env: env, sts: "https://" + stsHost, iam: "https://" + iamHost, trails: "https://" + trailHost,
		undenied: map[string]bool{}, known: map[string]bool{}, signed: map[keys]principal{}, looked: map[string]bool{}, bedrockUser: map[string]string{},
	}
	if env.HTTP == nil {
		return nil, errors.New("aws: no HTTP client given")
	}
	if env.Endpoint != "" {
		u, err := url.Parse(env.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "" || u.RawPath != "" {
			return nil, errors.New("aws: the endpoint is no plain http or https address")
		}
		u.Path = strings.TrimRight(u.Path, "/") + "/" // what is asked below it is its "/"
		p.pinned = u.String()
		p.sts, p.iam, p.trails = p.pinned, p.pinned, p.pinned
	}
	if p.env.Now == nil {
		p.env.Now = time.Now
	}
	if p.env.Sleep == nil {
		p.env.Sleep = sleep
	}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("aws: settings: %w", err)
		}
		if err := p.settings.Organization.check(); err != nil {
			return nil, fmt.Errorf("aws: settings: %w", err)
		}
	}
	var err error
	if p.bedrock, err = wire.New(p.env, "https://"+bedrockHost); err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	p.trail = newTrail(p.env)
	if p.settings.Organization != nil {
		p.org = &organization{
			settings: p.settings.Organization, api: cmp.Or(p.pinned, "https://"+organizationsHost), sleep: p.env.Sleep,
			caller: func(own, target keys) *caller { return p.caller(own, target) }, turn: make(chan struct{}, 1),
		}
		p.org.turn <- struct{}{}
	}
	return p, nil
}

// sleep waits, or returns why ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("aws: nothing was sent: %w", err)
	}
	switch c.Kind {
	case mintedKind:
		return p.revokeMinted(ctx, c)
	case userKind:
		return p.revokeUser(ctx, c)
	case bedrockKind:
		return p.revokeBedrock(ctx, c)
	case shortKind:
		return revoke.Receipt{}, revokeShort(c)
	case secretKind:
		return p.revokeSecret(ctx, c)
	case ssoKind:
		return revoke.Receipt{}, fmt.Errorf("aws: revoke %s: %w", c.Kind, revoke.ErrManual)
	}
	k := keysOf(c)
	if k.id == "" {
		return revoke.Receipt{}, errors.New("aws: the credential has no access key id")
	}
	switch c.Kind {
	case keyKind:
		return p.revokeKey(ctx, k)
	case sessionKind:
		return p.revokeSession(ctx, k)
	}
	return revoke.Receipt{}, fmt.Errorf("aws: cannot revoke the kind %q", c.Kind)
}

// responder is the responder's own caller, and whom AWS takes it for.
type responder struct {
	*caller
	is       principal
	settings settings
	org      *organization
	target   keys
}

// authority asks for the responder's own keys and returns ErrOurs where they are the target.
func (p *provider) authority(ctx context.Context, target keys) (responder, error) {
	if p.env.Authority == nil {
		return responder{}, revoke.ErrNoAuthority
	}
	a, err := p.env.Authority(ctx)
	if err != nil {
		return responder{}, fmt.Errorf("aws: %w", err)
	}
	own := keysOf(credential.Credential{Secret: a.Secret})
	switch {
	case own.id == target.id:
		return responder{}, fmt.Errorf("aws: it is the authority itself: %w", revoke.ErrOurs)
	case !own.complete():
		return responder{}, fmt.Errorf("aws: the authority from %s is not a whole key pair: %w", a.From, revoke.ErrAuthority)
	}
	r := responder{caller: p.caller(own, target), settings: p.settings, org: p.org, target: target}
	r.authority = true
	r.is, err = r.whoAmI(ctx)
	return r, err
}
