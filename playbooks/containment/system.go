package containment

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"syscall"
	"time"

	"clawback/forensics/agents/openclaw"
)

// ErrGone is returned for a process that has ended, or whose pid now names another one.
var ErrGone = errors.New("process is gone")

// ErrMissed is returned, with what was found, when processes ended before it could be told whose they were.
var ErrMissed = errors.New("processes came and went faster than they could be read")

// ErrBusy is returned, with what was found, when processes of which nothing is known were gone before
// they could be read, as on any busy machine.
var ErrBusy = errors.New("processes came and went")

const (
	// stateFrozen is the State of a process whose control group stands still.
	stateFrozen = "frozen"
	// stateStopping is the State of a process that waits in the kernel, for something or for its turn, with
	// a stop ahead of it: it never comes back to its own code.
	stateStopping = "stop pending"
)

// System is what a machine can do to the processes of an agent. A drill's knows its own child and
// nothing else.
type System interface {
	// Processes lists the agent's processes that are alive, freshly read, but never the caller or an
	// ancestor of the caller. With the list it returns ErrMissed or ErrBusy when there may have been more.
	Processes(ctx context.Context, t Traits) ([]Process, error)
	// Newcomers lists those of the agent's processes that move and were not there in the last list. It
	// is quick, and may overlook some.
	Newcomers(ctx context.Context, t Traits) ([]Process, error)
	// Signal sends sig to p, and to no other process that has its pid by now: then it is ErrGone.
	Signal(ctx context.Context, p Process, sig syscall.Signal) error
	// Managers connects to the service managers. A Problem names one that cannot be asked. The
	// caller closes them.
	Managers(ctx context.Context) ([]Manager, []openclaw.Problem)
	// Cgroup is the control group of that path, or nil where it cannot be frozen, or must not be
	// because the caller lives in it.
	Cgroup(path string) Cgroup
	// Groups goes through the control groups of the agent's units, by their names alone.
	Groups() iter.Seq[string]
	// Isolator cuts the machine off the network; nil where this is not the agent's machine.
	Isolator() Isolator
}

// Traits are what an agent's processes are recognised by, beside their names.
type Traits struct {
	Root    string    // "/", or the folder below which a process must live to be the agent's
	Homes   []Home    // directories in which only the agent works
	Cgroups []string  // of its units; what runs below them belongs to it
	Known   []Process // recognised before; their children and sessions belong to it
	Ports   []int     // on which only the agent listens, in its own account

	listens map[string]int // those of the machine's sockets that listen on them, by inode
}

// Home is a state directory or a workspace of the agent.
type Home struct {
	Path string // absolute, links resolved
	UID  int    // its owner: a process of another user there is not taken for the agent
}

// Cgroup is a control group that can be stopped as a whole, with all that it forks.
type Cgroup interface {
	// Freeze stops or continues the group and returns when the kernel reports it done.
	Freeze(ctx context.Context, on bool) error
	// Frozen reads the group's events file: whether every process in it stands still.
	Frozen() (bool, error)
	// Kill sends SIGKILL to every process in the group, frozen or not.
	Kill() error
}

// Manager is a service manager that may run the agent: what each of them can do. What only some can
// is in the interfaces watcher, blocker, starter and freezer.
type Manager interface {
	Name() string // "system", "user 1000", "docker"
	// Units lists the agent's services or containers, as they stand now: those of its names, those
	// whose main process is one of mains, and containers that write to its homes.
	Units(ctx context.Context, mains []Process, homes []Home) ([]Unit, error)
	// Standing is what Pause would change on a unit.
	Standing(ctx context.Context, name string) (Paused, error)
	// Pause stops the unit, if it is active and no service, and disables it, if it is enabled: a
	// container's restart policy becomes no.
	Pause(ctx context.Context, p Paused) error
	Resume(ctx context.Context, p Paused) error
	// Blocked asks the manager whether the block of a unit holds, and says what does not; nil when all does.
	Blocked(ctx context.Context, name string) error
	// Kill sends SIGKILL to every process of the unit.
	Kill(ctx context.Context, name string) error
	Close()
}

// watcher is a Manager that kills services which say nothing for too long.
type watcher interface {
	// Watchdogs reports whether the manager kills services that miss their watchdog.
	Watchdogs(ctx context.Context) (bool, error)
	SetWatchdogs(ctx context.Context, on bool) error
	// SetWatchdog changes after what silence of its service the manager kills it; 0 is never.
	SetWatchdog(ctx context.Context, name string, limit time.Duration) error
}

// blocker is a Manager that can be made to refuse a start.
type blocker interface {
	// Block makes it impossible to start these units, and any end of the services silent: no
	// restart, no last command, no SIGTERM. It lasts until Unblock or a reboot.
	Block(ctx context.Context, services, others []string) error
	Unblock(ctx context.Context, names []string) error
}

// freezer is a Manager that can halt all of a unit by itself.
type freezer interface {
	// Freeze halts the unit or lets it go on, and returns when the manager says that it is so. It is
	// errNotRunning when there is nothing to halt.
	Freeze(ctx context.Context, name string, on bool) error
}

// errNotRunning is returned for a unit of which nothing runs, or nothing yet.
var errNotRunning = errors.New("it does not run")

// starter is a Manager whose refusal to start can be tried out.
type starter interface {
	// Start tries to start the unit and returns the manager's refusal; nil means that it started.
	Start(ctx context.Context, name string) error
}

// Paused is what Pause changes on one unit.
type Paused struct {
	Manager string `json:"manager"`
	Name    string `json:"name"`
	Active  bool   `json:"active"`  // stopped, and to be started again
	Enabled bool   `json:"enabled"` // disabled, and to be enabled again
	// Policy is the restart policy that a container had: "unless-stopped", "on-failure:3".
	Policy string `json:"policy,omitempty"`
	// Due is when a timer would have fired next, at the latest; zero where that is not known.
	Due time.Time `json:"due,omitzero"`
}

// Isolator cuts the machine off the network.
type Isolator interface {
	// Isolate drops all traffic but loopback, TCP between the ends of the desk's connections, from
	// whatever port of the other end, and what is kept.
	Isolate(ctx context.Context, desk []Connection, keep []Keep) (Isolated, error)
	// Alone drops all traffic of the agent, over loopback too, and nobody else's.
	Alone(ctx context.Context, desk []Connection, s Suspect) (Isolated, error)
	// Standing lists what of Isolate and Alone is in force, but for the agent's own networks.
	Standing(ctx context.Context) ([]string, error)
	// Restore undoes Isolate and Alone, but for the agent's own networks. Undoing nothing is success.
	Restore(ctx context.Context) error
	// Dropped counts the packets of the agent that Alone kept from passing.
	Dropped(ctx context.Context, spaces []Space) (packets uint64, err error)
	// ReopenSpace undoes Alone in one of the agent's own networks, if there is still anybody in it.
	ReopenSpace(ctx context.Context, s Space) error
}

// Keep is a service off the machine, such as a SIEM, that an isolated machine goes on talking to.
type Keep struct {
	Name string         `json:"name"`
	Addr netip.AddrPort `json:"addr"` // of the service; from whatever port of the machine, by TCP and UDP
}

// Connection is one TCP connection of this machine.
type Connection struct {
	Local, Remote netip.AddrPort
}
