package revoke_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// wire is how long every request takes in these benchmarks.
const wire = 100 * time.Millisecond

// everything is every provider over its fake. A fake takes no more at once than its provider says that
// it sends: what is more is refused with 429.
type everything struct {
	*world
	kinds map[string][]string // that an automatic sweep ends and proves, by provider
	doors map[string]*door
}

func newEverything(t *testing.T) *everything {
	clock := fake.Wall{}
	e := &everything{world: &world{t: t, fakes: map[string]fake.Provider{}, authority: map[string]credential.Credential{},
		key: credential.NewFingerprintKey(), ledger: &ledger{}}, kinds: map[string][]string{}, doors: map[string]*door{}}
	all := providers.Fakes(clock)
	e.net = fake.NewNetwork(all...)
	e.client = e.net.Client()
	for _, f := range all {
		e.fakes[f.Name()] = f
	}
	made, err := providers.New(func(name string) revoke.Env {
		env := revoke.Env{HTTP: e.client, Sleep: clock.Sleep, Now: clock.Now}
		if f, ok := e.fakes[name].(interface{ Settings() string }); ok {
			env.Settings = func(into any) error { return yaml.Unmarshal([]byte(f.Settings()), into) }
		} else {
			env.Endpoint = pinned(e.fakes[name])
		}
		if a, ok := e.fakes[name].MintAuthority(); ok {
			env.Authority = func(context.Context) (revoke.Authority, error) {
				return revoke.Authority{Secret: a.Secret, Kind: a.Kind, From: "the benchmark"}, nil
			}
		}
		return env
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range made {
		info := p.Info()
		for _, k := range info.Kinds {
			if !k.Manual && k.Unkillable == "" && k.Unverifiable == "" {
				e.kinds[name] = append(e.kinds[name], k.Kind)
			}
		}
		e.doors[name] = &door{places: places(info)}
		e.fakes[name].Knobs().SetFault(e.doors[name].fault)
	}
	e.sweep = &revoke.Sweep{Providers: made, Clock: clock, Ledger: e.ledger}
	return e
}

// pinned is where a provider without an address of its own is reached.
func pinned(f fake.Provider) string {
	for _, host := range f.Hosts() {
		if regexp.MustCompile(`\.test\z`).MatchString(host) {
			return "https://" + host
		}
	}
	return ""
}

// places is how many requests a provider gets at once.
func places(i revoke.Info) int { return cmp.Or(i.Concurrency, 4) }

// door lets every request take its time, and refuses those that are too many at once.
type door struct {
	places      int
	mu          sync.Mutex
	busy        []time.Time // when each of those under way is over
	first, last time.Time   // when requests came
}

func (d *door) fault(*http.Request) fake.Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.first.IsZero() {
		d.first = now
	}
	d.last = now
	d.busy = slices.DeleteFunc(d.busy, func(end time.Time) bool { return !end.After(now) })
	if len(d.busy) >= d.places {
		return fake.Fault{Status: http.StatusTooManyRequests, RetryAfter: 5 * time.Second}
	}
	d.busy = append(d.busy, now.Add(wire))
	return fake.Fault{Delay: wire}
}

func (d *door) span() time.Duration { return d.last.Sub(d.first) }

// holdEach mints n credentials in all, spread evenly over what each provider's limits let it prove.
func (e *everything) holdEach(n int) {
	left := map[string]int{}
	var names []string
	for name, p := range e.sweep.Providers {
		if len(e.kinds[name]) == 0 {
			continue
		}
		names = append(names, name)
		left[name] = n
		if limit := p.Info().RefusedAnHour; limit > 0 {
			left[name] = limit / 4 // a look before, and three refusals
		}
	}
	for i := 0; len(e.held) < n; i++ {
		name := names[i%len(names)]
		if left[name] > 0 {
			left[name]--
			kinds := e.kinds[name]
			e.hold(kinds[(i/len(names))%len(kinds)], 1)
		}
	}
}

// single is what one credential takes in an idle sweep.
type single struct {
	took  time.Duration
	ahead int     // requests until its revocation was accepted
	probe float64 // requests of a probe
}

// alone returns false for a kind that takes what nobody configured here.
func alone(t *testing.T, kind string) (s single, ok bool) {
	e := newEverything(t)
	e.hold(kind, 1)
	provider := e.held[0].Provider
	e.run(2 * time.Hour)
	calls := e.fakes[provider].Knobs().Calls()
	receipts := e.ledger.of(e.held[0], "receipt")
	switch last := e.ledger.last(e.held[0]); {
	case last.Life == credential.Manual:
		return s, false
	case len(receipts) == 0 || last.Life != credential.Dead:
		t.Fatalf("%s alone is %+v", kind, last)
	}
	for _, c := range calls {
		if !c.At.After(receipts[0].at) {
			s.ahead++
		}
	}
	s.took, s.probe = fake.Span(calls), float64(len(calls)-s.ahead)/float64(len(e.ledger.of(e.held[0], "probe")))
	return s, true
}

// bound is what a provider's limits set for what is held of it, whatever the order: through its places
// go the requests that revoke, and then the longest proof begins; or they and the refusals that all
// proofs take at least.
func bound(info revoke.Info, kinds map[string]int, singles map[string]single) time.Duration {
	var work, proofs, longest time.Duration
	total := 0
	for kind, n := range kinds {
		k, _ := info.Kind(kind)
		one := singles[kind]
		work += time.Duration(n*one.ahead) * wire
		proofs += time.Duration(float64(n*cmp.Or(k.Propagation.Refusals, 3)) * one.probe * float64(wire))
		longest = max(longest, one.took-time.Duration(one.ahead)*wire)
		total += n
	}
	c := time.Duration(places(info))
	return max(work/c+longest, (work+proofs)/c, time.Duration(total)*info.Every+longest)
}

func benchmarkEverything(b *testing.B, n int) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(112 << 20)) // as the program does
	var worst, memory, dead float64
	slowest := ""
	for b.Loop() {
		worst = 0
		inTest(b, func(t *testing.T) {
			singles := map[string]single{}
			e := newEverything(t)
			for name, kinds := range e.kinds {
				e.kinds[name] = slices.DeleteFunc(kinds, func(kind string) bool {
					one, ok := alone(t, kind)
					singles[kind] = one
					return !ok
				})
			}
			e.holdEach(n)
			held := map[string]map[string]int{}
			for _, c := range e.held {
				if held[c.Provider] == nil {
					held[c.Provider] = map[string]int{}
				}
				held[c.Provider][c.Kind]++
			}
			for _, f := range e.fakes { // what the fakes remember is not the sweep's
				f.Knobs().SetForgetful(true)
			}
			runtime.GC()
			debug.FreeOSMemory()
			_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak counts from here
			lives := &deaths{dead: map[credential.Fingerprint]bool{}}
			e.sweep.Ledger = lives
			e.run(4 * time.Hour)
			dead = float64(len(lives.dead))
			for name, kinds := range held {
				limit := bound(e.sweep.Providers[name].Info(), kinds, singles)
				if ratio := float64(e.doors[name].span()) / float64(limit); ratio > worst {
					worst, slowest = ratio, fmt.Sprintf("%s: %v of %v", name, e.doors[name].span(), limit)
				}
			}
		})
		memory = max(memory, resident())
	}
	b.Log("the worst is", slowest)
	b.ReportMetric(worst, "sweep/bound")
	b.ReportMetric(memory, "MB-resident")
	b.ReportMetric(memory/150, "of-150MB")
	b.ReportMetric(dead/float64(n), "dead")
}

