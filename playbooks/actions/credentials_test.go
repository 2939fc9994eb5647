package actions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// simulated gives a response the real providers, over a network of their fakes.
func simulated(t *testing.T, r *Response) map[string]fake.Provider {
	t.Helper()
	all := providers.Fakes(r.Clock)
	fakes := map[string]fake.Provider{}
	for _, p := range all {
		fakes[p.Name()] = p
	}
	network := fake.NewNetwork(all...)
	t.Cleanup(func() { _ = network.Close() })
	var err error
	r.Providers, err = providers.New(func(name string) revoke.Env {
		return revoke.Env{HTTP: network.Client(), Authority: r.Authorities.For(name), Sleep: r.Clock.Sleep, Now: r.Clock.Now}
	})
	if err != nil {
		t.Fatal(err)
	}
	return fakes
}

// One credential in many places is one credential with many sources; an unresolved reference is
// named by its place.
func TestFound(t *testing.T) {
	secret := credential.Value(rand.Text())
	at := func(path string) credential.Source { return credential.Source{Path: path, Line: 1} }
	h := &machine{discover: finds(
		discover.Found{Provider: "toy", Kind: "toy.key", Secret: secret, Source: at("a"), Endpoint: "https://toy.example/"},
		discover.Found{Provider: "toy", Kind: "toy.key", Secret: secret, Source: at("b")},
		discover.Found{Provider: "toy", Kind: "toy.key", Source: at("c"), Unresolved: "exec reference, never run"},
		discover.Found{Provider: "toy", Kind: "toy.key", Source: at("d"), Unresolved: "exec reference, never run"},
		discover.Found{Provider: "toy", Kind: "toy.key", Source: at("c"), Unresolved: "exec reference, never run"},
		discover.Found{Provider: "toy", Kind: "toy.key", Ref: map[string]string{"id": "key-1"}, Source: at("e"), Unresolved: "in a vault"},
		discover.Found{Provider: "toy", Kind: "toy.key", Ref: map[string]string{"id": "key-1"}, Source: at("f"), Unresolved: "in a vault"},
		discover.Found{Provider: "toy", Kind: "toy.key", Secret: credential.Value("your-key"), Source: at("g"), Doubt: discover.Placeholder},
	)}
	r := newResponse(t, h)
	r.Providers = map[string]revoke.Provider{"toy": newToy()}
	s := play(t, r, "credentials.discover")
	want(t, s, "discover", incident.Done, "")
	var got []string
	for _, c := range s.Credentials {
		line := c.Unresolved
		for _, src := range c.Sources {
			line += " " + src.Path
		}
		got = append(got, line)
		if !c.Manual || len(c.Steps) != 2 || c.Link != toyKey.Link || c.Effect != toyKey.Effect || c.Masked == "" {
			t.Errorf("what a person has to do is not on record: %+v", c.Found)
		}
	}
	if wanted := []string{" a b", "exec reference, never run c c", "exec reference, never run d", "in a vault e f"}; !slices.Equal(got, wanted) {
		t.Errorf("found %q, want %q", got, wanted)
	}
	if c := s.Credentials[0]; c.Endpoint != "https://toy.example/" || c.Ref[credential.ClaimedEndpoint] != c.Endpoint {
		t.Errorf("where the host says that it belongs: %+v", c.Found)
	}
	if queued := r.queue.waiting(); len(queued) != 4 || !r.queue.closed {
		t.Errorf("%d wait for the sweep, closed %v", len(queued), r.queue.closed)
	}
}

// A find's own Ref is not written to: the host's answer may be used again.
func TestCredentialKeepsTheFind(t *testing.T) {
	f := discover.Found{Provider: "toy", Kind: "toy.key", Ref: map[string]string{}, Endpoint: "https://toy.example/"}
	if c := Credential(credential.NewFingerprintKey(), f); len(f.Ref) != 0 || len(c.Ref) != 2 {
		t.Errorf("the find has %v, the credential %v", f.Ref, c.Ref)
	}
}

