package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/containment"
	"clawback/playbooks/host"
)

// lettingGo is what the command line says of taking back what was done to a host.
type lettingGo struct {
	resumption
	what string // incident.Thaw or incident.Restore, or isolates
	yes  bool
	dry  bool
	why  string
}

// isolates is what clawback isolate does to a host that an incident has on record, by the same way there.
const isolates = "isolate"

func (a *app) thawCommand() *cobra.Command {
	return a.letGoCommand(incident.Thaw, "Let a frozen agent go on, after a false alarm",
		"thaw undoes the freeze of an incident: the agent goes on where it stood, and its services have their\n"+
			"watchdogs, sockets and timers back. What else was done stays: a machine that is cut off the network\n"+
			"stays cut off. An agent that was killed cannot go on; clawback restore lets it be started.")
}

func (a *app) restoreCommand() *cobra.Command {
	return a.letGoCommand(incident.Restore, "Give a host back as it was, after a false alarm",
		"restore undoes all that an incident changed on its host: the machine has its network back, the agent\n"+
			"goes on where it was frozen, or can be started again where it was killed, and the work that waited for\n"+
			"it is back in its queue. It starts no service. What cut it off at its cloud is taken back first.\n"+
			"Revoked credentials stay dead: see clawback undo.")
}

func (a *app) letGoCommand(what, short, long string) *cobra.Command {
	o := lettingGo{what: what}
	c := &cobra.Command{
		Use: what + " INCIDENT", Short: short,
		Long: long + "\n\nIt wants its name and the host typed, and records who, why, and how the host says that it stands\n" +
			"afterwards. It ends with 0 when nothing is left of what it takes back, with 3 otherwise, with 20 where\n" +
			"nobody confirmed it, and with 1 where the host could not be reached.",
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("clawback "+what+" INC-20260301-0312 --why 'false alarm'", "%s takes an incident", what)
			}
			return a.letGo(c.Context(), args[0], o)
		},
	}
	c.Flags().StringVar(&o.host, "host", "", "reach the machine as `[USER@]HOST`, where the record's name leads elsewhere by now")
	c.Flags().StringVar(&o.why, "why", "", "the reason, for the record")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it; without it the host's state is shown and you are asked")
	c.Flags().BoolVar(&o.dry, "dry-run", false, "show how the host stands; nothing is changed or recorded")
	signKeyFlag(c, &o.signKey)
	c.Flags().BoolVar(&o.damaged, "damaged", false, "write on into a record that does not agree with its seals")
	c.Flags().BoolVar(&o.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line")
	return c
}

func (a *app) letGo(ctx context.Context, id string, o lettingGo) error {
	switch {
	case o.dry && (o.yes || o.json):
		return usage("leave the others out", "--dry-run does not go with --yes or --json")
	case !o.dry && strings.TrimSpace(o.why) == "":
		return usage("--why 'false alarm, INC-20260301-0312 was a drill of the red team'", "%s wants to know why: the record is read in court", o.what)
	}
	dir, s, err := a.toResume(id, o.target)
	if err == nil {
		err = o.sensible(s)
	}
	if err != nil {
		return err
	}
	if o.dry {
		return a.showStanding(ctx, s, o)
	}
	rec, cut, err := a.reopen(dir, s.Declared.Target)
	if err != nil {
		return err
	}
	r, err := a.takenBack(ctx, rec, cut, o)
	if err != nil {
		return errors.Join(err, rec.close())
	}
	defer func() { _ = r.work.Host.Close() }()
	if !o.yes {
		a.printPlatforms(r.work.Before.State, o.what)
		if r.work.Reach == nil {
			a.printStanding(r.work.Host.Name(), r.work.Description)
		}
		if err := a.askToLetGo(o.what, r.work.Host.Name()); err != nil {
			return errors.Join(err, rec.close())
		}
	}
	return r.alone(ctx, "run it again: what is done is not done twice", func(ctx context.Context) (incident.State, error) {
		return r.work.LetGo(ctx, rec.journal, o.what, a.responder(), o.why)
	})
}

// sensible says why there is nothing to take back of an incident.
func (o lettingGo) sensible(s incident.State) error {
	id := s.Declared.Incident
	switch d := s.Declared; {
	case d.Mode != incident.Real || d.DryRun:
		return usage("name a real one", "%s is a drill or a rehearsal: it touched no host", id)
	case d.Leak && o.what == isolates:
		return usage("name the machine: clawback isolate --host root@web-1", "%s touched no host", id)
	case d.Leak:
		return usage("clawback undo takes back a revocation", "%s touched no host", id)
	case o.what == incident.Thaw && s.Stopped != nil:
		return usage("clawback restore "+id+" lets it be started again", "the agent of %s was killed: it cannot go on", id)
	}
	return nil
}

// stands reaches the host of a record, and looks at it.
func (a *app) stands(ctx context.Context, d incident.Declared, o lettingGo) (*situation, error) {
	t := target{host: o.host, signKey: o.signKey}
	t.of(d)
	s, _, err := a.resolve(t)
	if err != nil {
		return nil, err
	}
	if s.host, err = a.reach(ctx, &t); err == nil {
		if s.description, err = s.look(ctx); err == nil {
			return s, nil
		}
		_ = s.host.Close()
	}
	if o.what == isolates {
		return nil, &failure{codeOf(err), err, "nothing was done; have whoever runs the cloud or the hypervisor cut it off"}
	}
	return nil, &failure{codeOf(err), err, fmt.Sprintf("nothing was undone; where this desk cannot reach it any more, on the machine's own console as root: %s", byHand)}
}

