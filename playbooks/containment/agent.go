package containment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"clawback/forensics/agents/openclaw"
)

// changesFile is where the verbs on a whole machine keep what they changed: on a tmpfs, so that the
// suspect disk is not written to.
const changesFile = "/run/clawback/changes.json"

// Agent is the OpenClaw of one machine, or of the tree below a folder, under response. Its methods
// are not to be called at the same time from two processes.
type Agent struct {
	root    *os.Root
	path    string // of root: absolute, without links
	sys     System
	changes string // path of the ledger; "" keeps it in memory
	memory  *ledger
	desk    func() ([]Connection, error)
	mu      sync.Mutex
}

// Option changes how an Agent is reached.
type Option func(*Agent)

// WithSystem uses sys in place of this machine.
func WithSystem(sys System) Option { return func(a *Agent) { a.sys = sys } }

// New returns the agent below root. Unless root is "/", only processes are touched whose program,
// working directory or state directory lies below it, and no service manager is asked.
func New(root *os.Root, opts ...Option) (*Agent, error) {
	path, err := filepath.Abs(root.Name())
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root.Name(), err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, fmt.Errorf("root %s: %w", root.Name(), err)
	}
	a := &Agent{root: root, path: path, desk: deskConnections}
	for _, opt := range opts {
		opt(a)
	}
	if a.sys == nil {
		if a.sys, err = ThisMachine(path); err != nil {
			return nil, err
		}
		if a.whole() {
			a.changes = changesFile
		}
	}
	a.memory = &ledger{}
	return a, nil
}

// whole reports whether the agent has this whole machine.
func (a *Agent) whole() bool { return a.path == "/" }

// visit is one verb at work.
type visit struct {
	*Agent
	*ledger
	disk      *openclaw.Patient // root, whose file systems may be the attacker's and never answer
	start     time.Time
	stood     time.Time // when the last that moved was stopped
	managers  []Manager
	units     []unit
	still     []unit   // that their managers say they froze
	strays    []string // cgroups of the agent's units whose manager cannot be asked
	installed []openclaw.Installation
	unread    []openclaw.Problem
	traits    Traits
	problems  []string
}

type unit struct {
	Unit
	manager Manager
}

// visit reads what earlier verbs changed and connects to the service managers.
func (a *Agent) visit(ctx context.Context) (*visit, error) {
	v := a.begin(ctx)
	v.connect(ctx)
	return v, nil
}

// begin is visit without the managers, which may take their time to answer.
func (a *Agent) begin(ctx context.Context) *visit {
	// Not to be cut short by ctx: an agent that was killed is to find nothing to go on with.
	disk := openclaw.Patiently(context.WithoutCancel(ctx), a.root, openclaw.Patience)
	v := &visit{Agent: a, ledger: a.memory, disk: disk, start: time.Now(), traits: Traits{Root: a.path}}
	if a.changes != "" {
		led, err := openLedger(a.changes)
		if err != nil {
			// Never a reason to leave the agent running: what was changed before is unknown, no more.
			v.problem(err)
			led = &ledger{file: a.changes, unread: err}
		}
		v.ledger = led
	}
	v.traits.Known = slices.Clone(v.Halted)
	v.traits.Ports = slices.Concat(agentPorts, v.Ports)
	return v
}

func (v *visit) connect(ctx context.Context) {
	var unasked []openclaw.Problem
	v.managers, unasked = v.sys.Managers(ctx)
	for _, p := range unasked {
		v.problems = append(v.problems, p.Path+": "+p.Reason)
	}
}

func (v *visit) close() {
	for _, m := range v.managers {
		m.Close()
	}
}

func (v *visit) problem(err error) {
	if err != nil {
		v.problems = append(v.problems, err.Error())
	}
}

// locate finds the installations, whose directories are traits of the agent.
func (v *visit) locate() {
	var problems []openclaw.Problem
	v.installed, problems = openclaw.Locate(v.disk)
	v.unread = append(v.unread, problems...)
	for _, in := range v.installed {
		for _, dir := range append([]string{in.StateDir}, in.Workspaces...) {
			path := filepath.Join(v.path, filepath.FromSlash(dir))
			if real, err := openclaw.Await(v.disk, dir, func() (string, error) { return filepath.EvalSymlinks(path) }); err == nil {
				path = real
			}
			// A state directory or workspace that is "/" or a whole home is not the agent's own.
			if path != v.path && path != filepath.Join(v.path, in.Home) {
				v.traits.Homes = append(v.traits.Homes, Home{Path: path, UID: in.UID})
			}
		}
	}
}

// findUnits asks every manager for the agent's units: again and again, because the processes that
// were found name more of them.
func (v *visit) findUnits(ctx context.Context, mains []Process) { v.askUnits(ctx, v.managers, mains) }

func (v *visit) askUnits(ctx context.Context, managers []Manager, mains []Process) {
	v.units, v.traits.Cgroups = nil, nil
	for _, m := range managers {
		found, err := m.Units(ctx, mains, v.traits.Homes)
		if err != nil {
			v.problemOnce(fmt.Errorf("list units of the %s manager: %w", m.Name(), err))
		}
		for _, u := range found {
			v.units = append(v.units, unit{u, m})
			if u.Cgroup != "" {
				v.traits.Cgroups = append(v.traits.Cgroups, u.Cgroup)
			}
		}
	}
	slices.SortStableFunc(v.units, func(a, b unit) int { return cmp.Compare(a.Manager, b.Manager) })
}

// processes scans once, and remembers what it found.
func (v *visit) processes(ctx context.Context) ([]Process, error) {
	found, _, err := v.scan(ctx)
	return found, err
}

// scan also tells whether there may have been more: doubt is ErrMissed, ErrBusy or nil.
func (v *visit) scan(ctx context.Context) (found []Process, doubt, err error) {
	found, doubt = v.sys.Processes(ctx, v.traits)
	if doubt != nil && !errors.Is(doubt, ErrMissed) && !errors.Is(doubt, ErrBusy) {
		return nil, nil, fmt.Errorf("list processes: %w", doubt)
	}
	for _, p := range found {
		v.know(p)
	}
	return found, doubt, nil
}

func (v *visit) know(p Process) {
	if !slices.ContainsFunc(v.traits.Known, p.same) {
		v.traits.Known = append(v.traits.Known, p)
	}
}

func (p Process) same(o Process) bool { return p.PID == o.PID && p.Start == o.Start }

// signal signals p; that it is gone already is no error.
func (v *visit) signal(ctx context.Context, p Process, sig syscall.Signal) error {
	err := v.sys.Signal(ctx, p, sig)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal %d (%s): %w", p.PID, p.Name, err)
	}
	return nil
}

// readBounded reads a file of at most max bytes.
func readBounded(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = fmt.Errorf("%s is longer than %d bytes", path, max)
	}
	return data, err
}

// Processes lists the agent's processes, as Describe does.
func (a *Agent) Processes(ctx context.Context) ([]Process, error) {
	d, err := a.Describe(ctx)
	return d.Processes, err
}
