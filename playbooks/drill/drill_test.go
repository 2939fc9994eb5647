package drill

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks"
	"clawback/playbooks/engine"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

func TestClock(t *testing.T) {
	for _, speed := range []float64{0.5, 1, 20} {
		synctest.Test(t, func(t *testing.T) {
			c := NewClock(speed)
			began, wall := c.Now(), time.Now()
			if !began.Equal(wall) {
				t.Errorf("it starts at %v, and it is %v", began, wall)
			}
			if err := c.Sleep(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(wall); took != time.Duration(float64(time.Minute)/speed) {
				t.Errorf("at speed %v a minute took %v", speed, took)
			}
			if gone := c.Now().Sub(began); gone != time.Minute {
				t.Errorf("at speed %v a minute made %v", speed, gone)
			}
			for _, d := range []time.Duration{0, -time.Second} {
				if err := c.Sleep(t.Context(), d); err != nil || c.Now().Sub(began) != time.Minute {
					t.Errorf("Sleep(%v) took until %v, %v", d, c.Now(), err)
				}
			}
			why := errors.New("a signal")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(why) })
			wall = time.Now()
			if err := c.Sleep(ctx, time.Hour); !errors.Is(err, why) || time.Since(wall) != time.Second {
				t.Errorf("Sleep = %v after %v", err, time.Since(wall))
			}
		})
	}
}

func TestLookup(t *testing.T) {
	if s, err := Lookup(""); err != nil || s.Name != Scenarios[0].Name {
		t.Errorf("the default is %q, %v", s.Name, err)
	}
	for _, want := range Scenarios {
		if s, err := Lookup(want.Name); err != nil || s.Title != want.Title {
			t.Errorf("Lookup(%q) = %q, %v", want.Name, s.Title, err)
		}
	}
	_, err := Lookup("rain")
	if err == nil {
		t.Fatal("there is a scenario that there is not")
	}
	for _, s := range Scenarios {
		if !strings.Contains(err.Error(), s.Name) {
			t.Errorf("%q does not name %s", err, s.Name)
		}
	}
}

// bare makes a world without an agent, so that time can be simulated.
func bare(t *testing.T, s Scenario) *World {
	t.Helper()
	w := &World{Scenario: s, clock: fake.Wall{}, Fakes: map[string]fake.Provider{}, agent: &agent{}}
	all := providers.Fakes(w.clock)
	for _, p := range all {
		w.Fakes[p.Name()] = p
	}
	w.network = fake.NewNetwork(all...)
	w.Authorities = w.authorities()
	t.Cleanup(func() { _ = w.network.Close() })
	for _, h := range s.Held {
		for range h.Count {
			c, err := w.mint(h.Kind)
			if err != nil {
				t.Fatal(err)
			}
			w.Held = append(w.Held, c)
		}
	}
	s.apply(all)
	return w
}

// Every scenario can be played: its kinds are issued, live, and what it says of providers holds.
func TestScenarios(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			if names[s.Name] || s.Name == "" || s.Title == "" || s.Deadline <= s.Lag || s.Lag <= 0 {
				t.Errorf("%+v", s)
			}
			names[s.Name] = true
			synctest.Test(t, func(t *testing.T) {
				w := bare(t, s)
				for _, c := range w.Held {
					if k, ok := credential.Lookup(c.Kind); !ok || k.Provider != c.Provider || c.Secret.Empty() || !w.Fakes[c.Provider].Alive(c) {
						t.Errorf("a %s of %s that is not alive", c.Kind, c.Provider)
					}
				}
				if s.Hangs != "" && !slices.ContainsFunc(w.Held, func(c credential.Credential) bool { return c.Provider == s.Hangs }) {
					t.Errorf("%s hangs, and nothing of it is held", s.Hangs)
				}
			})
		})
	}
}

// verify asks this world about a credential by the real provider.
func verify(t *testing.T, w *World, c credential.Credential) revoke.Outcome {
	t.Helper()
	all, err := w.Providers()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return all[c.Provider].Verify(ctx, c).Outcome
}

// The real providers reach the world's fakes: a live credential, one that lags behind its
// revocation, a dead one, and a provider that never answers.
func TestProvidersReachTheWorld(t *testing.T) {
	s := small
	s.Lag, s.Hangs = 4*time.Second, "slack"
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, s)
		for _, c := range w.Held {
			want := []revoke.Outcome{revoke.Alive, revoke.Alive, revoke.Refused}
			if c.Provider == s.Hangs {
				want = []revoke.Outcome{revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive}
			}
			var got []revoke.Outcome
			got = append(got, verify(t, w, c))
			w.Fakes[c.Provider].RevokeByHand(c)
			got = append(got, verify(t, w, c))
			time.Sleep(s.Lag)
			got = append(got, verify(t, w, c))
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", c.Kind, got, want)
			}
		}
	})
}

