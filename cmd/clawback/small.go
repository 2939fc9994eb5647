package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/report"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
	"clawback/snapshots"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(c.OutOrStdout(), "clawback %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

func (a *app) providersCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "providers", Short: "List the providers: what is revoked how, and how long its proof takes", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			infos, err := providerInfos()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(infos)
			}
			return printProviders(c, infos)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	return c
}

func providerInfos() ([]revoke.Info, error) {
	known, err := providers.New(func(string) revoke.Env { return revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{})} })
	if err != nil {
		return nil, err
	}
	var infos []revoke.Info
	for _, name := range providers.Names() {
		infos = append(infos, known[name].Info())
	}
	return infos, nil
}

func printProviders(c *cobra.Command, infos []revoke.Info) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tWHAT\tREVOKED\tAUTHORITY\tPROOF")
	for _, info := range infos {
		for _, k := range info.Kinds {
			kind, _ := credential.Lookup(k.Kind)
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.Kind, kind.Title, howRevoked(k), cmpOr(k.Authority, "–"), howProved(k))
		}
	}
	return w.Flush()
}

func howRevoked(k revoke.KindInfo) string {
	switch {
	case k.Manual:
		return "by hand"
	case k.SelfRevoking:
		return "with itself"
	}
	return "with an authority"
}

func howProved(k revoke.KindInfo) string {
	if k.Unverifiable != "" {
		return "none: " + k.Unverifiable
	}
	refusals := k.Propagation.Refusals
	if refusals == 0 {
		refusals = 3
	}
	return fmt.Sprintf("%d refusals over %s", refusals, k.Propagation.Budget)
}

func (a *app) playbookCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "playbook", Short: "Look at playbooks", Args: upTo(0),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List the playbooks that come with clawback", Args: noArgs, RunE: func(c *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, name := range playbooks.Builtins() {
				book, err := playbooks.Builtin(name, actions.Names())
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\t%d steps\t%s\n", book.Name, len(book.Steps()), book.Title)
			}
			return w.Flush()
		}},
		&cobra.Command{Use: "show NAME", Short: "Print a playbook", Args: exactly(1, "NAME"), RunE: func(c *cobra.Command, args []string) error {
			src, err := playbooks.Source(args[0])
			if err != nil {
				return usage("clawback playbook list", "%w", err)
			}
			_, err = c.OutOrStdout().Write(src)
			return err
		}},
		&cobra.Command{Use: "validate FILE", Short: "Check a playbook of your own", Args: exactly(1, "FILE"), RunE: func(c *cobra.Command, args []string) error {
			src, err := os.ReadFile(args[0])
			if err != nil {
				return usage("name a file that can be read", "%w", err)
			}
			book, err := actions.Validate(args[0], src)
			if err != nil {
				return usage("clawback playbook show kill-switch is one that is right", "%w", err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d phases, %d steps\n", book.Name, len(book.Phases), len(book.Steps()))
			return nil
		}},
	)
	return c
}

// exactly refuses any other number of arguments with an error of ours.
func exactly(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(c.CommandPath()+" "+names, "%s takes %s", c.CommandPath(), names)
		}
		return nil
	}
}

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
	h, err := a.reach(ctx, t)
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
	fmt.Fprintf(a.err, "%d credentials in %d files\n", len(order), summary.Files)
	return err
}

func (a *app) printCredentials(found []*credential.Credential, asJSON bool) {
	if asJSON {
		out := json.NewEncoder(a.out)
		for _, c := range found {
			_ = out.Encode(c)
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

func (a *app) snapshotCommand() *cobra.Command {
	var t target
	var into string
	c := &cobra.Command{
		Use: "snapshot", Short: "Preserve the evidence at the desk; nothing on the host is changed", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.snapshot(c.Context(), t, into) },
	}
	t.machineFlags(c)
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
	if s.host, err = a.reach(ctx, t); err != nil {
		return err
	}
	defer func() { _ = s.host.Close() }()
	if s.description, err = s.describe(ctx); err != nil {
		return err
	}
	work := &actions.Response{Dir: into, Host: s.host, Description: s.description, Version: version, Clock: fake.Wall{}}
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
		fmt.Fprintf(a.out, "%s: %d files, %d bytes, manifest SHA-256 %s\n", filepath.Join(into, sealed.Path), sealed.Files, sealed.Bytes, sealed.Manifest)
		for _, p := range slices.Concat(sealed.Problems, sealed.Left) {
			fmt.Fprintf(a.err, "%s: %s\n", part, incident.Safe(p))
		}
	}
	if failed != nil {
		return &failure{incident.ExitEvidence, failed, "make room at the desk and run it again"}
	}
	return nil
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify [INCIDENT|BAG]", Short: "Check a record and its evidence: nothing was changed, lost or added", Args: upTo(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(strings.Join(args, "")) },
	}
}

// verify checks a bag, or an incident's record with all its bags. The newest incident, where none is named.
func (a *app) verify(what string) error {
	if what != "" {
		if _, err := os.Stat(filepath.Join(what, "bagit.txt")); err == nil {
			return a.verifyBag(what, "")
		}
	}
	dir, err := a.find(what)
	if err != nil {
		return err
	}
	var state incident.State
	last := ""
	for e, err := range journal.Read(dir) {
		if err != nil {
			return &failure{incident.ExitNothing, fmt.Errorf("%s: %w", filepath.Join(dir, journal.FileName), err),
				fmt.Sprintf("what stands before entry %d holds; compare with a copy from elsewhere", state.Entries+1)}
		}
		state = incident.Fold(state, e)
		last = e.Hash()
	}
	fmt.Fprintf(a.out, "%s: %d entries, chain unbroken, last %s\n", filepath.Join(dir, journal.FileName), state.Entries, last)
	for _, bag := range state.Sealed {
		if err := a.verifyBag(filepath.Join(dir, filepath.FromSlash(bag.Path)), bag.Digest); err != nil {
			return err
		}
	}
	return nil
}

// verifyBag checks a bag against itself and, where the record names it, against its digest there:
// whoever can write to a bag can forge one that agrees with itself.
func (a *app) verifyBag(dir, recorded string) error {
	r, err := snapshots.Verify(dir)
	if err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("evidence %s: %w", dir, err), "compare with a copy from elsewhere"}
	}
	if recorded != "" && r.Digest != recorded {
		return &failure{incident.ExitNothing, fmt.Errorf("evidence %s agrees with itself, and is not what the record says was sealed (digest %s, recorded %s)", dir, r.Digest, recorded),
			"it was replaced after it was sealed: use another copy"}
	}
	fmt.Fprintf(a.out, "%s: %d files, %d bytes, as sealed\n", dir, r.Files, r.Bytes)
	return nil
}

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "report [INCIDENT]", Short: "Write the report again from the record, and print where it is", Args: upTo(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.report(strings.Join(args, "")) },
	}
}

func (a *app) report(id string) error {
	dir, err := a.find(id)
	if err != nil {
		return err
	}
	s, err := incident.FoldAll(journal.Read(dir))
	if err != nil {
		complain(a.err, &failure{err: err, hint: "the report says what stands before it"})
	}
	written, err := report.Write(dir, s, journal.Read(dir))
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintln(a.out, written.Markdown)
	return nil
}
