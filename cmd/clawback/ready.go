package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"clawback/forensics/incident"
	"clawback/revoke"
)

// ready tests the authorities of the configuration, or that of one provider, with nothing but reads:
// in quiet times, so that nobody finds out at night that one has expired.
func (a *app) ready(ctx context.Context, out io.Writer, of string, asJSON bool) error {
	s := &situation{app: a, accepted: make(map[string]bool)}
	endpoints, err := a.endpoints(nil)
	if err != nil {
		return err
	}
	if err := s.supply(endpoints, false, false); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(s.authorities.Load))
	if of != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name != of })
	}
	tested := []incident.Authority{}
	s.authorities.Test(ctx, revoke.Wall{}, s.looking, names, nil, func(t incident.Authority) {
		t.Hint, _, _ = strings.Cut(t.Hint, "; it is read again") // nothing waits for it
		tested = append(tested, t)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	slices.SortFunc(tested, func(x, y incident.Authority) int { return strings.Compare(x.Provider, y.Provider) })
	if asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		err = e.Encode(tested)
	} else {
		err = printReady(out, tested)
	}
	if err != nil {
		return err
	}
	return notReady(tested, of)
}

func printReady(out io.Writer, tested []incident.Authority) error {
	p := &page{out: out}
	for _, t := range tested {
		p.line(t.Provider)
		p.fact("authority", strings.TrimSpace(t.Kind+" "+incident.Safe(t.From)))
		p.fact("is", t.Outcome)
		if t.Outcome == incident.AuthorityUsable {
			p.fact("who", incident.Safe(t.Who))
		} else {
			p.fact("because", incident.Safe(t.Answer))
		}
		p.fact("reaches", incident.Safe(strings.Join(t.Reach, ", ")))
		p.fact("hint", incident.Safe(t.Hint))
	}
	return p.err
}

// notReady says, for the exit code, which authorities a response could not use.
func notReady(tested []incident.Authority, of string) error {
	var bad []string
	for _, t := range tested {
		if t.Bad() {
			bad = append(bad, t.Provider)
		}
	}
	switch {
	case len(tested) == 0 && of != "":
		return &failure{incident.ExitAuthority, fmt.Errorf("clawback.yaml names no authority for %s", of), "clawback help config shows how one is named"}
	case len(tested) == 0:
		return &failure{incident.ExitAuthority, fmt.Errorf("clawback.yaml names no authority: what cannot revoke itself would be left"), "clawback help config shows how one is named"}
	case len(bad) > 0:
		return &failure{incident.ExitAuthority, fmt.Errorf("cannot be used: %s", strings.Join(bad, ", ")), "what needs one of them would stay alive; renew it and check again"}
	}
	return nil
}
