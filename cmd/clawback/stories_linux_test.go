package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// The stories are what people go through, each over a real ssh and sshd: what they see, what is on
// record, and how their terminal is left.

// atSpeed is a drill of a world that is always the same.
const atSpeed = " --seed 9 --speed " + drillSpeed

// Somebody whose bastion has no configuration and never saw an incident is told what can be begun and
// what is missing, and begins a drill from there.
func TestStoryFirstRun(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.keys("dana")
	dana := d.person(d.bastion("dana"), "dana")
	dana.types("ssh -t bastion")
	dana.sees("Something is wrong", "Drill: nothing real is touched. There was none here yet", "Readiness: ", "there is no configuration", "▸ ")
	dana.press("d", "? help")
	dana.sees(dana.banner)
	text, _ := dana.follow(func(text, _ string, _ []string) bool { return strings.Contains(text, "waiting for you") })
	if !strings.Contains(text, "nothing is frozen yet") {
		t.Errorf("it does not say that nothing is frozen yet\n%s", text)
	}
	dana.stops()
	dana.sees("exit 130")
	if s := d.recorded(); s.Declared.Mode != incident.Drill || !strings.HasPrefix(s.Declared.Responder, "SHA256:") || s.Frozen != nil || *s.Exit != incident.ExitInterrupted {
		t.Errorf("the record has %+v, frozen %v, exit %v", s.Declared, s.Frozen, s.Exit)
	}
	d.verified()
}

// Who presses the highlighted key and nothing else gets from the first screen to the report.
func TestStoryHappyPath(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana")
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill" + atSpeed)
	text, pressed := dana.follow(leads)
	for _, want := range []string{"20 of 20 dead", "# DRILL: post-incident report", "report.md  DRILL: post-incident report", "rows 1 to"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not show %q after %v\n%s", want, pressed, text)
		}
	}
	dana.run("send-keys", "q")
	dana.isBack(0)
	dana.sees("exit 0. Report: ")
	if !coloured.Match(dana.sent()) {
		t.Error("it shows no colour") // as TestStoryNoColor relies on
	}
	if s := d.recorded(); *s.Exit != 0 || s.Count(credential.Dead) != 20 || s.Declared.Responder != "dana" {
		t.Errorf("the record ends with %v, %d dead, by %s", *s.Exit, s.Count(credential.Dead), s.Declared.Responder)
	}
	d.verified()
}

// A provider that never answers leaves its own credentials unproved, says why, and holds nothing else up.
func TestStoryProviderDown(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana")
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill provider-hangs" + atSpeed)
	text, _ := dana.follow(leads)
	if !strings.Contains(text, "● 15 of 20 dead") || !strings.Contains(text, "■ ended, exit 5: credentials are unproved") {
		t.Errorf("it does not end as it should\n%s", text)
	}
	dana.press("Escape", "esc back")
	text = dana.sees("CREDENTIALS  20")
	if n := strings.Count(text, "? unverified  slack"); n != 5 {
		t.Errorf("%d of 5 are shown as unverified\n%s", n, text)
	}
	dana.press("Enter", "enter open") // the topmost
	dana.sees(" slack xox", "? unverified", "may or may not have reached the provider", "revoke it in the provider's own console", "no answer within")
	dana.press("q", "q leave")
	dana.isBack(incident.ExitUnproved)
	dana.sees("exit 5. Report: ")

	s, unproved := d.recorded(), false
	for e, err := range journal.Read(d.folder()) {
		if err != nil {
			t.Fatal(err)
		}
		var life incident.Life
		if e.Type != incident.TypeLife || e.Decode(&life) != nil {
			continue
		}
		switch c := s.Credential(life.Fingerprint); {
		case c.Provider == "slack":
			unproved = unproved || life.Life == credential.Unverified
			if life.Life == credential.Dead || life.Life == credential.Unverified && life.Error == "" {
				t.Errorf("%s is %s: %q", c, life.Life, life.Error)
			}
		case unproved:
			t.Errorf("%s becomes %s after what is held up", c, life.Life)
		}
	}
	if s.Count(credential.Dead) != 15 || s.Count(credential.Unverified) != 5 || *s.Exit != incident.ExitUnproved {
		t.Errorf("%d dead, %d unverified, exit %d", s.Count(credential.Dead), s.Count(credential.Unverified), *s.Exit)
	}
	d.verified()
}

