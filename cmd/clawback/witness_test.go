package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
	"clawback/forensics/journal/witness"
)

// auditor is an HTTPS witness of the test's own, on loopback.
type auditor struct {
	*httptest.Server
	token string

	mu    sync.Mutex
	down  bool
	lines map[uint64]string
	notes map[uint64]string
}

func newAuditor(t *testing.T) *auditor {
	t.Helper()
	a := &auditor{token: rand.Text(), lines: make(map[uint64]string), notes: make(map[uint64]string)}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *auditor) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var p witness.Post
	switch {
	case r.Header.Get("Authorization") != "Bearer "+a.token:
		w.WriteHeader(http.StatusForbidden)
	case a.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case json.NewDecoder(r.Body).Decode(&p) != nil:
		w.WriteHeader(http.StatusBadRequest)
	default:
		for i, line := range p.Lines {
			a.lines[p.First+uint64(i)] = line
		}
		if p.Checkpoint != "" {
			a.notes[p.Size] = p.Checkpoint
		}
	}
}

func (a *auditor) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// has returns what the auditor was given, as a journal.
func (a *auditor) has() (record []byte, notes map[uint64]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := uint64(1); a.lines[n] != ""; n++ {
		record = append(append(record, a.lines[n]...), '\n')
	}
	return record, a.notes
}

