package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/revoke"
)

func (a *app) snapshotCommand() *cobra.Command {
	var t target
	var into string
	c := &cobra.Command{
		Use: "snapshot", Short: "Preserve the evidence at the desk; nothing on the host is changed", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.snapshot(c.Context(), t, into) },
	}
	t.machineFlags(c)
	t.handoffFlags(c)
	c.Flags().StringVar(&into, "into", "", "the `FOLDER` to make; it must not exist")
	return c
}

func (a *app) snapshot(ctx context.Context, t target, into string) error {
	if into == "" {
		return usage("for example --into ./evidence", "--into is missing")
	}
	if err := os.Mkdir(into, 0o700); err != nil {
		return &failure{incident.ExitUsage, fmt.Errorf("make the folder for the evidence: %w", err), "name a folder that does not exist yet, on a disk with room"}
	}
	s := &situation{app: a}
	var err error
	if s.host, err = a.reach(ctx, &t); err != nil {
		return err
	}
	defer func() { _ = s.host.Close() }()
	if s.description, err = s.describe(ctx); err != nil {
		return err
	}
	work := &actions.Response{Dir: into, Host: s.host, Description: s.description, Version: version, Clock: revoke.Wall{}, Disk: ownDisk}
	a.keeps(work)
	var failed error
	for _, part := range []string{"volatile", "files"} {
		sealed, err := work.Preserve(ctx, part, part)
		if errors.Is(err, actions.ErrNothing) {
			continue
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s evidence: %w", part, err))
			continue
		}
		fmt.Fprintf(a.out, "%s: %d files, %d bytes, SHA-256 %s\n", filepath.Join(into, sealed.Path), sealed.Files, sealed.Bytes, sealed.Package)
		for _, p := range slices.Concat(sealed.Problems, sealed.Left) {
			fmt.Fprintf(a.err, "%s: %s\n", part, incident.Safe(p))
		}
	}
	if failed != nil {
		return &failure{incident.ExitEvidence, failed, "make room at the desk and run it again"}
	}
	return nil
}
