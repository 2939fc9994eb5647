package cloud_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/platform"
	"clawback/playbooks/platform/cloud"
	"clawback/playbooks/platform/cloud/computefake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/revoketest/contract"
)

// project is a simulated project with one instance of the agent's.
type project struct {
	*computefake.Fake
	net     *fake.Network
	token   string
	kind    string
	intents [][]incident.PlatformWas
}

const agent = "agent-1"

// inProject runs a test in virtual time. Every exchange is held against Google's description.
func inProject(t *testing.T, run func(t *testing.T, p *project)) {
	synctest.Test(t, func(t *testing.T) {
		token := "ya29." + rand.Text() + rand.Text()
		p := &project{Fake: computefake.New(fake.Wall{}, token), net: fake.NewNetwork(), token: token, kind: "google.access_token"}
		p.net.Handle("compute.googleapis.com", p.Fake)
		defer func() { _ = p.net.Close() }()
		p.AddInstance(agent, []string{"default"}, "web")
		p.AddRule("default", computefake.Rule{Name: "allow-ssh", Priority: 1000, Direction: "INGRESS", Allowed: []computefake.Protocol{{Name: "tcp", Ports: []string{"22"}}}, Sources: []string{"0.0.0.0/0"}})
		p.AddRule("default", computefake.Rule{Name: "allow-all-out", Priority: 0, Direction: "EGRESS", Allowed: []computefake.Protocol{{Name: "all"}}, Destinations: []string{"0.0.0.0/0"}, TargetTags: []string{"web"}})
		run(t, p)
	})
}

func (p *project) env(t *testing.T) revoke.Env {
	client := p.net.Client()
	client.Transport = contract.New(t, "testdata/google-openapi.json", client.Transport)
	return revoke.Env{HTTP: client, Sleep: fake.Wall{}.Sleep, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Kind: p.kind, From: "test", Secret: credential.Value(p.token)}, nil
		},
	}
}

func atGoogle() cloud.Google {
	return cloud.Google{Project: computefake.Project, Zone: computefake.Zone, Instance: agent,
		From: []netip.Prefix{netip.MustParsePrefix(desk + "/32"), netip.MustParsePrefix("2001:db8::7/128")}}
}