// The world hands out an authority where one is needed, and it works.
func TestAuthorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, Scenario{Held: []Holding{{"stripe.webhook_secret", 1}}})
		all, err := w.Providers()
		if err != nil {
			t.Fatal(err)
		}
		c := w.Held[0]
		if _, err := all[c.Provider].Revoke(t.Context(), c); err != nil || w.Fakes[c.Provider].Alive(c) {
			t.Errorf("Revoke: %v, alive %v", err, w.Fakes[c.Provider].Alive(c))
		}
		if used := w.Authorities.Used(); used["stripe"].From != "the drill" || len(used) != 1 {
			t.Errorf("used %v", used)
		}
	})
}

// What the agent holds is what the search finds, and the truth knows where it is.
func TestWorldCanBeSearched(t *testing.T) {
	for _, s := range Scenarios {
		t.Run(s.Name, func(t *testing.T) { searchWorld(t, newWorld(t, s)) })
	}
}

func searchWorld(t *testing.T, w *World) {
	t.Helper()
	key := credential.NewFingerprintKey()
	held := map[credential.Fingerprint]bool{}
	for _, c := range w.Held {
		held[key.Identify(c).Fingerprint] = true
	}
	if len(held) != len(w.Held) || len(w.Truth.Sources) != len(w.Held) {
		t.Errorf("%d of %d credentials differ, %d are known to the truth", len(held), len(w.Held), len(w.Truth.Sources))
	}
	machine, err := w.Host()
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	summary, err := machine.Discover(t.Context(), func(f discover.Found) {
		delete(held, key.Of(f.Provider, f.Secret, f.Ref))
	})
	if err != nil || len(summary.Problems) > 0 || len(held) > 0 {
		t.Errorf("%d credentials were not found; %+v, %v", len(held), summary, err)
	}
}

// The adversary uses what it stole from the start, and only what works after the alarm counts.
func TestAdversary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, small)
		ctx, cancel := context.WithCancel(t.Context())
		w.wait.Go(func() { w.adversary(ctx) })
		sleepTo := func(d time.Duration) { time.Sleep(d + time.Millisecond); synctest.Wait() }
		sleepTo(10 * time.Second)
		if n := w.CallsAfterAlarm(); n != 0 {
			t.Errorf("%d calls count before the alarm", n)
		}
		calls := 0
		for _, p := range w.Fakes {
			for _, c := range p.Knobs().Calls() {
				calls++
				if !c.Adversary {
					t.Errorf("%s %s of %s is not marked as the adversary's", c.Method, c.Path, p.Name())
				}
			}
		}
		if calls < 10 {
			t.Errorf("%d calls in ten seconds", calls)
		}
		w.Alarm()
		sleepTo(10 * time.Second)
		if n := w.CallsAfterAlarm(); n != 10 {
			t.Errorf("%d calls count of ten seconds", n)
		}
		for _, c := range w.Held {
			w.Fakes[c.Provider].RevokeByHand(c)
		}
		sleepTo(10 * time.Second)
		if n := w.CallsAfterAlarm(); n != 10 {
			t.Errorf("%d calls with dead keys count", n-10)
		}
		cancel()
		w.wait.Wait()
	})
}

// A provider that never answers does not hold up the adversary, and its end waits for none.
func TestAdversaryMeetsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, small)
		for _, p := range w.Fakes {
			p.Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Hang: true} })
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.wait.Go(func() { w.adversary(ctx) })
		w.Alarm()
		time.Sleep(10 * time.Second)
		cancel()
		w.wait.Wait()
		if n := w.CallsAfterAlarm(); n != 0 {
			t.Errorf("%d calls without an answer count", n)
		}
	})
}

