// Package plan resolves a response without carrying it out, keeps what was resolved in a file that
// people can approve, and says what has changed since.
package plan

import (
	"regexp"
	"time"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// Format is the version of the file that this program reads and writes.
const Format = 1

// Plan is a response that was resolved: what would be done, to what, with what. It holds no secret.
// What it says of the host is the host's claim, and is not fit for a terminal as it stands.
type Plan struct {
	Format   int       `json:"clawback_plan"`
	ID       string    `json:"id"`      // under which the desk that made it knows it
	Version  string    `json:"version"` // of clawback
	Made     time.Time `json:"made"`
	Until    time.Time `json:"valid_until"`
	By       string    `json:"by"`
	Desk     string    `json:"desk"`
	Asked    Asked     `json:"asked"`
	Target   string    `json:"target"` // as the host is named on screen and in the record
	Remote   bool      `json:"remote"`
	Suspect  bool      `json:"desk_suspect"` // the desk is the machine under suspicion
	Offline  bool      `json:"offline"`      // no provider was asked
	Hostname string    `json:"hostname,omitempty"`

	Endpoints   map[string]string `json:"endpoints,omitempty"` // that take the place of compiled-in ones
	Authorities []Authority       `json:"authorities,omitempty"`

	Playbook Playbook `json:"playbook"`

	// Platforms say what is done outside of the target, where it runs on something that the desk reaches.
	Platforms []string `json:"platforms,omitempty"`

	Installations []Installation `json:"installations"`
	Units         []Unit         `json:"units,omitempty"`
	Revivers      []Reviver      `json:"revivers,omitempty"`
	Processes     int            `json:"processes"`

	Brokers []Broker `json:"brokers,omitempty"` // that the agent is cut off

	Kinds       []Kind       `json:"kinds,omitempty"` // of the credentials
	Credentials []Credential `json:"credentials"`

	Inventoried bool                     `json:"inventoried,omitempty"`         // clawback.yaml has an inventory
	NotFound    []incident.InventoryItem `json:"inventory_not_found,omitempty"` // what of it the search did not find

	Files    int      `json:"files_searched"`
	Problems []string `json:"problems,omitempty"` // what may hold more, and could not be searched
	Apart    []string `json:"apart,omitempty"`    // what belongs to other accounts
}

// Asked is what the command line asked for.
type Asked struct {
	Host      string   `json:"host,omitempty"`
	Root      string   `json:"root,omitempty"`
	Playbook  string   `json:"playbook"`            // a name, or the path of a file
	Endpoints []string `json:"endpoints,omitempty"` // PROVIDER=URL
	Risks     []string `json:"accepted_risks,omitempty"`
	Deadline  string   `json:"deadline"`
	HostLost  bool     `json:"host_lost,omitempty"` // the host itself is compromised: other users' credentials too
}

// Playbook is the playbook, whole.
type Playbook struct {
	Name string `json:"name"`
	incident.Plan
}

// Authority is one of the responder's own credentials, as far as it is no secret.
type Authority struct {
	Provider string `json:"provider"`
	Kind     string `json:"kind,omitempty"`
	From     string `json:"from,omitempty"`    // "env STRIPE_ADMIN_KEY"
	Trouble  string `json:"trouble,omitempty"` // why it could not be loaded, or that its provider refused it
	Tested   string `json:"tested,omitempty"`  // what its provider said to it; empty where nobody was asked
}

// Installation is one installation of the agent.
type Installation struct {
	StateDir   string `json:"state_dir"`
	Generation string `json:"generation"`
	User       string `json:"user,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

// Unit is a service manager's unit that runs the agent.
type Unit struct {
	Name    string `json:"name"`
	Manager string `json:"manager"`
	Active  string `json:"active,omitempty"`
}

// Reviver is something that may bring the agent back.
type Reviver struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
	Ask    string `json:"ask,omitempty"` // what a person has to do about it
}

// Kind is what holds for all credentials of a kind.
type Kind struct {
	Kind       string   `json:"kind"`
	Title      string   `json:"title,omitempty"`
	Effect     string   `json:"effect,omitempty"` // what else happens when one is revoked
	Reversible bool     `json:"reversible,omitempty"`
	Steps      []string `json:"steps,omitempty"` // that a person takes
	Link       string   `json:"link,omitempty"`
	Unprovable string   `json:"unprovable,omitempty"` // why no probe can prove its death
}

// Credential is one credential as it was seen.
type Credential struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"` // under a key that the desk keeps
	Provider    string                 `json:"provider"`
	Kind        string                 `json:"kind"`
	Masked      string                 `json:"masked"`
	Tier        int                    `json:"tier"`
	Sources     []credential.Source    `json:"sources"`
	More        int                    `json:"more_sources,omitempty"`
	Unresolved  string                 `json:"unresolved,omitempty"` // why there is no secret
	Doubt       string                 `json:"doubt,omitempty"`      // why it may be no live credential
	Other       string                 `json:"other,omitempty"`      // the user who keeps it for themselves, where no agent may read it
	Way         string                 `json:"way"`                  // one of the ways of package actions
	Why         string                 `json:"why"`
	Seen        Seen                   `json:"seen"`

	Inventory *incident.InventoryItem `json:"inventory,omitempty"` // what clawback.yaml says of it
}

// Seen is what the credential's provider said of it.
type Seen struct {
	Outcome string   `json:"outcome"` // alive, refused, inconclusive, or NotAsked
	Answer  string   `json:"answer,omitempty"`
	Account string   `json:"account,omitempty"`
	Owner   string   `json:"owner,omitempty"`
	Reach   []string `json:"reach,omitempty"`
}

// NotAsked is the outcome of a credential whose provider was not asked about it.
const NotAsked = "not-asked"

// identifier is what the id of a plan looks like. It names a file at the desk.
var identifier = regexp.MustCompile(`\APLAN-[0-9]{8}-[0-9]{4}-[0-9a-f]{8}\z`)
