package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/drill/tree"
)

// letGo runs thaw or restore at the desk, and types.
func (m *remote) letGo(typed, what, id string, more ...string) ended {
	m.t.Helper()
	cmd := m.atDesk(append([]string{what, id, "--config", m.config()}, more...)...)
	cmd.Stdin = strings.NewReader(typed)
	r := m.run(cmd)
	safeText(m.t, "stderr", r.stderr)
	return r
}

// record is what stands in the record of the only incident.
func (m *remote) record() incident.State {
	m.t.Helper()
	s, err := readRecord(m.incidents()[0])
	m.must(m.t, err)
	return s
}

// unchanged checks that nothing was done to the machine's agent, nor written of it.
func (m *remote) unchanged(t *testing.T, entries uint64, acts int) {
	t.Helper()
	if s := m.record(); s.Entries != entries || s.LetGo != nil {
		t.Errorf("%d entries of %d, let go %+v", s.Entries, entries, s.LetGo)
	}
	if n := len(m.actsSince(t, time.Time{})); n != acts {
		t.Errorf("the agent acted %d times since", n-acts)
	}
}

// letGone is what came of the last undoing, and what the report says of it.
func (m *remote) letGone(t *testing.T, what, reported string) incident.LetGone {
	t.Helper()
	var out incident.LetGone
	for e, err := range journal.Read(m.incidents()[0]) {
		m.must(t, err)
		if e.Type == incident.TypeLetGone {
			m.must(t, e.Decode(&out))
		}
	}
	if out.What != what {
		t.Errorf("on record: %+v", out)
	}
	report, err := os.ReadFile(filepath.Join(m.incidents()[0], "report.md"))
	m.must(t, err)
	if !bytes.Contains(report, []byte(reported)) || !bytes.Contains(report, []byte("a false alarm")) {
		t.Errorf("the report does not say %q, or not why", reported)
	}
	verified := m.run(m.atDesk("verify", filepath.Base(m.incidents()[0])))
	verified.wants(t, 0)
	return out
}

func (m *remote) frozen() bool {
	m.t.Helper()
	return strings.Contains(m.on("cat", "/sys/fs/cgroup/system.slice/openclaw-gateway.service/cgroup.events"), "frozen 1")
}

// A false alarm: the desk died after the freeze. Nobody thaws while it runs, by a wrong word, or by
// looking; then the same processes go on where they stood, the machine stays cut off until restore.
func TestRealRemoteThaw(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t), "slack.bot")
	hold := filepath.Join(m.place, "hold")
	m.must(t, os.WriteFile(hold, nil, 0o600))
	m.write(tree.StateDir+"/logs/zz-gateway.log", strings.Repeat("a line of a log\n", 1<<20))
	agent := m.on("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service")
	run := m.start(m.killRemote())
	eventually(t, time.Minute, "it is frozen and cut off, and its evidence held up", func() bool {
		_, err := os.Stat(filepath.Join(m.place, "held-capture"))
		return err == nil && bytes.Contains(run.stdout.bytes(), []byte(`"`+incident.TypeIsolated+`"`))
	})
	id := filepath.Base(m.incidents()[0])
	locked := m.letGo("", "thaw", id, "--why", "a false alarm", "--yes")
	locked.wants(t, incident.ExitLocked, "locked by tester")
	m.must(t, run.cmd.Process.Kill())
	run.wait()
	m.must(t, os.Remove(hold))

	before, acts := m.record().Entries, len(m.actsSince(t, time.Time{}))
	seen := m.letGo("", "thaw", id, "--dry-run")
	seen.wants(t, 0, "/openclaw-gateway.service: frozen", "nftables table inet clawback", "nothing was changed")
	refused := m.letGo("thaw root@web-2\n", "thaw", id, "--why", "a false alarm")
	refused.wants(t, incident.ExitApproval, "Type  thaw root@web-1  to go on", "nothing was undone")
	asked := m.letGo("", "thaw", id)
	asked.wants(t, incident.ExitUsage, "wants to know why")
	m.unchanged(t, before, acts)
	if !m.frozen() {
		t.Error("it is not frozen any more")
	}

	r := m.letGo("thaw root@web-1\n", "thaw", id, "--why", "a false alarm")
	r.wants(t, 0, "thawed", "none of", "left as it is: nftables table inet clawback")
	if now := m.on("systemctl", "show", "-P", "MainPID", "openclaw-gateway.service"); now != agent || m.frozen() {
		t.Errorf("the agent's main process is %s, was %s; frozen %v", now, agent, m.frozen())
	}
	eventually(t, 20*time.Second, "the agent acts again", func() bool { return len(m.actsSince(t, time.Time{})) > acts+20 })
	m.isolated(t)
	out := m.letGone(t, incident.Thaw, "It let the agent go on.")
	if len(out.Left) > 0 || out.Error != "" {
		t.Errorf("on record: %+v", out)
	}
	if s := m.record(); s.AgentDown() || s.LetGo == nil || s.LetGo.By != "tester" || *s.Exit != incident.ExitPartial {
		t.Errorf("down %v, let go %+v, exit %v", s.AgentDown(), s.LetGo, s.Exit)
	}

	r = m.letGo("", "restore", id, "--why", "a false alarm", "--yes")
	r.wants(t, 0, "restored")
	if tables := m.on("nft", "list", "tables"); strings.Contains(tables, "clawback") || !m.reaches() {
		t.Errorf("the machine is still cut off: %s", tables)
	}
	m.letGone(t, incident.Restore, "It gave back what the response had changed.")
}

