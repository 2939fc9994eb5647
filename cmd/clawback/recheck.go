package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/revoke/providers"
)

func (a *app) recheckCommand() *cobra.Command {
	var o resumption
	var f forgetting
	c := &cobra.Command{
		Use:   "recheck [INCIDENT]",
		Short: "Check the deaths of a closed incident again: an hour later, a day later",
		Long: "recheck asks the providers again about every credential of an incident that is on record as dead, or\n" +
			"of which it is not known: by default of the newest one. It sends nothing but reads, and proves each\n" +
			"death over the provider's whole propagation budget, as the first time. What it finds is added to the\n" +
			"record and the report. It asks nobody, so that cron can run it; the check a day later wipes the kept\n" +
			"secrets.\n\n" +
			"Its exit code is that of the credentials alone: 0 all dead, 3 one lives, 5 a death is unproved or could\n" +
			"not be looked at again, 6 a person has still to revoke one. 1 says that nothing was kept with which to\n" +
			"ask.\n\n" +
			"Where a credential is not proved dead, was left alone, or was undone, its incident's secrets are kept\n" +
			"until somebody says --forget: that lists what can no longer be checked, wants the incident typed (or\n" +
			"--yes), puts it on record and wipes them all, and asks no provider. Its exit code is 0 once they are\n" +
			"wiped, 1 where none was kept, 20 where nobody confirmed it, and 3 where they are perhaps not gone.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if f.forget {
				return a.forget(c.Context(), strings.Join(args, ""), f, o)
			}
			return a.recheck(c.Context(), strings.Join(args, ""), o)
		},
	}
	o.laterFlags(c)
	c.Flags().BoolVar(&o.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
	c.Flags().BoolVar(&f.forget, "forget", false, "check nothing, and wipe the secrets that are kept for it")
	c.Flags().BoolVar(&f.yes, "yes", false, "with --forget: do it; without it you are asked")
	c.Flags().StringVar(&f.why, "why", "", "with --forget: the reason, for the record")
	return c
}

// laterFlags are the flags of what takes up a closed record.
func (o *resumption) laterFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.endpoints, "endpoint", nil, "call `PROVIDER=URL` instead of what the record or the program names")
	c.Flags().StringArrayVar(&o.risks, "accept-risk", nil, "accept one more named risk: "+strings.Join(riskNames(), ", "))
	signKeyFlag(c, &o.signKey)
	c.Flags().BoolVar(&o.damaged, "damaged", false, "write on into a record that does not agree with its seals")
}

func (a *app) recheck(ctx context.Context, id string, o resumption) error {
	r, err := a.later(ctx, id, o, true)
	if err != nil {
		return err
	}
	code := incident.ExitNothing
	r.instead = func(ctx context.Context) (incident.State, error) {
		s, unasked, err := r.work.Recheck(ctx, r.open.journal)
		code = actions.Stands(s, unasked)
		return s, err
	}
	err = r.run(ctx)
	switch {
	case errors.Is(r.failed, actions.ErrNothingKept):
		return exitCode(incident.ExitNothing) // it was said
	case r.failed != nil, r.sealErr != nil, codeOf(err) >= incident.ExitInterrupted:
		return err
	case code != 0:
		return exitCode(code)
	}
	return nil
}

func (a *app) undoCommand() *cobra.Command {
	var o resumption
	var why string
	c := &cobra.Command{
		Use:   "undo INCIDENT CREDENTIAL",
		Short: "Take back the revocation of one credential, after a false alarm",
		Long: "undo makes a credential work again whose revocation its provider can take back, such as an AWS access\n" +
			"key: clawback providers says which. CREDENTIAL is the beginning of its fingerprint, as the report and\n" +
			"the board show it. It changes things at the provider, so it wants its name typed. What was asked, by\n" +
			"whom, why, and what came of it stand in the record.",
		Args: upTo(2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("for example clawback undo INC-20260301-0312 8f0e11aa --why 'false alarm'", "undo takes an incident and a credential")
			}
			return a.undo(c.Context(), args[0], args[1], why, o)
		},
	}
	o.laterFlags(c)
	c.Flags().StringVar(&why, "why", "", "the reason, for the record")
	return c
}

func (a *app) undo(ctx context.Context, id, of, why string, o resumption) error {
	if strings.TrimSpace(why) == "" {
		return usage("--why 'false alarm, INC-20260301-0312 was a drill of the red team'", "undo wants to know why: the record is read in court")
	}
	r, err := a.later(ctx, id, o, false)
	if err != nil {
		return err
	}
	refuse := func(err error) error { return errors.Join(err, r.open.close()) }
	c, err := one(r.work.Before.State, of)
	if err != nil {
		return refuse(err)
	}
	if _, err := r.work.Undoable(c); err != nil {
		return refuse(&failure{incident.ExitUsage, fmt.Errorf("%s %s: %w", c.Kind, c.Masked, err), "clawback providers says which revocations can be undone"})
	}
	if err := a.askToUndo(c); err != nil {
		return refuse(err)
	}
	return r.alone(ctx, "see how it stands at its provider; the record says what was asked and answered", func(ctx context.Context) (incident.State, error) {
		return r.work.Undo(ctx, r.open.journal, c.Fingerprint, a.responder(), why)
	})
}

