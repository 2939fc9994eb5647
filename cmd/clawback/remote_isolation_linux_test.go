package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/incident"
)

// The isolation is believed only once it was tried: the desk makes a second connection, and the host
// tries to reach what it must not.
func TestRealRemoteIsolation(t *testing.T) {
	t.Parallel()
	programs := buildPrograms(t)
	t.Run("with a SIEM that is kept", func(t *testing.T) {
		t.Parallel()
		m := startRemote(t, programs)
		config, err := os.OpenFile(m.config(), os.O_APPEND|os.O_WRONLY, 0)
		m.must(t, err)
		_, err = fmt.Fprintf(config, "isolation: {keep: {siem: %q}}\n", m.outside)
		m.must(t, err)
		m.must(t, config.Close())
		r := m.killed(t)
		r.wants(t, incident.ExitContained, incident.Delay, deskAddr+":9 answered the host before, and does not any more", "a second connection logged in")
		if tested := r.state.Tested; tested == nil || !tested.Holds() {
			t.Errorf("on record: %+v", tested)
		}
		if !m.reaches() {
			t.Error("what is kept is not in reach")
		}
		if report := r.reportText(t); !strings.Contains(report, "siem: "+m.outside) || !strings.Contains(report, "a delay, not containment") {
			t.Errorf("the report does not say what was kept, or what it is worth\n%s", report)
		}
	})
	t.Run("undone by root on the machine", func(t *testing.T) {
		t.Parallel()
		m := startRemote(t, programs)
		m.on("setsid", "--fork", "bash", "-c", "exec >/dev/null 2>&1; while sleep 0.02; do nft delete table inet clawback; done")
		r := m.killed(t)
		r.wants(t, incident.ExitPartial, "NOT ISOLATED", deskAddr+":9 still answers the host", "whoever runs the cloud or the hypervisor")
		if step := r.state.Steps["isolate"]; step.Status != incident.Failed || !r.state.AgentDown() {
			t.Errorf("it is %+v, down %v", step.Outcome, r.state.AgentDown())
		}
	})
	t.Run("that locks the desk out", func(t *testing.T) {
		t.Parallel()
		m := startRemote(t, programs)
		m.on("nft", "table inet test { chain once { type filter hook input priority 0; tcp dport 22 tcp flags & (syn | ack) == syn limit rate over 1/hour burst 1 packets drop; }; }")
		r := m.killed(t)
		r.wants(t, incident.ExitPartial, "LOCKED OUT", "the desk cannot come back: ", "nft delete table inet clawback")
		if step := r.state.Steps["isolate"]; step.Status != incident.Failed || !r.state.AgentDown() || r.state.Tested.After != incident.WasSilent {
			t.Errorf("it is %+v, %+v, down %v", step.Outcome, r.state.Tested, r.state.AgentDown())
		}
		m.isolated(t)

		// Opened again, the rest is as it was.
		m.install(t, "clawback-host", "/run/host")
		m.on("/run/host", "isolate", "--undo")
		if tables := m.on("nft", "list", "tables"); strings.Contains(tables, "clawback") || !m.reaches() {
			t.Errorf("its network is not open: %s", tables)
		}
		if out, err := m.try("on", "systemctl", "start", "openclaw-gateway.service"); err == nil {
			t.Errorf("the agent could be started: %s", out)
		}
	})
}

// killed carries the kill switch out, and checks what every run has to keep to.
func (m *remote) killed(t *testing.T) ended {
	t.Helper()
	run := m.start(m.killRemote())
	r := run.wait()
	r.check(t)
	return r
}

// install puts a program beside the desk's onto the machine.
func (m *remote) install(t *testing.T, program, path string) {
	t.Helper()
	from, err := os.Open(filepath.Join(filepath.Dir(m.bin), program))
	m.must(t, err)
	defer from.Close()
	to, err := os.OpenFile(m.root+path, os.O_CREATE|os.O_WRONLY, 0o700)
	m.must(t, err)
	_, err = io.Copy(to, from)
	m.must(t, err)
	m.must(t, to.Close())
}
