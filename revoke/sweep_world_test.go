package revoke_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/providers/aws/awsfake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
	"clawback/revoke/providers/slack"
	"clawback/revoke/providers/slack/slackfake"
	"clawback/revoke/providers/stripe"
	"clawback/revoke/providers/stripe/stripefake"
	"clawback/revoke/revoketest"
)

// errDeadline is the cause with which the tests end a sweep.
var errDeadline = errors.New("the deadline of the test has passed")

// world is the four real providers over their fakes, and a sweep over those.
type world struct {
	t         testing.TB
	github    *githubfake.Fake
	fakes     map[string]fake.Provider
	net       *fake.Network
	client    *http.Client
	authority map[string]credential.Credential
	key       credential.FingerprintKey
	held      []credential.Credential
	ledger    *ledger
	sweep     *revoke.Sweep
}

func newWorld(t testing.TB) *world {
	clock := fake.Wall{}
	gh := githubfake.New(clock)
	fakes := []fake.Provider{awsfake.New(clock), gh, slackfake.New(clock), stripefake.New(clock)}
	w := &world{
		t: t, github: gh, net: fake.NewNetwork(fakes...), key: credential.NewFingerprintKey(),
		fakes: make(map[string]fake.Provider), authority: make(map[string]credential.Credential),
	}
	w.client = w.net.Client()
	for _, f := range fakes {
		w.fakes[f.Name()] = f
		if c, ok := f.MintAuthority(); ok {
			w.authority[f.Name()] = c
		}
	}
	w.ledger = &ledger{}
	w.sweep = w.newSweep(w.client, w.ledger)
	w.ledger.changed = w.mustNotWork
	return w
}

// newSweep is a sweep by a process that remembers nothing.
func (w *world) newSweep(client *http.Client, l revoke.Ledger) *revoke.Sweep {
	clock := fake.Wall{}
	s := &revoke.Sweep{Providers: make(map[string]revoke.Provider), Clock: clock, Ledger: l}
	news := map[string]revoke.New{"aws": aws.New, "github": github.New, "slack": slack.New, "stripe": stripe.New}
	for name := range w.fakes {
		env := revoke.Env{HTTP: client, Sleep: clock.Sleep, Now: clock.Now}
		if c, ok := w.authority[name]; ok {
			env.Authority = func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Secret: c.Secret, Kind: c.Kind, From: "the test"}, nil
			}
		}
		p, err := news[name](env)
		if err != nil {
			w.t.Fatal(err)
		}
		s.Providers[name] = p
	}
	return s
}

// mustNotWork is the worst error that there is.
func (w *world) mustNotWork(c credential.Credential, l revoke.Change) {
	if l.Life == credential.Dead && w.fakes[c.Provider].Alive(c) {
		w.t.Errorf("%s was called dead while it works: %s", c, l.Proof)
	}
}

// hold mints credentials for the agent.
func (w *world) hold(kind string, n int) []credential.Credential {
	k, _ := credential.Lookup(kind)
	var out []credential.Credential
	for range n {
		out = append(out, w.key.Identify(w.fakes[k.Provider].Mint(kind)))
	}
	w.held = append(w.held, out...)
	return out
}

// run sweeps everything that is held, for a time at most, and takes the world down.
func (w *world) run(patience time.Duration) {
	w.t.Helper()
	w.start(patience)()
}

// start begins the sweep of everything that is held, and returns what waits for its end.
func (w *world) start(patience time.Duration) (wait func()) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errDeadline)
	ended := make(chan struct{})
	go func() { defer close(ended); w.sweep.Run(ctx, all(w.held)) }()
	return func() {
		w.t.Helper()
		<-ended
		cancel()
		w.client.CloseIdleConnections()
		_ = w.net.Close()
		w.mustKeepSecrets()
	}
}

func all(cs []credential.Credential) <-chan credential.Credential {
	found := make(chan credential.Credential, len(cs))
	for _, c := range cs {
		found <- c
	}
	close(found)
	return found
}

// mustKeepSecrets looks for pieces of the secrets in all that the sweep said.
func (w *world) mustKeepSecrets() {
	if len(w.held) > 50 {
		return // takes minutes, and shows nothing new
	}
	said := w.ledger.said()
	for _, c := range append(slices.Clone(w.held), w.authority["aws"], w.authority["stripe"]) {
		if where, ok := revoketest.Leak(said, c); ok {
			w.t.Errorf("%s shows a piece of the secret of a %s", where, c.Kind)
		}
	}
}

func (w *world) lag(d time.Duration) {
	for _, f := range w.fakes {
		f.Knobs().SetLag(d)
	}
}

// calls is what all fakes were asked.
func (w *world) calls() (out []fake.Call) {
	for _, f := range w.fakes {
		out = append(out, f.Knobs().Calls()...)
	}
	return out
}

