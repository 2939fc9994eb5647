package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/forensics/journal/tree"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// incidents lists the folders of a desk's incidents.
func (d *desk) incidents() []string {
	d.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(d.dir, "state", "clawback", "incidents", "INC-*"))
	if err != nil {
		d.t.Fatal(err)
	}
	return dirs
}

// resumed runs clawback resume and checks what every run has to keep to.
func (d *desk) resumed(more ...string) ended {
	d.t.Helper()
	r := d.run(d.command(append([]string{"resume", "--json"}, more...)...))
	r.check(d.t)
	return r
}

// killedIn ends a run of the kill switch by SIGKILL while a provider has a revocation in hand, which
// it carries out after that.
func (d *desk) killedIn(provider, path string) {
	d.t.Helper()
	revoking, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.city.fakes[provider].Knobs().SetFault(func(r *http.Request) fake.Fault {
		if strings.HasSuffix(r.URL.Path, path) {
			once.Do(func() { close(revoking) })
			<-answer
		}
		return fake.Fault{}
	})
	run := d.start(d.command(d.killArgs()...))
	<-revoking
	if err := run.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	run.wait()
	close(answer)
	d.city.fakes[provider].Knobs().SetFault(nil)
}

// A run that was killed in the middle of a revocation is gone on with in the same record: what may
// have arrived is looked at first, everything dies once, and nothing of it is asked for twice.
func TestRealResume(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("slack.bot", "slack.user", "github.pat")
	d.killedIn("slack", "auth.revoke")
	tries := 0
	r := unlessBusy(t, func() ended { tries++; return d.resumed() })
	r.wants(t, 0, "resumed")
	if dirs := d.incidents(); len(dirs) != 1 {
		t.Errorf("there are %d incidents", len(dirs))
	}
	if len(r.state.Resumed) != tries || len(r.state.Credentials) != len(held) {
		t.Errorf("resumed %v, %d credentials of %d", r.state.Resumed, len(r.state.Credentials), len(held))
	}
	for _, c := range held {
		if d.city.fakes[c.Provider].Alive(c) {
			t.Errorf("%s is alive", c)
		}
	}
	lookedFirst(t, r.stdout)
	for _, name := range []string{"secrets.age", "secrets.key"} {
		if _, err := os.Stat(filepath.Join(d.incidents()[0], "keys", name)); err == nil {
			t.Errorf("desk and host are one machine, and there is a %s", name)
		}
	}
	verified := d.run(d.command("verify"))
	verified.wants(t, 0)
	before, err := os.ReadFile(filepath.Join(d.incidents()[0], journal.FileName))
	if err != nil {
		t.Fatal(err)
	}
	again := d.run(d.command("resume", filepath.Base(d.incidents()[0])))
	again.wants(t, 0, "nothing to resume")
	if after, err := os.ReadFile(filepath.Join(d.incidents()[0], journal.FileName)); err != nil || string(after) != string(before) {
		t.Errorf("a closed record was written into, %v", err)
	}
}

// lookedFirst holds a record to this: between two intents to revoke a credential stands a look at it.
func lookedFirst(t *testing.T, record []byte) {
	t.Helper()
	sent := make(map[credential.Fingerprint]bool)
	for line := range strings.Lines(string(record)) {
		e, err := journal.Parse([]byte(strings.TrimSuffix(line, "\n")))
		if err != nil {
			continue // the summary
		}
		var about struct {
			Fingerprint credential.Fingerprint `json:"fingerprint"`
		}
		_ = e.Decode(&about)
		switch e.Type {
		case incident.TypeRevoke:
			if sent[about.Fingerprint] {
				t.Errorf("entry %d: the revocation of %s is repeated, and nobody looked", e.Seq, about.Fingerprint.Short())
			}
			sent[about.Fingerprint] = true
		case incident.TypeProbe, incident.TypeBaseline:
			sent[about.Fingerprint] = false
		}
	}
}

