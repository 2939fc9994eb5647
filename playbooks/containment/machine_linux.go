package containment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"clawback/forensics/agents/openclaw"
)

// maxGroups bounds how many control groups are looked through for the agent's.
const maxGroups = 10_000

// staleAfter is how long a process's arguments, environment and open files are not read again.
const staleAfter = 200 * time.Millisecond

// machine is the System of a Linux machine.
type machine struct {
	root   string
	groups string   // mount point of cgroup v2, "" without one
	halts  string   // mount point of the freezer of cgroup v1, "" without one
	own    []string // cgroups of the caller and its ancestors

	mu    sync.Mutex
	last  map[int]*proc // as the last scan saw them
	heard time.Time     // when the listening sockets were read
	ears  map[string]int
}

// ThisMachine is the machine on which the caller runs. With a root other than "/", it has no service
// managers, no cgroups and no network to isolate: they belong to the machine, not to the tree.
func ThisMachine(root string) (System, error) {
	m := &machine{root: root}
	if root != "/" {
		return m, nil
	}
	mounts, err := readBounded("/proc/self/mountinfo", 16<<20)
	if err != nil {
		return nil, fmt.Errorf("this machine's mounts: %w", err)
	}
	m.groups, m.halts = cgroupMount(string(mounts)), freezerMount(string(mounts))
	for pid := os.Getpid(); pid > 1; {
		if data, err := readBounded(procPath(pid, "cgroup"), 1<<16); err == nil {
			m.own = append(m.own, unifiedPath(string(data)))
		}
		if _, pid, err = nameAndParent(pid); err != nil {
			break
		}
	}
	return m, nil
}

// Processes implements System. Pids that are new since the last scan are read first: what forks and
// ends at once must be told before it is gone.
func (m *machine) Processes(ctx context.Context, t Traits) ([]Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh, old, err := m.pids()
	if err != nil {
		return nil, err
	}
	seen := make(map[int]*proc, len(fresh)+len(old))
	var all, ending []*proc
	var missed, busy error
	for i, pid := range append(fresh, old...) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := m.readProc(pid)
		if p != nil {
			seen[pid] = p
			all = append(all, p)
		}
		// Gone, or on its way out: whose it was cannot be told, nor what it left behind.
		switch {
		case i >= len(fresh):
		case p == nil:
			busy = ErrBusy
		case p.ending:
			ending = append(ending, p)
		}
	}
	before := m.last
	m.last = seen
	t.listens = m.listeners(t)
	found := recognise(all, os.Getpid(), t)
	if slices.ContainsFunc(ending, func(p *proc) bool { return mayBeAgents(p, found, seen) }) {
		missed = ErrMissed
	}
	var alive []Process
	for _, p := range found {
		if p.State = seen[p.PID].liveliness(); p.State == "" { // a zombie, or gone
			seen[p.PID].dead = true
			if last := before[p.PID]; last == nil || last.Start != p.Start || !last.dead {
				missed = ErrMissed // it may have left a child behind in its last moment
			}
			continue
		}
		if !p.Still() && p.Cgroup != "/" {
			if g := m.Cgroup(p.Cgroup); g != nil && isFrozen(g) || m.halted(seen[p.PID].freezer) {
				p.State = stateFrozen
			}
		}
		alive = append(alive, p)
	}
	return alive, cmp.Or(missed, busy)
}

// Newcomers implements System: it reads who was not there in the last scan, and nobody else.
func (m *machine) Newcomers(ctx context.Context, t Traits) ([]Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh, _, err := m.pids()
	if err != nil {
		return nil, err
	}
	var all []*proc
	for _, pid := range fresh {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p := m.readProc(pid); p != nil && !p.ending { // who is on its way out is for the next scan
			all, m.last[pid] = append(all, p), p
		}
	}
	come := len(all)
	for _, k := range t.Known {
		if p := m.last[k.PID]; p != nil && p.Start == k.Start && !slices.Contains(all[:come], p) {
			all = append(all, p)
		}
	}
	var moving []Process
	for _, p := range recognise(all, os.Getpid(), t) {
		if !slices.ContainsFunc(all[:come], func(f *proc) bool { return f.PID == p.PID }) {
			continue
		}
		if p.State = m.last[p.PID].liveliness(); p.State != "" && !p.Still() {
			moving = append(moving, p)
		}
	}
	return moving, nil
}

