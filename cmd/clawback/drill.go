package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/drill"
	"clawback/playbooks/engine"
)

// usualSpeed is how fast the world of a drill runs that a person answers. A test's runs faster.
var usualSpeed = 1.0

func (a *app) drillCommand() *cobra.Command {
	var o drillOptions
	c := &cobra.Command{
		Use:   "drill [SCENARIO]",
		Short: "Practise: the same engine and providers against a simulated world; nothing real is touched",
		Long:  drillHelp(),
		Args:  upTo(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.scenario = args[0]
			}
			if !c.Flags().Changed("seed") {
				o.seed = rand.Uint64()
			}
			if !c.Flags().Changed("speed") && o.auto {
				o.speed = 20
			}
			return a.drill(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&o.auto, "auto", false, "a simulated person answers, and does the manual steps")
	c.Flags().BoolVar(&o.json, "json", false, "print the record as JSON Lines on stdout, and a summary as its last line; needs --auto")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "make the same world again (default: another each time)")
	signKeyFlag(c, &o.signKey)
	a.accessibleFlag(c)
	o.roleFlags(c)
	o.severityFlag(c)
	c.Flags().Float64Var(&o.speed, "speed", usualSpeed, "how much faster than the wall clock the world runs (20 with --auto)")
	return c
}

func drillHelp() string {
	text := "A drill generates an OpenClaw installation with a real process as its agent, simulates the\nproviders in memory, and lets an adversary use the stolen keys. It opens no socket.\n\nScenarios:\n"
	for _, s := range drill.Scenarios {
		text += fmt.Sprintf("  %-16s %s\n", s.Name, s.Title)
	}
	return text
}

type drillOptions struct {
	scenario   string
	auto, json bool
	seed       uint64
	speed      float64
	signKey    string
	own        ownKey
	teamFlags
	team team
}

func (a *app) drill(ctx context.Context, o drillOptions) error {
	scenario, err := drill.Lookup(o.scenario)
	switch {
	case err != nil:
		return usage("clawback drill --help lists them", "%w", err)
	case o.speed < 0.1 || o.speed > 1000:
		return usage("for example --speed 20", "--speed has to lie between 0.1 and 1000")
	case o.json && !o.auto:
		return usage("add --auto", "--json is for a drill that runs by itself")
	}
	if err := a.noConsole(); !o.auto && err != nil {
		return usage("without one, clawback drill --auto prints a drill that runs by itself", "%w", err)
	}
	if !o.auto {
		scenario.Deadline = 0 // a person takes the time that they take
	}
	if o.own, err = signKey(o.signKey); err != nil {
		return err
	}
	book, err := a.playbook(playbooks.SuspectedCompromise, scenario.Deadline)
	if err != nil {
		return err
	}
	book = book.Where(map[string]bool{"local": true})
	giveTime(book, o.speed)
	if o.team, err = a.team(o.teamFlags, book); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "clawback-drill-")
	if err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("make the drill's world: %w", err), "set TMPDIR to a folder that can be written"}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("make the drill's world: %w", err)
	}
	clock := drill.NewClock(o.speed)
	world, err := drill.New(ctx, drill.Options{
		Scenario: scenario, Seed: o.seed, Clock: clock, Dir: filepath.Join(dir, "host"), Agent: []string{self},
	})
	if err != nil {
		return fmt.Errorf("make the drill's world: %w", err)
	}
	return errors.Join(a.practise(ctx, o, world, clock, book), world.Close())
}

// practise responds to what happened in a world.
func (a *app) practise(ctx context.Context, o drillOptions, world *drill.World, clock *drill.Clock, book playbooks.Playbook) error {
	machine, err := world.Host()
	if err != nil {
		return err
	}
	defer func() { _ = machine.Close() }()
	description, err := machine.Describe(ctx)
	if err != nil {
		return err
	}
	known, err := world.Providers()
	if err != nil {
		return err
	}
	rec, err := a.create("DRILL", "", clock.Now)
	if err != nil {
		return err
	}
	r := &response{app: a, open: rec, json: o.json, console: !o.auto, declareAt: world.Alarm, score: func() incident.Adversary {
		if text := speed(world); text != "" {
			_ = rec.journal.Note(incident.TypeNote, incident.Note{Text: text, By: "the drill"})
		}
		return incident.Adversary{CallsAfterAlarm: world.CallsAfterAlarm()}
	}}
	r.work = &actions.Response{
		Dir: rec.dir, Host: machine, Description: description, Providers: known, Authorities: world.Authorities,
		Clock: clock, Desk: hostname(), Version: version, Attended: true, Key: rec.fingerprintKey(),
	}
	r.engine = &engine.Engine{Journal: rec.journal, Playbook: book, Clock: clock, Facts: map[string]bool{"local": true}}
	r.beside = []func(context.Context){func(ctx context.Context) { world.Obey(ctx, rec.journal.Cursor(), r.work.Key) }}
	if o.auto {
		person := &drill.Person{World: world, Engine: r.engine}
		r.engine.Decider = person
		r.beside = append(r.beside, func(ctx context.Context) { person.Work(ctx, rec.journal.Cursor()) })
	}
	r.declared = incident.Declared{
		Incident: rec.id, Mode: incident.Drill, Playbook: book.Name, Target: machine.Name(), Attended: true,
		Responder: a.responder(), Desk: hostname(), Version: version,
		Scenario: world.Scenario.Name, Seed: o.seed, Speed: o.speed,
	}
	if d := world.Scenario.Deadline; d > 0 {
		r.declared.Deadline = d.String()
	}
	r.with(o.team)
	r.signWith(o.own, "")
	return r.run(ctx)
}

// speed says how the time of the sweep compares to that of its slowest credential.
func speed(world *drill.World) string {
	sweep, slowest := world.Speed()
	if slowest <= 0 {
		return ""
	}
	return fmt.Sprintf("sweep: %s from the first request at the providers to the last, %.2f times the slowest single credential (%s)",
		sweep.Round(100*time.Millisecond), float64(sweep)/float64(slowest), slowest.Round(100*time.Millisecond))
}

// giveTime lengthens the deadlines of what is done on this machine, which does not run faster than
// the wall clock, as the world around it does.
func giveTime(book playbooks.Playbook, speed float64) {
	for _, phase := range book.Phases {
		for i, step := range phase.Steps {
			if step.Uses != "credentials.revoke" && speed > 1 {
				phase.Steps[i].Deadline = time.Duration(float64(step.Deadline) * speed)
			}
		}
	}
}