// witnessed configures a share and an auditor.
func (d *desk) witnessed(a *auditor) (share string) {
	d.t.Helper()
	share = filepath.Join(d.dir, "share")
	if err := os.Mkdir(share, 0o700); err != nil {
		d.t.Fatal(err)
	}
	f, err := os.OpenFile(d.config(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	fmt.Fprintf(f, "\nwitness:\n- name: share\n  dir: {path: %s}\n- name: audit\n  https: {url: %s/in, token: {env: AUDIT_TOKEN}}\n", share, a.URL)
	d.env = append(d.env, "CLAWBACK_CONFIG="+d.config(), "AUDIT_TOKEN="+a.token)
	return share
}

// A real response is held elsewhere, line by line, and its report says up to where.
func TestAResponseIsWitnessed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("github.pat")
	d.authorise()
	audit := newAuditor(t)
	share := d.witnessed(audit)
	dry := d.run(d.command(d.killArgs("--dry-run")...))
	sent, _ := audit.has()
	if there, err := os.ReadDir(share); dry.code != 0 || err != nil || len(there) != 0 || len(sent) != 0 {
		t.Errorf("a dry run, exit %d: %v on the share, %d bytes sent", dry.code, there, len(sent))
	}
	r := d.kill("--deadline", "3s")
	dir := d.incidents()[0]
	record, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(filepath.Join(share, filepath.Base(dir), journal.FileName))
	if err != nil || !bytes.Equal(copied, record) {
		t.Errorf("the copy on the share has %d bytes of %d: %v", len(copied), len(record), err)
	}
	posted, notes := audit.has()
	if !bytes.Equal(posted, record) {
		t.Errorf("the auditor has %d bytes of %d", len(posted), len(record))
	}
	state, err := incident.FoldAll(journal.Read(dir))
	if err != nil {
		t.Fatal(err)
	}
	newest, err := tree.ReadCheckpoint(dir, state.Declared.CheckpointKey)
	if err != nil {
		t.Fatal(err)
	}
	if notes[newest.Size] != string(newest.Note) || newest.Size != state.Entries || len(notes) < 4 {
		t.Errorf("of %d checkpoints that the auditor has, none is the newest, over %d of %d entries", len(notes), newest.Size, state.Entries)
	}
	for size, note := range notes {
		held, err := os.ReadFile(filepath.Join(share, filepath.Base(dir), fmt.Sprintf("checkpoint-%d", size)))
		if err != nil || string(held) != note {
			t.Errorf("the share's checkpoint over %d is another than the auditor's: %v", size, err)
		}
	}
	for _, name := range []string{"share", "audit"} {
		if w := state.Witnesses[name]; w.Entries == 0 || w.Error != "" || w.Checkpoint == 0 {
			t.Errorf("on record: %+v", w)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil || !bytes.Contains(text, []byte("- `share` (`dir`) holds entries 1 to ")) || !bytes.Contains(text, []byte("- `audit` (`https`) accepted entries 1 to ")) {
		t.Errorf("the report does not say who holds it: %v", err)
	}
	for _, where := range [][]byte{r.stdout, r.stderr, text} {
		if bytes.Contains(where, []byte(audit.token)) {
			t.Error("the auditor's token was shown")
		}
	}
	verified := d.run(d.command("verify", filepath.Base(dir), "--checkpoint", filepath.Join(share, filepath.Base(dir), fmt.Sprintf("checkpoint-%d", newest.Size))))
	if verified.code != 0 {
		t.Errorf("verify beside the share's checkpoint: exit %d: %s", verified.code, verified.stderr)
	}
	folder := filepath.Join(share, filepath.Base(dir))
	alone := d.run(d.command("verify", "--copy", folder))
	if want := fmt.Sprintf("held elsewhere: entries 1 to %d", newest.Size); alone.code != 0 || !bytes.Contains(alone.stdout, []byte(want)) {
		t.Errorf("verify of the copy: exit %d: %s %s", alone.code, alone.stdout, alone.stderr)
	}
	if err := os.Truncate(filepath.Join(folder, journal.FileName), int64(bytes.LastIndexByte(record[:len(record)-1], '\n')+1)); err != nil {
		t.Fatal(err)
	}
	if cut := d.run(d.command("verify", "--copy", folder)); cut.code != 1 || !bytes.Contains(cut.stderr, []byte("cut off")) {
		t.Errorf("verify of a copy that was cut: exit %d: %s %s", cut.code, cut.stdout, cut.stderr)
	}
}

// A witness that is down for the whole of a response holds nothing up, and gets all of it later.
func TestAWitnessThatWasDownGetsAllLater(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("github.pat")
	d.authorise()
	audit := newAuditor(t)
	d.witnessed(audit)
	audit.setDown(true)
	r := d.kill("--deadline", "3s")
	dir := d.incidents()[0]
	state, err := incident.FoldAll(journal.Read(dir))
	if err != nil {
		t.Fatal(err)
	}
	if w := state.Witnesses["audit"]; w.Entries != 0 || !strings.Contains(w.Error, "503") {
		t.Errorf("on record: %+v", w)
	}
	if !bytes.Contains(r.stderr, []byte("clawback witness "+filepath.Base(dir))) {
		t.Errorf("it does not say what to do: %s", r.stderr)
	}
	still := d.run(d.command("witness", "--wait", "1s"))
	if still.code != incident.ExitPartial {
		t.Errorf("still down: exit %d", still.code)
	}
	audit.setDown(false)
	again := d.run(d.command("witness"))
	posted, notes := audit.has()
	record, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	if again.code != 0 || err != nil || !bytes.Equal(posted, record) || len(notes) == 0 {
		t.Errorf("exit %d, %d bytes of %d, %d checkpoints: %s", again.code, len(posted), len(record), len(notes), again.stderr)
	}
	if !slices.ContainsFunc(strings.Split(string(again.stderr), "\n"), func(l string) bool {
		return strings.Contains(l, fmt.Sprintf("audit accepted entries 1 to %d of %d", state.Entries, state.Entries))
	}) {
		t.Errorf("it says %s", again.stderr)
	}
}

// A run that was killed goes on to be witnessed where it was: each line once more at most, and in
// the end all of them.
func TestAResumedResponseIsWitnessed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	audit := newAuditor(t)
	share := d.witnessed(audit)
	d.killedIn("slack", "auth.revoke")
	first, _ := audit.has()
	r := d.resumed()
	r.wants(t, 0, "resumed")
	dir := d.incidents()[0]
	record, err := os.ReadFile(filepath.Join(dir, journal.FileName))
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(filepath.Join(share, filepath.Base(dir), journal.FileName))
	posted, _ := audit.has()
	if err != nil || !bytes.Equal(copied, record) || !bytes.Equal(posted, record) || !bytes.HasPrefix(record, first) {
		t.Errorf("of %d bytes the share has %d and the auditor %d, %d of them before the death: %v", len(record), len(copied), len(posted), len(first), err)
	}
	state, err := incident.FoldAll(journal.Read(dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range state.Witnesses {
		if w.Error != "" || w.Entries == 0 {
			t.Errorf("%s: %+v", name, w)
		}
	}
}
