// Package incident says what an incident is: the entries of its record, the state that they add
// up to, and how it ended. Everything that shows an incident folds its record with Fold.
package incident

import (
	"time"

	"clawback/revoke/credential"
)

// The types of entries, each with the data that it carries.
const (
	TypeDeclared    = "incident.declared"    // Declared
	TypePlan        = "plan.made"            // Plan
	TypeStepIntent  = "step.intent"          // StepIntent
	TypeStepOutcome = "step.outcome"         // StepOutcome
	TypeAsked       = "question.asked"       // Question
	TypeAnswered    = "question.answered"    // Answer
	TypeCommand     = "command"              // Command
	TypeNote        = "note"                 // Note
	TypeWarning     = "warning"              // Warning
	TypeDescribed   = "host.described"       // Described
	TypeFrozen      = "agent.frozen"         // Frozen
	TypeStopped     = "agent.stopped"        // Stopped
	TypeChecked     = "agent.checked"        // Checked
	TypeIsolated    = "host.isolated"        // Isolated
	TypeLetGo       = "host.undo"            // LetGo
	TypeLetGone     = "host.undone"          // LetGone
	TypeHostLost    = "host.lost"            // HostLost
	TypeSealed      = "evidence.sealed"      // Sealed
	TypeFound       = "credential.found"     // Found
	TypeSource      = "credential.source"    // Source
	TypeSearched    = "credential.searched"  // Searched
	TypeInventory   = "inventory.read"       // Inventory
	TypeInventoried = "inventory.matched"    // Inventoried
	TypeBaseline    = "credential.baseline"  // Probe
	TypeRevoke      = "credential.intent"    // Revoke
	TypeReceipt     = "credential.receipt"   // Receipt
	TypeProbe       = "credential.probe"     // Probe
	TypeLife        = "credential.life"      // Life
	TypeUndo        = "credential.undo"      // Undo
	TypeUndone      = "credential.undone"    // Undone
	TypeAdversary   = "drill.adversary"      // Adversary
	TypeReport      = "report.written"       // Report
	TypeApproval    = "approval.asked"       // ApprovalAsked
	TypeApproved    = "approval.given"       // Approved
	TypeBreakGlass  = "approval.broken"      // BreakGlass
	TypeRefused     = "inbox.refused"        // InboxRefused
	TypeTerminal    = "console.terminal"     // Terminal
	TypeWitness     = "witness.held"         // WitnessHeld
	TypeResumed     = "incident.resumed"     // Resumed
	TypeInterrupted = "incident.interrupted" // Interrupted
	TypeClosed      = "incident.closed"      // Closed
)

// Modes of an incident.
const (
	Real  = "real"
	Drill = "drill"
)

// Declared is the first entry: who responds to what, with what.
type Declared struct {
	Incident  string   `json:"incident"`
	Mode      string   `json:"mode"`
	Playbook  string   `json:"playbook"`
	Target    string   `json:"target"`
	Remote    bool     `json:"remote"` // the desk is another machine than the target
	Attended  bool     `json:"attended"`
	Responder string   `json:"responder"`
	Desk      string   `json:"desk"`
	Version   string   `json:"version"`
	Accepted  []string `json:"accepted_risks,omitempty"`
	Deadline  string   `json:"deadline,omitempty"`
	DryRun    bool     `json:"dry_run,omitempty"`
	Leak      bool     `json:"leak,omitempty"`      // credentials were handed over: there is no host, and no agent to stop
	HostLost  bool     `json:"host_lost,omitempty"` // the host itself is compromised: see HostLost
	Scenario  string   `json:"scenario,omitempty"`
	Seed      uint64   `json:"seed,omitempty"`
	Speed     float64  `json:"speed,omitempty"`

	Severity      int               `json:"severity,omitempty"`       // 1 is the worst, 3 the least; 0 where nobody said
	Ticket        string            `json:"ticket,omitempty"`         // of the change that this response is
	Roles         map[string]string `json:"roles,omitempty"`          // who is commander, scribe, communications, legal
	CheckpointKey string            `json:"checkpoint_key,omitempty"` // verifier key of the record's checkpoints
	Approved      string            `json:"approved_plan,omitempty"`  // SHA-256 of the plan file that was carried out
	Endpoints     map[string]string `json:"endpoints,omitempty"`      // of providers, as the command line named them
}

// Plan is what will be done, phase by phase.
type Plan struct {
	Title  string      `json:"title"`
	Phases []PlanPhase `json:"phases"`
}

