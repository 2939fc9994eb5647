package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

var errKilled = errors.New("the process was killed")

// where is the moment at which a process dies.
type where int

const (
	beforeRequest where = iota // it is not sent
	afterRequest               // it is carried out, and nobody reads the answer
	afterEntry                 // it is on disk
)

func (w where) String() string {
	return [...]string{"before request", "after request", "after entry"}[w]
}

// process is a sweep that dies at the kth of something: then it neither sends nor records anything.
type process struct {
	*ledger
	next   http.RoundTripper
	die    func(error)
	dies   where
	at     int // counted from 1; 0 means never
	mu     sync.Mutex
	counts [3]int
	dead   bool
}

// comes reports whether the process is there before, and whether it is after, its next such moment.
func (p *process) comes(w where) (before, after bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return false, false
	}
	p.counts[w]++
	if p.dies == w && p.counts[w] == p.at {
		p.dead = true
		p.die(errKilled)
	}
	return true, !p.dead
}

func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, lives := p.comes(beforeRequest); !lives {
		return nil, errKilled
	}
	resp, err := p.next.RoundTrip(r)
	if _, lives := p.comes(afterRequest); !lives {
		if err == nil {
			_ = resp.Body.Close()
		}
		return nil, errKilled
	}
	return resp, err
}

// write appends an entry, if the process lives.
func (p *process) write(entry func()) (lives bool) {
	before, after := p.comes(afterEntry)
	if before {
		entry()
	}
	return after
}

func (p *process) Baseline(c credential.Credential, v revoke.Verdict, x revoke.Exposure) {
	p.write(func() { p.ledger.Baseline(c, v, x) })
}

func (p *process) Intent(ctx context.Context, cs []credential.Credential) error {
	if !p.write(func() { _ = p.ledger.Intent(ctx, cs) }) {
		return errKilled
	}
	return nil
}

func (p *process) Receipt(c credential.Credential, r revoke.Receipt) {
	p.write(func() { p.ledger.Receipt(c, r) })
}

func (p *process) Probe(c credential.Credential, v revoke.Probe) {
	p.write(func() { p.ledger.Probe(c, v) })
}

func (p *process) Life(c credential.Credential, ch revoke.Change) {
	p.write(func() { p.ledger.Life(c, ch) })
}

func (p *process) Minted(c credential.Credential, found []credential.Credential, err error) {
	p.write(func() { p.ledger.Minted(c, found, err) })
}

// live runs a process over what is not dead yet, with the past that the ledger has, to its end.
func (w *world) live(p *process) {
	p.ledger, p.next = w.ledger, w.net.Transport()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	p.die = cancel
	client := revoke.NewClient(p)
	s := w.newSweep(client, p)
	past := w.ledger.pasts()
	s.Past = func(f credential.Fingerprint) revoke.Past { return past[f] }
	var rest []credential.Credential
	for _, c := range w.held {
		if w.ledger.last(c).Life != credential.Dead {
			rest = append(rest, c)
		}
	}
	s.Run(ctx, all(rest))
	p.next.(*http.Transport).CloseIdleConnections()
}

// pasts is what the ledger says of each credential.
func (l *ledger) pasts() map[credential.Fingerprint]revoke.Past {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[credential.Fingerprint]revoke.Past)
	for _, e := range l.entries {
		p := out[e.of]
		switch e.what {
		case "baseline":
			p.Saw(e.verdict.Outcome)
		case "probe":
			p.Saw(e.probe.Outcome)
		case "intent":
			p.Intended()
		case "receipt":
			p.Received(e.receipt)
		case "life":
			p.Became(e.change.Life)
		}
		out[e.of] = p
	}
	return out
}

