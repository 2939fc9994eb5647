package incident

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// State is what a record adds up to.
type State struct {
	Declared   Declared
	DeclaredAt time.Time
	Now        time.Time // of the newest entry
	Entries    uint64
	First      string // SHA-256 of the declaration, in hex: no other incident has it

	Plan  Plan
	Steps map[string]*Step

	Open     []Question // asked and not answered, oldest first
	Answered []Answered // every question that was, oldest first
	Asked    int        // the highest number of a question

	Decisions map[string]Answer // by step
	Notes     []Note
	Warnings  []Warning
	Trouble   string // why the record was not on disk at some time

	// Unreadable counts the entries that this state lacks, because their data did not decode or
	// does not fit what stands before them. Each is a warning too.
	Unreadable int

	Host     *Described
	Frozen   *Frozen
	FrozenAt time.Time
	Stopped  *Stopped
	Checked  *Checked
	Isolated *Isolated
	Tested   *IsolationTested // nil where nobody tried whether the isolation holds
	LetGo    *LetGo           // nil unless a person took back what was done to the host, and nothing was done since
	Lost     *HostLost        // nil where nobody found that the host itself is compromised
	Brokers  []*Broker        // in the order of the first intent
	Sealed   []Sealed
	Custody  Custody // of the evidence
	Searched *Searched

	Platforms []Platform  // what was done to the machine from outside of it
	Snapshots []Snapshots // of its disks, the newest word on each machine

	Inventory   Inventory     // what was known of credentials beforehand
	Credentials []*Credential // in the order of discovery
	byPrint     map[credential.Fingerprint]*Credential

	Approvals map[string]*Approval // by step
	Refused   []InboxRefused
	Terminals []Terminal
	Consoles  int                    // that show the response and can answer, as far as the record says
	Witnesses map[string]WitnessHeld // the newest word on each sink
	Resumed   []Resumed

	Authorities map[string]Authority // the newest test of each, by provider
	Forgotten   *Forgotten           // the newest time that kept secrets were wiped before their time; nil for none

	Adversary   *Adversary
	Report      *Report
	Interrupted string
	Exit        *int // set once the incident is closed
	ClosedAt    time.Time
}

// Step is a step of the plan as it stands.
type Step struct {
	PlanStep
	Phase   string
	Status  string
	Began   time.Time
	Ended   time.Time
	Outcome StepOutcome
}

// Answered is a question with its answer.
type Answered struct {
	Question
	Answer Answer
	At     time.Time
}

// Approval is how the approval of a step stands.
type Approval struct {
	ApprovalAsked
	Given  []Approved
	Broken *BreakGlass // the step went ahead without them
}

// Missing is how many people still have to approve.
func (a *Approval) Missing() int { return max(0, a.Needs-len(a.Given)) }

// Credential is a credential as it stands.
type Credential struct {
	Found
	Life      credential.Life
	Reason    string
	Evidence  string
	Error     string
	Hint      string
	Weak      bool
	Baseline  Probe
	Account   string
	Principal string
	Receipt   Receipt
	Last      Probe // the newest probe after the baseline
	Probes    int
	FoundAt   time.Time
	RevokedAt time.Time // the first intent
	DiedAt    time.Time // zero unless it is dead
	Changed   time.Time

	Inventory *InventoryItem // what the inventory says of it; nil where it is not in there
	Decision  Command        // the newest that left it alone; zero where none stands
	Undoing   *Undo          // its revocation is being taken back, or that died before an outcome; nil otherwise
	undone    standing       // how it stood before that

	// Indeterminate says that an earlier run sent its revocation and died before the answer: it
	// may be dead or alive, until somebody looks.
	Indeterminate bool
}

// Credential returns the credential with that fingerprint, or nil.
func (s State) Credential(f credential.Fingerprint) *Credential { return s.byPrint[f] }

// Count counts the credentials in any of the given lives.
func (s State) Count(lives ...credential.Life) int {
	n := 0
	for _, c := range s.Credentials {
		if slices.Contains(lives, c.Life) {
			n++
		}
	}
	return n
}

// Fold adds one entry to a state. It is a pure function of the record, except that it reuses the
// storage of the state that it is given, which must not be used afterwards. Data that does not
// decode becomes a warning: a reader never stops at an entry.
func Fold(s State, e journal.Entry) State {
	s.Entries, s.Now = e.Seq, e.Time
	if s.Steps == nil {
		s.Steps = make(map[string]*Step)
		s.Decisions = make(map[string]Answer)
		s.byPrint = make(map[credential.Fingerprint]*Credential)
	}
	if err := s.fold(e); err != nil {
		s.Unreadable++
		s.Warnings = append(s.Warnings, Warning{Text: "unreadable entry in the record: " + err.Error()})
	}
	return s
}

// FoldAll folds a record. With an error comes the state of what could be read before it.
func FoldAll(entries iter.Seq2[journal.Entry, error]) (State, error) {
	var s State
	for e, err := range entries {
		if err != nil {
			return s, fmt.Errorf("read the record: %w", err)
		}
		s = Fold(s, e)
	}
	return s, nil
}

