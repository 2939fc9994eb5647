package revoketest

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"clawback/revoke"
)

// The checks of this file are of the fake and of the suite itself: a fake that does not do what its
// knobs say makes every check pass that turns one.

// checkFlipped turns a fake that keeps everything alive against the suite's own proofs of a death:
// all of them have to fail.
func checkFlipped(w *world) error {
	w.fake.Knobs().SetStayAlive(true)
	c := w.mint()
	if err := w.kill(c); err != nil {
		return fmt.Errorf("it does not accept the revocation: %w", err)
	}
	if !w.fake.Alive(c) {
		return errors.New("the fake does not stay alive as its knobs say")
	}
	if err := w.mustDie(c); err == nil && w.verifiable() {
		return errors.New("what was accepted and not done passes for a death")
	}
	for name, run := range map[string]func(*world) error{"lives, then dies": checkDeath, "by hand": checkManual, "revoking twice": checkIdempotent} {
		// Only the fake's own word tells that what no probe can judge lives on.
		told := name == "lives, then dies" || w.verifiable()
		applies := name == "lives, then dies" || w.nothingRevokes() == (name == "by hand")
		if err := run(w); err == nil && told && applies {
			return fmt.Errorf("the suite passes all the same: %s", name)
		}
		w.fake.Knobs().SetLag(0)
	}
	return nil
}

// checkNodes sees a revoked credential refused by most nodes and taken by one: were it taken by none,
// the checks of lagging nodes would have nothing to be deceived by.
func checkNodes(w *world) error {
	if !w.verifiable() {
		return nil
	}
	seen := make(map[revoke.Outcome]int)
	for _, nth := range []int{2, 3, 4} { // one probe may be several looks
		c := w.mint()
		_ = w.verify(c)
		if err := w.kill(c); err != nil {
			return err
		}
		w.fake.Knobs().SetLaggingNode(nth)
		for range 12 {
			seen[w.verify(c).Outcome]++
			time.Sleep(time.Second)
		}
		w.fake.Knobs().SetLaggingNode(0)
	}
	if seen[revoke.Alive] == 0 || seen[revoke.Refused] == 0 {
		return fmt.Errorf("of a revoked credential %d probes showed alive and %d refused, want both", seen[revoke.Alive], seen[revoke.Refused])
	}
	return nil
}

// dated sees by the date of an answer that the fake's clock is as wrong as its knobs say.
func (w *world) dated(want time.Time) error {
	resp, err := w.env.HTTP.Get("https://" + w.fake.Hosts()[0] + "/")
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if got, err := http.ParseTime(resp.Header.Get("Date")); err != nil || got.Sub(want).Abs() > time.Second {
		return fmt.Errorf("the fake's clock is not set as its knobs say: its answer is of %q", resp.Header.Get("Date"))
	}
	return nil
}
