package actions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/containment"
	"clawback/playbooks/host"
	"clawback/snapshots"
)

func froze(f containment.Frozen, err error) func(context.Context) (containment.Frozen, error) {
	return func(context.Context) (containment.Frozen, error) { return f, err }
}

// A kill destroys what was in memory: it waits for the evidence, unless the agent still acts,
// nothing runs, or the responder accepted the loss.
func TestStopWaitsForEvidence(t *testing.T) {
	one := []containment.Process{{PID: 7}}
	for name, c := range map[string]struct {
		frozen   func(context.Context) (containment.Frozen, error)
		sealed   bool
		accepted bool
		kills    bool
	}{
		"sealed":                {froze(containment.Frozen{Processes: one}, nil), true, false, true},
		"unsealed":              {froze(containment.Frozen{Processes: one}, nil), false, false, false},
		"unsealed and accepted": {froze(containment.Frozen{Processes: one}, nil), false, true, true},
		"not frozen":            {froze(containment.Frozen{}, errBroken), false, false, true},
		"one got away":          {froze(containment.Frozen{Processes: one, Escaped: one}, nil), false, false, true},
		"a problem":             {froze(containment.Frozen{Processes: one, Problems: []string{"cgroup"}}, nil), false, false, false},
		"a problem and sealed":  {froze(containment.Frozen{Processes: one, Problems: []string{"cgroup"}}, nil), true, false, true},
		"nothing runs":          {froze(containment.Frozen{}, nil), false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := &machine{freeze: c.frozen}
			if !c.sealed {
				h.capture = broken().capture
			}
			r := newResponse(t, h)
			r.Accepted[RiskLoseEvidence] = c.accepted
			s := play(t, r, "agent.freeze", "evidence.capture volatile", "evidence.capture files", "agent.stop")
			if h.asked("stop") != c.kills {
				t.Errorf("asked for %v", h.calls)
			}
			switch {
			case c.kills:
				want(t, s, "stop", incident.Done, "")
			default:
				want(t, s, "stop", incident.Failed, "stays frozen")
				want(t, s, "stop", incident.Failed, RiskLoseEvidence)
				if !s.Steps["stop"].Outcome.Gate || s.ExitCode() != incident.ExitEvidence {
					t.Errorf("exit code %d, %+v", s.ExitCode(), s.Steps["stop"].Outcome)
				}
			}
		})
	}
}

// A freeze that is not whole is a failed step, and what it did is on record all the same.
func TestFreeze(t *testing.T) {
	s := play(t, newResponse(t, &machine{}), "agent.freeze")
	want(t, s, "freeze", incident.Done, "")
	if s.Frozen == nil || !s.Frozen.Complete || s.Frozen.TookMS != 1 || s.Frozen.Processes != 1 {
		t.Errorf("%+v", s.Frozen)
	}
	s = play(t, newResponse(t, &machine{freeze: froze(containment.Frozen{Escaped: []containment.Process{{PID: 9, Name: "node"}}}, nil)}), "agent.freeze")
	want(t, s, "freeze", incident.Failed, "not everything")
	if s.Frozen == nil || s.Frozen.Complete || len(s.Frozen.Problems) != 1 || !strings.Contains(s.Frozen.Problems[0], "9 (node)") {
		t.Errorf("%+v", s.Frozen)
	}
	s = play(t, newResponse(t, broken()), "agent.freeze")
	want(t, s, "freeze", incident.Failed, "web-1")
	if s.Frozen != nil || s.Steps["freeze"].Outcome.Hint == "" {
		t.Errorf("%+v", s.Steps["freeze"].Outcome)
	}
}

// Only what still moves is killed before its evidence is taken. Whatever else went wrong with a freeze,
// an agent that stands still keeps its memory until that is sealed.
func TestFreezeKeepsTheEvidence(t *testing.T) {
	one := []containment.Process{{PID: 7, Name: "node"}}
	for name, c := range map[string]struct {
		frozen func(context.Context) (containment.Frozen, error)
		asked  []string
		gaveUp string
	}{
		"whole":                 {froze(containment.Frozen{Processes: one}, nil), []string{"freeze", "capture volatile", "stop", "close"}, ""},
		"a silent manager":      {froze(containment.Frozen{Processes: one, Problems: []string{"user 1000 is silent"}}, nil), []string{"freeze", "capture volatile", "stop", "close"}, ""},
		"one got away":          {froze(containment.Frozen{Processes: one, Escaped: one}, nil), []string{"freeze", "stop", "capture volatile", "stop", "close"}, "process 7 (node) still ran"},
		"the freeze has failed": {froze(containment.Frozen{}, errBroken), []string{"freeze", "stop", "capture volatile", "stop", "close"}, errBroken.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			h := &machine{freeze: c.frozen}
			s := play(t, newResponse(t, h), "agent.freeze", "evidence.capture volatile", "agent.stop")
			if !slices.Equal(h.calls, c.asked) {
				t.Errorf("asked for %q, want %q", h.calls, c.asked)
			}
			if s.Stopped == nil || s.Stopped.GaveUp == "" != (c.gaveUp == "") || !strings.Contains(s.Stopped.GaveUp, c.gaveUp) {
				t.Errorf("the record of the kill: %+v, want evidence given up because %q", s.Stopped, c.gaveUp)
			}
			wholly := name == "whole"
			if done := s.Steps["freeze"].Status == incident.Done; done != wholly || (s.ExitCode() == incident.ExitContained) && !wholly {
				t.Errorf("the freeze is %s, exit code %d", s.Steps["freeze"].Status, s.ExitCode())
			}
		})
	}
}

