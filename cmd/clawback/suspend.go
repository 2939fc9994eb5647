package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"clawback/forensics/incident"
)

// refuseCtrlZ takes ctrl+z out of the terminal's hands. The console has it as a key, and needs the
// signal as it was: Go does not give its default back. What has no console, or none any more, asks
// nobody here; it does something all the time, and never stands still.
func (r *response) refuseCtrlZ() {
	pressed := make(chan os.Signal, 1)
	signal.Notify(pressed, syscall.SIGTSTP)
	go func() { // as long as the process
		for range pressed {
			why := r.awake()
			if why == nil {
				why = errors.New("the response goes on, and would stand still")
			}
			complain(r.app.err, &failure{err: fmt.Errorf("ctrl+z: not suspended: %w", why), hint: "take another terminal; ctrl+c ends it after what is under way"})
		}
	}()
}

// awake says why the response must not stand still now. It asks the record, which knows what a
// screen may not show yet.
func (r *response) awake() error {
	s, err := incident.FoldAll(r.open.journal.Entries(context.Background()))
	switch {
	case err != nil:
		return err
	case s.InFlight() != "":
		return errors.New(s.InFlight() + " is under way, and half of it is worse than all or nothing")
	case s.AtWork() != "":
		return errors.New(s.AtWork() + " goes on, and would stand still")
	}
	return nil
}

// suspend stops the response until it is told to go on.
func (r *response) suspend() error {
	if err := r.awake(); err != nil {
		return err
	}
	return standStill()
}

// standStill stops the process, and all that its shell started with it, as the terminal would at
// ctrl+z. It returns when they are told to go on. Where no shell would take the terminal, the
// system stops nobody: then it is an error.
func standStill() error {
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, syscall.SIGCONT)
	defer signal.Stop(goesOn)
	if err := syscall.Kill(0, syscall.SIGTSTP); err != nil {
		return err
	}
	for range 10 { // more than once: the timer that ran out meanwhile may be heard before the signal
		select {
		case <-goesOn:
			return nil
		case <-time.After(30 * time.Millisecond):
		}
	}
	return errors.New("there is no shell to come back to")
}
