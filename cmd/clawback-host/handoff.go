package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"golang.org/x/term"

	"clawback/playbooks/host/wire"
)

// handoff does, on a host without a link to the desk, what it can do alone: it freezes the agent, and writes
// the evidence and the credentials, encrypted to the desk, to standard output. One verb that fails stops none
// of the others: what it says is in its answer.
func (c command) handoff(ctx context.Context, stdout, stderr io.Writer) error {
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("it writes what is not for a terminal: send it to a file on a disk of your own, with > /mnt/stick/NAME.handoff")
	}
	sealed, err := age.Encrypt(stdout, c.recipient)
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range wire.Handoff {
		one := c
		one.verb, one.part, one.everyone = s.Verb, s.Part, s.Everyone
		if s.Verb != "discover" {
			one.recipient = nil
		}
		fmt.Fprintf(stderr, "clawback-host: %s\n", s)
		out := &sticky{to: sealed}
		if err := one.do(ctx, out); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s, err))
		}
		if out.err != nil { // nobody will read what comes after
			return errors.Join(fmt.Errorf("write: %w", out.err), errors.Join(failed...))
		}
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if f, ok := stdout.(*os.File); ok {
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) && !isPipe(f) {
			return fmt.Errorf("write: %w", err)
		}
	}
	fmt.Fprintln(stderr, "clawback-host: what was written is whole, and nothing was killed. Whether the agent stands still, clawback handoff look says at the desk; when the desk has it: clawback-host stop")
	return errors.Join(failed...)
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && !info.Mode().IsRegular()
}

// sticky remembers that writing failed.
type sticky struct {
	to  io.Writer
	err error
}

func (s *sticky) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}
