// Package containment stops an agent on its host: it finds what runs it and what brings it back,
// freezes its processes, kills them without a last word and proves that they stay down. It runs
// on the suspect host, so its results are that host's claims.
package containment

import (
	"time"

	"clawback/forensics/agents/openclaw"
)

// Description is what the host says of the agent, before anything is changed.
type Description struct {
	Hostname      string                  `json:"hostname"`
	Kernel        string                  `json:"kernel"`
	Now           time.Time               `json:"now"` // the host's clock, to compare with the desk's
	Boot          time.Time               `json:"boot,omitzero"`
	Installations []openclaw.Installation `json:"installations"`
	Units         []Unit                  `json:"units,omitempty"`
	Processes     []Process               `json:"processes,omitempty"`
	Revivers      []Reviver               `json:"revivers,omitempty"`
	Changed       []string                `json:"changed,omitempty"` // by verbs before, and not undone: "openclaw.service: start refused"
	Walls         []string                `json:"walls,omitempty"`   // that cut it off the network, likewise: "nftables table inet clawback"
	Dropped       uint64                  `json:"dropped,omitempty"` // packets of an agent that is cut off alone
	Problems      []openclaw.Problem      `json:"problems,omitempty"`
}

// Process is one process of the agent. Its pid and start time name it beyond pid reuse.
type Process struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/PID/stat
	PPID   int    `json:"ppid"`
	Name   string `json:"name"`
	Exe    string `json:"exe,omitempty"`
	UID    int    `json:"uid"`
	Cgroup string `json:"cgroup,omitempty"`
	State  string `json:"state,omitempty"` // as in /proc/PID/stat, of its liveliest thread; "frozen" or "stop pending"
	Why    string `json:"why"`             // how it was recognised: "cgroup of openclaw.service"
}

// Still reports whether no thread of p can act.
func (p Process) Still() bool {
	return p.State == "T" || p.State == "t" || p.State == stateStopping || p.State == stateFrozen
}

// Unit is a service manager's unit that runs the agent, or a container.
type Unit struct {
	Name         string        `json:"name"`
	Manager      string        `json:"manager"`         // "system", "user 1000", "docker", "podman of user 1000"
	Active       string        `json:"active"`          // as systemd calls it: active, inactive, failed; or as an engine: running, paused
	Image        string        `json:"image,omitempty"` // of a container
	Fragment     string        `json:"fragment,omitempty"`
	Cgroup       string        `json:"cgroup,omitempty"`
	Restart      string        `json:"restart,omitempty"`
	RestartDelay time.Duration `json:"restart_sec,omitempty"`
	Watchdog     time.Duration `json:"watchdog,omitempty"`
	Triggers     []string      `json:"triggers,omitempty"`  // sockets, timers, paths that start it
	Followers    []string      `json:"followers,omitempty"` // units that start when it fails or ends
	Removed      bool          `json:"removed,omitempty"`   // with its files, by its engine, when it ends
	Starters     []Reviver     `json:"starters,omitempty"`  // who else may start it, and whom to call
	Why          string        `json:"why"`
}

// Reviver is something that may bring the agent back.
type Reviver struct {
	Kind   string `json:"kind"` // "restart", "watchdog", "timer", "socket", "path", "linger", "cron", "container", "compose", "swarm"
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
	Paused bool   `json:"paused"`
	Ask    string `json:"ask,omitempty"` // who must be called where we cannot pause it
}

// Frozen is the result of a freeze.
type Frozen struct {
	Processes []Process     `json:"processes"`
	How       []string      `json:"how"`   // "cgroup freezer of openclaw.service", "SIGSTOP"
	Proof     []string      `json:"proof"` // "cgroup.events frozen 1", "14 of 14 processes in state T"
	Took      time.Duration `json:"took"`  // from the verb's start to the last thread stopped
	Escaped   []Process     `json:"escaped,omitempty"`
	Paused    []Reviver     `json:"paused,omitempty"`
	Problems  []string      `json:"problems,omitempty"`
}

// Complete reports whether everything that was found stands still.
func (f Frozen) Complete() bool { return len(f.Escaped) == 0 && len(f.Problems) == 0 }

// Stopped is the result of a kill without a last word.
type Stopped struct {
	Killed   []Process     `json:"killed"`
	Did      []string      `json:"did"`            // "drop-in 90-clawback.conf: Restart=no …", "reload", "SIGKILL"
	Held     []string      `json:"held,omitempty"` // queue files moved aside, so that nothing runs again
	Wait     time.Duration `json:"wait"`           // after this long, Check proves something: 2 × RestartSec, a timer's next turn within 2 minutes, at least 2 s
	Took     time.Duration `json:"took"`
	Problems []string      `json:"problems,omitempty"`
}

// Checked is a look at whether the agent stays down.
type Checked struct {
	Down      bool      `json:"down"`
	Processes []Process `json:"processes,omitempty"` // of the agent, alive
	Listening []int     `json:"listening,omitempty"` // its ports on which something listens
	Units     []Unit    `json:"units,omitempty"`     // as they stand now
	Proof     []string  `json:"proof"`
	Problems  []string  `json:"problems,omitempty"`
}

// Isolated is the result of cutting the host, or the agent alone, off the network.
type Isolated struct {
	How      []string `json:"how"`
	Kept     []string `json:"kept,omitempty"` // "tcp 10.0.0.5:50022 (the desk's SSH connection)"
	Proof    []string `json:"proof,omitempty"`
	Problems []string `json:"problems,omitempty"`
}
