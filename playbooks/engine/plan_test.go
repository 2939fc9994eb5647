package engine

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

// throughRecord is a plan as it is read from a record.
func throughRecord(t *testing.T, p incident.Plan) (read incident.Plan) {
	t.Helper()
	raw, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(raw, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	return read
}

var everyAction = []string{
	"host.describe", "agent.freeze", "evidence.capture", "evidence.deposit", "credentials.discover", "credentials.revoke", "credentials.others", "agent.stop",
	"agent.check", "host.isolate", "broker.hold", "platform.isolate", "evidence.disk", "person.guide", "person.decide", "report.write",
}

// What a record says of a playbook is all that it takes to go on with it.
func TestBookIsTheInverseOfPlan(t *testing.T) {
	books := map[string]playbooks.Playbook{}
	for _, name := range playbooks.Builtins() {
		book, err := playbooks.Builtin(name, everyAction)
		if err != nil {
			t.Fatal(err)
		}
		books[name] = book
	}
	odd, err := playbooks.Parse("odd.yaml", []byte(`
name: odd
title: Odd
attended: true
phases:
  - id: one
    title: One
    steps:
      - {id: choose, title: Choose, uses: person.decide, with: {options: [{id: yes-do, title: Do}, {id: no-dont, title: "Don't"}]}}
      - {id: files, title: Files, uses: evidence.capture, needs: [choose]}
      - id: b
        title: B
        uses: agent.stop
        with: {n: 7, big: 1.5, list: [1, {deep: -3}], flag: true, none: null, text: "7"}
        needs: [choose, files]
        when: choose is not yes-do
        gate: typed
        on_failure: stop
        approvals: 2
        deadline: 90s
        why: because
        irreversible: what is gone is gone
`), everyAction)
	if err != nil {
		t.Fatal(err)
	}
	books["odd"] = odd
	for name, book := range books {
		declared := incident.Declared{Playbook: book.Name, Attended: book.Attended}
		got, err := Book(declared, throughRecord(t, Plan(book)), everyAction)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		book.Description = ""
		for i := range book.Phases {
			book.Phases[i].Line = 0
			for j := range book.Phases[i].Steps {
				book.Phases[i].Steps[j].Line = 0
			}
		}
		if !reflect.DeepEqual(got, book) {
			t.Errorf("%s:\n%+v\nbecame\n%+v", name, book, got)
		}
	}
}

func TestBookRefusesWhatParseWould(t *testing.T) {
	sound := func() (incident.Declared, incident.Plan) {
		book := playbooks.Playbook{Name: "test", Title: "Test", Phases: []playbooks.Phase{{ID: "one", Title: "One", Steps: []playbooks.Step{
			{ID: "a", Title: "A", Uses: "agent.freeze", Gate: playbooks.Auto, OnFailure: playbooks.GoOn, Deadline: time.Minute},
			{ID: "b", Title: "B", Uses: "agent.stop", Gate: playbooks.Auto, OnFailure: playbooks.GoOn, Needs: []string{"a"}},
		}}}}
		return incident.Declared{Playbook: "test"}, Plan(book)
	}
	if d, p := sound(); true {
		if _, err := Book(d, p, everyAction); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(*incident.Declared, *incident.PlanStep)
		says  string
	}{
		"no name":         {func(d *incident.Declared, _ *incident.PlanStep) { d.Playbook = "" }, "needs name"},
		"unknown action":  {func(_ *incident.Declared, s *incident.PlanStep) { s.Uses = "agent.praise" }, "agent.praise"},
		"unknown gate":    {func(_ *incident.Declared, s *incident.PlanStep) { s.Gate = "wish" }, "wish"},
		"nobody attends":  {func(_ *incident.Declared, s *incident.PlanStep) { s.Gate = playbooks.Confirm }, "nobody attends"},
		"no such failure": {func(_ *incident.Declared, s *incident.PlanStep) { s.OnFailure = "" }, "on_failure"},
		"circle":          {func(_ *incident.Declared, s *incident.PlanStep) { s.Needs = []string{"b"} }, "for ever"},
		"stranger":        {func(_ *incident.Declared, s *incident.PlanStep) { s.Needs = []string{"z"} }, `"z"`},
		"condition":       {func(_ *incident.Declared, s *incident.PlanStep) { s.When = "it rains or not" }, "no condition"},
		"fact":            {func(_ *incident.Declared, s *incident.PlanStep) { s.When = "rain" }, "rain"},
		"deadline":        {func(_ *incident.Declared, s *incident.PlanStep) { s.Deadline = "soon" }, "soon"},
		"negative":        {func(_ *incident.Declared, s *incident.PlanStep) { s.Deadline = "-1s" }, "-1s"},
		"no title":        {func(_ *incident.Declared, s *incident.PlanStep) { s.Title = "" }, "title"},
		"twice":           {func(_ *incident.Declared, s *incident.PlanStep) { s.ID = "b" }, "already"},
	} {
		d, p := sound()
		c.spoil(&d, &p.Phases[0].Steps[0])
		if _, err := Book(d, p, everyAction); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