// A run that a signal ended is gone on with too, and a second response to the same target says that
// there is one.
func TestRealResumeInterrupted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	fakes := d.city.fakes["slack"].Knobs()
	asked := make(chan struct{}, 1000)
	fakes.SetFault(func(*http.Request) fake.Fault { asked <- struct{}{}; return fake.Fault{Hang: true} })
	run := d.start(d.command(d.killArgs()...))
	<-asked
	if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r := run.wait()
	r.check(t)
	r.wants(t, incident.ExitTerminated)
	fakes.SetFault(nil)
	resumed := unlessBusy(t, func() ended { return d.resumed("--root", d.root) })
	resumed.wants(t, 0)
	if resumed.state.Interrupted != "" {
		t.Errorf("it ends as %q", resumed.state.Interrupted)
	}
}

// Without its checkpoint a record can be changed at will. The next one would cover that.
func TestRealResumeWithoutItsCheckpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ended bool
		exit  int
	}{"killed": {false, 0}, "ended": {true, incident.ExitPartial}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := unlessBusy(t, func() ended { // each time at another desk: this one would have its checkpoint
				d := newDesk(t)
				d.hold("slack.bot")
				d.killedIn("slack", "auth.revoke")
				dir := d.incidents()[0]
				if c.ended {
					d.endRecord(dir)
				}
				if err := os.RemoveAll(filepath.Join(dir, tree.Dir)); err != nil {
					t.Fatal(err)
				}
				return d.resumed()
			})
			r.wants(t, c.exit, "or somebody removed it")
		})
	}
}

// endRecord ends a record as a run does that a signal ended.
func (d *desk) endRecord(dir string) {
	d.t.Helper()
	j, _, err := journal.Open(dir, journal.Holder{Who: "dana"}, time.Now)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := errors.Join(j.Append(d.t.Context(), incident.TypeClosed, incident.Closed{Exit: incident.ExitTerminated}), j.Close()); err != nil {
		d.t.Fatal(err)
	}
}

func TestRealUnfinishedIsSaid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	d.killedIn("slack", "auth.revoke")
	id := filepath.Base(d.incidents()[0])
	r := d.kill()
	r.contained(t, "clawback resume "+id)
	fresh := d.run(d.command("resume", "--root", t.TempDir()))
	fresh.wants(t, incident.ExitNoInstallation, "no incident of this desk is unfinished")
}

