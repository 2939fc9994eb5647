package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/creack/pty"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

var update = flag.Bool("update", false, "write the goldens anew")

// night is a record that grows by a clock of its own.
type night struct {
	t   *testing.T
	now time.Time
	j   *journal.Journal
}

func newNight(t *testing.T, change func(*incident.Declared)) *night {
	n := &night{t: t, now: time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)}
	n.j = journal.InMemory(func() time.Time { return n.now })
	d := incident.Declared{
		Incident: "INC-20261122-0317", Mode: incident.Real, Playbook: "kill-switch",
		Target: "root@web-1", Remote: true, Responder: "alice", Desk: "bastion-2",
	}
	if change != nil {
		change(&d)
	}
	return n.note(incident.TypeDeclared, d)
}

func (n *night) after(d time.Duration) *night { n.now = n.now.Add(d); return n }

func (n *night) note(typ string, data any) *night {
	n.t.Helper()
	if err := n.j.Note(typ, data); err != nil {
		n.t.Fatal(err)
	}
	return n
}

func (n *night) find(provider, masked string, print byte) credential.Fingerprint {
	f := credential.Fingerprint(strings.Repeat(string(print), 64))
	n.note(incident.TypeFound, incident.Found{Credential: credential.Credential{Provider: provider, Masked: masked, Fingerprint: f,
		Sources: []credential.Source{{Path: "home/claw/.openclaw/.env", Line: 3}}}})
	return f
}

func (n *night) life(f credential.Fingerprint, l credential.Life, evidence, err, hint string) *night {
	return n.note(incident.TypeLife, incident.Life{Fingerprint: f, Life: l, Evidence: evidence, Error: err, Hint: hint})
}

func (n *night) probe(f credential.Fingerprint, outcome, answer string) *night {
	return n.note(incident.TypeProbe, incident.Probe{Fingerprint: f, Outcome: outcome, Answer: answer})
}

// contain records everything that an agent's containment needs but credentials.
func (n *night) contain() *night {
	return n.note(incident.TypeFrozen, incident.Frozen{Processes: 14, TookMS: 31, Complete: true}).
		note(incident.TypeSealed, incident.Sealed{Part: "files", Files: 212, Bytes: 1_400_000_000}).
		note(incident.TypeSearched, incident.Searched{Files: 40, Bytes: 9000}).
		note(incident.TypeStopped, incident.Stopped{Killed: 14}).
		note(incident.TypeChecked, incident.Checked{Down: true, Proof: []string{"no process of the agent"}})
}

// show ends the record and hands it to printers, entry by entry.
func (n *night) show(report string, printers ...printer) []journal.Entry {
	n.t.Helper()
	if err := n.j.Close(); err != nil {
		n.t.Fatal(err)
	}
	var s incident.State
	var all []journal.Entry
	for cursor := n.j.Cursor(); ; {
		e, err := cursor.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			n.t.Fatal(err)
		}
		s = incident.Fold(s, e)
		for _, p := range printers {
			p.entry(s, e)
		}
		all = append(all, e)
	}
	for _, p := range printers {
		p.summary(s.Summarize(report))
	}
	return all
}

func text(n *night, report string) string {
	var out bytes.Buffer
	n.show(report, newTextPrinter(&out, environment{"TERM": "xterm"}))
	return out.String()
}

