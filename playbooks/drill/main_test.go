package drill

import (
	"fmt"
	"os"
	"testing"
	"time"

	"clawback/revoke/fake"
)

// TestMain lets this program start itself as the agent of a drill.
func TestMain(m *testing.M) {
	if os.Getenv(AgentEnv) != "" {
		if err := RunAgent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// self is the command that runs this program as the agent.
func self(t *testing.T) []string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

// small is a world with something for every provider.
var small = Scenario{
	Name: "small", Title: "Small",
	Held:     []Holding{{"github.pat", 2}, {"aws.access_key", 1}, {"slack.bot", 1}, {"stripe.api_key", 2}},
	Deadline: time.Minute,
}

// newWorld makes a world with a real agent, and ends it with the test.
func newWorld(t *testing.T, s Scenario) *World {
	t.Helper()
	w, err := New(t.Context(), Options{Scenario: s, Seed: 1, Clock: fake.Wall{}, Dir: t.TempDir(), Agent: self(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// await waits until something holds that other processes bring about.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-patience.C:
			t.Fatalf("in 30 s it did not happen that %s", what)
		}
	}
}

func (a *agent) count() (acts, after int, last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.acts, a.after, a.last
}

// goesOn waits until an agent has acted n times more.
func goesOn(t *testing.T, a *agent, n int) {
	t.Helper()
	before, _, _ := a.count()
	await(t, "the agent acts", func() bool { now, _, _ := a.count(); return now >= before+n })
}
