package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
)

// handling is what the command line says of an addition to a custody log.
type handling struct {
	resumption
	item, from, to, who, purpose, at, why string
	release, dry                          bool
}

// flags are those of everything that adds to a custody log.
func (h *handling) flags(c *cobra.Command) {
	signKeyFlag(c, &h.signKey)
	c.Flags().BoolVar(&h.damaged, "damaged", false, "write on into a record that does not agree with its seals")
	c.Flags().BoolVar(&h.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
}

const custodyAdds = "\n\nIt adds to the record of the incident, also after its end, writes the report anew, and touches no host."

func (a *app) transferCommand() *cobra.Command {
	var h handling
	c := &cobra.Command{
		Use:   "transfer INCIDENT --item ITEM --to 'NAME, ROLE' --purpose TEXT",
		Short: "Write down that an item went from one person to another",
		Long:  "transfer writes down who gave an item of the evidence to whom, when and what for." + custodyAdds,
		Args:  upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.handle(c.Context(), args, h, func(i *incident.CustodyItem, at time.Time) (string, any) {
				if h.from == "" {
					h.from = i.Custodian
				}
				return incident.TypeTransfer, incident.Transfer{Item: h.item, From: h.from, To: h.to, Purpose: h.purpose, At: at, By: a.responder()}
			}, "--to", h.to)
		},
	}
	h.handlingFlags(c)
	c.Flags().StringVar(&h.from, "from", "", "who gives it, as `'NAME, ROLE'` (default: who has it, by the record)")
	c.Flags().StringVar(&h.to, "to", "", "who takes it, as `'NAME, ROLE'`")
	return c
}

func (a *app) accessCommand() *cobra.Command {
	var h handling
	c := &cobra.Command{
		Use:   "access INCIDENT --item ITEM --who 'NAME, ROLE' --purpose TEXT",
		Short: "Write down that somebody looked at an item",
		Long:  "access writes down who opened an item of the evidence, or a copy of it, when and what for." + custodyAdds,
		Args:  upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.handle(c.Context(), args, h, func(_ *incident.CustodyItem, at time.Time) (string, any) {
				return incident.TypeAccess, incident.Access{Item: h.item, Who: h.who, Purpose: h.purpose, At: at, By: a.responder()}
			}, "--who", h.who)
		},
	}
	h.handlingFlags(c)
	c.Flags().StringVar(&h.who, "who", "", "who looked at it, as `'NAME, ROLE'`")
	return c
}

func (h *handling) handlingFlags(c *cobra.Command) {
	c.Flags().StringVar(&h.item, "item", "", "the `ITEM`, as clawback custody names it: files, volatile")
	c.Flags().StringVar(&h.purpose, "purpose", "", "what for")
	c.Flags().StringVar(&h.at, "at", "", "when it happened, as 2026-03-01T14:30:00Z or with another zone (default: now)")
	h.flags(c)
}

// handle writes down what happened to an item. person is the flag that names somebody.
func (a *app) handle(ctx context.Context, args []string, h handling, entry func(*incident.CustodyItem, time.Time) (string, any), flag, person string) error {
	const example = "for example --item files --purpose 'timeline analysis' "
	switch {
	case len(args) == 0:
		return usage("clawback custody transfer INC-20260301-0312 "+example, "name the incident")
	case h.item == "" || strings.TrimSpace(h.purpose) == "":
		return usage(example, "--item and --purpose are both needed: the log is read in court")
	}
	for name, text := range map[string]string{flag: person, "--from": h.from} {
		if name == "--from" && text == "" {
			continue
		}
		who, role, _ := strings.Cut(text, ",")
		if strings.TrimSpace(who) == "" || strings.TrimSpace(role) == "" {
			return usage(name+" 'Carol Diaz, outside counsel'", "%s has to name a person and their role", name)
		}
	}
	at := time.Now().UTC()
	if h.at != "" {
		when, err := time.Parse(time.RFC3339, h.at)
		if err != nil {
			return usage("--at 2026-03-01T14:30:00+01:00", "--at %q is no time with its zone", h.at)
		}
		if at.Before(when) {
			return usage("write down what has happened", "--at %s is still to come", h.at)
		}
		at = when.UTC()
	}
	dir, s, err := a.itemised(args[0], h.item)
	if err != nil {
		return err
	}
	return a.intoCustody(ctx, dir, h, s, "the log is as it was: run it again", func(_ context.Context, r *response, note func(string, any) error) error {
		i := r.work.Before.State.Custody.Item(h.item)
		if i == nil {
			return fmt.Errorf("there is no item %q any more", h.item)
		}
		typ, data := entry(i, at)
		return note(typ, data)
	})
}

