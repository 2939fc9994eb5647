package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/report"
	"clawback/playbooks/actions"
	"clawback/tui"
)

// inConsole carries the response out behind the console. Two things end the run: a signal, and who
// asks for it in the console. A terminal that is lost ends the console alone: the run goes on to
// its next question, and waits there for somebody who attaches.
func (r *response) inConsole(ctx context.Context, interrupt func(), heard signals) (incident.State, error) {
	var state incident.State
	var err error
	var running sync.WaitGroup
	shown, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	running.Go(func() {
		state, err = r.carryGuarded(ctx)
		if fault := r.faults.all(); fault != nil && state.Exit == nil {
			leave(faulted{fault})
			return
		}
		select {
		case <-heard.end:
			leave(context.Cause(ctx))
		default:
		}
	})
	running.Go(func() {
		select {
		case <-heard.lost:
			leave(tui.ErrTerminal)
		case <-shown.Done():
		}
	})
	tuiErr := tui.Run(shown, tui.Options{
		Journal: r.open.journal.Cursor(), Submit: r.engine.Submit, Now: r.work.Clock.Now, Suspend: r.suspend,
		Interrupt: func() error { interrupt(); return nil },
		Draft: func(ctx context.Context) (string, error) {
			return report.Draft(func() iter.Seq2[journal.Entry, error] { return r.open.journal.Entries(ctx) })
		},
		By: r.declared.Responder, Dir: r.open.dir, Instead: r.elsewhere(), Theme: r.app.config.Theme, Lines: r.app.linesOnly(), Getenv: func(name string) string { return r.app.env[name] },
	})
	leave(nil)
	r.refuseCtrlZ()
	if errors.As(tuiErr, new(faulted)) {
		tuiErr = nil // run reports it
	}
	if tuiErr != nil && ctx.Err() == nil {
		r.lost(ctx, tuiErr)
		tuiErr = nil
	}
	running.Wait()
	if errors.As(tuiErr, new(actions.Interruption)) || errors.Is(tuiErr, tui.ErrTerminal) {
		tuiErr = nil // the record and the exit code say so
	}
	return state, errors.Join(err, tuiErr)
}

// consoleLog is where the loss of a terminal is written down in an incident's folder: what is said
// to a lost terminal nobody reads.
const consoleLog = "console.log"

// lost says, wherever somebody may look, that nobody sees the response any more, and how to take
// it back. A response that is over by then needs nobody.
func (r *response) lost(ctx context.Context, why error) {
	always := context.WithoutCancel(ctx)
	signal.Ignore(syscall.SIGTTOU, syscall.SIGTTIN)                 // a write to what was the terminal must not stop the run
	if _, err := r.open.journal.Cursor().Next(always); err != nil { // nothing stands before the declaration
		return
	}
	if s, err := incident.FoldAll(r.open.journal.Entries(always)); err != nil || s.Exit != nil {
		return
	}
	t := incident.Terminal{State: "lost", By: r.declared.Responder, Hint: r.wayBack()}
	_ = r.open.journal.Append(always, incident.TypeTerminal, t) // a loss of the record shouts by itself
	text := fmt.Sprintf("%s: %s; the response goes on (pid %d)", r.declared.Incident, why, os.Getpid())
	complain(r.app.err, &failure{err: errors.New(text), hint: t.Hint})
	if err := r.logLine(text + "; hint: " + t.Hint); err != nil {
		_ = r.open.journal.Note(incident.TypeWarning, incident.Warning{Text: "the loss of the terminal was not written to " + consoleLog + ": " + err.Error()})
	}
}

// elsewhere is the command that shows a response, and takes it over, in another terminal.
func (r *response) elsewhere() string {
	switch {
	case r.open.dir == "":
		return fmt.Sprintf("kill -TERM %d (it has no folder: this ends it after what is under way)", os.Getpid())
	case r.open.trouble != nil:
		return "clawback attach " + r.open.dir
	}
	return "clawback attach " + r.declared.Incident
}

// wayBack is how a response is taken back whose terminal is lost.
func (r *response) wayBack() string {
	id := r.declared.Incident
	switch {
	case r.open.dir == "":
		return fmt.Sprintf("it has no folder, so it cannot be attached: kill -TERM %d ends it", os.Getpid())
	case r.open.trouble != nil:
		id = r.open.dir // it is not where incidents are looked for
	}
	if !r.console {
		return fmt.Sprintf("it asks nothing: clawback watch %s; if its process dies, clawback resume %s", id, id)
	}
	return fmt.Sprintf("clawback attach %s takes it back; if its process dies, clawback resume %s", id, id)
}

// logLine appends to the incident's console.log.
func (r *response) logLine(text string) error {
	if r.open.dir == "" {
		return nil
	}
	name := filepath.Join(r.open.dir, consoleLog)
	f, err := ownDisk.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", time.Now().UTC().Format(time.RFC3339), incident.Safe(text))
	return errors.Join(err, f.Sync(), f.Close())
}

// signals are channels that are closed when the process hears a signal.
type signals struct {
	end  chan struct{} // SIGINT or SIGTERM
	lost chan struct{} // SIGHUP
}

// interruptible returns a context that ends at the first SIGINT or SIGTERM, so that what is under
// way is finished and recorded. A second one ends the program at once. No SIGHUP ends it: a lost
// terminal must not end a response. Nor does one stand still at ctrl+z while anything goes on.
func (r *response) interruptible(ctx context.Context) (context.Context, func(), signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	heard := signals{end: make(chan struct{}), lost: make(chan struct{})}
	ends, lost := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(lost, syscall.SIGHUP)
	go func() { // they live as long as the process: there is nobody to wait for them
		<-lost
		close(heard.lost)
		if !r.console {
			r.lost(ctx, tui.ErrTerminal)
		}
	}()
	go func() {
		for n := 1; ; n++ {
			why := actions.Interruption{Signal: "interrupt"}
			if <-ends == syscall.SIGTERM {
				why.Signal = "terminated"
			}
			if n > 1 {
				os.Exit(map[string]int{"interrupt": incident.ExitInterrupted, "terminated": incident.ExitTerminated}[why.Signal])
			}
			close(heard.end)
			cancel(why)
			if !r.console {
				complain(r.app.err, &failure{err: why, hint: "what is under way is finished and recorded, half a minute at most; once more ends it at once"})
			}
		}
	}()
	if r.app.begun != nil {
		r.app.begun()
	}
	if !r.console {
		r.refuseCtrlZ()
	}
	return ctx, func() { cancel(actions.Interruption{Signal: "interrupt"}) }, heard
}
