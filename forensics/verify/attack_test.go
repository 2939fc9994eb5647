package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
)

// An attack changes a record so that one check alone can notice it.
type attack struct {
	name  string
	check string // that notices it
	says  string
	do    func(w *world)
}

// Each attack but those that say otherwise is one of somebody who holds the machine, its record and
// its tree, but not the key.
var attacks = []attack{
	{"a changed byte in an entry that is not sealed yet", "chain", "does not carry the hash", func(w *world) {
		n := w.earlier()
		lines := w.lines()
		lines[n+1] = bytes.Replace(lines[n+1], []byte("look"), []byte("lock"), 1)
		w.setLines(lines)
	}},
	{"a changed byte, and the chain and the tree made anew", "root", "not those that were sealed", func(w *world) {
		lines := w.lines()
		lines[100] = bytes.Replace(lines[100], []byte("look"), []byte("lock"), 1)
		w.setLines(w.chain(lines))
		w.retile()
	}},
	{"a changed byte in the last line", "root", "not those that were sealed", func(w *world) {
		lines := w.lines()
		last := len(lines) - 1
		lines[last] = bytes.Replace(lines[last], []byte(`"exit":0`), []byte(`"exit":1`), 1)
		w.setLines(lines)
		w.retile()
	}},
	{"a tree that is larger than its lines, signed with the host's key", "size", "the last 1 are missing", func(w *world) {
		lines := w.lines()
		more := slices.Clone(lines)
		w.setLines(w.chain(append(more, lines[100])))
		w.reseal()
		w.setLines(lines)
	}},
	{"a removed line that is not sealed yet", "chain", "stands where entry", func(w *world) {
		n := w.earlier()
		w.setLines(slices.Delete(w.lines(), n+1, n+2))
	}},
	{"a removed line, and the chain and the tree made anew", "root", "not those that were sealed", func(w *world) {
		w.earlier()
		w.setLines(w.chain(slices.Delete(w.lines(), 100, 101)))
		w.retile()
	}},
	{"two reordered lines that are not sealed yet", "chain", "stands where entry", func(w *world) {
		n := w.earlier()
		lines := w.lines()
		lines[n+1], lines[n+2] = lines[n+2], lines[n+1]
		w.setLines(lines)
	}},
	{"two reordered lines, and the chain and the tree made anew", "root", "not those that were sealed", func(w *world) {
		lines := w.lines()
		lines[100], lines[101] = lines[101], lines[100]
		w.setLines(w.chain(lines))
		w.retile()
	}},
	{"an entry with an earlier time than the one before", "chain", "older than entry", func(w *world) {
		w.earlier()
		lines := w.lines()
		last := len(lines) - 1
		lines[last] = w.entry(lines[last], func(e *journal.Entry) { e.Time = e.Time.AddDate(0, 0, -1) })
		w.setLines(lines)
	}},
	{"another declaration behind what is sealed", "declaration", "a second time", func(w *world) {
		w.earlier()
		lines := w.lines()
		w.setLines(w.chain(append(lines, w.entry(lines[0], func(e *journal.Entry) {
			e.Data = []byte(`{"incident":"` + id + `","endpoints":{"github":"https://attacker.example"}}`)
		}))))
	}},
	{"another plan behind what is sealed", "declaration", "a second time", func(w *world) {
		w.earlier()
		lines := w.lines()
		plan := lines[slices.IndexFunc(lines, func(line []byte) bool { return bytes.Contains(line, []byte(incident.TypePlan)) })]
		w.setLines(w.chain(append(lines, w.entry(plan, func(e *journal.Entry) { e.Data = []byte(`{"title":"another","phases":[]}`) }))))
	}},
	{"a cut tail", "size", "the last 3 are missing", func(w *world) {
		lines := w.lines()
		w.setLines(lines[:len(lines)-3])
	}},
	{"a cut beginning", "chain", "stands where entry 1 belongs", func(w *world) {
		w.setLines(w.lines()[1:])
		if err := os.RemoveAll(w.path(tree.Dir)); err != nil {
			w.t.Fatal(err)
		}
	}},
	{"a cut tail, resealed with the host's key, beside a witness's checkpoint", "held size", "were cut off", func(w *world) {
		w.held(w.sealed[len(w.sealed)-1])
		w.setLines(cut(w, 30))
		w.reseal()
	}},
	{"a cut tail, written on and resealed with the host's key, beside a witness's checkpoint", "held root", "another history", func(w *world) {
		w.held(w.sealed[len(w.sealed)-2])
		lines := cut(w, 30)
		for range 60 {
			lines = append(lines, lines[100])
		}
		w.setLines(w.chain(lines))
		w.reseal()
	}},
	{"a cut tail, resealed with the host's key, beside what was written down", "held size", "the checkpoint of the notebook", func(w *world) {
		w.noted(w.sealed[len(w.sealed)-1])
		w.setLines(cut(w, 30))
		w.reseal()
	}},
	{"a record that was written anew with another key, beside what was written down", "held root", "the checkpoint of the notebook", func(w *world) {
		w.noted(w.sealed[0])
		rewrite(w)
	}},
	{"two histories with one beginning, each signed with the host's key", "held root", "another history", func(w *world) {
		lines := w.lines()
		other := slices.Clone(lines)
		other[200] = bytes.Replace(other[200], []byte("look"), []byte("lock"), 1)
		w.setLines(w.chain(other))
		w.held(w.reseal())
		w.setLines(lines)
		w.reseal()
	}},
	{"forged entries of an older epoch, resealed with the host's key, beside an older checkpoint", "held root", "another history", func(w *world) {
		old := w.sealed[len(w.sealed)-2]
		w.held(old)
		lines := w.lines()
		forged := w.entry(lines[50], func(e *journal.Entry) { e.Data = []byte(`{"text":"nothing happened","by":"dana"}`) })
		w.setLines(w.chain(slices.Insert(lines, 50, forged)))
		w.reseal()
	}},
	{"an entry with a key twice, resealed with the host's key", "entries", "twice", func(w *world) {
		lines := w.lines()
		lines[100] = w.entry(lines[100], func(e *journal.Entry) { e.Data = []byte(`{"text":"went well","text":"went badly","by":"dana"}`) })
		w.setLines(w.chain(lines))
		w.reseal()
	}},
	{"an entry with a key twice, in two cases, resealed with the host's key", "entries", "twice", func(w *world) {
		lines := w.lines()
		lines[100] = w.entry(lines[100], func(e *journal.Entry) { e.Data = []byte(`{"text":"went well","by":"dana","TEXT":"went badly"}`) })
		w.setLines(w.chain(lines))
		w.reseal()
	}},
	{"an exchanged key file, and the tree signed with it", "signature", "not signed with this record's key", func(w *world) {
		other, _ := sshKey(w.t)
		w.grow(signerOf(w.t, other, id), len(w.lines()))
	}},
	{"a record that was written anew with another key, beside the key that was noted", "noted key", "another key", func(w *world) {
		w.options.Key = w.signer.Verifier()
		rewrite(w)
	}},
	{"a record that was written anew with no key, beside the key that was noted", "noted key", "names no key", func(w *world) {
		w.options.Key = w.signer.Verifier()
		lines := w.lines()
		lines[0] = w.entry(lines[0], func(e *journal.Entry) { e.Data = []byte(fmt.Sprintf(`{"incident":%q}`, id)) })
		w.setLines(w.chain(lines))
		if err := os.RemoveAll(w.path(tree.Dir)); err != nil {
			w.t.Fatal(err)
		}
	}},
	{"a record that was written anew with another key, beside a witness's checkpoint", "held key", "the record was rewritten", func(w *world) {
		w.held(w.sealed[0])
		rewrite(w)
	}},
	{"another incident's checkpoint, signed by the same person", "signature", "not signed with this record's key", func(w *world) {
		w.write(checkpointPath, relabelled(w))
	}},
	{"another incident's checkpoint as a witness's", "held key", "of different incidents", func(w *world) {
		w.options.Held = []Held{{From: "witness", Note: relabelled(w)}}
	}},
	{"no checkpoint at all", "sealed", "missing", func(w *world) {
		if err := os.RemoveAll(w.path(tree.Dir)); err != nil {
			w.t.Fatal(err)
		}
	}},
	{"a changed tile", "tiles", "it was changed", func(w *world) { w.flip("tlog/tile/0/000") }},
	{"a changed tile of an upper level", "tiles", "it was changed", func(w *world) { w.flip("tlog/tile/1/000.p/1") }},
	{"a tile that is too long", "tiles", "it was changed", func(w *world) {
		w.write("tlog/tile/0/000", append(w.read("tlog/tile/0/000"), 0))
	}},
	{"a missing tile", "tiles", "no such file", func(w *world) {
		if err := os.Remove(w.path("tlog/tile/0/000")); err != nil {
			w.t.Fatal(err)
		}
	}},
	{"a changed bundle", "bundles", "its copy of entry", func(w *world) { w.flip("tlog/tile/entries/000") }},
	{"a bundle that is too long", "bundles", "more than it should", func(w *world) {
		w.write("tlog/tile/entries/000", append(w.read("tlog/tile/entries/000"), 0))
	}},
	{"a changed payload", "payloads", "its data", func(w *world) { w.flip(payloadOf(w)) }},
	{"a missing payload", "payloads", "no such file", func(w *world) {
		if err := os.Remove(w.path(payloadOf(w))); err != nil {
			w.t.Fatal(err)
		}
	}},
	{"changed evidence", "evidence", "not as sealed", func(w *world) { w.flip("evidence/volatile/file") }},
	{"other evidence, and an entry for it behind what is sealed", "evidence", "not as sealed", recaptured},
	{"a last line that is not whole", "last line", "not whole", func(w *world) {
		w.write(journal.FileName, append(w.read(journal.FileName), `{"v":1,`...))
	}},
}