// askToUndo wants the credential typed.
func (a *app) askToUndo(c *incident.Credential) error {
	fmt.Fprintf(a.err, "%s %s %s\n", c.Provider, c.Kind, c.Masked)
	for _, did := range c.Receipt.Did {
		fmt.Fprintf(a.err, "  done when it was revoked: %s\n", did)
	}
	want := "undo " + c.Fingerprint.Short()
	fmt.Fprintf(a.err, "It will work again, for whoever holds it. Type  %s  to go on: ", want)
	if !term.IsTerminal(int(a.in.Fd())) {
		fmt.Fprintln(a.err)
	}
	line, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return &failure{incident.ExitApproval, errors.New("nothing was undone"), "type what is asked for"}
	}
	return nil
}

// one finds the credential whose fingerprint begins so.
func one(s incident.State, prefix string) (found *incident.Credential, err error) {
	for _, c := range s.Credentials {
		if len(prefix) < 4 || !strings.HasPrefix(string(c.Fingerprint), prefix) {
			continue
		}
		if found != nil {
			return nil, usage("write more of it", "more than one fingerprint of %s begins with %s", s.Declared.Incident, prefix)
		}
		found = c
	}
	if found == nil {
		return nil, &failure{incident.ExitNoInstallation, fmt.Errorf("no credential of %s has a fingerprint that begins with %q", s.Declared.Incident, prefix),
			"clawback report " + s.Declared.Incident + " lists them"}
	}
	return found, nil
}

// later takes up the record of a response that is closed, without going near its host. With reads,
// nothing but its providers' reads can leave.
func (a *app) later(ctx context.Context, id string, o resumption, reads bool) (*response, error) {
	dir, err := a.find(id)
	if err != nil {
		return nil, err
	}
	s, err := readRecord(dir)
	switch {
	case err != nil:
		return nil, &failure{incident.ExitNothing, fmt.Errorf("%s: %w", dir, err), "clawback verify " + id + " says more"}
	case s.Declared.Mode != incident.Real || s.Declared.DryRun:
		return nil, usage("name a real one", "%s is a drill or a rehearsal: its world is gone", s.Declared.Incident)
	case s.Exit == nil:
		return nil, usage("clawback resume "+s.Declared.Incident, "%s has no end yet", s.Declared.Incident)
	}
	rec, cut, err := a.reopen(dir, s.Declared.Target)
	if err != nil {
		return nil, err
	}
	r, err := a.takenUp(ctx, rec, cut, o, reads)
	if err != nil {
		return nil, errors.Join(err, rec.close())
	}
	return r, nil
}

func (a *app) takenUp(ctx context.Context, rec *open, cut int64, o resumption, reads bool) (*response, error) {
	before, err := actions.Recall(rec.journal.Entries(ctx), incident.Resumed{By: a.responder(), Desk: hostname(), Version: version, Cut: int(cut)})
	if err != nil {
		return nil, &failure{incident.ExitNothing, err, "clawback verify " + rec.id + " says more"}
	}
	doubt, err := a.intact(rec, before.State, o.damaged)
	if err != nil {
		return nil, err
	}
	d := before.State.Declared
	s, err := a.besideHost(ctx, before.State, o, reads)
	if err != nil {
		return nil, err
	}
	d.Responder, d.Attended = a.responder(), false
	r := s.response(rec, playbooks.Playbook{Name: d.Playbook}, d, o.json)
	key, lost := rec.loadFingerprintKey()
	before.Warnings = append(doubt, lost...)
	r.work.Before, r.work.Key = before, key
	r.signWith(s.own, d.CheckpointKey)
	return r, nil
}

// besideHost is the situation of a record whose host is left alone: where that is another machine it
// is not reached, and where it is this one it is only read.
func (a *app) besideHost(ctx context.Context, was incident.State, o resumption, reads bool) (*situation, error) {
	d, t := was.Declared, o.target
	t.inherit(d)
	s, endpoints, err := a.resolve(t)
	if err != nil {
		return nil, err
	}
	s.host = actions.Gone{Target: d.Target, Far: d.Remote, Why: errors.New("the host is left alone")}
	if !d.Remote {
		local := target{root: d.Target}
		if d.Target == thisMachine {
			local.root = "/"
		}
		if h, err := a.reach(ctx, &local); err == nil {
			s.host = h
		}
	}
	suspect := !d.Remote && (d.Target == thisMachine || was.Host != nil && was.Host.Processes > 0)
	if err := s.supply(endpoints, suspect, false); err != nil {
		return nil, err
	}
	if reads {
		s.providers, err = providers.Readers(s.env(endpoints, s.authorities, false))
	}
	return s, err
}
