package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/playbooks/plan"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers"
)

type planOptions struct {
	out     string
	valid   time.Duration
	offline bool
	json    bool
}

func (a *app) planCommand() *cobra.Command {
	var t target
	var o planOptions
	c := &cobra.Command{
		Use:   "plan",
		Short: "Resolve a kill without doing it: what would be done, to what, with what",
		Long: `Look at the target, find the credentials, ask each provider what each one is, and show what a kill
would do, in its order. Nothing is changed, and nothing is sent but requests that change nothing.

With -o FILE the plan can be carried out by this desk, with clawback kill --plan FILE, for as long as
it is valid and nothing that matters has changed. Steps that need approvals are approved with
clawback approve FILE STEP --key KEY, or all at once with ssh-keygen, under the name of who signs:

  ssh-keygen -Y sign -n clawback-approval@v1 -f KEY FILE && mv FILE.sig FILE.NAME.sig`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.plan(c.Context(), t, o) },
	}
	t.resolveFlags(c)
	t.deadlineFlag(c)
	c.Flags().StringVarP(&o.out, "output", "o", "", "write the plan to `FILE`, for kill --plan")
	c.Flags().DurationVar(&o.valid, "valid", 24*time.Hour, "how long the plan may be carried out")
	c.Flags().BoolVar(&o.offline, "offline", false, "do not ask the providers what each credential is")
	c.Flags().BoolVar(&o.json, "json", false, "print the plan as JSON on stdout")
	c.AddCommand(&cobra.Command{
		Use: "show FILE", Short: "Print a plan as text", Args: exactly(1, "FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, _, err := readRegular(args[0], plan.MaxFile)
			if err != nil {
				return usage("name a file that can be read", "%w", err)
			}
			p, err := plan.Decode(raw)
			if err != nil {
				return usage("clawback plan -o FILE makes one", "%s: %w", args[0], err)
			}
			return plan.WriteText(a.out, p, plan.Digest(raw))
		},
	})
	return c
}

// plan looks at the target, asks the providers, and changes nothing.
func (a *app) plan(ctx context.Context, t target, o planOptions) error {
	if o.valid <= 0 {
		return usage("for example --valid 24h", "--valid has to be positive")
	}
	if err := checkOutput(o.out); err != nil {
		return err
	}
	book, err := a.killBook(t)
	if err != nil {
		return err
	}
	asked, err := t.asked()
	if err != nil {
		return err
	}
	s, err := a.prepare(ctx, t, true)
	if err != nil {
		return err
	}
	defer func() { _ = s.host.Close() }()
	key := credential.NewFingerprintKey()
	survey, err := s.survey(book, asked, key)
	if err != nil {
		return err
	}
	survey.Valid = o.valid
	if !o.offline {
		survey.Ask = true
		if survey.Work.Providers, err = s.readers(survey.Endpoints); err != nil {
			return err
		}
	}
	p, searchErr := survey.Resolve(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := a.showPlanned(p, o, key); err != nil {
		return err
	}
	if searchErr != nil || len(p.Problems) > 0 {
		return exitCode(incident.ExitPartial) // what was not searched may hold more
	}
	return nil
}

// showPlanned writes the plan's file, where one is wanted, and prints the plan.
func (a *app) showPlanned(p plan.Plan, o planOptions, key credential.FingerprintKey) error {
	raw, err := plan.Encode(p)
	if err != nil {
		return err
	}
	digest := ""
	if o.out != "" && o.out != "-" {
		digest = plan.Digest(raw)
		err := plan.Keep(ownDisk, a.planDir(), p, raw, key)
		if err == nil {
			err = disk.Replace(ownDisk, o.out, raw, 0o600)
		}
		if err != nil {
			return &failure{incident.ExitNothing, fmt.Errorf("write the plan: %w", err), "without -o it is printed"}
		}
	}
	if o.json {
		_, err = a.out.Write(raw)
	} else {
		err = plan.WriteText(a.out, p, digest)
	}
	if digest != "" {
		fmt.Fprintf(a.err, "\nnothing was changed; carry it out with: clawback kill --plan %s\n", incident.Safe(o.out))
	} else {
		fmt.Fprintln(a.err, "\nnothing was changed; a plan that can be carried out is made with -o FILE")
	}
	return err
}

// checkOutput refuses, before anything is asked, a name that a plan cannot be written to.
func checkOutput(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	info, err := os.Lstat(file)
	if err == nil && !info.Mode().IsRegular() {
		return usage("name a file; without -o the plan is printed", "%s is not a regular file", file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usage("name a file that can be written", "%w", err)
	}
	return nil
}

// planDir is where this desk keeps what it knows of the plans that it made.
func (a *app) planDir() string { return filepath.Join(filepath.Dir(a.stateDir()), "plans") }

// asked is the command line, such that it says the same in any working directory.
func (t target) asked() (plan.Asked, error) {
	out := plan.Asked{
		Host: t.host, Playbook: cmp.Or(t.playbook, playbooks.KillSwitch),
		Endpoints: slices.Clone(t.endpoints), Risks: slices.Clone(t.risks), Deadline: t.deadline.String(),
	}
	slices.Sort(out.Endpoints)
	slices.Sort(out.Risks)
	out.Risks = slices.Compact(out.Risks)
	if isFile(out.Playbook) {
		abs, err := filepath.Abs(out.Playbook)
		if err != nil {
			return out, err
		}
		out.Playbook = abs
	}
	if t.host == "" {
		root, err := realPath(cmp.Or(t.root, "/"))
		if err != nil {
			return out, &failure{incident.ExitNothing, fmt.Errorf("reach %s: %w", t.root, err), "nothing was done"}
		}
		out.Root = root
	}
	return out, nil
}

// survey is what resolves a response to the situation. It asks nobody as it is.
func (s *situation) survey(book playbooks.Playbook, asked plan.Asked, key credential.FingerprintKey) (plan.Survey, error) {
	endpoints, err := s.app.endpoints(asked.Endpoints)
	return plan.Survey{
		Work: &actions.Response{
			Host: s.host, Description: s.description, Providers: s.providers, Authorities: s.authorities,
			Clock: ownClock, Desk: hostname(), Version: version, Key: key,
		},
		Book: book, Asked: asked, Endpoints: endpoints, By: s.app.responder(), Valid: time.Hour,
	}, err
}

// readers are providers that can send nothing but their reads. An authority is not even read with
// on a suspect desk, whatever was accepted for the kill: it would have to be rotated.
func (s *situation) readers(endpoints map[string]string) (map[string]revoke.Provider, error) {
	careful := &actions.Authorities{Load: s.authorities.Load, Suspect: s.authorities.Suspect}
	return providers.Readers(func(name string) revoke.Env {
		return revoke.Env{
			HTTP: revoke.NewClient(revoke.NewTransport()), Endpoint: endpoints[name],
			Authority: careful.For(name), Sleep: ownClock.Sleep, Now: ownClock.Now,
		}
	})
}

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
		"deadline": t.deadline == p.Deadline(),
	} {
		if changed(flag) && !same {
			return t, usage("leave it out: the plan says it", "--%s contradicts %s", flag, p.file)
		}
	}
	t.host, t.root, t.playbook, t.endpoints, t.risks, t.deadline = is.Host, is.Root, is.Playbook, is.Endpoints, is.Risks, p.Deadline()
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