func partialNight(t *testing.T) *night {
	n := newNight(t, nil).after(time.Second)
	n.note(incident.TypeFrozen, incident.Frozen{Processes: 14, TookMS: 31, Complete: true}).after(time.Second)
	a, b := n.find("github", "ghp_…1xQz", 'a'), n.find("github", "ghp_…Tr7u", 'b')
	gitlab, stripe, aws := n.find("gitlab", "glpat…c0", 'c'), n.find("stripe", "sk_live_…9fQ2", 'd'), n.find("aws", "AKIA…N2QF", 'e')
	n.life(stripe, credential.Manual, "", "only a person can revoke it", "roll it: https://dashboard.stripe.com/apikeys")
	for _, f := range []credential.Fingerprint{a, b} {
		n.note(incident.TypeRevoke, incident.Revoke{Fingerprint: f, Batch: 2})
	}
	n.note(incident.TypeRevoke, incident.Revoke{Fingerprint: aws}).note(incident.TypeRevoke, incident.Revoke{Fingerprint: gitlab})
	n.note(incident.TypeReceipt, incident.Receipt{Fingerprint: a, Answer: "202 Accepted"})
	n.note(incident.TypeReceipt, incident.Receipt{Fingerprint: b, Answer: "202 Accepted", Already: true})
	n.note(incident.TypeReceipt, incident.Receipt{Fingerprint: aws, Answer: "200", Left: []string{"role sessions, up to 36 h"}})
	for range 5 {
		n.after(time.Second).probe(aws, "alive", "200 arn:aws:iam::1:user/deploy")
	}
	n.probe(aws, "inconclusive", "503").probe(aws, "alive", "200 arn:aws:iam::1:user/deploy").probe(a, "refused", "401 Bad credentials")
	n.after(5*time.Second).life(a, credential.Dead, "401 ×3 over 12s, seen from bastion-2", "", "")
	n.note(incident.TypeLife, incident.Life{Fingerprint: b, Life: credential.Dead, Evidence: "401 ×3 over 12s, seen from bastion-2", Weak: true})
	n.life(gitlab, credential.Alive, "", "it still answers: 403", "its owner needs api scope").after(30 * time.Second)
	n.life(aws, credential.Dead, "403 ×4 over 30s, seen from bastion-2", "", "")
	n.note(incident.TypeSealed, incident.Sealed{Part: "files", Files: 212, Bytes: 1_400_000_000})
	n.note(incident.TypeSearched, incident.Searched{Files: 40, Bytes: 9000})
	n.note(incident.TypeStopped, incident.Stopped{Killed: 14}).note(incident.TypeChecked, incident.Checked{Down: true, Proof: []string{"no process of the agent"}})
	return n.after(time.Second).note(incident.TypeReport, incident.Report{Markdown: "/var/lib/report.md"})
}

// teamNight is a response that several people and two runs had a part in.
func teamNight(t *testing.T) *night {
	n := newNight(t, nil)
	n.note(incident.TypePlan, incident.Plan{Phases: []incident.PlanPhase{{ID: "revoke", Steps: []incident.PlanStep{
		{ID: "revoke", Title: "Revoke all", Uses: "credentials.revoke", Approvals: 2},
	}}}})
	n.note(incident.TypeApproval, incident.ApprovalAsked{Step: "revoke", Needs: 2, Binds: "d", By: "alice"})
	n.after(time.Minute).note(incident.TypeApproved, incident.Approved{Step: "revoke", By: "bo", Key: "SHA256:k", Binds: "d"})
	n.note(incident.TypeRefused, incident.InboxRefused{File: "m.json", Why: "bo has approved it already"})
	n.note(incident.TypeBreakGlass, incident.BreakGlass{Step: "revoke", By: "alice", Reason: "nobody answers the phone"})
	n.note(incident.TypeStepIntent, incident.StepIntent{Step: "revoke"})
	f := n.find("slack", "xoxb-…81", 'a')
	n.note(incident.TypeRevoke, incident.Revoke{Fingerprint: f})
	n.note(incident.TypeTerminal, incident.Terminal{State: "lost", By: "alice", Hint: "clawback attach INC-20261122-0317 takes it back"})
	n.after(time.Minute).note(incident.TypeResumed, incident.Resumed{By: "bo", Desk: "bastion-3", Cut: 41})
	n.note(incident.TypeTerminal, incident.Terminal{State: "attached", By: "cy"})
	return n.note(incident.TypeWitness, incident.WitnessHeld{Sink: "siem", Kind: "syslog", Entries: 8, Error: "connection refused"})
}

func TestTextPrinterGolden(t *testing.T) {
	for name, n := range map[string]*night{
		"partial": partialNight(t),
		"drill": func() *night {
			n := newNight(t, func(d *incident.Declared) { d.Mode = incident.Drill }).contain()
			f := n.find("slack", "xoxb-…81", 'a')
			n.note(incident.TypeRevoke, incident.Revoke{Fingerprint: f}).after(4*time.Second).life(f, credential.Dead, "token_revoked ×2 over 4s", "", "")
			return n.note(incident.TypeAdversary, incident.Adversary{CallsAfterAlarm: 7})
		}(),
		"team":        teamNight(t),
		"interrupted": newNight(t, nil).note(incident.TypeInterrupted, incident.Interrupted{Signal: "interrupt"}),
	} {
		t.Run(name, func(t *testing.T) {
			got := text(n, "/var/lib/report.md")
			path := filepath.Join("testdata", "print-"+name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("not as in %s; look at the difference and run go test -update:\n%s", path, got)
			}
		})
	}
}

