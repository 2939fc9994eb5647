package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
	"clawback/playbooks/engine"
	"clawback/playbooks/plan"
	"clawback/revoke/credential"
)

var made = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// fingerprint is one of 64 hex digits that ends in the given ones.
func fingerprint(end string) credential.Fingerprint {
	return credential.Fingerprint(strings.Repeat("0", 64-len(end)) + end)
}

// sample is a plan with something of everything.
func sample(t testing.TB) plan.Plan {
	t.Helper()
	book, err := playbooks.Builtin(playbooks.KillSwitch, actions.Names())
	if err != nil {
		t.Fatal(err)
	}
	return plan.Plan{
		Format: plan.Format, ID: "PLAN-20261123-0300-0a1b2c3d", Version: "1.2.3", Made: made, Until: made.Add(24 * time.Hour),
		By: "alice", Desk: "bastion", Target: "/mnt/disk", Hostname: "web-1",
		Asked:     plan.Asked{Root: "/mnt/disk", Playbook: "kill-switch", Endpoints: []string{"github=https://ghe.test/api/v3"}, Deadline: "2m0s"},
		Endpoints: map[string]string{"github": "https://ghe.test/api/v3"},
		Playbook:  plan.Playbook{Name: book.Name, Plan: engine.Plan(book)},
		Authorities: []plan.Authority{
			{Provider: "aws", Kind: "aws.access_key", From: "env ADMIN_KEY"},
		},
		Installations: []plan.Installation{{StateDir: "home/agent/.openclaw", Generation: "A", User: "agent"}},
		Units:         []plan.Unit{{Name: "openclaw.service", Manager: "system", Active: "active"}},
		Revivers: []plan.Reviver{
			{Kind: "restart", Name: "openclaw.service", Detail: "Restart=always after 5s"},
			{Kind: "container", Name: "/docker/abc", Detail: "run by docker", Ask: "set its restart policy to no"},
		},
		Processes: 3,
		Kinds: []plan.Kind{
			{Kind: "aws.access_key", Title: "access key", Effect: "a deny-all policy", Reversible: true},
			{Kind: "stripe.api_key", Steps: []string{"Open the link.", "Rotate it."}, Link: "https://dashboard.stripe.com/apikeys"},
			{Kind: "slack.app", Unprovable: "no documented answer tells it from a live one"},
		},
		Credentials: []plan.Credential{
			{
				Fingerprint: fingerprint("1"), Provider: "aws", Kind: "aws.access_key", Masked: "AKIA…SOHI", Tier: 4,
				Sources: []credential.Source{{Path: "home/agent/.env", Line: 3}}, Way: actions.ByAuthority, Why: "revoked with your authority",
				Seen: plan.Seen{Outcome: "alive", Account: "123456789012", Owner: "user/deploy", Reach: []string{"s3:*"}},
			},
			{
				Fingerprint: fingerprint("2"), Provider: "stripe", Kind: "stripe.api_key", Masked: "sk_live_…DuUD", Tier: 3,
				Sources: []credential.Source{{Path: "home/agent/.env", Line: 4}, {Path: "home/agent/.env.bak", Line: 4}}, More: 2, Way: actions.ByPerson, Why: "by hand",
				Seen: plan.Seen{Outcome: plan.NotAsked, Answer: "no time was left"},
			},
			{
				Fingerprint: fingerprint("3"), Provider: "unknown", Kind: "unknown", Masked: "…", Tier: 2, Unresolved: "exec reference, never run",
				Sources: []credential.Source{{Path: "home/agent/.openclaw/openclaw.json", Line: 9, Locator: "channels.irc.password"}},
				Way:     actions.ByPerson, Why: "by hand: exec reference, never run", Seen: plan.Seen{Outcome: plan.NotAsked},
			},
		},
		Files: 12, Problems: []string{"home/agent/.aws: permission denied"}, Apart: []string{"home/bob/.env: belongs to bob"},
	}
}

