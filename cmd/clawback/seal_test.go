package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
	"clawback/forensics/verify"
	"clawback/playbooks/actions"
)

// responseIn is a response with a record in dir, and no more than it takes to seal it.
func responseIn(t *testing.T, dir string) (*response, *bytes.Buffer) {
	t.Helper()
	j, err := journal.Create(dir, journal.Holder{Who: "dana"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	var said bytes.Buffer
	return &response{
		app: &app{streams: streams{err: &said, out: &said}}, open: &open{id: "INC-1", dir: dir, journal: j},
		declared: incident.Declared{Incident: "INC-1"}, work: &actions.Response{},
	}, &said
}

// record writes a record and seals it meanwhile. between is called while it goes on.
func (r *response) record(t *testing.T, between func()) incident.State {
	t.Helper()
	add := func(typ string, data any) {
		t.Helper()
		if err := r.open.journal.Append(t.Context(), typ, data); err != nil {
			t.Fatal(err)
		}
	}
	sealing := make(chan struct{})
	go func() { defer close(sealing); r.seal(context.Background()) }()
	add(incident.TypeDeclared, r.declared)
	between()
	add(incident.TypeResumed, incident.Resumed{})
	add(incident.TypeClosed, incident.Closed{})
	if err := r.open.journal.Close(); err != nil {
		t.Fatal(err)
	}
	<-sealing
	r.showSeal()
	s, err := incident.FoldAll(journal.Read(r.open.dir))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealKeepsItsKey(t *testing.T) {
	t.Parallel()
	r, said := responseIn(t, t.TempDir())
	r.signWith(nil, "")
	key := filepath.Join(r.open.dir, "keys", "checkpoint")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key: %v, %v", info, err)
	}
	s := r.record(t, func() {})
	if len(s.Warnings) > 0 || r.sealErr != nil || !strings.Contains(said.String(), r.sealed.Root.String()) {
		t.Errorf("%v, %v\n%s", s.Warnings, r.sealErr, said)
	}
	found, err := verify.Incident(r.open.dir, verify.Options{})
	if err != nil || found.Sealed.Size != 3 || found.Key != r.declared.CheckpointKey {
		t.Errorf("%+v, %v", found, err)
	}

	// A run that takes it up again goes on with that key, and with no other.
	again := &response{open: r.open, declared: r.declared, work: &actions.Response{Before: &actions.Before{}}, app: r.app}
	again.signWith(nil, r.declared.CheckpointKey)
	if again.signer == nil || again.signer.Verifier() != r.declared.CheckpointKey {
		t.Errorf("the key was not found again: %+v", again.signer)
	}
	other := func(origin string) (*tree.Signer, error) {
		secret, _, err := tree.NewKey(origin)
		if err != nil {
			return nil, err
		}
		return tree.ParseKey(secret)
	}
	for name, c := range map[string]struct {
		own  ownKey
		lose bool
	}{"another key": {own: other}, "no key": {lose: true}} {
		if c.lose {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
		}
		again := &response{open: r.open, declared: r.declared, work: &actions.Response{Before: &actions.Before{}}, app: r.app}
		again.signWith(c.own, r.declared.CheckpointKey)
		if again.signer != nil || !again.warned {
			t.Errorf("%s: signed with %v", name, again.signer)
		}
	}
	begun := &response{open: r.open, work: &actions.Response{Before: &actions.Before{}}, app: r.app}
	begun.signWith(nil, "")
	if _, err := os.Stat(key); begun.signer != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a record that was begun without a key got one: %v", err)
	}
}

// A disk that takes the record and not the tree holds nothing up: it is warned of once, and what
// could not be sealed shows in the exit code.
func TestSealFails(t *testing.T) {
	t.Parallel()
	for _, mends := range []bool{false, true} {
		r, said := responseIn(t, t.TempDir())
		r.signWith(nil, "")
		blocked := filepath.Join(r.open.dir, tree.Dir, "tile")
		if err := os.Mkdir(filepath.Dir(blocked), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, blocked, nil) // also root cannot make a folder there
		s := r.record(t, func() {
			eventually(t, time.Minute, "a warning", func() bool { return r.open.journal.Length() > 1 })
			if mends {
				if err := os.Remove(blocked); err != nil {
					t.Fatal(err)
				}
			}
		})
		if len(s.Warnings) != 1 || !s.Warnings[0].Grave || !strings.Contains(s.Warnings[0].Text, "not sealed") {
			t.Errorf("warnings: %+v", s.Warnings)
		}
		_, err := tree.ReadCheckpoint(r.open.dir, r.declared.CheckpointKey)
		if (r.sealErr == nil) != mends || (err == nil) != mends {
			t.Errorf("mended %v: %v, %v", mends, r.sealErr, err)
		}
		if shouted := strings.Contains(said.String(), "the end of the record is not sealed"); shouted == mends {
			t.Errorf("mended %v: %s", mends, said)
		}
		planned := incident.State{Declared: incident.Declared{DryRun: true}, Plan: incident.Plan{Phases: make([]incident.PlanPhase, 1)}}
		var code exitCode
		if err := r.end(planned); errors.As(err, &code) == mends || !mends && int(code) != incident.ExitPartial {
			t.Errorf("mended %v: a run that went well ends with %v", mends, err)
		}
	}
}