// itemised reads a record that has an item.
func (a *app) itemised(id, item string) (string, incident.State, error) {
	dir, err := a.find(id)
	if err != nil {
		return "", incident.State{}, err
	}
	s, err := readRecord(dir)
	if err != nil {
		return dir, s, &failure{incident.ExitNothing, fmt.Errorf("%s: %w", dir, err), "clawback verify " + id + " says more"}
	}
	if item == "" || s.Custody.Item(item) != nil {
		return dir, s, nil
	}
	var names []string
	for _, i := range s.Custody.Items {
		names = append(names, show(i.Item))
	}
	if len(names) == 0 {
		return dir, s, &failure{incident.ExitNothing, fmt.Errorf("%s has no evidence that is sealed", s.Declared.Incident), "clawback report " + s.Declared.Incident + " says why"}
	}
	return dir, s, usage("it is one of "+strings.Join(names, ", "), "%s has no item %q", s.Declared.Incident, item)
}

func (a *app) holdCommand() *cobra.Command {
	var h handling
	c := &cobra.Command{
		Use:   "hold INCIDENT --reason TEXT",
		Short: "Put all evidence of an incident under a legal hold, or let go of it",
		Long: "hold puts all evidence of an incident under a legal hold: the record and the report say so, what is\n" +
			"deposited from then on in S3 gets S3's own hold, and clawback custody deposit gives it to what lies there\n" +
			"already. clawback itself never deletes evidence that is sealed. --release wants to be typed; a hold\n" +
			"in a bucket stays until whoever may lifts it there." + custodyAdds,
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.hold(c.Context(), args, h) },
	}
	c.Flags().StringVar(&h.why, "reason", "", "the reason, for the record: the matter, and who asked")
	c.Flags().BoolVar(&h.release, "release", false, "let go of it")
	h.flags(c)
	return c
}

func (a *app) hold(ctx context.Context, args []string, h handling) error {
	if len(args) == 0 || strings.TrimSpace(h.why) == "" {
		return usage("clawback custody hold INC-20260301-0312 --reason 'matter 2026-17, asked for by counsel'", "hold takes an incident and --reason: the record is read in court")
	}
	dir, s, err := a.itemised(args[0], "")
	if err != nil {
		return err
	}
	id := s.Declared.Incident
	switch held := s.Custody.Held(); {
	case held && !h.release:
		return usage("clawback custody "+id+" shows since when", "the evidence of %s is under a legal hold already", id)
	case !held && h.release:
		return usage("clawback custody "+id+" shows how it stands", "the evidence of %s is under no legal hold", id)
	}
	if h.release {
		if err := a.askToRelease(id, s.Custody); err != nil {
			return err
		}
	}
	return a.intoCustody(ctx, dir, h, s, "the hold is as it was: run it again", func(_ context.Context, r *response, note func(string, any) error) error {
		return note(incident.TypeHold, incident.Hold{On: !h.release, By: a.responder(), Why: h.why})
	})
}

// askToRelease shows who wanted the hold, and wants its end typed.
func (a *app) askToRelease(id string, c incident.Custody) error {
	h := c.Holds[len(c.Holds)-1]
	want := "release " + id
	fmt.Fprintf(a.err, "%s: held since %s by %s: %s\nWhoever may delete evidence can do so afterwards. Type  %s  to go on: ",
		id, h.At.Format(time.RFC3339), incident.Safe(h.By), incident.Safe(h.Purpose), want)
	if !term.IsTerminal(int(a.in.Fd())) {
		fmt.Fprintln(a.err)
	}
	line, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return &failure{incident.ExitApproval, errors.New("the legal hold stands"), "type what is asked for"}
	}
	return nil
}

func (a *app) stampCommand() *cobra.Command {
	var h handling
	c := &cobra.Command{
		Use:   "stamp INCIDENT",
		Short: "Have a time stamp set on each package that has none",
		Long: "stamp asks the time stamping authority of the configuration (evidence: timestamp) about each package\n" +
			"that has no stamp yet, because the authority did not answer when it was sealed." + custodyAdds,
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.stamp(c.Context(), args, h) },
	}
	h.flags(c)
	return c
}

func (a *app) stamp(ctx context.Context, args []string, h handling) error {
	switch {
	case len(args) == 0:
		return usage("clawback custody stamp INC-20260301-0312", "name the incident")
	case a.config.Evidence.Timestamp == nil:
		return usage("clawback help config shows evidence: timestamp", "the configuration names no time stamping authority")
	}
	dir, s, err := a.packaged(args[0])
	if err != nil {
		return err
	}
	left := 0
	for _, i := range s.Custody.Items {
		if !i.Replaced && i.Evidence.Package != "" && i.Stamp() == nil {
			left++
		}
	}
	if left == 0 {
		fmt.Fprintf(a.err, "clawback: each package of %s has a time stamp: there is nothing to do\n", s.Declared.Incident)
		return nil
	}
	return a.intoCustody(ctx, dir, h, s, "try again when the authority answers; the package and its digest stay as they are", func(ctx context.Context, r *response, note func(string, any) error) error {
		return r.work.StampAll(ctx, note)
	})
}

