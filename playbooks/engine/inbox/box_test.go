package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/disk/disktest"
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

func TestMessagesAreTakenIn(t *testing.T) {
	w := newWorld(t).create().run()
	d := w.drop(note("bob", "I see it too\n<b>"), w.bob)
	s := w.until("the note", func(s incident.State) bool { return len(s.Notes) > 0 })
	n := s.Notes[0]
	if n.By != "bob" || n.Text != "I see it too\n<b>" || n.Signed == nil || n.Signed.Message != d.Text || n.Signed.Key != ssh.FingerprintSHA256(w.bob.PublicKey()) {
		t.Errorf("%+v", n)
	}
	if key, err := signers.Verify([]byte(n.Signed.Message), n.Signed.Signature, signers.Notes); err != nil || string(key.Marshal()) != string(w.bob.PublicKey().Marshal()) {
		t.Errorf("what is on record cannot be checked: %v", err)
	}
	w.drop(w.approval("bob"), w.bob)
	w.drop(w.approval("carol"), w.carol)
	w.until("the approvals", func(s incident.State) bool { return s.Approvals["approved"].Missing() == 0 && len(s.Open) == 2 })
	for _, q := range slices.Clone(w.state.Open) {
		w.drop(of(t, engine.Command{Answer: &incident.Answer{Question: q.ID, Choice: incident.Yes}}), w.own)
		w.until("the answer", func(s incident.State) bool {
			return !slices.ContainsFunc(s.Open, func(o incident.Question) bool { return o.ID == q.ID })
		})
	}
	if err := <-w.done; err != nil {
		t.Error(err)
	}
	w.done <- nil
	if s := w.end(); s.Unreadable > 0 || len(s.Refused) > 0 || s.Steps["approved"].Status != incident.Done {
		t.Errorf("%v %v", s.Warnings, s.Refused)
	}
	if left := w.files(); len(left) > 0 {
		t.Errorf("%v still lie there", left)
	}
}

func TestCommandsOfTheIncidentsOwnKey(t *testing.T) {
	w := newWorld(t).create().run()
	w.drop(of(t, engine.Command{Terminal: &incident.Terminal{State: "attached"}}), w.own)
	w.drop(of(t, engine.Command{Note: &incident.Note{Text: "back"}}), w.own)
	w.drop(of(t, engine.Command{Credential: &incident.Command{Kind: incident.Retry, Credential: "f"}}), w.own)
	w.drop(of(t, engine.Command{Step: &incident.Command{Kind: incident.Break, Step: "approved", Text: "alone"}}), w.own)
	s := w.until("the glass", func(s incident.State) bool { return s.Approvals["approved"].Broken != nil })
	if len(s.Terminals) != 1 || s.Terminals[0].By != "dana" || len(s.Notes) != 1 || s.Approvals["approved"].Broken.Signed == nil {
		t.Errorf("%+v %+v", s.Terminals, s.Notes)
	}
	w.drop(of(t, engine.Command{Interrupt: &incident.Command{Kind: incident.Interrupt}}), w.own)
	if err := <-w.done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.done <- nil
	if s := w.end(); len(s.Refused) > 0 {
		t.Error(s.Refused)
	}
}

