package incident

import (
	"strings"
	"testing"
	"time"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// The newest test of an authority stands, and a line says whether it can be relied on and what to do.
func TestAuthorityOnRecord(t *testing.T) {
	j := journal.InMemory(time.Now)
	for _, e := range []struct {
		typ  string
		data any
		word string
		says string
	}{
		{TypeAuthority, Authority{Provider: "aws", From: "AWS profile responder", Outcome: AuthorityRefused, Answer: "403 ExpiredToken", Hint: "log in again"},
			"NO AUTHORITY", "aws: refused: 403 ExpiredToken (AWS profile responder); hint: log in again"},
		{TypeAuthority, Authority{Provider: "aws", From: "AWS profile responder", Outcome: AuthorityUsable, Who: "arn:aws:iam::1:user/r", Answer: "200"},
			"your own", "aws: usable: arn:aws:iam::1:user/r (AWS profile responder)"},
		{TypeAuthority, Authority{Provider: "discord", Outcome: AuthorityUntested, Answer: "not asked"}, "your own", "discord: untested: not asked"},
		{TypeAuthority, Authority{Outcome: AuthorityUsable}, "your own", ""},
		{TypeForgotten, Forgotten{By: "dana", Why: "the case is closed", Kept: 3, Undead: []credential.Fingerprint{"ab"}},
			"forgotten", "3 kept secrets wiped by dana: the case is closed; 1 of them was not proved dead"},
		{TypeLetGo, LetGo{What: Thaw, By: "dana", Why: "a false alarm"}, "thaw", "dana takes it back: a false alarm"},
		{TypeLetGone, LetGone{What: Thaw, Proof: []string{"none stands still"}}, "thawed", "none stands still"},
		{TypeLetGone, LetGone{What: Restore, Proof: []string{"no process runs"}, Left: []string{"x: start refused"}}, "NOT RESTORED", "no process runs; problem: x: start refused"},
		{TypeLetGone, LetGone{What: Thaw, Error: "no route"}, "NOT THAWED", "no route"},
		{TypeLetGone, LetGone{}, "undone", ""},
		{TypeLetGo, LetGo{What: Reopen, By: "dana", Why: "locked out"}, "reopen", "dana takes it back: locked out"},
		{TypeLetGone, LetGone{What: Reopen}, "reopened", ""},
		{TypeIsolated, Isolated{How: []string{"nftables"}}, "isolated", "nftables; against root on it a delay, not containment: have whoever runs the cloud or the hypervisor"},
		{TypeIsolationTested, IsolationTested{WayIn: "logged in", To: "10.0.0.1:9", Before: WasAnswered, After: WasSilent}, "tested", "10.0.0.1:9 answered the host before, and does not any more; the desk's way in: logged in"},
		{TypeIsolationTested, IsolationTested{WayIn: "logged in", To: "10.0.0.1:9", After: WasAnswered}, "NOT ISOLATED", "10.0.0.1:9 still answers the host"},
		{TypeIsolationTested, IsolationTested{Lost: "timed out", To: "10.0.0.1:9", After: WasSilent}, "LOCKED OUT", "the desk's way in is cut: timed out"},
		{TypeIsolationTested, IsolationTested{WayIn: "logged in", To: "10.0.0.1:9", Before: WasSilent, After: WasSilent}, "unproved", "that proves nothing"},
		{TypeIsolationTested, IsolationTested{WayIn: "logged in", Said: "bash: not found"}, "unproved", "is not known: bash: not found"},
		{TypeIsolationTested, IsolationTested{}, "unproved", "is not known"},
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
	if err != nil || len(s.Authorities) != 2 || s.Authorities["aws"].Bad() || s.Unreadable != 1 || s.Forgotten == nil || s.Forgotten.Kept != 3 {
		t.Errorf("%v: %+v, %v", err, s.Authorities, s.Warnings)
	}
}
