package revoketest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

func checkDeath(w *world) error {
	c := w.mint()
	if err := w.expect(c, revoke.Alive); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := w.mustInspect(c); err != nil {
		return err
	}
	w.fake.Knobs().SetLag(w.kind.Propagation.Budget / 2)
	if err := w.kill(c); err != nil {
		return err
	}
	if w.kind.Propagation.Budget > 0 && !w.fake.Alive(c) {
		return errors.New("the fake does not lag as its knobs say")
	}
	if err := w.expect(c, revoke.Alive); err != nil && w.kind.Propagation.Budget > 0 {
		return fmt.Errorf("while the revocation propagates: %w", err)
	}
	if err := w.mustDie(c); err != nil {
		return err
	}
	if w.fake.Alive(c) {
		return errors.New("the fake says that it works in spite of its revocation")
	}
	return w.expect(c, revoke.Refused)
}

func (w *world) mustInspect(c credential.Credential) error {
	e, err := w.inspect(c)
	switch {
	case !w.verifiable():
		return nil
	case err != nil:
		return fmt.Errorf("inspect: %w", err)
	case e.Answer == "":
		return fmt.Errorf("inspect does not say what was seen: %+v", e)
	}
	return nil
}

func checkIdempotent(w *world) error {
	if w.nothingRevokes() {
		return nil
	}
	c := w.mint()
	r, err := w.revoke(c)
	if err != nil {
		return fmt.Errorf("the first time: %w", err)
	}
	if r.Already || r.Answer == "" {
		return fmt.Errorf("the first time: %+v", r)
	}
	if r, err = w.revoke(c); err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	if !r.Already && !w.batchable(c) {
		return fmt.Errorf("the second time it was not dead already: %+v", r)
	}
	return w.mustDie(c)
}

func checkAlready(w *world) error {
	if w.nothingRevokes() {
		return nil
	}
	c := w.mint()
	_ = w.verify(c) // the sweep's baseline: some deaths show only to who saw the credential alive
	w.fake.RevokeByHand(c)
	r, err := w.revoke(c)
	if err != nil {
		return fmt.Errorf("a credential that was dead before: %w", err)
	}
	if !r.Already && !w.batchable(c) {
		return fmt.Errorf("it was not dead already: %+v", r)
	}
	return w.mustDie(c)
}