func (p *project) machine(t *testing.T, change ...func(*cloud.Google)) platform.Wall {
	t.Helper()
	g := atGoogle()
	for _, c := range change {
		c(&g)
	}
	m, err := cloud.NewGoogle(g, p.env(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *project) order(t *testing.T) platform.Order {
	return platform.Order{Incident: caseID, Intent: func(was []incident.PlatformWas) error {
		if len(p.intents) == 0 && len(p.Changes()) > 0 {
			t.Errorf("changed before it is on record: %v", p.Changes())
		}
		p.intents = append(p.intents, was)
		return nil
	}}
}

func (p *project) recorded() (all []incident.PlatformWas) {
	for _, i := range p.intents {
		all = append(all, i...)
	}
	return all
}

var (
	gDesk  = computefake.Packet{Far: desk, Port: 22}
	gDesk6 = computefake.Packet{Far: "2001:db8::7", Port: 22}
	gWeb   = computefake.Packet{Far: desk, Port: 80}
	gThief = computefake.Packet{Far: thief, Port: 22}
	gOut   = computefake.Packet{Out: true, Far: thief, Port: 443}
	gOut6  = computefake.Packet{Out: true, Far: "2001:db8:1::9", Port: 443}
	gNear6 = computefake.Packet{Out: true, Far: "fd00::9", Port: 443}
)

func (p *project) packets(t *testing.T, want bool, packets ...computefake.Packet) {
	t.Helper()
	for _, packet := range packets {
		if p.Passes(agent, packet) != want {
			t.Errorf("packet %+v passes: %v", packet, !want)
		}
	}
}

func TestIsolateGoogle(t *testing.T) {
	inProject(t, func(t *testing.T, p *project) {
		p.AddInstance("other-1", []string{"default"}, "web")
		p.Describe(agent, "agent@acme-agents.iam.gserviceaccount.com", [2]string{"created-by", "projects/1/zones/" + computefake.Zone + "/instanceGroupManagers/agents"})
		p.Slow = 5 * time.Second
		m := p.machine(t)
		p.packets(t, true, gDesk, gThief, gOut)
		got, err := m.Isolate(t.Context(), p.order(t))
		if err != nil {
			t.Fatal(err)
		}
		p.packets(t, true, gDesk, gDesk6)
		p.packets(t, false, gWeb, gThief, gOut, gOut6, gNear6)
		if !p.Passes("other-1", gThief) || !p.Passes("other-1", gOut) {
			t.Error("another machine was cut off")
		}
		if was := p.recorded(); len(p.intents) != 1 || len(was) != 1 || was[0].String() != "tags agent-1: web" {
			t.Errorf("on record: %v", p.intents)
		}
		tags := p.Tags(agent)
		if len(tags) != 2 || !strings.HasPrefix(tags[1], "clawback-inc-20261123-0312-") || len(p.Rules()) != 8 {
			t.Errorf("tags %v, rules %v", tags, p.Rules())
		}
		left := strings.Join(got.Left, "\n")
		for _, says := range []string{"connections that were open may go on", "names are still resolved", "tokens of agent@acme", "instance group agents"} {
			if !strings.Contains(left, says) {
				t.Errorf("left does not say %q: %s", says, left)
			}
		}
		if len(got.Proof) != 2 || !strings.Contains(got.Proof[1], "all 6 rules") {
			t.Errorf("proof: %q", got.Proof)
		}

		// A second run changes nothing, and does not take the isolation for how it was.
		changes := len(p.Changes())
		if _, err := m.Isolate(t.Context(), p.order(t)); err != nil || len(p.Changes()) != changes || len(p.recorded()) != 1 {
			t.Errorf("again: %v, %v, %v", err, p.Changes()[changes:], p.intents)
		}

		// A tag that somebody else gave meanwhile stays.
		p.SetTags(agent, append(tags, "https-server")...)
		back, err := m.Restore(t.Context(), caseID, p.recorded())
		if err != nil || len(back.Left) > 0 || len(back.Proof) != 2 {
			t.Fatalf("Restore: %v, %+v", err, back)
		}
		p.packets(t, true, gThief, gOut)
		if !slices.Equal(p.Tags(agent), []string{"web", "https-server"}) || len(p.Rules()) != 2 {
			t.Errorf("tags %v, rules %v", p.Tags(agent), p.Rules())
		}
	})
}

// What goes wrong at Google, and what is said of it.
func TestIsolateGoogleTrouble(t *testing.T) {
	allowed := []computefake.Protocol{{Name: "tcp"}}
	for name, c := range map[string]struct {
		fault func(*project)
		fails string // "" for success
		hold  bool   // it holds nevertheless
	}{
		"it is throttled":              {fault: func(p *project) { p.Throttled = 4 }, hold: true},
		"it shows late":                {fault: func(p *project) { p.Stale = 4 }, hold: true},
		"operations are slow":          {fault: func(p *project) { p.Slow = 40 * time.Second }, hold: true},
		"the rule's answer is lost":    {fault: func(p *project) { p.Lost["firewalls.insert"] = true }, hold: true},
		"the tag's answer is lost":     {fault: func(p *project) { p.Lost["instances.setTags"] = true }, hold: true},
		"somebody else sets tags":      {fault: func(p *project) { p.Races = 3 }, hold: true},
		"somebody always sets tags":    {fault: func(p *project) { p.Races = 1000 }, fails: "412 Supplied fingerprint"},
		"a rule fails late":            {fault: func(p *project) { p.FailsLate["firewalls.insert"] = "QUOTA_EXCEEDED" }, fails: "403 QUOTA_EXCEEDED It failed late"},
		"the tag fails late":           {fault: func(p *project) { p.FailsLate["instances.setTags"] = "PERMISSIONS_ERROR" }, fails: "instances.setTags: 403 PERMISSIONS_ERROR"},
		"an operation never ends":      {fault: func(p *project) { p.Slow = 1000 * time.Hour }, fails: "does not end"},
		"it never shows":               {fault: func(p *project) { p.Stale = 1000 }, fails: "not seen isolated after"},
		"it may not look":              {fault: func(p *project) { p.Denied["instances.get"] = true }, fails: "403 Required"},
		"it may not see what is there": {fault: func(p *project) { p.Denied["instances.getEffectiveFirewalls"] = true }, fails: "getEffectiveFirewalls: 403"},
		"it may not change":            {fault: func(p *project) { p.Denied["instances.setTags"] = true }, fails: "setTags: 403 Required"},
		"the token ran out":            {fault: func(p *project) { p.Token = "ya29.another" }, fails: "401 Invalid Credentials"},
		"the key is of another kind":   {fault: func(p *project) { p.kind = "google.service_account" }, fails: "gives no access token"},
		"more than can be waited for":  {fault: func(p *project) { p.Throttled = 1 << 20 }, fails: "429 Too many requests"},
		"two networks":                 {fault: func(p *project) { p.AddInstance(agent, []string{"default", "back"}) }, hold: true},
		"a policy of the network, last": {fault: func(p *project) {
			p.AddPolicy(computefake.Policy{Name: "net", Type: "NETWORK", Allows: []string{"EGRESS"}})
		}, hold: true},
		"a policy of the network, first": {fault: func(p *project) {
			p.PoliciesFirst = true
			p.AddPolicy(computefake.Policy{Name: "net", Type: "NETWORK", Allows: []string{"EGRESS"}})
		}, fails: "rule 100 of firewall policy net (NETWORK) is asked first on nic0, and allows EGRESS"},
		"the organization allows": {fault: func(p *project) {
			p.AddPolicy(computefake.Policy{Name: "org", Type: "HIERARCHY", Allows: []string{"INGRESS"}})
		}, fails: "firewall policy org (HIERARCHY)"},
		"a rule of priority 0": {fault: func(p *project) {
			p.AddRule("default", computefake.Rule{Name: "always", Direction: "INGRESS", Allowed: allowed, Sources: []string{"0.0.0.0/0"}})
		}, fails: "firewall rule always of priority 0 lets in more"},
	} {
		t.Run(name, func(t *testing.T) {
			inProject(t, func(t *testing.T, p *project) {
				c.fault(p)
				m := p.machine(t)
				got, err := m.Isolate(t.Context(), p.order(t))
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("Isolate: %v, want %q", err, c.fails)
				}
				if err != nil && strings.Contains(err.Error(), p.token[5:13]) {
					t.Error("the error quotes the token")
				}
				if err == nil && (len(got.Proof) < 2 || len(got.Did) == 0) {
					t.Errorf("%+v", got)
				}
				if c.hold {
					p.packets(t, false, gThief, gOut, gOut6)
					p.packets(t, true, gDesk)
					if _, err := m.Restore(t.Context(), caseID, p.recorded()); err != nil {
						t.Errorf("Restore: %v", err)
					}
					if tags := p.Tags(agent); slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, "clawback") }) || len(p.Rules()) != 2 {
						t.Errorf("tags %v, rules %v", tags, p.Rules())
					}
				}
			})
		})
	}
}

