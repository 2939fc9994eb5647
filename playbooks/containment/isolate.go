package containment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Isolate cuts the machine off the network but for the SSH connection over which it was asked to,
// and what is kept; or the agent alone.
// Where it was asked over SSH and that connection cannot be told, it does nothing: a machine that
// nobody reaches cannot be contained any further.
func (a *Agent) Isolate(ctx context.Context, cut Cut) (Isolated, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	iso := a.sys.Isolator()
	if iso == nil {
		return Isolated{}, fmt.Errorf("isolate: %s is not a machine's own root, there is no network to cut", a.path)
	}
	desk, err := a.desk()
	if err != nil {
		return Isolated{}, fmt.Errorf("isolate: %w", err)
	}
	if cut.Only {
		return a.isolateAgent(ctx, iso, desk)
	}
	return iso.Isolate(ctx, desk, cut.Keep)
}

// Reopen undoes Isolate. Undoing nothing is success.
func (a *Agent) Reopen(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	iso := a.sys.Isolator()
	if iso == nil {
		return nil
	}
	v := a.begin(ctx)
	defer v.close()
	if len(v.Links)+len(v.Spaces) > 0 {
		if len(v.Links) > 0 {
			v.connect(ctx)
			v.reconnect(ctx)
		}
		v.reopenSpaces(ctx, iso)
		v.problem(v.save())
	}
	v.problem(iso.Restore(ctx))
	return v.failed("open the network again")
}

// deskConnections is the SSH connection by which the caller came, as its nearest ancestor's
// environment tells it (sudo drops it from ours). None without an ancestor that is an SSH server.
func deskConnections() ([]Connection, error) {
	overSSH := false
	for pid := os.Getpid(); pid > 1; {
		if environ, err := readBounded(procPath(pid, "environ"), 4<<20); err == nil {
			for _, entry := range strings.Split(string(environ), "\x00") {
				if value, ok := strings.CutPrefix(entry, "SSH_CONNECTION="); ok {
					return openConnection(value)
				}
			}
		}
		name, parent, err := nameAndParent(pid)
		if err != nil {
			break
		}
		overSSH = overSSH || strings.HasPrefix(name, "sshd")
		pid = parent
	}
	if overSSH {
		return nil, errors.New("the SSH connection to the desk could not be told from SSH_CONNECTION, and would be cut")
	}
	return nil, nil
}

// openConnection parses SSH_CONNECTION and checks that this connection is open: an environment
// outlives its connection in tmux and screen.
func openConnection(value string) ([]Connection, error) {
	c, err := parseSSHConnection(value)
	if err != nil {
		return nil, err
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := readBounded(table, 64<<20)
		if err != nil {
			continue
		}
		for _, s := range parseSockets(string(data)) {
			if s.established && s.Connection == c {
				return []Connection{c}, nil
			}
		}
	}
	return nil, fmt.Errorf("the SSH connection from %s is not open on this machine: it would be cut", c.Remote)
}

// parseSSHConnection reads "client-address client-port server-address server-port", sshd's
// SSH_CONNECTION (https://man.openbsd.org/ssh.1#ENVIRONMENT).
func parseSSHConnection(value string) (Connection, error) {
	field := strings.Fields(value)
	if len(field) != 4 {
		return Connection{}, fmt.Errorf("SSH_CONNECTION has %d fields, not 4", len(field))
	}
	endpoint := func(addr, port string) (netip.AddrPort, error) {
		ip, err := netip.ParseAddr(addr)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("SSH_CONNECTION: %w", err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("SSH_CONNECTION: %w", err)
		}
		return netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(n)), nil
	}
	remote, err1 := endpoint(field[0], field[1])
	local, err2 := endpoint(field[2], field[3])
	return Connection{Local: local, Remote: remote}, errors.Join(err1, err2)
}

func procPath(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// nameAndParent reads /proc/PID/stat.
func nameAndParent(pid int) (name string, parent int, err error) {
	data, err := readBounded(procPath(pid, "stat"), 1<<16)
	if err != nil {
		return "", 0, err
	}
	s, err := parseStat(string(data))
	return s.name, s.ppid, err
}

// stat is what /proc/PID/stat says that matters here (proc(5)).
type stat struct {
	pid, ppid, session int
	name               string
	state              string
	kernel             bool // a thread of the kernel
	start              uint64
	threads            int
}

// parseStat reads one stat line. The name stands in parentheses and may hold any byte, parentheses too.
func parseStat(line string) (stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return stat{}, errors.New("stat line without a name")
	}
	field := strings.Fields(line[end+1:])
	if len(field) < 20 {
		return stat{}, errors.New("stat line is too short")
	}
	s := stat{name: line[open+1 : end], state: field[0]}
	var errs [6]error
	s.pid, errs[0] = strconv.Atoi(strings.TrimSpace(line[:open]))
	s.ppid, errs[1] = strconv.Atoi(field[1])
	s.session, errs[2] = strconv.Atoi(field[3])
	s.start, errs[3] = strconv.ParseUint(field[19], 10, 64)
	s.threads, errs[5] = strconv.Atoi(field[17])
	flags, err := strconv.ParseUint(field[6], 10, 32)
	const kernelThread = 0x00200000 // PF_KTHREAD of linux/sched.h
	s.kernel, errs[4] = flags&kernelThread != 0, err
	return s, errors.Join(errs[:]...)
}
