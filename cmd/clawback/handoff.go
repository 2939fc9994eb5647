package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/playbooks/host"
)

func (a *app) handoffCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "handoff", Short: "Respond to a machine that the desk has no link to: take what it wrote", Args: noArgs,
		Long: `A machine without a link to the desk is frozen and preserved by whoever stands at it, and what it
wrote is carried here on a disk:

  clawback handoff key web-1.key                  at the desk: makes a key, and prints the next line
  ./clawback-host handoff --recipient age1… > /mnt/stick/web-1.handoff      at the machine, as root
  clawback handoff look web-1.handoff --identity web-1.key
  clawback respond --handoff web-1.handoff --identity web-1.key             or kill, discover, snapshot

The file is encrypted to the key alone: whoever finds the disk reads nothing. The agent is frozen
first, then its evidence and its credentials are written. It stays frozen; nothing is killed, and the
network is as it was: clawback-host stop and the plug are for whoever stands there.`,
	}
	key := &cobra.Command{
		Use: "key FILE", Short: "Make the key that a handoff is encrypted to", Args: exactly(1, "FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.handoffKey(args[0]) },
	}
	var identity string
	look := &cobra.Command{
		Use: "look FILE", Short: "Check that a handoff is whole, and say what is in it", Args: exactly(1, "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.handoffLook(c.Context(), target{handoff: args[0], identity: identity})
		},
	}
	look.Flags().StringVar(&identity, "identity", "", "the key in `FILE`, as handoff key made it")
	c.AddCommand(key, look)
	return c
}

// handoffKey writes a new identity to a file that does not exist.
func (a *app) handoffKey(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "# opens what a machine without a link hands over\n# public key: %s\n%s\n", identity.Recipient(), identity)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return &failure{incident.ExitUsage, fmt.Errorf("write the key: %w", err), "name a file that does not exist, in a folder that is yours"}
	}
	fmt.Fprintf(a.out, "At the machine, as root, with a disk of your own:\n  ./clawback-host handoff --recipient %s > /mnt/stick/NAME.handoff\n", identity.Recipient())
	return nil
}

// handed opens what a machine handed over.
func (t *target) handed(ctx context.Context) (host.Host, error) {
	if t.identity == "" {
		return nil, usage("name the key that clawback handoff key made", "--handoff needs --identity")
	}
	identities, err := readIdentities(t.identity)
	if err == nil && len(identities) != 1 {
		err = fmt.Errorf("%s holds %d keys", t.identity, len(identities))
	}
	if err != nil {
		return nil, usage("name the key that clawback handoff key made", "--identity: %w", err)
	}
	h, err := host.OpenHanded(ctx, t.handoff, identities[0])
	if err != nil {
		return nil, &failure{incident.ExitNothing, err,
			"nothing was done; copy the file again, and see that the key is the one whose recipient the machine was given"}
	}
	return h, nil
}

func (a *app) handoffLook(ctx context.Context, t target) error {
	s := &situation{app: a}
	var err error
	if s.host, err = a.reach(ctx, &t); err != nil {
		return err
	}
	defer func() { _ = s.host.Close() }()
	d, err := s.host.Describe(ctx)
	if err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("%s: %w", t.handoff, err), "the machine could not describe itself: go on by hand there"}
	}
	fmt.Fprintf(a.out, "%s is whole.\n", filepath.Base(t.handoff))
	for _, i := range d.Installations {
		fmt.Fprintf(a.out, "installation  /%s\n", incident.Safe(i.StateDir))
	}
	if f, err := s.host.Freeze(ctx); err != nil {
		fmt.Fprintf(a.out, "NOT frozen    %s\n", incident.Safe(err.Error()))
	} else if !f.Complete() {
		fmt.Fprintf(a.out, "NOT frozen    not everything: %d processes stand still, %d do not\n", len(f.Processes), len(f.Escaped))
	} else {
		fmt.Fprintf(a.out, "frozen        %d processes\n", len(f.Processes))
	}
	fmt.Fprintf(a.out, "next: clawback respond --handoff %s --identity %s\n", t.handoff, t.identity)
	return nil
}