// The last line says in a word how it ended, with the exit code, whatever happened.
func TestVerdictLine(t *testing.T) {
	one := func(l credential.Life, reason string) func(*night) {
		return func(n *night) {
			f := n.contain().find("aws", "AKIA…", 'a')
			n.note(incident.TypeLife, incident.Life{Fingerprint: f, Life: l, Reason: reason})
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*incident.Declared)
		do     func(*night)
		want   string
	}{
		{"contained", nil, one(credential.Dead, ""), "contained    1 dead   exit 0"},
		{"drill", func(d *incident.Declared) { d.Mode = incident.Drill }, one(credential.Dead, ""), "contained    1 dead   exit 0   DRILL"},
		{"no credential", nil, func(n *night) { n.contain() }, "contained    no credential on record   exit 0"},
		{"alive", nil, one(credential.Alive, ""), "partial      1 alive   exit 3"},
		{"authority", nil, one(credential.Failed, incident.ReasonAuthority), "authority    1 failed   exit 4"},
		{"unproved", nil, one(credential.Unverified, incident.ReasonDeadline), "unproved     1 unproved   exit 5"},
		{"accepted is unproved", nil, one(credential.Accepted, ""), "partial      1 unproved   exit 3"},
		{"manual", nil, one(credential.Manual, ""), "manual       1 manual   exit 6"},
		{"nothing", nil, func(*night) {}, "nothing      no credential on record   exit 1"},
		{"terminated", nil, func(n *night) { n.note(incident.TypeInterrupted, incident.Interrupted{Signal: "terminated"}) }, "terminated   no credential on record   exit 143"},
		{"dry run", func(d *incident.Declared) { d.DryRun = true }, func(n *night) {
			n.note(incident.TypePlan, incident.Plan{Phases: []incident.PlanPhase{{ID: "p"}}})
		}, "planned      dry run, nothing was changed   exit 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNight(t, tt.change)
			tt.do(n)
			lines := strings.Split(strings.TrimSuffix(text(n, ""), "\n"), "\n")
			if got := lines[len(lines)-1]; got != "03:17:00 "+tt.want {
				t.Errorf("the last line is %q, want %q", got, "03:17:00 "+tt.want)
			}
		})
	}
	if got := verdict(99, false); got != "failed" {
		t.Errorf("an unknown exit code is %q, want failed", got)
	}
}

// A thing that a thousand credentials need is one hint, and a thousand different ones are bounded.
func TestHintsAreCollapsed(t *testing.T) {
	n := newNight(t, nil).contain()
	for i := range 300 {
		f := credential.Fingerprint(fmt.Sprintf("%064d", i))
		n.note(incident.TypeFound, incident.Found{Credential: credential.Credential{Provider: "aws", Masked: fmt.Sprintf("AKIA…%04d", i), Fingerprint: f,
			Sources: []credential.Source{{Path: "x"}}}})
		hint := "name an authority for aws"
		if i >= 200 {
			hint = fmt.Sprint("hint number ", i)
		}
		n.life(f, credential.Failed, "", "no authority", hint)
	}
	out := text(n, "/r.md")
	hints := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "hint: ") {
			hints++
		}
	}
	if hints != maxHints+1 || !strings.Contains(out, "hint: aws AKIA…0000 and 199 more: not revoked: no authority: name an authority for aws\n") ||
		!strings.Contains(out, "hint: 89 more of this kind: see the report\n") {
		t.Errorf("%d hints:\n%s", hints, out)
	}
	if n := strings.Count(out, "found  "); n != maxEach+3 { // and one at 100, 200, 300
		t.Errorf("%d lines for 300 finds", n)
	}
	if n := strings.Count(out, " failed       aws"); n != 300 {
		t.Errorf("%d lines for 300 failures: none may be left out", n)
	}
}

