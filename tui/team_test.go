package tui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// approval is an incident whose revocation waits for two people.
func approval(t testing.TB) *story {
	s := begun(t)
	s.done("describe", "freeze", "volatile", "files", "discover")
	s.add(incident.TypeApproval, incident.ApprovalAsked{Step: "revoke", Needs: 2, Binds: "d", By: "dana"})
	s.add(incident.TypeApproved, incident.Approved{Step: "revoke", By: "lee", Key: "SHA256:k", Binds: "d"})
	return s
}

// resumed is an incident whose first run died with a revocation in flight.
func resumed(t testing.TB) *story {
	s := begun(t)
	s.done("describe", "freeze")
	s.begin("revoke")
	s.killed(s.found("github", "github.pat", "ghp_…1xQz", nil), "401 Bad credentials")
	lost := s.found("slack", "slack.bot", "xoxb-…81Lm", nil)
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: lost})
	looked := s.found("aws", "aws.access_key", "AKIA…N2QF", nil)
	s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: looked})
	s.add(incident.TypeResumed, incident.Resumed{By: "lee", Desk: "bastion-3", Version: "test", Cut: 41})
	s.begin("revoke")
	s.add(incident.TypeProbe, incident.Probe{Fingerprint: looked, Outcome: "alive", Answer: "200 GetCallerIdentity", From: "bastion-3", Try: 1})
	return s
}

// forsaken is an incident that asks a question which nobody sees.
func forsaken(t testing.TB) *story {
	s := askingFor(t, "confirm")
	s.add(incident.TypeTerminal, incident.Terminal{State: "lost", By: "dana", Hint: "clawback attach INC-20261122-0317 takes it back"})
	return s
}

// unrecorded is an incident whose record the disk does not take.
func unrecorded(t testing.TB) *story {
	s := underFire(t)
	s.add(journal.TypeTrouble, journal.Trouble{Error: "write journal.jsonl: no space left on device"})
	return s
}

// held is an incident at its end, of which one witness holds everything and another not.
func held(t testing.TB) *story {
	s := over(t)
	s.add(incident.TypeWitness, incident.WitnessHeld{Sink: "share", Kind: "dir", Entries: 120, Checkpoint: 120})
	s.add(incident.TypeWitness, incident.WitnessHeld{Sink: "siem", Kind: "syslog", Entries: 80, Error: "dial siem:6514: connection refused"})
	return s
}

func attached(o *Options) {
	o.Attached, o.Sent = true, func(file string) bool { return file == "ours.json" }
}
func watching(o *Options) { o.Submit, o.Interrupt = nil, nil }

// as changes the options of a console.
func (k *keyboard) as(change func(*Options)) *keyboard {
	change(&k.c.o)
	return k
}

// teamScreens are settled screens of a response that is not one person's in one terminal.
var teamScreens = []struct {
	name  string
	story func(testing.TB) *story
	as    func(*Options)
	keys  []string
}{
	{"approval", approval, nil, []string{"enter"}},
	{"approval-plan", approval, nil, []string{"enter", "enter"}},
	{"break-glass", approval, nil, []string{"enter", "B", "rest", "the owner sleeps"}},
	{"break-glass-typed", approval, nil, []string{"enter", "B", "rest", "the owner sleeps", "rest", "enter", "rest", "break"}},
	{"resumed", resumed, nil, []string{"enter"}},
	{"resumed-unknown", resumed, nil, []string{"enter", "enter"}},
	{"record-lost", unrecorded, nil, []string{"enter"}},
	{"witnesses", held, nil, []string{"enter"}},
	{"watch", forsaken, watching, []string{"enter"}},
	{"watch-question", func(t testing.TB) *story { return askingFor(t, "typed") }, watching, []string{"enter", "enter", "rest", "rev"}},
	{"watch-help", forsaken, watching, []string{"enter", "?"}},
	{"attached", forsaken, attached, []string{"enter"}},
	{"attached-sent", forsaken, attached, []string{"enter", "enter", "rest", "y"}},
	{"attached-stop", forsaken, attached, []string{"enter", "Q", "rest"}},
}

