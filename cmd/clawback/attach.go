package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/inbox"
	"clawback/playbooks/engine/signers"
	"clawback/tui"
)

func (a *app) attachCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "attach [INCIDENT]", Short: "Take a running response back in a new terminal",
		Long: `attach shows a response that another process runs, the newest one where none is named. What you
answer is signed with the incident's own key and put into its inbox; it counts once the record shows
it. To leave the console leaves the response running. Any number can be attached: the first answer
counts.

It ends with 0 when you left before the response was over, and with its exit code otherwise.`,
		Args: upTo(1),
		RunE: func(c *cobra.Command, args []string) error { return a.attach(c.Context(), strings.Join(args, "")) },
	}
	a.accessibleFlag(c)
	return c
}

func (a *app) attach(ctx context.Context, id string) error {
	if err := a.noConsole(); err != nil {
		return &failure{incident.ExitUsage, err, "without one, clawback watch prints the response line by line"}
	}
	dir, err := a.running(id)
	if err != nil {
		return err
	}
	v, err := newVisit(a, dir)
	if err != nil {
		return err
	}
	if v.key, _, err = (signers.Agent{}).Open(ctx, filepath.Join(dir, inbox.AttachKey)); err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("attach to %s: %w", v.id, err), "whoever started it can: it takes the key in its folder"}
	}
	if err := v.say("attached"); err != nil {
		return &failure{incident.ExitNothing, fmt.Errorf("attach to %s: %w", v.id, err), "clawback watch " + id + " shows it"}
	}
	options := v.options()
	options.Attached, options.Submit, options.Sent = true, v.submit, v.ours
	options.Interrupt = func() error {
		return v.submit(ctx, engine.Command{Interrupt: &incident.Command{Kind: incident.Interrupt, By: v.by}})
	}
	return v.show(ctx, options, func() { _ = v.say("detached") })
}

// noConsole says why no console can be shown, and nil where it can: a person sees and types.
func (a *app) noConsole() error {
	out, ok := a.out.(*os.File)
	if !ok || !term.IsTerminal(int(a.in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return errNotTerminal
	}
	return nil
}

// accessibleFlag takes a console that is listened to.
func (a *app) accessibleFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.lines, "accessible", false, "appended lines and numbered choices in place of the screen; so is ACCESSIBLE=1, and TERM=dumb")
}

// linesOnly reports whether the console appends lines.
func (a *app) linesOnly() bool {
	wants := a.env["ACCESSIBLE"]
	return a.lines || wants != "" && wants != "0" || tui.Dumb(a.env["TERM"])
}

// running returns the folder of an incident that a process carries out; with "" the newest.
func (a *app) running(id string) (string, error) {
	if id == "" {
		if dir := a.newestRunning(); dir != "" {
			return dir, nil
		}
	}
	dir, err := a.find(id)
	if err != nil {
		return "", err
	}
	held, err := journal.Held(dir)
	switch {
	case err != nil:
		return "", &failure{incident.ExitNothing, err, "look at " + dir}
	case held:
		return dir, nil
	}
	name := incidentName(id, dir)
	if s, _ := incident.FoldAll(journal.Read(dir)); s.Exit != nil {
		return "", &failure{incident.ExitNoInstallation, fmt.Errorf("%s has ended, with exit code %d", name, *s.Exit), "clawback report " + name + " prints where its report is"}
	}
	return "", &failure{incident.ExitNoInstallation, fmt.Errorf("nobody runs %s: its process is gone, and it has not ended", name), "clawback resume " + name}
}

// newestRunning is the folder of the incident that was written to last, of those that a process
// carries out; "" where there is none.
func (a *app) newestRunning() string {
	newest, when := "", time.Time{}
	entries, _ := os.ReadDir(a.stateDir())
	for _, e := range entries {
		dir := filepath.Join(a.stateDir(), e.Name())
		info, err := os.Stat(filepath.Join(dir, journal.FileName))
		if err != nil || !info.ModTime().After(when) {
			continue
		}
		if held, err := journal.Held(dir); err == nil && held {
			newest, when = dir, info.ModTime()
		}
	}
	return newest
}

// incidentName is what a person calls an incident on the command line.
func incidentName(id, dir string) string {
	if id != "" {
		return id
	}
	return filepath.Base(dir)
}
