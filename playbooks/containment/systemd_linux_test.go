package containment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// realSystemd is a systemd of the test's own, in namespaces of its own.
type realSystemd struct {
	t            testing.TB
	dir, program string
	end          func() // stops it, once
}

func startSystemd(t testing.TB, units map[string]string) *realSystemd {
	t.Helper()
	needRoot(t, "unshare", "nsenter", "dbus-daemon", "systemctl")
	s := &realSystemd{t: t, dir: t.TempDir()}
	if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil { // for units of other users
		t.Fatal(err)
	}
	s.program = testBinary(t, s.dir, "containment.test")
	for name, text := range units {
		path := filepath.Join(s.dir, "units", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		text = strings.NewReplacer("$SD", s.dir, "$PROGRAM", s.program).Replace(text)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.end = sync.OnceFunc(func() {
		if out, err := s.command("stop").CombinedOutput(); err != nil {
			t.Errorf("stop systemd: %v: %s", err, out)
		}
	})
	t.Cleanup(s.end)
	if out, err := s.command("start").CombinedOutput(); err != nil {
		t.Fatalf("start systemd: %v: %s", err, out)
	}
	return s
}

func (s *realSystemd) command(args ...string) *exec.Cmd {
	cmd := exec.Command("testdata/systemd.sh", args...)
	cmd.Env = append(os.Environ(), "SD="+s.dir)
	return cmd
}

// run runs a command inside and returns what it printed.
func (s *realSystemd) run(args ...string) string {
	s.t.Helper()
	out, err := s.command(append([]string{"exec"}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// try runs a command inside that may fail.
func (s *realSystemd) try(args ...string) error {
	out, err := s.command(append([]string{"exec"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// verb runs a verb of this package inside, in a process of its own as on a real host.
func (s *realSystemd) verb(name string, result any) {
	s.t.Helper()
	var stderr bytes.Buffer
	cmd := s.command("exec", "env", "CLAWBACK_TEST_ROLE="+name, s.program)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, &stderr)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(out, result); err != nil {
		s.t.Fatalf("%s printed %q: %v", name, out, err)
	}
	if _, ok := s.t.(*testing.T); ok {
		s.t.Logf("%s: %.1500s", name, out)
	}
}

func (s *realSystemd) acts() string  { return filepath.Join(s.dir, "acts") }
func (s *realSystemd) beats() string { return filepath.Join(s.dir, "beats") }

// quietFor fails when the agent acts while the metronome beats for d.
func (s *realSystemd) quietFor(d time.Duration) {
	s.t.Helper()
	before, start := lines(s.acts()), lines(s.beats())
	eventually(s.t, "the metronome beats", func() bool { return lines(s.beats()) >= start+int(d/(50*time.Millisecond)) })
	if after := lines(s.acts()); after != before {
		data, _ := os.ReadFile(s.acts())
		s.t.Errorf("the agent acted %d times: … %s", after-before, data[max(0, len(data)-300):])
	}
}

const (
	watchdog     = time.Second
	restartDelay = time.Second
)

var hostileUnits = map[string]string{
	"openclaw-gateway.service": `[Unit]
OnFailure=rescue.service
[Service]
Environment=CLAWBACK_TEST_ROLE=agent CLAWBACK_TEST_ACTS=$SD/acts
ExecStart=$PROGRAM
Restart=always
RestartSec=1
WatchdogSec=1
NotifyAccess=all
ExecStop=/bin/sh -c 'echo ExecStop >>$SD/acts'
ExecStopPost=/bin/sh -c 'echo ExecStopPost >>$SD/acts'
[Install]
WantedBy=test.target
`,
	// What an administrator added, and what sorts behind most names.
	"etc/openclaw-gateway.service.d/zz-local.conf": `[Service]
Restart=always
ExecStopPost=/bin/sh -c 'echo override >>$SD/acts'
`,
	"rescue.service": `[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo rescue >>$SD/acts'
`,
	"openclaw-gateway.socket": `[Socket]
ListenStream=/run/gateway.sock
`,
	"openclaw-gateway.timer": `[Timer]
OnActiveSec=200ms
OnUnitInactiveSec=200ms
AccuracySec=1ms
`,
	"openclaw-gateway.path": `[Path]
PathExists=$SD/wake
`,
	"upholder.service": `[Unit]
Upholds=openclaw-gateway.service
[Service]
ExecStart=/bin/sleep 1000
`,
	"metronome.service": `[Service]
Environment=CLAWBACK_TEST_ROLE=metronome CLAWBACK_TEST_ACTS=$SD/beats
ExecStart=$PROGRAM
`,
	// Nothing of the agent's, though its command line names it.
	"bystander.service": `[Service]
ExecStart=/bin/sh -c 'exec sleep 1000 # openclaw'
`,
}

func TestSystemd(t *testing.T) {
	s := startSystemd(t, hostileUnits)
	s.run("systemctl", "start", "metronome.service", "bystander.service", "openclaw-gateway.socket", "openclaw-gateway.timer", "openclaw-gateway.path", "openclaw-gateway.service", "upholder.service")
	eventually(t, "the agent acts", func() bool { return lines(s.acts()) > 20 && lines(s.beats()) > 0 })
	bystander := s.run("systemctl", "show", "-P", "MainPID", "bystander.service")

	var d Description
	s.verb("describe", &d)
	if len(d.Units) != 1 || len(d.Units[0].Triggers) != 3 || d.Units[0].Watchdog != watchdog || d.Units[0].RestartDelay != restartDelay {
		t.Errorf("units = %+v", d.Units)
	}
	if kinds := reviverKinds(d.Revivers); kinds != "dependency follower path restart socket timer watchdog" {
		t.Errorf("revivers = %s", kinds)
	}

	var f Frozen
	s.verb("freeze", &f)
	if !f.Complete() || len(f.Processes) < 2 {
		t.Fatalf("freeze = %+v", f)
	}
	if got := s.run("systemctl", "service-watchdogs"); got != "no" {
		t.Errorf("service watchdogs: %s", got)
	}
	s.quietFor(2 * watchdog)
	s.run("systemctl", "daemon-reload") // as any package's installation does: watchdogs are on again
	s.quietFor(2 * watchdog)
	if pid := s.run("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service"); !slices.ContainsFunc(f.Processes, func(p Process) bool { return strconv.Itoa(p.PID) == pid }) {
		t.Errorf("the frozen agent was replaced or killed: main process is %s", pid)
	}
	if err := s.try("systemctl", "start", "openclaw-gateway.socket"); err == nil {
		t.Error("the socket could be started beside the frozen agent")
	}

	var st Stopped
	s.verb("stop", &st)
	if len(st.Problems) > 0 || len(st.Killed) < 2 || st.Wait != 2*restartDelay {
		t.Fatalf("stop = %+v", st)
	}
	s.mustBeDown()
	if err := os.WriteFile(filepath.Join(s.dir, "wake"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("systemctl", "daemon-reexec") // as an update of systemd does
	if err := s.try("systemctl", "start", "openclaw-gateway.path"); err == nil {
		t.Error("the path could be started")
	}
	s.run("systemctl", "restart", "upholder.service")
	s.triggerLate()
	s.quietFor(st.Wait)
	s.mustBeDown()
	if got := s.run("systemctl", "show", "-P", "MainPID", "bystander.service"); got != bystander {
		t.Errorf("the bystander was hurt: pid %s, was %s", got, bystander)
	}
	data, _ := os.ReadFile(s.acts())
	for _, last := range []string{"signal", "Exec", "override", "rescue"} {
		if bytes.Contains(data, []byte(last)) {
			t.Errorf("the agent had a last word: %s", last)
		}
	}

	// And all of it can be undone, which shows that it was the block that held.
	s.verb("restore", nil)
	if got := s.run("systemctl", "service-watchdogs"); got != "yes" {
		t.Errorf("service watchdogs after restore: %s", got)
	}
	before := lines(s.acts())
	s.run("systemctl", "start", "openclaw-gateway.service")
	eventually(t, "the agent acts again", func() bool { return lines(s.acts()) > before+5 })
	if err := s.try("test", "!", "-e", "/run/clawback"); err != nil {
		t.Errorf("restore left something behind: %v", err)
	}
}

// The proof that the agent stays down waits for the next turn of the timer that was to start it.
func TestSystemdWaitsForTheTimer(t *testing.T) {
	for name, c := range map[string]struct {
		schedule string
		within   bool
	}{"soon": {"OnActiveSec=30s", true}, "calendar": {"OnCalendar=*-*-* *:*:00", true}, "late": {"OnActiveSec=1h", false}} {
		t.Run(name, func(t *testing.T) {
			s := startSystemd(t, map[string]string{
				"openclaw-gateway.service": hostileUnits["openclaw-gateway.service"],
				"openclaw-gateway.timer":   "[Timer]\n" + c.schedule + "\nAccuracySec=1s\n",
			})
			s.run("systemctl", "start", "openclaw-gateway.timer", "openclaw-gateway.service")
			var f Frozen
			s.verb("freeze", &f)
			due := slices.ContainsFunc(f.Paused, func(r Reviver) bool {
				return r.Kind == "timer" && strings.Contains(r.Detail, "it was due at 20")
			})
			var st Stopped
			s.verb("stop", &st)
			if waits := st.Wait > 2*restartDelay && st.Wait <= time.Minute+2*time.Second; !due || waits != c.within {
				t.Errorf("due %v, wait %v: %+v", due, st.Wait, f.Paused)
			}
		})
	}
}

// What sorts behind our drop-in undoes it: the unit is not killed then, since it would start anew.
func TestSystemdDropInBehindOurs(t *testing.T) {
	units := maps.Clone(hostileUnits)
	units["etc/openclaw-gateway.service.d/zzzz.conf"] = "[Unit]\nAssertPathExists=\nRefuseManualStart=no\n[Service]\nRestart=always\nExecStopPost=/bin/sh -c 'echo behind >>$SD/acts'\n"
	s := startSystemd(t, units)
	s.run("systemctl", "start", "metronome.service", "openclaw-gateway.service")
	eventually(t, "the agent acts", func() bool { return lines(s.acts()) > 20 && lines(s.beats()) > 0 })
	var st Stopped
	s.verb("stop", &st)
	if !strings.Contains(strings.Join(st.Problems, "\n"), "openclaw-gateway.service is left frozen") {
		t.Errorf("stop = %+v", st)
	}
	s.quietFor(2 * restartDelay)
	var c Checked
	s.verb("check", &c)
	if c.Down {
		t.Errorf("check = %+v", c)
	}
	s.run("systemctl", "daemon-reexec")
	s.quietFor(2 * restartDelay)
	s.verb("check", &c)
	if c.Down || !slices.ContainsFunc(c.Processes, Process.Still) || !strings.Contains(strings.Join(c.Problems, "\n"), "openclaw-gateway.service could still start") {
		t.Errorf("check after PID 1 was replaced = %+v", c)
	}
}

func (s *realSystemd) mustBeDown() {
	s.t.Helper()
	var c Checked
	s.verb("check", &c)
	if !c.Down || !strings.Contains(strings.Join(c.Proof, "\n"), "start refused") {
		s.t.Errorf("check = %+v", c)
	}
}

// triggerLate has a timer and a socket that nobody knew of try to start the agent, and waits until
// each has tried.
func (s *realSystemd) triggerLate() {
	s.t.Helper()
	for name, text := range map[string]string{
		"late.timer":  "[Timer]\nOnActiveSec=1ms\nAccuracySec=1ms\nUnit=openclaw-gateway.service\n",
		"late.path":   "[Path]\nPathExists=/\nUnit=openclaw-gateway.service\n",
		"late.socket": "[Socket]\nListenStream=/run/late.sock\nService=openclaw-gateway.service\n",
	} {
		s.run("sh", "-c", "cat >/run/systemd/system/"+name+" <<'E'\n"+text+"E")
	}
	s.run("systemctl", "daemon-reload")
	s.run("systemctl", "start", "late.timer", "late.path", "late.socket")
	s.run("env", "CLAWBACK_TEST_ROLE=connect", s.program, "/run/late.sock")
	eventually(s.t, "the late timer fires", func() bool {
		return s.run("systemctl", "show", "-P", "LastTriggerUSecMonotonic", "late.timer") != "0"
	})
	eventually(s.t, "the late socket tries", func() bool {
		return s.run("systemctl", "show", "-P", "SubState", "late.socket") != "listening"
	})
	if got := s.run("systemctl", "show", "-P", "AssertResult", "openclaw-gateway.service"); got != "no" {
		s.t.Errorf("nothing tried to start the agent: AssertResult=%s", got)
	}
}

func reviverKinds(revivers []Reviver) string {
	var kinds []string
	for _, r := range revivers {
		kinds = append(kinds, r.Kind)
	}
	return strings.Join(unique(kinds, nil), " ")
}

// What a freeze changed is given back by a thaw, and the same processes go on.
func TestSystemdThaw(t *testing.T) {
	s := startSystemd(t, hostileUnits)
	s.run("systemctl", "enable", "openclaw-gateway.service")
	s.run("systemctl", "start", "metronome.service", "openclaw-gateway.timer", "openclaw-gateway.service")
	eventually(t, "the agent acts", func() bool { return lines(s.acts()) > 20 })
	pid := s.run("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service")
	var f Frozen
	s.verb("freeze", &f)
	if !f.Complete() {
		t.Fatalf("freeze = %+v", f)
	}
	var again Frozen
	s.verb("freeze", &again)
	if !again.Complete() {
		t.Errorf("freeze of what is frozen = %+v", again)
	}
	s.quietFor(watchdog)
	s.verb("thaw", nil)
	before := lines(s.acts())
	eventually(t, "the agent goes on", func() bool { return lines(s.acts()) > before+20 })
	for _, want := range [][2]string{
		{pid, s.run("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service")},
		{"yes", s.run("systemctl", "service-watchdogs")},
		{"enabled", s.run("systemctl", "is-enabled", "openclaw-gateway.service")},
		{"active", s.run("systemctl", "is-active", "openclaw-gateway.timer")},
		{"always", s.run("systemctl", "show", "-P", "Restart", "openclaw-gateway.service")},
	} {
		if want[0] != want[1] {
			t.Errorf("after thaw: %s, was %s", want[1], want[0])
		}
	}
}

// startUserUnit starts an agent where it usually is: in a unit of its account's own manager, with files
// in its home. Its account is "nobody" here.
func startUserUnit(t *testing.T) (s *realSystemd, user func(args ...string) string, units string) {
	t.Helper()
	needRoot(t)
	if _, err := os.Stat("/usr/lib/systemd/user/dbus.socket"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs the package dbus-user-session, which CI must have")
		}
		t.Skip("needs the package dbus-user-session")
	}
	s = startSystemd(t, map[string]string{
		"metronome.service": hostileUnits["metronome.service"],
		"etc/user@65534.service": `[Service]
User=65534
Environment=XDG_RUNTIME_DIR=/run/user/65534 HOME=$SD/home
ExecStartPre=+/bin/mkdir -p /run/user/65534
ExecStartPre=+/bin/chown 65534 /run/user/65534
Type=notify
ExecStart=/lib/systemd/systemd --user
KillMode=mixed
Delegate=yes
`})
	units = filepath.Join(s.dir, "home/.config/systemd/user")
	unit := strings.NewReplacer("$SD", s.dir, "$PROGRAM", s.program).Replace(
		strings.ReplaceAll(hostileUnits["openclaw-gateway.service"], "WantedBy=test.target", "WantedBy=default.target"))
	for _, err := range []error{
		os.MkdirAll(units, 0o755),
		os.WriteFile(filepath.Join(units, "openclaw-gateway.service"), []byte(unit), 0o644),
		os.WriteFile(s.acts(), nil, 0o666), os.Chmod(s.acts(), 0o666),
		exec.Command("chown", "-R", "65534", filepath.Join(s.dir, "home")).Run(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.run("systemctl", "start", "metronome.service", "user@65534.service")
	user = func(args ...string) string {
		t.Helper()
		return s.run(append([]string{"env", "XDG_RUNTIME_DIR=/run/user/65534", "HOME=" + s.dir + "/home",
			"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "systemctl", "--user"}, args...)...)
	}
	user("start", "dbus.socket")
	user("enable", "openclaw-gateway.service")
	user("start", "openclaw-gateway.service")
	eventually(t, "the agent acts", func() bool { return lines(s.acts()) > 20 && lines(s.beats()) > 0 })
	return s, user, units
}

func TestSystemdUserUnit(t *testing.T) {
	s, user, units := startUserUnit(t)
	var f Frozen
	s.verb("freeze", &f)
	if !f.Complete() || len(f.Processes) < 2 || !strings.Contains(strings.Join(f.How, " "), "cgroup freezer of openclaw-gateway.service") {
		t.Fatalf("freeze = %+v", f)
	}
	user("daemon-reload")
	s.quietFor(3 * watchdog)
	var st Stopped
	s.verb("stop", &st)
	if len(st.Problems) > 0 || len(st.Killed) < 2 {
		t.Fatalf("stop = %+v", st)
	}
	s.mustBeDown()
	s.quietFor(st.Wait)
	s.mustBeDown()
	data, _ := os.ReadFile(s.acts())
	if bytes.Contains(data, []byte("signal")) || bytes.Contains(data, []byte("Exec")) {
		t.Errorf("the agent had a last word: %s", data)
	}
	if links, _ := filepath.Glob(units + "/*.wants/*"); len(links) > 0 {
		t.Errorf("it comes back with the next boot: %s", links)
	}
	s.verb("restore", nil)
	if got := user("is-enabled", "openclaw-gateway.service"); got != "enabled" {
		t.Errorf("after restore it is %s", got)
	}
	before := lines(s.acts())
	user("start", "openclaw-gateway.service")
	eventually(t, "the agent acts again", func() bool { return lines(s.acts()) > before+5 })
}

// A user's manager that cannot be asked starts anew what is killed: its unit is frozen, and stays so.
func TestSystemdUserManagerOutOfReach(t *testing.T) {
	s, user, _ := startUserUnit(t)
	s.run("rm", "/run/user/65534/systemd/private")
	pid := user("show", "-P", "MainPID", "openclaw-gateway.service")
	var st Stopped
	s.verb("stop", &st)
	if len(st.Killed) > 0 || !strings.Contains(strings.Join(st.Problems, "\n"), "left frozen") {
		t.Errorf("stop = %+v", st)
	}
	s.quietFor(2 * restartDelay)
	var c Checked
	s.verb("check", &c)
	if c.Down || len(c.Processes) == 0 || !c.Processes[0].Still() || strconv.Itoa(c.Processes[len(c.Processes)-1].PID) != pid {
		t.Errorf("check = %+v, main process was %s", c, pid)
	}
}