// mayBeAgents reports whether a process that ends could have been the agent's: unless it is the
// child of a process that lives and is not, in a session that is not. Others come and go all the time.
func mayBeAgents(p *proc, found []Process, seen map[int]*proc) bool {
	parent := seen[p.PPID]
	return p.PPID <= 1 || parent == nil || parent.ending ||
		slices.ContainsFunc(found, func(f Process) bool { return f.PID == p.PID || f.PID == p.PPID || f.PID == p.session })
}

// pids lists the processes, newest first: those that the last scan did not see, and the others.
func (m *machine) pids() (fresh, old []int, err error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Backward(names) {
		if pid, err := strconv.Atoi(name); err != nil {
			continue
		} else if m.last[pid] == nil {
			fresh = append(fresh, pid)
		} else {
			old = append(old, pid)
		}
	}
	return fresh, old, nil
}

// readProc reads what the kernel shows of a process, nil when it has ended meanwhile. What costs more
// is read when it is asked for, and again only when the last scan's is stale or of another process.
func (m *machine) readProc(pid int) *proc {
	line, err := readProcFile(procPath(pid, "stat"), 1<<16)
	if err != nil {
		return nil
	}
	s, err := parseStat(string(line))
	if err != nil {
		return nil
	}
	p := &proc{session: s.session, kernel: s.kernel, threads: s.threads, state: s.state, Process: Process{PID: pid, Start: s.start, PPID: s.ppid, Name: s.name}}
	p.Exe, err = os.Readlink(procPath(pid, "exe"))
	if data, err := readProcFile(procPath(pid, "cgroup"), 1<<16); err == nil {
		p.Cgroup, p.freezer = unifiedPath(string(data)), freezerPath(string(data))
	}
	p.cwd = sync.OnceValue(func() string { dir, _ := os.Readlink(procPath(pid, "cwd")); return dir })
	p.uid = sync.OnceValue(func() int {
		data, _ := readProcFile(procPath(pid, "status"), 1<<16)
		return effectiveUID(string(data))
	})
	// One of another account may not be looked at; one of the caller's own that hides may be the agent's.
	p.ending = err != nil && !p.kernel && !(errors.Is(err, fs.ErrPermission) && p.uid() != os.Geteuid())
	if last := m.last[pid]; last != nil && last.Start == p.Start && last.Name == p.Name && last.Exe == p.Exe && time.Since(last.read) < staleAfter {
		p.read, p.args, p.places, p.open = last.read, last.args, last.places, last.open
		return p
	}
	p.read = time.Now()
	p.args = sync.OnceValue(func() []string {
		data, _ := readProcFile(procPath(pid, "cmdline"), 1<<20)
		return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	})
	p.places = sync.OnceValue(func() []string { return places(pid) })
	p.open = sync.OnceValue(func() []string { return openFiles(pid) })
	return p
}

// places are where the environment of a process says that the agent's state and configuration are:
// https://docs.openclaw.ai/help/environment
func places(pid int) (paths []string) {
	data, _ := readProcFile(procPath(pid, "environ"), 4<<20)
	for _, entry := range strings.Split(string(data), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		switch name {
		case "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH":
			paths = append(paths, value)
		case "OPENCLAW_HOME":
			paths = append(paths, path.Join(value, ".openclaw"))
		}
	}
	return paths
}

// readProcFile reads a file of /proc, of at most max bytes, in as few calls of the kernel as can be:
// while the agent forks, each of them counts.
func readProcFile(name string, max int) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 4096)
	for {
		if len(data) > max {
			return nil, fmt.Errorf("%s is longer than %d bytes", name, max)
		}
		data = slices.Grow(data, 4096)
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case n == 0:
			return data, nil
		default:
			data = data[:len(data)+n]
		}
	}
}

func openFiles(pid int) (paths []string) {
	dir, err := os.Open(procPath(pid, "fd"))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxOpenFiles)
	for _, name := range names {
		if path, err := os.Readlink(dir.Name() + "/" + name); err == nil && (strings.HasPrefix(path, "/") || strings.HasPrefix(path, "socket:[")) {
			paths = append(paths, path)
		}
	}
	return paths
}

// listeners are the sockets that listen on the agent's ports, by inode. Without a home nobody's account
// is the agent's.
func (m *machine) listeners(t Traits) map[string]int {
	if m.root != "/" || len(t.Homes) == 0 || len(t.Ports) == 0 {
		return nil
	}
	if time.Since(m.heard) > staleAfter {
		m.ears = make(map[string]int)
		sockets, _ := listening() // what cannot be read shows nobody
		for _, s := range sockets {
			if port := int(s.Local.Port()); slices.Contains(t.Ports, port) {
				m.ears[s.inode] = port
			}
		}
		m.heard = time.Now()
	}
	return m.ears
}