func (s *State) fold(e journal.Entry) error {
	switch e.Type {
	case TypeDeclared:
		s.DeclaredAt, s.First, s.Consoles = e.Time, e.Hash(), 1
		err := value(e, &s.Declared)
		s.lost(s.Declared.HostLost, "declared so from the start")
		return cmp.Or(err, s.foldCustody(e))
	case TypePlan:
		return s.foldPlan(e)
	case TypeStepIntent, TypeStepOutcome:
		return s.foldStep(e)
	case TypeAsked, TypeAnswered:
		return s.foldQuestion(e)
	case TypeNote:
		return grow(e, &s.Notes)
	case TypeWarning:
		return grow(e, &s.Warnings)
	case journal.TypeTrouble:
		var t journal.Trouble
		err := e.Decode(&t)
		s.Trouble = cmp.Or(t.Error, "it does not say why")
		return err
	case TypeDescribed:
		return set(e, &s.Host)
	case TypeFrozen:
		s.FrozenAt, s.LetGo = e.Time, nil
		return set(e, &s.Frozen)
	case TypeStopped:
		return s.foldStopped(e)
	case TypeChecked:
		return set(e, &s.Checked)
	case TypeIsolated:
		return set(e, &s.Isolated)
	case TypeIsolationTested:
		return set(e, &s.Tested)
	case TypePlatformIntent, TypePlatformDone, TypePlatformUndone, TypeSnapshots:
		return s.foldPlatform(e)
	case TypeLetGo:
		return s.foldLetGo(e)
	case TypeLetGone, TypeCutOff:
		return nil
	case TypeBroker, TypeBrokerDone:
		return s.foldBroker(e)
	case TypeHostLost:
		return set(e, &s.Lost)
	case TypeSealed:
		return cmp.Or(s.foldSealed(e), s.foldCustody(e))
	case TypeStamped, TypeDeposited, TypeTransfer, TypeAccess, TypeHold:
		return s.foldCustody(e)
	case TypeSearched:
		return set(e, &s.Searched)
	case TypeInventory:
		return value(e, &s.Inventory)
	case TypeApproval, TypeApproved, TypeBreakGlass:
		return s.foldApproval(e)
	case TypeRefused:
		return grow(e, &s.Refused)
	case TypeTerminal:
		return s.foldTerminal(e)
	case TypeWitness:
		return s.foldWitness(e)
	case TypeAuthority:
		return s.foldAuthority(e)
	case TypeForgotten:
		return set(e, &s.Forgotten)
	case TypeResumed:
		s.Exit, s.ClosedAt, s.Interrupted = nil, time.Time{}, ""
		s.Open, s.Consoles = nil, 1 // whoever asked is gone
		for _, c := range s.Credentials {
			c.Indeterminate = c.Indeterminate || c.sent() || c.Undoing != nil
			c.Undoing = nil // whoever did is gone: it stands as unproved
		}
		return cmp.Or(s.foldResumed(e), s.foldCustody(e))
	case TypeAdversary:
		return set(e, &s.Adversary)
	case TypeReport:
		return set(e, &s.Report)
	case TypeInterrupted:
		var i Interrupted
		err := e.Decode(&i)
		s.Interrupted = cmp.Or(i.Signal, "interrupt")
		return err
	case TypeClosed:
		var c Closed
		if err := e.Decode(&c); err != nil {
			return err
		}
		s.Exit, s.ClosedAt = &c.Exit, e.Time
		return nil
	default:
		return s.foldCredential(e)
	}
}

func value[T any](e journal.Entry, to *T) error {
	var v T // not *to: data that decodes in part must leave nothing behind
	if err := e.Decode(&v); err != nil {
		return err
	}
	*to = v
	return nil
}

func set[T any](e journal.Entry, to **T) error {
	v := new(T)
	if err := e.Decode(v); err != nil {
		return err
	}
	*to = v
	return nil
}

func grow[T any](e journal.Entry, to *[]T) error {
	var v T
	if err := e.Decode(&v); err != nil {
		return err
	}
	*to = append(*to, v)
	return nil
}

func (s *State) foldPlan(e journal.Entry) error {
	if len(s.Plan.Phases) > 0 {
		return fmt.Errorf("entry %d (%s): what is carried out was planned before", e.Seq, e.Type)
	}
	if err := value(e, &s.Plan); err != nil {
		return err
	}
	for _, phase := range s.Plan.Phases {
		for _, step := range phase.Steps {
			s.Steps[step.ID] = &Step{PlanStep: step, Phase: phase.ID, Status: Waiting}
		}
	}
	return nil
}

