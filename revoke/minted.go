package revoke

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clawback/revoke/credential"
)

const (
	// minterPatience is how long a credential waits at most for those that could mint it again: a
	// provider that hangs must not keep it alive.
	minterPatience = 15 * time.Second
	mintedTimeout  = 30 * time.Second // of one look for what was minted: it takes many requests
)

// ErrUnkillable means that nothing but its expiry ends a credential.
var ErrUnkillable = errors.New("nothing ends it before it expires")

// gate holds up the credentials of one kind while something that mints them is still to be revoked.
type gate struct {
	closed int // how many keep it closed
	open   chan struct{}
}

// gated lists the kinds that wait for the credential: those that it can mint, and that cannot mint it.
func (ch *chain) gated() (kinds []string) {
	for _, minted := range ch.kind.Mints {
		k := ch.lane.info.kind(minted)
		if minted != ch.c.Kind && (k == nil || !slices.Contains(k.Mints, ch.c.Kind)) {
			kinds = append(kinds, minted)
		}
	}
	return kinds
}

// holdBackLocked says that the credential's revocation is to come: what it could mint waits for it.
func (ch *chain) holdBackLocked() {
	gates := ch.sweep.gates
	ch.ahead = true
	ch.lane.comes()
	for _, kind := range ch.gated() {
		if gates[kind] == nil {
			gates[kind] = &gate{open: make(chan struct{})}
		}
		gates[kind].closed++
	}
}

// pass lets go what waited for the credential's revocation, which is accepted, or does not come.
func (ch *chain) pass() {
	s := ch.sweep
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ch.ahead {
		return
	}
	ch.ahead = false
	ch.lane.passed()
	for _, kind := range ch.gated() {
		g := s.gates[kind]
		if g.closed--; g.closed == 0 {
			close(g.open)
			delete(s.gates, kind)
		}
	}
}

// afterMinters waits until the revocations of all that could mint the credential again were accepted,
// or were given up. It returns why ctx is done.
func (ch *chain) afterMinters(ctx context.Context) error {
	s := ch.sweep
	s.mu.Lock()
	g := s.gates[ch.c.Kind]
	s.mu.Unlock()
	if g == nil {
		return context.Cause(ctx)
	}
	ch.leave()
	waiting, cancel := withTimeout(ctx, s.Clock, minterPatience)
	defer cancel()
	select {
	case <-g.open:
	case <-waiting.Done():
	}
	return context.Cause(ctx)
}

// lookForMinted asks what the credential minted, and hands on what it is told: once its revocation
// was accepted, and again when it is dead, since it may have been used in between. The chain is busy
// meanwhile, so that the sweep takes what is found.
func (ch *chain) lookForMinted(ctx context.Context) {
	e, ok := ch.enumerator()
	if !ok {
		return
	}
	ctx, cancel := withTimeout(ctx, ch.lane.clock, mintedTimeout)
	defer cancel()
	found, err := ch.minted(ctx, e)
	ch.sweep.Ledger.Minted(ch.c, found, err)
}

func (ch *chain) enumerator() (Enumerator, bool) {
	if ch.lane == nil || len(ch.kind.Mints) == 0 {
		return nil, false
	}
	e, ok := ch.lane.provider.(Enumerator)
	return e, ok
}

// minted asks from a place in the lane. What does not belong to the provider, or is of a kind that
// the credential does not mint, is left out: nothing else is killed on its word.
func (ch *chain) minted(ctx context.Context, e Enumerator) (found []credential.Credential, err error) {
	leave, err := ch.lane.enter(ctx, ch.priority(looking), mintedTimeout)
	if err != nil {
		return nil, fmt.Errorf("the provider was not asked what it minted: %w", err)
	}
	defer leave()
	var all []credential.Credential
	aside(func() {
		defer func() {
			if recover() != nil { // what is thrown may quote a secret
				all, err = nil, ErrFault
			}
		}()
		all, err = e.Minted(ctx, ch.c)
	})
	return slices.DeleteFunc(all, func(c credential.Credential) bool {
		return c.Provider != ch.c.Provider || !slices.Contains(ch.kind.Mints, c.Kind) || c.Secret.Empty() && c.Ref["id"] == ""
	}), err
}

// outlive settles a credential that nothing ends. One that expires soon is waited for and proved.
func (ch *chain) outlive(ctx context.Context) error {
	until := "when it expires is not known"
	left := ch.c.Expires.Sub(ch.now())
	if !ch.c.Expires.IsZero() {
		until = "until " + ch.c.Expires.UTC().Format(time.RFC3339)
	}
	if !ch.c.Expires.IsZero() && left <= outagePatience && ch.probeable() {
		if left > 0 {
			if err := ch.rest(ctx, left); err != nil {
				return err
			}
		}
		return ch.prove(ctx)
	}
	v := Verdict{Answer: "not asked"}
	if ch.probeable() {
		var err error
		if v, err = ch.probe(ctx, looking, baselineTimeout); err != nil {
			return err
		}
		ch.lane.giveBack(&ch.held)
	}
	err := fmt.Errorf("%w (%s), %s: %s", ErrUnkillable, ch.kind.Unkillable, until, v.Answer)
	switch v.Outcome {
	case Refused:
		return ch.prove(ctx)
	case Alive:
		return ch.settle(Change{Life: credential.Alive, Err: err})
	}
	return ch.settle(Change{Life: credential.Unverified, Err: err})
}
