package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/drill/tree"
)

// sealedBags checks every sealed part of the evidence with nothing but sha256sum.
func (m *remote) sealedBags(t *testing.T, r ended) map[string]string {
	t.Helper()
	bags := make(map[string]string)
	for _, s := range r.state.Sealed {
		path := filepath.Join(m.dir, "state/clawback/incidents", r.summary.Incident, s.Path)
		bags[s.Part] = checkPackage(t, path)
	}
	return bags
}

// checkPackage unpacks a package and checks it, with the public tools, and returns the folder.
func checkPackage(t *testing.T, path string) string {
	t.Helper()
	into := t.TempDir()
	cmd := exec.Command("sh", "-c", `set -e
		cd "$(dirname "$1")"; sha256sum --check --strict --quiet "$1.sha256"
		zstd -dcq "$1" | tar -x -C "$2"
		cd "$2"/*; sha256sum --check --strict --quiet tagmanifest-sha256.txt; sha256sum --check --strict --quiet manifest-sha256.txt; pwd`, "sh", path, into)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", path, err, out)
		return ""
	}
	return strings.TrimSpace(string(out))
}

// The whole of it against a machine that only ssh reaches: frozen, captured, every credential dead,
// cut off the network, killed without a last word, and nothing left but what keeps it down.
func TestRealRemoteKill(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t), "slack.bot", "github.pat", "aws.access_key", "stripe.webhook_secret")
	if !m.reaches() {
		t.Fatal("the machine does not reach the desk to begin with")
	}
	cmd := m.killRemote()
	stdout, err := cmd.StdoutPipe()
	m.must(t, err)
	run := m.start(cmd)
	seen, out := watch(t, cmd.Process.Pid, stdout)
	r := run.wait()
	r.stdout = out
	r.check(t)
	r.wants(t, incident.ExitContained, "contained", incident.Delay)
	if want := (incident.CredentialCount{Total: 4, Dead: 4}); r.summary.Credentials != want {
		t.Errorf("credentials %+v, want %+v\n%s", r.summary.Credentials, want, r.stderr)
	}
	for _, h := range m.held {
		if m.city.fakes[h.Provider].Alive(h) {
			t.Errorf("%s is alive", h.Kind)
		}
	}

	if acts := m.actsSince(t, r.at(t, incident.TypeFrozen)); len(acts) > 0 {
		t.Errorf("after the freeze was on record, or to have the last word, the agent did %q", acts)
	}
	if out, err := m.try("on", "systemctl", "start", "openclaw-gateway.service"); err == nil {
		t.Errorf("the agent could be started: %s", out)
	}
	if out := m.on("systemctl", "is-active", "sshd.service"); out != "active\n" {
		t.Errorf("sshd is %s", out)
	}
	m.isolated(t)
	m.letsIn(t)
	if tested := r.state.Tested; tested == nil || !tested.Holds() {
		t.Errorf("nothing shows that the isolation holds: %+v", tested)
	}
	if checked, cut := r.at(t, incident.TypeChecked), r.at(t, incident.TypeIsolated); checked.Before(cut) {
		t.Error("nothing shows that the desk's connection outlived the isolation")
	}
	m.checkLeft(t)

	bags := m.sealedBags(t, r)
	if _, err := os.Stat(filepath.Join(bags["files"], "data", tree.StateDir, "openclaw.json")); err != nil || bags["volatile"] == "" {
		t.Errorf("sealed: %v (%v)", bags, err)
	}
	calls, err := os.ReadFile(filepath.Join(m.place, "calls"))
	m.must(t, err)
	said, err := os.ReadFile(filepath.Join(m.place, "said-discover"))
	m.must(t, err)
	if n := bytes.Count(said, []byte(`"sealed":`)); n < len(m.held) {
		t.Errorf("%d sealed secrets came from the machine, want at least %d\n%s", n, len(m.held), said)
	}
	checkInputs(t, calls, filepath.Dir(m.bin))
	places := map[string][]byte{
		"stdout": out, "stderr": r.stderr, "arguments and environments": seen, "ssh's arguments, environment and input": calls, "ssh's output": said,
	}
	collect(t, filepath.Join(m.dir, "state"), places)
	checkCanaries(t, m.held, places)
}

// checkInputs checks that ssh was given nothing to read but the host's program.
func checkInputs(t *testing.T, calls []byte, programs string) {
	t.Helper()
	n := 0
	for line := range strings.Lines(string(calls)) {
		rest, ok := strings.CutPrefix(line, "call of ssh, standard input ")
		if !ok {
			continue
		}
		n++
		if input := strings.TrimSuffix(rest, ":\n"); input != "/dev/null" && input != filepath.Join(programs, "clawback-host") {
			t.Errorf("ssh was given %s to read", input)
		}
	}
	if n < 8 {
		t.Errorf("ssh was called %d times\n%s", n, calls)
	}
}

// The link is cut in the middle of the capture and of the search: the agent stays frozen, half the
// evidence is not called sealed, and what was found by then is revoked all the same.
func TestRealRemoteLinkCut(t *testing.T) {
	t.Parallel()
	programs := buildPrograms(t)
	t.Run("with its server", func(t *testing.T) {
		t.Parallel()
		m := startRemote(t, programs, "slack.bot", "github.pat", "aws.access_key")
		r := m.cutOff(t, "90s", func() { m.on("systemctl", "kill", "--signal=KILL", "sshd.service") })
		if n := r.summary.Credentials; n.Dead != 1 {
			t.Errorf("credentials %+v, want the one that was found dead", n)
		}
	})
	t.Run("with its wire, and made anew", func(t *testing.T) {
		t.Parallel()
		m := startRemote(t, programs, "slack.bot", "github.pat", "aws.access_key")
		first := m.cutOff(t, "30s", func() { m.wire("down") })
		m.wire("up")
		run := m.start(m.killRemote("--deadline", "8s"))
		r := run.wait()
		r.check(t)
		r.wants(t, incident.ExitUnproved, "killed ")
		if !r.summary.Agent.Down || !r.summary.Evidence.Sealed || r.summary.Credentials.Total != len(m.held) {
			t.Errorf("the second run ended with %+v\n%s", r.summary, r.stderr)
		}
		m.sealedBags(t, r)
		m.isolated(t)
		if acts := m.actsSince(t, first.at(t, incident.TypeFrozen)); len(acts) > 0 {
			t.Errorf("since the first freeze, or to have the last word, the agent did %q", acts)
		}
	})
}

