// Package revoketest is the conformance suite that every provider passes: what package revoke
// promises of a provider, tried against the provider's fake in virtual time and under every fault
// that a fake knows.
package revoketest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Suite is a provider and its fake.
//
// The fake is also served below a path prefix of another host, which http.StripPrefix takes off:
// a fake that checks a signature over host and path has to take them from r.Host and r.RequestURI.
type Suite struct {
	New  revoke.New
	Fake func(fake.Clock) fake.Provider
}

// Run runs every check for every kind of credential that the fake mints.
func Run(t *testing.T, s Suite) {
	t.Run("info", func(t *testing.T) { s.run(t, check{"info", checkInfo}, "") })
	kinds := s.Fake(fake.Wall{}).Kinds()
	if len(kinds) == 0 {
		t.Error("the fake mints no kind of credential")
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, c := range checks() {
				t.Run(c.name, func(t *testing.T) { s.run(t, c, kind) })
			}
		})
	}
}

// check is one promise. It returns an error, so that the suite itself can be tested.
type check struct {
	name string
	run  func(*world) error
}

func checks() []check {
	all := []check{
		{"lives, then dies", checkDeath},
		{"revoking twice", checkIdempotent},
		{"dead before", checkAlready},
		{"by hand", checkManual},
		{"a cancelled context sends nothing", checkCancelled},
		{"reads only", checkReads},
		{"no secret is known", checkRefOnly},
		{"hostile secrets", checkHostile},
		{"pinned endpoint", checkEndpoint},
		{"many at once", checkConcurrent},
		{"undo", checkUndo},
		{"batch", checkBatch},
		{"no authority", checkNoAuthority},
		{"authority refused", checkRefusedAuthority},
		{"secrets stay inside", checkEchoes},
	}
	all = append(all, faultChecks()...)
	return append(all, deceitChecks()...)
}

func (s Suite) run(t *testing.T, c check, kind string) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(s, kind)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		if err := c.run(w); err != nil {
			t.Error(err)
		}
	})
}

// patience is how long one call may take, as it would under a sweep.
const patience = 10 * time.Second

// world is one fake, its network, and one provider that sees nothing else.
type world struct {
	suite     Suite
	fake      fake.Provider
	net       *fake.Network
	served    atomic.Int64 // requests that arrived anywhere
	authority credential.Credential
	env       revoke.Env
	provider  revoke.Provider
	info      revoke.Info
	kind      revoke.KindInfo
}

func newWorld(s Suite, kind string) (*world, error) {
	w := &world{suite: s, fake: s.Fake(fake.Wall{}), net: fake.NewNetwork()}
	for _, host := range w.fake.Hosts() {
		w.net.Handle(host, w.count(w.fake))
	}
	w.env = revoke.Env{HTTP: w.net.Client(), Authority: w.authorize, Sleep: fake.Wall{}.Sleep, Now: time.Now}
	w.authority, _ = w.fake.MintAuthority()
	var err error
	if w.provider, err = s.New(w.env); err != nil {
		w.close()
		return nil, fmt.Errorf("make the provider: %w", err)
	}
	w.info = w.provider.Info()
	var known bool
	if w.kind, known = w.info.Kind(kind); kind != "" && !known {
		w.close()
		return nil, fmt.Errorf("the fake mints %s, of which Info says nothing", kind)
	}
	return w, nil
}

func (w *world) close() {
	w.env.HTTP.CloseIdleConnections()
	_ = w.net.Close()
}

// count serves h and counts what arrives, faulty or not.
func (w *world) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.served.Add(1)
		h.ServeHTTP(rw, r)
	})
}

func (w *world) authorize(ctx context.Context) (revoke.Authority, error) {
	if w.authority.Secret.Empty() {
		return revoke.Authority{}, revoke.ErrNoAuthority
	}
	return revoke.Authority{Secret: w.authority.Secret, Kind: w.authority.Kind, From: "the conformance suite"}, ctx.Err()
}

func (w *world) mint() credential.Credential { return w.fake.Mint(w.kind.Kind) }

func (w *world) verifiable() bool { return w.kind.Unverifiable == "" }

func (w *world) needsAuthority() bool {
	return w.kind.Authority != "" && !w.kind.SelfRevoking && !w.nothingRevokes()
}

// nothingRevokes reports whether no call ends the credential: a person does, or the time.
func (w *world) nothingRevokes() bool { return w.kind.Manual || w.kind.Unkillable != "" }

func (w *world) verify(c credential.Credential) revoke.Verdict {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.provider.Verify(ctx, c)
}

func (w *world) revoke(c credential.Credential) (revoke.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.provider.Revoke(ctx, c)
}

func (w *world) inspect(c credential.Credential) (revoke.Exposure, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.provider.Inspect(ctx, c)
}

// kill revokes the credential in the way that its kind allows. RevokeByHand of a kind that nothing
// ends stands for its expiry.
func (w *world) kill(c credential.Credential) error {
	if w.nothingRevokes() {
		w.fake.RevokeByHand(c)
		return nil
	}
	if _, err := w.revoke(c); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// prove asks as a sweep does, until refusals in a row span the propagation budget, and reports
// whether they did. Calling a credential dead that works is the worst error that there is.
func (w *world) prove(c credential.Credential) (dead bool, err error) {
	p := w.kind.Propagation
	every, need := max(p.Every, time.Second), p.Refusals
	if need == 0 {
		need = 3
	}
	rounds := 2*need + 2*int(p.Budget/every) + 5
	var first time.Time
	row := 0
	for range min(rounds, 500) {
		v := w.verify(c)
		switch v.Outcome {
		case revoke.Refused:
			if row++; row == 1 {
				first = time.Now()
			}
			if row >= need && time.Since(first) >= p.Budget {
				if w.fake.Alive(c) {
					return true, fmt.Errorf("called dead while it works; the last answer was %q", v.Answer)
				}
				return true, nil
			}
		case revoke.Alive:
			row = 0
		}
		time.Sleep(max(every, v.RetryAfter))
	}
	return false, nil
}

// mustDie proves the death of a credential that was revoked.
func (w *world) mustDie(c credential.Credential) error {
	dead, err := w.prove(c)
	switch {
	case err != nil:
		return err
	case dead && !w.verifiable():
		return errors.New("called dead, though Info says that no probe can tell")
	case !dead && w.verifiable():
		return fmt.Errorf("revoked, and not proved dead within its budget: %s", saw(w.verify(c)))
	}
	return nil
}

// expect compares one probe with what it should show. A kind that no probe can judge is only
// ever held to not being refused.
func (w *world) expect(c credential.Credential, want revoke.Outcome) error {
	v := w.verify(c)
	if !w.verifiable() {
		if v.Outcome == revoke.Refused {
			return fmt.Errorf("verify showed %s, though Info says that no probe can tell", saw(v))
		}
		return nil
	}
	if v.Outcome != want {
		return fmt.Errorf("verify showed %s, want %s", saw(v), want)
	}
	return nil
}

// unchanged runs f and reports a change of the fake's state by it.
func (w *world) unchanged(f func() error) error {
	before := w.fake.State()
	if err := f(); err != nil {
		return err
	}
	if w.fake.State() != before {
		return errors.New("the provider's state changed")
	}
	return nil
}

func saw(v revoke.Verdict) string { return fmt.Sprintf("%s (%s)", v.Outcome, v.Answer) }
