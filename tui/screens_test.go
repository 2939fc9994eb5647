package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// A brief is read out: it has to fit one screen, however much there is to say.
func TestBriefFitsAScreen(t *testing.T) {
	for name, story := range map[string]*story{"begun": begun(t), "under fire": preserved(t), "over": over(t), "a crowd": crowd(t, 500), "in doubt": doubtful(t)} {
		k := newKeyboard(t, story, 80, 24, nil)
		k.press("enter", "b")
		if text := k.view(); strings.Contains(text, "more below") {
			t.Errorf("%s: it does not fit:\n%s", name, text)
		}
	}
}

// What matters most is said first, and an agent that may still act is never called still.
func TestBriefOfTheAgent(t *testing.T) {
	for want, add := range map[string]func(*story){
		"is NOT frozen: it may still act": func(*story) {},
		"is NOT frozen whole":             func(s *story) { s.add(incident.TypeFrozen, incident.Frozen{Processes: 3}) },
		"stands still since":              func(s *story) { s.add(incident.TypeFrozen, incident.Frozen{Processes: 3, Complete: true}) },
		"not known yet":                   func(s *story) { s.add(incident.TypeStopped, incident.Stopped{Killed: 3}) },
		"is NOT down":                     func(s *story) { s.add(incident.TypeChecked, incident.Checked{}) },
		"it stays down":                   func(s *story) { s.add(incident.TypeChecked, incident.Checked{Down: true}) },
	} {
		s := begun(t)
		add(s)
		k := newKeyboard(t, s, 80, 24, nil)
		k.press("enter", "b")
		k.wants(want)
	}
}

// An entry is shown as it stands in the record, and nothing in it steers the terminal.
func TestEntryWithoutItsEscapes(t *testing.T) {
	s := begun(t)
	s.add(incident.TypeNote, incident.Note{Text: "a\x1b[2J\x1b]0;owned\x07b\u202ec", By: "mallory"})
	k := newKeyboard(t, s, 80, 24, nil)
	k.press("enter", "t", "enter")
	k.wants("ENTRY 3", `"by": "mallory"`)
	if text := k.view(); strings.ContainsAny(text, "\x07\u202e") || strings.Contains(text, "\x1b[2J") || strings.Contains(text, "\x1b]") {
		t.Errorf("%q", text)
	}
	k.press("esc")
	k.wants("TIMELINE")
	k.press("esc")
	k.wants("CREDENTIALS")
}

// What is selected stays selected while the record goes on.
func TestTimelineStandsStill(t *testing.T) {
	s := underFire(t)
	k := newKeyboard(t, s, 80, 24, nil)
	k.press("enter", "t", "k", "k", "enter")
	before := k.view()
	n := len(s.entries)
	for range 50 {
		s.after(time.Millisecond, incident.TypeNote, incident.Note{Text: "later", By: "dana"})
	}
	k.send(entriesMsg(s.entries[n:]))
	k.c.now = s.entries[n-1].Time.Add(time.Second)
	if after := k.view(); before != after {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
}

func TestGlossaryKnowsEachState(t *testing.T) {
	for life := range lifeMarks {
		if lifeMeanings[life] == "" {
			t.Errorf("nothing says what %s means", life)
		}
	}
	for status := range stepMarks {
		if stepMeanings[status] == "" {
			t.Errorf("nothing says what %s means", status)
		}
	}
	if len(lifeOrder) != len(lifeMarks) || len(stepOrder) != len(stepMarks) {
		t.Error("a state is not in the list")
	}
}

func TestGrounds(t *testing.T) {
	nothing := "on record: nothing that speaks for it"
	for _, tc := range []struct {
		option string
		story  *story
		want   string
	}{
		{"injection", underFire(t), "on record: 1 credential was shown to the model"},
		{"injection", begun(t), nothing},
		{"theft", underFire(t), nothing},
		{"host", underFire(t), nothing},
		{"unknown", underFire(t), ""},
	} {
		k := newKeyboard(t, tc.story, 80, 24, nil)
		if got := grounds(k.c.rec.State, tc.option); got != tc.want {
			t.Errorf("%s: %q", tc.option, got)
		}
	}
	s := begun(t)
	s.add(incident.TypeHostLost, incident.HostLost{})
	s.add(incident.TypeFrozen, incident.Frozen{})
	s.add(incident.TypeChecked, incident.Checked{})
	f := s.found("slack", "slack.bot", "xoxb-…1", nil)
	s.add(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Already: true})
	k := newKeyboard(t, s, 80, 24, nil)
	for option, wants := range map[string][]string{"host": {"itself compromised", "stood still", "again after"}, "theft": {"1 credential was dead before"}} {
		for _, want := range wants {
			if got := grounds(k.c.rec.State, option); !strings.Contains(got, want) {
				t.Errorf("%s: %q has no %q", option, got, want)
			}
		}
	}
}

// A machine is called cut off only where all that is on record says so.
func TestBriefOfTheMachine(t *testing.T) {
	cut := incident.Isolated{How: []string{"nftables"}}
	for want, add := range map[string]func(*story){
		"on the network as it was": func(*story) {},
		"is cut off the network":   func(s *story) { s.add(incident.TypeIsolated, cut) },
		"the agent alone is cut":   func(s *story) { s.add(incident.TypeIsolated, incident.Isolated{Only: true}) },
		"not without problems":     func(s *story) { s.add(incident.TypeIsolated, incident.Isolated{Problems: []string{"no bridge"}}) },
		"reaches what it must not": func(s *story) {
			s.add(incident.TypeIsolated, cut)
			s.add(incident.TypeIsolationTested, incident.IsolationTested{After: incident.WasAnswered})
		},
	} {
		s := begun(t)
		add(s)
		k := newKeyboard(t, s, 80, 24, nil)
		k.press("enter", "b")
		k.wants(want)
	}
}

