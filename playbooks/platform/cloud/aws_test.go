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
	"clawback/playbooks/platform/cloud/ec2fake"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	desk   = "203.0.113.7"
	thief  = "198.51.100.9"
	caseID = "INC-20261123-0312"
)

// region is a simulated region with one instance of the agent's.
type region struct {
	*ec2fake.Fake
	net      *fake.Network
	subnet   string
	instance string
	was      string // its security group
	intents  [][]incident.PlatformWas
	id, key  string // what the desk signs with
}

// inRegion runs a test in virtual time.
func inRegion(t *testing.T, run func(t *testing.T, r *region)) {
	synctest.Test(t, func(t *testing.T) {
		f := ec2fake.New(fake.Wall{}, "AKIA"+rand.Text()[:16], rand.Text()+rand.Text()[:14])
		f.Token = rand.Text()
		r := &region{Fake: f, net: fake.NewNetwork(), id: f.KeyID, key: f.Secret}
		r.net.Handle("ec2."+ec2fake.Region+".amazonaws.com", f)
		defer func() { _ = r.net.Close() }()
		r.subnet, r.was = f.AddSubnet(), f.AddGroup("web", 22)
		r.instance = f.AddInstance(r.subnet, 2, r.was)
		run(t, r)
	})
}

func (r *region) env() revoke.Env {
	return revoke.Env{
		HTTP: r.net.Client(), Sleep: fake.Wall{}.Sleep, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			return revoke.Authority{Kind: "aws.access_key", From: "test", Secret: credential.NewSecret(map[string]string{
				"access_key_id": r.id, "secret_access_key": r.key, "session_token": r.Token})}, nil
		},
	}
}

type wall interface {
	platform.Wall
	platform.Disks
}

