// Package azure ends what Microsoft Entra ID and Azure hand out: client secrets and certificates of
// applications, the sign-in sessions behind refresh tokens, and secrets in Key Vault. An authority
// ends them, by Microsoft Graph and by Key Vault. The first three prove their death themselves, at
// the token endpoint; a secret in Key Vault is proved from the authority's side, by its versions.
package azure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	kindSecret      = "azure.client_secret"
	kindCertificate = "azure.certificate"
	kindRefresh     = "azure.refresh_token"
	kindVaultSecret = "azure.key_vault_secret"
	kindAccess      = "azure.access_token" // what az hands out: an authority, too

	loginHost = "login.microsoftonline.com"
	graphHost = "graph.microsoft.com"
	vaultHost = ".vault.azure.net"

	graphAudience = "https://graph.microsoft.com"
	vaultAudience = "https://vault.azure.net"
)

// settings are the desk's own.
type settings struct {
	Tenant   string `yaml:"tenant"`    // of the authority, where it does not name its own; a GUID or domain
	ClientID string `yaml:"client_id"` // of the authority, likewise
	// DisablePrincipal disables an application's service principal instead of removing its secret or
	// certificate: nothing of the application gets a token any more, and it can be undone.
	DisablePrincipal bool `yaml:"disable_principal"`
	// StripPermissions also takes the service principal's app roles and delegated grants from it, which
	// nothing gives back.
	StripPermissions bool `yaml:"strip_permissions"`
}

type provider struct {
	env          revoke.Env
	login, graph wire.Client
	settings     settings
	now          func() time.Time
	keys         keyring

	mu     sync.Mutex
	tokens map[string]bearer // of the authority, by what they were minted with and for
}

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env, now: env.Now, keys: newKeyring(), tokens: make(map[string]bearer)}
	if p.now == nil {
		p.now = time.Now
	}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("azure: settings: %w", err)
		}
	}
	if s := p.settings; s.Tenant != "" && !tenantForm.MatchString(s.Tenant) || s.ClientID != "" && !guidForm.MatchString(s.ClientID) {
		return nil, errors.New("azure: settings: tenant is a GUID or a domain, client_id a GUID")
	}
	var err error
	if p.login, err = wire.New(env, "https://"+loginHost); err != nil {
		return nil, fmt.Errorf("azure: %w", err)
	}
	if p.graph, err = wire.New(env, "https://"+graphHost); err != nil {
		return nil, fmt.Errorf("azure: %w", err)
	}
	return p, nil
}

// What may become part of an address: it may come from a hostile host.
var (
	guidForm   = lazyregexp.New(`\A[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z`)
	tenantForm = lazyregexp.New(`\A(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9A-Za-z][0-9A-Za-z-]{0,62}(?:\.[0-9A-Za-z-]{1,62}){1,6})\z`)
)

func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	switch c.Kind {
	case kindSecret, kindCertificate, kindRefresh:
		return p.inspectToken(ctx, c)
	case kindVaultSecret:
		return p.inspectVault(ctx, c)
	case kindAccess:
		return revoke.Exposure{}, errors.New("azure: an access token is not asked: " + verifyAccess(c).Answer)
	}
	return revoke.Exposure{}, unknownKind(c)
}

func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	var r revoke.Receipt
	err := ctx.Err()
	if err == nil {
		switch c.Kind {
		case kindSecret, kindCertificate:
			r, err = p.revokeApplication(ctx, c)
		case kindRefresh:
			r, err = p.revokeSessions(ctx, c)
		case kindVaultSecret:
			r, err = p.setVault(ctx, c, false)
		case kindAccess:
			err = revokeAccess(c)
		default:
			err = unknownKind(c)
		}
	}
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	return r, nil
}

func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch c.Kind {
	case kindSecret, kindCertificate, kindRefresh:
		return p.verifyToken(ctx, c)
	case kindVaultSecret:
		return p.verifyVault(ctx, c)
	case kindAccess:
		return verifyAccess(c)
	}
	return inconclusive(unknownKind(c), c)
}

// Undo enables what Revoke disabled: a service principal, where the desk has it disabled instead of
// its secret removed, and those versions of a secret in Key Vault that carry Revoke's tag. It is for
// credentials whose receipt says in Did that they were disabled: a principal bears no mark of who
// disabled it.
func (p *provider) Undo(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	var r revoke.Receipt
	err := ctx.Err()
	if err == nil {
		switch {
		case c.Kind == kindVaultSecret:
			r, err = p.setVault(ctx, c, true)
		case p.settings.DisablePrincipal && (c.Kind == kindSecret || c.Kind == kindCertificate):
			r, err = p.enablePrincipal(ctx, c)
		default:
			err = errors.New("its revocation cannot be undone")
		}
	}
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("undo the revocation of %s: %w", c, err)
	}
	return r, nil
}

func unknownKind(c credential.Credential) error {
	return fmt.Errorf("azure has no credentials of the kind %q", c.Kind)
}

// inconclusive is the verdict where nothing was proved.
func inconclusive(err error, c credential.Credential) revoke.Verdict {
	v := revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	if retry, ok := errors.AsType[*revoke.RetryError](err); ok {
		v.RetryAfter = retry.After
	}
	return v
}