// seal makes a file as Drop does, of any message.
func (w *world) seal(m Message, key ssh.Signer) []byte {
	w.Helper()
	m.Incident, m.Record = cmpOr(m.Incident, "INC-1"), cmpOr(m.Record, w.state.First)
	if m.Approval != nil && m.Approval.Plan != "" {
		m.Incident, m.Record = "", ""
	}
	file, _, err := Seal(m, key)
	if err != nil {
		w.Fatal(err)
	}
	return file
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.list += "eve valid-before=\"20200101Z\" " + string(ssh.MarshalAuthorizedKey(w.own.PublicKey()))
	expired := newKey(t)
	w.list += "late valid-before=\"20200101Z\" " + string(ssh.MarshalAuthorizedKey(expired.PublicKey()))
	w.create().run()
	good := string(w.seal(note("bob", "hello"), w.bob))
	binds := w.state.Approvals["approved"].Binds
	approve := func(step, binds, plan string) Message {
		return Message{Kind: KindApproval, As: "bob", Approval: &Approval{Step: step, Binds: binds, Plan: plan}}
	}
	inner := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	contents := map[string]struct{ content, want string }{
		"empty":                    {"", "not JSON"},
		"noise":                    {"\x00\xff", "not JSON"},
		"not an object":            {"[]", "not JSON"},
		"an unknown key":           {inner(`{"v":1,`, `{"v":1,"x":2,`), "not written down as messages are"},
		"a key twice":              {inner(`{"v":1,`, `{"v":1,"v":1,`), "not written down as messages are"},
		"a key in capitals":        {inner(`{"v":1,`, `{"V":1,`), "not written down as messages are"},
		"space":                    {inner(`{"v":1,`, `{"v": 1,`), "not written down as messages are"},
		"something after it":       {good + "x", "not JSON"},
		"an unknown key, inside":   {inner(`\"kind\"`, `\"x\":1,\"kind\"`), "the message in it"},
		"a key twice, inside":      {inner(`\"kind\"`, `\"v\":1,\"kind\"`), "the message in it"},
		"another version":          {inner(`{"v":1,`, `{"v":2,`), "version 2"},
		"another version, inside":  {inner(`{\"v\":1,`, `{\"v\":2,`), "version 2"},
		"a changed text":           {inner("hello", "hallo"), "does not hold"},
		"another namespace":        {string(w.mislabelled()), "does not hold"},
		"another incident":         {string(w.seal(with(note("bob", "x"), "INC-2", ""), w.bob)), "another incident"},
		"another record":           {string(w.seal(with(note("bob", "x"), "", strings.Repeat("0", 64)), w.bob)), "another incident"},
		"nobody's key":             {string(w.seal(note("bob", "x"), newKey(t))), "does not give the key"},
		"somebody else's name":     {string(w.seal(note("carol", "x"), w.bob)), "does not give the key"},
		"a key that is over":       {string(w.seal(note("late", "x"), expired)), "not valid after"},
		"an approval of one's own": {string(w.seal(w.approval("dana"), w.dana)), "nobody approves their own request"},
		"an approval by our key":   {string(w.seal(w.approval("eve"), w.own)), "approves nothing"},
		"another step":             {string(w.seal(approve("asked", binds, ""), w.bob)), "no approval of that step"},
		"another digest":           {string(w.seal(approve("approved", strings.Repeat("0", 64), ""), w.bob)), "something else"},
		"an approval of a plan":    {string(w.seal(approve("approved", binds, strings.Repeat("1", 64)), w.bob)), "another incident"},
		"a command by others":      {string(w.seal(Message{Kind: KindCommand, As: "bob", Command: &Command{Kind: incident.Interrupt}}, w.bob)), "own key commands"},
		"an answer by others":      {string(w.seal(Message{Kind: KindAnswer, As: "bob", Answer: &Answer{Question: "q1", Choice: "yes"}}, w.bob)), "own key commands"},
		"a terminal by others":     {string(w.seal(Message{Kind: KindTerminal, As: "bob", Terminal: &Terminal{State: "attached"}}, w.bob)), "own key commands"},
		"no such question":         {string(w.seal(Message{Kind: KindAnswer, As: "dana", Answer: &Answer{Question: "q99", Choice: "yes"}}, w.own)), "not open"},
		"a command nobody takes":   {string(w.seal(Message{Kind: KindCommand, As: "dana", Command: &Command{Kind: "nonsense"}}, w.own)), "takes that command"},
		"too large":                {strings.Repeat(" ", maxFile+1), "more than"},
	}
	box := filepath.Join(w.dir, Name)
	if err := os.Mkdir(box, 0o700); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	put := func(name, why string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		want[name] = why
	}
	for what, c := range contents {
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return r
			}
			return '-'
		}, what) + ".json"
		put(name, c.want, place(disk.OS{}, box, name, []byte(c.content)))
	}
	outside := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	put("link.json", "not a regular file", os.Symlink(outside, filepath.Join(box, "link.json")))
	put("fifo.json", "not a regular file", syscall.Mkfifo(filepath.Join(box, "fifo.json"), 0o600))
	put("folder.json", "not a regular file", os.Mkdir(filepath.Join(box, "folder.json"), 0o700))
	put("no-suffix", "no name of a message", place(disk.OS{}, box, "no-suffix", []byte(good)))
	put("esc\x1b[2J.json", "no name of a message", place(disk.OS{}, box, "esc\x1b[2J.json", []byte(good)))

	s := w.until("the refusals", func(s incident.State) bool { return len(s.Refused) >= len(want) })
	for _, r := range s.Refused {
		if why, ok := want[r.File]; !ok || !strings.Contains(r.Why, why) {
			t.Errorf("%q: %q, want %q", r.File, r.Why, why)
		}
	}
	w.gone()
	if s = w.end(); len(s.Refused) != len(want) || len(s.Notes) > 0 || len(s.Approvals["approved"].Given) > 0 {
		t.Errorf("%d refused of %d, notes %v", len(s.Refused), len(want), s.Notes)
	}
	aside, err := os.ReadDir(filepath.Join(box, RefusedName))
	if err != nil || len(aside) != len(want) {
		t.Errorf("%d are set aside, %v", len(aside), err)
	}
}

func with(m Message, id, record string) Message {
	m.Incident, m.Record = id, record
	return m
}

