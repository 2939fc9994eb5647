// Package google ends credentials of Google Cloud and of Google accounts: service account keys, API
// keys, OAuth tokens and Secret Manager versions. It proves their death by what they are refused: a
// key by a token that it can no longer mint, an API key by a list that is public to keys, a token by what Google
// says of it. A version proves nothing itself: there Secret Manager shows its state to the authority.
package google

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

type provider struct {
	env      revoke.Env
	now      func() time.Time
	settings settings

	oauth, tokens, iam, apiKeys, secrets, languages, models wire.Client

	mu     sync.Mutex
	minted session                    // what the authority's own key was exchanged for
	worked map[[sha256.Size]byte]bool // API keys that Google took
}

var (
	_ revoke.Undoer     = (*provider)(nil)
	_ revoke.Rememberer = (*provider)(nil)
	_ wire.Holder       = (*settings)(nil)
)

// settings are the desk's own, below settings.google in its configuration.
type settings struct {
	// DisableServiceAccounts disables the whole account of a service account key, too: Google then
	// refuses the tokens that the key minted before. All its other keys and workloads stop as well.
	// Undo enables the account again, whoever disabled it.
	DisableServiceAccounts bool `yaml:"disable_service_accounts"`
	// OAuthClients are where the secrets of OAuth clients are kept, by client id: a refresh token proves
	// its death only to the client that it was issued to.
	OAuthClients map[string]*wire.Held `yaml:"oauth_clients"`
}

// Held returns the secrets of the clients.
func (s *settings) Held() map[string]*wire.Held {
	all := make(map[string]*wire.Held)
	for id, secret := range s.OAuthClients {
		all["oauth_clients."+id] = secret
	}
	return all
}

const (
	oauthHost     = "oauth2.googleapis.com"
	tokensHost    = "www.googleapis.com"
	iamHost       = "iam.googleapis.com"
	apiKeysHost   = "apikeys.googleapis.com"
	secretsHost   = "secretmanager.googleapis.com"
	languagesHost = "translation.googleapis.com"
	modelsHost    = "generativelanguage.googleapis.com"
)

// New makes the provider. A pinned endpoint stands for all of Google's hosts, whose paths differ.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env, now: env.Now, worked: map[[sha256.Size]byte]bool{}}
	if p.now == nil {
		p.now = time.Now
	}
	for host, client := range map[string]*wire.Client{
		oauthHost: &p.oauth, tokensHost: &p.tokens, iamHost: &p.iam, apiKeysHost: &p.apiKeys, secretsHost: &p.secrets,
		languagesHost: &p.languages, modelsHost: &p.models,
	} {
		var err error
		if *client, err = wire.New(env, "https://"+host); err != nil {
			return nil, fmt.Errorf("google: %w", err)
		}
	}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("google: settings: %w", err)
		}
	}
	return p, nil
}

func (p *provider) Inspect(ctx context.Context, c credential.Credential) (e revoke.Exposure, err error) {
	switch c.Kind {
	case serviceAccount:
		e, err = p.inspectAccount(ctx, c)
	case apiKey, authKey:
		e, err = p.inspectAPIKey(ctx, c)
	case accessToken:
		e, err = p.inspectAccess(ctx, c)
	case refreshToken:
		e, err = p.inspectRefresh(ctx, c)
	case secretVersion:
		e, err = p.inspectVersion(ctx, c)
	default:
		err = errNotOurs
	}
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("google: inspect %s: %w", c.Kind, err)
	}
	return e, nil
}

func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	return p.change(ctx, "revoke", c, map[string]change{
		serviceAccount: p.disableKey, apiKey: p.deleteAPIKey, authKey: p.deleteAPIKey, secretVersion: p.disableVersion,
		accessToken: p.revokeToken, refreshToken: p.revokeToken,
	})
}

func (p *provider) Undo(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	return p.change(ctx, "undo", c, map[string]change{
		serviceAccount: p.enableKey, apiKey: p.undeleteAPIKey, authKey: p.undeleteAPIKey, secretVersion: p.enableVersion,
	})
}

type change func(context.Context, credential.Credential) (revoke.Receipt, error)

func (p *provider) change(ctx context.Context, what string, c credential.Credential, of map[string]change) (revoke.Receipt, error) {
	do, err := of[c.Kind], ctx.Err()
	if do == nil {
		err = errNotOurs
	}
	var r revoke.Receipt
	if err == nil {
		r, err = do(ctx, c)
	}
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("google: %s %s: %w", what, c.Kind, err)
	}
	return r, nil
}

func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch c.Kind {
	case serviceAccount:
		return p.verifyAccount(ctx, c)
	case apiKey, authKey:
		v, _ := p.probeAPIKey(ctx, c)
		return v
	case accessToken:
		v, _ := p.probeAccess(ctx, c)
		return v
	case refreshToken:
		v, _ := p.probeRefresh(ctx, c)
		return v
	case secretVersion:
		v, _ := p.probeVersion(ctx, c)
		return v
	}
	return notAsked(errNotOurs, c)
}
