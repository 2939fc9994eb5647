package containment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// realDocker is a dockerd of the test's own, in namespaces of its own.
type realDocker struct {
	t            *testing.T
	dir, program string
	engine       string // "docker", "podman"
	storage      string // of Docker's images: "overlay2"; otherwise copies
}

func startDocker(t *testing.T) *realDocker { return startEngine(t, "docker", "dockerd", "docker") }

func startEngine(t *testing.T, engine string, programs ...string) *realDocker {
	t.Helper()
	return startStored(t, engine, "", programs...)
}

func startStored(t *testing.T, engine, storage string, programs ...string) *realDocker {
	t.Helper()
	needRoot(t, append(programs, "unshare", "nsenter", "tar", "ip")...)
	d := &realDocker{t: t, dir: t.TempDir(), engine: engine, storage: storage}
	d.program = testBinary(t, filepath.Join(d.dir, "image"), "agent")
	if err := os.Mkdir(filepath.Join(d.dir, "shared"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := d.command("stop").CombinedOutput(); err != nil {
			t.Errorf("stop dockerd: %v: %s", err, out)
		}
	})
	if out, err := d.command("start").CombinedOutput(); err != nil {
		t.Fatalf("start dockerd: %v: %s", err, out)
	}
	image := filepath.Join(d.dir, "image.tar")
	d.exec("tar", "-C", filepath.Join(d.dir, "image"), "-cf", image, "agent")
	d.docker("import", image, "base:test")
	return d
}

func (d *realDocker) command(args ...string) *exec.Cmd {
	cmd := exec.Command("testdata/docker.sh", args...)
	cmd.Env = append(os.Environ(), "DD="+d.dir, "ENGINE="+d.engine, "STORAGE="+d.storage)
	return cmd
}

func (d *realDocker) exec(args ...string) string {
	d.t.Helper()
	return d.output(append([]string{"exec"}, args...)...)
}

func (d *realDocker) output(args ...string) string {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := d.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

func (d *realDocker) docker(args ...string) string {
	d.t.Helper()
	if d.engine == "podman" {
		return d.output(append([]string{"podman"}, args...)...)
	}
	return d.exec(append([]string{"docker", "-H", "unix:///run/docker.sock"}, args...)...)
}

// run starts the test binary in a container, in a role. What it acts is counted in a file of its name.
func (d *realDocker) run(name, role string, options ...string) {
	d.t.Helper()
	d.runWith(name, role, nil, options...)
}

// runWith is run with arguments.
func (d *realDocker) runWith(name, role string, arguments []string, options ...string) {
	d.t.Helper()
	args := []string{"run", "-d", "--name", name, "-e", "CLAWBACK_TEST_ROLE=" + role, "-e", "CLAWBACK_TEST_ACTS=/shared/" + name, "-v", d.dir + "/shared:/shared"}
	for _, lib := range []string{"/usr", "/lib", "/lib64"} { // the race detector's binary is linked to them
		if _, err := os.Stat(lib); err == nil {
			args = append(args, "-v", lib+":"+lib+":ro")
		}
	}
	d.docker(slices.Concat(args, options, []string{"base:test", "/agent"}, arguments)...)
	eventually(d.t, name+" acts", func() bool { return lines(d.acts(name)) > 1 })
}

func (d *realDocker) acts(name string) string { return filepath.Join(d.dir, "shared", name) }

func (d *realDocker) inspect(name, format string) string {
	d.t.Helper()
	return d.docker("inspect", "-f", format, name)
}

// verb runs a verb of this package inside, in a process of its own as on a real host.
func (d *realDocker) verb(name string, result any) {
	d.t.Helper()
	out := d.exec("env", "CLAWBACK_TEST_ROLE="+name, d.program)
	if result == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), result); err != nil {
		d.t.Fatalf("%s printed %q: %v", name, out, err)
	}
	d.t.Logf("%s: %.1500s", name, out)
}

// quiet fails when one of the containers acts while the decoy beats for some time.
func (d *realDocker) quiet(wait time.Duration, decoy string, names ...string) {
	d.t.Helper()
	before := map[string]int{}
	for _, name := range names {
		before[name] = lines(d.acts(name))
	}
	start := lines(d.acts(decoy))
	eventually(d.t, "the decoy goes on", func() bool { return lines(d.acts(decoy)) >= start+int(wait/(50*time.Millisecond)) })
	for _, name := range names {
		if n := lines(d.acts(name)); n != before[name] {
			data, _ := os.ReadFile(d.acts(name))
			d.t.Errorf("%s acted %d times: … %s", name, n-before[name], data[max(0, len(data)-300):])
		}
	}
}

func (d *realDocker) said(name, what string) bool {
	data, err := os.ReadFile(d.acts(name))
	if err != nil {
		d.t.Error(err)
	}
	return strings.Contains(string(data), what)
}

