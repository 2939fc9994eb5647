package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
)

func approvals(n int) func(*playbooks.Step) {
	return func(s *playbooks.Step) { s.Approvals = n }
}

// both makes one change of two.
func both(all ...func(*playbooks.Step)) func(*playbooks.Step) {
	return func(s *playbooks.Step) {
		for _, change := range all {
			change(s)
		}
	}
}

// declared declares an incident, as whoever carries a response out does before it.
func declared(t *testing.T, e *Engine) *Engine {
	t.Helper()
	e.Approvals.Requester, e.Approvals.Keys = "dana", []string{"SHA256:dana", "SHA256:attach"}
	if err := e.Journal.Append(t.Context(), incident.TypeDeclared, incident.Declared{Incident: "INC-1", Attended: true}); err != nil {
		t.Fatal(err)
	}
	return e
}

// approvedBy is an approval of what the record asks for.
func approvedBy(s incident.State, step, by, key string) Command {
	binds := ""
	if asked := s.Approvals[step]; asked != nil {
		binds = asked.Binds
	}
	return Command{Approval: &incident.Approved{Step: step, By: by, Key: "SHA256:" + key, Binds: binds, Message: by + key + step, Signature: "s"}}
}

// runs starts the engine in a bubble, lets f act once nothing moves any more, and returns the end.
func runs(t *testing.T, e *Engine, f func(now func() incident.State)) incident.State {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- e.Run(t.Context()) }()
	synctest.Wait()
	f(func() incident.State { synctest.Wait(); return state(t, e) })
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = e.Journal.Close()
	return state(t, e)
}

func TestAStepWaitsForDifferentPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := declared(t, newEngine(map[string]Action{"a": act(nothing), "b": act(nothing)}, step("a", approvals(2)), step("b", nil)))
		s := runs(t, e, func(now func() incident.State) {
			if got := statuses(now()); got != "a:waiting b:done" {
				t.Errorf("before anybody approved: %s", got)
			}
			for i, refused := range []struct {
				c    Command
				text string
			}{
				{approvedBy(now(), "a", "dana", "other"), "nobody approves their own request"},
				{approvedBy(now(), "a", "Dana", "other"), "nobody approves their own request"},
				{approvedBy(now(), "a", "bob", "dana"), "nobody approves their own request"},
				{approvedBy(now(), "a", "bob", "attach"), "nobody approves their own request"},
				{approvedBy(now(), "b", "bob", "bob"), "no approval of that step is asked for"},
				{approvedBy(now(), "nonsense", "bob", "bob"), "no approval of that step is asked for"},
				{Command{Approval: &incident.Approved{Step: "a", By: "bob", Key: "SHA256:bob", Binds: "another incident's"}}, "something else"},
				{Command{Approval: &incident.Approved{Step: "a", By: "bob", Key: "SHA256:bob"}}, "something else"},
				{Command{Approval: &incident.Approved{Step: "a", By: "bob", Key: "SHA256:bob", Plan: "p", Binds: now().Approvals["a"].Binds}}, "something else"},
			} {
				if err := e.Submit(t.Context(), refused.c); err == nil || !strings.Contains(err.Error(), refused.text) {
					t.Errorf("%d: %v, want %q", i, err, refused.text)
				}
			}
			if err := e.Submit(t.Context(), approvedBy(now(), "a", "bob", "bob")); err != nil {
				t.Error(err)
			}
			for _, c := range []Command{approvedBy(now(), "a", "bob", "bob"), approvedBy(now(), "a", "BOB", "new"), approvedBy(now(), "a", "carol", "bob")} {
				if err := e.Submit(t.Context(), c); err == nil || !strings.Contains(err.Error(), "approved it already") {
					t.Errorf("%s with %s: %v", c.Approval.By, c.Approval.Key, err)
				}
			}
			if got := statuses(now()); got != "a:waiting b:done" {
				t.Errorf("after one of two: %s", got)
			}
			if err := e.Submit(t.Context(), approvedBy(now(), "a", "carol", "carol")); err != nil {
				t.Error(err)
			}
		})
		if got := statuses(s); got != "a:done b:done" {
			t.Error(got)
		}
		if a := s.Approvals["a"]; len(a.Given) != 2 || a.Given[0].Late || s.Unreadable != 0 || count(t, e, incident.TypeApproval) != 1 {
			t.Errorf("%+v, %v", a, s.Warnings)
		}
	})
}

