package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/fake"
)

// hang makes a provider that never answers.
func hang(*http.Request) fake.Fault { return fake.Fault{Hang: true} }

// Every way in which a response can end, each by a real process whose summary and record agree
// with its exit code (see ended.check). Refusals are in testdata/script/exit-codes.txtar.
func TestRealExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		holds []string
		args  []string
		city  func(*city)
		want  int
		says  string
		count incident.CredentialCount
	}{
		{name: "nothing was held", want: 0, says: "contained"},
		{name: "a webhook that no authority can delete", holds: []string{"stripe.webhook_secret"}, want: 4,
			says: "name an authority for stripe", count: incident.CredentialCount{Total: 1, Failed: 1}},
		{name: "an AWS key and no authority", holds: []string{"aws.access_key"}, want: 4,
			says: "name an authority for aws", count: incident.CredentialCount{Total: 1, Failed: 1}},
		{name: "only a person can", holds: []string{"stripe.api_key"}, want: 6,
			says: "dashboard.stripe.com", count: incident.CredentialCount{Total: 1, Manual: 1}},
		{name: "accepted and never carried out", holds: []string{"slack.bot"}, args: []string{"--deadline", "70s"},
			city: func(c *city) { c.fakes["slack"].Knobs().SetStayAlive(true) }, want: 3,
			says: "alive", count: incident.CredentialCount{Total: 1, Alive: 1}},
		{name: "the deadline came before the proof", holds: []string{"slack.bot"}, args: []string{"--deadline", shortDeadline}, want: 5,
			says: "longer --deadline", count: incident.CredentialCount{Total: 1, Unverified: 1}},
		{name: "a provider that refuses to revoke", holds: []string{"slack.bot"}, args: []string{"--deadline", "20s"},
			city: func(c *city) {
				c.fakes["slack"].Knobs().SetFault(func(r *http.Request) fake.Fault {
					if strings.HasSuffix(r.URL.Path, "auth.revoke") {
						return fake.Fault{Status: 200, Type: "application/json", Body: `{"ok":false,"error":"user_is_restricted"}`}
					}
					return fake.Fault{}
				})
			}, want: 3, says: "user_is_restricted", count: incident.CredentialCount{Total: 1, Failed: 1}},
		{name: "an endpoint that hangs", holds: []string{"slack.bot", "slack.user"}, args: []string{"--deadline", shortDeadline},
			city: func(c *city) { c.fakes["slack"].Knobs().SetFault(hang) }, want: 5,
			says: "the deadline has passed", count: incident.CredentialCount{Total: 2, Unverified: 2}},
		{name: "an endpoint that hangs, beside what is not its own", holds: []string{"slack.bot", "stripe.api_key", "aws.access_key"},
			args: []string{"--deadline", shortDeadline}, city: func(c *city) { c.fakes["slack"].Knobs().SetFault(hang) }, want: 4,
			says: "longer --deadline", count: incident.CredentialCount{Total: 3, Manual: 1, Failed: 1, Unverified: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := unlessBusy(t, func() ended {
				d := newDesk(t)
				d.hold(c.holds...)
				if c.city != nil {
					c.city(d.city)
				}
				return d.kill(c.args...)
			})
			r.wants(t, c.want, c.says)
			if r.summary.Credentials != c.count {
				t.Errorf("credentials %+v, want %+v\n%s", r.summary.Credentials, c.count, r.stderr)
			}
			if !r.summary.Agent.Down || !r.summary.Evidence.Sealed {
				t.Errorf("agent down %v, evidence sealed %v", r.summary.Agent.Down, r.summary.Evidence.Sealed)
			}
			if c.want != 0 && bytes.Contains(r.stderr, []byte(" contained ")) {
				t.Errorf("it says contained\n%s", r.stderr)
			}
		})
	}
}

// An authority that is there is not used on a machine on which the agent runs, unless the
// responder takes that upon them; then it is lost, and stands on the board.
func TestRealAuthorityOnSuspectHost(t *testing.T) {
	t.Parallel()
	for _, accepted := range []bool{false, true} {
		r := unlessBusy(t, func() ended {
			d := newDesk(t)
			held := d.hold("aws.access_key")
			d.authorise()
			agent := startTree(t, d, "--alone")
			args := []string{"--deadline", shortDeadline}
			if accepted {
				args = append(args, "--accept-risk", "authority-on-suspect-host")
			}
			r := d.kill(args...)
			agent.gone(t)
			if alive := d.city.fakes["aws"].Alive(held[0]); alive == accepted {
				t.Errorf("accepted %v, and the key is alive: %v", accepted, alive)
			}
			return r
		})
		if !accepted {
			r.wants(t, 4, "--accept-risk authority-on-suspect-host")
			continue
		}
		r.wants(t, 5, "rotate it from another machine")
		if want := (incident.CredentialCount{Total: 2, Manual: 1, Unverified: 1}); r.summary.Credentials != want {
			t.Errorf("credentials %+v, want %+v", r.summary.Credentials, want)
		}
	}
}

// Two responders at one target: the second is refused, and told by whom.
func TestRealLock(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.hold("slack.bot")
	asked := make(chan struct{}, 100)
	d.city.fakes["slack"].Knobs().SetFault(func(*http.Request) fake.Fault {
		asked <- struct{}{}
		return fake.Fault{Hang: true}
	})
	first := d.start(d.command(d.killArgs("--deadline", "6s")...))
	select {
	case <-asked: // it holds the lock, and works
	case <-time.After(time.Minute):
		t.Fatal("the first never asked the provider")
	}
	second := d.run(d.command(d.killArgs()...))
	second.wants(t, incident.ExitLocked, "locked by tester", "hint: wait for them")
	if len(second.stdout) > 0 {
		t.Errorf("a refusal has no record: %s", second.stdout)
	}
	// The same disk by another name is the same target.
	link := d.dir + "/other"
	if err := os.Symlink(d.root, link); err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{d.root + "/", d.root + "/../disk", link, "disk"} {
		args := append([]string{"kill", "--yes", "--root", same}, d.city.args...)
		third := d.run(d.command(args...))
		third.wants(t, incident.ExitLocked, "locked by tester")
	}
	r := first.wait()
	r.check(t)
	if !r.busy() {
		r.wants(t, incident.ExitUnproved)
	}
}
