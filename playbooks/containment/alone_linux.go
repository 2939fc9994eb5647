package containment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxSockets bounds how many open connections of the agent get rules of their own.
const maxSockets = 1000

// resident is a process as a packet filter can know it.
type resident struct {
	*proc
	group string // of cgroup v2, "" without one
	space uint64 // its network namespace, 0 where that is not known
	mine  bool   // of the agent
}

// Suspect implements profiler: a group, an account or a network is cut off only when nobody else is in it.
func (m *machine) Suspect(ctx context.Context, found []Process, desk []Connection) (Suspect, error) {
	all, err := m.residents(ctx, found)
	if err != nil {
		return Suspect{}, err
	}
	home, err := spaceOf(os.Getpid())
	if err != nil {
		return Suspect{}, fmt.Errorf("this network: %w", err)
	}
	var s Suspect
	accounts := m.accounts(all, home, &s)
	sockets := map[string]bool{}
	for _, p := range all {
		switch {
		case !p.mine:
		case p.space == 0:
			s.Free = append(s.Free, fmt.Sprintf("process %d (%s): which network it is in cannot be told", p.PID, p.Name))
		case p.space != home:
			m.ownSpace(p, all, &s)
		default:
			socketsOf(p.PID, sockets)
			reason := m.ownGroup(p, all, &s)
			if reason != "" && !slices.Contains(accounts, p.uid()) {
				s.Free = append(s.Free, fmt.Sprintf("process %d (%s) can make new connections: %s, and its account is not cut off", p.PID, p.Name, reason))
			}
		}
	}
	var complete bool
	if s.Sockets, complete, err = openSockets(sockets, desk); err == nil && !complete {
		s.Free = append(s.Free, fmt.Sprintf("it has more than %d sockets open", maxSockets))
	}
	return s, err
}

// residents lists all processes.
func (m *machine) residents(ctx context.Context, found []Process) (all []resident, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh, old, err := m.pids()
	if err != nil {
		return nil, err
	}
	for _, pid := range append(fresh, old...) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := m.readProc(pid)
		if p == nil || p.kernel || p.state == "Z" {
			continue
		}
		r := resident{proc: p, mine: slices.ContainsFunc(found, p.Process.same)}
		if data, err := readProcFile(procPath(pid, "cgroup"), 1<<16); err == nil {
			for line := range strings.Lines(string(data)) {
				if v2, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
					r.group = v2
				}
			}
		}
		if r.space, err = spaceOf(pid); errors.Is(err, fs.ErrNotExist) || p.uid() < 0 {
			continue // gone meanwhile
		}
		all = append(all, r)
	}
	return all, nil
}

func spaceOf(pid int) (uint64, error) {
	info, err := os.Stat(procPath(pid, "ns/net"))
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("it has no inode")
	}
	return stat.Ino, nil
}

// accounts are those in which nobody but the agent works.
func (m *machine) accounts(all []resident, home uint64, s *Suspect) []int {
	refused := map[int]string{}
	for _, p := range all {
		if !p.mine || p.space != home || slices.Contains(s.Accounts, p.uid()) || refused[p.uid()] != "" {
			continue
		}
		uid := p.uid()
		why := ""
		switch {
		case uid == 0:
			why = "it is the machine's own"
		case slices.Contains(callers(), uid):
			why = "the desk is logged in as it"
		default:
			if i := slices.IndexFunc(all, func(o resident) bool { return !o.mine && o.uid() == uid && !keepsHouse(o.group, uid) }); i >= 0 {
				why = fmt.Sprintf("process %d (%s) in it is not the agent's", all[i].PID, all[i].Name)
			}
		}
		if why == "" {
			s.Accounts = append(s.Accounts, uid)
			continue
		}
		refused[uid] = why
		s.Spared = append(s.Spared, fmt.Sprintf("account %d as a whole is not cut off: %s", uid, why))
	}
	return s.Accounts
}

// keepsHouse reports whether a process of that group is the service manager or message bus that every
// account has which is logged in or lingers.
func keepsHouse(group string, uid int) bool {
	base := filepath.Base(group)
	return strings.Contains(group, fmt.Sprintf("/user@%d.service/", uid)) &&
		(base == "init.scope" || base == "dbus.service" || base == "dbus-broker.service")
}

// callers are the accounts by which this program is run: its own, its ancestors', and that of the login.
func callers() (uids []int) {
	for pid := os.Getpid(); pid > 1; {
		status, err := readProcFile(procPath(pid, "status"), 1<<16)
		if err != nil {
			break
		}
		uids = append(uids, effectiveUID(string(status)))
		if _, pid, err = nameAndParent(pid); err != nil {
			break
		}
	}
	if login, err := readProcFile("/proc/self/loginuid", 64); err == nil {
		if uid, err := strconv.ParseUint(strings.TrimSpace(string(login)), 10, 31); err == nil {
			uids = append(uids, int(uid))
		}
	}
	return uids
}

// ownSpace adds the network of p, when nobody else is in it.
func (m *machine) ownSpace(p resident, all []resident, s *Suspect) {
	if i := slices.IndexFunc(s.Spaces, func(o Space) bool { return o.ID == p.space }); i >= 0 {
		s.Spaces[i].pids = append(s.Spaces[i].pids, p.PID)
		return
	}
	if i := slices.IndexFunc(all, func(o resident) bool { return o.space == p.space && !o.mine }); i >= 0 {
		s.Free = append(s.Free, fmt.Sprintf("process %d (%s) has the way out of the network that it shares with process %d (%s), which is not the agent's",
			p.PID, p.Name, all[i].PID, all[i].Name))
		return
	}
	s.Spaces = append(s.Spaces, Space{ID: p.space, Who: fmt.Sprintf("%d (%s)", p.PID, p.Name), pids: []int{p.PID}})
}

// ownGroup adds the control group of p: its unit's or, when nobody else is in it, its own. It says why
// there is none.
func (m *machine) ownGroup(p resident, all []resident, s *Suspect) (reason string) {
	if m.groups == "" {
		return "this machine has no control groups of version 2"
	}
	at := p.group
	if unit, _ := unitGroup(at); unit != "" {
		at = unit
	}
	if slices.ContainsFunc(s.Groups, func(g Group) bool { return below(g.Path, at) }) {
		return ""
	}
	if m.Cgroup(at) == nil { // the root, or the caller's
		return fmt.Sprintf("its control group %q holds the whole machine, or this program", at)
	}
	if i := slices.IndexFunc(all, func(o resident) bool { return !o.mine && below(at, cmp.Or(o.group, "/")) }); i >= 0 {
		return fmt.Sprintf("in its control group %s there is process %d (%s), which is not the agent's", at, all[i].PID, all[i].Name)
	}
	info, err := os.Stat(m.groups + at)
	if err != nil {
		return fmt.Sprintf("its control group %s: %v", at, err)
	}
	s.Groups = append(s.Groups, Group{Path: at, ID: info.Sys().(*syscall.Stat_t).Ino})
	return ""
}

// openSockets are those of TCP and UDP among inodes, of this network, but for the desk's. complete is
// false where there are more.
func openSockets(inodes map[string]bool, desk []Connection) (out []OpenSocket, complete bool, err error) {
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := readBounded("/proc/self/net/"+table, 64<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("open sockets: %w", err)
		}
		for _, s := range parseSockets(string(data)) {
			if !inodes[s.inode] || slices.Contains(desk, s.Connection) {
				continue
			}
			if len(out) == maxSockets {
				return out, false, nil
			}
			out = append(out, OpenSocket{s.Connection, strings.HasPrefix(table, "udp")})
		}
	}
	return out, true, nil
}