func (r *region) machine(t *testing.T, change ...func(*cloud.AWS)) wall {
	t.Helper()
	a := cloud.AWS{Instance: r.instance, Region: ec2fake.Region, From: []netip.Prefix{netip.MustParsePrefix(desk + "/32"), netip.MustParsePrefix("2001:db8::7/128")}}
	for _, c := range change {
		c(&a)
	}
	m, err := cloud.NewAWS(a, r.env())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// order holds each change against what is on record of it: nothing is changed before that.
func (r *region) order(t *testing.T) platform.Order {
	return platform.Order{Incident: caseID, Intent: func(was []incident.PlatformWas) error {
		if len(r.intents) == 0 && len(r.Changes()) > 0 {
			t.Errorf("changed before it is on record: %v", r.Changes())
		}
		r.intents = append(r.intents, was)
		return nil
	}}
}

func (r *region) recorded() (all []incident.PlatformWas) {
	for _, i := range r.intents {
		all = append(all, i...)
	}
	return all
}

var (
	deskIn    = ec2fake.Packet{Far: desk, Local: 22, Remote: 50000}
	deskReply = ec2fake.Packet{Out: true, Far: desk, Local: 22, Remote: 50000, Tracked: true}
	deskIn6   = ec2fake.Packet{Far: "2001:db8::7", Local: 22, Remote: 50000}
	deskOther = ec2fake.Packet{Far: desk, Local: 80, Remote: 50000}
	thiefIn   = ec2fake.Packet{Far: thief, Local: 22, Remote: 50000}
	out       = ec2fake.Packet{Out: true, Far: thief, Local: 40000, Remote: 443}
	out6      = ec2fake.Packet{Out: true, Far: "2001:db8:1::9", Local: 40000, Remote: 443}
	openOut   = ec2fake.Packet{Out: true, Far: thief, Local: 40000, Remote: 443, Tracked: true}
)

func (r *region) packets(t *testing.T, want bool, packets ...ec2fake.Packet) {
	t.Helper()
	for _, p := range packets {
		if r.Passes(r.instance, p) != want {
			t.Errorf("packet %+v passes: %v", p, !want)
		}
	}
}

func TestIsolateAWS(t *testing.T) {
	inRegion(t, func(t *testing.T, r *region) {
		m := r.machine(t)
		r.packets(t, true, deskIn, thiefIn, out, openOut)
		was := r.ACL(r.subnet)
		got, err := m.Isolate(t.Context(), r.order(t))
		if err != nil {
			t.Fatal(err)
		}
		r.packets(t, true, deskIn, deskReply, deskIn6)
		r.packets(t, false, thiefIn, out, out6, openOut, deskOther)
		if want := []incident.PlatformWas{{Kind: "interface", ID: r.recorded()[0].ID, Was: []string{r.was}}, {Kind: "subnet", ID: r.subnet, Was: []string{was}}}; len(r.intents) != 1 || len(r.recorded()) != 2 ||
			r.recorded()[0].String() != want[0].String() || r.recorded()[1].String() != want[1].String() {
			t.Errorf("on record: %v, want %v", r.intents, want)
		}
		if len(got.Proof) != 3 || len(got.Left) != 1 || !strings.Contains(got.Left[0], "DNS") {
			t.Errorf("proof %q, left %q", got.Proof, got.Left)
		}

		// A second run changes nothing, and does not take the isolation for how it was.
		changes := len(r.Changes())
		if _, err := m.Isolate(t.Context(), r.order(t)); err != nil || len(r.Changes()) != changes || len(r.recorded()) != 2 {
			t.Errorf("again: %v, %v, %v", err, r.Changes()[changes:], r.intents)
		}

		groups, acls, _ := r.Things()
		back, err := m.Restore(t.Context(), caseID, r.recorded())
		if err != nil || len(back.Left) > 0 || len(back.Proof) != 2 {
			t.Fatalf("Restore: %v, %+v", err, back)
		}
		r.packets(t, true, deskIn, thiefIn, out, openOut)
		if g, a, _ := r.Things(); g != groups-1 || a != acls-1 || r.ACL(r.subnet) != was || !slices.Equal(r.Groups(r.instance)[0], []string{r.was}) {
			t.Errorf("%d groups and %d ACLs are left, %s, %v", g, a, r.ACL(r.subnet), r.Groups(r.instance))
		}
	})
}

// A subnet with others in it keeps its ACL, which is said: an open connection goes on.
func TestIsolateAWSBesideOthers(t *testing.T) {
	inRegion(t, func(t *testing.T, r *region) {
		other := r.AddInstance(r.subnet, 1, r.was)
		r.Tag(r.instance, "aws:autoscaling:groupName", "agents")
		r.Role(r.instance, "arn:aws:iam::123456789012:instance-profile/agent")
		got, err := r.machine(t).Isolate(t.Context(), r.order(t))
		if err != nil {
			t.Fatal(err)
		}
		r.packets(t, false, thiefIn, out)
		r.packets(t, true, openOut, deskIn)
		left := strings.Join(got.Left, "\n")
		for _, says := range []string{"connections that were open stay", "whole_subnet", "Auto Scaling group agents", "credentials of agent"} {
			if !strings.Contains(left, says) {
				t.Errorf("left does not say %q: %s", says, left)
			}
		}
		if !r.Passes(other, out) || !slices.Equal(r.Groups(other)[0], []string{r.was}) {
			t.Error("another machine was cut off")
		}

		whole := r.machine(t, func(a *cloud.AWS) { a.WholeSubnet = true })
		if _, err := whole.Isolate(t.Context(), r.order(t)); err != nil {
			t.Fatal(err)
		}
		r.packets(t, false, openOut)
		if r.Passes(other, out) {
			t.Error("the whole subnet was not cut off")
		}
		if _, err := whole.Restore(t.Context(), caseID, r.recorded()); err != nil || !r.Passes(other, out) {
			t.Errorf("Restore: %v", err)
		}
	})
}

// What goes wrong at AWS, and what is said of it.
func TestIsolateAWSTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*region)
		fails string // "" for success
		hold  bool   // it holds nevertheless
	}{
		"it is throttled":              {fault: func(r *region) { r.Throttled = 3 }, hold: true},
		"it shows late":                {fault: func(r *region) { r.Stale = 3 }, hold: true},
		"the answer is lost":           {fault: func(r *region) { r.Lost["ModifyNetworkInterfaceAttribute"] = true }, hold: true},
		"the group's answer is lost":   {fault: func(r *region) { r.Lost["CreateSecurityGroup"] = true }, hold: true},
		"the ACL's answer is lost":     {fault: func(r *region) { r.Lost["ReplaceNetworkAclAssociation"] = true }, hold: true},
		"a group of that name":         {fault: func(r *region) { r.AddGroup("clawback "+caseID+" "+r.instance, 4444) }, hold: true},
		"it never shows":               {fault: func(r *region) { r.Stale = 1000 }, fails: "not seen isolated after"},
		"it may not look":              {fault: func(r *region) { r.Denied["DescribeInstances"] = true }, fails: "UnauthorizedOperation"},
		"it may not change":            {fault: func(r *region) { r.Denied["ModifyNetworkInterfaceAttribute"] = true }, fails: "403 UnauthorizedOperation"},
		"the key is refused":           {fault: func(r *region) { r.KeyID += "X" }, fails: "AuthFailure"},
		"the signature is wrong":       {fault: func(r *region) { r.Secret = rand.Text() }, fails: "AuthFailure"},
		"the instance is gone":         {fault: func(r *region) { r.instance = "i-0000000000000dead" }, fails: "InvalidInstanceID.NotFound"},
		"more than can be waited for":  {fault: func(r *region) { r.Throttled = 1 << 20 }, fails: "RequestLimitExceeded"},
		"a second interface in hiding": {fault: func(r *region) { r.Attach(r.instance, r.AddSubnet(), r.was) }, hold: true},
	} {
		t.Run(name, func(t *testing.T) {
			inRegion(t, func(t *testing.T, r *region) {
				victim := r.instance
				c.fault(r)
				m := r.machine(t)
				_, err := m.Isolate(t.Context(), r.order(t))
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("Isolate: %v, want %q", err, c.fails)
				}
				if err != nil && strings.Contains(err.Error(), r.key[:8]) {
					t.Error("the error quotes the secret")
				}
				r.instance = victim
				if c.hold {
					r.packets(t, false, thiefIn, out, openOut)
					r.packets(t, true, deskIn)
					if _, err := m.Restore(t.Context(), caseID, r.recorded()); err != nil {
						t.Errorf("Restore: %v", err)
					}
					r.packets(t, true, thiefIn, out)
				}
			})
		})
	}
}

