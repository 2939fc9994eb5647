package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"clawback/forensics/journal"
	"clawback/playbooks/drill/tree"
	"clawback/revoke/credential"
)

// Addresses on the wire between the desk and the machine, in network namespaces of the test's own.
const (
	deskAddr    = "10.231.8.1"
	machineAddr = "10.231.8.2"
)

// remote is a desk and a machine that it reaches over ssh alone (see testdata/machine.sh).
type remote struct {
	*desk
	place      string // of the machine's and ssh's files
	deskPID    int
	machinePID int    // of PID 1
	acts       string // what the agent did
	held       []credential.Credential
	outside    string // an address at the desk, on which something listens
	script     string
	before     []string // its files, before anything was done
}

// sshd, the agent with all that brings it back, and what they are started by.
var machineFiles = map[string]string{
	"systemd/system/test.target": `[Unit]
Requires=dbus.socket
Wants=dbus.service sshd.service
After=dbus.service
AllowIsolate=yes
`,
	"systemd/system/sshd.service": `[Service]
RuntimeDirectory=sshd
ExecStart=/usr/sbin/sshd -D -e -f /etc/sshd_config
StandardError=append:@SHARED@/sshd.log
`,
	"systemd/system/openclaw-gateway.service": `[Service]
User=openclaw
WorkingDirectory=/` + tree.StateDir + `
ExecStart=/bin/bash @SHARED@/agent.sh @SHARED@/acts
Restart=always
RestartSec=1
ExecStop=/bin/bash @SHARED@/agent.sh @SHARED@/acts "last word of ExecStop"
ExecStopPost=/bin/bash @SHARED@/agent.sh @SHARED@/acts "last word of ExecStopPost"
`,
	"systemd/system/openclaw-gateway.timer": `[Timer]
OnActiveSec=500ms
OnUnitInactiveSec=500ms
AccuracySec=1ms
`,
	"sshd_config": `ListenAddress ` + machineAddr + `
HostKey /etc/host
AuthorizedKeysFile /etc/authorized
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
PermitRootLogin prohibit-password
`,
}

const sshConfig = `Host web-1
HostName ` + machineAddr + `
IdentityFile @PLACE@/user
IdentitiesOnly yes
UserKnownHostsFile @PLACE@/known_hosts
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
`

