package incident_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"clawback/forensics/incident"
)

func twoSteps() incident.Plan {
	return incident.Plan{Title: "T", Phases: []incident.PlanPhase{{ID: "p", Title: "P", Steps: []incident.PlanStep{
		{ID: "a", Title: "A", Uses: "x.y", Needs: []string{"n"}, With: map[string]any{"k": "v", "n": 7, "list": []any{1.5, true}}},
		{ID: "b", Title: "B", Uses: "x.y"},
	}}}}
}

func binds(t *testing.T, origin string, plan incident.Plan, step string) string {
	t.Helper()
	d, err := incident.Binds(origin, plan, step)
	if err != nil || len(d) != 64 {
		t.Fatalf("%q, %v", d, err)
	}
	return d
}

// Whatever is changed in the plan, in the approved step or in another, is another digest.
func TestBindsToEveryField(t *testing.T) {
	was := binds(t, "o", twoSteps(), "a")
	seen := map[string]string{was: "nothing"}
	tell := func(what, digest string) {
		t.Helper()
		if other, twice := seen[digest]; twice {
			t.Errorf("%s is the same digest as %s", what, other)
		}
		seen[digest] = what
	}
	changed := 0
	var walk func(what string, plan *incident.Plan, v reflect.Value)
	change := func(what string, plan *incident.Plan, v reflect.Value, to any) {
		old := reflect.ValueOf(v.Interface())
		v.Set(reflect.ValueOf(to))
		tell(what, binds(t, "o", *plan, "a"))
		v.Set(old)
		changed++
	}
	walk = func(what string, plan *incident.Plan, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(what+"."+v.Type().Field(i).Name, plan, v.Field(i))
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", what, i), plan, v.Index(i))
			}
			change(what+" grown", plan, v, reflect.Append(v, reflect.New(v.Type().Elem()).Elem()).Interface())
		case reflect.String:
			if what != "plan.Phases[0].Steps[0].ID" { // then there is no step to approve
				change(what, plan, v, v.String()+"x")
			}
		case reflect.Int:
			change(what, plan, v, int(v.Int())+1)
		case reflect.Map:
			change(what+" grown", plan, v, map[string]any{"k": "v", "n": 7, "list": []any{1.5, true}, "more": nil})
			change(what+" changed", plan, v, map[string]any{"k": "v", "n": 8, "list": []any{1.5, true}})
			change(what+" deep", plan, v, map[string]any{"k": "v", "n": 7, "list": []any{1.5, false}})
		default:
			t.Fatalf("%s is a %s: teach this test to change it", what, v.Kind())
		}
	}
	plan := twoSteps()
	walk("plan", &plan, reflect.ValueOf(&plan).Elem())
	if changed < 2*reflect.TypeFor[incident.PlanStep]().NumField() {
		t.Errorf("only %d changes were tried", changed)
	}
	tell("the other step", binds(t, "o", twoSteps(), "b"))
	tell("another incident", binds(t, "o2", twoSteps(), "a"))
	if again := binds(t, "o", twoSteps(), "a"); again != was {
		t.Error("the same plan has two digests")
	}
	if _, err := incident.Binds("o", twoSteps(), "c"); err == nil {
		t.Error("a step that is not in the plan has a digest")
	}
}

// What was approved before the plan was recorded is approved after it was read.
func TestBindsBeforeAndAfterTheRecord(t *testing.T) {
	plan := twoSteps()
	plan.Phases[0].Steps[0].With["large"] = 1e21
	plan.Phases[0].Steps[0].With["many"] = 1 << 40
	raw, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var again incident.Plan
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if binds(t, "o", plan, "a") != binds(t, "o", again, "a") {
		t.Error("the record's plan has another digest")
	}
}

func TestFoldApprovals(t *testing.T) {
	declared := incident.Declared{Incident: "INC-1", Approved: "planfile"}
	ofPlan := binds(t, "planfile", twoSteps(), "a")
	given := func(by, what, plan string) incident.Approved {
		return incident.Approved{Step: "a", By: by, Key: by, Binds: what, Plan: plan}
	}
	for name, test := range map[string]struct {
		entries []any
		given   int
		lost    int
	}{
		"as asked":                {[]any{given("bob", "d", ""), given("carol", "d", "")}, 2, 0},
		"of something else":       {[]any{given("bob", "e", "")}, 0, 1},
		"of the plan file":        {[]any{given("bob", ofPlan, "planfile")}, 1, 0},
		"of another plan file":    {[]any{given("bob", ofPlan, "other")}, 0, 1},
		"of the plan file, wrong": {[]any{given("bob", "d", "planfile")}, 0, 1},
		"nobody asked":            {[]any{incident.Approved{Step: "b", Binds: "d"}}, 0, 1},
		"asked again":             {[]any{given("bob", "d", ""), incident.ApprovalAsked{Step: "a", Needs: 2, Binds: "d"}}, 1, 0},
		"asked for another plan":  {[]any{given("bob", "d", ""), incident.ApprovalAsked{Step: "a", Needs: 2, Binds: "f"}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			all := append([]any{declared, twoSteps(), incident.ApprovalAsked{Step: "a", Needs: 2, Binds: "d"}}, test.entries...)
			s := fold(t, all...)
			if got := len(s.Approvals["a"].Given); got != test.given || s.Unreadable != test.lost {
				t.Errorf("%d given, %d unreadable: %v", got, s.Unreadable, s.Warnings)
			}
		})
	}
}

// What went ahead without its approvals is open, and in the exit code, until they came.
func TestBrokenGlassStaysOpen(t *testing.T) {
	entries := []any{incident.Declared{Incident: "INC-1"}, twoSteps(), incident.ApprovalAsked{Step: "a", Needs: 1, Binds: "d"}}
	count := func() (n int) {
		for _, m := range fold(t, entries...).OpenMatters() {
			if m.Kind == incident.MatterApproval {
				n++
			}
		}
		return n
	}
	if count() != 0 {
		t.Error("it is open before anything went ahead")
	}
	entries = append(entries, incident.BreakGlass{Step: "a", By: "dana", Reason: "alone"}, incident.StepOutcome{Step: "a", Status: incident.Done})
	if count() != 1 {
		t.Error("it is not open")
	}
	entries = append(entries, incident.Approved{Step: "a", By: "bob", Key: "k", Binds: "d", Late: true})
	if count() != 0 {
		t.Error("it is open although it was approved afterwards")
	}
}

// Whoever resumes a response may name other people and another ticket; the rest stays.
func TestResumedNamesPeople(t *testing.T) {
	was := incident.Declared{Incident: "INC-1", Ticket: "CHG-1", Roles: map[string]string{"legal": "lee", "scribe": "sam"}}
	s := fold(t, was, incident.Resumed{By: "dana"}, incident.Resumed{By: "dana", Ticket: "CHG-2", Roles: map[string]string{"scribe": "kim"}})
	if d := s.Declared; d.Ticket != "CHG-2" || d.Roles["legal"] != "lee" || d.Roles["scribe"] != "kim" || len(s.Resumed) != 2 {
		t.Errorf("%+v", d)
	}
}