// A person who attends to the response decides whether an agent that runs on is killed at once, and
// types its machine's name: it cannot be undone. A mere yes kills nothing.
func TestKillAtOnceIsTyped(t *testing.T) {
	one := []containment.Process{{PID: 7, Name: "node"}}
	for name, frozen := range map[string]func(context.Context) (containment.Frozen, error){
		"one got away":          froze(containment.Frozen{Processes: one, Escaped: one}, nil),
		"the freeze has failed": froze(containment.Frozen{}, errBroken),
	} {
		for answer, kills := range map[string]bool{"kill web-1": true, "kill": false, "": false} {
			t.Run(name+", "+answer, func(t *testing.T) {
				h := &machine{freeze: frozen}
				a := newAttended(t, h, "agent.freeze")
				var asked []incident.Question
				a.e.Decider = decider(func(q incident.Question) incident.Answer {
					asked = append(asked, q)
					return incident.Answer{Choice: incident.Yes, Text: answer, By: "dana"}
				})
				s := a.carry()
				if len(asked) == 0 || asked[0].Kind != incident.Typed || asked[0].Type != "kill web-1" || asked[0].Text[0] != "On web-1." {
					t.Fatalf("asked %+v", asked)
				}
				if h.asked("stop") != kills || (s.Stopped != nil) != kills {
					t.Errorf("asked for %q, on record: %+v", h.calls, s.Stopped)
				}
			})
		}
	}
}

// A kill on terms that lose evidence says so, also where the loss was accepted.
func TestStopRecordsWhatIsLost(t *testing.T) {
	h := &machine{capture: broken().capture}
	r := newResponse(t, h)
	r.Accepted[RiskLoseEvidence] = true
	s := play(t, r, "agent.freeze", "evidence.capture volatile", "agent.stop")
	if s.Stopped == nil || !strings.Contains(s.Stopped.GaveUp, RiskLoseEvidence) {
		t.Errorf("%+v", s.Stopped)
	}
}

// A playbook that captures nothing, or whose capture was left out, kills no agent that stands still.
func TestStopWithoutCapture(t *testing.T) {
	h := &machine{}
	s := play(t, newResponse(t, h), "agent.freeze", "agent.stop")
	want(t, s, "stop", incident.Failed, RiskLoseEvidence)
	if h.asked("stop") || !s.Steps["stop"].Outcome.Gate || s.ExitCode() != incident.ExitEvidence {
		t.Errorf("asked for %q, exit code %d", h.calls, s.ExitCode())
	}
	h = &machine{}
	p := book("agent.freeze", "evidence.capture volatile", "agent.stop")
	p.Phases[0].Steps[1].When = playbooks.Condition{Fact: "local"}
	s, err := carry(t, t.Context(), newResponse(t, h), p)
	if want(t, s, "stop", incident.Failed, "stays frozen"); err != nil || h.asked("stop") {
		t.Errorf("asked for %q, %v", h.calls, err)
	}
}

// Whether the agent stays down shows only once what restarts it had its time, and only where there
// was a kill.
func TestCheck(t *testing.T) {
	checked := func(c containment.Checked, err error) func(context.Context) (containment.Checked, error) {
		return func(context.Context) (containment.Checked, error) { return c, err }
	}
	for name, c := range map[string]struct {
		check  func(context.Context) (containment.Checked, error)
		status string
		says   string
	}{
		"down":        {nil, incident.Done, ""},
		"a process":   {checked(containment.Checked{Processes: []containment.Process{{PID: 9, Name: "node", Why: "its name"}}}, nil), incident.Failed, "9 (node) runs: its name"},
		"a listener":  {checked(containment.Checked{Listening: []int{18789}}, nil), incident.Failed, "port 18789"},
		"a problem":   {checked(containment.Checked{Problems: []string{"systemd is silent"}}, nil), incident.Failed, "systemd is silent"},
		"no reason":   {checked(containment.Checked{}, nil), incident.Failed, "no reason"},
		"not looked":  {checked(containment.Checked{}, errBroken), incident.Failed, "nothing is known"},
		"never asked": {nil, incident.Skipped, "not killed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{check: c.check}
				uses := []string{"agent.stop", "agent.check"}
				if c.status == incident.Skipped {
					h.stop = broken().stop
				}
				began := time.Now()
				s := play(t, newResponse(t, h), uses...)
				want(t, s, "check", c.status, c.says)
				waited := 2 * time.Second
				if c.status == incident.Skipped {
					waited = 0
				}
				if took := time.Since(began); took != waited || h.asked("check") == (c.status == incident.Skipped) {
					t.Errorf("took %v, asked for %v", took, h.calls)
				}
				if s.AgentDown() != (c.status == incident.Done) {
					t.Errorf("%+v", s.Checked)
				}
			})
		})
	}
}