// slowest is the longest chain, from the first request about a credential to the last one.
func (w *world) slowest(cs []credential.Credential) (longest time.Duration) {
	chains := fake.Spans(w.calls())
	for _, c := range cs {
		longest = max(longest, chains[nameOf(c)])
	}
	return longest
}

// nameOf is the name of a credential in the fakes' record.
func nameOf(c credential.Credential) string { return cmp.Or(c.Ref["endpoint"], c.Masked) }

// onMutations is a fault of everything but the provider's declared reads.
func (w *world) onMutations(name string, f fake.Fault) func(*http.Request) fake.Fault {
	guard := revoke.ReadOnly(nowhere{}, w.sweep.Providers[name].Info().Reads, "")
	return func(r *http.Request) fake.Fault {
		if _, err := guard.RoundTrip(r); errors.Is(err, revoke.ErrNotARead) {
			return f
		}
		return fake.Fault{}
	}
}

type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("a read") }

// entry is one line of the test's ledger.
type entry struct {
	at       time.Time
	what     string // baseline, intent, receipt, probe, life
	of       credential.Fingerprint
	batch    int
	verdict  revoke.Verdict
	exposure revoke.Exposure
	receipt  revoke.Receipt
	probe    revoke.Probe
	change   revoke.Change
	minted   []credential.Credential
}

// ledger keeps what the sweep writes down.
type ledger struct {
	intent  func(context.Context, []credential.Credential) error
	receipt func()
	changed func(credential.Credential, revoke.Change)
	minted  func([]credential.Credential)

	mu      sync.Mutex
	entries []entry
	newest  map[credential.Fingerprint]revoke.Change
}

func (l *ledger) add(c credential.Credential, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.at, e.of = time.Now(), c.Fingerprint
	l.entries = append(l.entries, e)
}

func (l *ledger) Baseline(c credential.Credential, v revoke.Verdict, x revoke.Exposure) {
	l.add(c, entry{what: "baseline", verdict: v, exposure: x})
}

func (l *ledger) Intent(ctx context.Context, cs []credential.Credential) error {
	if l.intent != nil {
		if err := l.intent(ctx, cs); err != nil {
			return err
		}
	}
	for _, c := range cs {
		l.add(c, entry{what: "intent", batch: len(cs)})
	}
	return nil
}

func (l *ledger) Receipt(c credential.Credential, r revoke.Receipt) {
	l.add(c, entry{what: "receipt", receipt: r})
	if l.receipt != nil {
		l.receipt()
	}
}

func (l *ledger) Probe(c credential.Credential, p revoke.Probe) {
	l.add(c, entry{what: "probe", probe: p})
}

func (l *ledger) Life(c credential.Credential, ch revoke.Change) {
	if l.changed != nil {
		l.changed(c, ch)
	}
	l.add(c, entry{what: "life", change: ch})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest == nil {
		l.newest = make(map[credential.Fingerprint]revoke.Change)
	}
	l.newest[c.Fingerprint] = ch
}

func (l *ledger) Minted(c credential.Credential, found []credential.Credential, err error) {
	l.add(c, entry{what: "minted", minted: found, change: revoke.Change{Err: err}})
	if l.minted != nil {
		l.minted(found)
	}
}

// of returns the entries about a credential, of some sorts or of all.
func (l *ledger) of(c credential.Credential, what ...string) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []entry
	for _, e := range l.entries {
		if e.of == c.Fingerprint && (len(what) == 0 || slices.Contains(what, e.what)) {
			out = append(out, e)
		}
	}
	return out
}

// last is how a credential stands.
func (l *ledger) last(c credential.Credential) revoke.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest[c.Fingerprint]
}

func (l *ledger) count(life credential.Life, cs []credential.Credential) int {
	n := 0
	for _, c := range cs {
		if l.last(c).Life == life {
			n++
		}
	}
	return n
}

// said renders all that was written down, by the number of its line.
func (l *ledger) said() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]string)
	for i, e := range l.entries {
		out[fmt.Sprintf("entry %d (%s)", i, e.what)] = fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v\n%v",
			e.verdict, e.exposure, e.receipt, e.probe, e.change, errorTexts(e.change.Err))
	}
	return out
}

// errorTexts are the texts of every error that a caller could reach.
func errorTexts(err error) (texts []string) {
	if err == nil {
		return nil
	}
	texts = append(texts, err.Error())
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		texts = append(texts, errorTexts(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			texts = append(texts, errorTexts(inner)...)
		}
	}
	return texts
}

// want checks how a credential ended.
func (l *ledger) want(t testing.TB, c credential.Credential, life credential.Life, because error) {
	t.Helper()
	got := l.last(c)
	if got.Life != life || because != nil && !errors.Is(got.Err, because) {
		t.Errorf("%s %s ended as %q (%v), want %q (%v)", c.Kind, c, got.Life, got.Err, life, because)
	}
}

// inBubble runs each case in virtual time.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}
