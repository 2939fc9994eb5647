package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/revoke/credential"
	"clawback/tui"
)

// inConsole carries the response out behind the console. Whoever leaves the console ends the run,
// after being asked. A signal ends the run, and then the console. A lost terminal ends the console,
// and the run once it cannot go on without somebody.
func (r *response) inConsole(ctx context.Context, interrupt func(), heard signals) (incident.State, error) {
	var state incident.State
	var err error
	var running sync.WaitGroup
	shown, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	carried, over := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() {
		defer over()
		state, err = r.carry(ctx)
		select {
		case <-heard.end:
			leave(context.Cause(ctx))
		default:
		}
	})
	running.Go(func() {
		select {
		case <-heard.lost:
			leave(errTerminalLost)
			r.alone(carried)
		case <-shown.Done():
		}
		interrupt()
	})
	tuiErr := tui.Run(shown, tui.Options{
		Journal: r.open.journal.Cursor(), Submit: r.engine.Submit, Interrupt: interrupt, Now: r.work.Clock.Now,
		By: r.declared.Responder, Dir: r.open.dir, Getenv: func(name string) string { return r.app.env[name] },
	})
	leave(nil) // whoever left the console ends what still runs; a response that is over takes no notice
	running.Wait()
	if errors.As(tuiErr, new(actions.Interruption)) || errors.Is(tuiErr, errTerminalLost) {
		tuiErr = nil // the record and the exit code say so
	}
	return state, errors.Join(err, tuiErr)
}

var errTerminalLost = errors.New("the terminal is lost")

// alone returns when the response cannot go on without somebody, or ctx is done.
func (r *response) alone(ctx context.Context) {
	const quiet = 2 * time.Second // without an entry: a step that is over may be about to let others begin
	var s incident.State
	for cursor := r.open.journal.Cursor(); ; {
		waiting, cancel := context.WithTimeout(ctx, quiet)
		e, err := cursor.Next(waiting)
		cancel()
		switch {
		case err == nil:
			s = incident.Fold(s, e)
		case !errors.Is(err, context.DeadlineExceeded) || needsSomebody(s):
			return
		}
	}
}

// needsSomebody reports whether nothing goes on but what waits for an answer or for a revocation by hand.
func needsSomebody(s incident.State) bool {
	asks := make(map[string]bool)
	for _, q := range s.Open {
		asks[q.Step] = true
	}
	for _, step := range s.Steps {
		if step.Status != incident.Running || asks[step.ID] {
			continue
		}
		if step.Uses != "credentials.revoke" {
			return false
		}
		for _, c := range s.Credentials {
			if !c.Life.Settled() && c.Life != credential.Manual && c.Provider != "openclaw" {
				return false
			}
		}
	}
	return true
}

// signals are channels that are closed when the process hears a signal.
type signals struct {
	end  chan struct{} // SIGINT or SIGTERM
	lost chan struct{} // SIGHUP
}

// interruptible returns a context that ends at the first SIGINT or SIGTERM, so that what is under
// way is finished and recorded. A second one ends the program at once. SIGHUP does not end it: a
// lost terminal must not end a response.
func (r *response) interruptible(ctx context.Context) (context.Context, func(), signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	heard := signals{end: make(chan struct{}), lost: make(chan struct{})}
	ends, lost := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(lost, syscall.SIGHUP)
	go func() { <-lost; close(heard.lost) }()
	go func() { // both live as long as the process: there is nobody to wait for them
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
	return ctx, func() { cancel(actions.Interruption{Signal: "interrupt"}) }, heard
}
