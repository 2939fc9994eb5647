package incident

import (
	"encoding/json"
	"slices"
	"testing"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// contained is a record that ends with exit code 0.
func contained() []entry {
	return []entry{
		{TypeDeclared, Declared{Incident: "INC-1", Mode: Real}},
		aPlan,
		{TypeFrozen, Frozen{Processes: 3, TookMS: 12.5, Complete: true}},
		{TypeSealed, Sealed{Part: "volatile", Files: 2, Bytes: 10}},
		{TypeSealed, Sealed{Part: "files", Files: 3, Bytes: 20}},
		found("f1"),
		{TypeSearched, Searched{Files: 40}},
		{TypeRevoke, Revoke{Fingerprint: "f1"}},
		{TypeLife, Life{Fingerprint: "f1", Life: credential.Dead}},
		{TypeStopped, Stopped{Killed: 3}},
		{TypeChecked, Checked{Down: true}},
		{TypeStepOutcome, StepOutcome{Step: "freeze", Status: Done}},
		{TypeStepOutcome, StepOutcome{Step: "report", Status: Done}},
	}
}

// The conditions that an exit code speaks of, each as what it adds to a record that is contained.
var (
	terminated  = []entry{{TypeInterrupted, Interrupted{"terminated"}}}
	interrupted = []entry{{TypeInterrupted, Interrupted{"interrupt"}}}
	gateFailed  = []entry{{TypeStepOutcome, StepOutcome{Step: "freeze", Status: Failed, Gate: true}}}
	stepFailed  = []entry{{TypeStepOutcome, StepOutcome{Step: "report", Status: Failed}}}
	noAuthority = lives("a", Life{Life: credential.Failed, Reason: ReasonAuthority})
	unproved    = lives("u", Life{Life: credential.Unverified, Reason: ReasonDeadline})
	byAPerson   = lives("m", Life{Life: credential.Manual})
)

func lives(f credential.Fingerprint, l Life) []entry {
	l.Fingerprint = f
	return []entry{found(f), {TypeLife, l}}
}

func TestExitCodeOfEachCondition(t *testing.T) {
	without := func(typ string) []entry {
		return slices.DeleteFunc(contained(), func(e entry) bool { return e.typ == typ })
	}
	with := func(more ...entry) []entry { return append(contained(), more...) }
	life := func(l Life) []entry { return append(contained(), lives("f2", l)...) }
	tests := map[string]struct {
		entries []entry
		want    int
	}{
		"contained":                        {contained(), ExitContained},
		"no credential at all":             {slices.DeleteFunc(contained(), func(e entry) bool { return e.typ == TypeFound || e.typ == TypeRevoke || e.typ == TypeLife }), ExitContained},
		"nothing on record":                {nil, ExitNothing},
		"declared alone":                   {contained()[:1], ExitNothing},
		"found, and nothing done":          {[]entry{found("f1"), {TypeLife, Life{Fingerprint: "f1", Life: credential.Manual}}}, ExitNothing},
		"refused by all, nothing else":     {append([]entry{found("f1"), {TypeRevoke, Revoke{Fingerprint: "f1"}}}, entry{TypeLife, Life{Fingerprint: "f1", Life: credential.Failed}}), ExitNothing},
		"deadline before anything":         {lives("f1", Life{Life: credential.Unverified, Reason: ReasonDeadline}), ExitNothing},
		"revoked and nothing else":         {[]entry{found("f1"), {TypeRevoke, Revoke{Fingerprint: "f1"}}}, ExitPartial},
		"isolated and nothing else":        {[]entry{{TypeIsolated, Isolated{}}}, ExitPartial},
		"agent not looked at":              {without(TypeChecked), ExitPartial},
		"agent not down":                   {with(entry{TypeChecked, Checked{}}), ExitPartial},
		"nothing sealed":                   {without(TypeSealed), ExitPartial},
		"not searched":                     {without(TypeSearched), ExitPartial},
		"searched in part":                 {with(entry{TypeSearched, Searched{Problems: []string{"openclaw.json: cut in half"}}}), ExitPartial},
		"record lost":                      {with(entry{journal.TypeTrouble, journal.Trouble{Error: "full"}}), ExitPartial},
		"record not understood":            {with(entry{TypeFound, 5}), ExitPartial},
		"step failed":                      {with(stepFailed...), ExitPartial},
		"step never began":                 {without(TypeStepOutcome), ExitPartial},
		"step without outcome":             {with(entry{TypeStepIntent, StepIntent{"freeze"}}), ExitPartial},
		"the report asks":                  {with(entry{TypeStepIntent, StepIntent{"report"}}), ExitContained},
		"step of an unknown status":        {with(entry{TypeStepOutcome, StepOutcome{Step: "freeze", Status: "fine"}}), ExitPartial},
		"step skipped":                     {with(entry{TypeStepOutcome, StepOutcome{Step: "freeze", Status: Skipped}}), ExitContained},
		"evidence gate":                    {with(gateFailed...), ExitEvidence},
		"found only":                       {with(found("f2")), ExitPartial},
		"requested":                        {with(found("f2"), entry{TypeRevoke, Revoke{Fingerprint: "f2"}}), ExitPartial},
		"accepted":                         {life(Life{Life: credential.Accepted}), ExitPartial},
		"propagating":                      {life(Life{Life: credential.Propagating}), ExitPartial},
		"alive":                            {life(Life{Life: credential.Alive, Reason: ReasonDeadline}), ExitPartial},
		"failed":                           {life(Life{Life: credential.Failed, Reason: ReasonProvider}), ExitPartial},
		"failed, for no reason":            {life(Life{Life: credential.Failed}), ExitPartial},
		"an unknown life":                  {life(Life{Life: "zombie"}), ExitPartial},
		"no life":                          {life(Life{}), ExitPartial},
		"ours":                             {life(Life{Life: credential.Skipped, Reason: ReasonOurs}), ExitPartial},
		"left alone by a decision":         {life(Life{Life: credential.Skipped, Reason: ReasonDecision}), ExitPartial},
		"no authority":                     {life(Life{Life: credential.Failed, Reason: ReasonAuthority}), ExitAuthority},
		"authority not accepted":           {life(Life{Life: credential.Failed, Reason: ReasonRisk}), ExitAuthority},
		"authority not accepted, left out": {life(Life{Life: credential.Skipped, Reason: ReasonRisk}), ExitAuthority},
		"deadline":                         {life(Life{Life: credential.Unverified, Reason: ReasonDeadline}), ExitUnproved},
		"no conclusive answer":             {life(Life{Life: credential.Unverified, Reason: ReasonProvider}), ExitUnproved},
		"manual":                           {life(Life{Life: credential.Manual}), ExitManual},
		"a guided step left for later": {with(entry{TypeAsked, Question{ID: "q1", Step: "freeze"}}, entry{TypeAnswered, Answer{Question: "q1", Choice: Later}},
			entry{TypeStepOutcome, StepOutcome{Step: "freeze", Status: Skipped}}), ExitManual},
		"a step left out": {with(entry{TypeAsked, Question{ID: "q1", Step: "freeze"}}, entry{TypeAnswered, Answer{Question: "q1", Choice: No}},
			entry{TypeStepOutcome, StepOutcome{Step: "freeze", Status: Skipped}}), ExitContained},
		"interrupted":             {with(interrupted...), ExitInterrupted},
		"interrupted by nothing":  {with(entry{TypeInterrupted, 5}), ExitInterrupted},
		"terminated":              {with(terminated...), ExitTerminated},
		"ended by another signal": {with(entry{TypeInterrupted, Interrupted{"hangup"}}), ExitTerminated},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := folded(t, test.entries...)
			if got := s.ExitCode(); got != test.want {
				t.Errorf("exit %d instead of %d; warnings %v", got, test.want, s.Warnings)
			}
			whole(t, s)
		})
	}
}