// cut is a record without its last lines, but with an end.
func cut(w *world, n int) [][]byte {
	lines := w.lines()
	last := lines[len(lines)-1]
	return w.chain(append(lines[:len(lines)-n], last))
}

// rewrite makes all of a record anew, with a key of the attacker.
func rewrite(w *world) {
	key, _ := sshKey(w.t)
	theirs := signerOf(w.t, key, id)
	lines := w.lines()
	lines[0] = bytes.Replace(lines[0], []byte(w.signer.Verifier()), []byte(theirs.Verifier()), 1)
	w.setLines(w.chain(lines))
	w.grow(theirs, len(lines))
}

// relabelled is the checkpoint of another incident by the same person. What names the key is not
// signed, so anybody can make it name this incident's.
func relabelled(w *world) []byte {
	other := newWorld(w.t, theKey, "INC-20261102-0000")
	theirs := string(other.sealed[len(other.sealed)-1].Note)
	ours := string(w.sealed[len(w.sealed)-1].Note)
	body, signed, _ := strings.Cut(theirs, "\n\n")
	_, mine, _ := strings.Cut(ours, "\n\n")
	return []byte(body + "\n\n" + mine[:strings.LastIndex(mine, " ")] + signed[strings.LastIndex(signed, " "):])
}

func payloadOf(w *world) string {
	entries, err := os.ReadDir(w.path(journal.PayloadFolder))
	if err != nil || len(entries) != 1 {
		w.t.Fatalf("%d payloads, %v", len(entries), err)
	}
	return journal.PayloadFolder + "/" + entries[0].Name()
}

