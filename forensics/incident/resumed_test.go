package incident

import (
	"testing"
	"time"

	"clawback/forensics/journal"
)

// What a resumed run needs to know of the one before: the answers with their questions, the highest
// number of a question, and of each place the newest package.
func TestFoldForAResumedRun(t *testing.T) {
	j := journal.InMemory(time.Now)
	for _, e := range []struct {
		typ  string
		data any
	}{
		{TypeAsked, Question{ID: "q9", Step: "a", Title: "A?"}},
		{TypeAsked, Question{ID: "q10", Step: "b"}},
		{TypeAsked, Question{ID: "odd", Step: "c"}},
		{TypeAnswered, Answer{Question: "q9", Choice: "yes"}},
		{TypeSealed, Sealed{Part: "files", Path: "evidence/files", Digest: "1"}},
		{TypeSealed, Sealed{Part: "volatile", Path: "evidence/volatile", Digest: "2"}},
		{TypeSealed, Sealed{Part: "files", Path: "evidence/files", Digest: "3"}},
		{TypeSealed, Sealed{Part: "files", Path: "evidence/files-2", Digest: "4"}},
	} {
		if err := j.Note(e.typ, e.data); err != nil {
			t.Fatal(err)
		}
	}
	_ = j.Close()
	s, err := FoldAll(j.Entries(t.Context()))
	if err != nil || s.Unreadable > 0 {
		t.Fatal(err, s.Warnings)
	}
	if s.Asked != 10 || len(s.Answered) != 1 || s.Answered[0].Title != "A?" || s.Answered[0].Answer.Choice != "yes" || s.Answered[0].At.IsZero() {
		t.Errorf("asked %d, answered %+v", s.Asked, s.Answered)
	}
	digests := ""
	for _, bag := range s.Sealed {
		digests += bag.Digest
	}
	if digests != "324" {
		t.Errorf("sealed %+v", s.Sealed)
	}
}
