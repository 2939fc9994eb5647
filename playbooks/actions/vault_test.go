package actions

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/disk/disktest"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/revoke/credential"
)

// here is a machine that is the desk itself.
type here struct{ *machine }

func (here) Remote() bool { return false }

func newVault(t *testing.T) *vault {
	return &vault{disk: disk.OS{}, dir: filepath.Join(t.TempDir(), "keys")}
}

func secret(t *testing.T) credential.Credential {
	t.Helper()
	return credential.NewFingerprintKey().Identify(credential.Credential{
		Provider: "toy", Kind: "toy.key", Secret: credential.NewSecret(map[string]string{"id": rand.Text(), "secret": rand.Text()}),
	})
}

// What is kept is had again by another process, whatever a crash left between, and is nowhere in the clear.
func TestVault(t *testing.T) {
	v := newVault(t)
	if kept, err := v.load(); err != nil || len(kept) > 0 {
		t.Errorf("an empty one holds %d, %v", len(kept), err)
	}
	a, b := secret(t), secret(t)
	if err := v.keep(a); err != nil {
		t.Fatal(err)
	}
	v.close()
	f, err := os.OpenFile(filepath.Join(v.dir, vaultName), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString(`{"fingerprint":"torn","seal`)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	next := &vault{disk: disk.OS{}, dir: v.dir}
	if err := next.keep(b); err != nil {
		t.Fatal(err)
	}
	kept, err := (&vault{disk: disk.OS{}, dir: v.dir}).load()
	if err != nil || len(kept) != 2 || !kept[a.Fingerprint].Equal(a.Secret) || !kept[b.Fingerprint].Equal(b.Secret) {
		t.Errorf("%d are kept, %v", len(kept), err)
	}
	for _, name := range []string{vaultName, vaultKeyName} {
		path := filepath.Join(v.dir, name)
		text, err := os.ReadFile(path)
		if err != nil || bytes.Contains(text, []byte(a.Secret.Reveal("secret"))) {
			t.Errorf("%s: %v, or a secret in the clear", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if err := next.wipe(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(v.dir); err != nil || len(left) > 0 {
		t.Errorf("left after the wipe: %v, %v", left, err)
	}
	if err := next.wipe(); err != nil {
		t.Errorf("wiped again: %v", err)
	}
}

// Another key opens nothing and harms nothing.
func TestVaultWithAnotherKey(t *testing.T) {
	v := newVault(t)
	if err := v.keep(secret(t)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "AGE-SECRET-KEY-1", "no key"} {
		write(t, filepath.Join(v.dir, vaultKeyName), text)
		if kept, err := (&vault{disk: disk.OS{}, dir: v.dir}).load(); err == nil || len(kept) > 0 {
			t.Errorf("%q opened %d", text, len(kept))
		}
	}
	b := secret(t)
	next := &vault{disk: disk.OS{}, dir: v.dir}
	if err := next.keep(b); err != nil {
		t.Fatal(err)
	}
	if kept, err := next.load(); err != nil || len(kept) != 1 || !kept[b.Fingerprint].Equal(b.Secret) {
		t.Errorf("%d are kept, %v", len(kept), err)
	}
}

// A secret that was kept is there after a loss of power, at whichever operation the next one dies.
func TestVaultIsDurable(t *testing.T) {
	for k := 1; ; k++ {
		dir := t.TempDir()
		d, err := disktest.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		v := &vault{disk: d, dir: filepath.Join(dir, "keys")}
		d.DieAt(k)
		a, b := secret(t), secret(t)
		errs := map[credential.Fingerprint]error{a.Fingerprint: v.keep(a), b.Fingerprint: v.keep(b)}
		for _, loss := range []disktest.Loss{disktest.Names, disktest.Contents} {
			into := t.TempDir()
			if err := d.PowerLoss(into, loss); err != nil {
				t.Fatal(err)
			}
			kept, _ := (&vault{disk: disk.OS{}, dir: filepath.Join(into, "keys")}).load()
			for f, err := range errs {
				if _, ok := kept[f]; err == nil && !ok {
					t.Errorf("died at %d, loss %d: a secret that was kept is gone", k, loss)
				}
			}
		}
		v.close()
		if errs[b.Fingerprint] == nil {
			return
		}
	}
}

// Secrets are kept where the desk is another machine, before the find is on record, and wiped when
// all are dead. On the suspect machine itself they are never kept; a disk that is full stops nothing.
func TestWhereSecretsAreKept(t *testing.T) {
	c := secret(t)
	for name, test := range map[string]struct {
		host  func(*machine) host.Host
		there bool
		says  string
	}{
		"another machine": {func(m *machine) host.Host { return m }, true, "stay at the desk, sealed"},
		"the same":        {func(m *machine) host.Host { return here{m} }, false, "kept nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{discover: finds(foundAt(c, "a"))}
			r := newResponse(t, m)
			s := live(t, r, test.host(m), nil, "credentials.discover", "credentials.revoke") // no provider: it ends as manual
			if _, err := os.Stat(filepath.Join(r.Dir, "keys", vaultName)); (err == nil) != test.there {
				t.Errorf("kept: %v", err)
			}
			if len(s.Warnings) != 1 || !bytes.Contains([]byte(s.Warnings[0].Text), []byte(test.says)) || s.Warnings[0].Grave {
				t.Errorf("it says %+v", s.Warnings)
			}
		})
	}
	dir := t.TempDir()
	d, err := disktest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.FailOn("secrets", syscall.ENOSPC)
	m := &machine{discover: finds(foundAt(c, "a"))}
	r := newResponse(t, m)
	r.Dir, r.Disk = dir, d
	s := play(t, r, "credentials.discover", "credentials.revoke")
	if len(s.Credentials) != 1 || s.Credentials[0].Life != credential.Manual || len(s.Warnings) < 1 {
		t.Errorf("%+v, %+v", s.Credentials, s.Warnings)
	}
}

// A run that is resumed waits for nothing that was put in the place of what it kept.
func TestVaultOfPipes(t *testing.T) {
	for _, name := range []string{vaultName, vaultKeyName} {
		v := newVault(t)
		if err := v.keep(secret(t)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(v.dir, name)
		if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
		if kept, err := (&vault{disk: disk.OS{}, dir: v.dir}).load(); err == nil || len(kept) > 0 {
			t.Errorf("%s: %d are kept, %v", name, len(kept), err)
		}
	}
}

// What the disk does not hold of the record, a resumed run has to prove again: until then nothing is
// wiped. Nor is it of a whole one, until the deaths were checked a day later.
func TestSecretsOutliveTheRecord(t *testing.T) {
	for name, c := range map[string]struct {
		lose  error
		later time.Duration // of the check again; 0 for none
		kept  bool
	}{
		"a whole record":        {nil, 0, true},
		"one whose end is lost": {syscall.ENOSPC, 0, true},
		"checked after an hour": {nil, time.Hour, true},
		"checked after a day":   {nil, 24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				r := newResponse(t, h)
				fakes := simulated(t, r)
				h.discover = finds(foundAt(fakes["github"].Mint("github.pat"), "a"))
				d, err := disktest.New(r.Dir)
				if err != nil {
					t.Fatal(err)
				}
				r.Report = func(context.Context) (incident.Report, error) {
					if c.lose != nil {
						d.FailOn(journal.FileName, c.lose)
					}
					return incident.Report{Markdown: "report.md"}, nil
				}
				j, err := journal.CreateOn(d, r.Dir, journal.Holder{}, time.Now)
				if err != nil {
					t.Fatal(err)
				}
				e := &engine.Engine{Journal: j, Playbook: killSwitch(t), Clock: r.Clock, Facts: map[string]bool{"remote": true}}
				s, err := r.Carry(t.Context(), e, incident.Declared{Incident: "CLAW-1", Mode: incident.Real})
				if err != nil || s.Count(credential.Dead) != 1 {
					t.Errorf("%v, %d dead", err, s.Count(credential.Dead))
				}
				if c.later > 0 {
					time.Sleep(c.later)
					recheck(t, r, j)
				}
				if err := j.Close(); !errors.Is(err, c.lose) {
					t.Errorf("Close returned %v", err)
				}
				for _, name := range []string{vaultName, vaultKeyName} {
					if _, err := os.Stat(filepath.Join(r.Dir, "keys", name)); (err == nil) != c.kept {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		})
	}
}

// recheck checks the deaths on a record again, and wants them all proved by reads alone.
func recheck(t *testing.T, r *Response, j *journal.Journal) {
	t.Helper()
	before, err := Recall(j.Entries(t.Context()), incident.Resumed{By: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	again := &Response{Dir: r.Dir, Host: r.Host, Providers: r.Providers, Clock: r.Clock, Key: r.Key, Report: r.Report, Before: before}
	s, unasked, err := again.Recheck(t.Context(), j)
	if stands := Stands(s, unasked); err != nil || s.Count(credential.Dead) != 1 || stands != incident.ExitContained || s.Exit == nil {
		t.Errorf("%v, %d dead, stands %d, exit %v", err, s.Count(credential.Dead), stands, s.Exit)
	}
	for _, c := range s.Credentials {
		if was := before.State.Credential(c.Fingerprint); c.Probes <= was.Probes || !c.RevokedAt.Equal(was.RevokedAt) || !c.DiedAt.Equal(was.DiedAt) {
			t.Errorf("%d probes and %d before, revoked %v and %v before", c.Probes, was.Probes, c.RevokedAt, was.RevokedAt)
		}
	}
}

// A recheck that could not look at a death does not say that all are dead.
func TestStands(t *testing.T) {
	of := func(lives ...credential.Life) (s incident.State) {
		for _, l := range lives {
			s.Credentials = append(s.Credentials, &incident.Credential{Life: l})
		}
		return s
	}
	for name, c := range map[string]struct {
		state   incident.State
		unasked int
		want    int
	}{
		"all dead":                {of(credential.Dead, credential.Dead, credential.Skipped), 0, incident.ExitContained},
		"one could not be asked":  {of(credential.Dead, credential.Dead), 1, incident.ExitUnproved},
		"one is unproved":         {of(credential.Dead, credential.Unverified), 0, incident.ExitUnproved},
		"one waits for a person":  {of(credential.Dead, credential.Manual), 0, incident.ExitManual},
		"unproved before by hand": {of(credential.Manual, credential.Unverified), 0, incident.ExitUnproved},
		"one lives":               {of(credential.Unverified, credential.Alive, credential.Manual), 1, incident.ExitPartial},
		"one was never revoked":   {of(credential.Failed, credential.Unverified), 0, incident.ExitPartial},
	} {
		if got := Stands(c.state, c.unasked); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