// What the host says reaches the terminal as text alone.
func TestTextPrinterIsSafe(t *testing.T) {
	evil := "\x1b]0;owned\a\x1b[2J\r\nhint: all is well \u202e\u009b31m\x00"
	n := newNight(t, func(d *incident.Declared) { d.Target, d.Responder, d.Incident, d.Mode = evil, evil, evil, evil })
	n.note(incident.TypeDescribed, incident.Described{Installations: []string{evil}})
	n.note(incident.TypeFrozen, incident.Frozen{Problems: []string{evil}}).note(incident.TypeChecked, incident.Checked{Problems: []string{evil}})
	f := n.find(evil, evil, 'a')
	n.note(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Left: []string{evil}}).probe(f, "alive", evil)
	n.note(incident.TypeRevoke, incident.Revoke{Fingerprint: f, Batch: 2}).note(incident.TypeRevoke, incident.Revoke{Fingerprint: f, Batch: 2})
	n.life(f, credential.Life(evil), evil, evil, evil).note(incident.TypeWarning, incident.Warning{Text: strings.Repeat(evil, 10000), Hint: evil})
	n.note(incident.TypeAsked, incident.Question{ID: "q", Title: evil}).note(journal.TypeTrouble, journal.Trouble{Error: evil})
	out := text(n, evil)
	for _, r := range out {
		if r != '\n' && r != ' ' && !unicode.IsPrint(r) {
			t.Fatalf("%U reaches the terminal:\n%s", r, out)
		}
	}
	if strings.Contains(out, "\nhint: all is well") {
		t.Errorf("the host wrote a line of its own:\n%s", out)
	}
	if len(out) > 32<<10 {
		t.Errorf("%d bytes for a few entries", len(out))
	}
}

func TestJSONPrinter(t *testing.T) {
	var out bytes.Buffer
	all := partialNight(t).show("/var/lib/report.md", newJSONPrinter(&out))
	lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	if len(lines) != len(all)+1 {
		t.Fatalf("%d lines for %d entries and a summary", len(lines), len(all))
	}
	for i, e := range all {
		if !bytes.Equal(lines[i], e.Line()) {
			t.Errorf("line %d is not the entry as it stands in the record:\n%s\n%s", i+1, lines[i], e.Line())
		}
	}
	var sum map[string]any
	if err := json.Unmarshal(lines[len(all)], &sum); err != nil {
		t.Fatal(err)
	}
	if sum["type"] != "summary" || sum["exit"] != 3.0 || sum["report"] != "/var/lib/report.md" || sum["incident"] != "INC-20261122-0317" {
		t.Errorf("summary %v", sum)
	}
}

// brokenPipe takes n writes.
type brokenPipe struct{ n, tries int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.tries++; b.tries > b.n {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// A reader that goes away ends the printing, and neither the response nor the program.
func TestPrintersSurviveTheirReader(t *testing.T) {
	js, tx := &brokenPipe{n: 2}, &brokenPipe{n: 2}
	j, x := newJSONPrinter(js), newTextPrinter(tx, nil)
	partialNight(t).show("", j, x)
	if js.tries != 3 || !errors.Is(j.err, io.ErrClosedPipe) {
		t.Errorf("JSON: %d tries, error %v: want to stop at the first failure", js.tries, j.err)
	}
	if tx.tries != 3 || !errors.Is(x.err, io.ErrClosedPipe) {
		t.Errorf("text: %d tries, error %v: want to stop at the first failure", tx.tries, x.err)
	}
}

func TestColours(t *testing.T) {
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(master.Close(), terminal.Close()) })
	for _, tt := range []struct {
		name string
		w    io.Writer
		env  environment
		want bool
	}{
		{"terminal", terminal, environment{"TERM": "xterm-256color"}, true},
		{"NO_COLOR", terminal, environment{"TERM": "xterm-256color", "NO_COLOR": "1"}, false},
		{"an empty NO_COLOR says nothing", terminal, environment{"TERM": "xterm", "NO_COLOR": ""}, true},
		{"dumb terminal", terminal, environment{"TERM": "dumb"}, false},
		{"no TERM", terminal, environment{}, false},
		{"pipe", new(bytes.Buffer), environment{"TERM": "xterm"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newTextPrinter(tt.w, tt.env)
			if p.colour != tt.want {
				t.Errorf("colours: %v, want %v", p.colour, tt.want)
			}
			if got := strings.Contains(p.paint("dead", 8), "\x1b["); got != tt.want {
				t.Errorf("painted: %v, want %v", got, tt.want)
			}
		})
	}
}
