package revoketest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
)

func checkInfo(w *world) error {
	i := w.info
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	must(i.Name == w.fake.Name(), "Info.Name is %q, the fake's is %q", i.Name, w.fake.Name())
	must(i.Title != "", "Info has no title")
	for _, h := range i.Hosts {
		must(slices.Contains(w.fake.Hosts(), h), "the fake does not serve %s", h)
	}
	for _, r := range i.Reads {
		_, err := path.Match(r.Path, "/")
		must(err == nil && r.Method != "" && strings.HasPrefix(r.Path, "/"), "read %+v is malformed", r)
		must(r.Method == http.MethodGet || r.Method == http.MethodHead || len(r.Form) > 0 || r.Body != "" || !strings.HasSuffix(r.Path, "*"),
			"read %s %s may match what is no read: name its form or body, or what it does at the path's end", r.Method, r.Path)
	}
	if _, ok := w.provider.(revoke.Batcher); ok {
		must(i.BatchMax > 0, "a Batcher without BatchMax")
	}
	for _, k := range i.Kinds {
		must(slices.Contains(w.fake.Kinds(), k.Kind), "the fake cannot mint %s", k.Kind)
		errs = append(errs, checkKindInfo(i.Name, k)...)
	}
	return errors.Join(errs...)
}

func checkKindInfo(provider string, k revoke.KindInfo) (errs []error) {
	must := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", k.Kind, what))
		}
	}
	known, ok := credential.Lookup(k.Kind)
	must(ok && known.Provider == provider, "not a kind of this provider in package credential")
	must(!k.Manual || len(k.Steps) > 0 && strings.HasPrefix(k.Link, "https://"), "manual, without steps or link")
	must(k.Manual || k.Source != "", "its revocation has no source")
	must(k.Manual || k.SelfRevoking || k.Authority != "" || k.Unkillable != "", "neither manual nor self-revoking nor unkillable, and names no authority")
	must(k.Unkillable == "" || !k.Manual && !k.SelfRevoking && !k.Reversible, "unkillable, and something ends it")
	must(!k.SelfRevoking || k.Authority == "", "self-revoking, and names an authority")
	p := k.Propagation
	must(k.Unverifiable != "" || p.Budget > 0 && p.Every > 0 && p.Source != "", "its propagation is not filled in")
	must(p.Every <= max(p.Budget, 0) || k.Unverifiable != "", "one probe takes longer than the whole budget")
	return errs
}

// checkEndpoint pins two endpoints below a path, where the same fake answers, and counts what
// goes anywhere else.
func checkEndpoint(w *world) error {
	for _, endpoint := range []string{"https://pinned.test/a/prefix", "http://pinned.test:8080/a/prefix/"} {
		var elsewhere []string
		for _, host := range w.fake.Hosts() {
			w.net.Handle(host, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				elsewhere = append(elsewhere, r.Host) // read when no request is under way
			}))
		}
		w.net.Handle("pinned.test", http.StripPrefix("/a/prefix", w.fake))
		err := w.pinned(endpoint)
		if len(elsewhere) > 0 {
			err = errors.Join(err, fmt.Errorf("requests went to %s in spite of the pinned endpoint", elsewhere))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
	}
	return nil
}

func (w *world) pinned(endpoint string) error {
	watched := &watcher{next: revoke.ReadOnly(w.net.Transport(), w.info.Reads, endpoint)}
	env := w.env
	env.Endpoint = endpoint
	reading := env
	reading.HTTP = &http.Client{Transport: watched, CheckRedirect: w.env.HTTP.CheckRedirect}
	var err error
	if w.provider, err = w.suite.New(env); err != nil {
		return err
	}
	reader, err := w.suite.New(reading)
	if err != nil {
		return err
	}
	c := w.mint()
	if w.verifiable() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if v := reader.Verify(ctx, c); v.Outcome != revoke.Alive {
			return errors.Join(fmt.Errorf("verify through the reads alone showed %s, want alive", saw(v)), watched.refused())
		}
	}
	if err := errors.Join(w.expect(c, revoke.Alive), watched.refused()); err != nil {
		return err
	}
	if err := w.kill(c); err != nil {
		return err
	}
	return w.mustDie(c)
}

func checkNoAuthority(w *world) error {
	if !w.needsAuthority() {
		return nil
	}
	vault := errors.New("the vault is sealed")
	for name, c := range map[string]struct {
		authority func(context.Context) (revoke.Authority, error)
		want      error
	}{
		"nil":            {nil, revoke.ErrNoAuthority},
		"ErrNoAuthority": {func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, revoke.ErrNoAuthority }, revoke.ErrNoAuthority},
		"unreachable":    {func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, vault }, vault},
	} {
		env := w.env
		env.Authority = c.authority
		provider, err := w.suite.New(env)
		if err != nil {
			return fmt.Errorf("%s: New: %w", name, err)
		}
		w.provider = provider
		minted := w.mint()
		err = w.unchanged(func() error {
			if _, err := w.revoke(minted); !errors.Is(err, c.want) {
				return fmt.Errorf("revoke returned %w, want %w", err, c.want)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("authority %s: %w", name, err)
		}
	}
	return nil
}

func checkRefusedAuthority(w *world) error {
	if !w.needsAuthority() {
		return nil
	}
	c := w.mint()
	w.fake.RevokeByHand(w.authority)
	if w.fake.Alive(w.authority) {
		return errors.New("the fake cannot revoke its authority by hand")
	}
	return w.unchanged(func() error {
		if _, err := w.revoke(c); !errors.Is(err, revoke.ErrAuthority) {
			return fmt.Errorf("revoke returned %v, want ErrAuthority", err)
		}
		return nil
	})
}