// What the agent's own gateway issued dies with it, once a look says that it is down.
func TestGatewayCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		uses  []string
		check func(context.Context) (containment.Checked, error)
		life  credential.Life
	}{
		"down":        {[]string{"credentials.discover", "agent.stop", "agent.check"}, nil, credential.Dead},
		"not checked": {[]string{"credentials.discover", "agent.stop"}, nil, credential.Requested},
		"not killed":  {[]string{"credentials.discover", "agent.check"}, nil, credential.Requested},
		"not down": {[]string{"credentials.discover", "agent.stop", "agent.check"}, func(context.Context) (containment.Checked, error) {
			return containment.Checked{Listening: []int{18789}}, nil
		}, credential.Requested},
		"unknown": {[]string{"credentials.discover", "agent.stop", "agent.check"}, broken().check, credential.Requested},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{check: c.check, discover: finds(
					discover.Found{Provider: "openclaw", Kind: "openclaw.gateway", Secret: credential.Value(rand.Text()), Source: credential.Source{Path: "a"}},
					discover.Found{Provider: "openclaw", Kind: "openclaw.hook", Source: credential.Source{Path: "b"}, Unresolved: "in the environment"},
					discover.Found{Provider: "openclaw", Kind: "openclaw.paired", Secret: credential.Value(rand.Text()), Source: credential.Source{Path: "c"}},
				)}
				r := newResponse(t, h)
				s := play(t, r, c.uses...)
				for _, got := range []*incident.Credential{s.Credentials[0], s.Credentials[2]} {
					if got.Life != c.life || got.Evidence == "" {
						t.Errorf("%s is %s: %q", got.Kind, got.Life, got.Evidence)
					}
				}
				if got := s.Credentials[1]; got.Life != credential.Found || len(r.queue.waiting()) != 1 {
					t.Errorf("what could not be resolved is %s, and %d wait for the sweep", got.Life, len(r.queue.waiting()))
				}
			})
		})
	}
}

// What nothing ends is no row of the authority's.
func TestFateOfWhatNothingEnds(t *testing.T) {
	r := newResponse(t, &machine{})
	simulated(t, r)
	for _, kind := range []string{"azure.access_token", "aws.bedrock_session_key"} {
		f := r.Fate(t.Context(), incident.Found{Credential: credential.Credential{Provider: strings.Split(kind, ".")[0], Kind: kind}})
		if f.Way != ByPerson || !strings.Contains(f.Why, "nothing ends it before it expires") {
			t.Errorf("%s: %+v", kind, f)
		}
	}
}

// A search with gaps is a failed step, and everything that it found is revoked all the same.
func TestDiscoverWithProblems(t *testing.T) {
	for name, c := range map[string]struct {
		summary  discover.Summary
		err      error
		says     string
		searched bool
	}{
		"a place":    {discover.Summary{Files: 3, Problems: []openclaw.Problem{{Path: "x.env", Reason: "permission denied"}}}, nil, "1 place could not be searched, the first is x.env: permission denied", true},
		"cut off":    {discover.Summary{}, errBroken, "the rest is not known", false},
		"half":       {discover.Summary{Files: 3}, errBroken, "search web-1", true},
		"no install": {discover.Summary{}, discover.ErrNoInstallation, "no OpenClaw", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				r := newResponse(t, h)
				fakes := simulated(t, r)
				pat := fakes["github"].Mint("github.pat")
				h.discover = func(_ context.Context, found func(discover.Found)) (discover.Summary, error) {
					found(foundAt(pat, "a"))
					return c.summary, c.err
				}
				s := play(t, r, "credentials.discover", "credentials.revoke")
				want(t, s, "discover", incident.Failed, c.says)
				if s.Count(credential.Dead) != 1 || fakes["github"].Alive(pat) {
					t.Errorf("what was found is %s", s.Credentials[0].Life)
				}
				if (s.Searched != nil) != c.searched || s.ExitCode() != incident.ExitPartial {
					t.Errorf("searched %+v, exit code %d", s.Searched, s.ExitCode())
				}
			})
		})
	}
}

