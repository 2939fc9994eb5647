package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// Credentials that leaked die by the same engine, without a host: the record, the proofs and the
// report are as of any response, and nothing of the secrets is anywhere.
func TestRealRevoke(t *testing.T) {
	t.Parallel()
	d := newCrashDesk(t)
	token := d.city.fakes["github"].Mint("github.pat")
	key := d.city.fakes["aws"].Mint("aws.access_key")
	bot := d.city.fakes["slack"].Mint("slack.bot")
	secret := d.city.fakes["slack"].Mint("slack.signing_secret")
	d.held = []credential.Credential{token, key, bot}
	text := strings.Join([]string{"# what was on the paste site", token.Secret.Reveal("value"), "export AWS_ACCESS_KEY_ID=" + key.Secret.Reveal("access_key_id"),
		`AWS_SECRET_ACCESS_KEY="` + key.Secret.Reveal("secret_access_key") + `"`, "SLACK_BOT_TOKEN=" + bot.Secret.Reveal("value"), ""}, "\n")

	given := func(text string, more ...string) ended {
		c := d.command(append(append([]string{"revoke"}, d.city.args...), more...)...)
		c.Stdin = strings.NewReader(text)
		return d.run(c)
	}
	refused := given(text)
	refused.wants(t, incident.ExitApproval, "--yes")
	refused = given("x\n"+text, "--yes")
	refused.wants(t, incident.ExitUsage, "line 1", "--kind")
	refused = given("# nothing\n", "--yes")
	refused.wants(t, incident.ExitUsage, "no credential")
	for _, c := range d.held {
		if !d.city.fakes[c.Provider].Alive(c) {
			t.Fatalf("%s died of a refusal", c.Kind)
		}
	}

	r := given(text, "--yes", "--json")
	r.check(t)
	r.wants(t, incident.ExitContained)
	if n := r.summary.Credentials; n.Total != 3 || n.Dead != 3 {
		t.Errorf("%+v\n%s", n, r.stderr)
	}
	for _, c := range d.held {
		if d.city.fakes[c.Provider].Alive(c) {
			t.Errorf("%s is alive", c.Kind)
		}
	}
	report, err := os.ReadFile(r.summary.Report)
	if err != nil || !strings.Contains(string(report), "No host was searched or touched") || strings.Contains(string(report), "not known to be down") {
		t.Errorf("the report: %v\n%s", err, report)
	}
	places := map[string][]byte{"stdout": r.stdout, "stderr": r.stderr}
	collect(t, filepath.Join(d.dir, "state"), places)
	checkCanaries(t, d.held, places)
	verified := d.run(d.command("verify", r.summary.Incident))
	verified.wants(t, 0)
	again := d.run(d.command("recheck", r.summary.Incident))
	again.wants(t, 0)

	manual := given(secret.Secret.Reveal("value")+"\n", "--yes", "--json", "--kind", "slack.signing_secret")
	manual.wants(t, incident.ExitManual)
}