func TestGoldenTeam(t *testing.T) {
	for _, sc := range teamScreens {
		for suffix, env := range map[string]map[string]string{
			"":       {"NO_COLOR": "1", "TERM": "xterm-256color"},
			".color": {"TERM": "xterm-256color"},
			".dumb":  {"TERM": "dumb"},
		} {
			name := sc.name + suffix + ".golden"
			t.Run(name, func(t *testing.T) {
				k := newKeyboard(t, sc.story(t), 80, 24, env)
				if sc.as != nil {
					k.as(sc.as)
				}
				k.press(sc.keys...)
				got := strings.ReplaceAll(k.view(), "\x1b", "␛") + "\n"
				if suffix != ".color" && strings.Contains(got, "␛") {
					t.Error("an escape without colours")
				}
				golden(t, "testdata/team/"+name, got)
			})
		}
	}
}

// What goes out at an approval is what was typed, and nothing leads there by itself.
func TestApprovalKeys(t *testing.T) {
	k := newKeyboard(t, approval(t), 80, 24, nil)
	k.press("enter")
	if next := k.c.run.next(k.c); next != "" {
		t.Errorf("%q is suggested where others have to act", next)
	}
	k.press("B", "x", "rest", "enter") // neither before the pause nor without a reason
	if len(k.sent) != 0 {
		t.Fatalf("sent %s", commands(k.sent))
	}
	k.press("rest", "no one answers", "rest", "enter", "rest", "break glass revoke", "rest", "enter")
	k.press("rest", "s", "rest", "the keys are dead already", "rest", "enter")
	want := []incident.Command{
		{Kind: incident.Break, Step: "revoke", Text: "no one answers", By: "dana"},
		{Kind: incident.LeaveOut, Step: "revoke", Text: "the keys are dead already", By: "dana"},
	}
	if len(k.sent) != len(want) {
		t.Fatalf("sent %s", commands(k.sent))
	}
	for i, c := range k.sent {
		if c.Step == nil || *c.Step != want[i] {
			t.Errorf("sent %+v, want %+v", c.Step, want[i])
		}
	}
}

// To leave a console of a response that runs elsewhere never ends the response.
func TestGuestsOnlyLeave(t *testing.T) {
	for name, as := range map[string]func(*Options){"attached": attached, "watching": watching} {
		for _, key := range []string{"q", "ctrl+c"} {
			k := newKeyboard(t, underFire(t), 80, 24, nil).as(as)
			k.press("enter", key)
			if !k.quit || k.asks != 0 {
				t.Errorf("%s, %s: quit %v, asked the response to end %d times", name, key, k.quit, k.asks)
			}
		}
		k := newKeyboard(t, askingFor(t, "typed"), 80, 24, nil).as(as)
		k.press("enter", "enter", "ctrl+c") // from within a question
		if !k.quit || k.asks != 0 {
			t.Errorf("%s: quit %v, asked %d times", name, k.quit, k.asks)
		}
	}
}

func TestAttachedStops(t *testing.T) {
	k := newKeyboard(t, underFire(t), 80, 24, nil).as(attached)
	k.press("enter", "Q", "rest", "enter")
	if k.asks != 0 {
		t.Fatal("enter stopped it: the default is No")
	}
	k.press("rest", "Q", "rest", "y")
	if k.asks != 1 || k.quit {
		t.Errorf("asked %d times, quit %v", k.asks, k.quit)
	}
	k.wants("stopping after the steps under way")

	k = newKeyboard(t, underFire(t), 80, 24, nil).as(attached)
	k.c.o.Interrupt = func() error { return errors.New("the inbox is full") }
	k.press("enter", "Q", "rest", "y")
	k.wants("the inbox is full")
	if k.c.stopping {
		t.Error("it says that the response stops, and nobody was told")
	}
}

func TestWatchingSendsNothing(t *testing.T) {
	k := newKeyboard(t, forsaken(t), 80, 24, nil).as(watching)
	if next := k.c.run.next(k.c); next != "" {
		t.Errorf("%q is suggested to who only watches", next)
	}
	k.press("enter", "n")
	k.wants("note: not now, this console only watches")
	k.press("enter", "rest", "y", "enter", "esc")
	k.wants("NEEDS SOMEBODY  1")
	if len(k.sent) != 0 {
		t.Errorf("sent %s", commands(k.sent))
	}
	if k.c.globalKeys()[1].text != "leave, it goes on" {
		t.Errorf("q says %q", k.c.globalKeys()[1].text)
	}
	for _, b := range k.c.globalKeys() {
		if b.label == "Q" {
			t.Error("who watches can stop the response")
		}
	}
}

