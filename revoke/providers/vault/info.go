package vault

import (
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
)

// propagation is ours: a revocation is done when it is answered, and only Enterprise's performance
// standbys and replicas are documented to lag, by no stated time.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "clawback's own margin: https://developer.hashicorp.com/vault/docs/enterprise/consistency names no time",
}

// Info describes a Vault as the desk's settings say that it is set up.
func (p *provider) Info() revoke.Info {
	return revoke.Info{
		Name: "vault", Title: "HashiCorp Vault and OpenBao", SelfHosted: true,
		Reads: p.reads(),
		Kinds: []revoke.KindInfo{tokenInfo, batchInfo, secretIDInfo, leaseInfo, certificateInfo},
	}
}

func (p *provider) reads() []revoke.Read {
	reads := []revoke.Read{
		{Method: http.MethodGet, Path: "/v1/auth/token/lookup-self"},
		{Method: http.MethodPost, Path: "/v1/auth/token/lookup"},
		{Method: http.MethodPost, Path: "/v1/auth/token/lookup-accessor"},
		{Method: http.MethodGet, Path: "/v1/auth/token/accessors"},
		{Method: http.MethodPost, Path: "/v1/sys/leases/lookup"},
		{Method: http.MethodPost, Path: "/v1/auth/" + p.settings.AppRole + "/role/*/secret-id/lookup"},
		{Method: http.MethodGet, Path: "/v1/" + p.settings.PKI + "/cert/*"},
		{Method: http.MethodGet, Path: "/v1/" + p.settings.PKI + "/crl"},
	}
	for depth := 2; depth <= leaseDepth; depth++ {
		reads = append(reads, revoke.Read{Method: http.MethodGet, Path: "/v1/sys/leases/lookup" + strings.Repeat("/*", depth)})
	}
	return reads
}

// What names all of these comes from a host, and a Vault says the same of what is another's as of
// what is dead: NeedsAlive throughout.
var tokenInfo = revoke.KindInfo{
	Kind: kindToken, SelfRevoking: true, ByRef: true, NeedsAlive: true, Mints: []string{kindLease}, Propagation: propagation,
	Effect: "its child tokens and its leases end with it",
	Source: "https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-self",
}

var batchInfo = revoke.KindInfo{
	Kind: kindBatch, Manual: true, NeedsAlive: true, Propagation: propagation,
	Link: "https://developer.hashicorp.com/vault/docs/concepts/tokens#batch-tokens",
	Steps: []string{
		"No call ends a batch token: Vault does not store it. It ends with the token that made it, or when it expires: its expiry is shown here.",
		"Find what made it, by its display name and path, and revoke that: vault token revoke -accessor ACCESSOR, or the AppRole secret-id or other login behind it.",
		"If it is an orphan, take away what its policies allow instead: vault policy write NAME with nothing in it. Whoever else has the policy loses it too.",
		"Then mark this as done: it is probed until Vault has refused it long enough.",
	},
	Effect: "with the parent all of its other children end",
	Source: "https://developer.hashicorp.com/vault/docs/concepts/tokens#batch-tokens",
}

var secretIDInfo = revoke.KindInfo{
	Kind: kindSecretID, NeedsAlive: true, Mints: []string{kindToken}, Propagation: propagation,
	Authority: "token with update on auth/MOUNT/role/ROLE/secret-id/lookup and …/secret-id/destroy; for what it minted sudo and list on auth/token/accessors, update on auth/token/lookup-accessor and …/revoke-accessor",
	Effect:    "nothing logs in with it any more; tokens of earlier logins live on",
	Source:    "https://developer.hashicorp.com/vault/api-docs/auth/approle#destroy-approle-secret-id",
}

var leaseInfo = revoke.KindInfo{
	Kind: kindLease, ByRef: true, NeedsAlive: true, Propagation: propagation,
	Authority: "token with sudo and update on sys/leases/revoke-prefix/PREFIX, sudo and list on sys/leases/lookup/PREFIX, update on sys/leases/lookup",
	Effect:    "what was leased below the prefix is taken back at its own service, which has to be reachable from Vault",
	Source:    "https://developer.hashicorp.com/vault/api-docs/system/leases#revoke-prefix",
}

var certificateInfo = revoke.KindInfo{
	Kind: kindCertificate, ByRef: true, NeedsAlive: true, Propagation: propagation,
	Authority: "token with update on MOUNT/revoke, or on MOUNT/revoke-with-key where the private key is known, and read on MOUNT/crl/rotate",
	Effect:    "relying parties that read the issuer's revocation list refuse it from their next reading on",
	Source:    "https://developer.hashicorp.com/vault/api-docs/secret/pki#revoke-certificate",
}