func TestDocker(t *testing.T) {
	t.Parallel()
	d := startDocker(t)
	d.run("shop-db-1", "metronome", "--restart=always")
	d.run("prod-gw-1", "agent", "--restart=unless-stopped", "--label=com.docker.compose.service=openclaw-gateway", "--label=com.docker.compose.project=prod")
	d.run("box", "agent", "--restart=on-failure:3", "--label=openclaw.sandbox=1")
	agents := []string{"prod-gw-1", "box"}
	pid := d.inspect("prod-gw-1", "{{.State.Pid}}")
	decoy := d.inspect("shop-db-1", "{{.State.Pid}} {{.State.StartedAt}} {{.HostConfig.RestartPolicy.Name}}")

	var desc Description
	d.verb("describe", &desc)
	var names, kinds []string
	for _, u := range desc.Units {
		names = append(names, strings.Split(u.Name, "/")[0]+": "+u.Why)
	}
	for _, r := range desc.Revivers {
		kinds = append(kinds, r.Kind)
	}
	slices.Sort(names)
	slices.Sort(kinds)
	if got, want := fmt.Sprint(names, kinds), "[box: label openclaw.sandbox=1 prod-gw-1: its service in compose] [compose restart restart]"; got != want {
		t.Errorf("described %s, not %s", got, want)
	}
	for _, p := range desc.Processes {
		if !strings.Contains(p.Why, "cgroup") {
			t.Errorf("%+v", p)
		}
	}

	freeze := func() {
		t.Helper()
		var f Frozen
		d.verb("freeze", &f)
		if !f.Complete() || len(f.Processes) != 4 || len(f.Paused) != 2 {
			t.Fatalf("not frozen: %+v", f)
		}
		for _, p := range f.Processes {
			if p.State != stateFrozen {
				t.Errorf("%+v", p)
			}
		}
		d.quiet(time.Second, "shop-db-1", agents...)
		for _, name := range agents {
			if got := d.inspect(name, "{{.State.Paused}} {{.HostConfig.RestartPolicy.Name}}"); got != "true no" {
				t.Errorf("%s: paused and restart policy: %s", name, got)
			}
		}
	}
	freeze()
	d.verb("thaw", nil)
	eventually(t, "the agent goes on", func() bool {
		return d.inspect("prod-gw-1", "{{.State.Paused}}") == "false" && !d.still("prod-gw-1")
	})
	if got := d.inspect("prod-gw-1", "{{.State.Pid}} {{.HostConfig.RestartPolicy.Name}}"); got != pid+" unless-stopped" {
		t.Errorf("after thaw: %s", got)
	}
	if got := d.inspect("box", "{{.HostConfig.RestartPolicy}}"); got != "{on-failure 3}" {
		t.Errorf("after thaw: %s", got)
	}

	freeze()
	d.checkAccounts(6)
	var s Stopped
	d.verb("stop", &s)
	if len(s.Problems) > 0 {
		t.Errorf("stop: %q", s.Problems)
	}
	d.quiet(10*time.Second, "shop-db-1", agents...)
	down := func() {
		t.Helper()
		var c Checked
		d.verb("check", &c)
		if !c.Down {
			t.Errorf("it is not down: %+v", c)
		}
		for _, name := range agents {
			if got := d.inspect(name, "{{.State.Running}} {{.State.ExitCode}}"); got != "false 137" {
				t.Errorf("%s: running and exit code: %s", name, got)
			}
			if d.said(name, "terminated") {
				t.Errorf("%s had a last word", name)
			}
		}
	}
	down()
	if got := d.inspect("shop-db-1", "{{.State.Pid}} {{.State.StartedAt}} {{.HostConfig.RestartPolicy.Name}}"); got != decoy {
		t.Errorf("the decoy was %s and is %s", decoy, got)
	}

	if out, err := d.command("restart").CombinedOutput(); err != nil {
		t.Fatalf("restart dockerd: %v: %s", err, out)
	}
	d.quiet(2*time.Second, "shop-db-1", agents...)
	down()

	d.verb("restore", nil)
	if got := d.inspect("prod-gw-1", "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}"); got != "false unless-stopped" {
		t.Errorf("after restore: %s", got)
	}
	d.verb("describe", &desc)
	if len(desc.Changed) > 0 {
		t.Errorf("left changed: %q", desc.Changed)
	}
}

// checkAccounts reads what the engine tells of the paused containers.
func (d *realDocker) checkAccounts(count int) {
	d.t.Helper()
	var all map[string][]byte
	d.verb("accounts", &all)
	for what, wants := range map[string][]string{
		"inspect.json": {`"Id"`, "CLAWBACK_TEST_ROLE=agent"}, "log": {"hello"}, "changes.json": {`/shared`},
	} {
		found := ""
		for name, data := range all {
			if strings.HasPrefix(name, "prod-gw-1-") && strings.HasSuffix(name, "/"+what) {
				found = string(data)
			}
		}
		for _, want := range wants {
			if !strings.Contains(found, want) {
				d.t.Errorf("%s has no %s: %.300s", what, want, found)
			}
		}
	}
	if len(all) != count {
		d.t.Errorf("%d accounts, not %d", len(all), count)
	}
}

