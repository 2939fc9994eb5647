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
	"clawback/playbooks/platform/cloud/armfake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// subscription is a simulated one with one machine of the agent's.
type subscription struct {
	*armfake.Fake
	net     *fake.Network
	token   string
	part    string
	intents [][]incident.PlatformWas
}

// inSubscription runs a test in virtual time.
func inSubscription(t *testing.T, run func(t *testing.T, s *subscription)) {
	synctest.Test(t, func(t *testing.T) {
		token := "eyJ0." + rand.Text() + rand.Text()
		s := &subscription{Fake: armfake.New(fake.Wall{}, token), net: fake.NewNetwork(), token: token, part: "management"}
		s.net.Handle("management.azure.com", s.Fake)
		defer func() { _ = s.net.Close() }()
		s.AddGroup("web", 22)
		s.AddMachine(agent, "web", "")
		run(t, s)
	})
}

func (s *subscription) env() revoke.Env {
	return revoke.Env{HTTP: s.net.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Kind: "azure.access_token", From: "test", Secret: credential.NewSecret(map[string]string{"value": "of Graph", s.part: s.token})}, nil
		},
	}
}

func atAzure() cloud.Azure {
	return cloud.Azure{Subscription: armfake.Subscription, Group: armfake.Group, VM: agent,
		From: []netip.Prefix{netip.MustParsePrefix(desk + "/32"), netip.MustParsePrefix("2001:db8::7/128")}}
}

func (s *subscription) machine(t *testing.T, change ...func(*cloud.Azure)) platform.Wall {
	t.Helper()
	a := atAzure()
	for _, c := range change {
		c(&a)
	}
	m, err := cloud.NewAzure(a, s.env())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *subscription) order(t *testing.T) platform.Order {
	return platform.Order{Incident: caseID, Intent: func(was []incident.PlatformWas) error {
		if len(s.intents) == 0 && len(s.Changes()) > 0 {
			t.Errorf("changed before it is on record: %v", s.Changes())
		}
		s.intents = append(s.intents, was)
		return nil
	}}
}

func (s *subscription) recorded() (all []incident.PlatformWas) {
	for _, i := range s.intents {
		all = append(all, i...)
	}
	return all
}

var (
	aDesk  = armfake.Packet{Far: desk, Port: 22}
	aDesk6 = armfake.Packet{Far: "2001:db8::7", Port: 22}
	aWeb   = armfake.Packet{Far: desk, Port: 80}
	aThief = armfake.Packet{Far: thief, Port: 22}
	aOut   = armfake.Packet{Out: true, Far: thief, Port: 443}
	aOut6  = armfake.Packet{Out: true, Far: "2001:db8:1::9", Port: 443}
	aNames = armfake.Packet{Out: true, Far: "AzurePlatformDNS", Port: 53}
	aMeta  = armfake.Packet{Out: true, Far: "AzurePlatformIMDS", Port: 80}
)

func (s *subscription) packets(t *testing.T, want bool, packets ...armfake.Packet) {
	t.Helper()
	for _, p := range packets {
		if s.Passes(agent, p) != want {
			t.Errorf("packet %+v passes: %v", p, !want)
		}
	}
}

func (s *subscription) asBefore(t *testing.T) {
	t.Helper()
	if !slices.Equal(s.Of(agent), []string{"web", ""}) || len(s.Groups()) != 1 || s.Tags(agent + "-nic0")["owner"] != "web" {
		t.Errorf("%v, %v, %v", s.Of(agent), s.Groups(), s.Tags(agent+"-nic0"))
	}
}

func TestIsolateAzure(t *testing.T) {
	inSubscription(t, func(t *testing.T, s *subscription) {
		s.AddMachine("other-1", "web")
		s.Describe(agent, "SystemAssigned", "agents-set")
		s.Slow = 10 * time.Second
		m := s.machine(t)
		s.packets(t, true, aDesk, aThief, aOut, aNames, aMeta)
		got, err := m.Isolate(t.Context(), s.order(t))
		if err != nil {
			t.Fatal(err)
		}
		s.packets(t, true, aDesk, aDesk6)
		s.packets(t, false, aWeb, aThief, aOut, aOut6, aNames, aMeta)
		if !s.Passes("other-1", aThief) {
			t.Error("another machine was cut off")
		}
		was := s.recorded()
		if len(s.intents) != 1 || len(was) != 2 || was[0].String() != "interface "+armfake.ID("networkInterfaces", agent+"-nic0")+": "+armfake.ID("networkSecurityGroups", "web") ||
			!strings.HasSuffix(was[1].String(), "-nic1: none") {
			t.Errorf("on record: %v", s.intents)
		}
		left := strings.Join(got.Left, "\n")
		for _, says := range []string{"connections that were open go on", "deallocating", "security admin rules", "managed identity (SystemAssigned)", "scale set agents-set"} {
			if !strings.Contains(left, says) {
				t.Errorf("left does not say %q: %s", says, left)
			}
		}
		if len(got.Proof) != 3 || len(got.Did) != 3 {
			t.Errorf("%+v", got)
		}

		// A second run changes nothing, and does not take the isolation for how it was.
		changes := len(s.Changes())
		if _, err := m.Isolate(t.Context(), s.order(t)); err != nil || len(s.Changes()) != changes || len(s.recorded()) != 2 {
			t.Errorf("again: %v, %v, %v", err, s.Changes()[changes:], s.intents)
		}
		back, err := m.Restore(t.Context(), caseID, was)
		if err != nil || len(back.Left) > 0 || len(back.Proof) != 2 {
			t.Fatalf("Restore: %v, %+v", err, back)
		}
		s.packets(t, true, aThief, aOut, aNames)
		s.asBefore(t)
	})
}

