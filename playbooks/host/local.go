package host

import (
	"context"
	"fmt"
	"os"

	"clawback/playbooks/containment"
	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Local is a machine, or a tree below a folder, in reach of this process: the machine itself, a
// mounted disk, a drill's world.
type Local struct {
	name      string
	root      *os.Root
	agent     *containment.Agent
	databases discover.DatabaseReader
	imager    string
}

var _ Host = (*Local)(nil)

// LocalOption changes how NewLocal reaches its host.
type LocalOption func(*localOptions)

type localOptions struct {
	containment []containment.Option
	databases   discover.DatabaseReader
	imager      string
}

// WithContainment passes options to the agent's containment: the drill's own System.
func WithContainment(opts ...containment.Option) LocalOption {
	return func(o *localOptions) { o.containment = append(o.containment, opts...) }
}

// WithDatabases lets Discover read the agent's databases. Without it they are named and deferred: the
// program on a suspect host cannot read them.
func WithDatabases(read discover.DatabaseReader) LocalOption {
	return func(o *localOptions) { o.databases = read }
}

// NewLocal returns the host whose files lie below root. Every path is read below it; with a root other
// than "/", services and network are left alone and so is every process outside it.
func NewLocal(root string, opts ...LocalOption) (*Local, error) {
	var o localOptions
	for _, opt := range opts {
		opt(&o)
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	agent, err := containment.New(dir, o.containment...)
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	name := root
	if root == "/" {
		name = "this machine"
	}
	return &Local{name: name, root: dir, agent: agent, databases: o.databases, imager: o.imager}, nil
}

// Name implements Host.
func (l *Local) Name() string { return l.name }

// Remote implements Host.
func (l *Local) Remote() bool { return false }

// Describe implements Host.
func (l *Local) Describe(ctx context.Context) (containment.Description, error) {
	return l.agent.Describe(ctx)
}

// Freeze implements Host.
func (l *Local) Freeze(ctx context.Context) (containment.Frozen, error) { return l.agent.Freeze(ctx) }

// Thaw implements Host.
func (l *Local) Thaw(ctx context.Context) error { return l.agent.Thaw(ctx) }

// Capture implements Host.
func (l *Local) Capture(ctx context.Context, part string, sink snapshots.Sink) (snapshots.Captured, error) {
	if part == snapshots.PartMemory {
		return l.captureMemory(ctx, sink)
	}
	var opts snapshots.Options
	processes, err := l.agent.Processes(ctx)
	if err != nil && part == "volatile" { // the files are there without them
		return snapshots.Captured{}, err
	}
	for _, p := range processes {
		opts.Processes = append(opts.Processes, p.PID)
	}
	if part == "volatile" {
		accounts, err := l.agent.Accounts(ctx)
		if err != nil { // said in the capture, which goes on without them
			accounts = []containment.Account{{Name: "unknown", Read: func(context.Context) ([]byte, error) { return nil, err }}}
		}
		for _, a := range accounts {
			opts.Told = append(opts.Told, snapshots.Told{Name: "containers/" + a.Name, Read: a.Read})
		}
	}
	if proc, err := os.OpenRoot("/proc"); err == nil && (l.root.Name() == "/" || len(processes) > 0) {
		defer proc.Close()
		opts.Proc = proc
	}
	return snapshots.Capture(ctx, l.root, part, opts, sink)
}

// Discover implements Host.
func (l *Local) Discover(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	return discover.Scan(ctx, l.root, discover.Options{Databases: l.databases}, found)
}

// DiscoverAll implements Host.
func (l *Local) DiscoverAll(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	return discover.Scan(ctx, l.root, discover.Options{Databases: l.databases, Everyone: true}, found)
}

// Stop implements Host.
func (l *Local) Stop(ctx context.Context) (containment.Stopped, error) { return l.agent.Stop(ctx) }

// Isolate implements Host.
func (l *Local) Isolate(ctx context.Context, cut containment.Cut) (containment.Isolated, error) {
	return l.agent.Isolate(ctx, cut)
}

// Reopen implements Host.
func (l *Local) Reopen(ctx context.Context) error { return l.agent.Reopen(ctx) }

// Restore implements Host.
func (l *Local) Restore(ctx context.Context) error { return l.agent.Restore(ctx) }

// Check implements Host.
func (l *Local) Check(ctx context.Context) (containment.Checked, error) { return l.agent.Check(ctx) }

// Close implements Host.
func (l *Local) Close() error { return l.root.Close() }
