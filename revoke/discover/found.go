// Package discover finds the credentials that an agent held. It runs on the suspect host, or over
// a tree of evidence; it runs nothing that it finds and follows nothing out of its root.
package discover

import (
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

// Found is one place at which one credential stands. The same credential in three places is
// found three times: the desk, which holds the fingerprint key, makes it one.
type Found struct {
	Provider   string            `json:"provider"`
	Kind       string            `json:"kind"`
	Secret     credential.Secret `json:"-"`
	Sealed     []byte            `json:"sealed,omitempty"` // Secret on its way to the desk
	Ref        map[string]string `json:"ref,omitempty"`
	Source     credential.Source `json:"source"`
	Owner      string            `json:"owner,omitempty"`
	Expires    time.Time         `json:"expires,omitzero"`
	LastUsed   time.Time         `json:"last_used,omitzero"`
	Unresolved string            `json:"unresolved,omitempty"` // why there is no secret: "exec reference, never run"
	Endpoint   string            `json:"endpoint,omitempty"`   // found beside it; shown, never called
	Doubt      Doubt             `json:"doubt,omitempty"`      // why it may be no live credential
	Other      string            `json:"other,omitempty"`      // whose file it stands in, where that is one which no agent may read
}

// Doubt is why what was found may be no live credential. It is the host's claim, and never a proof
// of death: what is in doubt is told apart, not dropped.
type Doubt string

// The doubts that a search has.
const (
	Placeholder Doubt = "placeholder" // a gap that somebody was to fill
	Example     Doubt = "example"     // printed in a provider's documentation
	PublicKey   Doubt = "public key"  // the half of a pair that may be known
	Expired     Doubt = "expired"     // by what it says itself
	ByFormat    Doubt = "by format"   // nothing but its looks speaks for it
)

// Harmless reports whether there is nothing to revoke. What is expired or was told by its format
// alone is still worth a refusal that is seen.
func (d Doubt) Harmless() bool { return d == Placeholder || d == Example || d == PublicKey }

// Agent is an installation that was searched.
type Agent struct {
	Layout   string `json:"layout"`         // "OpenClaw"
	StateDir string `json:"state_dir"`      // below the root
	User     string `json:"user,omitempty"` // its account, by name or else by number
}

// Summary is the end of a search.
type Summary struct {
	Files    int                `json:"files"`
	Agents   []Agent            `json:"agents,omitempty"` // the installations that were searched
	Bytes    int64              `json:"bytes"`
	Found    int                `json:"found"`
	Problems []openclaw.Problem `json:"problems,omitempty"` // what may hold credentials and could not be searched
	Deferred []string           `json:"deferred,omitempty"` // databases that were not read, each a Problem as well
	Skipped  map[string]int     `json:"skipped,omitempty"`  // files and folders that are no text of the agent: how many, by what they are
	Apart    []openclaw.Problem `json:"apart,omitempty"`    // what belongs to other accounts, which the agent's may not read
}
