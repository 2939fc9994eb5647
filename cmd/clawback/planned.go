package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/playbooks/plan"
	"clawback/revoke/credential"
)

// planned is a plan that was read from its file.
type planned struct {
	plan.Plan
	file   string
	raw    []byte
	digest string
	key    credential.FingerprintKey
}

// readPlan reads a plan that this desk made and that still holds.
func (a *app) readPlan(file string) (*planned, error) {
	raw, err := readOwn(file, plan.MaxFile)
	if err != nil {
		return nil, usage("clawback plan -o FILE makes one, for you alone to change", "plan: %w", err)
	}
	p, err := plan.Decode(raw)
	if err != nil {
		return nil, usage("clawback plan -o FILE makes one", "plan %s: %w", file, err)
	}
	key, err := plan.Recall(a.planDir(), p, raw)
	if err != nil {
		return nil, &failure{incident.ExitApproval, fmt.Errorf("plan %s: %w", file, err), anew}
	}
	if why := p.Expired(ownClock.Now()); why != "" {
		return nil, &failure{incident.ExitApproval, fmt.Errorf("plan %s: %s", file, why), anew}
	}
	return &planned{p, file, raw, plan.Digest(raw), key}, nil
}

// anew is what to do about a plan that does not hold.
const anew = "make it anew with clawback plan -o FILE; clawback kill without --plan goes ahead without one"

// target is what the plan is about. changed tells which flags were given: one that contradicts the
// plan is an error.
func (p *planned) target(t target, changed func(string) bool) (target, error) {
	given, err := t.asked()
	if err != nil && changed("root") {
		return t, err
	}
	is := p.Asked
	for flag, same := range map[string]bool{
		"host": given.Host == is.Host, "root": given.Root == is.Root, "playbook": given.Playbook == is.Playbook,
		"endpoint": slices.Equal(given.Endpoints, is.Endpoints), "accept-risk": slices.Equal(given.Risks, is.Risks),
		"deadline": t.deadline == p.Deadline(), "host-lost": t.hostLost == is.HostLost,
	} {
		if changed(flag) && !same {
			return t, usage("leave it out: the plan says it", "--%s contradicts %s", flag, p.file)
		}
	}
	t.host, t.root, t.playbook, t.endpoints, t.risks, t.deadline = is.Host, is.Root, is.Playbook, is.Endpoints, is.Risks, p.Deadline()
	t.hostLost = is.HostLost
	return t, nil
}

// book is the playbook that the plan carries, which is the one that is carried out.
func (p *planned) book() (playbooks.Playbook, error) {
	book, err := engine.Book(incident.Declared{Playbook: p.Playbook.Name}, p.Playbook.Plan, actions.Names())
	if err != nil {
		return book, &failure{incident.ExitApproval, fmt.Errorf("plan %s: %w", p.file, err), anew}
	}
	return book, nil
}

// killPlanned carries out a plan, unless something that matters has changed.
func (a *app) killPlanned(ctx context.Context, t target, file string, changed func(string) bool, yes, json, dry bool) error {
	if err := a.canAsk(yes || dry); err != nil {
		return err
	}
	p, err := a.readPlan(file)
	if err != nil {
		return err
	}
	if t, err = p.target(t, changed); err != nil {
		return err
	}
	book, err := p.book()
	if err != nil {
		return err
	}
	who, err := a.team(t.teamFlags, book, a.given(p)...)
	if err != nil {
		return err
	}
	s, err := a.prepare(ctx, t, dry)
	if err != nil {
		return err
	}
	defer func() { _ = s.host.Close() }()
	s.planned, s.team = p, who
	if err := s.holds(ctx); err != nil || dry {
		return err
	}
	if !yes {
		if err := plan.WriteText(a.err, p.Plan, p.digest); err != nil {
			return err
		}
		if err := a.askToGoOn(s.host.Name()); err != nil {
			return err
		}
	}
	return s.start(ctx, book, json, false)
}

// given are the approvals that lie beside a plan, and hold.
func (a *app) given(p *planned) []incident.Approved {
	list, err := a.allowedSigners()
	if err != nil {
		return nil // a.team says why
	}
	given, refused := plan.Given(p.file, p.raw, p.Plan, list, ownClock.Now())
	for _, err := range refused {
		complain(a.err, err)
	}
	return given
}

// maxChanges is how many changes are printed.
const maxChanges = 50

// holds looks again, says what has changed since the plan was made, and refuses when it matters.
// The search of the run itself comes later, and what it finds beyond the plan is revoked as well.
func (s *situation) holds(ctx context.Context) error {
	fmt.Fprintf(s.app.err, "looking whether %s still holds\n", s.planned.file)
	changes, err := s.changes(ctx)
	if err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("compare with %s: %w", s.planned.file, err), "nothing was done; " + anew}
	}
	matter := 0
	for i, c := range changes {
		if c.Matters {
			matter++
		}
		if i == maxChanges {
			fmt.Fprintf(s.app.err, "and %d more changes\n", len(changes)-maxChanges)
		} else if i < maxChanges {
			fmt.Fprintln(s.app.err, incident.Safe(c.Text))
		}
	}
	if matter > 0 {
		return &failure{incident.ExitApproval, fmt.Errorf("nothing was done: %s is not what was approved any more, %d of the changes above matter", s.planned.file, matter), anew}
	}
	fmt.Fprintf(s.app.err, "%s holds: nothing that matters has changed since %s\n", s.planned.file, s.planned.Made.Format(time.RFC3339))
	return nil
}

// changes resolves the response again, as the plan asked for it, and asks no provider.
func (s *situation) changes(ctx context.Context) ([]plan.Change, error) {
	book, err := s.currentBook()
	if err != nil {
		return nil, err
	}
	survey, err := s.survey(book, s.planned.Asked, s.planned.key)
	if err != nil {
		return nil, err
	}
	now, err := survey.Resolve(ctx)
	if ctx.Err() != nil {
		return nil, err
	}
	return plan.Compare(s.planned.Plan, now) // a search that failed is one of its Problems
}

// currentBook is the playbook that the plan's name or path stands for now. One whose file is gone
// is taken from the plan, which has it whole.
func (s *situation) currentBook() (playbooks.Playbook, error) {
	book, err := s.app.killBook(s.target)
	if errors.Is(err, fs.ErrNotExist) {
		return s.planned.book()
	}
	return book, err
}