// Somebody who changes a rule of ours finds it set right by the next run, and a desk that moved gets in
// from its new address alone.
func TestIsolateGoogleAgain(t *testing.T) {
	inProject(t, func(t *testing.T, p *project) {
		if _, err := p.machine(t).Isolate(t.Context(), p.order(t)); err != nil {
			t.Fatal(err)
		}
		for _, name := range p.Rules() {
			if strings.HasSuffix(name, "-out4") {
				p.AddRule("default", computefake.Rule{Name: name, Priority: 0, Direction: "EGRESS", Denied: []computefake.Protocol{{Name: "all"}},
					Destinations: []string{"192.0.2.0/24"}, TargetTags: p.Tags(agent)[1:]})
			}
		}
		p.packets(t, true, gOut)
		moved := p.machine(t, func(g *cloud.Google) { g.From = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
		if _, err := moved.Isolate(t.Context(), p.order(t)); err != nil {
			t.Fatal(err)
		}
		p.packets(t, false, gOut, gDesk, gDesk6)
		p.packets(t, true, computefake.Packet{Far: "192.0.2.1", Port: 22})
		if len(p.intents) != 2 || len(p.recorded()) != 1 {
			t.Errorf("on record: %v", p.intents)
		}
	})
}

// What cannot be given back is said.
func TestRestoreGoogleTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*project)
		fails string
		left  string
	}{
		"a rule cannot be deleted":    {func(p *project) { p.Denied["firewalls.delete"] = true }, "403 Required", "which is for nothing"},
		"the tag cannot be taken":     {func(p *project) { p.Denied["instances.setTags"] = true }, "403 Required", "network tag clawback-"},
		"the delete's answer is lost": {func(p *project) { p.Lost["firewalls.delete"] = true }, "", ""},
		"the tag is taken late":       {func(p *project) { p.Races = 2 }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inProject(t, func(t *testing.T, p *project) {
				m := p.machine(t)
				if _, err := m.Isolate(t.Context(), p.order(t)); err != nil {
					t.Fatal(err)
				}
				c.fault(p)
				back, err := m.Restore(t.Context(), caseID, p.recorded())
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || !strings.Contains(strings.Join(back.Left, "\n"), c.left) || c.left == "" && len(back.Left) > 0 {
					t.Errorf("%v, %+v", err, back)
				}
			})
		})
	}
}

