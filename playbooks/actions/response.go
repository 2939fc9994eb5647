// Package actions is what the steps of a playbook can do. It is the one place that ties the engine
// to hosts, evidence and providers.
package actions

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"

	"filippo.io/age"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/playbooks/containment"
	"clawback/playbooks/engine"
	"clawback/playbooks/host"
	"clawback/playbooks/platform/broker"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// Risks that a responder can accept by name.
const (
	RiskAuthorityOnSuspect = "authority-on-suspect-host"
	RiskLoseEvidence       = "lose-evidence"
)

// Risks is what each risk means.
var Risks = map[string]string{
	RiskAuthorityOnSuspect: "use your own credentials on the machine that is under suspicion; each one used has to be rotated",
	RiskLoseEvidence:       "kill the agent although its evidence could not be sealed",
}

// Response is one response to one incident: what its actions work on.
type Response struct {
	Dir         string // the incident's folder
	Host        host.Host
	Description containment.Description
	Providers   map[string]revoke.Provider
	Readers     map[string]revoke.Provider // the same, with nothing that leaves but their reads; nil: the authorities are not tested beforehand
	Authorities *Authorities
	Clock       engine.Clock
	Desk        string // the machine that asks the providers
	Version     string
	Attended    bool
	Accepted    map[string]bool // risks
	Key         credential.FingerprintKey
	Report      func(context.Context) (incident.Report, error)
	Score       func() incident.Adversary // of a drill; nil otherwise
	// Planned reports whether a credential is in the plan that is carried out; nil where there is none.
	Planned func(credential.Credential) bool

	// Given are the credentials of a leak without a host: they are revoked, and nothing is searched.
	Given []discover.Found

	// Keep is what an isolated host goes on talking to, and Forbidden what it is tried on that it must
	// not reach; zero for the desk itself.
	Keep      []containment.Keep
	Forbidden netip.AddrPort

	// Platforms are what the host runs on, where the desk can reach that; Reach connects to the host,
	// where that waits until a platform has let the desk in again, and is nil where Host is connected.
	Platforms []Platform
	Reach     func(context.Context) (host.Host, error)

	// Brokers are where work waits for the agent: it is cut off there, and what waits is copied.
	Brokers []broker.Broker

	// HostLost says that the host itself is compromised: what other users keep there is revoked too.
	HostLost bool

	// Inventory is what is known of credentials beforehand, and ReadInventory reads it anew in the
	// middle of a run; nil where it cannot be.
	Inventory     incident.Inventory
	ReadInventory func() (incident.Inventory, error)

	// Recipients are those whom evidence is encrypted to; none: it stays in the clear.
	Recipients []age.Recipient
	// Sign signs each package; nil: none is.
	Sign Signer

	Custodian Custodian // of the evidence that is sealed

	Disk   disk.FS // of the desk; nil: this machine's
	Before *Before // what a resumed run goes on with; nil for a new one

	vault *vault

	mu       sync.Mutex
	frozen   *containment.Frozen
	stopped  *containment.Stopped
	unsealed []error                         // parts of the evidence that could not be sealed
	captured bool                            // a part of the evidence was taken, or there was none to take
	seen     map[credential.Fingerprint]bool // handed on by this run
	ofAgent  []credential.Credential         // what the agent's own gateway issued: it dies with it
	down     []string                        // the proof that the gateway is down for good; nil before
	again    bool                            // a resumed run has something left to revoke or prove
	sweeps   []*revoke.Sweep                 // the newest last
	queue    queue
	late     late
	items    map[credential.Fingerprint]incident.InventoryItem // of the inventory, by what was found
	searched chan struct{}                                     // closed when the search has ended
	extent   *incident.Searched                                // what this run recorded of it last; nil before

	stamping   sync.WaitGroup // of packages that were sealed
	depositing sync.Mutex
	databases  databases
	readiness  readiness
}

// Actions returns every action by its name.
func (r *Response) Actions() map[string]engine.Action {
	if r.Disk == nil {
		r.Disk = disk.OS{}
	}
	r.vault = &vault{disk: r.Disk, dir: r.path("keys")}
	r.seen = make(map[credential.Fingerprint]bool)
	r.late.known = make(map[credential.Fingerprint]credential.Credential)
	r.late.undoing = make(map[credential.Fingerprint]bool)
	r.late.lives = make(map[credential.Fingerprint]credential.Life)
	r.items = make(map[credential.Fingerprint]incident.InventoryItem)
	r.queue.init()
	r.searched = make(chan struct{})
	return map[string]engine.Action{
		"host.describe":        action(r.describe),
		"agent.freeze":         repeated{action(r.freeze), r.thawed},
		"evidence.capture":     repeated{action(r.capture), r.sealedBefore},
		"evidence.deposit":     action(r.deposit),
		"credentials.discover": repeated{action(r.discover), r.forgotten},
		"credentials.revoke":   revocation{r},
		"credentials.others":   action(r.others),
		"agent.stop":           action(r.stop),
		"agent.check":          action(r.check),
		"host.isolate":         action(r.isolate),
		"platform.isolate":     atPlatforms{r.isolatePlatform, r.Will},
		"evidence.disk":        atPlatforms{r.snapshotDisks, r.WillCopy},
		"broker.hold":          action(r.holdBrokers),
		"person.guide":         action(guide),
		"person.decide":        action(decide),
		"report.write":         action(r.report),
	}
}

// Names lists the actions that a playbook can use, for its validation.
func Names() []string {
	var names []string
	for name := range new(Response).Actions() {
		names = append(names, name)
	}
	return names
}

// hinted is an error that says what to do next.
type hinted struct {
	err  error
	hint string
	gate bool
}

func (h hinted) Error() string      { return h.err.Error() }
func (h hinted) Unwrap() error      { return h.err }
func (h hinted) Hint() string       { return h.hint }
func (h hinted) EvidenceGate() bool { return h.gate }

func (r *Response) path(name ...string) string {
	return filepath.Join(append([]string{r.Dir}, name...)...)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
