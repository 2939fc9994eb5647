package incident

import (
	"strings"
	"testing"
	"time"

	"clawback/forensics/journal"
)

// The entries of a record make the custody log: each field that SP 800-86 wants is in it.
func TestCustodyOnRecord(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	when := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	j := journal.InMemory(time.Now)
	for _, e := range []struct {
		typ  string
		data any
		word string
		says string
	}{
		{TypeDeclared, Declared{Incident: "INC-1", Mode: Real, Target: "web-1", Remote: true, Responder: "alice", Desk: "bastion", Version: "1.2", Roles: map[string]string{"commander": "alice"}}, "declared", ""},
		{TypeHold, Hold{On: true, By: "alice", Why: "the configuration says so"}, "LEGAL HOLD", "by alice: the configuration says so"},
		{TypeDescribed, Described{Hostname: "web", ClockAheadMS: 1500}, "described", ""},
		{TypeSealed, Sealed{Part: "files", Path: "evidence/files.tar.zst", Files: 3, Bytes: 7, Package: digest, Left: []string{"/x"}, Problems: []string{"y"}}, "sealed", ""},
		{TypeStamped, Stamped{Item: "files", Package: digest, File: "evidence/files.tar.zst.tsr", Time: when, By: "CN=TSA", Authority: "https://tsa"}, "stamped", "files evidence: it existed on 2026-03-02T09:00:00Z, says CN=TSA (https://tsa); kept as"},
		{TypeStamped, Stamped{Item: "files", Package: digest, Authority: "https://tsa", Error: "it hangs"}, "NOT STAMPED", "it hangs"},
		{TypeDeposited, Deposited{Item: "files", Package: digest, Kind: "s3", Place: "s3://vault/INC-1", By: "alice", Files: []DepositedFile{{Name: "a", Until: when}, {Name: "b", Until: when.AddDate(1, 0, 0)}}}, "deposited", "files evidence to s3://vault/INC-1: s3, 2 files read back and compared, locked until 2026-03-02"},
		{TypeDeposited, Deposited{Item: "files", Kind: "s3", Place: "s3://vault/INC-1", Error: "403"}, "NOT DEPOSITED", "403"},
		{TypeDeposited, Deposited{Item: "files", Kind: "directory", Place: "/mnt", Files: []DepositedFile{{Name: "a", Unproved: []string{"that it is on the disk"}}}}, "UNPROVED", "a: that it is on the disk"},
		{TypeResumed, Resumed{By: "bob", Desk: "laptop", Version: "1.3", For: ToCustody}, "custody", "by bob on laptop"},
		{TypeTransfer, Transfer{Item: "files", From: "alice, commander", To: "Carol, counsel", Purpose: "review", At: when, By: "bob"}, "transferred", "files evidence from alice, commander to Carol, counsel: review"},
		{TypeAccess, Access{Item: "files", Who: "Dan, analyst", Purpose: "timeline", At: when, By: "bob"}, "accessed", "files evidence by Dan, analyst: timeline"},
		{TypeHold, Hold{By: "bob", Why: "settled"}, "released", "the legal hold, by bob: settled"},
		{TypeSealed, Sealed{Part: "files", Path: "evidence/files-2.tar.zst", Package: digest, Early: true}, "sealed", ""},
	} {
		if err := j.Note(e.typ, e.data); err != nil {
			t.Fatal(err)
		}
		var s State
		for entry, err := range j.Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if s = Fold(s, entry); entry.Seq != j.Length() {
				continue
			}
			if word, text, ok := Line(s, entry); !ok || word != e.word || !strings.Contains(text, e.says) {
				t.Errorf("%s %q, %v", word, text, ok)
			}
		}
	}
	s, err := FoldAll(j.Entries(t.Context()))
	if err != nil || len(s.Warnings) > 0 || len(s.Custody.Items) != 2 || s.Custody.Held() || len(s.Custody.Holds) != 2 {
		t.Fatalf("%v, %+v", err, s.Custody)
	}
	i, second := s.Custody.Item("files"), s.Custody.Item("files-2")
	if i.Case != "INC-1" || i.Source != "web-1" || i.Claimed != "web" || !strings.Contains(i.Acquisition, "over SSH") || i.Tool != "clawback 1.2" ||
		i.By != "alice" || i.Role != "commander" || i.Desk != "bastion" || i.ClockAhead != 1500 || i.Custodian != "Carol, counsel" || len(i.Errors) != 2 {
		t.Errorf("%+v", i)
	}
	if second.By != "bob" || second.Desk != "laptop" || second.Tool != "clawback 1.3" || second.Custodian != "bob, responder" || len(second.Errors) != 1 {
		t.Errorf("%+v", second)
	}
	var what []string
	for _, e := range i.Events {
		what = append(what, e.What)
	}
	if got := strings.Join(what, " "); got != "sealed stamped stamped deposited deposited deposited transferred accessed" {
		t.Errorf("%s", got)
	}
	if i.Stamp() == nil || i.Stamp().Error != "" || second.Stamp() != nil {
		t.Errorf("stamps: %+v, %+v", i.Stamp(), second.Stamp())
	}
}

// What was set aside stays in the log beside what was taken in its place, and nothing is said of what
// is not there.
func TestCustodyOfWhatWasReplaced(t *testing.T) {
	j := journal.InMemory(time.Now)
	for range 2 {
		if err := j.Note(TypeSealed, Sealed{Part: "files", Path: "evidence/files.tar.zst"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Note(TypeTransfer, Transfer{Item: "memory"}); err != nil {
		t.Fatal(err)
	}
	s, err := FoldAll(j.Entries(t.Context()))
	if err != nil || len(s.Custody.Items) != 2 || !s.Custody.Items[0].Replaced || s.Custody.Items[1].Replaced || s.Unreadable != 1 {
		t.Errorf("%v, %+v", err, s.Custody)
	}
}

// A deposit that failed is made good by a later one in each place, and not by what went well before it failed.
func TestDepositMadeGood(t *testing.T) {
	failed := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	put := func(after time.Duration, place, err string) CustodyEvent {
		return CustodyEvent{Written: failed.Add(after), To: place, Error: err, Deposited: &Deposited{}}
	}
	for name, tc := range map[string]struct {
		events []CustodyEvent
		want   bool
	}{
		"nothing":                  {nil, false},
		"well before it failed":    {[]CustodyEvent{put(-time.Second, "a", "")}, false},
		"well since":               {[]CustodyEvent{put(-time.Second, "a", "no"), put(time.Second, "a", "")}, true},
		"one place still fails":    {[]CustodyEvent{put(-time.Second, "b", "no"), put(time.Second, "a", "")}, false},
		"it failed there anew":     {[]CustodyEvent{put(time.Second, "a", ""), put(2*time.Second, "a", "no")}, false},
		"the other place was well": {[]CustodyEvent{put(-time.Second, "b", ""), put(time.Second, "a", "")}, true},
	} {
		s := State{Custody: Custody{Items: []*CustodyItem{{Events: tc.events}, {Replaced: true}}}}
		step := &Step{PlanStep: PlanStep{Uses: "evidence.deposit"}, Status: Failed, Ended: failed}
		if got := s.madeGood(step); got != tc.want {
			t.Errorf("%s: made good: %t", name, got)
		}
	}
}
