package main

import (
	"errors"
	"fmt"
	"sync"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
)

// during is called in the middle of a part of a response. A test makes it panic.
var during = func(part string) {}

// faults are the panics of a response's parts, as errors that say where each was.
type faults struct {
	mu   sync.Mutex
	errs []error
}

// faulted ends the console where the response ended by a fault of its own.
type faulted struct{ error }

func (f *faults) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

// all is nil where there was none.
func (f *faults) all() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// guarded carries out a part of a response. A panic in it ends the part and nothing else: the
// console keeps its screen, or gives it back, and the rest goes on. It is on record.
func (r *response) guarded(part string, do func() error) error {
	err := engine.Guarded(do)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", part, err)
	r.faults.add(err)
	_ = r.open.journal.Note(incident.TypeWarning, incident.Warning{Text: err.Error(), Hint: r.afterFault(), Grave: true})
	return err
}

// afterFault is what a person does about a part that failed.
func (r *response) afterFault() string {
	if r.open.dir == "" {
		return "what is missing has to be done by hand"
	}
	return "the rest goes on; if the response ends with it, clawback resume " + r.declared.Incident
}