// What goes wrong at Azure, and what is said of it.
func TestIsolateAzureTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*subscription)
		fails string // "" for success
		hold  bool   // it holds nevertheless
	}{
		"it is throttled":             {fault: func(s *subscription) { s.Throttled = 4 }, hold: true},
		"changes are slow":            {fault: func(s *subscription) { s.Slow = 40 * time.Second }, hold: true},
		"followed by Location":        {fault: func(s *subscription) { s.Slow, s.ByLocation = 20*time.Second, true }, hold: true},
		"followed by nobody's":        {fault: func(s *subscription) { s.Slow, s.Elsewhere = 10*time.Second, "https://evil.test" }, hold: true},
		"the group's answer is lost":  {fault: func(s *subscription) { s.Lost["PUT networkSecurityGroups"] = true }, hold: true},
		"the change's answer is lost": {fault: func(s *subscription) { s.Lost["PUT networkInterfaces"] = true }, hold: true},
		"somebody else changes it":    {fault: func(s *subscription) { s.Races = 3 }, hold: true},
		"somebody always changes it":  {fault: func(s *subscription) { s.Races = 1000 }, fails: "412 PreconditionFailed"},
		"the group fails late":        {fault: func(s *subscription) { s.FailsLate["PUT networkSecurityGroups"] = "InternalServerError" }, hold: true},
		"the change fails late":       {fault: func(s *subscription) { s.FailsLate["PUT networkInterfaces"] = "RetryableError" }, hold: true},
		"a change never ends":         {fault: func(s *subscription) { s.Slow = 1000 * time.Hour }, fails: "does not end"},
		"nor does it by Location":     {fault: func(s *subscription) { s.Slow, s.ByLocation = 1000*time.Hour, true }, fails: "does not end"},
		"nobody says whether it ends": {fault: func(s *subscription) { s.Slow, s.Elsewhere = 1000*time.Hour, "https://evil.test" }, fails: "not seen isolated after"},
		"it may not look":             {fault: func(s *subscription) { s.Denied["GET virtualMachines"] = true }, fails: "403 AuthorizationFailed"},
		"it may not change":           {fault: func(s *subscription) { s.Denied["PUT networkInterfaces"] = true }, fails: "networkInterfaces put: 403 AuthorizationFailed"},
		"it may not make a group":     {fault: func(s *subscription) { s.Denied["PUT networkSecurityGroups"] = true }, fails: "networkSecurityGroups put: 403"},
		"the token ran out":           {fault: func(s *subscription) { s.Token = "another" }, fails: "401 InvalidAuthenticationToken"},
		"the token is for Graph":      {fault: func(s *subscription) { s.part = "vault" }, fails: "gives no access token for Azure's Resource Manager"},
		"more than can be waited for": {fault: func(s *subscription) { s.Throttled = 1 << 20 }, fails: "429 TooManyRequests"},
	} {
		t.Run(name, func(t *testing.T) {
			inSubscription(t, func(t *testing.T, s *subscription) {
				c.fault(s)
				m := s.machine(t)
				got, err := m.Isolate(t.Context(), s.order(t))
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("Isolate: %v, want %q", err, c.fails)
				}
				if err != nil && strings.Contains(err.Error(), s.token[5:13]) {
					t.Error("the error quotes the token")
				}
				if err == nil && (len(got.Proof) != 3 || len(got.Did) == 0) {
					t.Errorf("%+v", got)
				}
				if c.hold {
					if len(s.recorded()) != 2 {
						t.Errorf("on record: %v", s.intents)
					}
					s.packets(t, false, aThief, aOut, aOut6, aNames)
					s.packets(t, true, aDesk)
					if _, err := m.Restore(t.Context(), caseID, s.recorded()); err != nil {
						t.Errorf("Restore: %v", err)
					}
					if s.Elsewhere != "" { // nobody can be asked whether it is gone
						time.Sleep(time.Minute)
						s.Fake.Settle()
					}
					s.asBefore(t)
				}
			})
		})
	}
}

