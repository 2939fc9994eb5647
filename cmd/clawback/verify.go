package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/snapshots"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify [INCIDENT|BAG]", Short: "Check a record and its evidence: the chain of the one, the hashes of the other", Args: upTo(1),
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
	fmt.Fprintln(a.out, "That a tail was cut, or the whole rewritten, shows only beside an older copy of that hash.")
	for _, bag := range state.Sealed {
		if err := a.verifyBag(filepath.Join(dir, filepath.FromSlash(bag.Path)), bag.Digest); err != nil {
			return err
		}
	}
	if state.Exit == nil {
		return &failure{incident.ExitPartial, fmt.Errorf("%s does not hold its end", filepath.Join(dir, journal.FileName)),
			"the run goes on, was killed, or its tail was cut: compare with what another copy holds"}
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
