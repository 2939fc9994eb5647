package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"filippo.io/age"

	"clawback/playbooks/containment"
	"clawback/playbooks/host/wire"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Handed is what a host without a link to the desk wrote of itself: the answers to the verbs that it can
// do alone, encrypted to a key of the desk. Nothing can be asked of it any more.
type Handed struct {
	path     string
	identity age.Identity
	sections []section
}

var _ Host = (*Handed)(nil)

// section is the answer to one verb.
type section struct {
	wire.Section
	at  int64 // bytes of the decrypted stream before it
	err error // the host's own failure
}

// ErrHandedOver means that a verb would have to reach the machine.
var ErrHandedOver = errors.New("the machine is not in reach, this is what it handed over")

// readBuffer is how much is read ahead: what package wire takes, so that it takes this one.
const readBuffer = 64 << 10

// OpenHanded opens the file that "clawback-host handoff" wrote, and reads it to its end: one that was cut,
// or changed, or is not for this identity, is refused.
func OpenHanded(ctx context.Context, path string, identity age.Identity) (*Handed, error) {
	h := &Handed{path: path, identity: identity}
	in, closed, err := h.open()
	if err != nil {
		return nil, err
	}
	defer closed()
	counted := &counter{in: in, ctx: ctx}
	buffered := bufio.NewReaderSize(counted, readBuffer)
	for _, s := range wire.Handoff {
		at := counted.n - int64(buffered.Buffered())
		r := &wire.Reader{Identity: identity, Found: func(discover.Found) {}, Sink: nowhere{}}
		err := r.Read(buffered, s.Verb, nil)
		if failed := (*wire.FailedError)(nil); err != nil && !errors.As(err, &failed) {
			return nil, fmt.Errorf("read what was handed over in %s, its %s: %w", path, s, err)
		}
		h.sections = append(h.sections, section{s, at, err})
	}
	switch _, err := buffered.ReadByte(); {
	case err == nil:
		return nil, fmt.Errorf("read what was handed over in %s: something stands behind its end", path)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read what was handed over in %s: %w", path, err)
	}
	return h, nil
}

// open decrypts the file from its beginning.
func (h *Handed) open() (io.Reader, func(), error) {
	f, err := os.OpenFile(h.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open what was handed over: %w", err)
	}
	closed := func() { _ = f.Close() }
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		closed()
		return nil, nil, fmt.Errorf("open what was handed over: %s is no file", h.path)
	}
	in, err := age.Decrypt(bufio.NewReaderSize(f, 1<<20), h.identity)
	if err != nil {
		closed()
		return nil, nil, fmt.Errorf("open what was handed over in %s: %w", h.path, err)
	}
	return in, closed, nil
}

// replay hands one section to r once more.
func (h *Handed) replay(ctx context.Context, want wire.Section, r *wire.Reader, result any) error {
	for _, s := range h.sections {
		if s.Section != want {
			continue
		}
		in, closed, err := h.open()
		if err != nil {
			return err
		}
		defer closed()
		counted := &counter{in: in, ctx: ctx}
		if _, err := io.CopyN(io.Discard, counted, s.at); err != nil {
			return fmt.Errorf("%s of %s: %w", want, h.path, err)
		}
		r.Identity = h.identity
		return r.Read(counted, want.Verb, result)
	}
	return fmt.Errorf("%s: %w", want, ErrHandedOver)
}

// Name implements Host, as all methods do. It is the file's: what the machine calls itself is a claim.
func (h *Handed) Name() string { return HandedName(h.path) }

// HandedName is how the record calls the machine that wrote a file.
func HandedName(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base)) + " (handed over)"
}

func (h *Handed) Remote() bool { return true }

func (h *Handed) Describe(ctx context.Context) (d containment.Description, err error) {
	return d, h.replay(ctx, wire.Section{Verb: "describe"}, &wire.Reader{}, &d)
}

func (h *Handed) Freeze(ctx context.Context) (f containment.Frozen, err error) {
	return f, h.replay(ctx, wire.Section{Verb: "freeze"}, &wire.Reader{}, &f)
}

func (h *Handed) Capture(ctx context.Context, part string, sink snapshots.Sink) (c snapshots.Captured, err error) {
	if part == snapshots.PartMemory {
		return c, ErrNoImager
	}
	return c, h.replay(ctx, wire.Section{Verb: "capture", Part: part}, &wire.Reader{Sink: sink}, &c)
}

func (h *Handed) Discover(ctx context.Context, found func(discover.Found)) (s discover.Summary, err error) {
	return s, h.replay(ctx, wire.Section{Verb: "discover"}, &wire.Reader{Found: found}, &s)
}

func (h *Handed) DiscoverAll(ctx context.Context, found func(discover.Found)) (s discover.Summary, err error) {
	return s, h.replay(ctx, wire.Section{Verb: "discover", Everyone: true}, &wire.Reader{Found: found}, &s)
}

func (h *Handed) Thaw(context.Context) error { return ErrHandedOver }

func (h *Handed) Stop(context.Context) (containment.Stopped, error) {
	return containment.Stopped{}, ErrHandedOver
}

func (h *Handed) Isolate(context.Context, containment.Cut) (containment.Isolated, error) {
	return containment.Isolated{}, ErrHandedOver
}

func (h *Handed) Reopen(context.Context) error { return ErrHandedOver }

func (h *Handed) Restore(context.Context) error { return ErrHandedOver }

func (h *Handed) Check(context.Context) (containment.Checked, error) {
	return containment.Checked{}, ErrHandedOver
}

func (h *Handed) Close() error { return nil }

// counter counts what is read, and reads no further when ctx is done.
type counter struct {
	in  io.Reader
	ctx context.Context
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// nowhere is a sink for a capture that is looked through alone.
type nowhere struct{}

func (nowhere) Begin(snapshots.File) (io.Writer, error) { return nowhere{}, nil }
func (nowhere) End(snapshots.File) error                { return nil }
func (nowhere) Write(p []byte) (int, error)             { return len(p), nil }
func (nowhere) Hole(int64) error                        { return nil }