// cutOff runs the kill switch and cuts the link in its middle.
func (m *remote) cutOff(t *testing.T, deadline string, cut func()) ended {
	t.Helper()
	m.write(tree.StateDir+"/logs/zz-gateway.log", strings.Repeat("a line of a log\n", 1<<20))
	hold := filepath.Join(m.place, "hold")
	m.must(t, os.WriteFile(hold, nil, 0o600))
	agent := m.on("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service")
	run := m.start(m.killRemote("--deadline", deadline))
	eventually(t, time.Minute, "half the evidence and one credential arrived, and the machine is cut off", func() bool {
		_, err1 := os.Stat(filepath.Join(m.place, "held-capture"))
		_, err2 := os.Stat(filepath.Join(m.place, "held-discover"))
		return err1 == nil && err2 == nil && bytes.Contains(run.stdout.bytes(), []byte(`"`+incident.TypeIsolated+`"`))
	})
	cut()
	m.must(t, os.Remove(hold))
	r := run.wait()
	r.check(t)
	r.wants(t, incident.ExitEvidence, "the agent stays frozen until then", "run it again as soon as", "there may be more than are listed")

	folder := regexp.MustCompile(`/dev/shm/clawback-\w+`).FindString(string(r.stderr))
	if _, err := os.Stat(m.root + folder); folder == "" || err != nil {
		t.Errorf("it does not say what is left on the machine: %q, %v\n%s", folder, err, r.stderr)
	}
	if r.summary.Evidence.Sealed || r.summary.Agent.Down || r.summary.Agent.FrozenMS == nil {
		t.Errorf("the summary says %+v %+v", r.summary.Evidence, r.summary.Agent)
	}
	if bags := m.sealedBags(t, r); bags["volatile"] == "" || bags["files"] != "" {
		t.Errorf("sealed: %v", bags)
	}
	evidence := filepath.Join(m.dir, "state/clawback/incidents", r.summary.Incident, "evidence")
	if _, err := os.Stat(filepath.Join(evidence, "files.tar.zst")); !os.IsNotExist(err) {
		t.Errorf("half the evidence passes for whole (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(evidence, "files.tar.zst.partial")); err != nil {
		t.Errorf("what arrived is lost: %v", err)
	}
	for _, h := range m.held {
		found := slices.ContainsFunc(r.state.Credentials, func(c *incident.Credential) bool { return c.Kind == h.Kind })
		if alive := m.city.fakes[h.Provider].Alive(h); alive == found {
			t.Errorf("%s was found: %v, and is alive: %v", h.Kind, found, alive)
		}
	}
	if len(r.state.Credentials) != 1 {
		t.Errorf("%d credentials were found before the cut\n%s", len(r.state.Credentials), r.stderr)
	}

	if now := m.on("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service"); now != agent {
		t.Errorf("the agent's main process is %s, was %s", now, agent)
	}
	if out := m.on("cat", "/sys/fs/cgroup/system.slice/openclaw-gateway.service/cgroup.events"); !strings.Contains(out, "frozen 1") {
		t.Errorf("the agent's cgroup: %s", out)
	}
	if acts := m.actsSince(t, r.at(t, incident.TypeFrozen)); len(acts) > 0 {
		t.Errorf("after the freeze was on record the agent did %q", acts)
	}
	m.isolated(t)
	return r
}

// The desk dies, and then the machine cannot be reached: what was found dies all the same, by the
// secrets that the desk kept, until a check a day later. Once it can be reached again the rest is done.
func TestRealRemoteResume(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t), "slack.bot", "slack.user")
	revoking, answer := m.holdsUp()
	run := m.start(m.killRemote())
	<-revoking
	eventually(t, time.Minute, "both are found", func() bool {
		return bytes.Count(run.stdout.bytes(), []byte(`"`+incident.TypeFound+`"`)) == 2
	})
	m.must(t, run.cmd.Process.Kill())
	run.wait()
	answer()
	kept := filepath.Join(m.incidents()[0], "keys", "secrets.age")
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("nothing is kept for a later run: %v", err)
	}
	places := map[string][]byte{}
	collect(t, filepath.Join(m.dir, "state"), places)
	checkCanaries(t, m.held, places)

	m.wire("down")
	resume := func() ended {
		run := m.start(m.atDesk("resume", "--json", "--config", m.config()))
		r := run.wait()
		r.check(t)
		return r
	}
	r := resume()
	r.wants(t, r.code, "the response goes on without it", "as soon as root@web-1 can be reached")
	if n := r.summary.Credentials; r.code == 0 || n.Dead != 2 {
		t.Errorf("without the machine: exit %d, %+v\n%s", r.code, n, r.stderr)
	}
	m.wire("up")
	r = resume()
	r.wants(t, incident.ExitContained, "contained")
	m.sealedBags(t, r)
	m.isolated(t)
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("nothing is kept for the checks that follow: %v", err)
	}
}
