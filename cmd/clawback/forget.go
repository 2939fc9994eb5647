package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/revoke/credential"
)

// forgetting is what the command line says of wiping kept secrets.
type forgetting struct {
	forget, yes bool
	why         string
}

func (f forgetting) check() error {
	if !f.forget && (f.yes || f.why != "") {
		return usage("a recheck asks nobody", "--yes and --why go with --forget")
	}
	return nil
}

// forget wipes the kept secrets of a closed incident, on record, once that was confirmed.
func (a *app) forget(ctx context.Context, id string, f forgetting, o resumption) error {
	r, err := a.later(ctx, id, o, true)
	if err != nil {
		return err
	}
	refuse := func(err error) error { return errors.Join(err, r.open.close()) }
	kept, err := r.work.Kept()
	if errors.Is(err, actions.ErrNoSecrets) {
		return refuse(&failure{incident.ExitNothing, fmt.Errorf("%s: %w", r.open.id, err),
			"the last recheck wipes them, and where desk and host are one machine none is kept"})
	}
	if err != nil {
		complain(a.err, &failure{err: err, hint: "what cannot be opened is wiped with the rest"})
	}
	if !f.yes {
		if err := a.askToForget(r.open.id, kept); err != nil {
			return refuse(err)
		}
	}
	return r.alone(ctx, "see whether keys/secrets.age and keys/secrets.key are still in "+r.place(), func(ctx context.Context) (incident.State, error) {
		return r.work.Forget(ctx, r.open.journal, kept, a.responder(), f.why)
	})
}

// maxForget is how many credentials are listed before they are forgotten.
const maxForget = 40

// askToForget says what can no longer be checked, and wants the incident typed.
func (a *app) askToForget(id string, kept []actions.Kept) error {
	fmt.Fprintf(a.err, "%s: sealed secrets that are kept: %d\n", id, len(kept))
	for i, k := range kept {
		if i == maxForget {
			fmt.Fprintf(a.err, "  and %d more\n", len(kept)-maxForget)
			break
		}
		fmt.Fprintf(a.err, "  %s %s  %s: %s\n", k.Kind, incident.Safe(k.Masked), k.Life, afterwards(k))
	}
	want := "forget " + id
	fmt.Fprintf(a.err, "They cannot be brought back. Type  %s  to go on: ", want)
	if !term.IsTerminal(int(a.in.Fd())) {
		fmt.Fprintln(a.err)
	}
	line, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return &failure{incident.ExitApproval, errors.New("nothing was wiped"), "type what is asked for, or add --yes"}
	}
	return nil
}

// afterwards says what becomes of a credential whose secret is wiped.
func afterwards(k actions.Kept) string {
	switch dead := k.Life == credential.Dead; {
	case !k.Provable:
		return "no probe could tell of it before either"
	case k.Named && dead:
		return "its provider can still be asked, with an authority"
	case k.Named:
		return "with an authority it can still be revoked and proved dead"
	case dead:
		return "nobody can check again that it is"
	}
	return "nobody can prove it dead any more, unless it is found on the host again"
}