// buildPrograms builds the desk's program, and the host's beside it.
func buildPrograms(t *testing.T) string {
	t.Helper()
	needsRoot(t)
	for _, name := range []string{"go", "unshare", "nsenter", "ip", "nft", "ssh", "sshd", "ssh-keygen", "systemctl", "dbus-daemon", "sha256sum"} {
		needsProgram(t, name)
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+"/", "clawback/cmd/clawback", "clawback/cmd/clawback-host")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// startRemote boots a machine whose agent holds one live credential of each kind, and acts.
func startRemote(t *testing.T, programs string, kinds ...string) *remote {
	t.Helper()
	m := &remote{place: t.TempDir()}
	script, err := filepath.Abs("testdata/machine.sh")
	m.must(t, err)
	m.script, m.acts = script, filepath.Join(m.place, "shared", "acts")
	m.prepare(t)
	m.boot(t)
	inNetwork(t, m.deskPID, func() {
		m.desk = newDesk(t) // with its providers' ports in the desk's namespace
		l, err := net.Listen("tcp", deskAddr+":0")
		m.must(t, err)
		t.Cleanup(func() { _ = l.Close() })
		m.outside = l.Addr().String()
	})
	m.held = m.hold(kinds...)
	home := filepath.Join(m.root, "home") // alone: the tree has an /etc as well
	m.bin, m.root = filepath.Join(programs, "clawback"), fmt.Sprintf("/proc/%d/root", m.machinePID)
	m.must(t, os.CopyFS(filepath.Join(m.root, "home"), os.DirFS(home)))
	m.authorise()
	config, err := os.OpenFile(m.config(), os.O_APPEND|os.O_WRONLY, 0)
	m.must(t, err)
	_, err = fmt.Fprintf(config, "ssh_config: %s\n", filepath.Join(m.place, "ssh_config"))
	m.must(t, err)
	m.must(t, config.Close())
	m.on("chown", "-R", "openclaw:openclaw", "/"+tree.Home)
	m.on("systemctl", "start", "openclaw-gateway.service", "openclaw-gateway.timer")
	shared := filepath.Join(m.place, "shared")
	m.on("setsid", "--fork", "setpriv", "--reuid=openclaw", "--regid=openclaw", "--clear-groups", // one that no service manager knows
		"bash", "-c", "cd /"+tree.Workspace+" && exec bash "+shared+"/agent.sh "+shared+"/acts >/dev/null 2>&1")
	eventually(t, 20*time.Second, "the agent acts", func() bool { return len(m.actsSince(t, time.Time{})) > 20 })
	m.before = strings.Split(m.files(), "\n")
	return m
}

func (m *remote) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepare writes the keys and configurations of both sides.
func (m *remote) prepare(t *testing.T) {
	t.Helper()
	etc := filepath.Join(m.place, "etc")
	fill := strings.NewReplacer("@SHARED@", filepath.Join(m.place, "shared"), "@PLACE@", m.place, "@DIR@", m.place)
	put := func(name, text string, mode fs.FileMode) {
		m.must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		m.must(t, os.WriteFile(name, []byte(fill.Replace(text)), mode))
	}
	for name, text := range machineFiles {
		put(filepath.Join(etc, name), text, 0o644)
	}
	m.must(t, os.Symlink("test.target", filepath.Join(etc, "systemd/system/default.target")))
	for _, name := range []string{"etc/host", "user"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(m.place, name)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		m.must(t, err)
		return string(text)
	}
	put(filepath.Join(etc, "authorized"), read(filepath.Join(m.place, "user.pub")), 0o600)
	put(filepath.Join(m.place, "known_hosts"), machineAddr+" "+read(filepath.Join(etc, "host.pub")), 0o600)
	put(filepath.Join(m.place, "ssh_config"), sshConfig, 0o600)
	put(filepath.Join(m.place, "shared/agent.sh"), read("testdata/agent.sh"), 0o755)
	put(filepath.Join(m.place, "ssh"), read("testdata/ssh.sh"), 0o755)
	program, err := exec.LookPath("ssh")
	m.must(t, err)
	put(filepath.Join(m.place, "ssh-real"), read(program), 0o755)
}

// boot starts the machine, which ends with this process, however that ends.
func (m *remote) boot(t *testing.T) {
	t.Helper()
	run := exec.Command(m.script, "run")
	run.Env = append(os.Environ(), "DIR="+m.place)
	run.Stderr = new(lockedBuffer)
	stdin, err := run.StdinPipe()
	m.must(t, err)
	stdout, err := run.StdoutPipe()
	m.must(t, err)
	m.must(t, run.Start())
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"log", "shared/sshd.log"} {
				text, _ := os.ReadFile(filepath.Join(m.place, name))
				t.Logf("%s: %s", name, text)
			}
		}
		_ = stdin.Close()
		if err := run.Wait(); err != nil {
			t.Errorf("end the machine: %v: %s", err, run.Stderr.(*lockedBuffer).bytes())
		}
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	if _, err := fmt.Sscanf(line, "ready %d %d", &m.deskPID, &m.machinePID); err != nil {
		t.Fatalf("the machine did not come up: %s", run.Stderr.(*lockedBuffer).bytes())
	}
	// What isolates the machine must never reach this one.
	ours, _ := os.Readlink("/proc/self/ns/net")
	for _, pid := range []int{m.deskPID, m.machinePID} {
		if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || theirs == ours {
			t.Fatalf("process %d is in network namespace %s, and so are we in %s (%v)", pid, theirs, ours, err)
		}
	}
}

// inNetwork runs f on a thread in the network namespace of a process. The thread ends with it.
func inNetwork(t *testing.T, pid int, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)      // also when f ends the goroutine
		runtime.LockOSThread() // never unlocked: the thread is not given back
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			_ = ns.Close()
		}
		if err != nil {
			t.Errorf("enter the network of process %d: %v", pid, err)
			return
		}
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

