package inbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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