// mislabelled is a note that is signed as if it were an approval.
func (w *world) mislabelled() []byte {
	m := note("bob", "x")
	m.V, m.Incident, m.Record, m.Time, m.Nonce = Version, "INC-1", w.state.First, time.Now().UTC().Round(0), random(16)
	text, err := encode(m)
	if err != nil {
		w.Fatal(err)
	}
	sig, err := signers.Sign(w.bob, signers.Approvals, text)
	if err != nil {
		w.Fatal(err)
	}
	b, err := encode(envelope{Version, string(text), sig})
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// The same message takes effect once, whatever it is called, also in a run that takes the record up.
func TestTheSameMessageTakesEffectOnce(t *testing.T) {
	w := newWorld(t).create().run()
	d := w.drop(note("bob", "once"), w.bob)
	file := w.seal(note("bob", "later"), w.bob)
	box := filepath.Join(w.dir, Name)
	w.until("the note", func(s incident.State) bool { return len(s.Notes) > 0 })
	w.gone()
	n := w.state.Notes[0].Signed
	again, err := encode(envelope{Version, d.Text, n.Signature})
	if err != nil {
		t.Fatal(err)
	}
	resigned, err := signers.Sign(w.bob, signers.Notes, []byte(d.Text))
	if err != nil {
		t.Fatal(err)
	}
	anew, err := encode(envelope{Version, d.Text, resigned})
	if err != nil {
		t.Fatal(err)
	}
	replay := func(suffix string) {
		for name, content := range map[string][]byte{"again": again, "anew": anew, "later": file, "later-too": file} {
			if err := place(disk.OS{}, box, name+suffix+".json", content); err != nil {
				t.Fatal(err)
			}
		}
		w.gone()
	}
	replay("1")
	w.end()
	w.reopen().run()
	replay("2")
	if s := w.end(); len(s.Notes) != 2 || len(s.Refused) > 0 || s.Unreadable > 0 {
		t.Errorf("notes %+v, refused %v", s.Notes, s.Refused)
	}
}

// What lies in the inbox when a run ends is taken in; what lies there of before, too.
func TestNothingIsLeftBehind(t *testing.T) {
	w := newWorld(t).create()
	const many = 3*maxTaken + 7
	for i := range many {
		w.drop(note("bob", fmt.Sprint(i)), w.bob)
	}
	w.run()
	w.until("the notes", func(s incident.State) bool { return len(s.Notes) == many })
	for i, n := range w.state.Notes {
		if n.Text != fmt.Sprint(i) {
			t.Fatalf("%q is note %d", n.Text, i)
		}
	}
	w.drop(note("bob", "last"), w.bob)
	if s := w.end(); s.Notes[len(s.Notes)-1].Text != "last" {
		t.Error("what lay there at the end is not on record")
	}
}

// The end of a run looks once more.
func TestTheEndTakesIn(t *testing.T) {
	w := newWorld(t).create()
	w.drop(note("bob", "last"), w.bob)
	list, err := signers.Parse("list", []byte(w.list))
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	e := &engine.Engine{Journal: w.journal, Clock: hurried{}}
	(&Box{Dir: w.dir, Signers: list, Clock: hurried{}, Disk: w.disk}).Serve(over, e)
	s, err := incident.FoldAll(w.journal.Entries(t.Context()))
	if err != nil || len(s.Notes) != 1 {
		t.Errorf("%v, notes %v", err, s.Notes)
	}
	_ = w.journal.Close()
}

// A message that is not on disk yet has its effect, once, and stays in the inbox: the run that
// takes the record up looks at it again.
func TestNotDurable(t *testing.T) {
	w := newWorld(t)
	full, err := disktest.New(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.disk = full
	w.create().run()
	full.FailOn(journal.FileName, syscall.ENOSPC)
	w.drop(note("bob", "no room"), w.bob)
	w.until("the note", func(s incident.State) bool { return len(s.Notes) > 0 })
	w.drop(Message{Kind: KindNote, As: "nobody", Note: &Note{Text: "to be refused"}}, w.bob)
	w.until("the refusal", func(s incident.State) bool { return len(s.Refused) > 0 })
	s := w.end()
	if len(s.Notes) != 1 || len(s.Refused) != 1 || len(w.files()) != 2 {
		t.Errorf("notes %v, refused %v, files %v", s.Notes, s.Refused, w.files())
	}
	full.Heal()
	w.reopen().run()
	w.gone()
	if s := w.end(); len(s.Notes) != 1 || len(s.Refused) != 1 {
		t.Errorf("after the resume: notes %v, refused %v", s.Notes, s.Refused)
	}
}

// Whenever a run dies, each message takes effect once.
func TestDeathAtEachOperation(t *testing.T) {
	for k := 1; ; k++ {
		w := newWorld(t).create()
		_ = w.journal.Close()
		for _, text := range []string{"one", "two"} {
			w.drop(note("bob", text), w.bob)
		}
		w.drop(note("nobody", "three"), w.bob)
		dying, err := disktest.New(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		w.disk = dying
		dying.DieAt(k)
		died := dieTaking(w, dying)
		dying, err = disktest.New(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		w.disk = dying
		w.reopen().run()
		w.gone()
		s := w.end()
		var texts []string
		for _, n := range s.Notes {
			texts = append(texts, n.Text)
		}
		if !slices.Equal(texts, []string{"one", "two"}) || len(s.Refused) == 0 {
			t.Fatalf("death at operation %d: notes %q, refused %v", k, texts, s.Refused)
		}
		if !died {
			t.Logf("%d operations at which a run died: none lost, none doubled", k-1)
			return
		}
	}
}

// dieTaking runs a response until its disk dies or all is taken.
func dieTaking(w *world, dying *disktest.Disk) (died bool) {
	j, _, err := journal.OpenOn(dying, w.dir, journal.Holder{}, time.Now)
	if err != nil {
		return true
	}
	list, err := signers.Parse("list", []byte(w.list))
	if err != nil {
		w.Fatal(err)
	}
	e := &engine.Engine{Journal: j, Clock: hurried{}, Playbook: playbooks.Playbook{Attended: true}}
	box := &Box{Dir: w.dir, Signers: list, Clock: hurried{}, Disk: dying}
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { defer close(done); box.Serve(ctx, e) }()
	for died = false; !died && len(w.files()) > 0; {
		select {
		case <-dying.Dead():
			died = true
		default:
			_ = hurried{}.Sleep(w.Context(), 0)
		}
	}
	cancel()
	<-done
	_ = j.Close()
	select {
	case <-dying.Dead():
		return true
	default:
		return died
	}
}

func TestDropLeavesNothingHalf(t *testing.T) {
	for k := 1; ; k++ {
		w := newWorld(t).create()
		_ = w.journal.Close()
		failing, err := disktest.New(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		failing.FailAt(k, syscall.EIO)
		_, err = DropOn(failing, w.dir, note("bob", "x"), w.bob)
		if err == nil && failing.Count() < k {
			return
		}
		for _, name := range dirOrNone(filepath.Join(w.dir, Name)) {
			src, readErr := os.ReadFile(filepath.Join(w.dir, Name, name))
			if _, parseErr := Parse(src); !strings.HasPrefix(name, ".") && (readErr != nil || parseErr != nil) {
				t.Errorf("failure at %d leaves half a message: %v", k, parseErr)
			}
		}
	}
}

func dirOrNone(path string) (names []string) {
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestBeforehand(t *testing.T) {
	w := newWorld(t)
	list, err := signers.Parse("list", []byte(w.list))
	if err != nil {
		t.Fatal(err)
	}
	plan := incident.Plan{Title: "T", Phases: []incident.PlanPhase{{Steps: []incident.PlanStep{{ID: "a", Uses: "x"}}}}}
	sum, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	m, err := ApprovePlan(plan, sum, "a", "bob")
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := Seal(m, w.bob)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := Beforehand(file, plan, sum, list, time.Now()); err != nil || a.By != "bob" || a.Plan != sum {
		t.Errorf("%+v, %v", a, err)
	}
	changed := incident.Plan{Title: "U", Phases: plan.Phases}
	stranger, _, err := Seal(m, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func() error{
		"another file":     func() error { _, err := Beforehand(file, plan, other, list, time.Now()); return err },
		"another plan":     func() error { _, err := Beforehand(file, changed, sum, list, time.Now()); return err },
		"nobody's key":     func() error { _, err := Beforehand(stranger, plan, sum, list, time.Now()); return err },
		"nobody's list":    func() error { _, err := Beforehand(file, plan, sum, signers.Signers{}, time.Now()); return err },
		"no approval":      func() error { _, err := Beforehand([]byte("{}"), plan, sum, list, time.Now()); return err },
		"a step of no one": func() error { _, err := ApprovePlan(plan, sum, "b", "bob"); return err },
	} {
		if f() == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func FuzzParse(f *testing.F) {
	key := newKey(f)
	for _, m := range []Message{
		note("bob", "x"), {Kind: KindApproval, As: "bob", Approval: &Approval{Step: "a", Binds: strings.Repeat("0", 64)}},
		{Kind: KindCommand, As: "bob", Command: &Command{Kind: "break-glass", Step: "a", Text: "t"}},
	} {
		m.Incident, m.Record = "INC-1", strings.Repeat("0", 64)
		file, _, err := Seal(m, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Add([]byte(`{"v":1,"message":"{}","signature":""}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := Parse(src)
		if err != nil {
			return
		}
		var again Message
		if json.Unmarshal([]byte(m.Text), &again) != nil || m.check() != nil || string(m.Key.Marshal()) == "" {
			t.Errorf("%q is a message", src)
		}
		m.command()
	})
}