// still reports whether a container does not act for some time.
func (d *realDocker) still(name string) bool {
	before := lines(d.acts(name))
	for range 50 {
		if lines(d.acts(name)) > before {
			return false
		}
		<-time.After(10 * time.Millisecond)
	}
	return true
}

// What starts again by itself: the engine while it waits to, and a controller that no policy stops.
func TestDockerRestarts(t *testing.T) {
	t.Parallel()
	d := startDocker(t)
	d.run("shop-db-1", "metronome")
	d.run("swarmed", "agent", "--rm", "--label=openclaw.sandbox=1", "--label=com.docker.swarm.service.name=claw_gw")
	d.run("openclaw-cli", "fugitive", "--restart=always")
	eventually(t, "it waits to be started again", func() bool { return lines(d.acts("openclaw-cli")) > 4 })

	var desc Description
	d.verb("describe", &desc)
	if len(desc.Problems) != 1 || !strings.HasPrefix(desc.Problems[0].Path, "swarmed/") || !strings.Contains(desc.Problems[0].Reason, "--rm") {
		t.Errorf("problems: %+v", desc.Problems)
	}
	var f Frozen
	d.verb("freeze", &f)
	if len(f.Escaped) > 0 {
		t.Errorf("moving: %+v", f.Escaped)
	}
	// The engine waits 100 ms, then twice as long each time: by now, 3.2 s.
	d.quiet(8*time.Second, "shop-db-1", "openclaw-cli", "swarmed")

	var s Stopped
	d.verb("stop", &s)
	if got := strings.Join(s.Problems, "\n"); !strings.Contains(got, "swarm claw_gw starts another when it ends: call a manager of the swarm") || !strings.Contains(got, "is left frozen") {
		t.Errorf("stop: %s", got)
	}
	if got := d.inspect("swarmed", "{{.State.Running}} {{.State.Paused}}"); got != "true true" {
		t.Errorf("what a swarm would replace: running and paused: %s", got)
	}
	d.quiet(time.Second, "shop-db-1", "openclaw-cli", "swarmed")
	var c Checked
	d.verb("check", &c)
	if c.Down {
		t.Errorf("a frozen container is taken for down: %+v", c)
	}
	d.verb("restore", nil)
	if got := d.inspect("openclaw-cli", "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}"); got != "false always" {
		t.Errorf("after restore: %s", got)
	}
	if got := d.inspect("swarmed", "{{.State.Paused}}"); got != "false" {
		t.Errorf("after restore, paused: %s", got)
	}
}

// A Podman that cannot change a restart policy: killed through it, a container stays dead all the same.
func TestPodman(t *testing.T) {
	t.Parallel()
	d := startEngine(t, "podman", "podman", "runc", "conmon")
	d.run("shop-db-1", "metronome", "--restart=always")
	d.run("prod-gw-1", "agent", "--restart=always", "--label=io.podman.compose.project=prod", "--label=com.docker.compose.service=openclaw-gateway")
	decoy := d.inspect("shop-db-1", "{{.State.Pid}}")
	pid := d.inspect("prod-gw-1", "{{.State.Pid}}")

	var f Frozen
	d.verb("freeze", &f)
	if !f.Complete() || len(f.Processes) != 2 {
		t.Fatalf("not frozen: %+v", f)
	}
	d.quiet(time.Second, "shop-db-1", "prod-gw-1")
	d.verb("thaw", nil)
	eventually(t, "the agent goes on", func() bool { return !d.still("prod-gw-1") })
	if got := d.inspect("prod-gw-1", "{{.State.Pid}}"); got != pid {
		t.Errorf("it goes on as %s, not %s", got, pid)
	}

	d.verb("freeze", &f)
	d.checkAccounts(3)
	var s Stopped
	d.verb("stop", &s)
	if len(s.Problems) > 0 {
		t.Errorf("stop: %q", s.Problems)
	}
	d.quiet(10*time.Second, "shop-db-1", "prod-gw-1")
	var c Checked
	d.verb("check", &c)
	if got := d.inspect("prod-gw-1", "{{.State.Running}} {{.State.ExitCode}}"); got != "false 137" || !c.Down {
		t.Errorf("running and exit code: %s; %+v", got, c)
	}
	if d.said("prod-gw-1", "terminated") {
		t.Error("it had a last word")
	}
	if got := d.inspect("shop-db-1", "{{.State.Pid}}"); got != decoy {
		t.Errorf("the decoy was %s and is %s", decoy, got)
	}
}
