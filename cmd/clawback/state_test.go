package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// A secret of 64 KB is a secret like any other: found, sent to its provider alone, on the board.
func TestRealLongSecret(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold()
	long := credential.Credential{Kind: "slack.bot", Secret: credential.Value("xoxb-" + strings.Repeat("0123456789-abcdefghij", 3277))}
	d.write(otherFile, "SLACK_BOT_TOKEN="+long.Secret.Reveal("value")+"\n")
	r := unlessBusy(t, func() ended { return d.kill("--deadline", shortDeadline) })
	if n := r.summary.Credentials; n.Total != 1 || n.Dead == 1 {
		t.Errorf("%+v", n)
	}
	if r.code == 0 || len(r.stderr) > 20_000 {
		t.Errorf("ended with %d and %d bytes of text", r.code, len(r.stderr))
	}
	places := map[string][]byte{"stdout": r.stdout, "stderr": r.stderr}
	collect(t, filepath.Join(d.dir, "state"), places)
	checkCanaries(t, []credential.Credential{long}, places)
}

// Where the record cannot be kept in its place, the response goes on in a temporary one and says so.
func TestRealReadOnlyState(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold()
	// A file where a folder should be: also root cannot write below it.
	put(t, filepath.Join(d.dir, "state"), []byte("x"))
	r := unlessBusy(t, func() ended { return d.kill() })
	r.wants(t, incident.ExitPartial, "state directory cannot be used", "the response goes on; the record is in "+filepath.Join(d.dir, "tmp"))
	if !strings.HasPrefix(r.summary.Report, filepath.Join(d.dir, "tmp")) {
		t.Errorf("the report is in %s", r.summary.Report)
	}
	verified := d.run(d.command("verify", filepath.Dir(r.summary.Report)))
	verified.wants(t, 0)
	if !strings.Contains(string(verified.stdout), "as sealed") {
		t.Errorf("%s%s", verified.stdout, verified.stderr)
	}
}

// No place at all for the record or the evidence: credentials die all the same, the agent stays
// frozen, and what is missing is shouted.
func TestRealNoPlaceAtAll(t *testing.T) {
	t.Parallel()
	var agent *processTree
	r := unlessBusy(t, func() ended {
		d := newDesk(t)
		d.hold("slack.bot")
		put(t, filepath.Join(d.dir, "state"), []byte("x"))
		if err := os.Remove(filepath.Join(d.dir, "tmp")); err != nil {
			t.Fatal(err)
		}
		agent = startTree(t, d, "--alone")
		return d.kill("--deadline", shortDeadline)
	})
	r.wants(t, incident.ExitEvidence, "RECORD LOST", "stays frozen", "the record is in memory only", "what was printed here is all there is of it")
	if r.summary.Evidence.Sealed || r.summary.Agent.Down || r.summary.Report != "" {
		t.Errorf("%+v", r.summary)
	}
	if n := r.summary.Credentials; n.Unverified != 1 {
		t.Errorf("the credential was not revoked: %+v", n)
	}
	if s := stateOf(agent.pids[0]); s != "T" {
		t.Errorf("the agent is in state %q, and its evidence is not sealed", s)
	}
}

// A full disk for the state directory.
func TestRealFullDisk(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needs(t, "Linux", runtime.GOOS == "linux")
	for _, c := range []struct {
		name  string
		runs  bool
		args  []string
		want  int
		state string // of the agent
	}{
		{name: "the agent stays frozen", runs: true, want: incident.ExitEvidence, state: "T"},
		{name: "its loss is accepted", runs: true, args: []string{"--accept-risk", "lose-evidence"}, want: incident.ExitEvidence},
		{name: "nothing runs that could be lost", want: incident.ExitEvidence},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := unlessBusy(t, func() ended {
				d := newDesk(t)
				held := d.hold("slack.bot")
				log := make([]byte, 2<<20) // of which a package is no smaller
				_, _ = rand.Read(log)
				d.write(otherFile+".log", string(log))
				var agent *processTree
				if c.runs {
					agent = startTree(t, d, "--alone")
				}
				smallDisk(t, filepath.Join(d.dir, "state"))
				r := d.kill(append(c.args, "--deadline", shortDeadline)...)
				if r.busy() {
					return r
				}
				if d.city.fakes["slack"].Alive(held[0]) {
					t.Error("the credential lives: the response did not go on")
				}
				if agent != nil {
					if s := stateOf(agent.pids[0]); s != c.state || r.summary.Agent.Down != (s == "") {
						t.Errorf("the agent is in state %q, and down: %v", s, r.summary.Agent.Down)
					}
				}
				checkRecord(t, filepath.Join(d.dir, "state", "clawback", "incidents", "*"), false)
				checkRecord(t, filepath.Join(d.dir, "tmp", "clawback-INC-*"), true)
				return r
			})
			r.wants(t, c.want, "RECORD LOST", "no space left on device", "make room", "the whole record is in ")
			if r.summary.Evidence.Sealed {
				t.Error("it says that the evidence is sealed")
			}
		})
	}
}

// smallDisk makes a disk that is full after some entries of a record.
func smallDisk(t *testing.T, at string) {
	t.Helper()
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size=256k"); err != nil {
		needs(t, "to mount a tmpfs: "+err.Error(), false)
	}
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
}

// checkRecord reads the one record that lies in a folder of such a name: whole lines, in their
// order, and to its end where it is the one that was saved.
func checkRecord(t *testing.T, pattern string, whole bool) {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(pattern, journal.FileName))
	if len(found) != 1 {
		t.Fatalf("records: %v", found)
	}
	s, err := incident.FoldAll(journal.Read(filepath.Dir(found[0])))
	if err != nil || (s.Exit != nil) != whole || whole && s.Trouble == "" {
		t.Errorf("%s: %v, closed with %v, trouble %q", found[0], err, s.Exit, s.Trouble)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(found[0]), "report.md")); whole && err != nil {
		t.Error(err)
	}
}
