package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/term"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/tui"
)

// home is clawback alone on a terminal: what can be begun, and what is missing for a bad night. What
// is chosen is carried out as the command line that it shows.
func (a *app) home(ctx context.Context) error {
	if len(a.names) > 1 && a.as == "" {
		return usage("say who you are with --as NAME", "the key of this login is that of %s", strings.Join(a.names, " and "))
	}
	choose := a.homeScreen
	if a.linesOnly() || !a.hasSize() {
		choose = a.homeLines
	}
	args, err := choose(ctx, a.fromHere())
	if args == nil || err != nil {
		return err
	}
	fmt.Fprintf(a.out, "clawback %s\n", incident.Safe(tui.Quoted(args)))
	return a.carryOut(ctx, args)
}

// hasSize reports whether the terminal says how large it is: what does not has no screen to draw on.
func (a *app) hasSize() bool {
	out, ok := a.out.(*os.File)
	if !ok {
		return false
	}
	w, h, err := term.GetSize(int(out.Fd()))
	return err == nil && w > 0 && h > 0
}

// told is the signal that ended Home before anything was chosen.
type told struct{ os.Signal }

func (t told) Error() string { return t.String() }

// homeScreen has the person choose on a screen, which is given back before it returns.
func (a *app) homeScreen(ctx context.Context, of tui.Home) ([]string, error) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(heard)
	shown, leave := context.WithCancelCause(ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		select {
		case s := <-heard:
			leave(told{s})
		case <-shown.Done():
		}
	})
	args, err := tui.RunHome(shown, tui.Options{
		Suspend: standStill, Theme: a.config.Theme, Getenv: func(name string) string { return a.env[name] },
	}, of)
	leave(nil)
	listening.Wait()
	var by told
	switch {
	case errors.As(err, &by) && by.Signal == os.Interrupt:
		return nil, exitCode(incident.ExitInterrupted)
	case errors.As(err, &by) && by.Signal == syscall.SIGTERM:
		return nil, exitCode(incident.ExitTerminated)
	case errors.As(err, &by), errors.Is(err, tui.ErrTerminal):
		return nil, exitCode(incident.ExitNothing) // nobody reads it
	}
	return args, err
}

// fromHere is what can be begun at this desk, and what is known here before anything is.
func (a *app) fromHere() tui.Home {
	missing := a.missing()
	d := a.declaring()
	return tui.Home{
		Desk: hostname(), By: a.responder(), Known: a.knownBy(), Ways: a.ways(missing), Missing: missing,
		Machines: d.machines(), Types: d.local, Books: d.list(), Line: d.line, Look: a.look,
	}
}

// knownBy says how it is known who types.
func (a *app) knownBy() string {
	switch {
	case a.as != "" && a.login != nil:
		return "by the key of this login"
	case strings.HasPrefix(a.as, "SHA256:"):
		return "by the key of this login, which no list names"
	case a.as != "":
		return "as --as says"
	case a.config.Responder != "":
		return "as responder: in the configuration says"
	case a.env["SUDO_USER"] != "":
		return "by the account that became root; --as NAME says otherwise"
	}
	return "by the account alone; --as NAME says otherwise"
}

// ways are what can be begun now, what is most likely wanted first.
func (a *app) ways(missing []tui.Missing) []tui.Way {
	var all []tui.Way
	if dir := a.newestRunning(); dir != "" {
		s, _ := readRecord(dir)
		id, who := filepath.Base(dir), a.runs(dir, s)
		text := fmt.Sprintf("%s on %s, which %s", s.Declared.Incident, s.Declared.Target, who)
		all = append(all,
			tui.Way{Key: "a", Does: "attach", Text: "Attach to " + text, Args: []string{"attach", id},
				About: "It goes on by itself; attached, you answer what it asks, beside whoever else does. To leave leaves it running."},
			tui.Way{Key: "w", Does: "watch", Text: "Watch it, read-only: " + s.Declared.Incident, Args: []string{"watch", id},
				About: "You see the same, and can change nothing."})
	}
	if dir, d := a.toGoOnWith(); dir != "" {
		way := tui.Way{Key: "r", Does: "resume", Text: fmt.Sprintf("Resume %s on %s, by %s, which is not finished", d.Incident, d.Target, d.Responder), Args: []string{"resume", filepath.Base(dir)},
			About: fmt.Sprintf("%s, begun by %s at %s. Nobody runs it now. What is done stays done; what was sent and never answered is looked at first.", d.Playbook, d.Responder, d.Desk),
			Asks:  "It goes on where it stopped; what its playbook asks, it asks you."}
		if !d.Attended {
			way.Asks = "Its playbook asks nobody: what is left of it is done at once, and the credentials that are left are revoked."
		}
		all = append(all, way)
	}
	ready := "Readiness: nothing is missing that can be seen from here"
	if n := len(missing); n > 0 {
		ready = fmt.Sprintf("Readiness: %d missing: %s", n, missing[0].Text)
	}
	return append(all,
		tui.Way{Key: "s", Does: "start a response", Text: "Something is wrong: start a response", Leads: tui.ToDeclare,
			About: "Asks which machine, by which playbook and how bad it is, then shows what it will do. Nothing is done before you say so."},
		tui.Way{Key: "d", Does: "drill", Text: "Drill: nothing real is touched. " + a.lastDrill(), Args: []string{"drill"},
			About: "The same engine and providers against a simulated world: from the alarm to the report."},
		tui.Way{Key: "p", Does: "what is missing", Text: ready, Leads: tui.ToReadiness,
			About: "What a response would miss tonight, and what to do about each, as far as it can be seen without asking anybody."},
		tui.Way{Key: "h", Does: "all commands", Text: "Help: all commands", Args: []string{"help"},
			About: "Prints the commands. Each takes --help."})
}

// runs says who carries a response out, and where, as their lock says.
func (a *app) runs(dir string, s incident.State) string {
	var h journal.Holder
	src, _, err := readRegular(filepath.Join(dir, journal.LockName), 4096)
	if err != nil || json.Unmarshal(src, &h) != nil || h.Who == "" {
		return s.Declared.Responder + " began"
	}
	return fmt.Sprintf("%s runs at %s since %s", h.Who, h.Desk, h.Since.UTC().Format("15:04 UTC"))
}

// toGoOnWith is the newest real response that is not over and that nobody runs, of the last few.
func (a *app) toGoOnWith() (dir string, d incident.Declared) {
	const most = 20
	all := a.records()
	for _, dir := range all[:min(len(all), most)] {
		if !declaredOn(dir, "") || endsContained(dir) {
			continue
		}
		if held, err := journal.Held(dir); err != nil || held {
			continue
		}
		if s, err := readRecord(dir); err == nil {
			return dir, s.Declared
		}
	}
	return "", d
}

func (a *app) lastDrill() string {
	if last := a.drilled(); !last.IsZero() {
		return "The last one: " + last.Format("2 January 2006")
	}
	return "There was none here yet"
}

// carryOut runs another command line as this person.
func (a *app) carryOut(ctx context.Context, args []string) error {
	again := &app{streams: a.streams, env: a.env, identified: true, names: a.names, login: a.login, begun: a.begun}
	root := newRoot(again)
	again.as = a.as // a new root empties what its flags fill
	if a.config.file != "" {
		args = append([]string{"--config", a.config.file}, args...)
	}
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	return root.ExecuteContext(ctx)
}
