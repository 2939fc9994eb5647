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
		HostLost: t.hostLost,
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
			Inventory: s.app.inventory(), HostLost: asked.HostLost, Platforms: s.platforms, Brokers: s.brokers,
		},
		Book: book, Asked: asked, Endpoints: endpoints, By: s.app.responder(), Valid: time.Hour,
	}, err
}

// readers are providers that can send nothing but their reads. An authority is not even read with
// on a suspect desk, whatever was accepted for the kill: it would have to be rotated.
func (s *situation) readers(endpoints map[string]string) (map[string]revoke.Provider, error) {
	careful := &actions.Authorities{Load: s.authorities.Load, Suspect: s.authorities.Suspect, Runs: s.authorities.Runs}
	return providers.Readers(s.env(endpoints, careful, false))
}