func count(t *testing.T, e *Engine, typ string) (n int) {
	t.Helper()
	for entry, err := range e.Journal.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Type == typ {
			n++
		}
	}
	return n
}

// The last word before an effect is the responder's.
func TestTheGateComesAfterTheApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := declared(t, newEngine(map[string]Action{"a": act(nothing)}, step("a", both(approvals(1), gated(playbooks.Confirm)))))
		e.Decider = always(incident.Yes, "")
		runs(t, e, func(now func() incident.State) {
			if n := count(t, e, incident.TypeAsked); n != 0 {
				t.Error("the responder was asked before anybody had approved")
			}
			if err := e.Submit(t.Context(), approvedBy(now(), "a", "bob", "bob")); err != nil {
				t.Error(err)
			}
		})
		if n := count(t, e, incident.TypeAnswered); n != 1 {
			t.Errorf("%d answers", n)
		}
	})
}

func TestBreakGlass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hold := act(func(ctx context.Context, _ playbooks.Step, _ Recorder) error { <-release; return nil })
		e := declared(t, newEngine(map[string]Action{"a": hold}, step("a", approvals(2))))
		brk := func(step, reason string) error {
			return e.Submit(t.Context(), Command{Step: &incident.Command{Kind: incident.Break, Step: step, Text: reason, By: "dana"}})
		}
		s := runs(t, e, func(now func() incident.State) {
			if brk("a", " ") == nil || brk("b", "alone") == nil {
				t.Error("the glass broke without a reason, or nowhere")
			}
			if err := brk("a", "nobody answers"); err != nil {
				t.Error(err)
			}
			if got := now(); got.Steps["a"].Status != incident.Running || got.Approvals["a"].Broken == nil {
				t.Errorf("%+v", got.Approvals["a"])
			}
			if err := brk("a", "again"); !errors.Is(err, errNotMissing) {
				t.Errorf("it broke twice: %v", err)
			}
			for _, by := range []string{"bob", "carol"} {
				if err := e.Submit(t.Context(), approvedBy(now(), "a", by, by)); err != nil {
					t.Error(err)
				}
			}
			close(release)
		})
		if a := s.Approvals["a"]; a.Missing() != 0 || !a.Given[0].Late || !a.Given[1].Late || a.Broken.Reason != "nobody answers" {
			t.Errorf("%+v", a)
		}
	})
}

func TestLeaveOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := declared(t, newEngine(map[string]Action{"a": act(nothing), "b": act(nothing)}, step("a", approvals(2)), step("b", needs("a"))))
		leave := func() error {
			return e.Submit(t.Context(), Command{Step: &incident.Command{Kind: incident.LeaveOut, Step: "a", By: "dana"}})
		}
		s := runs(t, e, func(func() incident.State) {
			if err := leave(); err != nil {
				t.Error(err)
			}
			if leave() == nil {
				t.Error("it was left out twice")
			}
		})
		if got := statuses(s); got != "a:skipped b:done" {
			t.Error(got)
		}
	})
}

