package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/verify"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// resumption is what the command line says of a run that is taken up again.
type resumption struct {
	target
	json    bool
	damaged bool
}

func (a *app) resumeCommand() *cobra.Command {
	var o resumption
	c := &cobra.Command{
		Use:   "resume [INCIDENT]",
		Short: "Go on with a response that died or was interrupted",
		Long: "resume goes on with a response whose process died, lost its machine, or was interrupted, in the\n" +
			"same record: by default with the newest one of this desk that is not finished. What is done stays\n" +
			"done. What was sent and never answered is looked at before it is repeated. What failed is tried\n" +
			"again. Target, playbook, deadline, endpoints and accepted risks are those of the record.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.resume(c.Context(), strings.Join(args, ""), o) },
	}
	o.machineFlags(c)
	o.handoffFlags(c)
	c.Flags().StringArrayVar(&o.endpoints, "endpoint", nil, "call `PROVIDER=URL` instead of what the record or the program names")
	c.Flags().DurationVar(&o.deadline, "deadline", 0, "until when each death has to be proved (default: that of the record, from now on)")
	c.Flags().StringArrayVar(&o.risks, "accept-risk", nil, "accept one more named risk: "+strings.Join(riskNames(), ", "))
	hostLostFlag(c, &o.hostLost)
	signKeyFlag(c, &o.signKey)
	a.accessibleFlag(c)
	o.teamFlags.flags(c)
	c.Flags().BoolVar(&o.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
	c.Flags().BoolVar(&o.damaged, "damaged", false, "write on into a record that does not agree with its seals")
	return c
}

func (a *app) resume(ctx context.Context, id string, o resumption) error {
	if o.deadline < 0 {
		return usage("for example --deadline 2m", "--deadline has to be positive")
	}
	dir, s, err := a.toResume(id, o.target)
	if err != nil {
		return err
	}
	if err := a.resumable(dir, s, o); err != nil {
		return err
	}
	if s.Exit != nil && *s.Exit == incident.ExitContained {
		fmt.Fprintf(a.err, "clawback: %s is contained and closed: there is nothing to resume\n", s.Declared.Incident)
		return a.finish(dir, s, o)
	}
	rec, cut, err := a.reopen(dir, s.Declared.Target)
	if err != nil {
		return err
	}
	r, err := a.again(ctx, rec, cut, o)
	if err != nil {
		return errors.Join(err, rec.close())
	}
	defer func() { _ = r.work.Host.Close() }()
	return r.run(ctx)
}

// finish does what a run that died right after the end of its record left undone: the seal over that
// end. The record itself stays as it is.
func (a *app) finish(dir string, s incident.State, o resumption) error {
	found, broken := verify.Incident(dir, verify.Options{})
	if broken != nil || found.Key == "" || found.Sealed.Size == found.Entries {
		return nil // whole, or nothing that a seal of ours should cover
	}
	rec, _, err := a.reopen(dir, s.Declared.Target)
	if err != nil {
		return err
	}
	own, keyErr := signKey(o.signKey)
	r := &response{app: a, open: rec, declared: s.Declared}
	if keyErr == nil {
		r.signer, keyErr = rec.checkpointKey(s.Declared.Incident, own, found.Key)
	}
	if keyErr == nil {
		var lines [][]byte
		for e, err := range journal.Read(dir) {
			keyErr = errors.Join(keyErr, err)
			lines = append(lines, e.Line())
		}
		if keyErr == nil {
			keyErr = r.sealCopy(dir, lines)
		}
	}
	if keyErr != nil {
		keyErr = &failure{incident.ExitPartial, fmt.Errorf("the end of the record is not sealed: %w", keyErr), "copy the record to another machine"}
	}
	return errors.Join(keyErr, rec.close())
}

// resumable says why a record cannot be gone on with.
func (a *app) resumable(dir string, s incident.State, o resumption) error {
	d := s.Declared
	switch {
	case d.Incident == "":
		return &failure{incident.ExitNothing, fmt.Errorf("%s: it does not say what was declared", dir), startAnew(s)}
	case d.Mode != incident.Real:
		return usage("begin another one: clawback drill", "%s is a drill, and its world died with it: it cannot be resumed", d.Incident)
	case d.DryRun:
		return usage(startAnew(s), "%s was a rehearsal and changed nothing: there is nothing to resume", d.Incident)
	case d.Attended && o.json:
		return usage("leave --json out; clawback watch --json follows it from another terminal", "%s asks a person, in the console", d.Incident)
	}
	if err := a.noConsole(); d.Attended && err != nil {
		return &failure{incident.ExitUsage, err, "it asks a person: resume it on a terminal"}
	}
	return nil
}

// reopen takes up a record, unless somebody else has it or its target.
func (a *app) reopen(dir, target string) (rec *open, cut int64, err error) {
	rec = &open{dir: dir, id: filepath.Base(dir)}
	rec.target, err = a.lockTarget(filepath.Dir(dir), target)
	if err == nil {
		rec.journal, cut, err = journal.OpenOn(ownDisk, dir, a.holder(), ownClock.Now)
	}
	if err == nil {
		return rec, cut, nil
	}
	if rec.target != nil {
		_ = rec.target.Close()
	}
	if errors.As(err, new(*journal.LockedError)) {
		return nil, 0, &failure{incident.ExitLocked, fmt.Errorf("%s: %w", rec.id, err),
			fmt.Sprintf("clawback attach %s takes part in it, clawback watch %s looks on", rec.id, rec.id)}
	}
	s, _ := readRecord(dir)
	return nil, 0, &failure{incident.ExitNothing, fmt.Errorf("%s: %w", rec.id, err), startAnew(s)}
}

// again makes the response that goes on with an open record.
func (a *app) again(ctx context.Context, rec *open, cut int64, o resumption) (*response, error) {
	roles, err := givenRoles(o.roles)
	if err != nil {
		return nil, err
	}
	before, err := actions.Recall(rec.journal.Entries(ctx), incident.Resumed{
		By: a.responder(), Desk: hostname(), Version: version, Cut: int(cut), Roles: roles, Ticket: o.ticket, Lost: o.hostLost,
	})
	if err != nil {
		return nil, &failure{incident.ExitNothing, err, startAnew(before.State)}
	}
	d := before.State.Declared
	doubt, err := a.intact(rec, before.State, o.damaged)
	if err != nil {
		return nil, err
	}
	book, err := a.recordedBook(before.State)
	if err != nil {
		return nil, &failure{incident.ExitNothing, fmt.Errorf("%s: %w", rec.id, err), startAnew(before.State)}
	}
	giveDeadline(book, o.deadline)
	who, err := a.teamAgain(before.State, book, o.teamFlags)
	if err != nil {
		return nil, err
	}
	s, err := a.rejoin(ctx, before.State, o)
	if err != nil {
		return nil, err
	}
	d.Responder = a.responder()
	r := s.response(rec, book, d, o.json)
	key, lost := rec.loadFingerprintKey()
	before.Warnings = slices.Concat(doubt, s.differs(before.State), lost)
	r.work.Before, r.work.Key = before, key
	r.with(who)
	r.signWith(s.own, d.CheckpointKey)
	return r, nil
}

// intact holds a record against its seals before anything is written into it. A record that does
// not agree with them is evidence, and is not written on unless a person says so.
func (a *app) intact(rec *open, s incident.State, damaged bool) ([]incident.Warning, error) {
	_, err := verify.Incident(rec.dir, verify.Options{})
	var fault *verify.Fault
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &fault) && fault.Check == "sealed":
		// A run that is killed at once leaves none, so that is no reason to stop. One that ended made some.
		return []incident.Warning{{
			Text:  "the record has no checkpoint: the run before died before the first one, or somebody removed it",
			Hint:  "compare what stands before this entry with what a witness holds: the next checkpoint covers it as it is",
			Grave: s.Exit != nil,
		}}, nil
	case damaged:
		text := "written on with --damaged, although the record does not agree with itself: " + err.Error()
		complain(a.err, &failure{err: errors.New(text), hint: "keep a copy of it as it was"})
		return []incident.Warning{{Text: text, Hint: "what stands before this entry may not be what was written", Grave: true}}, nil
	}
	return nil, &failure{incident.ExitNothing, fmt.Errorf("%s: %w", rec.dir, err),
		fmt.Sprintf("somebody may have changed it: %s; or, if you must, clawback resume %s --damaged", startAnew(s), s.Declared.Incident)}
}

