package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
)

// The questions of the review are answered from the draft of the report, in lines, through a change of
// size, and stand in the report that is written after them; what is left open is listed there.
func TestTerminalReview(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := d.screen("drill", "--speed", drillSpeed, "--seed", "9")
	const asks = "Your answer, for the report"
	s.follow(func(text, _ string, _ []string) bool { return strings.Contains(text, asks) })
	shows := func(what string) {
		t.Helper()
		eventually(t, 30*time.Second, what, func() bool { return strings.Contains(s.text(), what) })
	}
	s.press("Escape", "▸ ctrl+s")
	s.press("v", "▸ enter")
	shows("draft, not written yet")
	shows("post-incident report")
	s.press("a", "▸ esc")
	shows("▸ ctrl+s")
	s.run("send-keys", "-l", "by a mail, at 02:51")
	shows("02:51▏")
	s.run("send-keys", "Enter")
	s.run("resize-window", "-x", "62", "-y", "16")
	shows(asks)
	s.run("resize-window", "-x", "80", "-y", "24")
	s.run("send-keys", "-l", "漢字 in it")
	shows("漢字 in it▏")
	s.press("C-s", "▸ ctrl+s")
	shows("waiting for you: What was accessed or done?")
	s.follow(func(_, leads string, _ []string) bool { return strings.HasPrefix(leads, "leave") })
	s.run("send-keys", "q")
	s.exits(0)

	state := d.recorded()
	all := state.Written()
	if len(all) != len(incident.ReviewQuestions) || all[0].Answer.Text != "by a mail, at 02:51\n漢字 in it" || len(state.Unwritten()) != len(all)-1 {
		t.Errorf("%+v", all)
	}
	text, err := os.ReadFile(state.Report.Markdown)
	for _, want := range []string{"answered `How did they get in?` in writing:", "漢字 in it", "- `Which controls failed?`: `left open by "} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: the report lacks %q", err, want)
		}
	}
}