// try runs a command on the machine, or at the desk, that may fail.
func (m *remote) try(where string, args ...string) (string, error) {
	cmd := exec.Command(m.script, append([]string{where}, args...)...)
	cmd.Env = append(os.Environ(), "DIR="+m.place)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// on runs a command on the machine and returns what it printed.
func (m *remote) on(args ...string) string {
	m.t.Helper()
	out, err := m.try("on", args...)
	if err != nil {
		m.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// killRemote is the kill switch at the desk, against the machine.
func (m *remote) killRemote(more ...string) *exec.Cmd {
	return m.atDesk(slices.Concat([]string{"kill", "--yes", "--json", "--host", "root@web-1", "--config", m.config()}, m.city.args, more)...)
}

// atDesk is clawback at the desk.
func (m *remote) atDesk(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.deskPID), "-m", "-n", "--wd=" + m.dir, "--", m.bin}, args...)...)
	cmd.Env, cmd.Dir = m.env, m.dir
	return cmd
}

// wire turns the wire between the desk and the machine "up" or "down".
func (m *remote) wire(state string) {
	m.t.Helper()
	if out, err := m.try("desk", "ip", "link", "set", "wire", state); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
}

// actsSince returns what the agent did after that time, and all last words.
func (m *remote) actsSince(t *testing.T, since time.Time) (acts []string) {
	t.Helper()
	text, err := os.ReadFile(m.acts)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		at, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		us, _ := strconv.ParseInt(at, 10, 64)
		if time.UnixMicro(us).After(since) || what != "tick" {
			acts = append(acts, what)
		}
	}
	return acts
}

// entries reads a run's record as it came to stdout.
func (r *ended) entries() (all []journal.Entry) {
	for line := range bytes.Lines(r.stdout) {
		if e, err := journal.Parse(bytes.TrimSuffix(line, []byte("\n"))); err == nil {
			all = append(all, e)
		}
	}
	return all
}

// at returns the time of the first entry of a type.
func (r *ended) at(t *testing.T, typ string) time.Time {
	t.Helper()
	for _, e := range r.entries() {
		if e.Type == typ {
			return e.Time
		}
	}
	t.Fatalf("the record has no %s\n%s", typ, r.stderr)
	return time.Time{}
}

// reaches reports whether the machine can open a connection to the desk.
func (m *remote) reaches() bool {
	host, port, _ := net.SplitHostPort(m.outside)
	_, err := m.try("on", "timeout", "2", "bash", "-c", "</dev/tcp/"+host+"/"+port)
	return err == nil
}

// isolated checks that the machine is cut off, and that nothing else is.
func (m *remote) isolated(t *testing.T) {
	t.Helper()
	if m.reaches() {
		t.Error("the isolated machine still reaches the desk")
	}
	if out := m.on("nft", "list", "tables"); !strings.Contains(out, "inet clawback") {
		t.Errorf("the machine's tables: %s", out)
	}
	here, err := exec.Command("nft", "list", "tables").CombinedOutput()
	if err != nil || bytes.Contains(here, []byte("clawback")) {
		t.Errorf("the tables of the network in which this test runs: %v: %s", err, here)
	}
	if out, err := m.try("desk", "nft", "list", "tables"); err != nil || strings.Contains(out, "clawback") {
		t.Errorf("the desk's tables: %v: %s", err, out)
	}
}

// letsIn checks that the desk can come back to the isolated machine.
func (m *remote) letsIn(t *testing.T) {
	t.Helper()
	if _, err := m.try("desk", "timeout", "2", "bash", "-c", "</dev/tcp/"+machineAddr+"/22"); err != nil {
		t.Error("the desk is locked out")
	}
}

// keepsDown is what keeps the agent down, and what undoes that.
var keepsDown = regexp.MustCompile(`^(/run/clawback(/changes\.json)?` +
	`|/run/systemd/system/openclaw-gateway\.(service|timer)\.d(/zzz-clawback\.conf)?` +
	`|/home/openclaw/\.openclaw/\.clawback-held(/.*)?)$`)

// checkLeft checks that nothing else is on the machine that was not there before.
func (m *remote) checkLeft(t *testing.T) {
	t.Helper()
	var found []string
	for name := range strings.Lines(m.files()) {
		name = strings.TrimSpace(name)
		switch {
		case slices.Contains(m.before, name), name == "/run/systemd/show-status":
		case keepsDown.MatchString(name):
			found = append(found, name)
		default:
			t.Errorf("left on the machine: %s", name)
		}
	}
	if len(found) < 6 {
		t.Errorf("what keeps the agent down is not there: %q", found)
	}
}

// files lists the machine's files, but for those of the kernel and of the machine that it runs on.
func (m *remote) files() string {
	m.t.Helper()
	return m.on("find", "/", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/usr", ")", "-prune", "-o", "-print")
}