// TestExitCodePrecedence goes through every pair of conditions: 143 and 130 > 1 > 21 > 3 > 4 > 5 > 6.
func TestExitCodePrecedence(t *testing.T) {
	order := []struct {
		code int
		adds []entry
	}{
		{ExitTerminated, terminated}, {ExitInterrupted, interrupted}, {ExitEvidence, gateFailed}, {ExitPartial, stepFailed},
		{ExitAuthority, noAuthority}, {ExitUnproved, unproved}, {ExitManual, byAPerson}, {ExitContained, nil},
	}
	for i, winner := range order {
		for _, loser := range order[i+1:] {
			if winner.code == ExitTerminated && loser.code == ExitInterrupted {
				continue // the later signal is the one on record
			}
			for _, both := range [][]entry{slices.Concat(winner.adds, loser.adds), slices.Concat(loser.adds, winner.adds)} {
				if got := folded(t, append(contained(), both...)...).ExitCode(); got != winner.code {
					t.Errorf("%d and %d make %d", winner.code, loser.code, got)
				}
			}
		}
	}
	all := contained()
	for _, o := range order[2:] {
		all = append(all, o.adds...)
	}
	if got := folded(t, all...).ExitCode(); got != ExitEvidence {
		t.Errorf("all together make %d", got)
	}
	nothing := []entry{aPlan} // where nothing was done, the rest still holds
	for _, more := range [][]entry{gateFailed, stepFailed, noAuthority, unproved, byAPerson} {
		nothing = append(nothing, more...)
		if got := folded(t, nothing...).ExitCode(); got != ExitNothing {
			t.Errorf("nothing done and %v make %d", more[len(more)-1], got)
		}
	}
	for _, signal := range []struct {
		adds []entry
		code int
	}{{interrupted, ExitInterrupted}, {terminated, ExitTerminated}} {
		if got := folded(t, append(slices.Clone(nothing), signal.adds...)...).ExitCode(); got != signal.code {
			t.Errorf("nothing done and a signal make %d", got)
		}
	}
}