// No request leaves before the intent of each of its credentials is on record.
func TestIntentBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		var found []discover.Found
		for i := range 5 {
			found = append(found, foundAt(fakes["github"].Mint("github.pat"), fmt.Sprint(i)))
		}
		h.discover = finds(found...)
		e := &engine.Engine{Journal: journal.InMemory(time.Now), Playbook: book("credentials.discover", "credentials.revoke"), Clock: r.Clock}
		defer e.Journal.Close()
		requests := 0
		fakes["github"].Knobs().SetFault(func(req *http.Request) fake.Fault {
			if req.Method == http.MethodPost {
				requests++
				s, err := foldAll(context.Background(), e.Journal)
				if err != nil || s.Count(credential.Requested) != 5 {
					t.Errorf("%d of 5 intents are on record when the request comes, %v", s.Count(credential.Requested), err)
				}
			}
			return fake.Fault{}
		})
		s, err := r.Carry(t.Context(), e, incident.Declared{})
		if err != nil || s.Count(credential.Dead) != 5 || requests != 1 {
			t.Errorf("%d are dead after %d requests, %v", s.Count(credential.Dead), requests, err)
		}
	})
}

// The first find is revoked while the search goes on.
func TestRevokeWhileTheSearchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		pat, late := fakes["github"].Mint("github.pat"), fakes["slack"].Mint("slack.bot")
		h.discover = func(ctx context.Context, found func(discover.Found)) (discover.Summary, error) {
			found(foundAt(pat, "a"))
			defer found(foundAt(late, "b"))
			time.Sleep(10 * time.Second)
			if fakes["github"].Alive(pat) {
				t.Error("ten seconds later the first find still lives")
			}
			return discover.Summary{Files: 1}, nil
		}
		p := book("credentials.discover", "credentials.revoke")
		p.Phases[0].Steps[1].Needs = nil
		if s, err := carry(t, t.Context(), r, p); err != nil || s.Count(credential.Dead) != 2 {
			t.Errorf("%d of 2 are dead, %v", s.Count(credential.Dead), err)
		}
	})
}

func TestAuthorities(t *testing.T) {
	auth := revoke.Authority{Secret: credential.Value(rand.Text()), Kind: "stripe.api_key", From: "env STRIPE_KEY"}
	loads := 0
	load := map[string]func(context.Context) (revoke.Authority, error){
		"stripe": func(context.Context) (revoke.Authority, error) { loads++; return auth, nil },
		"aws":    func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, errBroken },
	}
	for name, c := range map[string]struct {
		provider          string
		suspect, accepted bool
		is                []error
		loaded            int
	}{
		"on the desk":         {"stripe", false, false, nil, 1},
		"suspect":             {"stripe", true, false, []error{ErrRisk, revoke.ErrNoAuthority}, 0},
		"suspect, accepted":   {"stripe", true, true, nil, 1},
		"none":                {"github", false, false, []error{revoke.ErrNoAuthority}, 0},
		"none and suspect":    {"github", true, false, []error{revoke.ErrNoAuthority}, 0},
		"it cannot be loaded": {"aws", false, false, []error{revoke.ErrNoAuthority, errBroken}, 0},
	} {
		loads = 0
		a := &Authorities{Load: load, Suspect: c.suspect, Accepted: c.accepted}
		got, err := a.For(c.provider)(t.Context())
		for _, is := range c.is {
			if !errors.Is(err, is) {
				t.Errorf("%s: %v, want %v", name, err, is)
			}
		}
		if name == "none and suspect" && errors.Is(err, ErrRisk) {
			t.Errorf("%s: %v: accepting the risk would change nothing", name, err)
		}
		if ok := c.is == nil; ok != (err == nil) || ok != got.Secret.Equal(auth.Secret) || ok != (len(a.Used()) == 1) || loads != c.loaded {
			t.Errorf("%s: %v, %v, used %d, loaded %d times", name, got, err, len(a.Used()), loads)
		}
	}
}

// The responder's own credential on the host is recognised by its fingerprint, and left alone.
func TestOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &machine{}
		r := newResponse(t, h)
		fakes := simulated(t, r)
		own, other := fakes["slack"].Mint("slack.bot"), fakes["slack"].Mint("slack.bot")
		r.Authorities.Load = map[string]func(context.Context) (revoke.Authority, error){
			"slack": func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Secret: own.Secret, Kind: own.Kind, From: "env SLACK_TOKEN"}, nil
			},
			"aws": func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, errBroken },
		}
		h.discover = finds(foundAt(own, "a"), foundAt(other, "b"))
		s := play(t, r, "credentials.discover", "credentials.revoke")
		if c := s.Credentials[0]; c.Life != credential.Skipped || c.Reason != incident.ReasonOurs || !fakes["slack"].Alive(own) {
			t.Errorf("ours is %s (%s), %s", c.Life, c.Reason, c.Error)
		}
		if c := s.Credentials[1]; c.Life != credential.Dead || fakes["slack"].Alive(other) {
			t.Errorf("the other is %s, %s", c.Life, c.Error)
		}
	})
}