// An intent that is not on record changes nothing.
func TestIsolateAWSWithoutRecord(t *testing.T) {
	inRegion(t, func(t *testing.T, r *region) {
		lost := errors.New("the disk is full")
		_, err := r.machine(t).Isolate(t.Context(), platform.Order{Incident: caseID, Intent: func([]incident.PlatformWas) error { return lost }})
		if !errors.Is(err, lost) || len(r.Changes()) > 0 {
			t.Errorf("%v, %v", err, r.Changes())
		}
	})
}

// A clock that is off is no reason to leave a machine connected.
func TestAWSClock(t *testing.T) {
	inRegion(t, func(t *testing.T, r *region) {
		env := r.env()
		env.Now = func() time.Time { return time.Now().Add(-40 * time.Minute) }
		m, err := cloud.NewAWS(cloud.AWS{Instance: r.instance, Region: ec2fake.Region, From: []netip.Prefix{netip.MustParsePrefix(desk + "/32")}}, env)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Isolate(t.Context(), r.order(t)); err != nil {
			t.Error(err)
		}
		r.packets(t, false, out)
	})
}

// Nothing is sent without an authority, nor by a client that refuses.
func TestAWSSendsNothing(t *testing.T) {
	inRegion(t, func(t *testing.T, r *region) {
		a := cloud.AWS{Instance: r.instance, Region: ec2fake.Region, From: []netip.Prefix{netip.MustParsePrefix(desk + "/32")}}
		none := r.env()
		none.Authority = func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, revoke.ErrNoAuthority }
		dry := r.env()
		dry.HTTP = revoke.NewClient(revoke.Refuse{})
		for says, env := range map[string]revoke.Env{"no authority": none, "dry run": dry} {
			m, err := cloud.NewAWS(a, env)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Isolate(t.Context(), r.order(t)); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		if len(r.Calls()) > 0 || len(r.intents) > 0 {
			t.Errorf("sent: %v", r.Calls())
		}
	})
}