// What only a person can revoke: o puts the page's address into the clipboard at their end, m has it
// proved, and what they leave alone has their reason.
func TestStoryManualStep(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana")
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill" + atSpeed)
	const link = "https://dashboard.stripe.com/apikeys"
	text, _ := dana.follow(func(_, leads string, _ []string) bool { return strings.HasPrefix(leads, "copy its link") })
	for _, want := range []string{"NEEDS YOU  2", "▸ ◇ stripe sk_live_", strings.TrimPrefix(link, "https://")} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not show %q\n%s", want, text)
		}
	}
	dana.run("send-keys", "o")
	dana.sees("copied: " + link)
	if osc52 := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(link)) + "\a"; !bytes.Contains(dana.sent(), []byte(osc52)) {
		t.Errorf("the terminal was not sent %q", osc52)
	}
	dana.press("m", "▸ m")
	dana.sees("You revoked it at stripe yourself")
	dana.press("y", "▸ y")
	eventually(t, longEnough, "its death", func() bool { return d.recorded().Count(credential.Dead) == 19 })
	dana.sees("● 19 of 20 dead", "NEEDS YOU  1")

	const reason = "the shop takes payments until six"
	dana.press("s", "s skip")
	dana.sees("Nothing more is done about it", "esc back") // and keys count
	dana.run("send-keys", "-l", reason)
	dana.press("Enter", "▸ enter")
	dana.sees("left alone by a decision", "waiting for you: Find the first thing") // nothing else holds it up
	s, all := d.recorded(), d.commands()
	for _, c := range s.Credentials {
		by := func(kind, text string) bool {
			return slices.ContainsFunc(all, func(a incident.Command) bool {
				return a.Credential == c.Fingerprint && a.Kind == kind && a.By == "dana" && a.Text == text
			})
		}
		switch {
		case c.Life == credential.Skipped:
			if !by(incident.Skip, reason) || c.Decision.Text != reason {
				t.Errorf("%s is left alone: %+v, by %+v", c, c.Decision, all)
			}
		case c.Manual && !by(incident.ByHand, ""):
			t.Errorf("%s is %s, and nobody did it by hand: %+v", c, c.Life, all)
		}
	}
	if len(all) != 2 {
		t.Errorf("commands %+v", all)
	}
	dana.stops()
	d.verified()
}

// NO_COLOR that is set at the near end holds at the far one: no colour is sent, and states are words and
// symbols.
func TestStoryNoColor(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana")
	dana := d.person(b, "dana", "NO_COLOR=1")
	dana.types("ssh -o SendEnv=NO_COLOR -t bastion drill" + atSpeed)
	dana.follow(func(_, leads string, _ []string) bool { return strings.HasPrefix(leads, "copy its link") })
	dana.sees("┃ DRILL ┃", "✓ Freeze", "▸ ◇ stripe", "✓ dead", "▸ o  copy its link")
	dana.stops()
	if found := coloured.Find(dana.sent()); found != nil {
		t.Errorf("it sends %q", found)
	}
	if !bytes.Contains(dana.sent(), []byte("┃ DRILL ┃")) {
		t.Error("nothing of the console is in what was sent")
	}
}

// A whole drill by numbers, for who listens to it: no byte steers the terminal. Others attach and watch in
// the same way.
func TestStoryAccessible(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana", "bob")
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill --accessible" + atSpeed)
	dana.sees("Choice: ")
	for _, other := range []string{"attach", "watch"} {
		bob := d.person(b, "bob")
		bob.types("ssh -t bastion " + other + " --accessible")
		bob.sees("DRILL. Incident DRILL-", "You are bob.")
		bob.run("send-keys", "C-c")
		bob.isBack(0)
		if bytes.ContainsRune(bob.sent(), '\x1b') {
			t.Errorf("%s: an escape in %q", other, bob.sent())
		}
	}
	typed := byNumbers(t, dana, dana.sent, dana.ended)
	dana.isBack(0)
	if !slices.ContainsFunc(typed, func(s string) bool { return strings.HasPrefix(s, "revoke ") }) {
		t.Errorf("typed: %q", typed)
	}
	for _, want := range []string{"DRILL. Incident DRILL-", "You are dana.", "20 of 20 dead", "1 read the report, 2 leave. Choice: ", "## "} {
		if !bytes.Contains(dana.sent(), []byte(want)) {
			t.Errorf("%q was never said\n%s", want, dana.sent())
		}
	}
	if bytes.ContainsRune(dana.sent(), '\x1b') {
		t.Errorf("an escape in %q", dana.sent())
	}
	if s := d.recorded(); s.Exit == nil || *s.Exit != incident.ExitContained {
		t.Errorf("the record ends with %v", s.Exit)
	}
	d.verified()
}

// asksToRevoke follows the keys until the screen wants it typed that all is revoked, and returns what
// it wants.
func (s *screen) asksToRevoke() string {
	s.t.Helper()
	text, _ := s.follow(func(text, _ string, _ []string) bool {
		want := wanted.FindStringSubmatch(text)
		return want != nil && strings.HasPrefix(want[1], "revoke ") && strings.Contains(text, "once it is typed")
	})
	return wanted.FindStringSubmatch(text)[1]
}

// A clipboard that holds the very text that a dialog wants, with its enter, answers nothing, whether
// the terminal says that it is a paste or not. Who types it goes on.
func TestStoryPasteAttack(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana")
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill" + atSpeed)
	want := dana.asksToRevoke()
	dana.run("set-buffer", "--", want+"\n")
	for _, paste := range [][]string{{"paste-buffer", "-p"}, {"paste-buffer"}} { // marked, and not
		before := dana.text()
		dana.run(paste...)
		eventually(t, longEnough, "the paste is refused", func() bool {
			text := dana.text()
			return text != before && (strings.Contains(text, "a paste approves nothing") || strings.Contains(text, "too fast to be read"))
		})
		if answered := d.recorded().Answered; strings.Contains(fmt.Sprint(answered), want) {
			t.Fatalf("%v answered: %+v", paste, answered)
		}
		dana.run("send-keys", "C-u")
		eventually(t, longEnough, "the field is empty", func() bool { in := typed.FindStringSubmatch(dana.text()); return in != nil && in[1] == "" })
	}
	dana.run("send-keys", "-l", want)
	dana.press("Enter", "▸ enter")
	eventually(t, longEnough, "who types it goes on", func() bool { return strings.Contains(fmt.Sprint(d.recorded().Answered), want) })
	dana.stops()
	d.verified()
}
