// Package vault ends what a HashiCorp Vault or an OpenBao handed out, and proves it by the vault
// itself: tokens by what it says to the token and, where there is an authority, to somebody who looks
// the token up; AppRole secret-ids and leases by the authority's look; certificates by their entry
// and by the revocation list that their issuer signed.
package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	kindToken       = "vault.token"
	kindBatch       = "vault.batch_token"
	kindSecretID    = "vault.approle_secret_id"
	kindLease       = "vault.lease"
	kindCertificate = "vault.certificate"
)

// errNoEndpoint is of a desk that was not told where its Vault is. There is no compiled-in one, and
// the address that a host names is never called.
var errNoEndpoint = errors.New("no address of a Vault is configured: name it under endpoints, as vault: https://…")

// settings is what the desk says of its Vault.
type settings struct {
	Namespace string   `yaml:"namespace"`      // sent as X-Vault-Namespace; empty is the root namespace
	AppRole   string   `yaml:"approle_mount"`  // where AppRole is enabled, below auth/; "approle" where empty
	Roles     []string `yaml:"approle_roles"`  // AppRole roles that nobody but the agents logs in with: their tokens are all killed
	PKI       string   `yaml:"pki_mount"`      // where the certificates are issued; "pki" where empty
	Leases    []string `yaml:"lease_prefixes"` // what nobody but the agents leases: revoked before a token and looked for after
}

// mountPath is one or more segments that may stand in an address.
var mountPath = lazyregexp.New(`\A[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}(?:/[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}){0,9}\z`)

func (s *settings) check() error {
	s.Namespace, s.AppRole, s.PKI = strings.Trim(s.Namespace, "/"), strings.Trim(s.AppRole, "/"), strings.Trim(s.PKI, "/")
	if s.AppRole == "" {
		s.AppRole = "approle"
	}
	if s.PKI == "" {
		s.PKI = "pki"
	}
	for name, path := range map[string]string{"approle_mount": s.AppRole, "pki_mount": s.PKI} {
		if !mountPath.MatchString(path) {
			return fmt.Errorf("%s is no path", name)
		}
	}
	if s.Namespace != "" && !mountPath.MatchString(s.Namespace) {
		return errors.New("namespace is no path")
	}
	if slices.ContainsFunc(s.Roles, func(r string) bool { return !roleName.MatchString(r) }) {
		return errors.New("approle_roles: not a role's name")
	}
	for i, prefix := range s.Leases {
		if s.Leases[i] = strings.Trim(prefix, "/"); !leasePath.MatchString(s.Leases[i]) {
			return errors.New("lease_prefixes: want a mount and what is leased there, as database/creds/agent")
		}
	}
	return nil
}

type provider struct {
	env      revoke.Env
	wire     wire.Client
	nowhere  bool // no endpoint was pinned
	settings settings
}

// New makes the provider. It sends nothing. Without a pinned endpoint every call is refused.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env, nowhere: env.Endpoint == ""}
	var err error
	if p.wire, err = wire.New(env, "https://vault.invalid"); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("vault: settings: %w", err)
		}
	}
	if err := p.settings.check(); err != nil {
		return nil, fmt.Errorf("vault: settings: %w", err)
	}
	return p, nil
}

// Inspect tells whose the credential is and what it may do.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	var e revoke.Exposure
	var err error
	switch c.Kind {
	case kindToken, kindBatch:
		e, err = p.inspectToken(ctx, c)
	case kindSecretID:
		e, err = p.inspectSecretID(ctx, c)
	case kindLease:
		e, err = p.inspectLease(ctx, c)
	case kindCertificate:
		e, err = p.inspectCertificate(ctx, c)
	default:
		err = errKind
	}
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("vault: inspect %s: %w", c.Kind, err)
	}
	return e, nil
}

// Revoke ends the credential: a token by itself where it may, all else by the authority.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	r, err := p.revoke(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("vault: revoke %s: %w", c.Kind, err)
	}
	return r, nil
}

func (p *provider) revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, err
	}
	switch c.Kind {
	case kindToken:
		return p.revokeToken(ctx, c)
	case kindBatch:
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrManual, whyBatch)
	case kindSecretID:
		return p.destroySecretID(ctx, c)
	case kindLease:
		return p.revokeLease(ctx, c)
	case kindCertificate:
		return p.revokeCertificate(ctx, c)
	}
	return revoke.Receipt{}, errKind
}

// Verify asks whether the credential still works.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch c.Kind {
	case kindToken, kindBatch:
		return p.verifyToken(ctx, c)
	case kindSecretID:
		return p.verifySecretID(ctx, c)
	case kindLease:
		return p.verifyLease(ctx, c)
	case kindCertificate:
		return p.verifyCertificate(ctx, c)
	}
	return inconclusive(errKind, c)
}

var errKind = errors.New("no kind of Vault's")

// inconclusive is the verdict where nothing was asked.
func inconclusive(err error, c credential.Credential) revoke.Verdict {
	return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
}

// authority returns the responder's own token.
func (p *provider) authority(ctx context.Context, c credential.Credential) (string, error) {
	a, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return "", err
	}
	if value := a.Secret.Reveal("value"); wire.Sendable(value) {
		return value, nil
	}
	return "", fmt.Errorf("%w: what stands there is no token", revoke.ErrAuthority)
}