func TestCheckAWS(t *testing.T) {
	at := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	for says, a := range map[string]cloud.AWS{
		"is no i-…":       {Instance: "web-1", Region: "eu-west-1", From: at},
		"none of AWS's":   {Instance: "i-0123456789abcdef0", Region: "eu-west-1.evil.test", From: at},
		"between 1 and":   {Instance: "i-0123456789abcdef0", Region: "eu-west-1"},
		"is no network":   {Instance: "i-0123456789abcdef0", Region: "us-gov-west-1", From: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		"203.0.113.7/24":  {Instance: "i-0123456789abcdef0", Region: "us-gov-west-1", From: []netip.Prefix{netip.MustParsePrefix("203.0.113.7/24")}},
		"":                {Instance: "i-0123456789abcdef0", Region: "us-gov-west-1", From: at},
		"region \"\" is ": {Instance: "i-0123456789abcdef0", From: at},
	} {
		if err := a.Check(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", a, err, says)
		}
	}
}

func TestSnapshots(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*region)
		wait  time.Duration
		state string
		left  int
		fails string
		made  int
	}{
		"all of them":        {fault: func(*region) {}, wait: time.Hour, state: "completed", made: 2},
		"slowly":             {fault: func(r *region) { r.Copying = time.Minute }, wait: time.Hour, state: "completed", made: 2},
		"not in time":        {fault: func(r *region) { r.Copying = time.Hour }, wait: time.Minute, state: "pending", made: 2},
		"they fail":          {fault: func(r *region) { r.FailCopy = true }, wait: time.Hour, left: 2, made: 2},
		"the answer is lost": {fault: func(r *region) { r.Lost["CreateSnapshots"] = true }, wait: time.Hour, state: "completed", made: 2},
		"it is refused":      {fault: func(r *region) { r.Denied["CreateSnapshots"] = true }, wait: time.Hour, fails: "UnauthorizedOperation"},
		"nobody may look":    {fault: func(r *region) { r.Denied["DescribeSnapshots"] = true }, wait: time.Hour, fails: "UnauthorizedOperation"},
	} {
		t.Run(name, func(t *testing.T) {
			inRegion(t, func(t *testing.T, r *region) {
				c.fault(r)
				m := r.machine(t)
				var asked [][]string
				intent := func(volumes []string) error {
					if len(r.Changes()) > 0 {
						t.Error("asked for before it is on record")
					}
					asked = append(asked, volumes)
					return nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.wait)
				defer cancel()
				got, err := m.Snapshot(ctx, caseID, intent)
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("%v, want %q", err, c.fails)
				}
				if _, _, made := r.Things(); made != c.made || len(got.Left) != c.left && err == nil {
					t.Errorf("%d were made, %+v", made, got)
				}
				for _, d := range got.Disks {
					if d.State != c.state || d.GB != 8 || !d.Encrypted || d.Started == "" {
						t.Errorf("%+v", d)
					}
				}
				if err != nil || c.left > 0 {
					return
				}
				// What is there already is not made again.
				time.Sleep(2 * time.Hour)
				again, err := m.Snapshot(t.Context(), caseID, intent)
				if _, _, made := r.Things(); err != nil || made != c.made || len(asked) != 1 || len(asked[0]) != 2 || !again.Disks[0].Completed() {
					t.Errorf("again: %v, %d, %v, %+v", err, made, asked, again)
				}
			})
		})
	}
}
