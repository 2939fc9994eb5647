package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/revoke"
	"clawback/revoke/credential"
)

// rehearse shows what a kill would do. Its record is kept nowhere, its providers send nothing.
func (s *situation) rehearse(ctx context.Context, book playbooks.Playbook, json bool) error {
	var clock revoke.Wall
	j := journal.InMemory(clock.Now)
	work := &actions.Response{
		Host: s.host, Description: s.description, Providers: s.providers, Authorities: s.authorities,
		Clock: clock, Desk: hostname(), Version: version, Key: credential.NewFingerprintKey(),
		Inventory: s.app.inventory(), HostLost: s.target.hostLost,
	}
	declared := s.declared("dry-run", book, false)
	declared.DryRun = true
	state, err := work.Rehearse(ctx, j, book, declared)
	if err != nil {
		return err
	}
	if json {
		p := newJSONPrinter(s.app.out)
		var folded incident.State
		for e, err := range j.Entries(ctx) {
			if err != nil {
				return err
			}
			folded = incident.Fold(folded, e)
			p.entry(folded, e)
		}
		p.summary(state.Summarize(""))
	}
	s.showPlan(book)
	s.showCredentials(ctx, work, state)
	fmt.Fprintln(s.app.err, "\ndry run: nothing was changed, and nothing was sent to any provider")
	if err := j.Close(); err != nil {
		return err
	}
	if code := state.ExitCode(); code != 0 {
		return exitCode(code)
	}
	return nil
}

// showPlan prints what will be done, in order, and what of it cannot be undone.
func (s *situation) showPlan(book playbooks.Playbook) {
	out := s.app.err
	fmt.Fprintf(out, "%s on %s\n", book.Title, incident.Safe(s.host.Name()))
	if s.authorities.Suspect {
		fmt.Fprintln(out, "This desk is the machine under suspicion: whoever owns it can read what you type here.")
	}
	for _, i := range s.description.Installations {
		fmt.Fprintf(out, "  found /%s, generation %s\n", incident.Safe(i.StateDir), i.Generation)
	}
	fmt.Fprintf(out, "  %d processes, %d units, %d things that may bring it back\n\n",
		len(s.description.Processes), len(s.description.Units), len(s.description.Revivers))
	facts := s.facts()
	for n, step := range book.Steps() {
		if c := step.When; c.Choice == "" && !c.Zero() && facts[c.Fact] == c.Not {
			continue
		}
		fmt.Fprintf(out, "%3d  %s\n", n+1, step.Title)
		if step.Uses == "evidence.deposit" {
			for _, line := range s.app.config.whereTo() {
				fmt.Fprintf(out, "     %s\n", line)
			}
		}
		if step.Approvals > 0 {
			fmt.Fprintf(out, "     to be approved first by other people: %d\n", step.Approvals)
		}
		for _, line := range s.atPlatforms(step) {
			fmt.Fprintf(out, "     %s\n", incident.Safe(line))
		}
		if step.Uses == "broker.hold" {
			for _, b := range s.brokers {
				fmt.Fprintf(out, "     %s (%s): account %s\n", b.Name(), b.Where(), incident.Safe(b.Agent()))
			}
		}
		if step.Irreversible != "" {
			fmt.Fprintf(out, "     cannot be undone: %s\n", step.Irreversible)
		}
	}
}

// atPlatforms says what a step does outside of the machine.
func (s *situation) atPlatforms(step playbooks.Step) []string {
	r := actions.Response{Platforms: s.platforms}
	switch step.Uses {
	case "platform.isolate":
		return r.Will()
	case "evidence.disk":
		return r.WillCopy()
	}
	return nil
}

// showCredentials prints what would become of each credential.
func (s *situation) showCredentials(ctx context.Context, work *actions.Response, state incident.State) {
	fmt.Fprintf(s.app.err, "\n%d credentials\n", len(state.Credentials))
	w := tabwriter.NewWriter(s.app.err, 0, 8, 2, ' ', 0)
	for _, c := range state.Credentials {
		why := work.Fate(ctx, c.Found).Why
		if c.Doubt != "" {
			why += "; in doubt: " + c.Doubt
		}
		if c.Other != "" {
			why += "; kept by " + c.Other
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", c.Kind, incident.Safe(c.Masked), incident.Safe(why), firstSource(c))
	}
	_ = w.Flush()
	if state.Searched != nil {
		for _, p := range state.Searched.Problems {
			fmt.Fprintf(s.app.err, "  not searched: %s\n", incident.Safe(p))
		}
		for _, p := range state.Searched.Apart {
			fmt.Fprintf(s.app.err, "  another user's: %s\n", incident.Safe(p))
		}
		for _, h := range state.Searched.Harmless {
			fmt.Fprintf(s.app.err, "  told apart: %s %s in %s: %s\n", h.Kind, incident.Safe(h.Masked), incident.Safe(h.Source.String()), incident.DoubtText(h.Doubt))
		}
	}
	for _, warning := range state.Warnings {
		fmt.Fprintf(s.app.err, "  warning: %s\n", incident.Safe(warning.Text))
	}
}

func firstSource(c *incident.Credential) string {
	if len(c.Sources) == 0 {
		return ""
	}
	return incident.Safe(c.Sources[0].String())
}