// PlanPhase is a phase of a plan.
type PlanPhase struct {
	ID    string     `json:"id"`
	Title string     `json:"title"`
	Steps []PlanStep `json:"steps"`
}

// PlanStep is a step of a plan.
type PlanStep struct {
	ID           string   `json:"id"`
	Title        string   `json:"title"`
	Uses         string   `json:"uses"`
	Why          string   `json:"why,omitempty"`
	Gate         string   `json:"gate,omitempty"`
	Needs        []string `json:"needs,omitempty"`
	Irreversible string   `json:"irreversible,omitempty"`

	With     map[string]any `json:"with,omitempty"`
	When     string         `json:"when,omitempty"`     // as the playbook writes it
	Deadline string         `json:"deadline,omitempty"` // "1m0s"

	Unanswered string `json:"unanswered,omitempty"` // after which the gate lets it go ahead: "10m0s"
	OnFailure  string `json:"on_failure,omitempty"`
	Approvals  int    `json:"approvals,omitempty"` // people who have to approve it first
}

// StepIntent is written before a step has any effect.
type StepIntent struct {
	Step string `json:"step"`
}

// Statuses of a step.
const (
	Waiting = "waiting" // not begun; never in an entry
	Running = "running" // intent without outcome; never in an entry
	Done    = "done"
	Failed  = "failed"
	Skipped = "skipped"
)

// StepOutcome is written after a step.
type StepOutcome struct {
	Step   string `json:"step"`
	Status string `json:"status"`
	Note   string `json:"note,omitempty"`          // what it did, or why it was skipped
	Error  string `json:"error,omitempty"`         // why it failed
	Hint   string `json:"hint,omitempty"`          // what to do next
	Gate   bool   `json:"evidence_gate,omitempty"` // the failure is that evidence is not sealed
	Needed string `json:"needed,omitempty"`        // the step that did not succeed, where it was skipped for that
}

// Kinds of a question.
const (
	Confirm = "confirm" // go on or not
	Typed   = "typed"   // go on when Type was typed
	Choice  = "choice"  // one of Options
	Guide   = "guide"   // a step that a person does, and what they record of it
	Written = "written" // a question that the report answers in the responder's words
)

// Question asks the responder.
type Question struct {
	ID      string   `json:"id"`
	Step    string   `json:"step"`
	Kind    string   `json:"kind"`
	Title   string   `json:"title"`
	Text    []string `json:"text,omitempty"`
	Type    string   `json:"type,omitempty"`
	Options []Option `json:"options,omitempty"`

	// Until is when Yes is taken for the answer, where nobody gave one; the zero time is never.
	Until time.Time `json:"until,omitzero"`
}

// Option is one answer to a Choice.
type Option struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
}

// Nobody is who gave an answer that nobody gave in time.
const Nobody = "nobody: the time was up"

// Answers to Confirm, Typed, Guide and Written.
const (
	Yes   = "yes"   // go on; the guided step is done; the answer is the Text
	No    = "no"    // leave the step out
	Later = "later" // the guided step, or the question, stays open
)

// Answer is what the responder decided.
type Answer struct {
	Question string `json:"question"`
	Choice   string `json:"choice"`         // Yes, No, Later, or an Option's id
	Text     string `json:"text,omitempty"` // what they typed or recorded
	By       string `json:"by"`

	Signed *Signed `json:"signed,omitempty"`
}

// Kinds of a command that concerns one credential.
const (
	ByHand = "by-hand" // a person revoked it: prove it
	Retry  = "retry"
	Skip   = "skip"
)

// TakeBack is the kind of a command that takes a revocation back, for the reason in its text; see Undo.
const TakeBack = "undo"

// Add is the kind of a command that puts a credential on the board which the search did not find.
const Add = "add"

// ReadInventory is the kind of a command that has the desk's inventory read anew.
const ReadInventory = "read inventory"

// Addition is a credential that a person adds. It lives in memory alone: what is recorded of it is a
// Command of the kind Add, with its fingerprint and its mask.
type Addition struct {
	Provider string
	Kind     string
	Secret   credential.Secret `json:"-"`
	Text     string            // where they know it from
	By       string
}

// Kinds of a command that concerns one step, which waits for its approvals.
const (
	Break    = "break-glass" // go ahead without them, for a reason; it is recorded as TypeBreakGlass
	LeaveOut = "leave-out"   // skip the step
)

// Interrupt is the kind of a command that ends the run as ctrl+c does.
const Interrupt = "interrupt"