// Where nobody attends, nothing waits for ever: what is not approved fails, and the rest goes on.
func TestUnattendedApprovals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Engine)
		want   string
		late   int
	}{
		"missing":      {func(*Engine) {}, "a:failed b:done", 0},
		"break glass":  {func(e *Engine) { e.Approvals.Broken = &incident.BreakGlass{By: "dana", Reason: "cron"} }, "a:done b:done", 0},
		"beforehand":   {func(e *Engine) { e.Approvals.Given = beforehand(t, e, "bob") }, "a:done b:done", 0},
		"own":          {func(e *Engine) { e.Approvals.Given = beforehand(t, e, "dana") }, "a:failed b:done", 0},
		"another plan": {func(e *Engine) { e.Approvals.Given = beforehand(t, e, "bob"); e.Approvals.Given[0].Plan = "x" }, "a:failed b:done", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(map[string]Action{"a": act(nothing), "b": act(nothing)}, step("a", approvals(1)), step("b", nil))
				e.Playbook.Attended = false
				e.Approvals.Requester = "dana"
				if err := e.Journal.Append(t.Context(), incident.TypeDeclared, incident.Declared{Incident: "INC-1", Approved: "planfile"}); err != nil {
					t.Fatal(err)
				}
				test.change(e)
				s := runs(t, e, func(func() incident.State) {})
				if got := statuses(s); got != test.want || s.Unreadable > 0 {
					t.Errorf("%s; %v", got, s.Warnings)
				}
				if o := s.Steps["a"].Outcome; o.Status == incident.Failed && !strings.Contains(o.Hint, "--break-glass") {
					t.Errorf("%+v", o)
				}
			})
		})
	}
}

func beforehand(t *testing.T, e *Engine, by string) []incident.Approved {
	binds, err := incident.Binds("planfile", Plan(e.Playbook), "a")
	if err != nil {
		t.Error(err)
	}
	return []incident.Approved{{Step: "a", By: by, Key: "SHA256:" + by, Binds: binds, Plan: "planfile", Message: by}}
}

// Approvals that the record holds count in the run that takes it up, and are asked for once; a
// message that took effect before is known.
func TestApprovalsStandInAResumedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := declared(t, newEngine(map[string]Action{"a": act(nothing)}, step("a", approvals(2))))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		if err := e.Submit(t.Context(), approvedBy(state(t, e), "a", "bob", "bob")); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-done

		before := state(t, e)
		again := &Engine{Journal: e.Journal, Playbook: e.Playbook, Actions: e.Actions, Clock: e.Clock, Approvals: Approvals{Requester: "kim"}, Resumed: &before}
		s := runs(t, again, func(now func() incident.State) {
			if !again.Seen("bobboba") {
				t.Error("a message that took effect is not known")
			}
			if again.Seen("carolcarola") {
				t.Error("a message is known that never came")
			}
			if err := again.Submit(t.Context(), approvedBy(now(), "a", "dana", "new")); err == nil || again.Approvals.Requester == "dana" {
				t.Error("who asked before the resume approves it")
			}
			if err := again.Submit(t.Context(), approvedBy(now(), "a", "bob", "bob")); err == nil {
				t.Error("bob counts twice")
			}
			if err := again.Submit(t.Context(), approvedBy(now(), "a", "carol", "carol")); err != nil {
				t.Error(err)
			}
		})
		if n := count(t, again, incident.TypeApproval); statuses(s) != "a:done" || n != 1 || len(s.Approvals["a"].Given) != 2 {
			t.Errorf("%s, asked %d times, %+v", statuses(s), n, s.Approvals["a"])
		}
	})
}

// Two approvals at once by one key are one, however long the first takes to be on record: here as
// long as an fsync.
func TestRacingApprovals(t *testing.T) {
	e := newEngine(map[string]Action{"a": act(nothing)}, step("a", approvals(2)))
	_ = e.Journal.Close()
	var err error
	if e.Journal, err = journal.Create(t.TempDir(), journal.Holder{}, time.Now); err != nil {
		t.Fatal(err)
	}
	declared(t, e)
	done := make(chan error, 1)
	go func() { done <- e.Run(t.Context()) }()
	asked := state(t, e)
	for e.pending("a") == nil || asked.Approvals["a"] == nil {
		asked = state(t, e)
	}
	errs := make(chan error)
	for i := range 8 {
		c := approvedBy(asked, "a", fmt.Sprint("person", i), "shared")
		go func() { errs <- e.Submit(t.Context(), c) }()
	}
	taken := 0
	for range 8 {
		if <-errs == nil {
			taken++
		}
	}
	if taken != 1 {
		t.Errorf("one key counted %d times", taken)
	}
	if err := e.Submit(t.Context(), approvedBy(asked, "a", "carol", "carol")); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = e.Journal.Close()
	if given := state(t, e).Approvals["a"].Given; len(given) != 2 || given[1].By != "carol" {
		t.Errorf("%+v", given)
	}
}
