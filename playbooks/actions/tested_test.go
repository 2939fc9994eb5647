package actions

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/playbooks/containment"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// looking gives a response readers over a network of these fakes, and counts what is sent by them.
func looking(t *testing.T, r *Response, fakes map[string]fake.Provider) *atomic.Int64 {
	t.Helper()
	var all []fake.Provider
	for _, f := range fakes {
		all = append(all, f)
	}
	network := fake.NewNetwork(all...)
	t.Cleanup(func() { _ = network.Close() })
	var sent atomic.Int64
	var err error
	r.Readers, err = providers.Readers(func(string) revoke.Env {
		client := *network.Client()
		client.Transport = counted{client.Transport, &sent}
		return revoke.Env{HTTP: &client, Sleep: r.Clock.Sleep, Now: r.Clock.Now}
	})
	if err != nil {
		t.Fatal(err)
	}
	return &sent
}

// counted counts what is sent.
type counted struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// own makes an authority be loaded from a place that can be changed.
func own(r *Response, c credential.Credential) *atomic.Pointer[credential.Credential] {
	var place atomic.Pointer[credential.Credential]
	place.Store(&c)
	if r.Authorities.Load == nil {
		r.Authorities.Load = make(map[string]func(context.Context) (revoke.Authority, error))
	}
	r.Authorities.Load[c.Provider] = func(context.Context) (revoke.Authority, error) {
		now := place.Load()
		return revoke.Authority{Secret: now.Secret, Kind: now.Kind, From: "file /" + c.Provider}, nil
	}
	return &place
}

func authorityOf(t *testing.T, f fake.Provider) credential.Credential {
	t.Helper()
	c, ok := f.MintAuthority()
	if !ok {
		t.Fatalf("%s has no authority", f.Name())
	}
	return c
}

// Each authority is tested beside freeze and search, by reads alone, and one that hangs holds up
// nothing. What is expired or missing is on record before the first revocation, with how to renew it.
func TestAuthoritiesAreTested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		a := newAttended(t, h, "agent.freeze", "credentials.discover", "credentials.revoke")
		r := a.r
		stripe, expired := authorityOf(t, a.fakes["stripe"]), authorityOf(t, a.fakes["google"])
		own(r, stripe)
		own(r, expired)
		own(r, authorityOf(t, a.fakes["discord"]))
		a.fakes["google"].RevokeByHand(expired)
		r.Authorities.Load["aws"] = func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, errBroken }
		r.Authorities.Load["gitlab"] = func(ctx context.Context) (revoke.Authority, error) {
			<-ctx.Done()
			return revoke.Authority{}, ctx.Err()
		}
		r.Authorities.Renewal = map[string]string{"google": "gcloud auth login"}
		forgot := false
		r.Authorities.Forget = map[string]func(){"google": func() { forgot = true }}
		sent := looking(t, r, a.fakes)
		hook := a.fakes["stripe"].Mint("stripe.webhook_secret")
		h.discover = func(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
			_ = r.Clock.Sleep(ctx, authorityWait+time.Second) // a search that takes its time
			if s := a.now(); len(s.Authorities) != 5 {
				t.Errorf("%d were tested while the search went on", len(s.Authorities))
			}
			found(foundAt(hook, "a"))
			return discover.Summary{Files: 1}, nil
		}
		h.freeze = func(ctx context.Context) (containment.Frozen, error) {
			_ = r.Clock.Sleep(ctx, 100*time.Millisecond)
			if n := sent.Load(); n > 0 {
				t.Errorf("%d requests of a test went beside the freeze", n)
			}
			return containment.Frozen{}, nil
		}
		began := r.Clock.Now()
		s := a.carry()
		if froze := s.FrozenAt.Sub(began); froze > time.Second {
			t.Errorf("frozen after %v", froze)
		}
		for name, want := range map[string]incident.Authority{
			"stripe":  {Outcome: incident.AuthorityUsable, From: "file /stripe", Who: "200 balance in live mode"},
			"google":  {Outcome: incident.AuthorityRefused, From: "file /google", Answer: "400 invalid_token", Hint: "gcloud auth login; it is read again"},
			"discord": {Outcome: incident.AuthorityUntested, From: "file /discord", Answer: "not asked"},
			"aws":     {Outcome: incident.AuthorityMissing, Answer: errBroken.Error(), Hint: "renew it where it is kept"},
			"gitlab":  {Outcome: incident.AuthorityUnreachable, Answer: "not loaded within 10s"},
		} {
			got := s.Authorities[name]
			if got.Outcome != want.Outcome || got.From != want.From || !strings.Contains(got.Who, want.Who) ||
				!strings.Contains(got.Answer, want.Answer) || !strings.Contains(got.Hint, want.Hint) || got.Bad() != (got.Hint != "") {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
		if !forgot {
			t.Error("what was refused is remembered")
		}
		if c := s.Credentials[0]; c.Life != credential.Dead {
			t.Errorf("the agent's is %s, %s", c.Life, c.Error)
		}
		a.nowhere(stripe, expired, hook)
	})
}