// An authority that was used on the suspect host is known to the attacker: it joins the board.
func TestUsedAuthorities(t *testing.T) {
	for name, c := range map[string]struct {
		suspect, accepted bool
		joins             bool
		life              credential.Life // of the agent's own
	}{
		"elsewhere":    {false, false, false, credential.Dead},
		"not accepted": {true, false, false, credential.Failed},
		"accepted":     {true, true, true, credential.Dead},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &machine{}
				r := newResponse(t, h)
				r.Authorities.Suspect, r.Authorities.Accepted = c.suspect, c.accepted
				fakes := simulated(t, r)
				auth, ok := fakes["stripe"].MintAuthority()
				if !ok {
					t.Fatal("no authority")
				}
				r.Authorities.Load = map[string]func(context.Context) (revoke.Authority, error){
					"stripe": func(context.Context) (revoke.Authority, error) {
						return revoke.Authority{Secret: auth.Secret, Kind: auth.Kind, From: "env STRIPE_KEY"}, nil
					},
				}
				h.discover = finds(foundAt(fakes["stripe"].Mint("stripe.webhook_secret"), "a"))
				s := play(t, r, "credentials.discover", "credentials.revoke")
				if got := s.Credentials[0]; got.Life != c.life || c.life == credential.Failed && got.Reason != incident.ReasonRisk {
					t.Errorf("the agent's is %s (%s), %s", got.Life, got.Reason, got.Error)
				}
				if joined := len(s.Credentials) == 2; joined != c.joins {
					t.Fatalf("%d credentials", len(s.Credentials))
				}
				if !c.joins {
					return
				}
				got := s.Credentials[1]
				if got.Life != credential.Manual || got.Reason != incident.ReasonRisk || got.Provider != "stripe" || got.Sources[0].Path != "env STRIPE_KEY" || !strings.Contains(got.Hint, "rotate") {
					t.Errorf("the authority is %s (%s): %+v", got.Life, got.Reason, got.Found)
				}
				if got.Fingerprint != r.Key.Identify(auth).Fingerprint || !fakes["stripe"].Alive(auth) {
					t.Error("it is not the one that was used, or was revoked")
				}
			})
		})
	}
}

// What is about to be revoked is announced by number, and with what else it does.
func TestAnnounce(t *testing.T) {
	r := newResponse(t, &machine{})
	r.Providers = map[string]revoke.Provider{"toy": newToy()}
	r.Actions()
	for _, c := range []credential.Credential{{Provider: "toy", Kind: "toy.key"}, {Provider: "other"}, {Provider: "toy", Kind: "toy.key"}} {
		r.queue.put(c)
	}
	lines, typed := revocation{r}.Announce(playbooks.Step{})
	if typed != "revoke 3" || !slices.Equal(lines, []string{"toy: 2 credentials", "other: 1 credential", "Toy: the robot stops"}) {
		t.Errorf("%q, %q", lines, typed)
	}
}

func TestCommands(t *testing.T) {
	v := revocation{newResponse(t, &machine{})}
	v.r.Actions()
	if err := v.Command(t.Context(), incident.Command{Kind: incident.Skip}); !errors.Is(err, engine.ErrNoTaker) {
		t.Errorf("before the sweep: %v", err)
	}
	v.r.sweeps = []*revoke.Sweep{{}}
	for _, kind := range []string{incident.ByHand, incident.Retry, incident.Skip} {
		if err := v.Command(t.Context(), incident.Command{Kind: kind, Credential: "x"}); !errors.Is(err, revoke.ErrNotUnderWay) {
			t.Errorf("%s of what nobody knows: %v", kind, err)
		}
	}
	if err := v.Command(t.Context(), incident.Command{Kind: "explode"}); !errors.Is(err, engine.ErrNoTaker) {
		t.Errorf("a command that does not exist: %v", err)
	}
}
