package incident

import (
	"testing"

	"clawback/revoke/credential"
)

var workPlan = entry{TypePlan, Plan{Phases: []PlanPhase{{ID: "all", Steps: []PlanStep{
	{ID: "freeze", Title: "Freeze the agent", Uses: "agent.freeze"},
	{ID: "files", Title: "Capture", Uses: "evidence.capture"},
	{ID: "revoke", Title: "Revoke", Uses: "credentials.revoke"},
	{ID: "guide", Title: "Look around", Uses: "person.guide"},
}}}}}

// What a response does by itself, and what of it must not be left half-way.
func TestAtWork(t *testing.T) {
	begins := func(step string) entry { return entry{TypeStepIntent, StepIntent{Step: step}} }
	ends := func(step string) entry { return entry{TypeStepOutcome, StepOutcome{Step: step, Status: Done}} }
	asks := func(step string) entry { return entry{TypeAsked, Question{ID: "q", Step: step}} }
	sent, life := entry{TypeRevoke, Revoke{Fingerprint: "a"}}, func(l credential.Life) entry { return entry{TypeLife, Life{Fingerprint: "a", Life: l}} }
	const token = "github ghp_…a"
	for name, c := range map[string]struct {
		entries          []entry
		inFlight, atWork string
	}{
		"nothing yet":                  {nil, "", ""},
		"a question before a step":     {[]entry{asks("freeze")}, "", ""},
		"a step that changes the host": {[]entry{begins("freeze")}, "Freeze the agent", "Freeze the agent"},
		"its end":                      {[]entry{begins("freeze"), ends("freeze")}, "", ""},
		"a step that copies":           {[]entry{begins("files")}, "", "Capture"},
		"a question within a step":     {[]entry{begins("guide"), asks("guide")}, "", ""},
		"a revocation that was sent":   {[]entry{begins("revoke"), found("a"), sent}, "the revocation of " + token, "the revocation of " + token},
		"its answer":                   {[]entry{begins("revoke"), found("a"), sent, {TypeReceipt, Receipt{Fingerprint: "a"}}}, "", "the proof of " + token},
		"its end, by hand":             {[]entry{begins("revoke"), found("a"), life(credential.Manual)}, "", ""},
		"its death":                    {[]entry{begins("revoke"), found("a"), sent, life(credential.Dead)}, "", ""},
		"the process died meanwhile":   {[]entry{begins("revoke"), found("a"), sent, {TypeResumed, Resumed{}}}, "", "the proof of " + token},
		"the run is over":              {[]entry{begins("freeze"), {TypeClosed, Closed{}}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := folded(t, append([]entry{workPlan}, c.entries...)...)
			if got := s.InFlight(); got != c.inFlight {
				t.Errorf("in flight: %q, want %q", got, c.inFlight)
			}
			if got := s.AtWork(); got != c.atWork {
				t.Errorf("at work: %q, want %q", got, c.atWork)
			}
		})
	}
}

// A revocation whose answer died with the process is neither dead nor alive until somebody looked.
func TestIndeterminate(t *testing.T) {
	died := []entry{found("a"), {TypeRevoke, Revoke{Fingerprint: "a"}}, {TypeResumed, Resumed{}}}
	if c := folded(t, died...).Credential("a"); !c.Indeterminate {
		t.Errorf("after the resumption: %+v", c)
	}
	for _, looked := range []entry{
		{TypeReceipt, Receipt{Fingerprint: "a"}}, {TypeRevoke, Revoke{Fingerprint: "a"}}, {TypeLife, Life{Fingerprint: "a", Life: credential.Alive}},
	} {
		if c := folded(t, append(died, looked)...).Credential("a"); c.Indeterminate {
			t.Errorf("still after %s", looked.typ)
		}
	}
	if c := folded(t, found("a"), entry{TypeRevoke, Revoke{Fingerprint: "a"}}).Credential("a"); c.Indeterminate {
		t.Error("while its run goes on")
	}
}

// A step waits for approvals until they are there, or the glass is broken.
func TestPending(t *testing.T) {
	asked := entry{TypeApproval, ApprovalAsked{Step: "revoke", Needs: 2, Binds: "d"}}
	given := func(by string) entry { return entry{TypeApproved, Approved{Step: "revoke", By: by, Binds: "d"}} }
	for name, c := range map[string]struct {
		entries []entry
		missing []int
	}{
		"asked":         {[]entry{asked}, []int{2}},
		"one given":     {[]entry{asked, given("bo")}, []int{1}},
		"both given":    {[]entry{asked, given("bo"), given("cy")}, nil},
		"broken":        {[]entry{asked, {TypeBreakGlass, BreakGlass{Step: "revoke"}}}, nil},
		"never asked":   {nil, nil},
		"another steps": {[]entry{asked, {TypeStepOutcome, StepOutcome{Step: "revoke", Status: Skipped}}}, nil},
	} {
		pending := folded(t, append([]entry{workPlan}, c.entries...)...).Pending()
		if len(pending) != len(c.missing) || len(pending) == 1 && pending[0].Missing() != c.missing[0] {
			t.Errorf("%s: %v waits, want %v", name, pending, c.missing)
		}
	}
}
