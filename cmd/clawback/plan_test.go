package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"clawback/forensics/incident"
	"clawback/playbooks/engine/signers"
	"clawback/playbooks/plan"
	"clawback/revoke/credential"
)

// states is how every simulated provider stands.
func (c *city) states() string {
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.fakes)) {
		all.WriteString(name + "\n" + c.fakes[name].State())
	}
	return all.String()
}

// calls counts what the simulated providers were asked.
func (c *city) calls() (n int) {
	for _, p := range c.fakes {
		n += len(p.Knobs().Calls())
	}
	return n
}

// plan makes a plan of a kill of the desk's target, in a file.
func (d *desk) plan(more ...string) (file string, raw []byte) {
	d.t.Helper()
	file = filepath.Join(d.dir, "kill.plan")
	args := append([]string{"plan", "-o", file, "--root", d.root}, d.city.args...)
	r := d.run(d.command(append(args, more...)...))
	if r.code != 0 {
		d.t.Fatalf("plan ended with %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	safeText(d.t, "stdout", r.stdout)
	raw, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	return file, raw
}

// A plan asks every provider what each credential is and changes nothing, no secret stands in it,
// and a kill carries it out.
func TestPlanAndKill(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.authorise()
	held := d.hold("github.pat", "github.pat", "slack.bot", "aws.access_key", "stripe.webhook_secret")
	before := d.city.states()
	file, raw := d.plan("--deadline", "4m")
	if after := d.city.states(); after != before {
		t.Errorf("the plan changed something:\n%s\nbefore:\n%s", after, before)
	}
	p, err := plan.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Credentials) != len(held) {
		t.Errorf("%d credentials, want %d", len(p.Credentials), len(held))
	}
	for _, c := range p.Credentials {
		if c.Seen.Outcome != "alive" {
			t.Errorf("%s is %+v, want alive", c.Kind, c.Seen)
		}
	}
	places := map[string][]byte{"the plan": raw}
	err = filepath.WalkDir(filepath.Join(d.dir, "state"), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			places[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(places) != 2 {
		t.Errorf("%d files, want the plan and its key; %v", len(places), err)
	}
	checkCanaries(t, held, places)

	r := d.run(d.command("kill", "--plan", file, "--yes", "--json"))
	r.check(t)
	if r.code != 0 || r.summary.Credentials.Dead != len(held) {
		t.Errorf("it ended with %d and %+v\n%s", r.code, r.summary.Credentials, r.stderr)
	}
	if r.state.Declared.Approved != plan.Digest(raw) || r.state.Declared.Deadline != "4m0s" {
		t.Errorf("the record names the plan %q, deadline %s", r.state.Declared.Approved, r.state.Declared.Deadline)
	}
	if text, err := os.ReadFile(r.summary.Report); err != nil || !bytes.Contains(text, []byte(plan.Digest(raw))) {
		t.Errorf("the report does not name the plan; %v", err)
	}
	for _, w := range r.state.Warnings {
		if strings.Contains(w.Text, "not in the plan") {
			t.Errorf("warning: %s", w.Text)
		}
	}
}

// What has changed since is named, and nothing is done or sent.
func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *desk) []string // returns more arguments
		want   string
	}{
		"a new credential": {func(d *desk) []string {
			token := d.city.fakes["github"].Mint("github.pat")
			d.write("home/openclaw/.openclaw/.env", "GITHUB_TOKEN="+token.Secret.Reveal("value")+"\n")
			return nil
		}, "new: github.pat ghp_…"},
		"an authority that is gone": {func(d *desk) []string {
			d.env = append(d.env, "TEST_AWS_SECRET_ACCESS_KEY=")
			return nil
		}, "needs an authority for aws: environment variable TEST_AWS_SECRET_ACCESS_KEY is not set, and was: revoked with your authority"},
		"another endpoint": {func(d *desk) []string {
			text, err := os.ReadFile(d.config())
			if err != nil {
				d.t.Fatal(err)
			}
			if err := os.WriteFile(d.config(), append(text, "endpoints: {github: 'https://ghe.test'}\n"...), 0o600); err != nil {
				d.t.Fatal(err)
			}
			return nil
		}, ""}, // the plan's own flag stands over the configuration
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.authorise()
			d.hold("github.pat", "aws.access_key")
			file, _ := d.plan("--offline")
			if n := d.city.calls(); n != 0 {
				t.Errorf("offline, and %d requests were sent", n)
			}
			more := c.change(d)
			before := d.city.states()
			r := d.run(d.command(append([]string{"kill", "--plan", file, "--yes", "--dry-run"}, more...)...))
			want := incident.ExitApproval
			if c.want == "" {
				want = 0
			}
			if r.code != want || !bytes.Contains(r.stderr, []byte(c.want)) {
				t.Errorf("it ended with %d\n%s\nwant %d and %q", r.code, r.stderr, want, c.want)
			}
			if c.want != "" {
				r = d.run(d.command(append([]string{"kill", "--plan", file, "--yes", "--json"}, more...)...))
				if r.code != want || len(r.stdout) > 0 || !bytes.Contains(r.stderr, []byte("hint: make it anew")) {
					t.Errorf("it ended with %d\n%s%s", r.code, r.stdout, r.stderr)
				}
			}
			if d.city.states() != before || d.city.calls() != 0 {
				t.Errorf("%d requests were sent", d.city.calls())
			}
			if _, err := os.Stat(filepath.Join(d.dir, "state", "clawback", "incidents")); err == nil {
				t.Error("an incident was declared")
			}
		})
	}
}