// file is the sample as it stands in a file, and read from it.
func file(t testing.TB) ([]byte, plan.Plan) {
	t.Helper()
	raw, err := plan.Encode(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return raw, p
}

// texts are those of the changes that matter, or of the others.
func texts(changes []plan.Change, matter bool) []string {
	var out []string
	for _, c := range changes {
		if c.Matters == matter {
			out = append(out, c.Text)
		}
	}
	return out
}

func TestCompare(t *testing.T) {
	extra := plan.Credential{
		Fingerprint: fingerprint("4"), Provider: "github", Kind: "github.pat", Masked: "ghp_…1xQz", Tier: 3,
		Sources: []credential.Source{{Path: "home/agent/.env", Line: 7}}, Way: actions.ByItself, Why: "revoked with itself",
	}
	step := func(p *plan.Plan, id string) *incident.PlanStep {
		for i := range p.Playbook.Phases {
			for j := range p.Playbook.Phases[i].Steps {
				if s := &p.Playbook.Phases[i].Steps[j]; s.ID == id {
					return s
				}
			}
		}
		t.Fatalf("no step %s", id)
		return nil
	}
	for name, c := range map[string]struct {
		change  func(p *plan.Plan)
		matters string // "" for nothing
		remark  string
	}{
		"nothing":          {func(*plan.Plan) {}, "", ""},
		"another id, time": {func(p *plan.Plan) { p.ID, p.Made = "PLAN-20261123-0400-00000000", made.Add(time.Hour) }, "", ""},
		"new credential":   {func(p *plan.Plan) { p.Credentials = append(p.Credentials, extra) }, "new: github.pat ghp_…1xQz in home/agent/.env:7", ""},
		"gone credential":  {func(p *plan.Plan) { p.Credentials = p.Credentials[1:] }, "gone: aws.access_key AKIA…SOHI in home/agent/.env:3", ""},
		"authority gone": {func(p *plan.Plan) {
			p.Credentials[0].Way, p.Credentials[0].Why = actions.NeedsAuthority, "needs an authority for aws"
		}, "changed: aws.access_key AKIA…SOHI in home/agent/.env:3: needs an authority for aws, and was: revoked with your authority", ""},
		"risk newly needed": {func(p *plan.Plan) {
			p.Credentials[0].Way, p.Credentials[0].Why = actions.NeedsRisk, "needs --accept-risk"
		}, "changed: aws.access_key AKIA…SOHI in home/agent/.env:3: needs --accept-risk, and was: revoked with your authority", ""},
		"why in other words": {func(p *plan.Plan) { p.Credentials[0].Why = "revoked by your authority" }, "", ""},
		"account":            {func(p *plan.Plan) { p.Credentials[0].Seen = plan.Seen{Outcome: plan.NotAsked} }, "", ""},
		"moved": {func(p *plan.Plan) { p.Credentials[0].Sources[0].Path = "home/agent/.env.old" }, "",
			"moved: aws.access_key AKIA…SOHI in home/agent/.env.old:3 was in home/agent/.env"},
		"another line": {func(p *plan.Plan) { p.Credentials[0].Sources[0].Line = 30 }, "", ""},
		"reference on another line": {func(p *plan.Plan) {
			p.Credentials[2].Sources[0].Line, p.Credentials[2].Fingerprint = 11, fingerprint("5")
		}, "", ""},
		"new installation": {func(p *plan.Plan) {
			p.Installations = append(p.Installations, plan.Installation{StateDir: "root/.openclaw", Generation: "B"})
		}, "new: installation /root/.openclaw", ""},
		"gone installation": {func(p *plan.Plan) { p.Installations = nil }, "gone: installation /home/agent/.openclaw", ""},
		"generation": {func(p *plan.Plan) { p.Installations[0].Generation = "B" },
			"changed: installation /home/agent/.openclaw is of generation B, and was of A", ""},
		"account of the agent": {func(p *plan.Plan) { p.Installations[0].User = "root" },
			"changed: installation /home/agent/.openclaw belongs to root, and belonged to agent", ""},
		"new unit": {func(p *plan.Plan) { p.Units = append(p.Units, plan.Unit{Name: "claw2.service", Manager: "user 1000"}) },
			"new: unit claw2.service (user 1000)", ""},
		"gone unit": {func(p *plan.Plan) { p.Units = nil }, "gone: unit openclaw.service (system)", ""},
		"unit stopped": {func(p *plan.Plan) { p.Units[0].Active = "inactive" }, "",
			"changed: unit openclaw.service (system) is inactive, and was active"},
		"new reviver": {func(p *plan.Plan) { p.Revivers = append(p.Revivers, plan.Reviver{Kind: "cron", Name: "etc/crontab"}) },
			"new: what brings it back: cron etc/crontab", ""},
		"gone reviver": {func(p *plan.Plan) { p.Revivers = p.Revivers[1:] }, "gone: what brings it back: restart openclaw.service", ""},
		"reviver waits longer": {func(p *plan.Plan) { p.Revivers[0].Detail = "Restart=always after 9s" }, "",
			"changed: what brings it back: restart openclaw.service: Restart=always after 9s, and was: Restart=always after 5s"},
		"another run of the container": {func(p *plan.Plan) { p.Revivers[1].Name = "/docker/def" }, "", ""},
		"processes":                    {func(p *plan.Plan) { p.Processes = 4 }, "", "changed: 4 processes, and were 3"},
		"files":                        {func(p *plan.Plan) { p.Files = 13 }, "", "changed: 13 files searched, and were 12"},
		"new place not searched": {func(p *plan.Plan) { p.Problems = append(p.Problems, "x: too large") }, "",
			"not searched: x: too large"},
		"responder": {func(p *plan.Plan) { p.By = "bob" }, "", "changed: bob on bastion, and the plan is of alice on bastion"},
		"authority from elsewhere": {func(p *plan.Plan) { p.Authorities[0].From = "env OTHER" }, "",
			"changed: the authority for aws is a aws.access_key from env OTHER, and was a aws.access_key from env ADMIN_KEY"},
		"version":   {func(p *plan.Plan) { p.Version = "1.2.4" }, "changed: this is clawback 1.2.4, and 1.2.3 made the plan", ""},
		"target":    {func(p *plan.Plan) { p.Target = "/mnt/other" }, "changed: the target is /mnt/other, and was /mnt/disk", ""},
		"machine":   {func(p *plan.Plan) { p.Hostname = "web-2" }, "changed: the machine calls itself web-2, and called itself web-1", ""},
		"suspicion": {func(p *plan.Plan) { p.Suspect = true }, "changed: that this desk is the machine under suspicion: true, and was false", ""},
		"new endpoint": {func(p *plan.Plan) {
			p.Endpoints = map[string]string{"github": "https://ghe.test/api/v3", "aws": "https://a.test"}
		},
			"new: endpoint of aws https://a.test", ""},
		"gone endpoint": {func(p *plan.Plan) { p.Endpoints = nil }, "gone: endpoint of github https://ghe.test/api/v3", ""},
		"other endpoint": {func(p *plan.Plan) { p.Endpoints = map[string]string{"github": "https://evil.test"} },
			"changed: endpoint of github is https://evil.test, and was https://ghe.test/api/v3", ""},
		"playbook's name": {func(p *plan.Plan) { p.Playbook.Name = "mine" },
			"changed: the playbook is mine (Kill switch), and was kill-switch (Kill switch)", ""},
		"step's deadline": {func(p *plan.Plan) { step(p, "freeze").Deadline = "31s" }, "changed: step freeze: Freeze the agent", ""},
		"step's parameter": {func(p *plan.Plan) { step(p, "volatile").With = map[string]any{"part": "files"} },
			"changed: step volatile: Capture what a kill destroys", ""},
		"step's approvals": {func(p *plan.Plan) { step(p, "stop").Approvals = 2 }, "changed: step stop: Kill the agent without a last word", ""},
		"gone step":        {func(p *plan.Plan) { p.Playbook.Phases = p.Playbook.Phases[:len(p.Playbook.Phases)-1] }, "gone: step report: Write the report", ""},
		"order": {func(p *plan.Plan) { slices.Reverse(p.Playbook.Phases) },
			"changed: the order or the phases of the playbook", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, p := file(t)
			now := sample(t)
			c.change(&now)
			changes, err := plan.Compare(p, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(texts(changes, true), "\n"); got != c.matters {
				t.Errorf("what matters:\n%s\nwant:\n%s", got, c.matters)
			}
			if got := strings.Join(texts(changes, false), "\n"); got != c.remark {
				t.Errorf("remarks:\n%s\nwant:\n%s", got, c.remark)
			}
			if plan.Matter(changes) != (c.matters != "") {
				t.Errorf("Matter is %v", plan.Matter(changes))
			}
		})
	}
}

// What matters stands before what does not.
func TestCompareOrder(t *testing.T) {
	_, p := file(t)
	now := sample(t)
	now.Processes, now.Credentials = 9, now.Credentials[1:]
	changes, err := plan.Compare(p, now)
	if err != nil || len(changes) != 2 || !changes[0].Matters || changes[1].Matters {
		t.Errorf("%+v, %v", changes, err)
	}
}

func TestExpired(t *testing.T) {
	p := sample(t)
	for name, c := range map[string]struct {
		at   time.Time
		want string
	}{
		"at once":       {made, ""},
		"the last time": {made.Add(24 * time.Hour), ""},
		"too late":      {made.Add(24*time.Hour + time.Second), "valid until 2026-11-24 03:00 UTC"},
		"a small skew":  {made.Add(-time.Minute), ""},
		"a clock back":  {made.Add(-time.Hour), "is the clock right"},
	} {
		if got := p.Expired(c.at); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestMember(t *testing.T) {
	key := credential.NewFingerprintKey()
	token := credential.Credential{Provider: "github", Kind: "github.pat", Secret: credential.Value("ghp_one")}
	other := credential.Credential{Provider: "github", Kind: "github.pat", Secret: credential.Value("ghp_two")}
	reference := credential.Credential{
		Provider: "unknown", Kind: "unknown", Ref: map[string]string{"id": "x:12"},
		Sources: []credential.Source{{Path: "home/agent/.openclaw/openclaw.json", Line: 12, Locator: "channels.irc.password"}},
	}
	p := sample(t)
	p.Credentials[0].Fingerprint = key.Of("github", token.Secret, nil)
	in := p.Member(key)
	if !in(token) || in(other) || !in(reference) {
		t.Errorf("the planned one %v, another one %v, a reference on another line %v", in(token), in(other), in(reference))
	}
	if p.Member(credential.NewFingerprintKey())(token) {
		t.Error("another key recognises it")
	}
}
