package revoketest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/fake"
)

// A page as a proxy or captive portal shows it: its status says nothing about a credential.
const page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Invalid credentials: sign in to the network</body></html>"

// asked is a wait that no backoff arrives at by chance.
const asked = 17 * time.Second

type faultCase struct {
	name  string
	fault fake.Fault
}

func faultCases() []faultCase {
	html := func(status int) fake.Fault { return fake.Fault{Status: status, Body: page, Type: "text/html"} }
	limited := html(429)
	limited.RetryAfter = asked
	return []faultCase{
		{"401 from a proxy", html(401)},
		{"403 from a proxy", html(403)},
		{"404 from a proxy", html(404)},
		{"400 from a proxy", html(400)},
		{"407", html(407)},
		{"429 with Retry-After", limited},
		{"500", html(500)}, {"502", html(502)}, {"503", html(503)},
		{"200 from a captive portal", html(200)},
		{"200 empty", fake.Fault{Status: 200, Type: "application/json"}},
		{"200 of other JSON", fake.Fault{Status: 200, Body: `{"hello":"world"}`, Type: "application/json"}},
		{"200 of a list", fake.Fault{Status: 200, Body: `[]`, Type: "application/json"}},
		{"401 of other JSON", fake.Fault{Status: 401, Body: `{"hello":"world"}`, Type: "application/json"}},
		{"401 empty", fake.Fault{Status: 401}},
		{"redirect", fake.Fault{Status: 302, Body: "moved"}},
		{"endless answer", fake.Fault{Status: 401, Body: strings.Repeat(" ", 2<<20), Type: "application/json"}},
		{"hang", fake.Fault{Hang: true}},
		{"cut body", fake.Fault{Cut: true}},
		{"cut refusal", fake.Fault{Cut: true, Status: 401}},
	}
}

func faultChecks() []check {
	var all []check
	for _, f := range faultCases() {
		all = append(all,
			check{"verify under " + f.name, func(w *world) error { return checkVerifyUnder(w, f) }},
			check{"revoke under " + f.name, func(w *world) error { return checkRevokeUnder(w, f) }},
			check{"change lost to " + f.name, func(w *world) error { return checkUncertain(w, f, false) }},
			check{"never dead under " + f.name, func(w *world) error { return checkDeceitUnder(w, f) }})
	}
	return append(all, check{"answer lost after the change", func(w *world) error {
		return checkUncertain(w, faultCase{"cut after", fake.Fault{CutAfter: true}}, true)
	}})
}

func always(f fake.Fault) func(*http.Request) fake.Fault {
	return func(*http.Request) fake.Fault { return f }
}

// checkVerifyUnder tries a live and a dead credential: a faulty answer tells nothing about either.
func checkVerifyUnder(w *world, f faultCase) error {
	for _, dead := range []bool{false, true} {
		c := w.mint()
		if dead {
			w.fake.RevokeByHand(c)
		}
		w.fake.Knobs().SetFault(always(f.fault))
		before, start := w.served.Load(), time.Now()
		v := w.verify(c)
		sent := w.served.Load() - before
		w.fake.Knobs().SetFault(nil)
		// A 403 that the provider's documents read as "works, may not do this" is the one exception.
		if v.Outcome != revoke.Inconclusive && (f.fault.Status != 403 || v.Outcome != revoke.Alive) {
			return fmt.Errorf("dead=%v: verify showed %s, want inconclusive", dead, saw(v))
		}
		if sent > 0 && v.RetryAfter != f.fault.RetryAfter {
			return fmt.Errorf("the verdict asks to wait %v, want %v", v.RetryAfter, f.fault.RetryAfter)
		}
		if sent > 0 && v.Answer == "" {
			return errors.New("the verdict does not say what was seen")
		}
		if sent > 1 {
			return fmt.Errorf("one probe sent %d requests", sent)
		}
		if took := time.Since(start); took > patience {
			return fmt.Errorf("took %v, its context allowed %v", took, patience)
		}
	}
	return nil
}

func checkRevokeUnder(w *world, f faultCase) error {
	if w.nothingRevokes() {
		return nil
	}
	c := w.mint()
	w.fake.Knobs().SetFault(always(f.fault))
	start := time.Now()
	err := w.unchanged(func() error {
		r, err := w.revoke(c)
		if err == nil {
			return fmt.Errorf("a soft failure reads as success: %+v", r)
		}
		return wantRevokeError(f.fault, err)
	})
	if err != nil {
		return err
	}
	if took := time.Since(start); took > patience {
		return fmt.Errorf("took %v, its context allowed %v", took, patience)
	}
	w.fake.Knobs().SetFault(nil)
	if err := w.expect(c, revoke.Alive); err != nil {
		return err
	}
	if err := w.kill(c); err != nil {
		return fmt.Errorf("once the fault is over: %w", err)
	}
	return w.mustDie(c)
}