// What is on record is sent, whoever interrupts it.
func TestIsolateGoogleInterrupted(t *testing.T) {
	inProject(t, func(t *testing.T, p *project) {
		p.Slow = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		_, err := p.machine(t).Isolate(ctx, platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { cancel(); return nil }})
		if !errors.Is(err, context.Canceled) || len(p.Changes()) != 6 {
			t.Errorf("%v, %v", err, p.Changes())
		}
	})
}

// Nothing is changed without a record, sent without an authority, or by a client that refuses.
func TestGoogleSendsNothing(t *testing.T) {
	inProject(t, func(t *testing.T, p *project) {
		lost := errors.New("the disk is full")
		_, err := p.machine(t).Isolate(t.Context(), platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { return lost }})
		if !errors.Is(err, lost) || len(p.Changes()) > 0 {
			t.Errorf("%v, %v", err, p.Changes())
		}
		before := len(p.Calls())
		none, dry := p.env(t), p.env(t)
		none.Authority = func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, revoke.ErrNoAuthority }
		dry.HTTP = revoke.NewClient(revoke.Refuse{})
		for says, env := range map[string]revoke.Env{"no authority": none, "dry run": dry} {
			m, err := cloud.NewGoogle(atGoogle(), env)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Isolate(t.Context(), p.order(t)); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		if len(p.Calls()) > before || len(p.intents) > 0 {
			t.Errorf("sent: %v", p.Calls()[before:])
		}
	})
}

func TestCheckGoogle(t *testing.T) {
	for says, change := range map[string]func(*cloud.Google){
		"":                     func(*cloud.Google) {},
		"is no project's id":   func(g *cloud.Google) { g.Project = "../evil" },
		"none of Google's":     func(g *cloud.Google) { g.Zone = "europe-west1-b/../x" },
		"no instance's name":   func(g *cloud.Google) { g.Instance = "Agent 1" },
		"between 1 and":        func(g *cloud.Google) { g.From = nil },
		"is no network":        func(g *cloud.Google) { g.From = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} },
		"zone \"\" is none of": func(g *cloud.Google) { g.Zone = "" },
	} {
		g := atGoogle()
		change(&g)
		if err := g.Check(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", g, err, says)
		}
	}
}
