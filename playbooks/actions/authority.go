package actions

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// ErrRisk means that an authority is there and may not be used on the machine under suspicion.
var ErrRisk = errors.New("an authority is not used on a suspect host")

// Authorities are the responder's own credentials, by provider.
type Authorities struct {
	Load     map[string]func(context.Context) (revoke.Authority, error)
	Suspect  bool // the desk is the machine under suspicion
	Accepted bool // the responder accepted to use them there
	// Runs are the providers whose authority it takes a program of the desk's to load: none is run on
	// the machine under suspicion before that was accepted.
	Runs map[string]bool
	// Forget makes the next Load of a provider's authority read it anew, where it is remembered for a
	// while; Renewal says how a person renews it: "az login".
	Forget  map[string]func()
	Renewal map[string]string
	// Try tests an authority that is no provider's, with reads alone, and says who it is.
	Try map[string]func(context.Context) (who string, err error)

	mu   sync.Mutex
	used map[string]revoke.Authority
}

// For returns what a provider's Env asks for.
func (a *Authorities) For(provider string) func(context.Context) (revoke.Authority, error) {
	return func(ctx context.Context) (revoke.Authority, error) {
		load := a.Load[provider]
		switch {
		case load == nil:
			return revoke.Authority{}, revoke.ErrNoAuthority
		case a.Suspect && !a.Accepted:
			return revoke.Authority{}, fmt.Errorf("%w: %w", revoke.ErrNoAuthority, ErrRisk)
		}
		got, err := load(ctx)
		if err != nil {
			return revoke.Authority{}, fmt.Errorf("%w: %w", revoke.ErrNoAuthority, err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.used == nil {
			a.used = make(map[string]revoke.Authority)
		}
		a.used[provider] = got
		return got, nil
	}
}

// Used returns the authorities that were used, by provider.
func (a *Authorities) Used() map[string]revoke.Authority {
	a.mu.Lock()
	defer a.mu.Unlock()
	used := make(map[string]revoke.Authority, len(a.used))
	for p, auth := range a.used {
		used[p] = auth
	}
	return used
}

// Holds reports whether a found credential is its provider's authority, used or not.
func (a *Authorities) Holds(ctx context.Context, c credential.Credential) bool {
	load := a.Load[c.Provider]
	if load == nil || a.Suspect && !a.Accepted && a.Runs[c.Provider] {
		return false
	}
	auth, err := load(ctx)
	if err != nil {
		return false
	}
	part := "value"
	if k, ok := credential.Lookup(auth.Kind); ok && k.NamePart != "" {
		part = k.NamePart
	}
	mine := auth.Secret.Reveal(part)
	return mine != "" && mine == c.Secret.Reveal(part)
}
