package vault_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/vault"
	"clawback/revoke/providers/vault/vaultfake"
	"clawback/revoke/revoketest"
)

// address is where the tests' Vault is: there is no compiled-in one.
const address = "https://vault.test"

func pinned(env revoke.Env) (revoke.Provider, error) {
	if env.Endpoint == "" {
		env.Endpoint = address
	}
	return vault.New(env)
}

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  pinned,
		Fake: func(c fake.Clock) fake.Provider { return vaultfake.New(c) },
	})
}

// alone is a Vault for a responder without any authority: tokens are left, which end and prove
// themselves.
type alone struct{ *vaultfake.Fake }

func (alone) Kinds() []string { return []string{"vault.token", "vault.batch_token"} }

func (alone) MintAuthority() (credential.Credential, bool) { return credential.Credential{}, false }

type tokensOnly struct{ revoke.Provider }

func (p tokensOnly) Info() revoke.Info {
	i := p.Provider.Info()
	i.Kinds = slices.Clone(i.Kinds[:2])
	i.Kinds[0].ByRef = false // an authority would do that
	return i
}

func TestConformanceWithoutAuthority(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New: func(env revoke.Env) (revoke.Provider, error) {
			p, err := pinned(env)
			return tokensOnly{p}, err
		},
		Fake: func(c fake.Clock) fake.Provider { return alone{vaultfake.New(c)} },
	})
}

func newWithout(client *http.Client, authority credential.Credential) (revoke.Provider, error) {
	return vault.New(revoke.Env{HTTP: client, Authority: func(context.Context) (revoke.Authority, error) {
		return revoke.Authority{Secret: authority.Secret, Kind: authority.Kind, From: "the test"}, nil
	}})
}
