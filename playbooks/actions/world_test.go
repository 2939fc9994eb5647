package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/snapshots"
)

var errBroken = errors.New("the host is broken")

// machine is a host that does what a test says, and notes what it was asked. Without a word of the
// test each verb succeeds on an agent of one process.
type machine struct {
	freeze      func(context.Context) (containment.Frozen, error)
	capture     func(context.Context, string, snapshots.Sink) (snapshots.Captured, error)
	discover    func(context.Context, func(discover.Found)) (discover.Summary, error)
	discoverAll func(context.Context, func(discover.Found)) (discover.Summary, error)
	stop        func(context.Context) (containment.Stopped, error)
	isolate     func(context.Context) (containment.Isolated, error)
	check       func(context.Context) (containment.Checked, error)
	describe    func(context.Context) (containment.Description, error)
	thaw        func(context.Context) error
	restore     func(context.Context) error
	close       func() error

	reopen func(context.Context) error
	kept   containment.Cut

	mu    sync.Mutex
	calls []string
}

func (m *machine) called(verb string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, verb)
}

func (m *machine) asked(verb string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.calls, verb)
}

func (*machine) Name() string { return "web-1" }
func (*machine) Remote() bool { return true }

func (m *machine) Describe(ctx context.Context) (containment.Description, error) {
	m.called("describe")
	if m.describe != nil {
		return m.describe(ctx)
	}
	return containment.Description{}, nil
}

func (m *machine) Thaw(ctx context.Context) error {
	m.called("thaw")
	if m.thaw != nil {
		return m.thaw(ctx)
	}
	return nil
}

func (m *machine) Reopen(ctx context.Context) error {
	m.called("reopen")
	if m.reopen != nil {
		return m.reopen(ctx)
	}
	return nil
}

func (m *machine) Restore(ctx context.Context) error {
	m.called("restore")
	if m.restore != nil {
		return m.restore(ctx)
	}
	return nil
}

func (m *machine) Freeze(ctx context.Context) (containment.Frozen, error) {
	m.called("freeze")
	if m.freeze != nil {
		return m.freeze(ctx)
	}
	return containment.Frozen{Processes: []containment.Process{{PID: 7, Name: "openclaw"}}, Took: time.Millisecond}, nil
}

func (m *machine) Capture(ctx context.Context, part string, sink snapshots.Sink) (snapshots.Captured, error) {
	m.called("capture " + part)
	if m.capture != nil {
		return m.capture(ctx, part, sink)
	}
	return snapshots.Captured{Files: 1}, whole(sink, "openclaw.json", "{}")
}

// whole hands over a file.
func whole(sink snapshots.Sink, path, text string) error {
	if err := begun(sink, path, text); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	return sink.End(snapshots.File{Path: path, Source: "config", Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Verdict: snapshots.Stable})
}