// A process that dies at any request or entry is gone on from: nothing that may have been done is
// done again unseen, and nothing is left out.
func TestSweepKilledAndResumed(t *testing.T) {
	for _, lag := range []time.Duration{0, 4 * time.Second} {
		var whole process
		synctest.Test(t, func(t *testing.T) { sweepAgain(t, lag, &whole) })
		tried := 0
		for dies := range where(len(whole.counts)) {
			if lag > 0 && dies != afterRequest {
				continue // no other than without it
			}
			for at := 1; at <= whole.counts[dies]; at++ {
				tried++
				inBubble(t, fmt.Sprintf("%s %d, lag %v", dies, at, lag), func(t *testing.T) {
					processes := []*process{{dies: dies, at: at}}
					if lag > 0 { // it dies twice
						processes = append(processes, &process{dies: afterRequest, at: 1 + at%23})
					}
					sweepAgain(t, lag, processes...)
				})
				if t.Failed() {
					return // one is enough to look at
				}
			}
		}
		if tried < 70 {
			t.Errorf("tried only %d moments", tried)
		}
		t.Logf("killed and resumed at %d moments, with a lag of %v", tried, lag)
	}
}

// sweepAgain sweeps by processes that die, and then by one that does not.
func sweepAgain(t *testing.T, lag time.Duration, processes ...*process) {
	w := newWorld(t)
	for _, kind := range kinds {
		w.hold(kind, 1)
	}
	w.hold("github.pat", 1)
	w.lag(lag)
	for _, p := range append(processes, &process{}) {
		w.live(p)
		time.Sleep(time.Second)
	}
	w.client.CloseIdleConnections()
	_ = w.net.Close()
	if processes[0].at == 0 {
		w.mustKeepSecrets() // takes long, and its other answers are the same
	}
	for _, c := range w.held {
		w.ledger.want(t, c, credential.Dead, nil)
		if l := w.ledger.last(c); l.Weak && len(w.ledger.of(c, "baseline")) > 0 {
			t.Errorf("%s: what was seen alive is proved weakly", c.Kind)
		}
		if c.Kind == "aws.access_key" && len(w.ledger.of(c, "receipt")) == 0 {
			t.Error("nothing says that the deny may be missing")
		}
		w.mustLookBeforeRepeating(t, c)
		w.mustNotCallItBaseline(t, c)
	}
}

// mustLookBeforeRepeating checks what reached the fakes against the looks on record.
func (w *world) mustLookBeforeRepeating(t *testing.T, c credential.Credential) {
	t.Helper()
	last := make(map[string]time.Time)
	for _, call := range w.mutations(c) {
		what := call.Method + " " + call.Path + " " + call.Action
		before := last[what]
		last[what] = call.At
		if !before.IsZero() && !w.ledger.lookedBetween(c, before, call.At) {
			t.Errorf("%s: %s was repeated and nobody looked", c.Kind, what)
		}
	}
	if len(last) == 0 {
		t.Errorf("%s was never revoked", c.Kind)
	}
	for _, receipt := range w.ledger.of(c, "receipt") {
		for what, at := range last {
			if at.After(receipt.at) {
				t.Errorf("%s: %s came after it was accepted", c.Kind, what)
			}
		}
	}
}

// lookedBetween reports whether a look after the first mutation came before the intent of the second.
func (l *ledger) lookedBetween(c credential.Credential, first, second time.Time) bool {
	looked, found := false, false
	for _, e := range l.of(c, "probe", "intent") {
		switch {
		case e.at.After(second):
			return found
		case e.what == "intent":
			found = looked
		case !e.at.Before(first):
			looked = true
		}
	}
	return found
}

// mutations are the changes for a credential that its fake was asked for, oldest first.
func (w *world) mutations(c credential.Credential) (out []fake.Call) {
	actions := map[string][]string{"aws.access_key": {"PutUserPolicy", "UpdateAccessKey"}, "aws.session": {"PutRolePolicy"}}[c.Kind]
	for _, call := range w.fakes[c.Provider].Knobs().Calls() {
		about := slices.Contains(strings.Fields(call.Credential), nameOf(c))
		switch c.Provider {
		case "aws": // signed by the authority
			about = slices.Contains(actions, call.Action)
		case "slack":
			about = about && call.Path == "/api/auth.revoke"
		default:
			about = about && call.Method != http.MethodGet
		}
		if about {
			out = append(out, call)
		}
	}
	return out
}

func (w *world) mustNotCallItBaseline(t *testing.T, c credential.Credential) {
	t.Helper()
	sent := w.mutations(c)
	for _, e := range w.ledger.of(c, "baseline") {
		if len(sent) > 0 && e.at.After(sent[0].At) {
			t.Errorf("%s: a look after its revocation is on record as a baseline", c.Kind)
		}
	}
}