// An answer that was sent is neither asked again nor shown as given, until the record shows it or
// says that it was not taken.
func TestSentUntilRecorded(t *testing.T) {
	s := forsaken(t)
	k := newKeyboard(t, s, 80, 24, nil).as(attached)
	k.press("enter", "enter", "rest", "y")
	k.wants("1 sent, not on record yet", "NEEDS YOU  nothing")

	n := len(s.entries)
	s.add(incident.TypeRefused, incident.InboxRefused{File: "theirs.json", Why: "it is for another incident"})
	k.send(entriesMsg(s.entries[n:]))
	if v := k.view(); strings.Contains(v, "not taken") {
		t.Errorf("what somebody else sent is said to be ours\n%s", v)
	}
	n = len(s.entries)
	s.add(incident.TypeRefused, incident.InboxRefused{File: "ours.json", Why: "that question is not open"})
	k.send(entriesMsg(s.entries[n:]))
	k.wants("not taken: that question is not open", "NEEDS YOU  1")

	k.press("rest", "enter", "rest", "y")
	n = len(s.entries)
	s.add(incident.TypeAnswered, incident.Answer{Question: k.c.rec.Open[0].ID, Choice: incident.Yes, By: "dana"})
	k.send(entriesMsg(s.entries[n:]))
	if v := k.view(); strings.Contains(v, "not on record yet") || k.c.rec.sent(k.c.answered) != 0 {
		t.Errorf("it is on record\n%s", v)
	}
}

// ctrl+z is refused with a reason as long as anything goes on by itself.
func TestSuspend(t *testing.T) {
	waiting := func(t testing.TB) *story { return askingFor(t, "confirm") }
	sent := func(t testing.TB) *story {
		s := begun(t)
		s.begin("revoke")
		s.add(incident.TypeRevoke, incident.Revoke{Fingerprint: s.found("github", "github.pat", "ghp_…1xQz", nil)})
		return s
	}
	frozen := func(t testing.TB) *story { s := begun(t); s.begin("freeze"); return s }
	proof := func(t testing.TB) *story {
		s := begun(t)
		s.begin("revoke")
		s.life(s.found("github", "github.pat", "ghp_…1xQz", nil), credential.Accepted, nil)
		return s
	}
	for name, c := range map[string]struct {
		story func(testing.TB) *story
		as    func(*Options)
		keys  []string
		why   string
	}{
		"a revocation in flight":       {sent, nil, nil, "the revocation of github ghp_…1xQz is under way"},
		"a step that changes the host": {frozen, nil, nil, "Freeze the agent is under way"},
		"a proof":                      {proof, nil, nil, "the proof of github ghp_…1xQz goes on"},
		"a question":                   {waiting, nil, nil, ""},
		"an answer on its way":         {waiting, nil, []string{"enter", "enter", "rest", "y"}, "what you sent is being taken up"},
		"no shell":                     {waiting, func(o *Options) { o.Suspend = nil }, nil, "no shell to come back to"},
		"somebody else's response":     {sent, attached, nil, ""},
		"a response that is watched":   {sent, watching, nil, ""},
		"the end":                      {over, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, c.story(t), 80, 24, nil)
			k.c.o.Suspend = func() error { return nil }
			if c.as != nil {
				k.as(c.as)
			}
			k.press(c.keys...)
			cmd := k.c.suspend()
			if refused := cmd == nil; refused != (c.why != "") {
				t.Fatalf("refused: %v, want the reason %q", refused, c.why)
			}
			if c.why != "" {
				k.wants("not now, ", c.why)
			}
		})
	}
}

// The one who stops asks again at the last moment, and may find a reason.
func TestSuspendRefusedLate(t *testing.T) {
	k := newKeyboard(t, begun(t), 80, 24, nil)
	k.send(awakeMsg{errors.New("the revocation of x is under way")})
	k.wants("ctrl+z suspend: the revocation of x is under way")
}

// A terminal that hangs up ends the console and says so; a reader that ends is not mistaken for it.
func TestRunWithoutItsTerminal(t *testing.T) {
	terminal, out := newTerminal(t)
	ran := make(chan error, 1)
	interrupted := false
	go func() {
		ran <- Run(t.Context(), Options{
			Journal: &list{entries: underFire(t).entries}, Input: terminal, Output: terminal, Getenv: func(string) string { return "" },
			Submit:    func(context.Context, engine.Command) error { return nil },
			Interrupt: func() error { interrupted = true; return nil },
		})
	}()
	out.waitFor(t, "Freeze the agent")
	_ = out.pty.Close()
	select {
	case err := <-ran:
		if !errors.Is(err, ErrTerminal) || interrupted {
			t.Errorf("it ended with %v; asked the response to end: %v", err, interrupted)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on without a terminal")
	}
}

var _ tea.ExecCommand = suspension{}