// recordedBook is the playbook that a record says was begun. A run that died before it said so is
// begun with the one that it named.
func (a *app) recordedBook(s incident.State) (playbooks.Playbook, error) {
	if len(s.Plan.Phases) > 0 {
		return engine.Book(s.Declared, s.Plan, actions.Names())
	}
	book, err := a.playbook(s.Declared.Playbook, deadlineOf(s.Declared))
	book = book.Where(a.facts(s.Declared.Target, s.Declared.Remote))
	book.Attended = book.Attended || s.Declared.Attended
	return book, err
}

// teamAgain is who responds from here on. What was approved stands, and so does each step that went
// ahead without: the other steps still need their approvals.
func (a *app) teamAgain(was incident.State, book playbooks.Playbook, t teamFlags) (team, error) {
	var given []incident.Approved
	for _, approval := range was.Approvals {
		given = append(given, approval.Given...)
	}
	who, err := a.team(t, stillToApprove(was, book), given...)
	who.approvals.Given = nil // they are on record
	for _, approval := range was.Approvals {
		who.approvals.Keys = append(who.approvals.Keys, who.signers.Keys(approval.By)...) // who asked approves nothing either
	}
	who.roles, who.ticket, who.severity = was.Declared.Roles, was.Declared.Ticket, was.Declared.Severity
	return who, err
}