// A dead credential is shown as such, and costs its provider no more than a plan may.
func TestPlanOfTheDead(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("github.pat")
	d.city.fakes["github"].RevokeByHand(held[0])
	_, raw := d.plan()
	p, err := plan.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if seen := p.Credentials[0].Seen; seen.Outcome != "refused" || seen.Owner != "" {
		t.Errorf("%+v", seen)
	}
	if mask := credential.Mask(held[0].Kind, held[0].Secret, nil); p.Credentials[0].Masked != mask {
		t.Errorf("masked %s, want %s", p.Credentials[0].Masked, mask)
	}
}

// A step that other people have to approve is carried out once enough of them have signed the plan,
// and nothing is done before.
func TestPlanApproved(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	held := d.hold("slack.bot")
	d.team("dana", "bob", "carol")
	book := filepath.Join(d.dir, "mine.yaml")
	if err := os.WriteFile(book, []byte(agreedBook), 0o600); err != nil {
		t.Fatal(err)
	}
	file, raw := d.plan("--offline", "--playbook", book, "--deadline", "90s")
	p, err := plan.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(who string) {
		private, err := os.ReadFile(filepath.Join(d.dir, who))
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParsePrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := signers.Sign(key, signers.Approvals, raw)
		if err == nil {
			err = os.WriteFile(file+"."+who+".sig", []byte(sig), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	lacks := func(want string) {
		t.Helper()
		r := d.run(d.command("kill", "--plan", file, "--yes", "--json"))
		if r.code != incident.ExitApproval || len(r.stdout) > 0 || !bytes.Contains(r.stderr, []byte(want)) {
			t.Fatalf("it ended with %d, want %q\n%s%s", r.code, want, r.stdout, r.stderr)
		}
	}
	lacks("approved first by 2 more")
	sign("dana")
	lacks("kill.plan.dana.sig does not count: dana made the plan")
	if r := d.run(d.command("approve", file, "revoke", "--key", filepath.Join(d.dir, "bob"), "--yes")); r.code != 0 {
		t.Fatalf("approve ended with %d\n%s", r.code, r.stderr)
	}
	lacks("approved first by 1 more")
	sign("carol")
	if !d.city.fakes["slack"].Alive(held[0]) || d.city.calls() > 0 {
		t.Fatal("something was sent before it was approved")
	}

	r := d.run(d.command("kill", "--plan", file, "--yes", "--json"))
	r.check(t)
	if d.city.fakes["slack"].Alive(held[0]) || r.summary.Credentials.Dead != 1 {
		t.Errorf("it lives; %+v\n%s", r.summary, r.stderr)
	}
	var by []string
	if so := r.state.Approvals["revoke"]; so != nil {
		for _, a := range so.Given {
			by = append(by, a.By)
			asOpenSSH(t, d, a)
			if a.Plan != plan.Digest(raw) || a.Late || a.By == "carol" && a.Message != string(raw) {
				t.Errorf("%+v", a)
			}
		}
	}
	if strings.Join(by, " ") != "bob carol" {
		t.Errorf("the record has approvals of %v for %s", by, p.ID)
	}
}

const agreedBook = `name: mine
title: Revoke when two others agree
phases:
  - id: one
    title: One
    steps:
      - {id: discover, title: Find every credential, uses: credentials.discover, deadline: 1m}
      - {id: revoke, title: Revoke all, uses: credentials.revoke, approvals: 2}
`

// What a plan says stands; a flag that says the same is no contradiction.
func TestPlannedTarget(t *testing.T) {
	t.Parallel()
	asked := plan.Asked{
		Host: "root@web-1", Playbook: "kill-switch", Deadline: "3m0s",
		Endpoints: []string{"aws=https://a.test", "github=https://g.test"}, Risks: []string{"lose-evidence"},
	}
	p := &planned{Plan: plan.Plan{Asked: asked}, file: "kill.plan"}
	for name, c := range map[string]struct {
		given target
		flags string
		want  string // the flag that contradicts
	}{
		"nothing":           {target{deadline: 2 * time.Minute}, "", ""},
		"the same host":     {target{host: "root@web-1"}, "host", ""},
		"another host":      {target{host: "web-1"}, "host", "--host contradicts kill.plan"},
		"a root":            {target{root: "/"}, "root", "--root contradicts kill.plan"},
		"the same deadline": {target{deadline: 3 * time.Minute}, "deadline", ""},
		"another deadline":  {target{deadline: 2 * time.Minute}, "deadline", "--deadline contradicts"},
		"in another order":  {target{endpoints: []string{"github=https://g.test", "aws=https://a.test"}}, "endpoint", ""},
		"one endpoint":      {target{endpoints: []string{"github=https://g.test"}}, "endpoint", "--endpoint contradicts"},
		"the same risk":     {target{risks: []string{"lose-evidence", "lose-evidence"}}, "accept-risk", ""},
		"another risk":      {target{risks: []string{"authority-on-suspect-host"}}, "accept-risk", "--accept-risk contradicts"},
		"another playbook":  {target{playbook: "suspected-compromise"}, "playbook", "--playbook contradicts"},
		"a sign key":        {target{signKey: "key"}, "sign-key", ""},
	} {
		got, err := p.target(c.given, func(flag string) bool { return flag == c.flags })
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) || codeOf(err) != incident.ExitUsage {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case got.host != asked.Host || got.root != "" || got.deadline != 3*time.Minute || !slices.Equal(got.endpoints, asked.Endpoints) ||
			!slices.Equal(got.risks, asked.Risks) || got.playbook != asked.Playbook || got.signKey != c.given.signKey:
			t.Errorf("%s: %+v", name, got)
		}
	}
}
