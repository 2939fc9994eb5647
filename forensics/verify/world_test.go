package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
)

const id = "INC-20261101-0203"

// world is an incident that was recorded and sealed, and what an attacker can do to it.
type world struct {
	t       testing.TB
	dir     string
	signer  *tree.Signer
	options Options
	sealed  []tree.Checkpoint // each that was made, the oldest first
}

var thePlan = incident.Plan{Phases: []incident.PlanPhase{
	{ID: "contain", Steps: []incident.PlanStep{{ID: "freeze"}, {ID: "revoke"}}},
	{ID: "recover", Steps: []incident.PlanStep{{ID: "reissue"}}},
}}

// sshKey is a responder's own key, as ssh-keygen writes it, and its public half.
func sshKey(t testing.TB) (private, public []byte) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(line)
}

func signerOf(t testing.TB, key []byte, incident string) *tree.Signer {
	t.Helper()
	s, err := tree.SignerFromSSH(tree.Origin(incident), key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newWorld records an incident through its phases, as a response does.
func newWorld(t testing.TB, key []byte, incidentID string) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), key, incidentID)
}

func newWorldIn(t testing.TB, dir string, key []byte, incidentID string) *world {
	t.Helper()
	w := &world{t: t, dir: dir, signer: signerOf(t, key, incidentID)}
	w.options.Bag = w.checkBag
	j, err := journal.Create(w.dir, journal.Holder{Who: "dana"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	on, err := tree.Open(disk.OS{}, w.dir, w.signer)
	if err != nil {
		t.Fatal(err)
	}
	kept := make(chan error, 1)
	keeper := tree.Keeper{Tree: on, Sealed: func(c tree.Checkpoint) { w.sealed = append(w.sealed, c) }, Failed: func(err error) { t.Error(err) }}
	go func() { kept <- keeper.Keep(t.Context(), j.DurableCursor()) }()
	note := func(typ string, data any) {
		if err := j.Note(typ, data); err != nil {
			t.Error(err)
		}
	}
	notes := func(n int) {
		for i := range n {
			note(incident.TypeNote, incident.Note{Text: fmt.Sprintf("look %d", i), By: "dana"})
		}
	}
	note(incident.TypeDeclared, incident.Declared{Incident: incidentID, CheckpointKey: w.signer.Verifier()})
	note(incident.TypePlan, thePlan)
	note(incident.TypeStepIntent, incident.StepIntent{Step: "freeze"})
	notes(270) // more than fit into a tile
	note(incident.TypeSealed, w.evidence())
	note(incident.TypeNote, incident.Note{Text: strings.Repeat("x", journal.MaxLine), By: "dana"}) // data in a file of its own
	note(incident.TypeStepIntent, incident.StepIntent{Step: "reissue"})
	notes(20)
	note(incident.TypeClosed, incident.Closed{})
	if err := errors.Join(j.Close(), <-kept); err != nil {
		t.Fatal(err)
	}
	return w
}

// evidence is a package as the record names it; its digest here is that of its one file.
func (w *world) evidence() incident.Sealed {
	path := filepath.Join(w.dir, "evidence", "volatile", "file")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.write("evidence/volatile/file", []byte("a process"))
	return incident.Sealed{Part: "volatile", Path: "evidence/volatile", Digest: digest([]byte("a process"))}
}

func (w *world) checkBag(dir string, recorded incident.Sealed) error {
	b, err := os.ReadFile(filepath.Join(dir, "file"))
	if err == nil && digest(b) != recorded.Digest {
		err = errors.New("not as sealed")
	}
	return err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *world) read(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) write(name string, b []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), b, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) flip(name string) {
	w.t.Helper()
	b := w.read(name)
	b[len(b)/2] ^= 1
	w.write(name, b)
}

func (w *world) lines() [][]byte {
	w.t.Helper()
	return bytes.Split(bytes.TrimSuffix(w.read(journal.FileName), []byte("\n")), []byte("\n"))
}

func (w *world) setLines(lines [][]byte) {
	w.t.Helper()
	w.write(journal.FileName, append(bytes.Join(lines, []byte("\n")), '\n'))
}

// entry changes what a line says, but for its place.
func (w *world) entry(line []byte, change func(*journal.Entry)) []byte {
	w.t.Helper()
	var e journal.Entry
	if err := json.Unmarshal(line, &e); err != nil {
		w.t.Fatal(err)
	}
	change(&e)
	b, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// chain computes places and hashes of all lines again.
func (w *world) chain(lines [][]byte) [][]byte {
	w.t.Helper()
	var out [][]byte
	prev := ""
	var last time.Time
	for i, line := range lines {
		b := w.entry(line, func(e *journal.Entry) {
			e.Seq, e.Prev = uint64(i+1), prev
			if e.Time.Before(last) {
				e.Time = last
			}
			last = e.Time
		})
		out, prev = append(out, b), digest(b)
	}
	return out
}

// grow makes the tree of the first n lines anew, with a key, over whatever was there.
func (w *world) grow(s *tree.Signer, n int) tree.Checkpoint {
	w.t.Helper()
	if err := os.RemoveAll(w.path(tree.Dir)); err != nil {
		w.t.Fatal(err)
	}
	on, err := tree.Open(disk.OS{}, w.dir, s)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range w.lines()[:n] {
		if err := on.Add(line); err != nil {
			w.t.Fatal(err)
		}
	}
	c, err := on.Checkpoint()
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// reseal does what the machine itself could do: it signs whatever stands in the record now.
func (w *world) reseal() tree.Checkpoint { return w.grow(w.signer, len(w.lines())) }

// retile makes all of the tree fit the lines, but for what takes the key.
func (w *world) retile() {
	w.t.Helper()
	checkpoint := w.read(checkpointPath)
	c, err := tree.OpenCheckpoint(checkpoint, w.signer.Verifier())
	if err != nil {
		w.t.Fatal(err)
	}
	w.grow(w.signer, int(c.Size))
	w.write(checkpointPath, checkpoint)
}

// earlier takes the tree back to where the record's last entries were not sealed yet, as in a run
// that goes on.
func (w *world) earlier() int {
	c := w.sealed[len(w.sealed)-2]
	w.write(checkpointPath, c.Note)
	return int(c.Size)
}

// noted adds what a person wrote down of a checkpoint.
func (w *world) noted(c tree.Checkpoint) {
	h, err := ParseNoted(fmt.Sprintf("%d:%s", c.Size, c.Root))
	if err != nil {
		w.t.Fatal(err)
	}
	w.options.Held = append(w.options.Held, h)
}

// held adds a checkpoint that a witness has.
func (w *world) held(c tree.Checkpoint) {
	w.options.Held = append(w.options.Held, Held{From: "witness", Note: c.Note})
}
