package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
	"clawback/playbooks/plan"
)

// isPlan reports whether an argument names a file rather than an incident.
func isPlan(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// approvePlan approves a step of a plan file before it is carried out. The approval lies beside it,
// where kill --plan looks for it.
func (a *app) approvePlan(ctx context.Context, who sender, file, step string, yes bool) error {
	raw, _, err := readRegular(file, plan.MaxFile)
	if err != nil {
		return usage("clawback plan -o FILE makes one", "plan: %w", err)
	}
	p, err := plan.Decode(raw)
	if err != nil {
		return usage("clawback plan -o FILE makes one", "plan %s: %w", file, err)
	}
	if err := needsApproval(p.Playbook.Plan, step); err != nil {
		return &failure{incident.ExitApproval, err, "clawback plan show " + file}
	}
	key, closer, as, err := who.open(ctx, a, signers.Approvals)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	if err := plan.WriteText(a.err, p, plan.Digest(raw)); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "\nYou are %s, and approve the step %s of this plan\n", show(as), show(step))
	if !yes {
		if err := a.confirm("approve " + step); err != nil {
			return err
		}
	}
	m, err := inbox.ApprovePlan(p.Playbook.Plan, plan.Digest(raw), step, as)
	if err != nil {
		return err
	}
	sealed, _, err := inbox.Seal(m, key)
	if err != nil {
		return err
	}
	path := file + "." + strings.ReplaceAll(as, "/", "_") + "." + step + ".sig"
	if err := disk.Replace(disk.OS{}, path, sealed, 0o644); err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("write the approval: %w", err), "the folder of the plan is where kill --plan looks for it"}
	}
	fmt.Fprintln(a.out, path)
	return nil
}

func needsApproval(p incident.Plan, step string) error {
	for _, phase := range p.Phases {
		for _, s := range phase.Steps {
			if s.ID == step && s.Approvals > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("no step %q of the plan needs an approval", step)
}
