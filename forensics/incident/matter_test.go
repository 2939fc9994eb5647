package incident_test

import (
	"encoding/json"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// fold makes a state of typed data, one entry a second.
func fold(t *testing.T, entries ...any) incident.State {
	t.Helper()
	var s incident.State
	for i, data := range entries {
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		s = incident.Fold(s, journal.Entry{Seq: uint64(i + 1), Type: typeOf(t, data), Data: raw,
			Time: time.Date(2026, 11, 22, 3, 17, i, 0, time.UTC)})
	}
	return s
}

func typeOf(t *testing.T, data any) string {
	switch data.(type) {
	case incident.Declared:
		return incident.TypeDeclared
	case incident.Plan:
		return incident.TypePlan
	case incident.StepIntent:
		return incident.TypeStepIntent
	case incident.StepOutcome:
		return incident.TypeStepOutcome
	case incident.Question:
		return incident.TypeAsked
	case incident.Answer:
		return incident.TypeAnswered
	case incident.Checked:
		return incident.TypeChecked
	case incident.Sealed:
		return incident.TypeSealed
	case incident.Searched:
		return incident.TypeSearched
	case incident.Found:
		return incident.TypeFound
	case incident.Receipt:
		return incident.TypeReceipt
	case incident.Life:
		return incident.TypeLife
	case incident.ApprovalAsked:
		return incident.TypeApproval
	case incident.Approved:
		return incident.TypeApproved
	case incident.Resumed:
		return incident.TypeResumed
	case incident.BreakGlass:
		return incident.TypeBreakGlass
	case journal.Trouble:
		return journal.TypeTrouble
	case json.RawMessage: // of an entry that does not decode
		return incident.TypeNote
	}
	t.Fatalf("no type for %T", data)
	return ""
}

func TestOpenMatters(t *testing.T) {
	down, sealed, searched := incident.Checked{Down: true}, incident.Sealed{Part: "files"}, incident.Searched{Files: 3}
	key := func(f credential.Fingerprint) incident.Found {
		return incident.Found{Credential: credential.Credential{Provider: "gitlab", Masked: "glpat-…c0", Fingerprint: f}}
	}
	plan := incident.Plan{Phases: []incident.PlanPhase{{ID: "p", Steps: []incident.PlanStep{
		{ID: "stop", Title: "Kill", Uses: "agent.stop"}, {ID: "look", Title: "Look", Uses: "person.guide"}}}}}
	done := incident.StepOutcome{Step: "stop", Status: incident.Done}

	for _, tt := range []struct {
		name    string
		entries []any
		want    []incident.OpenMatter
	}{
		{"nothing", []any{down, sealed, searched}, nil},
		{"nothing was done", nil, []incident.OpenMatter{
			{Kind: "agent", What: "the agent", Why: "no look at whether it stays down is on record", Hint: "look at the machine, and cut it off the network until it is known to be down"},
			{Kind: "evidence", What: "the evidence", Why: "none is sealed"},
			{Kind: "search", What: "the search for credentials", Why: "its end is not on record: there may be more than are listed"}}},
		{"a dry run promises nothing", []any{incident.Declared{DryRun: true}, plan}, nil},
		{"the agent runs", []any{plan, done, incident.StepOutcome{Step: "look", Status: incident.Done}, incident.Checked{Problems: []string{"process 7 runs"}}, sealed, searched},
			[]incident.OpenMatter{{Kind: "agent", What: "the agent", Why: "the host says that it is not down: process 7 runs", Hint: "cut the machine off the network, then find what starts it"}}},
		{"a failed step, and one that waits", []any{plan, down, sealed, searched, incident.StepOutcome{Step: "stop", Status: incident.Failed, Error: "no bus", Hint: "power it off"}},
			[]incident.OpenMatter{{Kind: "step", What: `step "Kill"`, Why: "failed: no bus", Hint: "power it off"}, {Kind: "step", What: `step "Look"`, Why: "it has not begun"}}},
		{"a step without an outcome, and one left for later", []any{plan, down, sealed, searched, incident.StepIntent{Step: "stop"},
			incident.Question{ID: "q1", Step: "look", Title: "Look"}, incident.Answer{Question: "q1", Choice: incident.Later, By: "alice"},
			incident.StepOutcome{Step: "look", Status: incident.Skipped, Note: "left open by alice"}},
			[]incident.OpenMatter{
				{Kind: "step", What: `step "Kill"`, Why: "it began and no outcome is on record: whether it took effect is not known", Hint: "look before it is done again"},
				{Kind: "step", What: `step "Look"`, Why: "left open by alice"}}},
		{"an open question", []any{down, sealed, searched, incident.Question{ID: "q1", Title: "How did they get in?"}},
			[]incident.OpenMatter{{Kind: "question", What: "How did they get in?", Why: "it was asked and not answered"}}},
		{"a record that was lost, a place that was not searched", []any{down, sealed, incident.Searched{Problems: []string{"/root: no permission"}}, journal.Trouble{Error: "no space"}},
			[]incident.OpenMatter{
				{Kind: "record", What: "the record", Why: "it was not on disk for some time: no space", Hint: "make room at the desk, and compare the record with the providers' own logs"},
				{Kind: "search", What: "the search for credentials", Why: "1 place was not searched as it should be: /root: no permission"}}},
		{"an entry that cannot be read", []any{down, sealed, searched, json.RawMessage("[]")},
			[]incident.OpenMatter{{Kind: "record", What: "the record", Why: "1 entry could not be read", Hint: "look at the entries that the warnings name"}}},
		{"dead", []any{down, sealed, searched, key("f1"), incident.Life{Fingerprint: "f1", Life: credential.Dead}}, nil},
		{"dead, and something lives on", []any{down, sealed, searched, key("f1"), incident.Receipt{Fingerprint: "f1", Left: []string{"sessions, up to 36 h"}}, incident.Life{Fingerprint: "f1", Life: credential.Dead}},
			[]incident.OpenMatter{{Kind: "lives-on", What: "gitlab glpat-…c0", Why: "lives on in spite of the revocation: sessions, up to 36 h", Credential: "f1"}}},
		{"accepted is not dead", []any{down, sealed, searched, key("f1"), incident.Receipt{Fingerprint: "f1"}},
			[]incident.OpenMatter{{Kind: "credential", What: "gitlab glpat-…c0", Why: "unproved", Hint: "run it again: the proof takes the provider's whole time anew", Credential: "f1"}}},
		{"a life that nobody knows is not dead", []any{down, sealed, searched, key("f1"), incident.Life{Fingerprint: "f1", Life: "Dead"}},
			[]incident.OpenMatter{{Kind: "credential", What: "gitlab glpat-…c0", Why: "unproved", Hint: "run it again: the proof takes the provider's whole time anew", Credential: "f1"}}},
		{"alive", []any{down, sealed, searched, key("f1"), incident.Life{Fingerprint: "f1", Life: credential.Alive, Error: "it still answers: 403", Hint: "give the owner api scope"}},
			[]incident.OpenMatter{{Kind: "credential", What: "gitlab glpat-…c0", Why: "alive: it still answers: 403", Hint: "give the owner api scope", Credential: "f1"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fold(t, tt.entries...)
			got := s.OpenMatters()
			if s.ExitCode() != incident.ExitContained && len(got) == 0 && !s.Declared.DryRun {
				t.Errorf("exit code %d, and nothing is said to be open", s.ExitCode())
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %d matters, want %d: %+v", len(got), len(tt.want), got)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("matter %d:\n got %+v\nwant %+v", i, got[i], tt.want[i])
				}
			}
		})
	}
}

// What does not decode is in the record all the same, and no reader may stop at it.
func TestLineOfUnreadableEntries(t *testing.T) {
	for _, typ := range []string{incident.TypeDeclared, incident.TypeStepOutcome, incident.TypeDescribed, incident.TypeFrozen,
		incident.TypeStopped, incident.TypeChecked, incident.TypeIsolated, incident.TypeSealed, incident.TypeSearched,
		incident.TypeFound, incident.TypeProbe, incident.TypeLife, incident.TypeReceipt, incident.TypeReport, incident.TypeLetGo, incident.TypeLetGone, incident.TypeIsolationTested, "unheard.of"} {
		for _, data := range []string{`[]`, `null`, `{"problems":7}`, ``} {
			e := journal.Entry{Seq: 1, Type: typ, Data: json.RawMessage(data)}
			_, _, _ = incident.Line(incident.Fold(incident.State{}, e), e) // it does not panic
		}
	}
}
