// Package fake holds what the wire-level fakes of all providers share: the clock they run by, the
// faults they can show, the record of what they were asked, and the in-memory network that is
// the only way to reach them. A fake speaks its provider's protocol and never imports its provider.
package fake

import (
	"net/http"

	"clawback/revoke/credential"
)

// Provider is a simulated provider: an HTTP server with state.
type Provider interface {
	http.Handler
	// Name is the provider's name, as in credential.Credential.Provider.
	Name() string
	// Hosts are the host names under which the real provider is reached.
	Hosts() []string
	// Kinds are the credential kinds that Mint can make.
	Kinds() []string
	// Mint makes a live credential of that kind with random secrets. Provider, Kind, Secret and
	// Ref are set; its fingerprint, mask and sources are not.
	Mint(kind string) credential.Credential
	// MintAuthority makes a live credential with all permissions that revocation needs, and
	// false where this provider's credentials need none.
	MintAuthority() (credential.Credential, bool)
	// Alive reports whether the credential works now, to whoever holds it.
	Alive(c credential.Credential) bool
	// RevokeByHand does what a person does in the provider's own console.
	RevokeByHand(c credential.Credential)
	// State renders all state except for the log of requests, without secrets: equal states have
	// equal texts.
	State() string
	// Knobs are the provider's faults; they may be changed at any time.
	Knobs() *Knobs
}