// theKey is the responder's, the same in all incidents of this test.
var theKey []byte

func TestMain(m *testing.M) {
	var t keyMaker
	theKey, _ = sshKey(&t)
	code := m.Run()
	if written != "" {
		_ = os.RemoveAll(written)
	}
	os.Exit(code)
}

// keyMaker lets sshKey be called before there is a test.
type keyMaker struct{ testing.TB }

func (*keyMaker) Helper()           {}
func (*keyMaker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// Each attack is noticed by the check that is there for it, and by no other: without that check it
// goes unnoticed.
func TestAttacks(t *testing.T) {
	t.Parallel()
	covered := make(map[string]bool)
	for _, a := range attacks {
		covered[a.check] = true
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, theKey, id)
			if _, err := Incident(w.dir, w.options); err != nil {
				t.Fatalf("before the attack: %v", err)
			}
			a.do(w)
			_, err := Incident(w.dir, w.options)
			var f *Fault
			if !errors.As(err, &f) {
				t.Fatalf("it was not noticed: %v", err)
			}
			if f.Check != a.check || !strings.Contains(f.Error(), a.says) || f.Hint == "" {
				t.Errorf("noticed by %q: %v (%s)", f.Check, f, f.Hint)
			}
			without := slices.DeleteFunc(slices.Clone(checks), func(c check) bool { return c.name == a.check })
			if _, err := run(w.dir, w.options, without); err != nil {
				t.Errorf("without the check %q something else notices it: %v", a.check, err)
			}
		})
	}
	for _, c := range checks {
		if !covered[c.name] {
			t.Errorf("no attack shows what the check %q is for", c.name)
		}
	}
}

// What cannot be noticed without something from elsewhere is not noticed without it: the limits
// that the documentation names are those that there are.
func TestWhatTakesAWitness(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(w *world){
		"a cut tail, resealed":       func(w *world) { w.setLines(cut(w, 30)); w.reseal() },
		"all written anew":           rewrite,
		"an entry after the witness": func(w *world) { w.held(w.sealed[2]); w.setLines(cut(w, 10)); w.reseal() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, theKey, id)
			do(w)
			if _, err := Incident(w.dir, w.options); err != nil {
				t.Errorf("it was noticed: %v", err)
			}
		})
	}
}

