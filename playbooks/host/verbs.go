package host

import (
	"context"
	"errors"
	"fmt"

	"clawback/playbooks/containment"
	"clawback/playbooks/host/wire"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// ask runs one verb of the host's program and reads its answer with r into result.
func (s *SSH) ask(ctx context.Context, verb string, r *wire.Reader, result any, args ...string) error {
	if s.folder == "" {
		return fmt.Errorf("%s on %s: the connection is closed", verb, s.target)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a program that goes on after its trailer is not listened to
	r.Identity, r.Limits = s.identity, s.opts.limits
	stderr := &tail{max: maxStderr}
	cmd := s.command(ctx, s.call(verb, append([]string{"--root=" + s.opts.root}, args...)...))
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%s on %s: %w", verb, s.target, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s on %s: %w", verb, s.target, err)
	}
	answer := r.Read(stdout, verb, result)
	cut := errors.Is(answer, wire.ErrCut)
	if !cut {
		cancel()
	}
	exit := cmd.Wait()
	var lie *wire.LieError
	switch {
	case answer == nil:
		return nil
	case ctx.Err() != nil && cut:
		return fmt.Errorf("%s on %s: %w", verb, s.target, context.Cause(ctx))
	case cut:
		if exit == nil {
			exit = errors.New("the program ended without its trailer")
		}
		return s.failed(verb, fmt.Errorf("%w (%w)", answer, exit), stderr.String())
	case errors.As(answer, &lie):
		return &ClaimError{s.target, verb, answer}
	}
	return fmt.Errorf("%s on %s: %w", verb, s.target, answer)
}

// Name implements Host.
func (s *SSH) Name() string { return s.target }

// Remote implements Host.
func (s *SSH) Remote() bool { return true }

// Describe implements Host.
func (s *SSH) Describe(ctx context.Context) (d containment.Description, err error) {
	return d, s.ask(ctx, "describe", &wire.Reader{}, &d)
}

// Freeze implements Host.
func (s *SSH) Freeze(ctx context.Context) (f containment.Frozen, err error) {
	return f, s.ask(ctx, "freeze", &wire.Reader{}, &f)
}

// Thaw implements Host.
func (s *SSH) Thaw(ctx context.Context) error { return s.ask(ctx, "thaw", &wire.Reader{}, nil) }

// Capture implements Host. A file that sink was not told the end of did not arrive whole.
func (s *SSH) Capture(ctx context.Context, part string, sink snapshots.Sink) (c snapshots.Captured, err error) {
	if part == snapshots.PartMemory {
		return s.captureMemory(ctx, sink)
	}
	return c, s.ask(ctx, "capture", &wire.Reader{Sink: sink}, &c, "--part="+part)
}

// Discover implements Host. Secrets come sealed to a key that only this SSH holds.
func (s *SSH) Discover(ctx context.Context, found func(discover.Found)) (sum discover.Summary, err error) {
	return sum, s.ask(ctx, "discover", &wire.Reader{Found: found}, &sum, "--recipient="+s.identity.Recipient().String())
}

// DiscoverAll implements Host.
func (s *SSH) DiscoverAll(ctx context.Context, found func(discover.Found)) (sum discover.Summary, err error) {
	return sum, s.ask(ctx, "discover", &wire.Reader{Found: found}, &sum, "--recipient="+s.identity.Recipient().String(), "--everyone")
}

// Stop implements Host.
func (s *SSH) Stop(ctx context.Context) (st containment.Stopped, err error) {
	return st, s.ask(ctx, "stop", &wire.Reader{}, &st)
}

// Isolate implements Host.
func (s *SSH) Isolate(ctx context.Context, cut containment.Cut) (i containment.Isolated, err error) {
	var args []string
	for _, k := range cut.Keep {
		args = append(args, "--keep="+k.String())
	}
	if cut.Only {
		args = append(args, "--only-agent")
	}
	return i, s.ask(ctx, "isolate", &wire.Reader{}, &i, args...)
}

// Reopen implements Host.
func (s *SSH) Reopen(ctx context.Context) error {
	return s.ask(ctx, "isolate", &wire.Reader{}, nil, "--undo")
}

// Restore implements Host.
func (s *SSH) Restore(ctx context.Context) error {
	return s.ask(ctx, "restore", &wire.Reader{}, nil)
}

// Check implements Host.
func (s *SSH) Check(ctx context.Context) (c containment.Checked, err error) {
	return c, s.ask(ctx, "check", &wire.Reader{}, &c)
}