// Signed is how something came in from another terminal: what its sender signed and with which
// key, so that it can be checked without this program. All that the message says is their claim.
type Signed struct {
	Key       string `json:"key"` // fingerprint, "SHA256:…"
	Message   string `json:"message"`
	Signature string `json:"signature"`
}

// Command is what a responder asked for in the middle of a run.
type Command struct {
	Kind       string                 `json:"kind"`
	Credential credential.Fingerprint `json:"credential,omitempty"`
	Step       string                 `json:"step,omitempty"`
	Text       string                 `json:"text,omitempty"`
	By         string                 `json:"by"`

	Signed *Signed `json:"signed,omitempty"`
}

// Note is what a person wants on record.
type Note struct {
	Text string `json:"text"`
	By   string `json:"by"`

	Signed *Signed `json:"signed,omitempty"`
}

// Warning is something that went wrong without stopping anything.
type Warning struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	// Grave says that something of the response is lost or is not where it should be: then it
	// is not complete.
	Grave bool `json:"grave,omitempty"`
}

// Described is the host's claim about the agent, before anything was changed.
type Described struct {
	Hostname      string   `json:"hostname"`
	Kernel        string   `json:"kernel,omitempty"`
	ClockAheadMS  int64    `json:"clock_ahead_ms"` // the host's clock against the desk's
	Installations []string `json:"installations"`
	Units         []string `json:"units,omitempty"`
	Processes     int      `json:"processes"`
	Revivers      []string `json:"revivers,omitempty"`
	Problems      []string `json:"problems,omitempty"`
}

// Frozen is the host's claim about the freeze.
type Frozen struct {
	Processes int      `json:"processes"`
	TookMS    float64  `json:"took_ms"`
	Complete  bool     `json:"complete"`
	Still     bool     `json:"still,omitempty"` // all that was found stands still, whatever else went wrong
	How       []string `json:"how,omitempty"`
	Proof     []string `json:"proof,omitempty"`
	Problems  []string `json:"problems,omitempty"`
}

// Stopped is the host's claim about the kill.
type Stopped struct {
	Killed   int      `json:"killed"`
	Did      []string `json:"did,omitempty"`
	Held     []string `json:"held,omitempty"`
	Problems []string `json:"problems,omitempty"`
	WaitMS   int64    `json:"wait_ms,omitempty"` // what restarts it has to be given this long

	GaveUp string `json:"gave_up_evidence,omitempty"` // why it was killed although its evidence was not sealed
}

// Checked is the host's claim about whether the agent stays down.
type Checked struct {
	Down     bool     `json:"down"`
	Proof    []string `json:"proof,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Isolated is the host's claim about its network.
type Isolated struct {
	Only     bool     `json:"only,omitempty"` // the agent alone was cut off, and not its machine
	How      []string `json:"how,omitempty"`
	Kept     []string `json:"kept,omitempty"`
	Proof    []string `json:"proof,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// HostLost is the finding that the host itself is compromised: what other users keep there is lost
// too. Their credentials are searched for from here on.
type HostLost struct {
	Why string `json:"why"` // the decision that it follows from: "root-cause is host"
}

// Sealed is an evidence package at the desk.
type Sealed struct {
	Part     string         `json:"part"` // "volatile", "files", "memory"
	Path     string         `json:"path"` // below the incident's folder
	Files    int            `json:"files"`
	Bytes    int64          `json:"bytes"`
	Manifest string         `json:"manifest_sha256"`
	Digest   string         `json:"digest"`
	Package  string         `json:"package_sha256,omitempty"` // of the file at Path
	Signer   string         `json:"signer,omitempty"`         // SHA-256 fingerprint of the key that signed it
	Verdicts map[string]int `json:"verdicts,omitempty"`
	Left     []string       `json:"left,omitempty"`
	Early    bool           `json:"ended_early,omitempty"` // the capture was cut short: what came after is not in it
	Problems []string       `json:"problems,omitempty"`
}

// Found is a credential that was found for the first time.
type Found struct {
	credential.Credential
	Manual     bool     `json:"manual,omitempty"`
	Steps      []string `json:"steps,omitempty"` // what a person has to do
	Link       string   `json:"link,omitempty"`
	Effect     string   `json:"effect,omitempty"`
	Mints      string   `json:"mints,omitempty"` // what it can make more of
	Unresolved string   `json:"unresolved,omitempty"`
	Endpoint   string   `json:"endpoint,omitempty"`   // claimed by the host, never called
	Doubt      string   `json:"doubt,omitempty"`      // why it may be no live credential; see DoubtText
	Other      string   `json:"other,omitempty"`      // the account that keeps it for itself, where no agent may read it
	BudgetMS   int64    `json:"budget_ms,omitempty"`  // how long its provider may go on accepting it
	Unproved   string   `json:"unproved,omitempty"`   // why its death will not be proved; empty where it can be
	Reversible bool     `json:"reversible,omitempty"` // its provider can take the revocation back
}

// Source is another place of a known credential.
type Source struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Source      credential.Source      `json:"source"`
	Doubt       string                 `json:"doubt,omitempty"` // of this place; a place without one speaks for it
}