// The agent was killed and kept down, and the machine cut off: a false alarm. Thaw says what to do
// instead, a machine that is not reached is left as it is, and restore leaves nothing of the response.
func TestRealRemoteRestore(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t), "slack.bot")
	run := m.start(m.killRemote())
	killed := run.wait()
	killed.check(t)
	killed.wants(t, incident.ExitContained)
	id, before, acts := killed.summary.Incident, m.record().Entries, len(m.actsSince(t, time.Time{}))

	thaw := m.letGo("", "thaw", id, "--why", "a false alarm", "--yes")
	thaw.wants(t, incident.ExitUsage, "was killed", "clawback restore "+id)
	m.wire("down")
	far := m.letGo("", "restore", id, "--why", "a false alarm", "--yes")
	far.wants(t, incident.ExitNothing, "reach root@web-1", "nothing was undone", "nft delete table inet clawback")
	m.wire("up")
	seen := m.letGo("", "restore", id, "--dry-run")
	seen.wants(t, 0, "openclaw-gateway.service: start refused", "nftables table inet clawback")
	refused := m.letGo("yes\n", "restore", id, "--why", "a false alarm")
	refused.wants(t, incident.ExitApproval, "nothing was undone")
	m.unchanged(t, before, acts)
	m.isolated(t)

	cmd := m.atDesk("restore", id, "--config", m.config(), "--why", "a false alarm", "--yes", "--json")
	r := m.run(cmd)
	r.wants(t, 0, "restored", "nothing that it takes back is left")
	if !bytes.Contains(r.stdout, []byte(`"type":"`+incident.TypeLetGone+`"`)) || !bytes.Contains(r.stdout, []byte(`"type":"summary"`)) {
		t.Errorf("with --json it printed\n%s", r.stdout)
	}
	if tables := m.on("nft", "list", "tables"); strings.Contains(tables, "clawback") || !m.reaches() {
		t.Errorf("the machine is still cut off: %s", tables)
	}
	eventually(t, 20*time.Second, "its timer starts the agent again", func() bool { return len(m.actsSince(t, time.Time{})) > acts+20 })
	for name := range strings.Lines(m.files()) {
		name = strings.TrimSpace(name)
		if keepsDown.MatchString(name) && !slices.Contains(m.before, name) && name != "/run/clawback" {
			t.Errorf("left on the machine: %s", name)
		}
	}
	if out := m.letGone(t, incident.Restore, "It gave back what the response had changed."); len(out.Left) > 0 {
		t.Errorf("on record: %+v", out)
	}
	if s := m.record(); s.AgentDown() || s.LetGo == nil || s.Entries <= before {
		t.Errorf("down %v, let go %+v", s.AgentDown(), s.LetGo)
	}
	if m.city.fakes["slack"].Alive(m.held[0]) {
		t.Error("what was revoked works again")
	}
}