// stillToApprove is a playbook in which only those steps need approvals that wait for them.
func stillToApprove(was incident.State, book playbooks.Playbook) playbooks.Playbook {
	book.Phases = slices.Clone(book.Phases)
	for p := range book.Phases {
		steps := slices.Clone(book.Phases[p].Steps)
		for i, s := range steps {
			step, approval := was.Steps[s.ID], was.Approvals[s.ID]
			if step != nil && step.Status == incident.Done || approval != nil && approval.Broken != nil {
				steps[i].Approvals = 0
			}
		}
		book.Phases[p].Steps = steps
	}
	return book
}

// deadlineOf is the deadline that a response was declared with.
func deadlineOf(d incident.Declared) time.Duration {
	deadline, _ := time.ParseDuration(d.Deadline)
	return deadline
}

// rejoin reaches the target of a record again. Where it cannot be reached the response goes on
// without it: credentials die at their providers.
func (a *app) rejoin(ctx context.Context, was incident.State, o resumption) (*situation, error) {
	d, t := was.Declared, o.target
	t.of(d)
	t.inherit(d)
	s, endpoints, err := a.resolve(t)
	if err != nil {
		return nil, err
	}
	if d.Leak {
		s.host = noHost()
		return s, s.supply(endpoints, false, false)
	}
	if s.host, err = a.reach(ctx, &t); err == nil {
		s.description, err = s.look(ctx)
		if err != nil {
			_ = s.host.Close()
		}
	}
	if err != nil {
		if ctx.Err() != nil || codeOf(err) == incident.ExitUsage {
			return nil, err
		}
		complain(a.err, &failure{err: err, hint: "the response goes on without it: what is on record is revoked and proved from here"})
		s.host = actions.Gone{Target: cmp.Or(t.host, d.Target), Far: d.Remote, Why: err}
	}
	suspect := !s.host.Remote() && (t.root == "/" || len(s.description.Processes) > 0 || was.Host != nil && was.Host.Processes > 0)
	if err := s.supply(endpoints, suspect, false); err != nil {
		return nil, errors.Join(err, s.host.Close())
	}
	return s, nil
}

// of names the machine of a record, unless the command line named another.
func (t *target) of(d incident.Declared) {
	switch {
	case t.host != "" || t.root != "" || t.handoff != "":
	case d.Remote:
		t.host = d.Target
	case d.Target == thisMachine:
		t.root = "/"
	default:
		t.root = d.Target
	}
}

// inherit takes over what a record was declared with; what the command line says comes after it.
func (t *target) inherit(d incident.Declared) {
	t.hostLost = t.hostLost || d.HostLost
	t.risks = slices.Compact(slices.Sorted(slices.Values(slices.Concat(d.Accepted, t.risks))))
	for _, name := range slices.Sorted(maps.Keys(d.Endpoints)) {
		t.endpoints = append([]string{name + "=" + d.Endpoints[name]}, t.endpoints...)
	}
}

// differs says in which ways a resumed run is not on the terms of its record.
func (s *situation) differs(was incident.State) (warnings []incident.Warning) {
	d := was.Declared
	if name := s.host.Name(); name != d.Target {
		warnings = append(warnings, incident.Warning{Text: fmt.Sprintf("resumed on %s, and declared on %s", name, d.Target)})
	}
	for _, pair := range s.target.endpoints {
		name, url, _ := strings.Cut(pair, "=")
		if d.Endpoints[name] != url {
			warnings = append(warnings, incident.Warning{Text: fmt.Sprintf("%s is called at %s from here on", name, url)})
		}
	}
	if s.target.deadline > 0 {
		warnings = append(warnings, incident.Warning{Text: "the deadline is " + s.target.deadline.String() + " from here on"})
	}
	if s.target.hostLost && !d.HostLost {
		warnings = append(warnings, incident.Warning{Text: "the host counts as compromised from here on: what its other users keep there is revoked too"})
	}
	for _, risk := range s.target.risks {
		if !slices.Contains(d.Accepted, risk) {
			warnings = append(warnings, incident.Warning{Text: "accepted when it was resumed: " + risk})
		}
	}
	return warnings
}

// loadFingerprintKey takes the incident's key, so that what is found again is recognised.
func (o *open) loadFingerprintKey() (key credential.FingerprintKey, lost []incident.Warning) {
	b, err := readSmall(filepath.Join(o.dir, "keys", "fingerprint"))
	if err == nil {
		key, err = credential.LoadFingerprintKey(b)
	}
	if err == nil {
		return key, nil
	}
	return credential.NewFingerprintKey(), []incident.Warning{{Grave: true,
		Text: "the key of the fingerprints is gone, so what is found on the host is not recognised as what is on record: " + err.Error(),
		Hint: "a credential may stand there twice; what is dead once is dead"}}
}
