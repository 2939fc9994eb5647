package drill

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk/disktest"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/snapshots"
)

// The moments at which a process dies, and what is left.
const (
	killed     = iota // what was written is there; the last write is torn
	powerNames        // what was not fsynced is gone, names too
	powerContents
	hostLost // killed, and the host cannot be reached at first
	modes
)

var modeNames = [modes]string{"killed", "power lost", "power lost, names kept", "killed, host lost"}

// undisturbed is how a response ends that nothing disturbs.
type undisturbed struct {
	operations []string
	state      incident.State
}

func respondUndisturbed(t *testing.T) (u undisturbed) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrashWorld(t)
		defer w.end()
		if err := os.Mkdir(w.dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		d := w.disk()
		s, err := w.run(w.dir(), d, false)
		if err != nil {
			t.Fatal(err)
		}
		u = undisturbed{d.List(), s}
		(&crash{crashWorld: w, want: u}).check(s)
	})
	return u
}

// crash is one death, and the run that goes on from it.
type crash struct {
	*crashWorld
	want undisturbed
	name string
	lost int // credentials that are not what they are without the death
	// doubled are revocations that were repeated although nobody needed to, or nobody had looked.
	doubled int
}

// at lets a process die at its kth operation and others go on. It reports whether it died.
func (c *crash) at(k, mode int, again int) (died bool) {
	t := c.t
	if err := os.Mkdir(c.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	d := c.disk()
	d.DieAt(k)
	s, err := c.run(c.dir(), d, false)
	if !gone(d.Dead()) {
		if err != nil {
			t.Errorf("%s: it did not die, and %v", c.name, err)
		}
		c.check(s)
		return false
	}
	c.aftermath(d, mode)
	if again > 0 { // and the one that goes on dies too
		d := c.disk()
		d.DieAt(again)
		_, _ = c.run(c.resumable(), d, false)
		if gone(d.Dead()) {
			c.aftermath(d, mode)
		}
	}
	if mode == hostLost {
		s, err := c.run(c.resumable(), c.disk(), true)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		c.checkWithoutHost(s)
		time.Sleep(time.Second)
	}
	s, err = c.run(c.resumable(), c.disk(), false)
	if err != nil {
		t.Errorf("%s: %v", c.name, err)
	}
	c.check(s)
	return true
}

// aftermath leaves of a disk what the death of its process leaves.
func (c *crash) aftermath(d *disktest.Disk, mode int) {
	if mode == powerNames || mode == powerContents {
		into := c.t.TempDir()
		if err := d.PowerLoss(into, map[int]disktest.Loss{powerNames: disktest.Names, powerContents: disktest.Contents}[mode]); err != nil {
			c.t.Fatal(err)
		}
		c.parent = into
	}
	time.Sleep(time.Second)
}

// resumable is the folder to go on in. Of a run that died before it declared anything there is
// nothing to go on with, and nothing may have been done.
func (c *crash) resumable() string {
	fresh := filepath.Join(c.parent, "INC-2")
	for _, dir := range []string{fresh, c.dir()} {
		for _, err := range journal.Read(dir) {
			if err == nil {
				return dir
			}
			break
		}
	}
	if len(c.sent) > 0 || c.victim.touched() {
		c.t.Errorf("%s: there is no record, and something was done", c.name)
	}
	if err := os.RemoveAll(fresh); err != nil {
		c.t.Fatal(err)
	}
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		c.t.Fatal(err)
	}
	return fresh
}

