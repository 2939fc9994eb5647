package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/actions"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

func (a *app) discoverCommand() *cobra.Command {
	var t target
	var asJSON bool
	c := &cobra.Command{
		Use: "discover", Short: "Find the credentials that the agent held; nothing is changed or sent", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.discover(c.Context(), t, asJSON) },
	}
	t.machineFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one object a credential")
	return c
}

func (a *app) discover(ctx context.Context, t target, asJSON bool) error {
	h, err := a.reach(ctx, &t)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	key := credential.NewFingerprintKey()
	byPrint := make(map[credential.Fingerprint]*credential.Credential)
	var order []*credential.Credential
	summary, err := h.Discover(ctx, func(f discover.Found) {
		c := actions.Credential(key, f)
		if known := byPrint[c.Fingerprint]; known != nil {
			known.Sources = append(known.Sources, f.Source)
			return
		}
		byPrint[c.Fingerprint] = &c
		order = append(order, &c)
	})
	switch {
	case errors.Is(err, discover.ErrNoInstallation):
		return &failure{incident.ExitNoInstallation, fmt.Errorf("%s: %w", h.Name(), err), "run it as root, or name the disk that holds it with --root"}
	case err != nil:
		err = fmt.Errorf("search %s: %w", h.Name(), err)
	}
	a.printCredentials(order, asJSON)
	for _, p := range summary.Problems {
		fmt.Fprintf(a.err, "not read: %s: %s\n", incident.Safe(p.Path), incident.Safe(p.Reason))
	}
	for _, p := range summary.Apart {
		fmt.Fprintf(a.err, "left alone: %s: %s\n", incident.Safe(p.Path), incident.Safe(p.Reason))
	}
	fmt.Fprintf(a.err, "%d credentials in %d files\n", len(order), summary.Files)
	if err == nil && len(summary.Problems) > 0 {
		return exitCode(incident.ExitPartial) // what was not read may hold more
	}
	return err
}

func (a *app) printCredentials(found []*credential.Credential, asJSON bool) {
	if asJSON {
		for _, c := range found {
			if line, err := json.Marshal(c); err == nil {
				fmt.Fprintf(a.out, "%s\n", journal.Visible(line))
			}
		}
		return
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	for _, c := range found {
		for i, s := range c.Sources {
			name, tier := c.Kind+"\t"+incident.Safe(c.Masked), fmt.Sprintf("tier %d", c.Tier)
			if i > 0 {
				name, tier = "\t", ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", name, tier, incident.Safe(s.String()))
		}
	}
	_ = w.Flush()
}
