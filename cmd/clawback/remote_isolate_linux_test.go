package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/incident"
)

// asAgent reports whether the agent's account can open a connection to the desk.
func (m *remote) asAgent() bool {
	host, port, _ := net.SplitHostPort(m.outside)
	_, err := m.try("on", "setpriv", "--reuid=openclaw", "--regid=openclaw", "--clear-groups", "timeout", "2", "bash", "-c", "</dev/tcp/"+host+"/"+port)
	return err == nil
}

// isolates runs clawback isolate at the desk, and types.
func (m *remote) isolates(typed string, args ...string) ended {
	m.t.Helper()
	cmd := m.atDesk(append([]string{"isolate", "--config", m.config()}, args...)...)
	cmd.Stdin = strings.NewReader(typed)
	r := m.run(cmd)
	safeText(m.t, "stderr", r.stderr)
	return r
}

// The agent alone is cut off, then the whole machine, each on record, and restore gives both back.
func TestRealRemoteIsolate(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t))
	host, port, _ := net.SplitHostPort(m.outside)
	m.on("setsid", "--fork", "setpriv", "--reuid=openclaw", "--regid=openclaw", "--clear-groups",
		"bash", "-c", "cd ~openclaw/.openclaw && exec >/dev/null 2>&1; while sleep 0.05; do timeout 1 bash -c '</dev/tcp/"+host+"/"+port+"'; done")
	if !m.reaches() || !m.asAgent() {
		t.Fatal("no network to begin with")
	}

	r := m.isolates("", "--host", "root@web-1", "--dry-run")
	r.wants(t, 0, "nothing was changed")
	r = m.isolates("isolate root@web-2\n", "--host", "root@web-1", "--only-agent")
	r.wants(t, incident.ExitApproval, "Type  isolate root@web-1  to go on", "nothing was done")
	if len(m.incidents()) > 0 || !m.asAgent() {
		t.Errorf("incidents %q", m.incidents())
	}

	r = m.isolates("isolate root@web-1\n", "--host", "root@web-1", "--only-agent", "--why", "it talks to nobody we know")
	r.wants(t, 0, "agent cut off", "of the agent dropped since", "a second connection logged in")
	if m.asAgent() {
		t.Error("the agent still reaches the desk")
	}
	if !m.reaches() {
		t.Error("the machine was cut off with the agent")
	}
	id := filepath.Base(m.incidents()[0])
	s := m.record()
	if s.Isolated == nil || !s.Isolated.Only || s.Tested == nil || !s.Tested.Holds() || s.Frozen != nil || len(s.Credentials) > 0 {
		t.Errorf("on record: %+v, %+v", s.Isolated, s.Tested)
	}

	r = m.isolates("", id, "--keep", m.outside, "--keep", "nonsense", "--yes")
	r.wants(t, incident.ExitUsage, "--keep")
	r = m.isolates("", id, "--yes", "--why", "somebody else is on it")
	r.wants(t, 0, "tester cuts the host off the network: somebody else is on it", "answered the host before, and does not any more", "a second connection logged in")
	m.isolated(t)
	m.letsIn(t)
	if s = m.record(); s.Isolated == nil || s.Isolated.Only || !s.Tested.Holds() {
		t.Errorf("on record: %+v, %+v", s.Isolated, s.Tested)
	}
	r = m.run(m.atDesk("verify", id))
	r.wants(t, 0)

	r = m.letGo("", "restore", id, "--why", "a false alarm", "--yes")
	r.wants(t, 0, "restored")
	if tables := m.on("nft", "list", "tables"); strings.Contains(tables, "clawback") || !m.reaches() || !m.asAgent() {
		t.Errorf("it is still cut off: %s", tables)
	}

	m.wire("down")
	r = m.isolates("", id, "--yes")
	r.wants(t, incident.ExitNothing, "the cloud or the hypervisor")
	m.wire("up")
}