// deaths is a ledger that remembers nothing else: what the tests' own remembers is not the sweep's.
type deaths struct {
	mu   sync.Mutex
	dead map[credential.Fingerprint]bool
}

func (d *deaths) Life(c credential.Credential, l revoke.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.Life == credential.Dead {
		d.dead[c.Fingerprint] = true
	}
}

func (*deaths) Baseline(credential.Credential, revoke.Verdict, revoke.Exposure) {}
func (*deaths) Intent(context.Context, []credential.Credential) error           { return nil }
func (*deaths) Receipt(credential.Credential, revoke.Receipt)                   {}
func (*deaths) Probe(credential.Credential, revoke.Probe)                       {}
func (*deaths) Minted(credential.Credential, []credential.Credential, error)    {}

func BenchmarkEverything20(b *testing.B)    { benchmarkEverything(b, 20) }
func BenchmarkEverything2000(b *testing.B)  { benchmarkEverything(b, 2_000) }
func BenchmarkEverything10000(b *testing.B) { benchmarkEverything(b, 10_000) }

// inTest runs f in a bubble: synctest wants a *testing.T, which testing.RunTests makes.
func inTest(b *testing.B, f func(*testing.T)) {
	ran := false
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: b.Name(),
		F: func(t *testing.T) {
			if !ran { // RunTests minds -count and -cpu, which are the benchmark's
				ran = true
				synctest.Test(t, f)
			}
		},
	}})
	if !ok {
		b.Fatal("the sweep failed")
	}
}

// resident is the most memory that the process had, in MB.
func resident() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	g := regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`).FindSubmatch(status)
	if g == nil {
		return 0
	}
	kb, _ := strconv.Atoi(string(g[1]))
	return float64(kb) / 1e3
}
