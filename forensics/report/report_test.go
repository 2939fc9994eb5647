package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/report"
	"clawback/revoke/credential"
)

var update = flag.Bool("update", false, "write the goldens anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as before; look at the difference and run go test -update. Got:\n%s", path, got)
	}
}

func render(t *testing.T, all []journal.Entry) (markdown, js []byte) {
	t.Helper()
	d := report.Make(fold(all), seq(all))
	var md, j bytes.Buffer
	if err := report.Markdown(&md, d); err != nil {
		t.Fatal(err)
	}
	if err := report.JSON(&j, d); err != nil {
		t.Fatal(err)
	}
	return md.Bytes(), j.Bytes()
}

func TestGoldens(t *testing.T) {
	for name, history := range histories {
		t.Run(name, func(t *testing.T) {
			md, js := render(t, history(t))
			golden(t, name+".md", md)
			golden(t, name+".json", js)
			if !json.Valid(js) {
				t.Error("the JSON report is not JSON")
			}
		})
	}
}

// A death is believed where the probes carry it, and nowhere else.
func TestNeverDeadWithoutProof(t *testing.T) {
	f := found("github", "github.pat", "ghp_…1xQz", "a1")
	dead := incident.Life{Fingerprint: f.Fingerprint, Life: credential.Dead}
	weak := dead
	weak.Weak = true
	for _, tt := range []struct {
		name  string
		last  *incident.Probe
		life  incident.Life
		proof string
		label string
	}{
		{"refused over the budget", &incident.Probe{Outcome: "refused", Row: 3, SpanMS: 12000, BudgetMS: 12000}, dead, report.ProofProvider, ": dead"},
		{"never seen alive", &incident.Probe{Outcome: "refused", Row: 3, SpanMS: 12000, BudgetMS: 12000}, weak, report.ProofWeak, ": dead, weak evidence"},
		{"no probe", nil, dead, report.ProofNone, ": counted as dead, not proved"},
		{"too short", &incident.Probe{Outcome: "refused", Row: 3, SpanMS: 11999, BudgetMS: 12000}, dead, report.ProofNone, ": counted as dead, not proved"},
		{"the last one was alive", &incident.Probe{Outcome: "alive", Row: 0}, dead, report.ProofNone, ": counted as dead, not proved"},
		{"the last one said nothing", &incident.Probe{Outcome: "inconclusive", Row: 3, SpanMS: 12000, BudgetMS: 12000}, dead, report.ProofNone, ": counted as dead, not proved"},
		{"refused and not settled", &incident.Probe{Outcome: "refused", Row: 3, SpanMS: 12000, BudgetMS: 12000},
			incident.Life{Fingerprint: f.Fingerprint, Life: credential.Unverified}, report.ProofNone, ": unproved"},
		{"a life that nobody knows", nil, incident.Life{Fingerprint: f.Fingerprint, Life: "DEAD"}, report.ProofNone, ": unproved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := record(t).declare(nil).note(incident.TypeFound, f)
			if tt.last != nil {
				tt.last.Fingerprint = f.Fingerprint
				r.note(incident.TypeProbe, tt.last)
			}
			all := r.note(incident.TypeLife, tt.life).entries()
			if got := report.Make(fold(all), seq(all)).Credentials[0].Proof; got != tt.proof {
				t.Errorf("proof %q, want %q", got, tt.proof)
			}
			md, _ := render(t, all)
			if want := "### 1. `github ghp_…1xQz`" + tt.label + "\n"; !strings.Contains(string(md), want) {
				t.Errorf("the report does not say %q", want)
			}
		})
	}
}