// A group that somebody changed is set right by the next run, and a desk that moved gets in from its
// new address alone.
func TestIsolateAzureAgain(t *testing.T) {
	inSubscription(t, func(t *testing.T, s *subscription) {
		if _, err := s.machine(t).Isolate(t.Context(), s.order(t)); err != nil {
			t.Fatal(err)
		}
		s.AddGroup(s.Of(agent)[0], 4444)
		s.packets(t, true, aOut)
		moved := s.machine(t, func(a *cloud.Azure) { a.From = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
		if _, err := moved.Isolate(t.Context(), s.order(t)); err != nil {
			t.Fatal(err)
		}
		s.packets(t, false, aOut, aDesk, aDesk6)
		s.packets(t, true, armfake.Packet{Far: "192.0.2.1", Port: 22})
		if len(s.intents) != 2 || len(s.recorded()) != 2 {
			t.Errorf("on record: %v", s.intents)
		}
	})
}

// What cannot be given back is said.
func TestRestoreAzureTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fault       func(*subscription)
		fails, left string
	}{
		"the group cannot be deleted": {func(s *subscription) { s.Denied["DELETE networkSecurityGroups"] = true }, "", "which nothing uses"},
		"the group's end fails":       {func(s *subscription) { s.FailsLate["DELETE networkSecurityGroups"] = "InternalServerError" }, "", "which nothing uses"},
		"it may not give it back":     {func(s *subscription) { s.Denied["PUT networkInterfaces"] = true }, "403 AuthorizationFailed", agent + "-nic0"},
		"it is given back late":       {func(s *subscription) { s.Races = 2 }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inSubscription(t, func(t *testing.T, s *subscription) {
				m := s.machine(t)
				if _, err := m.Isolate(t.Context(), s.order(t)); err != nil {
					t.Fatal(err)
				}
				c.fault(s)
				back, err := m.Restore(t.Context(), caseID, s.recorded())
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) || !strings.Contains(strings.Join(back.Left, "\n"), c.left) || c.left == "" && len(back.Left) > 0 {
					t.Errorf("%v, %+v", err, back)
				}
			})
		})
	}
}

// What is on record is sent, whoever interrupts it.
func TestIsolateAzureInterrupted(t *testing.T) {
	inSubscription(t, func(t *testing.T, s *subscription) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.machine(t).Isolate(ctx, platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { cancel(); return nil }})
		if !errors.Is(err, context.Canceled) || len(s.Changes()) != 1 {
			t.Errorf("%v, %v", err, s.Changes())
		}
	})
}

// Nothing is changed without a record, sent without an authority, or by a client that refuses.
func TestAzureSendsNothing(t *testing.T) {
	inSubscription(t, func(t *testing.T, s *subscription) {
		lost := errors.New("the disk is full")
		_, err := s.machine(t).Isolate(t.Context(), platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { return lost }})
		if !errors.Is(err, lost) || len(s.Changes()) > 0 {
			t.Errorf("%v, %v", err, s.Changes())
		}
		before := len(s.Calls())
		none, dry := s.env(), s.env()
		none.Authority = func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, revoke.ErrNoAuthority }
		dry.HTTP = revoke.NewClient(revoke.Refuse{})
		for says, env := range map[string]revoke.Env{"no authority": none, "dry run": dry} {
			m, err := cloud.NewAzure(atAzure(), env)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Isolate(t.Context(), s.order(t)); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		if len(s.Calls()) > before || len(s.intents) > 0 {
			t.Errorf("sent: %v", s.Calls()[before:])
		}
	})
}

func TestCheckAzure(t *testing.T) {
	for says, change := range map[string]func(*cloud.Azure){
		"":                         func(*cloud.Azure) {},
		"is no subscription's id":  func(a *cloud.Azure) { a.Subscription = "../evil" },
		"no resource group's name": func(a *cloud.Azure) { a.Group = "../x" },
		"group \"..\" is no":       func(a *cloud.Azure) { a.Group = ".." },
		"no machine's name":        func(a *cloud.Azure) { a.VM = "agent/1" },
		"between 1 and":            func(a *cloud.Azure) { a.From = nil },
	} {
		a := atAzure()
		change(&a)
		if err := a.Check(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", a, err, says)
		}
	}
}