func checkManual(w *world) error {
	if !w.nothingRevokes() {
		return nil
	}
	c := w.mint()
	err := w.unchanged(func() error {
		if _, err := w.revoke(c); !errors.Is(err, revoke.ErrManual) && !errors.Is(err, revoke.ErrUnkillable) {
			return fmt.Errorf("revoke returned %v, want ErrManual or ErrUnkillable", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.expect(c, revoke.Alive); err != nil {
		return err
	}
	w.fake.RevokeByHand(c)
	if w.fake.Alive(c) {
		return errors.New("the fake says that it works though a person revoked it")
	}
	return w.mustDie(c)
}

func checkCancelled(w *world) error {
	c := w.mint()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := w.served.Load()
	_, err := w.provider.Revoke(ctx, c)
	said := w.nothingRevokes() && (errors.Is(err, revoke.ErrManual) || errors.Is(err, revoke.ErrUnkillable))
	if !errors.Is(err, context.Canceled) && !said {
		return fmt.Errorf("revoke returned %v, want context.Canceled", err)
	}
	if v := w.provider.Verify(ctx, c); v.Outcome != revoke.Inconclusive {
		return fmt.Errorf("verify showed %s, want inconclusive", saw(v))
	}
	if _, err := w.provider.Inspect(ctx, c); err == nil && w.verifiable() {
		return errors.New("inspect succeeded")
	}
	if b, ok := w.provider.(revoke.Batcher); ok && b.Batchable(c) {
		if _, err := b.RevokeBatch(ctx, []credential.Credential{c}); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("the batch returned %v, want context.Canceled", err)
		}
	}
	if n := w.served.Load() - before; n != 0 {
		return fmt.Errorf("%d requests were sent", n)
	}
	return nil
}

// checkReads runs Inspect and Verify through the read-only transport. What it refuses shows there
// and not in a Verdict, so it is watched from outside.
func checkReads(w *world) error {
	watched := &watcher{next: revoke.ReadOnly(w.net.Transport(), w.info.Reads, "")}
	env := w.env
	env.HTTP = &http.Client{Transport: watched, CheckRedirect: w.env.HTTP.CheckRedirect}
	reader, err := w.suite.New(env)
	if err != nil {
		return err
	}
	c := w.mint()
	look := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _ = reader.Inspect(ctx, c)
		_ = reader.Verify(ctx, c)
		return watched.refused()
	}
	if err := w.unchanged(look); err != nil {
		return fmt.Errorf("alive: %w", err)
	}
	w.fake.RevokeByHand(c)
	if err := w.unchanged(look); err != nil {
		return fmt.Errorf("dead: %w", err)
	}
	return nil
}

// watcher remembers the first request that was no declared read.
type watcher struct {
	next http.RoundTripper
	mu   sync.Mutex
	err  error
}

func (w *watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if errors.Is(err, revoke.ErrNotARead) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = errors.Join(w.err, err)
	}
	return resp, err
}

func (w *watcher) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func checkRefOnly(w *world) error {
	c := w.mint()
	bare := c
	bare.Secret = credential.Secret{}
	if w.kind.ByRef {
		return w.killByRef(bare)
	}
	return w.unchanged(func() error {
		if v := w.verify(bare); v.Outcome == revoke.Refused {
			return fmt.Errorf("refused without having been tried: %s", saw(v))
		}
		_, _ = w.inspect(bare)
		return nil
	})
}

// killByRef revokes and proves a credential of which nothing is known but its Ref.
func (w *world) killByRef(c credential.Credential) error {
	if c.Ref["id"] == "" {
		return errors.New("killed by reference, and the fake's credential has no Ref id")
	}
	if err := w.expect(c, revoke.Alive); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := w.kill(c); err != nil {
		return err
	}
	return w.mustDie(c)
}

// checkUndo takes a revocation back, of the kinds that can: the credential works again, whether that
// is asked once or twice, and nothing happens to one that was never revoked.
func checkUndo(w *world) error {
	u, ok := w.provider.(revoke.Undoer)
	if !w.kind.Reversible {
		return nil
	}
	if !ok {
		return errors.New("reversible, and the provider is no Undoer")
	}
	undo := func(c credential.Credential) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := u.Undo(ctx, c)
		if err == nil && r.Answer == "" {
			err = errors.New("the receipt does not say what was answered")
		}
		return err
	}
	c := w.mint()
	if err := w.unchanged(func() error { return undo(c) }); err != nil {
		return fmt.Errorf("of one that was never revoked: %w", err)
	}
	if err := w.kill(c); err != nil {
		return err
	}
	if err := w.mustDie(c); err != nil {
		return err
	}
	for _, turn := range []string{"first", "second"} {
		if err := undo(c); err != nil {
			return fmt.Errorf("the %s time: %w", turn, err)
		}
		if !w.fake.Alive(c) {
			return fmt.Errorf("undone for the %s time, and it does not work", turn)
		}
	}
	if err := w.expect(c, revoke.Alive); err != nil {
		return err
	}
	w.fake.Knobs().SetFault(always(fake.Fault{Status: 500, Body: page, Type: "text/html"}))
	if err := undo(c); err == nil {
		return errors.New("a soft failure reads as success")
	}
	return nil
}

// checkHostile hands the provider what a host may have put in the place of a secret, and of a
// reference where that names the credential.
func checkHostile(w *world) error {
	for name, value := range map[string]string{
		"line break": "abc\r\nX-Injected: yes", "nul": "abc\x00def", "path": "../../admin", "query": "a?b=c&d=e#f",
		"percent": "%2e%2e%2f%zz", "long": strings.Repeat("A", 64<<10), "not UTF-8": "\xff\xfe", "space": " ", "address": "https://evil.test/x",
	} {
		c := w.mint()
		parts := make(map[string]string)
		for _, part := range c.Secret.Parts() {
			parts[part] = value
		}
		c.Secret = credential.NewSecret(parts)
		if w.kind.ByRef {
			for name := range c.Ref {
				c.Ref[name] = value
			}
		}
		err := w.unchanged(func() error {
			v := w.verify(c)
			e, err := w.inspect(c)
			if v.Outcome == revoke.Alive {
				return fmt.Errorf("verify showed %s", saw(v))
			}
			if strings.ContainsAny(fmt.Sprint(v, e, err), "\r\n\x00\x1b") {
				return errors.New("control characters in what is shown")
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkConcurrent(w *world) error {
	const n = 8
	shared := w.mint()
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		own := w.mint()
		all.Go(func() {
			_, inspected := w.inspect(shared)
			if !w.verifiable() {
				inspected = nil
			}
			errs[i] = errors.Join(w.expect(shared, revoke.Alive), inspected, w.kill(own))
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