// check holds the end of a response against that of one that nothing disturbed.
func (c *crash) check(s incident.State) {
	t, dir := c.t, filepath.Join(c.parent, s.Declared.Incident)
	t.Helper()
	if s.Exit == nil || c.want.state.Exit == nil || *s.Exit != *c.want.state.Exit || s.Unreadable > 0 {
		t.Errorf("%s: it ends with %v, %d entries of no use\n%s", c.name, s.Exit, s.Unreadable, problems(s))
	}
	if len(s.Credentials) != len(c.want.state.Credentials) {
		c.lost += len(c.want.state.Credentials) - len(s.Credentials)
		t.Errorf("%s: %d credentials are on record, and there are %d", c.name, len(s.Credentials), len(c.want.state.Credentials))
	}
	for _, held := range c.Held {
		f := c.key.Identify(held).Fingerprint
		got, want := s.Credential(f), c.lifeOf(held.Kind)
		if got == nil || got.Life != want || c.Fakes[held.Provider].Alive(held) {
			c.lost++
			t.Errorf("%s: %s is %+v instead of %s; alive: %v", c.name, held.Kind, got, want, c.Fakes[held.Provider].Alive(held))
		}
	}
	if !c.victim.isDown() || !s.AgentDown() {
		t.Errorf("%s: the agent is not down", c.name)
	}
	c.checkRecord(dir)
	c.checkEvidence(dir, s)
	c.checkSecrets(dir)
}

// checkWithoutHost holds a run that could not reach the host to this: all that is on record is dead
// all the same.
func (c *crash) checkWithoutHost(s incident.State) {
	for _, held := range c.Held {
		got := s.Credential(c.key.Identify(held).Fingerprint)
		if got != nil && (got.Life != c.lifeOf(held.Kind) || c.Fakes[held.Provider].Alive(held)) {
			c.lost++
			c.t.Errorf("%s: without the host, %s is %s (%s)", c.name, held.Kind, got.Life, got.Error)
		}
	}
}

// lifeOf is how a credential of a kind ends in a response that nothing disturbs.
func (c *crash) lifeOf(kind string) credential.Life {
	for _, known := range c.want.state.Credentials {
		if known.Kind == kind {
			return known.Life
		}
	}
	return ""
}

// problems lists what a state says that went wrong.
func problems(s incident.State) string {
	var out []string
	for _, step := range s.Steps {
		if step.Status != incident.Done && step.Status != incident.Skipped {
			out = append(out, fmt.Sprintf("step %s is %s: %s", step.ID, step.Status, step.Outcome.Error))
		}
	}
	for _, w := range s.Warnings {
		out = append(out, fmt.Sprintf("warning (grave: %v) %s", w.Grave, w.Text))
	}
	return strings.Join(out, "\n")
}