// What a lost link leaves to do is not what a refusal leaves.
func TestLostLink(t *testing.T) {
	lost := &host.LinkError{Host: "web-1", Verb: "capture", Err: errors.New("broken pipe")}
	h := &machine{capture: func(context.Context, string, snapshots.Sink) (snapshots.Captured, error) {
		return snapshots.Captured{}, lost
	}}
	s := play(t, newResponse(t, h), "agent.freeze", "evidence.capture files", "agent.stop")
	want(t, s, "files", incident.Failed, "as soon as web-1 can be reached; the agent stays frozen")
	want(t, s, "stop", incident.Failed, "as soon as web-1 can be reached")
	h.freeze = froze(containment.Frozen{}, lost)
	s = play(t, newResponse(t, h), "agent.freeze", "evidence.capture files")
	want(t, s, "files", incident.Failed, "the agent may still act")
}

func TestIsolate(t *testing.T) {
	s := play(t, newResponse(t, &machine{}), "host.isolate")
	want(t, s, "isolate", incident.Done, "")
	if s.Isolated == nil || len(s.Isolated.How) != 1 {
		t.Errorf("%+v", s.Isolated)
	}
	s = play(t, newResponse(t, broken()), "host.isolate")
	want(t, s, "isolate", incident.Failed, "the hypervisor")
}

// left lists what stands in the evidence folder.
func left(t *testing.T, r *Response) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.Dir, "evidence"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func capturing(take func(snapshots.Sink) (snapshots.Captured, error)) *machine {
	return &machine{capture: func(_ context.Context, _ string, sink snapshots.Sink) (snapshots.Captured, error) { return take(sink) }}
}

