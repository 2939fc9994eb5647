// Package drill is the simulated world in which a response is practised: providers that speak the
// real protocols, a generated OpenClaw installation with a real process as its agent, an adversary
// who uses the stolen keys, and a person for the manual steps. Engine and providers are the real ones.
package drill

import (
	"fmt"
	"net/http"
	"time"

	"clawback/revoke/fake"
)

// Scenario is one kind of world.
type Scenario struct {
	Name  string
	Title string
	// Held says how many credentials of each kind the agent holds.
	Held []Holding
	// Databases says that the installation is of a newer kind, which keeps credentials, and in half of
	// all worlds transcripts too, in SQLite. Otherwise it is of the first, which has files alone.
	Databases bool
	// Lag is how long each provider goes on accepting a revoked credential.
	Lag time.Duration
	// Hangs names a provider that never answers.
	Hangs string
	// Deadline of the proof, by the world's clock.
	Deadline time.Duration
}

// Holding is a number of credentials of one kind.
type Holding struct {
	Kind  string
	Count int
}

// Scenarios is every scenario, the default first.
var Scenarios = []Scenario{
	{
		Name: "stolen-keys", Title: "An agent read a page that told it to send away its keys",
		Held: []Holding{
			{"github.pat", 3}, {"github.fine_grained", 2}, {"github.oauth", 1}, {"github.installation", 1},
			{"aws.access_key", 4}, {"slack.bot", 3}, {"slack.user", 2}, {"stripe.webhook_secret", 2}, {"stripe.api_key", 2},
		},
		Lag: 4 * time.Second, Deadline: 5 * time.Minute,
	},
	{
		Name: "provider-hangs", Title: "The same, and one provider never answers",
		Held: []Holding{
			{"github.pat", 3}, {"github.fine_grained", 2}, {"github.oauth", 1}, {"github.installation", 1},
			{"aws.access_key", 4}, {"slack.bot", 3}, {"slack.user", 2}, {"stripe.webhook_secret", 2}, {"stripe.api_key", 2},
		},
		Lag: 4 * time.Second, Hangs: "slack", Deadline: 3 * time.Minute,
	},
	{
		Name: "new-storage", Title: "The same of a newer agent, which keeps what it holds in databases; not all of that can be proved dead",
		Held: []Holding{
			{"github.pat", 2}, {"github.fine_grained", 1}, {"github.oauth", 1}, {"aws.access_key", 2}, {"slack.bot", 2}, {"slack.user", 1}, {"stripe.api_key", 1},
		},
		Databases: true,
		Lag:       4 * time.Second, Deadline: 8 * time.Minute,
	},
}

// Lookup returns the scenario of that name; the empty name is the default.
func Lookup(name string) (Scenario, error) {
	if name == "" {
		return Scenarios[0], nil
	}
	known := ""
	for _, s := range Scenarios {
		if s.Name == name {
			return s, nil
		}
		known += " " + s.Name
	}
	return Scenario{}, fmt.Errorf("there is no scenario %q: there are%s", name, known)
}

// apply sets the scenario's faults.
func (s Scenario) apply(providers []fake.Provider) {
	for _, p := range providers {
		p.Knobs().SetLag(s.Lag)
		if p.Name() == s.Hangs {
			p.Knobs().SetFault(func(*http.Request) fake.Fault { return fake.Fault{Hang: true} })
		}
	}
}