// An authority that expired blocks its own rows alone. Renewed in the middle of the run it is tested
// again when somebody wants such a row tried again, and the row dies.
func TestAuthorityIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		a := newAttended(t, h, "credentials.discover", "credentials.revoke", "person.guide")
		a.e.Playbook.Phases[0].Steps[2].With = map[string]any{"text": "rest"}
		expired := authorityOf(t, a.fakes["stripe"])
		place := own(a.r, expired)
		a.fakes["stripe"].RevokeByHand(expired)
		looking(t, a.r, a.fakes)
		hook, bot := a.fakes["stripe"].Mint("stripe.webhook_secret"), a.fakes["slack"].Mint("slack.bot")
		h.discover = finds(foundAt(hook, "a"), foundAt(bot, "b"))
		of := func(s incident.State, c credential.Credential) *incident.Credential {
			return s.Credential(a.r.Key.Identify(c).Fingerprint)
		}
		a.asked = func(incident.Question) {
			s := a.now()
			if c := of(s, hook); c.Life != credential.Failed || c.Reason != incident.ReasonAuthority {
				t.Errorf("with an expired authority it is %s (%s), %s", c.Life, c.Reason, c.Error)
			}
			if c := of(s, bot); c.Life != credential.Dead {
				t.Errorf("what needs no authority is %s, %s", c.Life, c.Error)
			}
			if got := s.Authorities["stripe"]; got.Outcome != incident.AuthorityRefused {
				t.Errorf("the expired one was %+v", got)
			}
			renewed := authorityOf(t, a.fakes["stripe"])
			place.Store(&renewed)
			if err := a.tell(incident.Retry, "", hook); err != nil {
				t.Error(err)
			}
			_ = a.r.Clock.Sleep(t.Context(), 5*time.Minute)
		}
		s := a.carry()
		if c := of(s, hook); c.Life != credential.Dead {
			t.Errorf("with the renewed one it is %s (%s), %s", c.Life, c.Reason, c.Error)
		}
		if got := s.Authorities["stripe"]; got.Outcome != incident.AuthorityUsable {
			t.Errorf("the renewed one is %+v", got)
		}
	})
}

// What the agent's host held is nobody's to be asked with, and on the machine under suspicion nothing
// is loaded for a test.
func TestAuthoritiesThatAreNotTested(t *testing.T) {
	for name, c := range map[string]struct {
		suspect bool
		says    string
	}{"held by the host": {false, "the agent's host held it"}, "suspect": {true, "the machine under suspicion"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				r := newResponse(t, h)
				r.Authorities.Suspect, r.Authorities.Accepted = c.suspect, c.suspect
				fakes := simulated(t, r)
				mine := authorityOf(t, fakes["stripe"])
				own(r, mine)
				searched, load, loads := make(chan struct{}), r.Authorities.Load["stripe"], 0
				r.Authorities.Load["stripe"] = func(ctx context.Context) (revoke.Authority, error) {
					loads++
					<-searched
					return load(ctx)
				}
				sent := looking(t, r, fakes)
				h.discover = func(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
					if !c.suspect {
						found(foundAt(mine, "a"))
						_ = r.Clock.Sleep(ctx, time.Second)
					}
					close(searched)
					_ = r.Clock.Sleep(ctx, time.Second)
					return discover.Summary{Files: 1}, nil
				}
				s := play(t, r, "credentials.discover")
				if got := s.Authorities["stripe"]; got.Outcome != incident.AuthorityUntested || !strings.Contains(got.Answer, c.says) || sent.Load() != 0 {
					t.Errorf("%+v, %d requests", got, sent.Load())
				}
				if c.suspect && loads > 0 {
					t.Error("it was loaded")
				}
			})
		})
	}
}

// A run that ends gives up the tests under way, and records nothing of them.
func TestTestsEndWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResponse(t, &machine{})
		fakes := simulated(t, r)
		own(r, authorityOf(t, fakes["stripe"]))
		fakes["stripe"].Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Hang: true} })
		looking(t, r, fakes)
		began := r.Clock.Now()
		s := play(t, r, "agent.freeze")
		if len(s.Authorities) > 0 || r.Clock.Now().Sub(began) >= authorityWait {
			t.Errorf("after %v: %+v", r.Clock.Now().Sub(began), s.Authorities)
		}
	})
}

func TestRefuses(t *testing.T) {
	for answer, want := range map[string]bool{
		"403 ExpiredToken": true, "401 Unauthorized": true, "400 invalid_client": true, "429 slow down": false, "408 Request Timeout": false,
		"500 oops": false, "not asked: no probe can tell": false, "": false, "4": false, "40x": false,
	} {
		if refuses(answer) != want {
			t.Errorf("%q: %v", answer, !want)
		}
	}
	if text := fmt.Sprint(incident.Authority{Provider: "aws", Outcome: incident.AuthorityRefused, Answer: "403", From: "env A"}); text != "aws: refused: 403 (env A)" {
		t.Error(text)
	}
}
