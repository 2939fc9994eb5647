package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/verify"
)

// compared is what a record is held against, from elsewhere.
type compared struct {
	checkpoints []string
	noted       []string
	key         string
	copy        bool
	identity    string
	signers     string
	tsaRoots    string
}

func (a *app) verifyCommand() *cobra.Command {
	var with compared
	c := &cobra.Command{
		Use: "verify [INCIDENT|PACKAGE]", Short: "Check a record, its seals and its evidence, against each other and against what is held elsewhere", Args: upTo(1),
		Long: "verify checks each line of a record, the chain of its hashes, the tree over them, the signature of\n" +
			"its checkpoint, and the evidence. It says the first thing that is wrong, and where.\n\n" +
			"Whoever had the machine and the key can make a record anew that agrees with itself. That shows\n" +
			"only beside a checkpoint that was held elsewhere (--checkpoint, --noted), and only for the\n" +
			"entries that it covers; or, when another key was used, beside the key (--key).\n\n" +
			"Of a package of evidence alone, or the folder that it was unpacked into, it checks the digests, the\n" +
			"form and every file; and its signature, where there is one. One that is encrypted is opened with\n" +
			"--identity; without, its digest and signature are all that is checked.",
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(strings.Join(args, ""), with) },
	}
	c.Flags().StringArrayVar(&with.checkpoints, "checkpoint", nil, "compare with a checkpoint in `FILE`, as a witness holds it; more than once for several")
	c.Flags().StringArrayVar(&with.noted, "noted", nil, "compare with a checkpoint that was written down, as `SIZE:ROOT`; more than once for several")
	c.Flags().BoolVar(&with.copy, "copy", false, "the folder is the copy that a witness keeps: lines and checkpoints, without tree, payloads and evidence")
	c.Flags().StringVar(&with.identity, "identity", "", "open encrypted evidence with the age identity or SSH private key in `FILE`")
	c.Flags().StringVar(&with.signers, "allowed-signers", "", "want evidence signed by somebody in this list: `FILE`, as in ssh-keygen(1) (default: allowed_signers of the configuration, where there is a signature)")
	c.Flags().StringVar(&with.tsaRoots, "tsa-roots", "", "believe time stamps by the roots in `FILE`, PEM (default: those of the configuration)")
	c.Flags().StringVar(&with.key, "key", "", "compare the record's key with the one in `FILE`, noted elsewhere: a verifier key or an SSH public key")
	return c
}

// verify checks a bag, or an incident's record with all its bags. The newest incident, where none is named.
func (a *app) verify(what string, with compared) error {
	look, err := a.evidenceCheck(with)
	if err != nil {
		return err
	}
	if isEvidence(what) {
		if err := a.verifyEvidence(what, look); err != nil {
			return err
		}
		return a.verifyBeside(what, with.tsaRoots)
	}
	dir, err := a.find(what)
	if err != nil {
		return err
	}
	if with.copy {
		if err := with.besides(dir); err != nil {
			return err
		}
	}
	options, err := with.read()
	if err != nil {
		return err
	}
	var bags []string
	options.Bag = func(path string, recorded incident.Sealed) error {
		says, err := look.check(path, recorded)
		bags = append(bags, says...)
		return err
	}
	found, err := verify.Incident(dir, options)
	if err != nil {
		return wrong(err)
	}
	if id := filepath.Base(dir); !strings.ContainsRune(what, filepath.Separator) && found.Incident != id && !with.copy {
		return &failure{incident.ExitNothing, fmt.Errorf("%s: the record in it is of %s", dir, show(found.Incident)),
			"somebody put another record in its place: look for the record of " + id + " elsewhere, and compare"}
	}
	a.showVerified(dir, found)
	for _, line := range bags {
		fmt.Fprintln(a.out, incident.Safe(line))
	}
	if !with.copy {
		if err := a.verifyCustody(dir, with.tsaRoots); err != nil {
			return err
		}
	}
	if n := found.Entries - found.Sealed.Size; found.Ended && found.Key != "" && n > 0 && !with.copy {
		return &failure{incident.ExitPartial, fmt.Errorf("%s: its last %d entries are not sealed, its end among them", filepath.Join(dir, journal.FileName), n),
			"it died before its last checkpoint (then clawback resume " + show(found.Incident) + " seals it), or somebody without the key wrote them: compare with what a witness holds"}
	}
	if !found.Ended {
		return &failure{incident.ExitPartial, fmt.Errorf("%s does not hold its end", filepath.Join(dir, journal.FileName)),
			"the run goes on, was killed, or its tail was cut: compare with what another copy holds"}
	}
	return nil
}

// read reads what the record is compared with.
func (c compared) read() (verify.Options, error) {
	o := verify.Options{Copy: c.copy}
	for _, path := range c.checkpoints {
		b, err := readSmall(path)
		if err != nil {
			return o, usage("name a file with a signed checkpoint", "--checkpoint: %w", err)
		}
		o.Held = append(o.Held, verify.Held{From: path, Note: b})
	}
	for _, text := range c.noted {
		h, err := verify.ParseNoted(text)
		if err != nil {
			return o, usage("as the response printed it at its end", "--noted: %w", err)
		}
		o.Held = append(o.Held, h)
	}
	if c.key != "" {
		b, err := readSmall(c.key)
		if err != nil {
			return o, usage("name a file with the key that was noted", "--key: %w", err)
		}
		o.Key = strings.TrimSpace(string(b))
		if o.Key == "" {
			return o, usage("name a file with the key that was noted", "--key: %s is empty", c.key)
		}
	}
	return o, nil
}

// wrong is the first thing that is wrong with a record.
func wrong(err error) error {
	hint := "compare with a copy from elsewhere"
	var fault *verify.Fault
	if errors.As(err, &fault) {
		hint = fault.Hint
	}
	return &failure{incident.ExitNothing, err, hint}
}

func (a *app) showVerified(dir string, r verify.Result) {
	fmt.Fprintf(a.out, "%s: %s, %d entries, chain unbroken, last %s\n", filepath.Join(dir, journal.FileName), show(r.Incident), r.Entries, r.Last)
	if r.Key == "" {
		fmt.Fprintln(a.out, "It is not signed. That a tail was cut, or the whole rewritten, shows only beside an older copy of that hash.")
		return
	}
	if r.Sealed.Size > 0 {
		fmt.Fprintf(a.out, "sealed: entries 1 to %d, root %s\n", r.Sealed.Size, r.Sealed.Root)
	}
	fmt.Fprintf(a.out, "key: %s\n", show(r.Key))
	if n := r.Entries - r.Sealed.Size; n > 0 && r.Sealed.Size > 0 {
		fmt.Fprintf(a.out, "The last %d entries are not sealed: the chain alone holds them.\n", n)
	}
	upTo := uint64(0)
	for _, c := range r.Held {
		upTo = max(upTo, c.Size)
	}
	if upTo == 0 {
		fmt.Fprintln(a.out, "Whoever has the key could have written all of this anew: that shows only beside a checkpoint from elsewhere (--checkpoint, --noted).")
		return
	}
	fmt.Fprintf(a.out, "held elsewhere: entries 1 to %d are those of the checkpoint that was given\n", upTo)
}
