package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/drill/tree"
)

// The desk dies while the evidence comes over the wire: nothing thaws the agent meanwhile, and a resumed
// run takes the evidence whole, then kills it.
func TestRealRemoteDeskDiesInCapture(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t), "slack.bot")
	hold := filepath.Join(m.place, "hold")
	m.must(t, os.WriteFile(hold, nil, 0o600))
	m.write(tree.StateDir+"/logs/zz-gateway.log", strings.Repeat("a line of a log\n", 1<<20))
	run := m.start(m.killRemote())
	eventually(t, time.Minute, "its evidence is on the way, and the machine cut off", func() bool {
		_, err := os.Stat(filepath.Join(m.place, "held-capture"))
		return err == nil && bytes.Contains(run.stdout.bytes(), []byte(`"`+incident.TypeIsolationTested+`"`))
	})
	m.must(t, run.cmd.Process.Kill())
	run.wait()
	m.must(t, os.Remove(hold))
	if !m.frozen() || m.record().Stopped != nil {
		t.Error("the agent does not stand still, or was killed without its evidence")
	}
	acts := len(m.actsSince(t, time.Time{}))

	again := m.start(m.atDesk("resume", "--json", "--config", m.config()))
	r := again.wait()
	r.check(t)
	r.wants(t, incident.ExitContained, "contained")
	m.sealedBags(t, r)
	if n := len(m.actsSince(t, time.Time{})); n != acts {
		t.Errorf("the agent acted %d times since the desk died", n-acts)
	}
}
