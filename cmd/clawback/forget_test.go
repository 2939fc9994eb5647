package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/playbooks/actions"
	"clawback/revoke/credential"
)

// The kept secrets are wiped before their time once somebody has typed so: it is said what can no
// longer be checked, and who decided it stands in the record.
func TestRealForget(t *testing.T) {
	t.Parallel()
	d := newCrashDesk(t)
	bot, signing := d.city.fakes["slack"].Mint("slack.bot"), d.city.fakes["slack"].Mint("slack.signing_secret")
	typed := func(text string, args ...string) ended {
		c := d.command(args...)
		c.Stdin = strings.NewReader(text + "\n")
		return d.run(c)
	}
	r := typed("SLACK_BOT_TOKEN="+bot.Secret.Reveal("value")+"\n"+signing.Secret.Reveal("value"),
		append([]string{"revoke", "--yes", "--json", "--kind", "slack.signing_secret"}, d.city.args...)...)
	r.check(t)
	r.wants(t, incident.ExitManual)
	id, dir := r.summary.Incident, filepath.Dir(r.summary.Report)
	kept := func() (names string) {
		for _, name := range []string{"secrets.age", "secrets.key"} {
			if _, err := os.Stat(filepath.Join(dir, "keys", name)); err == nil {
				names += name + " "
			}
		}
		return names
	}
	state := func() incident.State {
		t.Helper()
		s, err := readRecord(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	r = typed("yes", "recheck", id, "--forget")
	r.wants(t, incident.ExitApproval, "sealed secrets that are kept: 2", "dead: nobody can check again that it is",
		"manual: no probe could tell of it before either", "nothing was wiped")
	r = typed("", "recheck", id, "--why", "no reason")
	r.wants(t, incident.ExitUsage, "go with --forget")
	if now := state(); kept() != "secrets.age secrets.key " || now.Entries != before.Entries || now.Forgotten != nil {
		t.Fatalf("refused, and %q are kept, %d entries of %d", kept(), now.Entries, before.Entries)
	}

	r = typed("forget "+id, "recheck", id, "--forget", "--why", "the case is closed")
	r.wants(t, 0, "2 kept secrets wiped by tester: the case is closed; 1 of them was not proved dead")
	now := state()
	if f := now.Forgotten; kept() != "" || f == nil || f.Kept != 2 || len(f.Undead) != 1 || now.Credential(f.Undead[0]).Life != credential.Manual || now.Exit == nil {
		t.Errorf("%q are kept, on record %+v", kept(), f)
	}
	if n := strings.Count(string(r.stderr), "stay at the desk"); n != 1 { // by the run before
		t.Errorf("it says %d times that they are kept\n%s", n, r.stderr)
	}
	for args, code := range map[string]int{"recheck " + id + " --forget --yes": incident.ExitNothing, "recheck " + id: incident.ExitNothing, "verify " + id: 0} {
		r = typed("", strings.Fields(args)...)
		if r.code != code {
			t.Errorf("%s: exit code %d, want %d\n%s", args, r.code, code, r.stderr)
		}
	}
	shown := make(map[string]string)
	for _, k := range []actions.Kept{
		{Credential: &incident.Credential{Life: credential.Dead}, Provable: true}, {Credential: &incident.Credential{Life: credential.Dead}, Provable: true, Named: true},
		{Credential: &incident.Credential{Life: credential.Skipped}, Provable: true}, {Credential: &incident.Credential{Life: credential.Skipped}, Provable: true, Named: true},
		{Credential: &incident.Credential{Life: credential.Manual}, Named: true},
	} {
		shown[afterwards(k)] = ""
	}
	if len(shown) != 5 {
		t.Errorf("of five that differ it is said: %q", shown)
	}
	places := map[string][]byte{"stderr": r.stderr}
	collect(t, filepath.Join(d.dir, "state"), places)
	checkCanaries(t, []credential.Credential{bot, signing}, places)
}
