package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// killed is a closed incident with an AWS key and a token of GitHub's, both dead.
func killed(t *testing.T) (*crashDesk, incident.State) {
	t.Helper()
	d := newCrashDesk(t, "aws.access_key", "github.pat")
	r := unlessBusy(t, func() ended { return d.run(d.command(d.killArgs()...)) })
	r.check(t)
	if n := r.state.Count(credential.Dead); n != 2 {
		t.Fatalf("%d are dead\n%s", n, r.stderr)
	}
	return d, r.state
}

// Deaths are checked again by reads alone, in the same record; what lives again is said, by the exit
// code too, and what died since is proved.
func TestRealRecheck(t *testing.T) {
	t.Parallel()
	d, before := killed(t)
	id := before.Declared.Incident
	d.city.fakes["aws"].Knobs().SetFault(refuseChanges(t))
	d.city.fakes["github"].Knobs().SetFault(refuseChanges(t))

	r := d.run(d.command("recheck", id, "--json"))
	r.check(t)
	r.wants(t, 0)
	if n := r.state.Count(credential.Dead); n != 2 || len(r.state.Resumed) != len(before.Resumed)+1 || r.state.Resumed[len(r.state.Resumed)-1].For != incident.ToRecheck {
		t.Errorf("%d are dead, taken up %+v", n, r.state.Resumed)
	}
	for _, c := range r.state.Credentials {
		if was := before.Credential(c.Fingerprint); !c.DiedAt.Equal(was.DiedAt) || c.Probes <= was.Probes {
			t.Errorf("%s died at %v, %d probes; before %v, %d", c, c.DiedAt, c.Probes, was.DiedAt, was.Probes)
		}
	}

	d.city.fakes["github"].Knobs().SetStayAlive(true)
	r = d.run(d.command("recheck", id, "--json"))
	r.check(t)
	r.wants(t, incident.ExitPartial, "alive")
	d.city.fakes["github"].Knobs().SetStayAlive(false)
	verified := d.run(d.command("verify", id))
	verified.wants(t, 0)
}

// refuseChanges fails the test at a request that changes something.
func refuseChanges(t *testing.T) func(*http.Request) fake.Fault {
	return func(r *http.Request) fake.Fault {
		_ = r.ParseForm()
		if action := r.PostFormValue("Action"); strings.HasPrefix(action, "Put") || strings.HasPrefix(action, "Update") || strings.HasPrefix(action, "Delete") ||
			strings.HasSuffix(r.URL.Path, "/credentials/revoke") {
			t.Errorf("%s %s %s was sent", r.Method, r.URL.Path, action)
		}
		return fake.Fault{}
	}
}

// A false alarm is taken back, once its name was typed, and the record says so.
func TestRealUndo(t *testing.T) {
	t.Parallel()
	d, before := killed(t)
	id := before.Declared.Incident
	var aws, github *incident.Credential
	for _, c := range before.Credentials {
		if c.Provider == "aws" {
			aws = c
		} else {
			github = c
		}
	}
	undo := func(of, typed string, why ...string) *ended {
		c := d.command(append([]string{"undo", id, of}, why...)...)
		c.Stdin = strings.NewReader(typed + "\n")
		r := d.run(c)
		return &r
	}
	reason := []string{"--why", "it was the red team"}
	short := aws.Fingerprint.Short()
	undo(short, "undo "+short).wants(t, incident.ExitUsage, "why")
	undo(short, "yes", reason...).wants(t, incident.ExitApproval, "nothing was undone")
	undo(github.Fingerprint.Short(), "undo "+github.Fingerprint.Short(), reason...).wants(t, incident.ExitUsage, "issued anew")
	undo("ffffffff", "undo ffffffff", reason...).wants(t, incident.ExitNoInstallation, "no credential")
	if d.city.fakes["aws"].Alive(d.held[0]) {
		t.Fatal("something was undone")
	}

	undo(short, "undo "+short, reason...).wants(t, 0, "red team")
	state, err := readRecord(d.incidents()[0])
	if err != nil {
		t.Fatal(err)
	}
	if c := state.Credential(aws.Fingerprint); c.Life != credential.Skipped || !strings.Contains(c.Error, "red team") || c.Last.Outcome != "alive" {
		t.Errorf("it is %s (%s), seen %+v", c.Life, c.Error, c.Last)
	}
	if !d.city.fakes["aws"].Alive(d.held[0]) || d.city.fakes["github"].Alive(d.held[1]) {
		t.Error("the key does not work, or the token does")
	}
	verified := d.run(d.command("verify", id))
	verified.wants(t, 0)
}

// What cannot be looked at again is not called dead: where the secret is gone with its file, or where
// the provider gives no answer that tells.
func TestRealRecheckUnproved(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*crashDesk)
		says  string
	}{
		"the secret is gone":   {func(d *crashDesk) { d.lost(d.held[1]) }, "1 credential was not checked again: the secret was not kept"},
		"the provider is down": {func(d *crashDesk) { d.city.fakes["github"].Knobs().SetFault(down) }, "unverified"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, before := killed(t)
			c.spoil(d)
			r := d.run(d.command("recheck", before.Declared.Incident, "--json"))
			r.wants(t, incident.ExitUnproved, c.says)
			state, err := readRecord(d.incidents()[0])
			if err != nil || state.Exit == nil {
				t.Fatal(err, state.Exit)
			}
			for _, of := range state.Credentials {
				asked := of.Probes > before.Credential(of.Fingerprint).Probes
				if of.Provider == "aws" && (of.Life != credential.Dead || !asked) {
					t.Errorf("%s, which can be looked at, is %s, asked %v", of, of.Life, asked)
				}
			}
			verified := d.run(d.command("verify", before.Declared.Incident))
			verified.wants(t, 0)
		})
	}
}

func down(*http.Request) fake.Fault { return fake.Fault{Status: http.StatusBadGateway} }

// lost takes a credential out of the target's files.
func (d *crashDesk) lost(c credential.Credential) {
	n := 0
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte(c.Secret.Reveal("value"))) {
			return err
		}
		n++
		return os.WriteFile(path, bytes.ReplaceAll(text, []byte(c.Secret.Reveal("value")), nil), 0o600)
	})
	if err != nil || n == 0 {
		d.t.Errorf("taken out of %d files, %v", n, err)
	}
}

// What waits for a person is said by the exit code until somebody has seen to it, however dead the
// others are, and one that lives again matters more.
func TestRealRecheckManual(t *testing.T) {
	t.Parallel()
	d := newCrashDesk(t, "stripe.api_key", "slack.bot")
	r := unlessBusy(t, func() ended { return d.run(d.command(d.killArgs()...)) })
	r.check(t)
	r.wants(t, incident.ExitManual)
	id := r.state.Declared.Incident
	r = d.run(d.command("recheck", id, "--json"))
	r.check(t)
	r.wants(t, incident.ExitManual)
	if n := r.state.Count(credential.Dead); n != 1 || r.state.Count(credential.Manual) != 1 {
		t.Errorf("%d are dead: %+v", n, r.state.Tally())
	}
	d.city.fakes["slack"].Knobs().SetStayAlive(true)
	r = d.run(d.command("recheck", id, "--json"))
	r.wants(t, incident.ExitPartial, "alive")
}