// checkRecord reads the record anew, and holds every request of every run against it: each was
// written down before it was sent, and none was repeated without need, or unseen.
func (c *crash) checkRecord(dir string) {
	type past struct {
		intents  []time.Time
		run      int // of the newest intent
		answered bool
		looked   bool // in a later run, and it may need another
	}
	of := make(map[credential.Fingerprint]*past)
	run := 1
	for e, err := range journal.Read(dir) {
		if err != nil {
			c.t.Errorf("%s: %v", c.name, err)
			return
		}
		if e.Type == incident.TypeResumed {
			run++
		}
		var about incident.Probe // with what the others have too
		if !strings.HasPrefix(e.Type, "credential.") || e.Decode(&about) != nil {
			continue
		}
		p := of[about.Fingerprint]
		if p == nil {
			p = new(past)
			of[about.Fingerprint] = p
		}
		switch e.Type {
		case incident.TypeRevoke:
			if len(p.intents) > 0 && run > p.run && (p.answered || !p.looked) {
				c.doubled++
				c.t.Errorf("%s: entry %d repeats a revocation; answered before: %v, looked at: %v", c.name, e.Seq, p.answered, p.looked)
			}
			p.intents, p.run, p.answered, p.looked = append(p.intents, e.Time), run, false, false
		case incident.TypeReceipt:
			p.answered = true
		case incident.TypeBaseline, incident.TypeProbe:
			p.looked = run > p.run && (about.Outcome == revoke.Alive.String() || strings.HasPrefix(about.Answer, "not asked"))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.sent {
		p := of[m.of]
		if p == nil || !slices.ContainsFunc(p.intents, func(at time.Time) bool { return !at.After(m.at) }) {
			c.doubled++
			c.t.Errorf("%s: run %d revoked %s, and no intent before that is on record", c.name, m.run, m.of.Short())
		}
	}
}

// checkEvidence holds the evidence against the record: both parts are whole and as sealed, and
// nothing half-written lies where sealed evidence does.
func (c *crash) checkEvidence(dir string, s incident.State) {
	files := make(map[string]int)
	for _, bag := range s.Sealed {
		found, err := snapshots.Verify(filepath.Join(dir, filepath.FromSlash(bag.Path)))
		if err != nil || found.Digest != bag.Digest {
			c.t.Errorf("%s: %s is not what was sealed: %v", c.name, bag.Path, err)
		}
		files[bag.Part] += found.Files
	}
	if files["volatile"] != len(victimFiles["volatile"]) || files["files"] != len(victimFiles["files"]) {
		c.t.Errorf("%s: evidence of %v", c.name, files)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "evidence", "*.partial")); len(left) > 0 {
		c.t.Errorf("%s: left in the place of evidence: %v", c.name, left)
	}
}

// checkSecrets searches the folder for what must not be there, and for what the checks of a day later need.
func (c *crash) checkSecrets(dir string) {
	for _, name := range []string{"secrets.age", "secrets.key"} {
		if _, err := os.Stat(filepath.Join(dir, "keys", name)); err != nil {
			c.t.Errorf("%s: kept for the checks that follow: %v", c.name, err)
		}
	}
	err := filepath.WalkDir(c.parent, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, held := range c.Held {
			for _, part := range held.Secret.Parts() {
				if part != "access_key_id" && bytes.Contains(b, []byte(held.Secret.Reveal(part))) {
					c.t.Errorf("%s: the %s of a %s is in %s", c.name, part, held.Kind, path)
				}
			}
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// A response that dies at any operation of its disk, however much of that the disk keeps, is gone
// on with: no credential is lost, and nothing is revoked twice unseen. In CI it dies at every
// operation, the write under way torn, and at some of them in every other way too; with
// CLAWBACK_CRASH=all at every operation in every way; otherwise at some.
func TestCrash(t *testing.T) {
	want := respondUndisturbed(t)
	if t.Failed() {
		return
	}
	const sample = 40
	total, all, each := len(want.operations), os.Getenv("CLAWBACK_CRASH") == "all", os.Getenv("CI") == "true"
	var mu sync.Mutex
	tried, lost, doubled := 0, 0, 0
	try := func(t *testing.T, k, mode, again int) {
		name := fmt.Sprintf("operation %d of %d, %s", k, total, modeNames[mode])
		if again > 0 {
			name += fmt.Sprintf(", again at %d", again)
		}
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newCrashWorld(t)
				defer w.end()
				c := &crash{crashWorld: w, want: want, name: name}
				died := c.at(k, mode, again)
				mu.Lock()
				defer mu.Unlock()
				if died {
					tried++
				}
				lost, doubled = lost+c.lost, doubled+c.doubled
			})
		})
	}
	t.Run("at", func(t *testing.T) {
		for k := 1; k <= total; k++ {
			if all {
				for mode := range modes {
					try(t, k, mode, 0)
				}
				try(t, k, k%modes, 1+k*7%total)
				continue
			}
			if each {
				try(t, k, killed, 0)
			}
			if k*sample/total != (k-1)*sample/total {
				again := 0
				if k%3 == 0 {
					again = 1 + k*7%total
				}
				try(t, k, k*sample/total%modes, again)
			}
		}
	})
	t.Logf("crash points tried: %d, lost %d, doubled %d", tried, lost, doubled)
	if tried < sample/2 || each && tried < total*9/10 {
		t.Errorf("only %d crash points were tried", tried)
	}
}