func TestDryRun(t *testing.T) {
	plan := []entry{{TypeDeclared, Declared{Incident: "dry-run", Mode: Real, DryRun: true}}, aPlan, found("f1")}
	for name, test := range map[string]struct {
		entries []entry
		want    int
	}{
		"made its plan":     {plan, ExitContained},
		"read half":         {append(slices.Clone(plan), entry{TypeSearched, Searched{Problems: []string{"x"}}}), ExitContained},
		"no plan":           {plan[:1], ExitNothing},
		"an empty plan":     {append(slices.Clone(plan[:1]), entry{TypePlan, Plan{}}), ExitNothing},
		"a step failed":     {append(slices.Clone(plan), stepFailed...), ExitNothing},
		"interrupted":       {append(slices.Clone(plan), interrupted...), ExitInterrupted},
		"not to understand": {append(slices.Clone(plan), entry{TypeFound, 5}), ExitNothing},
	} {
		s := folded(t, test.entries...)
		if got := s.ExitCode(); got != test.want {
			t.Errorf("%s: exit %d instead of %d", name, got, test.want)
		}
		if sum := s.Summarize(""); sum.Agent.Down || sum.Evidence.Sealed || sum.Credentials.Dead > 0 {
			t.Errorf("%s: the summary says %+v", name, sum)
		}
	}
}

func TestExitCodesAreOneTable(t *testing.T) {
	all := []int{
		ExitContained, ExitNothing, ExitUsage, ExitPartial, ExitAuthority, ExitUnproved, ExitManual, ExitNoInstallation,
		ExitLocked, ExitApproval, ExitEvidence, ExitInterrupted, ExitTerminated,
	}
	if want := []int{0, 1, 2, 3, 4, 5, 6, 10, 11, 20, 21, 130, 143}; !slices.Equal(all, want) {
		t.Errorf("the codes are %v", all)
	}
	var listed, refusals []int
	meanings := make(map[string]bool)
	for _, row := range ExitCodes {
		listed = append(listed, row.Code)
		if row.Refusal {
			refusals = append(refusals, row.Code)
		}
		if row.Meaning == "" || meanings[row.Meaning] {
			t.Errorf("exit code %d means %q", row.Code, row.Meaning)
		}
		meanings[row.Meaning] = true
	}
	if !slices.Equal(listed, all) {
		t.Errorf("the table lists %v", listed)
	}
	if !slices.Equal(refusals, []int{2, 10, 11, 20}) {
		t.Errorf("refusals are %v", refusals)
	}
	for _, code := range precedence {
		if !slices.Contains(listed, code) || slices.Contains(refusals, code) {
			t.Errorf("%d has a precedence", code)
		}
	}
	if len(precedence)+len(refusals)+1 != len(listed) {
		t.Errorf("%v leaves out a code that a run can end with", precedence)
	}
}