func (a *app) depositCommand() *cobra.Command {
	var h handling
	c := &cobra.Command{
		Use:   "deposit INCIDENT",
		Short: "Put the evidence where the configuration says, or prove that it lies there",
		Long: "deposit puts each package, and what lies beside it, into each place of the configuration (evidence:\n" +
			"deposit), and reads it back. What lies there already with the same content is read back again, so it can\n" +
			"be run at any time to see whether the copies are whole. Nothing that lies there is replaced." + custodyAdds,
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.deposit(c.Context(), args, h) },
	}
	c.Flags().BoolVar(&h.dry, "dry-run", false, "show what would be put where; nothing is sent or recorded")
	h.flags(c)
	return c
}

func (a *app) deposit(ctx context.Context, args []string, h handling) error {
	switch {
	case len(args) == 0:
		return usage("clawback custody deposit INC-20260301-0312", "name the incident")
	case len(a.config.Evidence.Deposit) == 0:
		return usage("clawback help config shows evidence: deposit", "the configuration names no place to put evidence")
	case h.dry && h.json:
		return usage("leave one out", "--dry-run records nothing, so --json has nothing to print")
	}
	dir, s, err := a.packaged(args[0])
	if err != nil {
		return err
	}
	if h.dry {
		for _, place := range a.custodian().Places {
			for _, i := range s.Custody.Items {
				if !i.Replaced && i.Evidence.Package != "" {
					fmt.Fprintf(a.out, "%s -> %s\n", incident.Safe(i.Evidence.Path), incident.Safe(place.Folder(s.Declared.Incident)))
				}
			}
		}
		fmt.Fprintln(a.err, "clawback: dry run: nothing was sent or recorded")
		return nil
	}
	return a.intoCustody(ctx, dir, h, s, "the evidence at the desk stays as it is; clawback custody "+s.Declared.Incident+" shows what lies where", func(ctx context.Context, r *response, note func(string, any) error) error {
		return r.work.DepositAll(ctx, a.responder(), note)
	})
}

// packaged reads a record with evidence that can be sent somewhere.
func (a *app) packaged(id string) (string, incident.State, error) {
	dir, s, err := a.itemised(id, "")
	if err != nil {
		return dir, s, err
	}
	for _, i := range s.Custody.Items {
		if !i.Replaced && i.Evidence.Package != "" {
			return dir, s, nil
		}
	}
	return dir, s, &failure{incident.ExitNothing, fmt.Errorf("%s has no sealed package", s.Declared.Incident), "clawback report " + s.Declared.Incident + " says why"}
}

// intoCustody takes up a record to add to its custody log. No host is reached, and no provider asked.
func (a *app) intoCustody(ctx context.Context, dir string, h handling, was incident.State, hint string, do func(context.Context, *response, func(string, any) error) error) error {
	if was.Declared.DryRun {
		return usage("name a response or a drill", "%s was a rehearsal: it has no evidence", was.Declared.Incident)
	}
	rec, cut, err := a.reopen(dir, was.Declared.Target)
	if err != nil {
		return err
	}
	r, err := a.forCustody(ctx, rec, cut, h)
	if err != nil {
		return errors.Join(err, rec.close())
	}
	return r.alone(ctx, hint, func(ctx context.Context) (incident.State, error) {
		return r.work.Custody(ctx, rec.journal, func(ctx context.Context, note func(string, any) error) error { return do(ctx, r, note) })
	})
}

func (a *app) forCustody(ctx context.Context, rec *open, cut int64, h handling) (*response, error) {
	before, err := actions.Recall(rec.journal.Entries(ctx), incident.Resumed{By: a.responder(), Desk: hostname(), Version: version, Cut: int(cut)})
	if err != nil {
		return nil, &failure{incident.ExitNothing, err, "clawback verify " + rec.id + " says more"}
	}
	doubt, err := a.intact(rec, before.State, h.damaged)
	if err != nil {
		return nil, err
	}
	d := before.State.Declared
	s, _, err := a.resolve(h.target)
	if err != nil {
		return nil, err
	}
	s.host = actions.Gone{Target: d.Target, Far: d.Remote, Why: errors.New("the host is left alone")}
	d.Responder, d.Attended = a.responder(), false
	r := s.response(rec, playbooks.Playbook{Name: d.Playbook}, d, h.json)
	before.Warnings = doubt
	r.work.Before = before
	r.signWith(s.own, d.CheckpointKey)
	return r, nil
}
