package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// From Home to the report of a real response by the marked key alone, over a machine that is reached by ssh
// alone: its agent is killed for real, and its credentials are revoked at servers on loopback.
func TestRealHomeToReport(t *testing.T) {
	t.Parallel()
	m := startRemote(t, buildPrograms(t), "github.pat", "slack.bot")
	config, err := os.OpenFile(m.config(), os.O_APPEND|os.O_WRONLY, 0)
	m.must(t, err)
	text := "hosts: [root@web-1]\nendpoints:\n"
	for _, arg := range m.city.args {
		if name, url, ok := strings.Cut(arg, "="); ok {
			text += fmt.Sprintf("  %s: %s\n", name, url)
		}
	}
	_, err = config.WriteString(text)
	m.must(t, err)
	m.must(t, config.Close())

	s := m.screenOf(fmt.Sprintf("nsenter -t %d -m -n --wd=%s -- %s", m.deskPID, m.dir, m.bin))
	s.banner, s.most = "┃ REAL ┃ INC-", 4*time.Minute
	pressed := s.leavesHome()
	if got := strings.Join(pressed, " "); got != "Enter Enter Enter Enter Enter" {
		t.Errorf("in Home: %s", got)
	}
	shown, _ := s.follow(leads)
	for _, want := range []string{"2 of 2 dead", "# REAL: post-incident report", "report.md  REAL: post-incident report", "rows 1 to"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the report does not show %q\n%s", want, shown)
		}
	}
	for _, h := range m.held {
		if m.city.fakes[h.Provider].Alive(h) {
			t.Errorf("%s is alive", h.Kind)
		}
	}
	if state := m.recorded(); state.Declared.Mode != incident.Real || state.Declared.Target != "root@web-1" || !state.Declared.Attended {
		t.Errorf("declared %+v", state.Declared)
	}
}
