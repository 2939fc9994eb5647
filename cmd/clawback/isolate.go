package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/containment"
)

// isolating is what the command line says of cutting a host off the network.
type isolating struct {
	resumption
	only, yes, dry bool
	keep           []string
	why            string
}

func (a *app) isolateCommand() *cobra.Command {
	var o isolating
	c := &cobra.Command{
		Use: "isolate [INCIDENT]", Short: "Cut a host off the network, or the agent on it alone",
		Long: "isolate cuts the host of an incident off the network now: all but ssh from this desk and what is kept.\n" +
			"With --host it does so on a machine of which no incident is on record yet, and opens one. With\n" +
			"--only-agent the rest of the machine keeps its network: traffic is told by the control groups, the\n" +
			"accounts and the networks that are the agent's alone, and by the sockets that it has open. What shares\n" +
			"all of them with others is named, and the command ends with 3: cut the whole machine off then.\n\n" +
			"Against root on the machine it is a delay. clawback restore undoes it. It ends with 0 when it was done\n" +
			"and the desk can come back, with 3 when not all of it was done or it does not hold, with 20 where nobody\n" +
			"confirmed it, and with 1 where the host could not be reached.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.isolate(c.Context(), strings.Join(args, ""), o) },
	}
	c.Flags().StringVar(&o.host, "host", "", "the machine `[USER@]HOST`, over ssh; with an incident, where its record's name leads elsewhere by now")
	c.Flags().BoolVar(&o.only, "only-agent", false, "cut off the agent alone, and not its machine")
	c.Flags().StringArrayVar(&o.keep, "keep", nil, "leave `[NAME=]ADDRESS:PORT` in reach, beside what the configuration keeps")
	c.Flags().StringVar(&o.why, "why", "", "the reason, for the record")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it; without it the host's state is shown and you are asked")
	c.Flags().BoolVar(&o.dry, "dry-run", false, "show how the host stands; nothing is changed or recorded")
	signKeyFlag(c, &o.signKey)
	c.Flags().BoolVar(&o.damaged, "damaged", false, "write on into a record that does not agree with its seals")
	c.Flags().BoolVar(&o.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
	return c
}

func (a *app) isolate(ctx context.Context, id string, o isolating) error {
	const example = "clawback isolate INC-20260301-0312, or clawback isolate --host root@web-1"
	switch {
	case id == "" && o.host == "":
		return usage(example, "isolate takes an incident, or a host")
	case o.only && len(o.keep) > 0:
		return usage("leave --keep out", "cut off alone, the agent reaches nothing: --keep does not go with --only-agent")
	case o.dry && (o.yes || o.json):
		return usage("leave the others out", "--dry-run does not go with --yes or --json")
	}
	keep, err := o.kept(a.config.Isolation)
	if err != nil {
		return err
	}
	if id == "" {
		return a.isolateAnew(ctx, o, keep)
	}
	return a.isolateAgain(ctx, id, o, keep)
}

// kept is what stays in reach: of the configuration, and of the command line.
func (o isolating) kept(config isolationConfig) ([]containment.Keep, error) {
	keep, err := config.keep()
	if err != nil {
		return nil, err
	}
	for i, text := range o.keep {
		if !strings.Contains(text, "=") {
			text = fmt.Sprintf("kept-%d=%s", i+1, text)
		}
		k, err := containment.ParseKeep(text)
		if err != nil {
			return nil, usage("for example --keep siem=10.0.0.5:6514", "--keep: %w", err)
		}
		keep = append(keep, k)
	}
	if len(keep) > maxKeep {
		return nil, usage("an isolation with more holes is none", "%d addresses to keep are more than %d", len(keep), maxKeep)
	}
	if probe, _ := config.forbidden(); slices.ContainsFunc(keep, func(k containment.Keep) bool { return k.Addr == probe }) {
		return nil, usage("leave it out, or name another probe", "%s is what the isolation is tried on: it cannot be kept", probe)
	}
	return keep, nil
}

// isolateAnew opens an incident for a machine, and carries out the playbook that isolates it.
func (a *app) isolateAnew(ctx context.Context, o isolating, keep []containment.Keep) error {
	book, err := a.playbook(playbooks.Isolate, 0)
	if err != nil {
		return err
	}
	for p := range book.Phases {
		for i, s := range book.Phases[p].Steps {
			if o.only && s.Uses == "host.isolate" {
				book.Phases[p].Steps[i].With = map[string]any{"only": "agent"}
				book.Phases[p].Steps[i].Title = "Cut the agent alone off the network"
			}
		}
	}
	s, endpoints, err := a.resolve(o.target)
	if err != nil {
		return err
	}
	if s.host, err = a.reach(ctx, &s.target); err != nil {
		return err
	}
	defer func() { _ = s.host.Close() }()
	if s.description, err = s.look(ctx); err != nil { // it may be cut off although no agent was found
		return err
	}
	if o.dry {
		a.printStanding(s.host.Name(), s.description)
		fmt.Fprintln(a.err, "clawback: nothing was changed")
		return nil
	}
	if err := a.askToIsolate(o, s.host.Name(), s.description); err != nil {
		return err
	}
	if err := s.supply(endpoints, false, false); err != nil {
		return err
	}
	rec, err := a.create("INC", s.host.Name(), ownClock.Now)
	if err != nil {
		return err
	}
	a.hintUnfinished(s.host.Name())
	r := s.response(rec, book, s.declared(rec.id, book, false), o.json)
	r.work.Key, r.work.Keep = rec.fingerprintKey(), keep
	r.signWith(s.own, "")
	return r.alone(ctx, "clawback isolate "+rec.id+" tries it again; clawback kill does the rest", func(ctx context.Context) (incident.State, error) {
		state, err := r.work.Carry(ctx, r.engine, r.declared)
		if step := state.Steps["isolate"]; err == nil && (step == nil || step.Status != incident.Done) {
			err = errors.New("it is not isolated")
			if step != nil && step.Outcome.Error != "" {
				err = errors.New(step.Outcome.Error)
			}
		}
		return state, err
	})
}

// isolateAgain isolates the host of an incident that is on record.
func (a *app) isolateAgain(ctx context.Context, id string, o isolating, keep []containment.Keep) error {
	dir, s, err := a.toResume(id, o.target)
	if err != nil {
		return err
	}
	as := lettingGo{resumption: o.resumption, what: isolates}
	if err := as.sensible(s); err != nil {
		return err
	}
	if o.dry {
		return a.showStanding(ctx, s, as)
	}
	rec, cut, err := a.reopen(dir, s.Declared.Target)
	if err != nil {
		return err
	}
	r, err := a.takenBack(ctx, rec, cut, as)
	if err != nil {
		return errors.Join(err, rec.close())
	}
	defer func() { _ = r.work.Host.Close() }()
	if err := a.askToIsolate(o, r.work.Host.Name(), r.work.Description); err != nil {
		return errors.Join(err, rec.close())
	}
	r.work.Keep = keep
	return r.alone(ctx, "run it again: what is done is not done twice", func(ctx context.Context) (incident.State, error) {
		return r.work.CutOff(ctx, rec.journal, o.only, a.responder(), o.why)
	})
}

// askToIsolate shows how the host stands, and wants it typed, unless it was said before.
func (a *app) askToIsolate(o isolating, name string, d containment.Description) error {
	if o.yes {
		return nil
	}
	a.printStanding(name, d)
	want, loses := "isolate "+name, "Whatever runs on it loses the network, but for ssh from this desk and what is kept."
	if o.only {
		loses = "The agent loses the network, and whoever waits for it."
	}
	fmt.Fprintf(a.err, "%s Type  %s  to go on: ", loses, incident.Safe(want))
	if !term.IsTerminal(int(a.in.Fd())) {
		fmt.Fprintln(a.err)
	}
	line, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return &failure{incident.ExitApproval, errors.New("nothing was done"), "type what is asked for, or add --yes"}
	}
	return nil
}
