package main

import (
	"errors"
	"fmt"
	"io"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// exitCode ends a command that has printed all it has to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// failure is an error with its exit code and what to do next.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }
func (f *failure) Hint() string  { return f.hint }

// usage is a command line or configuration that is wrong.
func usage(hint, format string, args ...any) error {
	return &failure{incident.ExitUsage, fmt.Errorf(format, args...), hint}
}

// codeOf maps an error to its exit code. Unknown means failure.
func codeOf(err error) int {
	var f *failure
	var locked *journal.LockedError
	switch {
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &locked):
		return incident.ExitLocked
	}
	return incident.ExitNothing
}

// complain prints an error and its hint.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "clawback: %s\n", incident.Safe(err.Error()))
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) && hinter.Hint() != "" {
		fmt.Fprintf(w, "hint: %s\n", incident.Safe(hinter.Hint()))
	}
}