func TestSummaryIsOneLineOfAKnownShape(t *testing.T) {
	tests := map[string]struct {
		entries []entry
		want    string
	}{
		"contained": {contained(), `{"type":"summary","incident":"INC-1","mode":"real","exit":0,` +
			`"credentials":{"total":1,"dead":1,"alive":0,"manual":0,"unverified":0,"failed":0,"skipped":0},` +
			`"agent":{"frozen_ms":12.5,"down":true},"evidence":{"files":5,"bytes":30,"sealed":true},` +
			`"timings":{"freeze_ms":2000,"all_dead_ms":8000,"slowest_chain_ms":1000},"adversary":{"calls_after_alarm":0},"report":"report.md"}`},
		"a bad night": {slices.Concat(
			[]entry{{TypeDeclared, Declared{Incident: "DRILL-1", Mode: Drill}}, aPlan, {TypeAdversary, Adversary{9}}, {TypeSealed, Sealed{Files: 1, Bytes: 2}}},
			gateFailed, noAuthority, unproved, byAPerson,
			lives("x", Life{Life: credential.Alive}), lives("y", Life{Life: credential.Skipped}), lives("z", Life{Life: credential.Propagating}),
		), `{"type":"summary","incident":"DRILL-1","mode":"drill","exit":21,` +
			`"credentials":{"total":6,"dead":0,"alive":1,"manual":1,"unverified":2,"failed":1,"skipped":1},` +
			`"agent":{"frozen_ms":null,"down":false},"evidence":{"files":1,"bytes":2,"sealed":false},` +
			`"timings":{"freeze_ms":null,"all_dead_ms":null,"slowest_chain_ms":null},"adversary":{"calls_after_alarm":9},"report":"report.md"}`},
		"one of two dead": {append(contained(), byAPerson...), `{"type":"summary","incident":"INC-1","mode":"real","exit":6,` +
			`"credentials":{"total":2,"dead":1,"alive":0,"manual":1,"unverified":0,"failed":0,"skipped":0},` +
			`"agent":{"frozen_ms":12.5,"down":true},"evidence":{"files":5,"bytes":30,"sealed":true},` +
			`"timings":{"freeze_ms":2000,"all_dead_ms":null,"slowest_chain_ms":1000},"adversary":{"calls_after_alarm":0},"report":"report.md"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(folded(t, test.entries...).Summarize("report.md"))
			if err != nil || string(got) != test.want {
				t.Errorf("%v\n%s\ninstead of\n%s", err, got, test.want)
			}
		})
	}
}

func TestTimingsOfManyChains(t *testing.T) {
	revoke := func(f credential.Fingerprint) entry { return entry{TypeRevoke, Revoke{Fingerprint: f}} }
	dead := func(f credential.Fingerprint) entry {
		return entry{TypeLife, Life{Fingerprint: f, Life: credential.Dead}}
	}
	// Second by second: the chain of f1 takes 5 s, that of f2 takes 2 s and a retry, f3 was revoked by a person.
	s := folded(t, entry{TypeDeclared, Declared{}}, found("f1"), found("f2"), found("f3"),
		revoke("f1"), revoke("f2"), revoke("f2"), dead("f2"), dead("f3"), dead("f1"), dead("f1"))
	got := s.timings()
	if *got.AllDeadMS != 9000 || *got.SlowestChainMS != 5000 || got.FreezeMS != nil {
		t.Errorf("all dead after %v, slowest chain %v, frozen %v", *got.AllDeadMS, *got.SlowestChainMS, got.FreezeMS)
	}
}
