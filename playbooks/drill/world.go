package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"clawback/playbooks/actions"
	"clawback/playbooks/containment"
	"clawback/playbooks/drill/tree"
	"clawback/playbooks/host"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover/sqlite"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// Options is how a world is made.
type Options struct {
	Scenario Scenario
	Seed     uint64
	Clock    fake.Clock
	Dir      string   // where the agent's tree is generated; it must be empty or not exist
	Agent    []string // the command that runs as the agent: a program that calls RunAgent
}

// World is a simulated world.
type World struct {
	Scenario    Scenario
	Held        []credential.Credential // what the agent holds
	Truth       tree.Truth
	Fakes       map[string]fake.Provider
	Authorities *actions.Authorities

	clock   fake.Clock
	network *fake.Network
	agent   *agent
	root    *os.Root

	wait   sync.WaitGroup
	cancel context.CancelFunc

	mu     sync.Mutex
	alarm  bool
	stolen int // calls with stolen keys that worked, after the alarm
}

// New makes a world and lets its agent and its adversary begin.
func New(ctx context.Context, o Options) (*World, error) {
	w := &World{Scenario: o.Scenario, clock: o.Clock, Fakes: make(map[string]fake.Provider)}
	var all []fake.Provider
	for _, p := range providers.Fakes(o.Clock) {
		w.Fakes[p.Name()] = p
		all = append(all, p)
	}
	w.network = fake.NewNetwork(all...)
	w.Authorities = w.authorities()
	for _, h := range o.Scenario.Held {
		for range h.Count {
			c, err := w.mint(h.Kind)
			if err != nil {
				return nil, errors.Join(err, w.Close())
			}
			w.Held = append(w.Held, c)
		}
	}
	if err := w.populate(o); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	o.Scenario.apply(all)
	ctx, w.cancel = context.WithCancel(ctx)
	w.wait.Go(func() { w.adversary(ctx) })
	return w, nil
}

func (w *World) mint(kind string) (credential.Credential, error) {
	k, _ := credential.Lookup(kind)
	p := w.Fakes[k.Provider]
	if p == nil {
		return credential.Credential{}, fmt.Errorf("scenario %s: nobody issues %s", w.Scenario.Name, kind)
	}
	return p.Mint(kind), nil
}

func (w *World) populate(o Options) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the drill's host: %w", err)
	}
	var kind tree.Options
	if o.Scenario.Databases {
		kind = tree.Options{Generation: []string{"B", "C"}[o.Seed%2], Varied: true}
	}
	truth, err := tree.GenerateWith(o.Dir, rand.New(rand.NewPCG(o.Seed, 0)), w.Held, kind)
	if err != nil {
		return fmt.Errorf("make the drill's host: %w", err)
	}
	w.Truth = truth
	if w.root, err = os.OpenRoot(o.Dir); err != nil {
		return fmt.Errorf("make the drill's host: %w", err)
	}
	w.agent, err = startAgent(o.Agent, filepath.Join(o.Dir, filepath.FromSlash(truth.StateDir)), func() {})
	return err
}

func (w *World) authorities() *actions.Authorities {
	load := make(map[string]func(context.Context) (revoke.Authority, error))
	for name, p := range w.Fakes {
		if c, ok := p.MintAuthority(); ok {
			load[name] = func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Secret: c.Secret, Kind: c.Kind, From: "the drill"}, nil
			}
		}
	}
	return &actions.Authorities{Load: load}
}

// Host returns the agent's machine.
func (w *World) Host() (host.Host, error) {
	return host.NewLocal(w.root.Name(), host.WithDatabases(sqlite.Read), host.WithContainment(containment.WithSystem(system{w.agent.cmd.Process.Pid})))
}

// Providers returns the real providers, with this world as the only thing that they can reach.
func (w *World) Providers() (map[string]revoke.Provider, error) {
	return providers.New(func(name string) revoke.Env {
		return revoke.Env{
			HTTP: w.network.Client(), Authority: w.Authorities.For(name), Sleep: w.clock.Sleep, Now: w.clock.Now,
		}
	})
}

// Alarm is the moment from which on the adversary's calls count.
func (w *World) Alarm() {
	w.mu.Lock()
	w.alarm = true
	w.mu.Unlock()
	w.agent.mu.Lock()
	w.agent.alarm = true
	w.agent.mu.Unlock()
}

// CallsAfterAlarm returns how many calls with stolen keys worked after the alarm.
func (w *World) CallsAfterAlarm() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stolen
}

// adversary uses the stolen keys, one after the other, for as long as the world stands.
func (w *World) adversary(ctx context.Context) {
	client := w.network.Client()
	client.Transport = marked{client.Transport}
	thieves, err := providers.New(func(string) revoke.Env {
		return revoke.Env{HTTP: client, Sleep: w.clock.Sleep, Now: w.clock.Now}
	})
	if err != nil || len(w.Held) == 0 {
		return
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	for i := 0; w.clock.Sleep(ctx, time.Second) == nil; i++ {
		c := w.Held[i%len(w.Held)]
		calls.Go(func() {
			if thieves[c.Provider].Verify(ctx, c).Outcome != revoke.Alive {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.alarm {
				w.stolen++
			}
		})
	}
}

// marked marks the adversary's requests, so that they can be told from ours.
type marked struct{ next http.RoundTripper }

func (m marked) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(fake.AdversaryHeader, "1")
	return m.next.RoundTrip(r)
}

// Close ends the world: adversary, agent, network.
func (w *World) Close() error {
	if w.cancel != nil {
		w.cancel()
	}
	err := w.network.Close()
	w.wait.Wait()
	if w.agent != nil {
		w.agent.stop()
	}
	if w.root != nil {
		err = errors.Join(err, w.root.Close())
	}
	return err
}