func (s *State) foldStep(e journal.Entry) error {
	var o StepOutcome // holds a StepIntent too
	if err := e.Decode(&o); err != nil {
		return err
	}
	step := s.Steps[o.Step]
	if step == nil {
		return fmt.Errorf("entry %d (%s): step %q is not in the plan", e.Seq, e.Type, o.Step)
	}
	if e.Type == TypeStepIntent {
		step.Status, step.Began = Running, e.Time
		return nil
	}
	step.Status, step.Ended, step.Outcome = o.Status, e.Time, o
	return nil
}

func (s *State) foldApproval(e journal.Entry) error {
	if e.Type == TypeApproval {
		var a ApprovalAsked
		if err := e.Decode(&a); err != nil {
			return err
		}
		if s.Approvals == nil {
			s.Approvals = make(map[string]*Approval)
		}
		if known := s.Approvals[a.Step]; known != nil && known.Binds == a.Binds {
			return nil // asked again by a resumed run: what was given stands
		}
		s.Approvals[a.Step] = &Approval{ApprovalAsked: a}
		return nil
	}
	var a Approved
	var broken BreakGlass
	to, step := any(&a), &a.Step
	if e.Type == TypeBreakGlass {
		to, step = &broken, &broken.Step
	}
	if err := e.Decode(to); err != nil {
		return err
	}
	asked := s.Approvals[*step]
	switch {
	case asked == nil:
		return fmt.Errorf("entry %d (%s): nobody asked for an approval of step %q", e.Seq, e.Type, *step)
	case e.Type == TypeBreakGlass:
		asked.Broken = &broken
	case !s.approves(a, asked):
		return fmt.Errorf("entry %d (%s): it approves something else than step %q as planned", e.Seq, e.Type, *step)
	default:
		asked.Given = append(asked.Given, a)
	}
	return nil
}

// foldStopped takes the newest kill. What an earlier one lost stays lost.
func (s *State) foldStopped(e journal.Entry) error {
	lost := ""
	if s.Stopped != nil {
		lost = s.Stopped.GaveUp
	}
	if err := set(e, &s.Stopped); err != nil {
		return err
	}
	s.Stopped.GaveUp = cmp.Or(s.Stopped.GaveUp, lost)
	return nil
}

// foldSealed takes the newest package of each place: one that a resumed run found broken was set
// aside before it was captured anew.
func (s *State) foldSealed(e journal.Entry) error {
	if err := grow(e, &s.Sealed); err != nil {
		return err
	}
	last := len(s.Sealed) - 1
	for i, bag := range s.Sealed[:last] {
		if bag.Path != "" && bag.Path == s.Sealed[last].Path {
			s.Sealed[i] = s.Sealed[last]
			s.Sealed = s.Sealed[:last]
			break
		}
	}
	return nil
}

// approves reports whether an approval is of the step as planned: in this incident, or in the plan
// file that it carries out.
func (s *State) approves(a Approved, asked *Approval) bool {
	if a.Plan == "" || a.Plan != s.Declared.Approved {
		return a.Plan == "" && a.Binds == asked.Binds
	}
	binds, err := Binds(a.Plan, s.Plan, a.Step)
	return err == nil && a.Binds == binds
}

func (s *State) foldResumed(e journal.Entry) error {
	if err := grow(e, &s.Resumed); err != nil {
		return err
	}
	r := s.Resumed[len(s.Resumed)-1]
	s.Declared.HostLost = s.Declared.HostLost || r.Lost
	s.lost(r.Lost, "declared so when it was resumed")
	s.Declared.Ticket = cmp.Or(r.Ticket, s.Declared.Ticket)
	roles := make(map[string]string, len(s.Declared.Roles)+len(r.Roles)) // another: whoever declared it may hold the old one
	maps.Copy(roles, s.Declared.Roles)
	maps.Copy(roles, r.Roles)
	if len(roles) > 0 {
		s.Declared.Roles = roles
	}
	return nil
}

// lost takes over the finding that the host is compromised from whoever began a run.
func (s *State) lost(found bool, why string) {
	if found && s.Lost == nil {
		s.Lost = &HostLost{Why: why}
	}
}

func (s *State) foldWitness(e journal.Entry) error {
	var w WitnessHeld
	if err := e.Decode(&w); err != nil {
		return err
	}
	if s.Witnesses == nil {
		s.Witnesses = make(map[string]WitnessHeld)
	}
	s.Witnesses[w.Sink] = w
	return nil
}

func (s *State) foldQuestion(e journal.Entry) error {
	if e.Type == TypeAsked {
		if err := grow(e, &s.Open); err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscanf(s.Open[len(s.Open)-1].ID, "q%d", &n); err == nil {
			s.Asked = max(s.Asked, n)
		}
		return nil
	}
	var a Answer
	if err := e.Decode(&a); err != nil {
		return err
	}
	for i, q := range s.Open {
		if q.ID == a.Question {
			s.Decisions[q.Step] = a
			s.Answered = append(s.Answered, Answered{q, a, e.Time})
			s.Open = slices.Delete(s.Open, i, i+1)
			break
		}
	}
	return nil
}
