package tree

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// said is a record to be kept: each item is an entry.
type said struct {
	typ  string
	data any
}

func step(id string) incident.StepIntent { return incident.StepIntent{Step: id} }
func done(id string) incident.StepOutcome {
	return incident.StepOutcome{Step: id, Status: incident.Done}
}

var plan = incident.Plan{Phases: []incident.PlanPhase{
	{ID: "contain", Steps: []incident.PlanStep{{ID: "freeze"}, {ID: "revoke"}}},
	{ID: "recover", Steps: []incident.PlanStep{{ID: "reissue"}, {ID: "look"}}},
}}

// record writes a record and gives a cursor over it.
func record(t testing.TB, entries ...said) *journal.Cursor {
	t.Helper()
	j := journal.InMemory(time.Now)
	for _, e := range entries {
		if err := j.Note(e.typ, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return j.Cursor()
}

func TestKeepSealsAtEachChangeOfPhase(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	var sealed []uint64
	k := Keeper{Tree: open(t, dir, s), Sealed: func(c Checkpoint) { sealed = append(sealed, c.Size) }}
	entries := []said{
		{incident.TypeDeclared, incident.Declared{}}, // 1
		{incident.TypePlan, plan},
		{incident.TypeStepIntent, step("freeze")}, // 3: the first phase begins
		{incident.TypeStepOutcome, done("freeze")},
		{incident.TypeStepIntent, step("revoke")},
		{incident.TypeStepIntent, step("reissue")},  // 6: the second begins beside it
		{incident.TypeStepOutcome, done("revoke")},  // 7: the first is through
		{incident.TypeStepIntent, step("revoke")},   // again, by hand
		{incident.TypeStepOutcome, done("unheard")}, // not in the plan
		{incident.TypeStepOutcome, done("revoke")},  // 10: through once more
		{incident.TypeStepOutcome, done("reissue")},
		{incident.TypeStepOutcome, incident.StepOutcome{Step: "look", Status: incident.Skipped}}, // 12: the second is through
		{incident.TypeClosed, incident.Closed{}},                                                 // 13
		{incident.TypeResumed, incident.Resumed{}},                                               // 14
		{incident.TypeNote, incident.Note{}},                                                     // 15: the end
	}
	if err := k.Keep(t.Context(), record(t, entries...)); err != nil {
		t.Fatal(err)
	}
	if want := []uint64{1, 3, 6, 7, 10, 12, 13, 14, 15}; !slices.Equal(sealed, want) {
		t.Errorf("sealed at %d, want %d", sealed, want)
	}
	c, err := ReadCheckpoint(dir, s.Verifier())
	if err != nil || c.Size != 15 {
		t.Errorf("%+v, %v", c, err)
	}

	// Taken up again: what was sealed is not sealed again.
	sealed = nil
	k = Keeper{Tree: open(t, dir, s), Sealed: func(c Checkpoint) { sealed = append(sealed, c.Size) }}
	if err := k.Keep(t.Context(), record(t, entries...)); !errors.Is(err, ErrChanged) { // other times, so other lines
		t.Errorf("a record that was changed: %v", err)
	}
	if len(sealed) > 0 {
		t.Errorf("sealed at %d", sealed)
	}
}

func TestKeepSealsWhatIsLong(t *testing.T) {
	entries := make([]said, mostUnsealed+10)
	for i := range entries {
		entries[i] = said{incident.TypeNote, incident.Note{}}
	}
	var sealed []uint64
	k := Keeper{Tree: open(t, t.TempDir(), signer(t)), Sealed: func(c Checkpoint) { sealed = append(sealed, c.Size) }}
	if err := k.Keep(t.Context(), record(t, entries...)); err != nil {
		t.Fatal(err)
	}
	if want := []uint64{mostUnsealed, mostUnsealed + 10}; !slices.Equal(sealed, want) {
		t.Errorf("sealed at %d, want %d", sealed, want)
	}
}

// full is a disk that is full for some time.
type full struct {
	disk.OS
	is bool
}

var errFull = errors.New("no space left")

func (f *full) Rename(from, to string) error {
	if f.is && filepath.Base(to) == CheckpointName {
		return errFull
	}
	return f.OS.Rename(from, to)
}

func TestKeepTriesAgain(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	d := &full{is: true}
	tr, err := Open(d, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	var failed int
	k := Keeper{Tree: tr, Failed: func(err error) {
		if !errors.Is(err, errFull) {
			t.Error(err)
		}
		failed++
		d.is = failed < 2
	}}
	if err := k.Keep(t.Context(), record(t, said{incident.TypePlan, plan},
		said{incident.TypeStepIntent, step("freeze")}, said{incident.TypeStepIntent, step("reissue")}, said{incident.TypeClosed, incident.Closed{}})); err != nil {
		t.Error(err)
	}
	if c, err := ReadCheckpoint(dir, s.Verifier()); failed != 2 || err != nil || c.Size != 4 {
		t.Errorf("after %d failures: %+v, %v", failed, c, err)
	}
	d.is = true
	tr, err = Open(d, t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	k = Keeper{Tree: tr}
	if err := k.Keep(t.Context(), record(t, said{incident.TypeClosed, incident.Closed{}})); !errors.Is(err, errFull) {
		t.Errorf("the end was not sealed, and Keep returned %v", err)
	}
}

// broken is a source that fails.
type broken struct {
	from *journal.Cursor
	err  error
}

func (b broken) Next(ctx context.Context) (journal.Entry, error) {
	e, err := b.from.Next(ctx)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return e, err
}

func TestKeepSealsWhatItCouldRead(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	k := Keeper{Tree: open(t, dir, s)}
	if err := k.Keep(t.Context(), broken{record(t, said{incident.TypeNote, incident.Note{}}), errFull}); !errors.Is(err, errFull) {
		t.Errorf("Keep returned %v", err)
	}
	if c, err := ReadCheckpoint(dir, s.Verifier()); err != nil || c.Size != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
