package containment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"clawback/forensics/agents/openclaw"
)

const (
	// The managers' own sockets, as systemctl uses them: they work without a message bus, and a user's
	// bus refuses root. No environment variable leads elsewhere.
	systemSocket = "/run/systemd/private"
	userSockets  = "/run/user/*/systemd/private"
	// dialWait bounds a connection, callWait one call: a user's manager is in the hands of the agent,
	// and may be built to hang.
	dialWait   = 500 * time.Millisecond
	callWait   = 5 * time.Second  // and for PID 1, which reads its units again at times
	reloadWait = 60 * time.Second // a manager with thousands of units takes its time
)

var unitNames = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|timer|path|target|mount|automount|device|scope|slice|swap)$`)

// systemdManager is systemd as PID 1, or the manager of one user.
type systemdManager struct {
	name    string
	conn    *systemd.Conn
	props   dbus.BusObject // the manager itself, for what go-systemd has no call for
	cancel  context.CancelFunc
	dropIns string // the runtime folder of unit files; it is root's for every manager
	notify  string // the socket on which services report
	within  string // part of the path of every cgroup of its units
}

var _ interface {
	Manager
	watcher
	blocker
	starter
} = (*systemdManager)(nil)

// systemdManagers connects to systemd and to the managers of the users that are logged in or linger.
func systemdManagers(ctx context.Context) (managers []Manager, problems []openclaw.Problem) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil, nil // another init: sd_booted(3)
	}
	connect := func(socket string, m *systemdManager) {
		err := m.dial(ctx, socket)
		switch {
		case err == nil:
			managers = append(managers, m)
		case !errors.Is(err, syscall.ECONNREFUSED): // refused: a socket that its user's session left behind
			problems = append(problems, openclaw.Problem{Path: socket, Reason: "the " + m.name + " manager cannot be asked: " + err.Error()})
		}
	}
	connect(systemSocket, &systemdManager{name: "system", dropIns: "/run/systemd/system", notify: "/run/systemd/notify", within: "/"})
	sockets, _ := filepath.Glob(userSockets)
	for _, socket := range sockets {
		runtime := filepath.Dir(filepath.Dir(socket))
		uid, err := strconv.ParseUint(filepath.Base(runtime), 10, 32)
		if info, statErr := os.Lstat(socket); err != nil || statErr != nil || info.Mode().Type() != fs.ModeSocket {
			continue
		}
		connect(socket, &systemdManager{name: fmt.Sprint("user ", uid), dropIns: "/run/systemd/user", notify: filepath.Join(runtime, "systemd/notify"), within: fmt.Sprintf("/user@%d.service/", uid)})
	}
	return managers, problems
}

// dial connects to the manager at socket. The connection lives until Close.
func (m *systemdManager) dial(ctx context.Context, socket string) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	wait := dialWait
	if socket == systemSocket {
		wait = callWait
	}
	limit := time.AfterFunc(wait, cancel)
	var err error
	m.conn, err = systemd.NewConnection(func() (*dbus.Conn, error) {
		conn, err := dbus.Dial("unix:path="+socket, dbus.WithContext(life))
		if err != nil {
			return nil, err
		}
		if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
			conn.Close()
			return nil, err
		}
		if m.props == nil {
			m.props = conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
		}
		return conn, nil
	})
	if !limit.Stop() && err == nil {
		m.conn.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return err
	}
	m.cancel = cancel
	return nil
}

func (m *systemdManager) Close() {
	m.conn.Close()
	m.cancel()
}

func (m *systemdManager) Name() string { return m.name }

// Units implements Manager.
func (m *systemdManager) Units(ctx context.Context, mains []Process, _ []Home) ([]Unit, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	why := map[string]string{}
	patterns := []string{"openclaw*.service", "moltbot*.service", "clawdbot*.service", "moldbot*.service"}
	loaded, err := m.conn.ListUnitsByPatternsContext(ctx, nil, patterns)
	if err != nil {
		return nil, err
	}
	for _, u := range loaded {
		why[u.Name] = "its name"
	}
	files, err := m.conn.ListUnitFilesByPatternsContext(ctx, nil, patterns)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		why[path.Base(f.Path)] = "its name"
	}
	for name := range why {
		if !agentUnit.MatchString(name) || strings.Contains(name, "@.") {
			delete(why, name)
		}
	}
	candidates := map[string]Process{}
	for _, p := range mains {
		if name := path.Base(p.Cgroup); strings.Contains(p.Cgroup+"/", m.within) && strings.HasSuffix(name, ".service") && why[name] == "" {
			candidates[name+"\x00"+strconv.Itoa(p.PID)] = p
		}
	}
	for _, p := range candidates {
		name := path.Base(p.Cgroup)
		if props, err := m.all(ctx, name); err == nil && p.PID == int(props.number("MainPID")) {
			why[name] = fmt.Sprintf("its main process %d: %s", p.PID, p.Why)
		}
	}
	var units []Unit
	for name, reason := range why {
		u, err := m.unit(ctx, name)
		if err != nil {
			return units, err
		}
		u.Why = reason
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
	return units, nil
}

// unit reads a unit as it stands. What the manager says is checked where it would lead us astray: a
// user's manager may be an impostor that names the cgroup of sshd.
func (m *systemdManager) unit(ctx context.Context, name string) (Unit, error) {
	p, err := m.all(ctx, name)
	if err != nil {
		return Unit{}, err
	}
	u := Unit{
		Name: name, Manager: m.name,
		Active: p.text("ActiveState"), Fragment: p.text("FragmentPath"), Cgroup: p.text("ControlGroup"),
		Restart: p.text("Restart"), RestartDelay: p.micros("RestartUSec"), Watchdog: p.micros("WatchdogUSec"),
		Triggers:  slices.DeleteFunc(p.texts("TriggeredBy"), badUnitName),
		Followers: slices.DeleteFunc(append(p.texts("OnFailure"), p.texts("OnSuccess")...), badUnitName),
	}
	u.Starters = p.dependents(name)
	if u.Cgroup != "" && (path.Clean(u.Cgroup) != u.Cgroup || path.Base(u.Cgroup) != name || !strings.Contains(u.Cgroup, m.within)) {
		return u, fmt.Errorf("%s claims the cgroup %q, which is not its own", name, u.Cgroup)
	}
	return u, nil
}

// dependents are the units that start this one with themselves, or again and again:
// https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Mapping%20of%20unit%20properties%20to%20their%20inverses
func (p properties) dependents(name string) (out []Reviver) {
	for _, d := range []struct{ property, detail string }{
		{"UpheldBy", "starts it again as long as it is active itself"}, {"RequiredBy", "starts it with itself"},
		{"BoundBy", "starts it with itself"}, {"WantedBy", "starts it with itself"},
	} {
		for _, by := range slices.DeleteFunc(p.texts(d.property), badUnitName) {
			if !slices.ContainsFunc(out, func(r Reviver) bool { return r.Name == by }) {
				out = append(out, Reviver{Kind: "dependency", Name: by, Detail: d.property + " of " + name + ": " + d.detail})
			}
		}
	}
	return out
}

func badUnitName(name string) bool { return !unitNames.MatchString(name) }

// properties of a unit, as the manager told them: every accessor gives the zero value for what is missing.
type properties map[string]any

func (m *systemdManager) all(ctx context.Context, name string) (properties, error) {
	if badUnitName(name) {
		return nil, fmt.Errorf("%q is not a unit's name", name)
	}
	return m.conn.GetAllPropertiesContext(ctx, name)
}

func (p properties) text(name string) string     { s, _ := p[name].(string); return s }
func (p properties) texts(name string) []string  { s, _ := p[name].([]string); return slices.Clone(s) }
func (p properties) flag(name string) bool       { b, _ := p[name].(bool); return b }
func (p properties) number(name string) uint32   { n, _ := p[name].(uint32); return n }
func (p properties) structs(name string) [][]any { s, _ := p[name].([][]any); return s }

func (p properties) micros(name string) time.Duration {
	n, _ := p[name].(uint64)
	if n > math.MaxInt64/1000 {
		return 0 // infinity
	}
	return time.Duration(n) * time.Microsecond
}

const managerInterface = "org.freedesktop.systemd1.Manager"

// Watchdogs implements watcher.
func (m *systemdManager) Watchdogs(ctx context.Context) (on bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	var v dbus.Variant
	if err := m.props.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, managerInterface, "ServiceWatchdogs").Store(&v); err != nil {
		return false, err
	}
	on, ok := v.Value().(bool)
	if !ok {
		return false, errors.New("ServiceWatchdogs is not a boolean")
	}
	return on, nil
}

// SetWatchdogs implements watcher.
func (m *systemdManager) SetWatchdogs(ctx context.Context, on bool) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	return m.props.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Set", 0, managerInterface, "ServiceWatchdogs", dbus.MakeVariant(on)).Err
}

// SetWatchdog implements watcher. It reports in the name of the service's main process, which root can:
// WATCHDOG_USEC of sd_notify(3) is the one change that a running service takes and a reload keeps.
func (m *systemdManager) SetWatchdog(ctx context.Context, name string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	p, err := m.all(ctx, name)
	if err != nil {
		return err
	}
	pid := p.number("MainPID")
	if pid == 0 {
		return nil // nothing runs that has a watchdog
	}
	message := fmt.Sprintf("WATCHDOG_USEC=%d\n", limit.Microseconds())
	rights := unix.UnixCredentials(&unix.Ucred{Pid: int32(pid), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())})
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	if err := unix.Sendmsg(socket, []byte(message), rights, &unix.SockaddrUnix{Name: m.notify}, 0); err != nil {
		return err
	}
	for tick := time.NewTicker(time.Millisecond); ; {
		if p, err := m.all(ctx, name); err != nil || p.micros("WatchdogUSec") == limit {
			tick.Stop()
			return err
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return fmt.Errorf("the manager did not take it: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Kill implements Manager.
func (m *systemdManager) Kill(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	err := m.conn.KillUnitWithTarget(ctx, name, systemd.All, int32(syscall.SIGKILL))
	var answer dbus.Error
	if errors.As(err, &answer) && (answer.Name == "org.freedesktop.systemd1.NoSuchProcess" || answer.Name == "org.freedesktop.systemd1.NoSuchUnit") {
		return nil // died by itself meanwhile
	}
	return err
}