// Why something is in doubt, whose it is and what was not touched stands in the report, for people and
// for programs.
func TestDoubtsAndOthers(t *testing.T) {
	f := found("github", "github.pat", "ghp_…1xQz", "a1")
	f.Doubt, f.Other, f.Mints = "by format", "ada", "user tokens"
	all := record(t).declare(nil).note(incident.TypeHostLost, incident.HostLost{Why: "root-cause is host"}).note(incident.TypeFound, f).
		note(incident.TypeSearched, incident.Searched{Files: 3, Apart: []string{"root/.aws/credentials: aws access key"}, Skipped: map[string]int{"link": 2}, Harmless: []incident.Harmless{
			{Provider: "openai", Kind: "openai.api_key", Masked: "…here", Doubt: "placeholder", Source: credential.Source{Path: ".env", Line: 17}},
		}}).entries()
	md, js := render(t, all)
	for _, want := range []string{
		"**The host itself counts as compromised:** `root-cause is host`", "Kept by `ada`, another user of the host", "**In doubt:** `a guess: nothing but its looks",
		"It could make more of: `user tokens`", "### Told apart: nothing to revoke", "`openai.api_key` `…here` in `.env:17`: `a gap that somebody was to fill",
		"### What other users of the host keep for themselves", "`root/.aws/credentials: aws access key`", "`link 2`",
	} {
		if !strings.Contains(string(md), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, want := range []string{`"doubt": "by format"`, `"other_user": "ada"`, `"mints": "user tokens"`, `"host_lost"`, `"harmless"`, `"apart"`, `"skipped"`} {
		if !strings.Contains(string(js), want) {
			t.Errorf("the JSON report has no %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", md)
	}
}

func TestWrite(t *testing.T) {
	all := histories["contained"](t)
	dir := t.TempDir()
	for range 2 { // the second replaces the first
		got, err := report.Write(dir, fold(all), seq(all))
		if err != nil {
			t.Fatal(err)
		}
		want := incident.Report{Markdown: filepath.Join(dir, "report.md"), JSON: filepath.Join(dir, "report.json")}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	md, js := render(t, all)
	for name, want := range map[string][]byte{"report.md": md, "report.json": js} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s holds something else than was rendered (%v)", name, err)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, want 0600 (%v)", name, info.Mode(), err)
		}
	}
	if left, _ := fs.Glob(os.DirFS(dir), ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteFails(t *testing.T) {
	all := histories["contained"](t)
	if _, err := report.Write("", fold(all), seq(all)); err == nil {
		t.Error("wrote a report without a folder, into the working directory")
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if got, err := report.Write(missing, fold(all), seq(all)); err == nil || got != (incident.Report{}) {
		t.Errorf("got %+v, %v for a folder that is not there", got, err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "report.md"), 0o700); err != nil { // cannot be replaced by a file
		t.Fatal(err)
	}
	if _, err := report.Write(dir, fold(all), seq(all)); err == nil {
		t.Error("no error")
	}
	if left, _ := fs.Glob(os.DirFS(dir), ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A record that breaks off is said to break off, at the top and in the JSON.
func TestUnreadableRecord(t *testing.T) {
	all := histories["contained"](t)
	s := fold(all)
	for name, entries := range map[string]func(func(journal.Entry, error) bool){
		"torn": func(yield func(journal.Entry, error) bool) {
			_ = yield(all[0], nil) && yield(all[1], nil) && yield(journal.Entry{}, fmt.Errorf("line 3: %w", journal.ErrTorn))
		},
		"short": seq(all[:2]),
		"empty": seq(nil),
	} {
		t.Run(name, func(t *testing.T) {
			d := report.Make(s, entries)
			if d.Record.Problem == "" {
				t.Error("no problem")
			}
			var md bytes.Buffer
			if err := report.Markdown(&md, d); err != nil {
				t.Fatal(err)
			}
			if top, _, _ := strings.Cut(md.String(), "## "); !strings.Contains(top, "could not be read whole") {
				t.Errorf("the top of the report does not say so:\n%s", top)
			}
		})
	}
	// What came after the state is not in its report.
	d := report.Make(fold(all[:5]), seq(all))
	if d.Record.Problem != "" || d.Record.Entries != 5 || d.Record.Last != all[4].Hash() {
		t.Errorf("record %+v, want the first 5 entries and no problem", d.Record)
	}
}

// Thousands of credentials are listed one by one, and summed up in the timeline.
func TestTimelineIsBounded(t *testing.T) {
	r := record(t).declare(nil)
	const n = 700
	for i := range n {
		r.at(time.Duration(i) * 10 * time.Millisecond)
		f := found("github", "github.pat", fmt.Sprintf("ghp_…%04d", i), fmt.Sprintf("%08x", i))
		r.note(incident.TypeFound, f).note(incident.TypeRevoke, incident.Revoke{Fingerprint: f.Fingerprint})
		for range 3 {
			r.probe(f, "inconclusive", "503 Service Unavailable", 0, 0)
		}
	}
	r.note(incident.TypeNote, incident.Note{Text: "the one line that matters", By: "alice"})
	all := r.entries()
	d := report.Make(fold(all), seq(all))
	if len(d.Timeline) > 10 || len(d.Credentials) != n {
		t.Errorf("%d events for %d credentials", len(d.Timeline), len(d.Credentials))
	}
	if got := d.Timeline[1]; got.Word != "found" || got.Count != n || !strings.Contains(got.Text, "700 entries until 03:17:06.990") {
		t.Errorf("second event %+v, want all finds in one", got)
	}
	if c := d.Credentials[0]; len(c.Probes) != 1 || c.Probes[0].Count != 3 || c.Probed != 3 {
		t.Errorf("probes %+v, want one group of 3", c.Probes)
	}

	r = record(t).declare(nil)
	for i := range 1500 {
		r.note(incident.TypeWarning, incident.Warning{Text: fmt.Sprint("warning ", i)})
	}
	all = r.entries()
	d = report.Make(fold(all), seq(all))
	shown := 0
	for _, e := range d.Timeline {
		shown += max(e.Count, 1)
	}
	if len(d.Timeline) != 1000 || shown != 1501 || d.Timeline[999].Text != "warning 1499" {
		t.Errorf("%d events for %d entries, the last %q", len(d.Timeline), shown, d.Timeline[len(d.Timeline)-1].Text)
	}
}

func TestProbesAreBounded(t *testing.T) {
	f := found("github", "github.pat", "ghp_…1xQz", "a1")
	r := record(t).declare(nil).note(incident.TypeFound, f)
	for i := range 40 {
		r.probe(f, "inconclusive", fmt.Sprint("answer ", i), 0, 0)
	}
	all := r.entries()
	c := report.Make(fold(all), seq(all)).Credentials[0]
	if len(c.Probes) != 12 || c.MoreRuns != 28 || c.Probed != 40 {
		t.Fatalf("%d groups, %d left out, %d in all", len(c.Probes), c.MoreRuns, c.Probed)
	}
	if c.Probes[3].Answer != "answer 3" || c.Probes[4].Answer != "answer 32" || c.Probes[11].Answer != "answer 39" {
		t.Errorf("not the first 4 and the last 8: %+v", c.Probes)
	}
}

var hostile = []string{
	"](http://evil.example)", "[x](javascript:alert(1))", "<script>alert(1)</script>", "<!-- hidden", "&lt;b&gt;",
	"`tick", "tick`", "``` fence", "a `` b ` c", "`", " ` ", "\x1b[2J\x1b[31mred", "\u009b31m", "a\u202egpj.exe", "\u2066x\u2069",
	"\n# heading", "\r\n- item", "| cell | cell |", "www.evil.example", "mail@evil.example", "https://evil.example/",
	"![x](http://evil.example/x.png)", "\\", "\\`", "*bold* _it_ ~~gone~~", "@team #1", "\x00\xff", "   ", "", "$(rm -rf /)", "'; rm -rf /; '",
	strings.Repeat("long ", 4000), strings.Repeat("`", 5000),
}

// Whatever a host puts into any text of the record, the reports show it as text.
func TestHostileText(t *testing.T) {
	for i, evil := range hostile {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			all := hostileRecord(t, evil)
			md, js := render(t, all)
			checkMarkdown(t, string(md))
			for _, r := range string(md) + string(js) {
				if r != '\n' && r != ' ' && !unicode.IsPrint(r) {
					t.Fatalf("%U stands in a report", r)
				}
			}
			if !json.Valid(js) {
				t.Error("the JSON report is not JSON")
			}
			if len(md) > 1<<20 {
				t.Errorf("%d bytes of Markdown", len(md))
			}
		})
	}
}

// hostileRecord has evil wherever the host, a provider or a person may write.
func hostileRecord(t *testing.T, evil string) []journal.Entry {
	list := []string{evil, evil}
	r := record(t).declare(func(d *incident.Declared) {
		d.Incident, d.Target, d.Responder, d.Desk, d.Playbook, d.Version, d.Accepted = evil, evil, evil, evil, evil, evil, list
		d.Ticket, d.Roles = evil, map[string]string{evil: evil}
	}).plan(incident.PlanStep{ID: "a", Title: evil, Uses: evil}, incident.PlanStep{ID: "b", Title: evil})
	r.note(incident.TypeDescribed, incident.Described{Hostname: evil, Kernel: evil, Installations: list, Units: list, Revivers: list, Problems: list})
	r.note(incident.TypeFrozen, incident.Frozen{How: list, Proof: list, Problems: list})
	r.note(incident.TypeStopped, incident.Stopped{Did: list, Held: list, Problems: list})
	r.note(incident.TypeChecked, incident.Checked{Proof: list, Problems: list})
	r.note(incident.TypeIsolated, incident.Isolated{How: list, Kept: list, Proof: list, Problems: list})
	r.note(incident.TypeIsolationTested, incident.IsolationTested{WayIn: evil, To: evil, Before: evil, After: evil, Said: evil})
	r.note(incident.TypeIsolationTested, incident.IsolationTested{Lost: evil, To: evil, Before: incident.WasAnswered, After: incident.WasSilent})
	was := []incident.PlatformWas{{Kind: evil, ID: evil, Was: list}}
	done := incident.PlatformDone{On: evil, Did: list, Proof: list, Left: list, WayIn: evil, Lost: evil, Error: evil}
	r.note(incident.TypePlatformIntent, incident.PlatformIntent{On: evil, Was: was}).note(incident.TypePlatformDone, done)
	r.note(incident.TypePlatformUndo, incident.PlatformUndo{On: evil, By: evil, Why: evil}).note(incident.TypePlatformUndone, done)
	r.note(incident.TypeSnapshotIntent, incident.SnapshotIntent{On: evil, Volumes: list})
	r.note(incident.TypeSnapshots, incident.Snapshots{On: evil, Disks: []incident.DiskSnapshot{{ID: evil, Volume: evil, State: evil, Progress: evil, Started: evil}}, Left: list})
	r.note(incident.TypeLetGo, incident.LetGo{What: evil, By: evil, Why: evil})
	r.note(incident.TypeLetGone, incident.LetGone{What: evil, Proof: list, Left: list, Error: evil})
	r.note(incident.TypeSealed, incident.Sealed{Part: evil, Path: evil, Manifest: evil, Digest: evil, Verdicts: map[string]int{evil: 1}, Left: list, Problems: list})
	item := incident.ItemName(incident.Sealed{Part: evil, Path: evil})
	r.note(incident.TypeHold, incident.Hold{On: true, By: evil, Why: evil}).note(incident.TypeHold, incident.Hold{By: evil, Why: evil})
	r.note(incident.TypeStamped, incident.Stamped{Item: item, File: evil, By: evil, Authority: evil, Hint: evil})
	r.note(incident.TypeStamped, incident.Stamped{Item: item, Authority: evil, Error: evil, Hint: evil})
	r.note(incident.TypeDeposited, incident.Deposited{Item: item, Kind: evil, Place: evil, By: evil, Files: []incident.DepositedFile{{Name: evil, Version: evil, Proof: list, Unproved: list}}})
	r.note(incident.TypeTransfer, incident.Transfer{Item: item, From: evil, To: evil, Purpose: evil, By: evil}).note(incident.TypeAccess, incident.Access{Item: item, Who: evil, Purpose: evil, By: evil})
	c := incident.Found{Credential: credential.Credential{Provider: evil, Kind: evil, Masked: evil, Fingerprint: credential.Fingerprint("f" + evil), Owner: evil,
		Ref: map[string]string{evil: evil}, Sources: []credential.Source{{Path: evil, Locator: evil, Note: evil}}},
		Manual: true, Steps: list, Link: evil, Effect: evil, Unresolved: evil, Endpoint: evil, Doubt: evil, Other: evil, Mints: evil}
	f := c.Fingerprint
	r.note(incident.TypeFound, c)
	r.note(incident.TypeBaseline, incident.Probe{Fingerprint: f, Outcome: evil, Answer: evil, From: evil, Account: evil, Owner: evil, Reach: list})
	r.note(incident.TypeRevoke, incident.Revoke{Fingerprint: f}).note(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Answer: evil, Did: list, Left: list})
	r.note(incident.TypeProbe, incident.Probe{Fingerprint: f, Outcome: evil, Answer: evil, From: evil})
	r.note(incident.TypeLife, incident.Life{Fingerprint: f, Life: credential.Manual, Reason: evil, Evidence: evil, Error: evil, Hint: evil})
	r.note(incident.TypeSearched, incident.Searched{Problems: list, Apart: list, Skipped: map[string]int{evil: 1},
		Harmless: []incident.Harmless{{Provider: evil, Kind: evil, Masked: evil, Doubt: evil, Source: credential.Source{Path: evil, Locator: evil, Note: evil}}}})
	r.note(incident.TypeHostLost, incident.HostLost{Why: evil})
	r.note(incident.TypeStepOutcome, incident.StepOutcome{Step: "a", Status: incident.Failed, Note: evil, Error: evil, Hint: evil})
	r.note(incident.TypeStepOutcome, incident.StepOutcome{Step: "b", Status: evil})
	for _, step := range []string{"root-cause", "timeline", "review", evil} {
		q := incident.Question{ID: "q" + step, Step: step, Kind: incident.Choice, Title: evil, Options: []incident.Option{{ID: evil, Title: evil}}}
		r.note(incident.TypeAsked, q).note(incident.TypeAnswered, incident.Answer{Question: q.ID, Choice: evil, Text: evil + "\n" + evil, By: evil})
	}
	wrote := &incident.Signed{Key: evil, Message: evil, Signature: evil}
	r.note(incident.TypeAsked, incident.Question{ID: "w1", Step: evil, Kind: incident.Written, Title: evil}).note(incident.TypeAnswered, incident.Answer{Question: "w1", Choice: incident.Yes, Text: evil + "\n```\n# " + evil, By: evil, Signed: wrote})
	r.note(incident.TypeAsked, incident.Question{ID: "w2", Step: evil, Kind: incident.Written, Title: "2" + evil}).note(incident.TypeAnswered, incident.Answer{Question: "w2", Choice: incident.Later, Text: evil, By: evil})
	r.note(incident.TypeCommand, incident.Command{Kind: evil, Credential: f, Text: evil, By: evil}).note(incident.TypeNote, incident.Note{Text: evil, By: evil})
	signed := &incident.Signed{Key: evil, Message: evil, Signature: evil}
	r.note(incident.TypeApproval, incident.ApprovalAsked{Step: "a", Needs: 2, Binds: evil, By: evil})
	r.note(incident.TypeBreakGlass, incident.BreakGlass{Step: "a", By: evil, Reason: evil, Signed: signed})
	r.note(incident.TypeApproved, incident.Approved{Step: "a", By: evil, Key: evil, Binds: evil, Message: evil, Signature: evil})
	r.note(incident.TypeRefused, incident.InboxRefused{File: evil, Why: evil}).note(incident.TypeNote, incident.Note{Text: evil, By: evil, Signed: signed})
	r.note(incident.TypeCommand, incident.Command{Kind: evil, Step: "b", Text: evil, By: evil, Signed: signed})
	r.note(incident.TypeWarning, incident.Warning{Text: evil, Hint: evil}).note(journal.TypeTrouble, journal.Trouble{Error: evil})
	r.note(incident.TypeAsked, incident.Question{ID: "open", Title: evil}).note(incident.TypeInterrupted, incident.Interrupted{Signal: evil})
	return r.note(incident.TypeReport, incident.Report{Markdown: evil, JSON: evil}).entries()
}

// checkMarkdown takes code out of a document as CommonMark reads it, and expects nothing but the
// report's own words in what is left.
func checkMarkdown(t *testing.T, md string) {
	t.Helper()
	fence := ""
	for n, line := range strings.Split(md, "\n") {
		text := strings.TrimLeft(line, " ")
		ticks := len(text) - len(strings.TrimLeft(text, "`"))
		switch {
		case fence != "":
			if ticks >= len(fence) && strings.Trim(text, "` ") == "" {
				fence = ""
			}
			continue
		case ticks >= 3 && !strings.Contains(text[ticks:], "`"):
			fence = text[:ticks]
			continue
		}
		rest, ok := withoutCode(text)
		if !ok {
			t.Fatalf("line %d has a code span that does not end: %q", n+1, line)
		}
		for _, bad := range []string{"<", "](", "evil", "\\", "&", "$(", "~~", "@", "://", "www."} {
			if strings.Contains(rest, bad) {
				t.Fatalf("line %d: %q stands outside of code: %q", n+1, bad, line)
			}
		}
	}
	if fence != "" {
		t.Fatal("a code block does not end")
	}
}

// withoutCode removes the code spans of a line (CommonMark 0.31, section 6.1).
func withoutCode(s string) (string, bool) {
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '`')
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		s = s[i:]
		open := len(s) - len(strings.TrimLeft(s, "`"))
		end := closing(s[open:], open)
		if end < 0 {
			return "", false
		}
		s = s[open+end+open:]
	}
	return out.String() + s, true
}

// closing finds the run of exactly n backticks.
func closing(s string, n int) int {
	for i := 0; i < len(s); {
		run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
		if run == n {
			return i
		}
		i += max(run, 1)
	}
	return -1
}

// A record may hold anything: nothing of it stops a report.
func FuzzMake(f *testing.F) {
	types := []string{incident.TypeDeclared, incident.TypePlan, incident.TypeStepIntent, incident.TypeStepOutcome, incident.TypeAsked, incident.TypeAnswered,
		incident.TypeCommand, incident.TypeNote, incident.TypeWarning, incident.TypeDescribed, incident.TypeFrozen, incident.TypeStopped, incident.TypeChecked,
		incident.TypeIsolated, incident.TypeSealed, incident.TypeFound, incident.TypeSource, incident.TypeSearched, incident.TypeBaseline, incident.TypeRevoke,
		incident.TypeReceipt, incident.TypeProbe, incident.TypeLife, incident.TypeAdversary, incident.TypeReport, incident.TypeInterrupted, incident.TypeClosed, incident.TypeLetGo, incident.TypeLetGone, incident.TypeIsolationTested,
		incident.TypePlatformIntent, incident.TypePlatformDone, incident.TypePlatformUndo, incident.TypePlatformUndone, incident.TypeSnapshotIntent, incident.TypeSnapshots, journal.TypeTrouble}
	f.Add(uint8(15), `{"provider":"x","fingerprint":"f","sources":[]}`, uint8(22), `{"fingerprint":"f","life":"dead"}`)
	f.Add(uint8(1), `{"phases":[{"id":"p","steps":[{"id":"s"}]}]}`, uint8(3), `{"step":"s","status":"failed"}`)
	f.Fuzz(func(t *testing.T, a uint8, first string, b uint8, second string) {
		all := []journal.Entry{
			{Seq: 1, Type: types[int(a)%len(types)], Data: json.RawMessage(first)},
			{Seq: 2, Type: types[int(b)%len(types)], Data: json.RawMessage(second)},
		}
		md, js := render(t, all)
		checkControl(t, md)
		checkControl(t, js)
	})
}

func checkControl(t *testing.T, b []byte) {
	t.Helper()
	for _, r := range string(b) {
		if r != '\n' && r != ' ' && !unicode.IsPrint(r) {
			t.Fatalf("%U stands in a report", r)
		}
	}
}

// A draft goes as far as the record does, also while its last line is being written, and hides no break.
func TestDraft(t *testing.T) {
	all := histories["partial"](t)
	until := func(n int, last error) func() iter.Seq2[journal.Entry, error] {
		return func() iter.Seq2[journal.Entry, error] {
			return func(yield func(journal.Entry, error) bool) {
				for _, e := range all[:n] {
					if !yield(e, nil) {
						return
					}
				}
				if last != nil {
					yield(journal.Entry{}, last)
				}
			}
		}
	}
	for name, last := range map[string]error{"as it is": nil, "with half a line": journal.ErrTorn} {
		text, err := report.Draft(until(len(all)/2, last))
		if err != nil || !strings.Contains(text, "The record does not hold the end of the response") || strings.Contains(text, "could not be read whole") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	broken := errors.New("entry 7 does not fit")
	if text, err := report.Draft(until(len(all)/2, broken)); !errors.Is(err, broken) || text != "" {
		t.Errorf("a broken record: %v", err)
	}
}
