package inbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/playbooks/engine/signers"
)

// hurried is a clock whose pauses are short.
type hurried struct{}

func (hurried) Now() time.Time { return time.Now() }

func (hurried) Sleep(ctx context.Context, _ time.Duration) error {
	select {
	case <-time.After(time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (hurried) AfterFunc(_ time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(time.Millisecond, f).Stop
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := signers.Generate("test")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// world is a response that runs, with people around it.
type world struct {
	*testing.T
	dir                   string
	disk                  disk.FS
	dana, bob, carol, own ssh.Signer
	list                  string // of allowed signers
	journal               *journal.Journal
	engine                *engine.Engine
	cursor                *journal.Cursor
	state                 incident.State
	stop                  context.CancelFunc
	done                  chan error
}

const waits = "waits"

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir(), disk: disk.OS{}, dana: newKey(t), bob: newKey(t), carol: newKey(t), own: newKey(t)}
	w.list = w.people("dana", w.dana) + w.people("bob", w.bob) + w.people("carol", w.carol)
	return w
}

func (w *world) people(name string, key ssh.Signer) string {
	return name + " " + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}

// create declares the incident.
func (w *world) create() *world {
	w.Helper()
	var err error
	if w.journal, err = journal.CreateOn(w.disk, w.dir, journal.Holder{Who: "dana"}, time.Now); err != nil {
		w.Fatal(err)
	}
	if err := w.journal.Append(w.Context(), incident.TypeDeclared, incident.Declared{Incident: "INC-1", Attended: true}); err != nil {
		w.Fatal(err)
	}
	return w
}

// reopen takes the record up again.
func (w *world) reopen() *world {
	w.Helper()
	var err error
	if w.journal, _, err = journal.OpenOn(w.disk, w.dir, journal.Holder{Who: "dana"}, time.Now); err != nil {
		w.Fatal(err)
	}
	return w
}

type asks struct{}

// Run asks a person, for ever if need be.
func (asks) Run(ctx context.Context, _ playbooks.Step, r engine.Recorder) error {
	_, err := r.Ask(ctx, incident.Question{Kind: incident.Confirm, Title: "go on?"})
	return err
}

func (asks) Command(_ context.Context, c incident.Command) error {
	if c.Kind == incident.Retry {
		return nil
	}
	return engine.ErrNoTaker
}

// run starts a response with a step that needs two approvals and one that asks.
func (w *world) run() *world {
	w.Helper()
	list, err := signers.Parse("list", []byte(w.list))
	if err != nil {
		w.Fatal(err)
	}
	step := func(id string, n int) playbooks.Step {
		return playbooks.Step{ID: id, Title: id, Uses: waits, Gate: playbooks.Auto, OnFailure: playbooks.GoOn, Approvals: n}
	}
	w.engine = &engine.Engine{
		Journal: w.journal, Clock: hurried{}, Actions: map[string]engine.Action{waits: asks{}},
		Playbook:  playbooks.Playbook{Title: "T", Attended: true, Phases: []playbooks.Phase{{ID: "p", Title: "P", Steps: []playbooks.Step{step("approved", 2), step("asked", 0)}}}},
		Inbox:     &Box{Dir: w.dir, Signers: list, Own: w.own.PublicKey(), Clock: hurried{}, Disk: w.disk},
		Approvals: engine.Approvals{Requester: "dana", Keys: append(list.Keys("dana"), ssh.FingerprintSHA256(w.own.PublicKey()))},
	}
	if before, err := incident.FoldAll(w.journal.Entries(w.Context())); err == nil && len(before.Plan.Phases) > 0 {
		w.engine.Resumed = &before
	}
	ctx, cancel := context.WithCancel(w.Context())
	w.engine.Interrupt = func(string) { cancel() }
	w.cursor, w.state, w.stop, w.done = w.journal.Cursor(), incident.State{}, cancel, make(chan error, 1)
	go func() { w.done <- w.engine.Run(ctx) }()
	w.until("the questions", func(s incident.State) bool { return len(s.Open) > 0 && s.Approvals["approved"] != nil })
	return w
}

// end ends the run, and returns what the record holds.
func (w *world) end() incident.State {
	w.Helper()
	w.stop()
	<-w.done
	s, err := incident.FoldAll(w.journal.Entries(context.WithoutCancel(w.Context())))
	if err != nil {
		w.Fatal(err)
	}
	if err := w.journal.Close(); err != nil && !errors.Is(err, journal.ErrNotDurable) {
		w.Fatal(err)
	}
	return s
}

// until reads the record until it adds up to something.
func (w *world) until(what string, f func(incident.State) bool) incident.State {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	for !f(w.state) {
		e, err := w.cursor.Next(ctx)
		if err != nil {
			w.Fatalf("waiting for %s: %v", what, err)
		}
		w.state = incident.Fold(w.state, e)
	}
	return w.state
}

// gone waits until an inbox is empty but for what is set aside.
func (w *world) gone() {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		left := w.files()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%v still lie there", left)
		}
		_ = hurried{}.Sleep(w.Context(), 0)
	}
}

func (w *world) files() []string {
	entries, err := os.ReadDir(filepath.Join(w.dir, Name))
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != RefusedName && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func (w *world) drop(m Message, key ssh.Signer) Dropped {
	w.Helper()
	d, err := Drop(w.dir, m, key)
	if err != nil {
		w.Fatal(err)
	}
	return d
}

func (w *world) approval(as string) Message {
	s := w.state
	return Message{Kind: KindApproval, As: as, Approval: &Approval{Step: "approved", Binds: s.Approvals["approved"].Binds}}
}

func note(as, text string) Message {
	return Message{Kind: KindNote, As: as, Note: &Note{Text: text}}
}

func of(t *testing.T, c engine.Command) Message {
	m, err := Of(c, "dana")
	if err != nil {
		t.Fatal(err)
	}
	return m
}