func TestIntact(t *testing.T) {
	t.Parallel()
	key, public := sshKey(t)
	w := newWorld(t, key, id)
	for _, c := range w.sealed {
		w.held(c)
	}
	if len(w.sealed) < 4 {
		t.Fatalf("%d checkpoints were made", len(w.sealed))
	}
	for _, k := range []string{"", w.signer.Verifier(), string(public)} {
		w.options.Key = k
		r, err := Incident(w.dir, w.options)
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(len(w.lines()))
		if r.Incident != id || r.Entries != n || r.Sealed.Size != n || !r.Ended || r.Key != w.signer.Verifier() ||
			len(r.Held) != len(w.sealed) || len(r.Bags) != 1 || r.Last != digest(w.lines()[n-1]) {
			t.Errorf("%+v", r)
		}
	}
	w.options.Key = "something else"
	if _, err := Incident(w.dir, w.options); err == nil {
		t.Error("what is no key was taken for one")
	}
	_, other := sshKey(t)
	w.options.Key = string(other)
	if _, err := Incident(w.dir, w.options); err == nil {
		t.Error("another person's key was taken for this one")
	}
}

// A run that goes on, or died, is sound as far as it came.
func TestWithoutItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, theKey, id)
	w.earlier()
	lines := w.lines()
	w.setLines(lines[:len(lines)-1])
	r, err := Incident(w.dir, w.options)
	if err != nil || r.Ended || r.Sealed.Size >= r.Entries {
		t.Errorf("%+v, %v", r, err)
	}
	w.setLines(w.chain(append(w.lines(), w.entry(lines[len(lines)-1], func(e *journal.Entry) { e.Type, e.Data = incident.TypeResumed, []byte("{}") }))))
	if r, err := Incident(w.dir, w.options); err != nil || r.Ended {
		t.Errorf("resumed: %+v, %v", r, err)
	}
}

// recaptured puts other evidence in the place of the first, with an entry that names it.
func recaptured(w *world) {
	w.write("evidence/volatile/file", []byte("captured anew"))
	data, err := json.Marshal(incident.Sealed{Part: "volatile", Path: "evidence/volatile", Digest: digest([]byte("captured anew"))})
	if err != nil {
		w.t.Fatal(err)
	}
	lines := w.lines()
	w.setLines(w.chain(append(lines, w.entry(lines[len(lines)-1], func(e *journal.Entry) { e.Type, e.Data = incident.TypeSealed, data }))))
}

// A package that was found broken was set aside, and its place captured anew: that one counts.
func TestEvidenceCapturedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, theKey, id)
	recaptured(w)
	w.reseal()
	if r, err := Incident(w.dir, w.options); err != nil || len(r.Bags) != 1 || r.Bags[0].Digest != digest([]byte("captured anew")) {
		t.Errorf("%+v, %v", r.Bags, err)
	}
}

func TestParseNoted(t *testing.T) {
	t.Parallel()
	root := tree.Checkpoint{}.Root.String()
	if h, err := ParseNoted(" 12:" + root + "\n"); err != nil || h.Size != 12 {
		t.Errorf("%+v, %v", h, err)
	}
	for _, text := range []string{"", "12", ":" + root, "0:" + root, "-1:" + root, "12:", "12:AAAA", "99999999999999999999:" + root, "12:" + root + "x"} {
		if h, err := ParseNoted(text); err == nil {
			t.Errorf("%q was read as %+v", text, h)
		}
	}
}

// Whoever looks while a run goes on sees a sound record, at any moment.
func TestWhileARunGoesOn(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	dir := t.TempDir()
	go func() { defer close(over); newWorldIn(t, dir, theKey, id) }()
	for looks, going := 0, true; going; looks++ {
		select {
		case <-over:
			going = false
		default:
		}
		_, err := Incident(dir, Options{})
		var f *Fault
		early := errors.As(err, &f) && (f.Check == "sealed" || f.Check == "last line") || errors.Is(err, os.ErrNotExist)
		if err != nil && (!early || !going) {
			t.Fatalf("look %d: %v", looks, err)
		}
	}
}

func TestHostileFolders(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("x"), journal.MaxLine+2)
	for name, content := range map[string][]byte{"empty": nil, "a long line": long, "a long line with an end": append(long, '\n'), "newlines": []byte("\n\n"), "no entry": []byte("{}\n")} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+journal.FileName, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Incident(dir, Options{})
		if (err == nil) != (name == "empty") || r.Entries != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	w := newWorld(t, theKey, id)
	if err := os.Remove(w.path(checkpointPath)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.path(checkpointPath), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Incident(w.dir, w.options); err == nil {
		t.Error("a folder was taken for a checkpoint")
	}
	if _, err := Incident(t.TempDir(), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder without a record: %v", err)
	}
}
