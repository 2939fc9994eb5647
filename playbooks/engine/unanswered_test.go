package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
)

func unanswered(d time.Duration) func(*playbooks.Step) {
	return both(gated(playbooks.Confirm), func(s *playbooks.Step) { s.Unanswered = d })
}

// What cannot wait for ever goes ahead when its time is up, on record as nobody's answer.
func TestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		e := declared(t, newEngine(map[string]Action{"a": act(nothing), "b": act(nothing)}, step("a", unanswered(10*time.Minute)), step("b", gated(playbooks.Confirm))))
		e.Playbook.Attended = true
		s := runs(t, e, func(now func() incident.State) {
			s := now()
			for _, q := range s.Open {
				if want := map[string]time.Time{"a": began.Add(10 * time.Minute)}[q.Step]; !q.Until.Equal(want) {
					t.Errorf("%s waits until %v, want %v", q.Step, q.Until, want)
				}
			}
			time.Sleep(10*time.Minute - time.Second)
			if got := statuses(now()); got != "a:waiting b:waiting" {
				t.Errorf("before its time is up: %s", got)
			}
			time.Sleep(time.Second)
			s = now()
			if got := statuses(s); got != "a:done b:waiting" {
				t.Errorf("once its time is up: %s", got)
			}
			for _, q := range s.Open {
				if err := e.Submit(t.Context(), Command{Answer: &incident.Answer{Question: q.ID, Choice: incident.No, By: "dana"}}); err != nil {
					t.Error(err)
				}
			}
		})
		if a := s.Decisions["a"]; a.Choice != incident.Yes || a.By != incident.Nobody {
			t.Errorf("answer %+v", a)
		}
	})
}

// An answer in time is the last word, whatever the clock says later.
func TestAnsweredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := declared(t, newEngine(map[string]Action{"a": act(nothing)}, step("a", unanswered(10*time.Minute))))
		e.Playbook.Attended = true
		s := runs(t, e, func(now func() incident.State) {
			time.Sleep(9 * time.Minute)
			for _, q := range now().Open {
				if err := e.Submit(t.Context(), Command{Answer: &incident.Answer{Question: q.ID, Choice: incident.No, By: "dana"}}); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Hour)
		})
		if got := statuses(s); got != "a:skipped" || count(t, e, incident.TypeAnswered) != 1 {
			t.Errorf("%s, %d answers", got, count(t, e, incident.TypeAnswered))
		}
	})
}
