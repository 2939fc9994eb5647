package revoke_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// stub is a provider without a wire, for what needs an exact order of things.
type stub struct {
	info   revoke.Info
	took   time.Duration // of every exchange
	revoke func(context.Context, credential.Credential) (revoke.Receipt, error)
	verify func(context.Context, credential.Credential) revoke.Verdict

	mu   sync.Mutex
	log  []string // "revoke NAME", "verify NAME", in the order of their beginnings
	at   []time.Time
	dead map[credential.Fingerprint]bool
}

func newStub(kinds ...revoke.KindInfo) *stub {
	return &stub{info: revoke.Info{Name: "stub", Kinds: kinds}, dead: make(map[credential.Fingerprint]bool)}
}

var prompt = revoke.Propagation{Budget: 10 * time.Second, Every: 5 * time.Second}

func (s *stub) Info() revoke.Info { return s.info }

func (s *stub) Inspect(context.Context, credential.Credential) (revoke.Exposure, error) {
	return revoke.Exposure{}, nil
}

func (s *stub) begin(what string, c credential.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what+" "+c.Masked)
	s.at = append(s.at, time.Now())
}

func (s *stub) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// sleep stands for the wire: a context that ends cuts it short.
func (s *stub) sleep(ctx context.Context) error { return fake.Wall{}.Sleep(ctx, s.took) }

func (s *stub) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	s.begin("revoke", c)
	if s.revoke != nil {
		return s.revoke(ctx, c)
	}
	if err := s.sleep(ctx); err != nil {
		return revoke.Receipt{}, err
	}
	return s.kill(c), nil
}

func (s *stub) kill(c credential.Credential) revoke.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead[c.Fingerprint] = true
	return revoke.Receipt{Answer: "202"}
}

func (s *stub) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	s.begin("verify", c)
	if s.verify != nil {
		return s.verify(ctx, c)
	}
	if err := s.sleep(ctx); err != nil {
		return revoke.Verdict{Answer: err.Error()}
	}
	return s.verdict(c)
}

func (s *stub) verdict(c credential.Credential) revoke.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead[c.Fingerprint] {
		return revoke.Verdict{Outcome: revoke.Refused, Answer: "401"}
	}
	return revoke.Verdict{Outcome: revoke.Alive, Answer: "200"}
}

// batchStub takes all its credentials in batches, but for those of the kind "alone".
type batchStub struct {
	*stub
	batches []int
	fail    func(n int) error // of the nth batch, counted from 0
}

func (s *batchStub) Batchable(c credential.Credential) bool { return c.Kind != "alone" }

func (s *batchStub) RevokeBatch(ctx context.Context, cs []credential.Credential) (revoke.Receipt, error) {
	s.mu.Lock()
	n := len(s.batches)
	s.batches = append(s.batches, len(cs))
	s.mu.Unlock()
	for _, c := range cs {
		s.begin("revoke", c)
	}
	if err := s.sleep(ctx); err != nil {
		return revoke.Receipt{}, err
	}
	if s.fail != nil {
		if err := s.fail(n); err != nil {
			return revoke.Receipt{}, err
		}
	}
	for _, c := range cs {
		s.kill(c)
	}
	return revoke.Receipt{Answer: "202"}, nil
}

// cred is a credential of the stub's.
func cred(name, kind string, tier int) credential.Credential {
	return credential.Credential{
		Provider: "stub", Kind: kind, Masked: name, Tier: tier, Secret: credential.Value(rand.Text()),
		Fingerprint: credential.Fingerprint(name),
	}
}

// stubSweep is a sweep over one stub, in the background.
type stubSweep struct {
	*revoke.Sweep
	ledger *ledger
	found  chan credential.Credential
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

func startStub(p revoke.Provider, change func(*revoke.Sweep, *ledger)) *stubSweep {
	l := &ledger{}
	s := &stubSweep{
		ledger: l, found: make(chan credential.Credential), ended: make(chan struct{}),
		Sweep: &revoke.Sweep{Providers: map[string]revoke.Provider{"stub": p}, Clock: fake.Wall{}, Ledger: l},
	}
	if change != nil {
		change(s.Sweep, l)
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancelCause(context.Background())
	go func() { defer close(s.ended); s.Run(ctx, s.found) }()
	return s
}

// finish says that no further credential comes, and waits for the end.
func (s *stubSweep) finish() {
	close(s.found)
	<-s.ended
	s.cancel(nil)
}

func (s *stubSweep) tell(t *testing.T, c credential.Credential, command revoke.Command) {
	t.Helper()
	if err := s.Tell(c.Fingerprint, command); err != nil {
		t.Errorf("Tell = %v", err)
	}
}