// A report is gone through by its headings and by what is searched for, and says where one is.
func TestReportIsGoneThrough(t *testing.T) {
	k := newKeyboard(t, over(t), 60, 15, nil)
	writeReport(t, k)
	k.press("enter", "v")
	where := func(want string) {
		t.Helper()
		rows := strings.Split(ansi.Strip(k.view()), "\n")
		if at := strings.TrimSpace(rows[len(rows)-3]); !strings.HasPrefix(at, want) {
			t.Errorf("it stands at %q, not %q:\n%s", at, want, k.view())
		}
	}
	where("INC-20261122-0317: suspected compromise")
	for _, want := range []string{"Summary", "Credentials", "INC-20261122"} { // and around
		k.press("]")
		where(want)
	}
	k.press("[")
	where("Credentials")
	k.press("[")
	where("Summary")
	k.press("n")
	k.wants("n next match: not now, nothing is searched for")
	k.press("/", "ALIVE", "q", "backspace", "enter")
	where("Summary  match 1 of 2")
	k.wants("▸- 9 of 21 credentials are proved dead. 1 is alive, 1")
	k.press("n")
	where("Credentials  match 2 of 2")
	k.press("n")
	where("Summary  match 1 of 2")
	k.press("N")
	where("Credentials  match 2 of 2")
	k.send(tea.WindowSizeMsg{Width: 120, Height: 15})
	k.view()
	k.press("n")
	where("report.md  Credentials  match 2 of 2")
	k.press("/", "zzz", "enter")
	k.wants("no row holds “ALIVEzzz”")
	k.press("/", "esc", "n")
	k.wants("nothing is searched for")
}

// From the report one comes to the question that is open, and is told why not.
func TestReportLeadsToItsQuestions(t *testing.T) {
	plan := func(s *story) {
		s.add(incident.TypePlan, incident.Plan{Title: "suspected compromise", Phases: []incident.PlanPhase{{ID: "review", Title: "Review", Steps: []incident.PlanStep{
			{ID: "review", Title: "Review", Uses: "person.guide", With: map[string]any{"questions": []string{wrote.Title}}},
		}}}})
	}
	k := func(more ...func(*story)) *keyboard {
		s := newStory(t)
		s.add(incident.TypeDeclared, incident.Declared{Incident: "INC-1", Mode: incident.Real})
		plan(s)
		for _, add := range more {
			add(s)
		}
		s.add(incident.TypeReport, incident.Report{Markdown: "report.md"})
		k := newKeyboard(t, s, 80, 24, nil)
		writeReport(t, k)
		k.press("enter", "v", "a")
		return k
	}
	k(func(s *story) { s.begin("review"); s.add(incident.TypeAsked, wrote) }).wants("┌ How did they get in? ", "Your answer, for the report")
	k().wants("a answer what is open: not now, the review asks it later")
	k(func(s *story) { s.add(incident.TypeClosed, incident.Closed{}) }).wants("not now, clawback review INC-1 asks it")
	k(func(s *story) {
		s.begin("review")
		s.add(incident.TypeAsked, wrote)
		s.add(incident.TypeAnswered, incident.Answer{Question: wrote.ID, Choice: incident.Yes, Text: "by a mail", By: "dana"})
	}).wants("a answer what is open: not now, none is open")
}

// Before the report is written it is shown as it would read now, called a draft, and leads to what is
// open; once it is written, the marked key leads to that.
func TestReportDraft(t *testing.T) {
	s := underFire(t)
	drafts := 0
	k := newKeyboard(t, s, 80, 24, nil)
	k.c.o.Draft = func(context.Context) (string, error) {
		drafts++
		return fmt.Sprintf("# Draft %d\n\n## Review\n\n**Open:** how?\n\x1b[2J", drafts), nil
	}
	k.press("enter", "v")
	k.wants("# Draft 1", "draft, not written yet", "▸ esc  back")
	k.press("]")
	k.wants("draft, not written yet  Review")
	k.press("v")
	k.wants("# Draft 2")
	n := len(s.entries)
	s.add(incident.TypeAsked, wrote)
	k.send(entriesMsg(s.entries[n:]))
	k.press("a", "rest", "by a mail", "rest", "ctrl+s")
	if got := answers(k.sent); got != "yes by a mail" {
		t.Errorf("it sent %q", got)
	}
	n = len(s.entries)
	s.add(incident.TypeReport, incident.Report{Markdown: "report.md"})
	s.add(incident.TypeClosed, incident.Closed{Exit: 3})
	k.send(entriesMsg(s.entries[n:]))
	k.rest()
	k.wants("# Draft 2", "▸ v  as it was written")
	writeReport(t, k)
	k.press("v")
	k.wants("# INC-20261122-0317: suspected compromise", "▸ q  leave")
	k.press("esc")
	if next := k.c.run.next(k.c); next != "q" {
		t.Errorf("the written report was read, and %q is next", next)
	}

	k = newKeyboard(t, underFire(t), 80, 24, nil)
	k.press("enter", "v")
	k.wants("v report: not now, there is no report yet")
	k.c.o.Draft = func(context.Context) (string, error) { return "", errors.New("entry 7 does not fit") }
	k.press("v")
	k.wants("entry 7 does not fit")
}