func TestCapture(t *testing.T) {
	t.Run("sealed", func(t *testing.T) {
		r := newResponse(t, &machine{})
		s := play(t, r, "evidence.capture files")
		want(t, s, "files", incident.Done, "")
		if len(s.Sealed) != 1 || s.Sealed[0].Part != "files" || s.Sealed[0].Manifest == "" || s.Sealed[0].Verdicts[snapshots.Stable] != 1 {
			t.Errorf("sealed %+v", s.Sealed)
		}
		if got := left(t, r); !slices.Equal(got, []string{"files.tar.zst", "files.tar.zst.sha256"}) || s.Sealed[0].Path != "evidence/files.tar.zst" {
			t.Errorf("left %v", got)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		r := newResponse(t, capturing(func(snapshots.Sink) (snapshots.Captured, error) { return snapshots.Captured{}, nil }))
		s := play(t, r, "agent.freeze", "evidence.capture volatile", "agent.stop")
		want(t, s, "volatile", incident.Skipped, "nothing")
		want(t, s, "stop", incident.Done, "")
		if got := left(t, r); len(got) > 0 || len(s.Sealed) > 0 {
			t.Errorf("left %v, sealed %v", got, s.Sealed)
		}
	})
	t.Run("left out", func(t *testing.T) {
		s := play(t, newResponse(t, capturing(func(sink snapshots.Sink) (snapshots.Captured, error) {
			return snapshots.Captured{Left: []string{"big.sqlite: over the limit"}}, whole(sink, "a", "x")
		})), "evidence.capture files")
		want(t, s, "files", incident.Failed, "big.sqlite")
		if len(s.Sealed) != 1 {
			t.Errorf("what came is not sealed: %+v", s.Sealed)
		}
	})
}

// Evidence that the desk could not write, or that broke off, is not sealed: the gate is shut.
func TestCaptureFails(t *testing.T) {
	for name, take := range map[string]func(snapshots.Sink) (snapshots.Captured, error){
		"the host fails": func(snapshots.Sink) (snapshots.Captured, error) { return snapshots.Captured{}, errBroken },
		"the host fails in the middle": func(sink snapshots.Sink) (snapshots.Captured, error) {
			return snapshots.Captured{}, errors.Join(whole(sink, "a", "x"), errBroken)
		},
		"the desk cannot begin": func(sink snapshots.Sink) (snapshots.Captured, error) {
			return snapshots.Captured{}, errors.Join(begun(sink, "a", "x"), begun(sink, "b", "x"))
		},
		"the desk cannot write, and the host says nothing of it": func(sink snapshots.Sink) (snapshots.Captured, error) {
			_ = begun(sink, "a", "x")
			_ = begun(sink, "b", "x") // while a is open
			return snapshots.Captured{Files: 2}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResponse(t, capturing(take))
			s := play(t, r, "agent.freeze", "evidence.capture files", "agent.stop")
			if len(s.Sealed) > 0 || !s.Steps["files"].Outcome.Gate || s.ExitCode() != incident.ExitEvidence {
				t.Errorf("sealed %+v, %+v, exit code %d", s.Sealed, s.Steps["files"].Outcome, s.ExitCode())
			}
			want(t, s, "stop", incident.Failed, "files")
		})
	}
	t.Run("no folder", func(t *testing.T) {
		r := newResponse(t, &machine{})
		r.Dir = ""
		s := play(t, r, "evidence.capture files")
		if want(t, s, "files", incident.Failed, "no folder"); !s.Steps["files"].Outcome.Gate {
			t.Errorf("%+v", s.Steps["files"].Outcome)
		}
	})
	t.Run("a folder that is a file", func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		if err := os.WriteFile(filepath.Join(r.Dir, "evidence"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := play(t, r, "evidence.capture files")
		if want(t, s, "files", incident.Failed, "make room"); !s.Steps["files"].Outcome.Gate || h.asked("capture files") {
			t.Errorf("%+v", s.Steps["files"].Outcome)
		}
	})
}

// What was captured when the time was up is sealed, and it does not read as success.
func TestCaptureEndsWithItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{capture: func(ctx context.Context, _ string, sink snapshots.Sink) (snapshots.Captured, error) {
			if err := whole(sink, "a", "x"); err != nil {
				return snapshots.Captured{}, err
			}
			<-ctx.Done()
			return snapshots.Captured{Files: 1}, context.Cause(ctx)
		}}
		p := book("agent.freeze", "evidence.capture files", "agent.stop")
		p.Phases[0].Steps[1].Deadline = time.Minute
		s, err := carry(t, t.Context(), newResponse(t, h), p)
		if err != nil || len(s.Sealed) != 1 || s.Sealed[0].Files != 1 || s.Sealed[0].Verdicts[snapshots.Stable] != 1 {
			t.Fatalf("sealed %+v, %v", s.Sealed, err)
		}
		told := strings.Join(append(s.Sealed[0].Problems, s.Sealed[0].Left...), " ")
		if !strings.Contains(told, "ended early: the deadline has passed") {
			t.Errorf("it does not say that it was cut short: %q", told)
		}
		want(t, s, "files", incident.Failed, "ended early")
		if s.Steps["files"].Outcome.Gate {
			t.Error("the gate is shut, though everything that there is was sealed")
		}
		want(t, s, "stop", incident.Done, "")
	})
}

func TestBounded(t *testing.T) {
	long := make([]string, 250)
	if got := bounded(long); len(got) != 101 || !strings.Contains(got[100], "150 more") {
		t.Errorf("%d, %q", len(got), got[len(got)-1])
	}
	if got := bounded(long[:100]); len(got) != 100 {
		t.Errorf("%d", len(got))
	}
}

// An image of the memory is optional: where none can be taken, nothing waits for it, and it is no evidence
// that a kill may rely on.
func TestMemoryHoldsNothingUp(t *testing.T) {
	taking := func(memory error) *machine {
		return &machine{capture: func(_ context.Context, part string, sink snapshots.Sink) (snapshots.Captured, error) {
			if part == "memory" && memory != nil {
				return snapshots.Captured{}, memory
			}
			return snapshots.Captured{Files: 1}, whole(sink, "a", "x")
		}}
	}
	h := taking(errBroken)
	s := play(t, newResponse(t, h), "agent.freeze", "evidence.capture files", "evidence.capture memory", "agent.stop")
	want(t, s, "memory", incident.Failed, "image the memory of web-1")
	want(t, s, "stop", incident.Done, "")

	h = taking(host.ErrNoImager)
	s = play(t, newResponse(t, h), "agent.freeze", "evidence.capture files", "evidence.capture memory", "agent.stop")
	want(t, s, "memory", incident.Skipped, "evidence: memory")
	want(t, s, "stop", incident.Done, "")

	one := []containment.Process{{PID: 7}}
	h = taking(nil)
	h.freeze = froze(containment.Frozen{Processes: one}, nil)
	s = play(t, newResponse(t, h), "agent.freeze", "evidence.capture memory", "agent.stop")
	want(t, s, "memory", incident.Done, "")
	want(t, s, "stop", incident.Failed, "none was captured")
}