// wantRevokeError says which errors the sweep needs to decide well.
func wantRevokeError(f fake.Fault, err error) error {
	var retry *revoke.RetryError
	switch {
	case f.Status == 429 && !errors.As(err, &retry):
		return fmt.Errorf("revoke returned %v, want a RetryError", err)
	case f.Status == 429 && retry.After != f.RetryAfter:
		return fmt.Errorf("the RetryError asks to wait %v, want %v", retry.After, f.RetryAfter)
	case f.Status >= 500 && !errors.As(err, &retry) && !errors.Is(err, revoke.ErrUncertain):
		return fmt.Errorf("revoke returned %v, want a RetryError or ErrUncertain", err)
	}
	return nil
}

// checkUncertain lets every read through and breaks the changes alone.
func checkUncertain(w *world, f faultCase, done bool) error {
	if w.nothingRevokes() {
		return nil
	}
	c := w.mint()
	w.fake.Knobs().SetFault(w.onlyChanges(f.fault))
	r, err := w.revoke(c)
	w.fake.Knobs().SetFault(nil)
	lost := done || f.fault.Hang || f.fault.Cut || f.fault.Status >= 500
	switch {
	case err == nil:
		return fmt.Errorf("a soft failure reads as success: %+v", r)
	case lost && !errors.Is(err, revoke.ErrUncertain):
		return fmt.Errorf("revoke returned %v, want ErrUncertain", err)
	}
	if err := wantRevokeError(f.fault, err); err != nil {
		return err
	}
	if !done {
		if err := w.expect(c, revoke.Alive); err != nil {
			return err
		}
	}
	if err := w.kill(c); err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	return w.mustDie(c)
}

func (w *world) onlyChanges(f fake.Fault) func(*http.Request) fake.Fault {
	guard := revoke.ReadOnly(nowhere{}, w.info.Reads, "")
	return func(r *http.Request) fake.Fault {
		if _, err := guard.RoundTrip(r); errors.Is(err, revoke.ErrNotARead) {
			return f
		}
		return fake.Fault{}
	}
}

// nowhere is where the guard would send a read, were it asked to.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.EOF }

// deceitChecks are the ways in which a provider keeps a credential alive after it was revoked.
func deceitChecks() []check {
	set := func(f func(*world)) func(*world) error {
		return func(w *world) error { f(w); return w.killInVain() }
	}
	return []check{
		{"never dead: accepted and not done", set(func(w *world) { w.fake.Knobs().SetStayAlive(true) })},
		{"never dead: long lag", set(func(w *world) { w.fake.Knobs().SetLag(100 * (w.kind.Propagation.Budget + time.Hour)) })},
		{"never dead: every second node lags", set(func(w *world) { w.fake.Knobs().SetLaggingNode(2) })},
		{"never dead: every third node lags", set(func(w *world) { w.fake.Knobs().SetLaggingNode(3) })},
		{"never dead: another credential died", checkNeighbour},
		{"never dead: the provider's clock is ahead", func(w *world) error { return checkClock(w, 11*time.Minute) }},
		{"never dead: the provider's clock is behind", func(w *world) error { return checkClock(w, -11*time.Minute) }},
		{"a fake that stays alive fails", checkFlipped},
		{"the fake has nodes that lag", checkNodes},
	}
}

func (w *world) killInVain() error {
	c := w.mint()
	if err := w.kill(c); err != nil {
		return err
	}
	dead, err := w.prove(c)
	if err == nil && dead {
		err = errors.New("called dead while a node of the provider accepts it")
	}
	return err
}

// checkDeceitUnder: the revocation was accepted and not done, and every later answer is faulty.
func checkDeceitUnder(w *world, f faultCase) error {
	w.fake.Knobs().SetStayAlive(true)
	c := w.mint()
	if err := w.kill(c); err != nil {
		return err
	}
	w.fake.Knobs().SetFault(always(f.fault))
	dead, err := w.prove(c)
	if err == nil && dead {
		err = errors.New("called dead")
	}
	return err
}

// checkClock: the provider's clock is not ours. A live credential is not refused for that, and a
// revocation that was accepted either shows or stays without a proof.
func checkClock(w *world, skew time.Duration) error {
	w.fake.Knobs().SetSkew(skew)
	if err := w.dated(time.Now().Add(skew)); err != nil {
		return err
	}
	c := w.mint()
	if v := w.verify(c); v.Outcome == revoke.Refused {
		return fmt.Errorf("a live credential: verify showed %s", saw(v))
	}
	if err := w.kill(c); err != nil {
		return nil // not accepted, and said so
	}
	_, err := w.prove(c)
	return err
}

func checkNeighbour(w *world) error {
	c, other := w.mint(), w.mint()
	if !c.Secret.Empty() && c.Secret.Equal(other.Secret) {
		return errors.New("the fake minted the same secret twice")
	}
	if err := w.kill(other); err != nil {
		return err
	}
	if !w.fake.Alive(c) { // a provider may kill more than it was asked, if the fake says so
		return nil
	}
	return w.expect(c, revoke.Alive)
}
