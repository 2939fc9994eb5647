package actions

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/containment"
)

// What a host says once it was asked to let go, and what stands in the record of it.
func TestLetGo(t *testing.T) {
	runs := containment.Process{PID: 7, Name: "node", State: "S"}
	stands := containment.Process{PID: 8, Name: "node", State: "T"}
	walls := []string{"nftables table inet clawback"}
	for name, c := range map[string]struct {
		what   string
		verb   error
		says   containment.Description
		unseen error
		fails  string // "" for success
		proof  string
		left   int
	}{
		"it goes on":         {what: incident.Thaw, says: containment.Description{Processes: []containment.Process{runs}}, proof: "none of 1 process of the agent stands still"},
		"nothing runs":       {what: incident.Restore, proof: "no process of the agent runs"},
		"one stands still":   {what: incident.Thaw, says: containment.Description{Processes: []containment.Process{runs, stands}}, fails: "process 8 (node) stands still", left: 1},
		"a thaw leaves it":   {what: incident.Thaw, says: containment.Description{Walls: walls}, proof: "left as it is: nftables table inet clawback"},
		"a restore does not": {what: incident.Restore, says: containment.Description{Walls: walls}, fails: walls[0], left: 1},
		"a unit is blocked":  {what: incident.Restore, says: containment.Description{Changed: []string{"openclaw.service: start refused"}}, fails: "start refused", left: 1},
		"the host refuses":   {what: incident.Thaw, verb: errBroken, says: containment.Description{Processes: []containment.Process{stands}}, fails: errBroken.Error(), left: 1},
		"the link is lost":   {what: incident.Restore, verb: errBroken, unseen: errBroken, fails: errBroken.Error(), left: 1},
		"nobody can look":    {what: incident.Restore, unseen: errBroken, fails: "nobody could look", left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := &machine{}
			j := stopped(t)
			h.thaw = func(context.Context) error {
				if !wroteDown(t, j, incident.TypeLetGo) {
					t.Error("it is done before it is on record")
				}
				return c.verb
			}
			h.restore = h.thaw
			h.describe = func(context.Context) (containment.Description, error) { return c.says, c.unseen }
			r := takeUp(t, h, j)
			s, err := r.LetGo(t.Context(), j, c.what, "dana", "a false alarm")
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("LetGo: %v, want %q", err, c.fails)
			}
			other := map[string]string{incident.Thaw: incident.Restore, incident.Restore: incident.Thaw}[c.what]
			if !h.asked(c.what) || h.asked(other) || !h.asked("close") {
				t.Errorf("the host was asked for %v", h.calls)
			}
			out := last[incident.LetGone](t, j, incident.TypeLetGone)
			if out.What != c.what || len(out.Left) != c.left || (out.Error != "") != (c.verb != nil) || !strings.Contains(strings.Join(out.Proof, "; "), c.proof) {
				t.Errorf("on record: %+v", out)
			}
			if s.AgentDown() || s.LetGo == nil || s.LetGo.By != "dana" || s.Exit == nil || *s.Exit == incident.ExitContained {
				t.Errorf("down %v, let go %+v, exit %v", s.AgentDown(), s.LetGo, s.Exit)
			}
			if !slices.ContainsFunc(s.OpenMatters(), func(m incident.OpenMatter) bool {
				return m.Kind == incident.MatterAgent && strings.Contains(m.Why, "a false alarm")
			}) {
				t.Errorf("open: %+v", s.OpenMatters())
			}
		})
	}
}

// A host that never answers does not hold the record open for ever, and a cancelled caller does not
// leave it half let go.
func TestLetGoEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{restore: func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }}
		h.describe = func(ctx context.Context) (containment.Description, error) {
			return containment.Description{}, ctx.Err()
		}
		j := stopped(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		s, err := takeUp(t, h, j).LetGo(ctx, j, incident.Restore, "dana", "a false alarm")
		if took := time.Since(began); err == nil || s.Exit == nil || took != letGoTimeout {
			t.Errorf("after %s: %v, exit %v", took, err, s.Exit)
		}
	})
}

// stopped is the record of a response that killed the agent.
func stopped(t *testing.T) *journal.Journal {
	t.Helper()
	j := journal.InMemory(time.Now)
	t.Cleanup(func() { _ = j.Close() })
	note(t, j, incident.TypeDeclared, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
	note(t, j, incident.TypeFrozen, incident.Frozen{Processes: 1, Complete: true})
	note(t, j, incident.TypeSealed, incident.Sealed{Part: "files"})
	note(t, j, incident.TypeSearched, incident.Searched{Files: 1})
	note(t, j, incident.TypeStopped, incident.Stopped{Killed: 1})
	note(t, j, incident.TypeChecked, incident.Checked{Down: true})
	if s, err := foldAll(t.Context(), j); err != nil || !s.AgentDown() || s.ExitCode() != incident.ExitContained {
		t.Fatalf("to begin with it ends with %d: %v", s.ExitCode(), err)
	}
	return j
}

func takeUp(t *testing.T, h *machine, j *journal.Journal) *Response {
	t.Helper()
	r := newResponse(t, h)
	var err error
	if r.Before, err = Recall(j.Entries(t.Context()), incident.Resumed{By: "dana"}); err != nil {
		t.Fatal(err)
	}
	return r
}

func wroteDown(t *testing.T, j *journal.Journal, typ string) bool {
	t.Helper()
	for e, err := range j.Entries(t.Context()) {
		if err == nil && e.Type == typ {
			return true
		}
	}
	return false
}

// last is the data of the newest entry of a type.
func last[T any](t *testing.T, j *journal.Journal, typ string) (v T) {
	t.Helper()
	err := os.ErrNotExist
	for e, broken := range j.Entries(t.Context()) {
		if broken == nil && e.Type == typ {
			err = e.Decode(&v)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return v
}