// What cannot be resumed says so, and writes nothing.
func TestRealNotResumable(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	none := d.run(d.command("resume"))
	none.wants(t, incident.ExitNoInstallation, "no incident")
	d.killedIn("slack", "auth.revoke")
	dir := d.incidents()[0]
	path := filepath.Join(dir, journal.FileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for name, c := range map[string]struct {
		record string
		args   []string
		code   int
		says   string
	}{
		"changed line": {strings.Replace(string(whole), "slack", "slick", 1), nil, incident.ExitNothing, "begin a new response: clawback kill --root " + d.root},
		"cut tail":     {strings.Join(lines[:3], ""), nil, incident.ExitNothing, "--damaged"},
	} {
		if err := os.WriteFile(path, []byte(c.record), 0o600); err != nil {
			t.Fatal(err)
		}
		r := d.run(d.command(append([]string{"resume", filepath.Base(dir)}, c.args...)...))
		r.wants(t, c.code, c.says)
		if got, err := os.ReadFile(path); err != nil || string(got) != c.record {
			t.Errorf("%s: the record was written into, %v", name, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := journal.Lock(filepath.Join(dir, journal.LockName), journal.Holder{Who: "dana", Desk: "other", PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	locked := d.run(d.command("resume"))
	locked.wants(t, incident.ExitLocked, "locked by dana", "clawback attach")
	_ = lock.Close()
	r := d.resumed()
	r.wants(t, 0)
}

func TestRealDrillIsNotResumed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	dir := filepath.Join(d.dir, "state", "clawback", "incidents", "DRILL-1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Create(dir, journal.Holder{}, fake.Wall{}.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), incident.TypeDeclared, incident.Declared{Incident: "DRILL-1", Mode: incident.Drill}); err != nil {
		t.Fatal(err)
	}
	_ = j.Close()
	r := d.run(d.command("resume", "DRILL-1"))
	r.wants(t, incident.ExitUsage, "is a drill")
	newest := d.run(d.command("resume"))
	newest.wants(t, incident.ExitNoInstallation)
	if slices.Contains(d.incidents(), dir) {
		t.Error("a drill is no incident")
	}
}

// A console whose process was killed is gone on with on another terminal: what was allowed and can
// be undone is not asked for again, what cannot be is.
func TestTerminalResume(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("slack.bot")
	revoking, answer := d.holdsUp()
	s := d.screen(append([]string{"respond", "--root", d.root}, d.city.args...)...)
	s.banner = "┃ REAL ┃ INC-"
	s.follow(func(_, _ string, pressed []string) bool {
		return slices.Contains(pressed, "revoke 1") && pressed[len(pressed)-1] == "Enter"
	})
	<-revoking
	if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	answer()
	nobody := d.run(d.command("resume"))
	nobody.wants(t, incident.ExitUsage, "resume it on a terminal")

	again := d.screen("resume")
	again.banner = "┃ REAL ┃ INC-"
	again.follow(func(_, _ string, pressed []string) bool { // it is asked again what cannot be undone
		return slices.Contains(pressed, "revoke 1") && pressed[len(pressed)-1] == "Enter"
	})
	eventually(t, 100*time.Second, "the proof", func() bool { return d.recorded().Count(credential.Dead) == 1 })
	again.follow(leads)
	again.run("send-keys", "q")
	again.exits(0)
	state := d.recorded()
	if len(d.incidents()) != 1 || len(state.Resumed) != 1 || state.Exit == nil || *state.Exit != 0 || d.city.fakes["slack"].Alive(held[0]) {
		t.Errorf("%d incidents, resumed %v, exit %v", len(d.incidents()), state.Resumed, state.Exit)
	}
	froze := 0
	for _, q := range state.Answered {
		if q.Step == "freeze" && q.Title == "Freeze the agent" {
			froze++
		}
	}
	if froze != 1 {
		t.Errorf("asked %d times whether to freeze", froze)
	}
}

// A target that is gone keeps nobody from going on: what it took with it is said.
func TestRealResumeWithoutTheTarget(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	d.killedIn("slack", "auth.revoke")
	if err := os.Rename(d.root, d.root+"-unplugged"); err != nil {
		t.Fatal(err)
	}
	r := d.resumed("--deadline", shortDeadline)
	if r.code == 0 {
		t.Errorf("contained without the target\n%s", r.stderr)
	}
	r.wants(t, r.code, "the response goes on without it", "reach "+d.root)
	if len(r.state.Credentials) != 1 || r.state.Credentials[0].Life == credential.Dead {
		t.Errorf("%+v", r.state.Credentials)
	}
	if err := os.Rename(d.root+"-unplugged", d.root); err != nil {
		t.Fatal(err)
	}
	r = d.resumed("--deadline", "2m")
	r.wants(t, 0)
}

// A record that somebody cut can be written on, by who says so; it never counts as whole again.
func TestRealResumeDamaged(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("slack.bot")
	d.killedIn("slack", "auth.revoke")
	path := filepath.Join(d.incidents()[0], journal.FileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(strings.SplitAfter(string(whole), "\n")[:3], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := d.run(d.command("resume"))
	refused.wants(t, incident.ExitNothing, "somebody may have changed it", "--damaged")
	r := d.resumed("--damaged")
	r.wants(t, incident.ExitPartial, "written on with --damaged")
	if d.city.fakes["slack"].Alive(held[0]) || r.summary.Credentials.Dead != 1 {
		t.Errorf("%+v", r.summary.Credentials)
	}
}