// liveliness is the state of the thread of p that can do most, as liveliest has it.
func (p *proc) liveliness() string {
	if p.threads == 1 {
		return liveliestOf(p.PID, p.state)
	}
	return liveliest(p.PID)
}

// liveliest is the state of the process's thread that can do most: its first thread may be a zombie
// while others work. It is "" for a process that can do nothing any more.
func liveliest(pid int) string {
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return ""
	}
	var states []string
	for _, t := range tasks {
		if line, err := readProcFile(procPath(pid, "task/"+t.Name()+"/stat"), 1<<16); err == nil {
			if s, err := parseStat(string(line)); err == nil {
				states = append(states, s.state)
			}
		}
	}
	return liveliestOf(pid, states...)
}

func liveliestOf(pid int, states ...string) string {
	best, moves := "", ""
	for _, state := range states {
		switch state {
		case "Z", "X":
		case "T", "t":
			best = state
		case "D":
			moves = cmp.Or(moves, "D")
		default:
			moves = state
		}
	}
	switch {
	case moves == "":
		return best
	case moves == "D" && best != "" || stopPends(pid):
		return stateStopping
	}
	return moves
}

// stopPends reports whether a SIGSTOP waits for a process that is in the kernel and cannot be
// interrupted, such as one that waits for a child it has just forked, or for its turn on a processor.
func stopPends(pid int) bool {
	data, err := readProcFile(procPath(pid, "status"), 1<<16)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "ShdPnd:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			return err == nil && mask&(1<<(syscall.SIGSTOP-1)) != 0
		}
	}
	return false
}

// effectiveUID reads the second number of the Uid line of /proc/PID/status; -1 when there is none.
func effectiveUID(status string) int {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			if field := strings.Fields(rest); len(field) >= 2 {
				if uid, err := strconv.Atoi(field[1]); err == nil {
					return uid
				}
			}
		}
	}
	return -1
}

// Signal implements System.
func (m *machine) Signal(_ context.Context, p Process, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err == nil {
		defer unix.Close(fd)
		// The descriptor holds whoever has the pid now: only then compare.
		line, readErr := readProcFile(procPath(p.PID, "stat"), 1<<16)
		if readErr != nil {
			return ErrGone
		}
		if s, parseErr := parseStat(string(line)); parseErr != nil || s.start != p.Start {
			return ErrGone
		}
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}

// Managers implements System.
func (m *machine) Managers(ctx context.Context) ([]Manager, []openclaw.Problem) {
	if m.root != "/" {
		return nil, nil
	}
	managers, problems := systemdManagers(ctx)
	engines, others := engines(ctx)
	return append(managers, engines...), append(problems, others...)
}

// Isolator implements System.
func (m *machine) Isolator() Isolator {
	if m.root != "/" {
		return nil
	}
	return Firewall{}
}

// Groups implements System. The uppermost come first: who may make groups of their own can hide one
// among thousands only below theirs.
func (m *machine) Groups() iter.Seq[string] {
	return func(yield func(string) bool) {
		dirs := []string{"/"}
		for seen := 0; m.groups != "" && len(dirs) > 0 && seen < maxGroups; seen++ {
			dir := dirs[0]
			dirs = dirs[1:]
			entries, _ := os.ReadDir(m.groups + dir) // gone, or nobody's
			for _, e := range entries {
				at := path.Join(dir, e.Name())
				switch {
				case !e.IsDir():
				case !agentUnit.MatchString(e.Name()):
					dirs = append(dirs, at)
				case !yield(at):
					return
				}
			}
		}
	}
}

// Cgroup implements System. A group that holds the caller, an ancestor of it, or all of a
// manager's services is never frozen.
func (m *machine) Cgroup(path string) Cgroup {
	if m.groups == "" || path == "/" || !strings.HasPrefix(path, "/") || slices.Contains(strings.Split(path, "/"), "..") {
		return nil
	}
	if slices.ContainsFunc(m.own, func(own string) bool { return below(path, own) }) {
		return nil
	}
	group := cgroup2(m.groups + path)
	if _, err := os.Stat(group.file("cgroup.freeze")); err != nil {
		return nil
	}
	return group
}
