package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// entry is what a test puts into a record: an entry's type and its data.
type entry struct {
	typ  string
	data any
}

var began = time.Date(2026, 11, 22, 3, 17, 0, 0, time.UTC)

// folded is the state of a record that got an entry each second, from second 0 on.
func folded(t testing.TB, entries ...entry) State {
	t.Helper()
	now := began.Add(-time.Second)
	j := journal.InMemory(func() time.Time { now = now.Add(time.Second); return now })
	for _, e := range entries {
		if err := j.Append(t.Context(), e.typ, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := FoldAll(j.Entries(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func second(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }

var aPlan = entry{TypePlan, Plan{Title: "Kill switch", Phases: []PlanPhase{
	{ID: "freeze", Title: "Freeze", Steps: []PlanStep{{ID: "freeze", Title: "Freeze the agent", Uses: "agent.freeze", Gate: "confirm"}}},
	{ID: "report", Title: "Report", Steps: []PlanStep{{ID: "report", Title: "Write the report", Uses: "report.write", Needs: []string{"freeze"}}}},
}}}

func found(f credential.Fingerprint) entry {
	return entry{TypeFound, Found{Credential: credential.Credential{
		Provider: "github", Kind: "github.pat", Fingerprint: f, Masked: "ghp_…" + string(f), Sources: []credential.Source{{Path: "home/u/.env", Line: 3}},
	}}}
}

func TestFoldEachEntry(t *testing.T) {
	frozen, stopped, checked := Frozen{Processes: 3, TookMS: 1.5, Complete: true}, Stopped{Killed: 3}, Checked{Down: true, Proof: []string{"cgroup is empty"}}
	described, isolated, searched := Described{Hostname: "claw", Processes: 3}, Isolated{How: []string{"nftables"}}, Searched{Files: 40, Bytes: 4096}
	sealed := []Sealed{{Part: "volatile", Files: 2, Bytes: 10}, {Part: "files", Files: 3, Bytes: 20}}
	question := Question{ID: "q1", Step: "freeze", Kind: Confirm, Title: "Freeze the agent"}
	answer := Answer{Question: "q1", Choice: Yes, By: "dana"}
	tests := []struct {
		name    string
		entries []entry
		look    func(State) any
		want    any
	}{
		{"declared", []entry{{TypeDeclared, Declared{Incident: "INC-1", Mode: Real}}},
			func(s State) any { return []any{s.Declared.Incident, s.DeclaredAt, s.Now, s.Entries} }, []any{"INC-1", second(0), second(0), uint64(1)}},
		{"plan", []entry{aPlan},
			func(s State) any { return []any{s.Plan.Title, len(s.Steps), *s.Steps["report"]} },
			[]any{"Kill switch", 2, Step{PlanStep: aPlan.data.(Plan).Phases[1].Steps[0], Phase: "report", Status: Waiting}}},
		{"step began", []entry{aPlan, {TypeStepIntent, StepIntent{"freeze"}}},
			func(s State) any { return []any{s.Steps["freeze"].Status, s.Steps["freeze"].Began} }, []any{Running, second(1)}},
		{"step failed", []entry{aPlan, {TypeStepIntent, StepIntent{"freeze"}}, {TypeStepOutcome, StepOutcome{Step: "freeze", Status: Failed, Error: "no", Hint: "look", Gate: true}}},
			func(s State) any {
				return []any{s.Steps["freeze"].Status, s.Steps["freeze"].Ended, s.Steps["freeze"].Outcome}
			},
			[]any{Failed, second(2), StepOutcome{Step: "freeze", Status: Failed, Error: "no", Hint: "look", Gate: true}}},
		{"asked", []entry{{TypeAsked, question}, {TypeAsked, Question{ID: "q2"}}}, func(s State) any { return s.Open }, []Question{question, {ID: "q2"}}},
		{"answered", []entry{{TypeAsked, question}, {TypeAsked, Question{ID: "q2"}}, {TypeAnswered, answer}},
			func(s State) any { return []any{s.Open, s.Decisions} }, []any{[]Question{{ID: "q2"}}, map[string]Answer{"freeze": answer}}},
		{"answered what was not asked", []entry{{TypeAnswered, answer}}, func(s State) any { return []any{len(s.Decisions), s.Unreadable} }, []any{0, 0}},
		{"command", []entry{{TypeCommand, Command{Kind: Retry, Credential: "f1", By: "dana"}}}, func(s State) any { return s.Unreadable }, 0},
		{"note", []entry{{TypeNote, Note{Text: "a", By: "dana"}}, {TypeNote, Note{Text: "b", By: "lee"}}}, func(s State) any { return s.Notes }, []Note{{Text: "a", By: "dana"}, {Text: "b", By: "lee"}}},
		{"warning", []entry{{TypeWarning, Warning{Text: "w"}}}, func(s State) any { return s.Warnings }, []Warning{{Text: "w"}}},
		{"trouble", []entry{{journal.TypeTrouble, journal.Trouble{Error: "full"}}}, func(s State) any { return s.Trouble }, "full"},
		{"trouble of no name", []entry{{journal.TypeTrouble, nil}}, func(s State) any { return s.Trouble != "" }, true},
		{"described", []entry{{TypeDescribed, described}}, func(s State) any { return s.Host }, &described},
		{"frozen", []entry{{TypeFrozen, frozen}}, func(s State) any { return []any{s.Frozen, s.FrozenAt} }, []any{&frozen, second(0)}},
		{"stopped", []entry{{TypeStopped, stopped}}, func(s State) any { return s.Stopped }, &stopped},
		{"checked", []entry{{TypeChecked, checked}}, func(s State) any { return []any{s.Checked, s.AgentDown()} }, []any{&checked, true}},
		{"checked again", []entry{{TypeChecked, checked}, {TypeChecked, Checked{}}}, func(s State) any { return s.AgentDown() }, false},
		{"isolated", []entry{{TypeIsolated, isolated}}, func(s State) any { return s.Isolated }, &isolated},
		{"let go", []entry{{TypeChecked, checked}, {TypeLetGo, LetGo{What: Thaw, By: "dana"}}}, func(s State) any { return []any{s.AgentDown(), s.LetGo} }, []any{false, &LetGo{What: Thaw, By: "dana"}}},
		{"reopened", []entry{{TypeChecked, checked}, {TypeLetGo, LetGo{What: Reopen}}}, func(s State) any { return []any{s.AgentDown(), s.LetGo} }, []any{true, (*LetGo)(nil)}},
		{"isolation tested", []entry{{TypeIsolationTested, IsolationTested{To: "a"}}}, func(s State) any { return s.Tested }, &IsolationTested{To: "a"}},
		{"let go, and said so", []entry{{TypeLetGo, LetGo{What: Thaw}}, {TypeLetGone, LetGone{What: Thaw}}}, func(s State) any { return []any{s.LetGo != nil, s.Unreadable} }, []any{true, 0}},
		{"let go, and frozen anew", []entry{{TypeLetGo, LetGo{}}, {TypeFrozen, frozen}, {TypeChecked, checked}}, func(s State) any { return []any{s.AgentDown(), s.LetGo} }, []any{true, (*LetGo)(nil)}},
		{"sealed", []entry{{TypeSealed, sealed[0]}, {TypeSealed, sealed[1]}}, func(s State) any { return s.Sealed }, sealed},
		{"searched", []entry{{TypeSearched, searched}}, func(s State) any { return s.Searched }, &searched},
		{"adversary", []entry{{TypeAdversary, Adversary{7}}}, func(s State) any { return s.Adversary }, &Adversary{7}},
		{"report", []entry{{TypeReport, Report{Markdown: "report.md"}}}, func(s State) any { return s.Report }, &Report{Markdown: "report.md"}},
		{"interrupted", []entry{{TypeInterrupted, Interrupted{"terminated"}}}, func(s State) any { return s.Interrupted }, "terminated"},
		{"interrupted by nothing", []entry{{TypeInterrupted, Interrupted{}}}, func(s State) any { return s.Interrupted }, "interrupt"},
		{"closed", []entry{{TypeClosed, Closed{6}}}, func(s State) any { return []any{*s.Exit, s.ClosedAt} }, []any{6, second(0)}},
		{"of a later version", []entry{{"credential.dreamt", "anything"}}, func(s State) any { return []any{s.Unreadable, s.Entries} }, []any{0, uint64(1)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.look(folded(t, test.entries...)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v instead of %+v", got, test.want)
			}
		})
	}
}

func TestFoldACredentialsLife(t *testing.T) {
	const f = credential.Fingerprint("f1")
	life := func(l Life) entry { l.Fingerprint = f; return entry{TypeLife, l} }
	probe := func(typ, outcome string) entry { return entry{typ, Probe{Fingerprint: f, Outcome: outcome}} }
	revoke, receipt := entry{TypeRevoke, Revoke{Fingerprint: f}}, entry{TypeReceipt, Receipt{Fingerprint: f, Answer: "202"}}
	dead := life(Life{Life: credential.Dead, Evidence: "401 ×3"})
	failed := life(Life{Life: credential.Failed, Reason: ReasonAuthority, Error: "none", Hint: "name one"})
	tests := []struct {
		name    string
		entries []entry
		look    func(*Credential) any
		want    any
	}{
		{"found", nil, func(c *Credential) any { return []any{c.Life, c.FoundAt, c.Masked, c.Changed} }, []any{credential.Found, second(0), "ghp_…f1", second(0)}},
		{"source", []entry{{TypeSource, Source{Fingerprint: f, Source: credential.Source{Path: "b"}}}}, func(c *Credential) any { return []any{len(c.Sources), c.Changed} }, []any{2, second(1)}},
		{"baseline", []entry{{TypeBaseline, Probe{Fingerprint: f, Outcome: "alive", Account: "acme", Owner: "ci-bot"}}},
			func(c *Credential) any { return []any{c.Life, c.Account, c.Principal, c.Baseline.Outcome, c.Probes} }, []any{credential.Found, "acme", "ci-bot", "alive", 0}},
		{"requested", []entry{revoke}, func(c *Credential) any { return []any{c.Life, c.RevokedAt} }, []any{credential.Requested, second(1)}},
		{"requested again", []entry{revoke, failed, revoke},
			func(c *Credential) any { return []any{c.Life, c.RevokedAt, c.Reason, c.Error, c.Hint} }, []any{credential.Requested, second(1), "", "", ""}},
		{"accepted", []entry{revoke, receipt}, func(c *Credential) any { return []any{c.Life, c.Receipt.Answer} }, []any{credential.Accepted, "202"}},
		{"still alive", []entry{revoke, receipt, probe(TypeProbe, "alive")},
			func(c *Credential) any { return []any{c.Life, c.Probes, c.Last.Outcome} }, []any{credential.Accepted, 1, "alive"}},
		{"no answer", []entry{revoke, receipt, probe(TypeProbe, "inconclusive")}, func(c *Credential) any { return c.Life }, credential.Accepted},
		{"refused", []entry{revoke, receipt, probe(TypeProbe, "refused")}, func(c *Credential) any { return c.Life }, credential.Propagating},
		{"refused often is not dead", slices.Concat([]entry{revoke, receipt}, slices.Repeat([]entry{probe(TypeProbe, "refused")}, 9)),
			func(c *Credential) any { return []any{c.Life, c.Probes} }, []any{credential.Propagating, 9}},
		{"refused before it was revoked", []entry{probe(TypeBaseline, "refused")}, func(c *Credential) any { return c.Life }, credential.Found},
		{"refused while a person is waited for", []entry{life(Life{Life: credential.Manual}), probe(TypeProbe, "refused")}, func(c *Credential) any { return c.Life }, credential.Manual},
		{"dead", []entry{revoke, receipt, dead}, func(c *Credential) any { return []any{c.Life, c.DiedAt, c.Evidence} }, []any{credential.Dead, second(3), "401 ×3"}},
		{"dead, seen again a day later", []entry{revoke, dead, dead}, func(c *Credential) any { return c.DiedAt }, second(2)},
		{"alive after all", []entry{dead, life(Life{Life: credential.Alive, Error: "it answers"})},
			func(c *Credential) any { return []any{c.Life, c.DiedAt, c.Evidence, c.Error} }, []any{credential.Alive, time.Time{}, "", "it answers"}},
		{"revoked after its death", []entry{dead, revoke}, func(c *Credential) any { return []any{c.Life, c.DiedAt} }, []any{credential.Requested, time.Time{}}},
		{"failed", []entry{failed}, func(c *Credential) any { return []any{c.Life, c.Reason, c.Error, c.Hint} }, []any{credential.Failed, ReasonAuthority, "none", "name one"}},
		{"weak", []entry{life(Life{Life: credential.Dead, Weak: true})}, func(c *Credential) any { return c.Weak }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := folded(t, append([]entry{found(f)}, test.entries...)...)
			c := s.Credential(f)
			if c == nil || c != s.Credentials[0] || s.Unreadable != 0 {
				t.Fatalf("credentials %v, warnings %v", s.Credentials, s.Warnings)
			}
			if got := test.look(c); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v instead of %+v", got, test.want)
			}
		})
	}
}

func TestFoldSaysWhatItCouldNotUse(t *testing.T) {
	for name, entries := range map[string][]entry{
		"no such step":             {aPlan, {TypeStepOutcome, StepOutcome{Step: "dance", Status: Done}}},
		"no plan":                  {{TypeStepIntent, StepIntent{"freeze"}}},
		"found twice":              {found("f1"), found("f1")},
		"no such credential":       {{TypeLife, Life{Fingerprint: "f1", Life: credential.Dead}}},
		"revoked and never found":  {{TypeRevoke, Revoke{Fingerprint: "a-very-long-fingerprint"}}},
		"text for an object":       {{TypeFrozen, "frozen"}},
		"object for a list":        {{TypePlan, map[string]any{"title": "x", "phases": map[string]any{}}}},
		"text for a number":        {{TypeClosed, map[string]any{"exit": "0"}}},
		"a declaration cut short":  {{TypeDeclared, []int{1}}},
		"an interruption of 5":     {{TypeInterrupted, 5}},
		"a record that broke at 5": {{journal.TypeTrouble, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			s := folded(t, entries...)
			if s.Unreadable != 1 || len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0].Text, "unreadable entry in the record: ") {
				t.Errorf("%d unreadable, warnings %v", s.Unreadable, s.Warnings)
			}
			if s.Plan.Title == "x" || s.Exit != nil || s.Frozen != nil {
				t.Errorf("half an entry was taken: %+v", s)
			}
		})
	}
}

func TestFoldAllGivesWhatCouldBeRead(t *testing.T) {
	torn := errors.New("torn")
	s, err := FoldAll(func(yield func(journal.Entry, error) bool) {
		_ = yield(journal.Entry{Seq: 1, Type: TypeNote, Data: json.RawMessage(`{"text":"a"}`)}, nil) && yield(journal.Entry{}, torn)
	})
	if !errors.Is(err, torn) || len(s.Notes) != 1 {
		t.Errorf("%v, %+v", err, s.Notes)
	}
}

// allTypes are the types of entries that Fold knows, and one that it does not.
var allTypes = []string{
	TypeDeclared, TypePlan, TypeStepIntent, TypeStepOutcome, TypeAsked, TypeAnswered, TypeCommand, TypeNote, TypeWarning,
	TypeDescribed, TypeFrozen, TypeStopped, TypeChecked, TypeIsolated, TypeSealed, TypeFound, TypeSource, TypeSearched,
	TypeBaseline, TypeRevoke, TypeReceipt, TypeProbe, TypeLife, TypeAdversary, TypeReport, TypeInterrupted, TypeClosed,
	TypeApproval, TypeApproved, TypeBreakGlass, TypeRefused, TypeTerminal, TypeWitness, TypeResumed, TypeAuthority, TypeForgotten,
	TypeLetGo, TypeLetGone, TypeIsolationTested, TypeStamped, TypeDeposited, TypeTransfer, TypeAccess, TypeHold,
	TypePlatformIntent, TypePlatformDone, TypePlatformUndo, TypePlatformUndone, TypeSnapshotIntent, TypeSnapshots,
	TypeBroker, TypeBrokerDone,
	journal.TypeTrouble, "something.else",
}

func FuzzFold(f *testing.F) {
	for i := range allTypes {
		f.Add(uint8(i), []byte(`{"fingerprint":"f","step":"freeze","id":"q","question":"q","phases":null}`))
	}
	f.Add(uint8(1), []byte(`{"phases":[{"steps":[{"id":""},{"id":""}]},{}]}`))
	f.Add(uint8(15), []byte(`null`))
	f.Fuzz(func(t *testing.T, typ uint8, data []byte) {
		var s State
		seq := uint64(0)
		add := func(typ string, data []byte) {
			seq++
			e := journal.Entry{V: 1, Seq: seq, Time: began, Type: typ, Data: data}
			s = Fold(s, e)
			_, _, _ = Line(s, e)
		}
		plan, _ := json.Marshal(aPlan.data)
		cred, _ := json.Marshal(found("f").data)
		add(allTypes[int(typ)%len(allTypes)], data)
		add(TypePlan, plan)
		add(TypeFound, cred)
		for _, each := range allTypes {
			add(each, data)
		}
		if s.Entries != seq {
			t.Fatalf("%d entries of %d", s.Entries, seq)
		}
		whole(t, s)
	})
}

// whole checks what holds of every state.
func whole(t *testing.T, s State) {
	t.Helper()
	n := s.Tally()
	if n.Dead+n.Alive+n.Manual+n.Unverified+n.Failed+n.Skipped != n.Total || n.Total != len(s.Credentials) {
		t.Fatalf("the tallies do not add up: %+v", n)
	}
	sum := s.Summarize("")
	if sum.Exit == ExitContained && (n.Dead != n.Total || !sum.Agent.Down || !sum.Evidence.Sealed) && !s.Declared.DryRun {
		t.Fatalf("contained, and it is not: %+v", sum)
	}
	if _, err := json.Marshal(sum); err != nil {
		t.Fatal(err)
	}
	_ = s.OpenMatters()
}

func BenchmarkFold(b *testing.B) {
	j := journal.InMemory(time.Now)
	add := func(typ string, data any) {
		if err := j.Note(typ, data); err != nil {
			b.Fatal(err)
		}
	}
	add(aPlan.typ, aPlan.data)
	const credentials = 2000
	for i := range credentials {
		f := credential.Fingerprint(fmt.Sprintf("%064x", i))
		add(TypeFound, found(f).data)
		add(TypeRevoke, Revoke{Fingerprint: f})
		add(TypeReceipt, Receipt{Fingerprint: f, Answer: "202 Accepted"})
		for range 3 {
			add(TypeProbe, Probe{Fingerprint: f, Outcome: "refused", Answer: "401 Bad credentials", From: "bastion-2"})
		}
		add(TypeLife, Life{Fingerprint: f, Life: credential.Dead, Evidence: "401 Bad credentials ×3"})
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	var entries []journal.Entry
	for e, err := range j.Entries(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	for b.Loop() {
		var s State
		for _, e := range entries {
			s = Fold(s, e)
		}
		if s.Count(credential.Dead) != credentials {
			b.Fatal("not all dead")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(entries)), "ns/entry")
}
