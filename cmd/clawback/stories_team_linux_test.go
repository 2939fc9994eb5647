package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// storyBook has a step that another person has to approve.
const storyBook = `name: approved
title: Approved
attended: true
phases:
  - id: one
    title: One
    steps:
      - {id: stock, title: Take stock, uses: host.describe}
      - {id: look, title: Look around, uses: host.describe, approvals: 1, needs: [stock]}
      - {id: report, title: Report, uses: report.write, needs: [look]}
`

// Dana responds, and bob approves what she may not approve herself. Both see who has.
func TestStoryTwoPeople(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("github.pat")
	d.team("dana", "bob")
	book := filepath.Join(d.dir, "book.yaml")
	for path, text := range map[string]string{d.config(): "allowed_signers: " + filepath.Join(d.dir, "allowed_signers") + "\n", book: storyBook} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.env = append(d.env, "BOOK="+book, "DISK="+d.root)
	b := d.forcedBastion("", "dana", "bob") // what a forced command lets through names no playbook
	t.Cleanup(func() { b.cut(); d.endAll() })
	dana, bob, beside := d.person(b, "dana"), d.person(b, "bob"), d.person(b, "bob", d.keyring("bob"))
	dana.banner, bob.banner = "┃ REAL ┃ INC-", "┃ REAL ┃ INC-"
	dana.types("ssh -t bastion '~/clawback respond --root $DISK --playbook $BOOK'")
	dana.follow(func(text, _ string, _ []string) bool { return strings.Contains(text, "◇ Look around") })
	id := filepath.Base(d.folder())
	dana.sees("approved 0 of 1", "clawback approve "+id+" look")
	bob.types("ssh -t bastion '~/clawback attach'")
	bob.follow(func(text, _ string, _ []string) bool { return strings.Contains(text, "◇ Look around") })
	bob.sees("attached", "approved 0 of 1")
	for _, p := range []*person{dana, bob} { // what is known of the step
		p.press("Enter", "enter open")
		p.sees("Approved", "others approve it: clawback approve "+id+" look")
	}

	also := d.person(b, "dana", d.keyring("dana"))
	also.types("ssh -At bastion '~/clawback approve " + id + " look --yes'")
	also.sees("dana asked for it, and nobody approves their own request")
	also.isBack(incident.ExitApproval)
	dana.sees("Approved    0 of 1")

	beside.types("ssh -At bastion '~/clawback approve " + id + " look'")
	beside.sees("asked by", "dana", "you are", "bob", "Type  approve look  to go on: ")
	beside.run("send-keys", "-l", "approve look")
	beside.run("send-keys", "Enter")
	beside.sees("of the record holds it")
	beside.isBack(0)
	for _, p := range []*person{dana, bob} {
		p.sees("1 of 1, by bob")
	}
	for _, p := range []*person{dana, bob} {
		p.follow(leads)
		p.run("send-keys", "q")
		p.isBack(incident.ExitNothing) // there was nothing to contain
	}
	s := d.recorded()
	given := s.Approvals["look"].Given
	if s.Declared.Responder != "dana" || len(given) != 1 || given[0].By != "bob" || len(s.Refused) != 1 {
		t.Errorf("%s responds, approved %+v, refused %+v", s.Declared.Responder, given, s.Refused)
	}
	report, err := os.ReadFile(filepath.Join(d.folder(), "report.md"))
	if err != nil || !strings.Contains(string(report), "1 of 1 approvals") {
		t.Errorf("%v\n%s", err, report)
	}
	d.verified()
}

// The connection is cut in the middle of the revocation: the process at the desk lives, the record says
// how to take it back, and from the same terminal, over a new connection, it is led to its report.
func TestStoryConnectionCut(t *testing.T) {
	t.Parallel()
	d, b := sharedBastion(t, "dana")
	t.Cleanup(func() { b.cut(); d.endAll() })
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill" + atSpeed)
	dana.follow(func(_, _ string, pressed []string) bool {
		return slices.Contains(pressed, "revoke 20") && d.recorded().Decisions["revoke"].Choice == incident.Yes
	})
	at := slices.IndexFunc(childrenOf(b.cmd.Process.Pid), func(pid int) bool {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return strings.HasPrefix(string(line), d.bin+"\x00")
	})
	if at < 0 {
		t.Fatal("the drill does not run at the bastion")
	}
	pid := childrenOf(b.cmd.Process.Pid)[at]
	b.cut()
	dana.exits(255) // as ssh says it
	d.lostTerminal(pid)
	eventually(t, longEnough, "it goes on by itself, to what needs somebody", func() bool {
		state := d.recorded()
		return state.Count(credential.Dead) == 18 && state.AtWork() == ""
	})

	dana.types("ssh -t bastion attach")
	dana.sees("attached")
	text, _ := dana.follow(leads)
	if !strings.Contains(text, "20 of 20 dead") {
		t.Errorf("it does not end well\n%s", text)
	}
	dana.run("send-keys", "q")
	dana.isBack(0)
	eventually(t, longEnough, "the end of the process", func() bool { return stateOf(pid) == "" })
	if s := d.recorded(); s.Exit == nil || *s.Exit != 0 || len(s.Terminals) < 2 || s.Terminals[1].State != "attached" {
		t.Errorf("the record ends with %v, terminals %+v", s.Exit, s.Terminals)
	}
	d.verified()
}

// A terminal that changes its size all the time while the credentials are revoked neither ends the
// response nor breaks the screen, and keys count afterwards.
func TestStoryResizeStorm(t *testing.T) {
	t.Parallel()
	d, b := story(t, "dana")
	dana := d.person(b, "dana")
	dana.types("ssh -t bastion drill" + atSpeed)
	want := dana.asksToRevoke()
	_, _ = dana.Write([]byte(want))
	storm := func(from, to int) {
		for n := from; n < to; n++ {
			dana.run("resize-window", "-x", fmt.Sprint(20+n*47%281), "-y", fmt.Sprint(5+n*31%76))
		}
	}
	// whole is a screen that is as large as the terminal, from its banner to its keys.
	whole := func(w, h int) {
		dana.run("resize-window", "-x", fmt.Sprint(w), "-y", fmt.Sprint(h))
		eventually(t, longEnough, "the whole screen again", func() bool {
			rows := strings.Split(strings.TrimSuffix(dana.text(), "\n"), "\n")
			return len(rows) == h && strings.HasPrefix(rows[0], dana.banner) && strings.HasSuffix(rows[0], " dead") &&
				len([]rune(rows[0])) == w-1 && strings.Count(dana.text(), "┃ DRILL ┃") == 1 && strings.TrimSpace(rows[h-1]) != ""
		})
	}
	storm(0, 10) // of the dialog
	whole(80, 24)
	dana.press("Enter", "▸ enter")
	eventually(t, longEnough, "it is answered", func() bool { return d.recorded().Decisions["revoke"].Choice == incident.Yes })
	storm(10, 60) // while what it let go on goes on
	whole(120, 40)
	if dana.ended() || d.recorded().Exit != nil {
		t.Fatalf("it ended\n%s", dana.text())
	}
	dana.sees("● 18 of 20 dead")
	dana.stops()
	d.verified()
}