// showStanding shows how the host stands, and does nothing.
func (a *app) showStanding(ctx context.Context, was incident.State, o lettingGo) error {
	a.printPlatforms(was, o.what)
	d := was.Declared
	s, err := a.stands(ctx, d, o)
	if err != nil {
		return err
	}
	a.printStanding(s.host.Name(), s.description)
	fmt.Fprintf(a.err, "clawback: nothing was changed; clawback %s %s does it\n", o.what, d.Incident)
	if err := s.host.Close(); err != nil {
		complain(a.err, &failure{err: err, hint: "it holds clawback's program and no secret, and is gone after a restart"})
	}
	return nil
}

// takenBack is what takes back what the incident of an open record did to its host.
func (a *app) takenBack(ctx context.Context, rec *open, cut int64, o lettingGo) (*response, error) {
	before, err := actions.Recall(rec.journal.Entries(ctx), incident.Resumed{By: a.responder(), Desk: hostname(), Version: version, Cut: int(cut)})
	if err != nil {
		return nil, &failure{incident.ExitNothing, err, "clawback verify " + rec.id + " says more"}
	}
	doubt, err := a.intact(rec, before.State, o.damaged)
	if err != nil {
		return nil, err
	}
	if err := o.sensible(before.State); err != nil { // it may have been killed since it was read
		return nil, err
	}
	d := before.State.Declared
	s, err := a.standsBehind(ctx, before.State, o)
	if err != nil {
		return nil, err
	}
	d.Responder, d.Attended = a.responder(), false
	s.brokers = a.brokers(noAuthorities()) // a false alarm: the desk is under no suspicion
	r := s.response(rec, playbooks.Playbook{Name: d.Playbook}, d, o.json)
	key, lost := rec.loadFingerprintKey()
	if name := s.host.Name(); name != d.Target {
		doubt = append(doubt, incident.Warning{Text: fmt.Sprintf("done on %s, and declared on %s", name, d.Target)})
	}
	before.Warnings = append(doubt, lost...)
	r.work.Before, r.work.Key, r.work.Reach = before, key, s.reachLater
	r.signWith(s.own, d.CheckpointKey)
	return r, nil
}

// standsBehind is stands, except that a machine that is cut off at its platform is reached later: not
// before that lets the desk in again, which may be what it lacks.
func (a *app) standsBehind(ctx context.Context, was incident.State, o lettingGo) (*situation, error) {
	if o.what != incident.Restore || !slices.ContainsFunc(was.Platforms, incident.Platform.Open) {
		return a.stands(ctx, was.Declared, o)
	}
	t := target{host: o.host, signKey: o.signKey}
	t.of(was.Declared)
	t.inherit(was.Declared)
	s, endpoints, err := a.resolve(t)
	if err != nil {
		return nil, err
	}
	if err := s.supply(endpoints, false, false); err != nil {
		return nil, err
	}
	if s.platforms, err = s.runsOn(was.Declared.Target, endpoints, false); err != nil {
		return nil, misconfigured(err)
	}
	s.host = actions.Gone{Target: cmp.Or(t.host, was.Declared.Target), Far: true, Why: errors.New("it was not reached yet")}
	s.reachLater = func(ctx context.Context) (host.Host, error) { return a.reach(ctx, &t) }
	return s, nil
}

// printPlatforms shows what is cut off outside of a machine, as the record has it.
func (a *app) printPlatforms(was incident.State, what string) {
	for _, p := range was.Platforms {
		if !p.Open() {
			continue
		}
		if what != incident.Restore {
			fmt.Fprintf(a.err, "%s: cut off there, which clawback restore takes back and this does not\n", incident.Safe(p.On))
			continue
		}
		fmt.Fprintf(a.err, "%s: cut off there; given back:\n", incident.Safe(p.On))
		for _, w := range p.Was {
			fmt.Fprintf(a.err, "  %s\n", incident.Safe(w.String()))
		}
	}
}

// byHand is what lets a machine that no desk reaches back into the network.
const byHand = "nft delete table inet clawback"

// maxStanding is how much of what was changed is listed.
const maxStanding = 20

// printStanding shows how a host says that it stands.
func (a *app) printStanding(name string, d containment.Description) {
	still := 0
	for _, p := range d.Processes {
		if p.Still() {
			still++
		}
	}
	fmt.Fprintf(a.err, "%s: processes of the agent: %d, of them stand still: %d\n", incident.Safe(name), len(d.Processes), still)
	for i, changed := range slices.Concat(d.Changed, d.Walls) {
		if i == maxStanding {
			fmt.Fprintf(a.err, "  and %d more\n", len(d.Changed)+len(d.Walls)-maxStanding)
			break
		}
		fmt.Fprintf(a.err, "  %s\n", incident.Safe(changed))
	}
}

// askToLetGo wants the undoing typed.
func (a *app) askToLetGo(what, name string) error {
	want := what + " " + name
	fmt.Fprintf(a.err, "The agent, and whoever steers it, can act again. Type  %s  to go on: ", incident.Safe(want))
	if !term.IsTerminal(int(a.in.Fd())) {
		fmt.Fprintln(a.err)
	}
	line, err := bufio.NewReaderSize(a.in, 4096).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return &failure{incident.ExitApproval, errors.New("nothing was undone"), "type what is asked for, or add --yes"}
	}
	return nil
}