// begun hands over the content of a file that it does not end.
func begun(sink snapshots.Sink, path, text string) error {
	w, err := sink.Begin(snapshots.File{Path: path})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

func (m *machine) Discover(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	m.called("discover")
	if m.discover != nil {
		return m.discover(ctx, found)
	}
	return discover.Summary{Files: 1}, nil
}

func (m *machine) DiscoverAll(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
	m.called("discover all")
	if m.discoverAll != nil {
		return m.discoverAll(ctx, found)
	}
	return discover.Summary{Files: 1}, nil
}

func (m *machine) Stop(ctx context.Context) (containment.Stopped, error) {
	m.called("stop")
	if m.stop != nil {
		return m.stop(ctx)
	}
	return containment.Stopped{Killed: []containment.Process{{PID: 7}}, Wait: 2 * time.Second}, nil
}

func (m *machine) Isolate(ctx context.Context, cut containment.Cut) (containment.Isolated, error) {
	m.called("isolate")
	m.kept = cut
	if m.isolate != nil {
		return m.isolate(ctx)
	}
	return containment.Isolated{How: []string{"nft"}}, nil
}

func (m *machine) Check(ctx context.Context) (containment.Checked, error) {
	m.called("check")
	if m.check != nil {
		return m.check(ctx)
	}
	return containment.Checked{Down: true, Proof: []string{"/proc: no process of the agent"}}, nil
}

func (m *machine) Close() error {
	m.called("close")
	if m.close != nil {
		return m.close()
	}
	return nil
}

// broken is a host of which nothing works.
func broken() *machine {
	return &machine{
		freeze: func(context.Context) (containment.Frozen, error) { return containment.Frozen{}, errBroken },
		capture: func(context.Context, string, snapshots.Sink) (snapshots.Captured, error) {
			return snapshots.Captured{}, errBroken
		},
		discover: func(context.Context, func(discover.Found)) (discover.Summary, error) {
			return discover.Summary{}, errBroken
		},
		stop:    func(context.Context) (containment.Stopped, error) { return containment.Stopped{}, errBroken },
		isolate: func(context.Context) (containment.Isolated, error) { return containment.Isolated{}, errBroken },
		check:   func(context.Context) (containment.Checked, error) { return containment.Checked{}, errBroken },
		close:   func() error { return errBroken },
	}
}

// finds makes a search that finds these.
func finds(all ...discover.Found) func(context.Context, func(discover.Found)) (discover.Summary, error) {
	return func(_ context.Context, found func(discover.Found)) (discover.Summary, error) {
		for _, f := range all {
			found(f)
		}
		return discover.Summary{Files: 3, Found: len(all)}, nil
	}
}

// foundAt makes a find of a credential at a path.
func foundAt(c credential.Credential, path string) discover.Found {
	return discover.Found{Provider: c.Provider, Kind: c.Kind, Secret: c.Secret, Ref: c.Ref, Source: credential.Source{Path: path, Line: 1}}
}

// newResponse makes a response to what happened on a host, whose desk has no provider.
func newResponse(t testing.TB, h *machine) *Response {
	return &Response{
		Dir: t.TempDir(), Host: h, Clock: fake.Wall{}, Desk: "bastion-2", Version: "test",
		Authorities: &Authorities{}, Key: credential.NewFingerprintKey(), Accepted: map[string]bool{},
		Report: func(context.Context) (incident.Report, error) { return incident.Report{Markdown: "report.md"}, nil },
	}
}

// book makes a playbook of one action after the other: "evidence.capture files" is the step
// "files", "agent.stop" the step "stop".
func book(uses ...string) playbooks.Playbook {
	var steps []playbooks.Step
	for _, u := range uses {
		action, part, _ := strings.Cut(u, " ")
		_, id, _ := strings.Cut(action, ".")
		s := playbooks.Step{ID: id, Title: id, Uses: action, Gate: playbooks.Auto, OnFailure: playbooks.GoOn}
		if part != "" {
			s.ID, s.With = part, map[string]any{"part": part}
		}
		if n := len(steps); n > 0 {
			s.Needs = []string{steps[n-1].ID}
		}
		steps = append(steps, s)
	}
	return playbooks.Playbook{Name: "test", Title: "Test", Phases: []playbooks.Phase{{ID: "one", Title: "One", Steps: steps}}}
}

// carry carries out a response, and holds its record to what holds of each: it is closed, with the
// exit code that it adds up to.
func carry(t testing.TB, ctx context.Context, r *Response, p playbooks.Playbook) (incident.State, error) {
	t.Helper()
	e := &engine.Engine{Journal: journal.InMemory(time.Now), Playbook: p, Clock: r.Clock, Facts: map[string]bool{"remote": true}}
	defer e.Journal.Close()
	s, err := r.Carry(ctx, e, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
	if s.Unreadable > 0 {
		t.Errorf("the record does not add up: %v", s.Warnings)
	}
	if folded, foldErr := foldAll(context.Background(), e.Journal); foldErr != nil || folded.Exit == nil || *folded.Exit != folded.ExitCode() {
		t.Errorf("the record ends with %v, %v, and adds up to %d", folded.Exit, foldErr, folded.ExitCode())
	}
	return s, err
}

// play carries out a response of which nothing fails but its steps.
func play(t testing.TB, r *Response, uses ...string) incident.State {
	t.Helper()
	s, err := carry(t, t.Context(), r, book(uses...))
	if err != nil {
		t.Errorf("Carry: %v", err)
	}
	return s
}

// want holds the outcome of a step against a status and a part of what it says.
func want(t testing.TB, s incident.State, id, status, says string) {
	t.Helper()
	step := s.Steps[id]
	if step == nil {
		t.Errorf("there is no step %s", id)
		return
	}
	if text := fmt.Sprint(step.Outcome); step.Status != status || !strings.Contains(text, says) {
		t.Errorf("%s is %s, %s; want %s, %q", id, step.Status, text, status, says)
	}
}

// recorder notes what an action records.
type recorder struct {
	lines   []string
	data    []any
	refuses error // of an Intent
	answer  incident.Answer
	asked   []incident.Question
	err     error // of Ask
}

func (r *recorder) Intent(_ context.Context, typ string, data any) error {
	r.lines, r.data = append(r.lines, "intent "+typ), append(r.data, data)
	return r.refuses
}

func (r *recorder) Note(typ string, data any) {
	r.lines, r.data = append(r.lines, "note "+typ), append(r.data, data)
}

func (r *recorder) Ask(_ context.Context, q incident.Question) (incident.Answer, error) {
	r.asked = append(r.asked, q)
	return r.answer, r.err
}

// toy is a provider that is only described.
type toy struct {
	revoke.Provider
	info revoke.Info
}

func (p toy) Info() revoke.Info { return p.info }

var toyKey = revoke.KindInfo{
	Kind: "toy.key", Manual: true, Steps: []string{"Open the console", "Delete the key"}, Link: "https://toy.test/keys",
	Authority: "keys:write", Effect: "the robot stops",
}

func newToy() toy {
	return toy{info: revoke.Info{Name: "toy", Title: "Toy", Kinds: []revoke.KindInfo{toyKey}}}
}