// Saying that a credential was revoked by hand is doing it, and nothing else is.
func TestObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, Scenario{Held: []Holding{{"stripe.api_key", 3}, {"slack.bot", 1}}})
		key := credential.NewFingerprintKey()
		j := journal.InMemory(time.Now)
		over := make(chan struct{})
		go func() { defer close(over); w.Obey(t.Context(), j.Cursor(), key) }()
		say := func(kind string, f credential.Fingerprint) {
			if err := j.Note(incident.TypeCommand, incident.Command{Kind: kind, Credential: f, By: "dana"}); err != nil {
				t.Fatal(err)
			}
		}
		alive := func() (list []bool) {
			synctest.Wait()
			for _, c := range w.Held {
				list = append(list, w.Fakes[c.Provider].Alive(c))
			}
			return list
		}
		print := func(i int) credential.Fingerprint { return key.Identify(w.Held[i]).Fingerprint }
		say(incident.Skip, print(0))
		say(incident.Retry, print(0))
		say(incident.ByHand, "no such credential")
		say(incident.ByHand, credential.NewFingerprintKey().Identify(w.Held[0]).Fingerprint) // of another incident
		if got := alive(); !slices.Equal(got, []bool{true, true, true, true}) {
			t.Errorf("alive %v", got)
		}
		say(incident.ByHand, print(1))
		say(incident.ByHand, print(3))
		if got := alive(); !slices.Equal(got, []bool{true, false, true, false}) {
			t.Errorf("alive %v", got)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		<-over // with the record
	})
}

func TestObeyEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, small)
		j := journal.InMemory(time.Now)
		defer j.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Obey(ctx, j.Cursor(), credential.NewFingerprintKey())
	})
}

// Reading takes the simulated person its time; what they answer fits the question.
func TestPersonDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Person{World: bare(t, small)}
		for _, q := range []incident.Question{
			{Kind: incident.Confirm}, {Kind: incident.Typed, Type: "revoke 20"}, {Kind: incident.Guide}, {Kind: incident.Written},
			{Kind: incident.Choice, Options: []incident.Option{{ID: "keep"}, {ID: "rebuild"}}},
		} {
			began := time.Now()
			a, err := p.Decide(t.Context(), q)
			if err != nil || time.Since(began) != reading || a.By == "" {
				t.Errorf("%s: %+v, %v after %v", q.Kind, a, err, time.Since(began))
			}
			want := incident.Answer{Choice: incident.Yes, Text: q.Type, By: a.By}
			switch q.Kind {
			case incident.Choice:
				want.Choice = "keep"
			case incident.Guide, incident.Written:
				want.Text = a.Text
			}
			if a != want {
				t.Errorf("%s: %+v, want %+v", q.Kind, a, want)
			}
		}
		why := errors.New("a signal")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if _, err := p.Decide(ctx, incident.Question{Kind: incident.Confirm}); !errors.Is(err, why) {
			t.Errorf("Decide = %v", err)
		}
	})
}

// taker is an action that takes commands.
type taker func(incident.Command)

func (taker) Run(context.Context, playbooks.Step, engine.Recorder) error { return nil }

func (f taker) Command(_ context.Context, c incident.Command) error { f(c); return nil }

// The simulated person works off the manual revocations one after the other.
func TestPersonWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, Scenario{Held: []Holding{{"stripe.api_key", 3}}})
		j := journal.InMemory(time.Now)
		began := time.Now()
		var did []string
		p := &Person{World: w, Engine: &engine.Engine{Journal: j, Clock: w.clock, Actions: map[string]engine.Action{
			"take": taker(func(c incident.Command) {
				did = append(did, c.Kind+" "+string(c.Credential)+" "+time.Since(began).String())
			}),
		}}}
		over := make(chan struct{})
		go func() { defer close(over); p.Work(t.Context(), j.Cursor()) }()
		for _, l := range []incident.Life{
			{Fingerprint: "a", Life: credential.Manual}, {Fingerprint: "b", Life: credential.Dead},
			{Fingerprint: "c", Life: credential.Manual}, {Fingerprint: "d", Life: credential.Manual},
		} {
			if err := j.Note(incident.TypeLife, l); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		<-over
		if want := []string{"by-hand a 20s", "by-hand c 40s", "by-hand d 1m0s"}; !slices.Equal(did, want) {
			t.Errorf("did %q, want %q", did, want)
		}
	})
}

// A person in the middle of their work leaves it when the drill is over.
func TestPersonStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bare(t, small)
		j := journal.InMemory(time.Now)
		defer j.Close()
		p := &Person{World: w, Engine: &engine.Engine{Journal: j, Clock: w.clock, Actions: map[string]engine.Action{
			"take": taker(func(c incident.Command) { t.Errorf("did %+v", c) }),
		}}}
		if err := j.Note(incident.TypeLife, incident.Life{Fingerprint: "a", Life: credential.Manual}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), byHand/2)
		defer cancel()
		began := time.Now()
		p.Work(ctx, j.Cursor())
		if took := time.Since(began); took != byHand/2 {
			t.Errorf("it took %v", took)
		}
	})
}