// Searched is the end of the search.
type Searched struct {
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	Problems []string `json:"problems,omitempty"` // what may hold credentials and could not be searched
	Apart    []string `json:"apart,omitempty"`    // what belongs to other accounts

	Harmless []Harmless     `json:"harmless,omitempty"` // what looks like a credential and is none that works
	Skipped  map[string]int `json:"skipped,omitempty"`  // files and folders that were not searched as text: how many, by what they are
}

// Harmless is a find that there is nothing to revoke of.
type Harmless struct {
	Provider string            `json:"provider"`
	Kind     string            `json:"kind"`
	Masked   string            `json:"masked"`
	Doubt    string            `json:"doubt"` // why; see DoubtText
	Source   credential.Source `json:"source"`
}

// Probe is one look at a credential.
type Probe struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Outcome     string                 `json:"outcome"` // alive, refused, inconclusive
	Answer      string                 `json:"answer"`
	From        string                 `json:"from"` // the machine that asked
	Try         int                    `json:"try,omitempty"`
	Row         int                    `json:"row,omitempty"`       // refusals in a row, this one included
	SpanMS      int64                  `json:"span_ms,omitempty"`   // between the first and the last of them
	BudgetMS    int64                  `json:"budget_ms,omitempty"` // that they have to span
	Account     string                 `json:"account,omitempty"`   // baseline: whose it is
	Owner       string                 `json:"owner,omitempty"`
	Reach       []string               `json:"reach,omitempty"`
}

// Revoke is written before a revocation is sent.
type Revoke struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Batch       int                    `json:"batch,omitempty"` // credentials in the same request
}

// AnswerByHand is the answer of the receipt of what a person revoked: no provider gave it.
const AnswerByHand = "revoked by hand"

// Receipt is the provider's acceptance.
type Receipt struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Answer      string                 `json:"answer"`
	Already     bool                   `json:"already,omitempty"`
	Did         []string               `json:"did,omitempty"`
	Left        []string               `json:"left,omitempty"`
}

// Reasons of a Life.
const (
	ReasonAuthority = "authority" // none, or it was refused
	ReasonRisk      = "risk"      // an authority is there, and may not be used on the suspect host
	ReasonDeadline  = "deadline"
	ReasonOurs      = "ours"
	ReasonDecision  = "decision"
	ReasonProvider  = "provider" // the provider refused, or no provider of ours knows it
)

// Life is a change in a credential's life.
type Life struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Life        credential.Life        `json:"life"`
	Reason      string                 `json:"reason,omitempty"`
	Evidence    string                 `json:"evidence,omitempty"` // "401 Bad credentials ×3 over 12 s, seen from bastion-2"
	Error       string                 `json:"error,omitempty"`
	Hint        string                 `json:"hint,omitempty"`
	Weak        bool                   `json:"weak,omitempty"` // it was never seen alive
}

// Adversary is what the drill's adversary got.
type Adversary struct {
	CallsAfterAlarm int `json:"calls_after_alarm"`
}

// Report names the written report.
type Report struct {
	Markdown string `json:"markdown"`
	JSON     string `json:"json"`
}

// InboxRefused is a message from another terminal that was not taken.
type InboxRefused struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// Terminal is a change of who sees the response.
type Terminal struct {
	State string `json:"state"` // "lost", "attached", "detached"
	By    string `json:"by,omitempty"`
	Hint  string `json:"hint,omitempty"` // how to take it back

	Signed *Signed `json:"signed,omitempty"`
}

// Interrupted is a run that was told to end.
type Interrupted struct {
	Signal string `json:"signal"` // "interrupt", "terminated"
}

// Closed is the last entry.
type Closed struct {
	Exit int `json:"exit"`
}
