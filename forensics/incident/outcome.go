package incident

import (
	"slices"
	"time"

	"clawback/revoke/credential"
)

// Exit codes of clawback. Unknown means failure.
const (
	ExitContained      = 0
	ExitNothing        = 1
	ExitUsage          = 2
	ExitPartial        = 3
	ExitAuthority      = 4
	ExitUnproved       = 5
	ExitManual         = 6
	ExitNoInstallation = 10
	ExitLocked         = 11
	ExitApproval       = 20
	ExitEvidence       = 21
	ExitInterrupted    = 130
	ExitTerminated     = 143
)

// ExitCode is one row of the table of exit codes.
type ExitCode struct {
	Code    int
	Meaning string
	Refusal bool // nothing ran
}

// ExitCodes is the one table, in the order in which help shows it.
var ExitCodes = []ExitCode{
	{ExitContained, "contained: the agent is down, every credential is proved dead, the evidence is sealed", false},
	{ExitNothing, "nothing could be done", false},
	{ExitUsage, "usage: the command line or the configuration is wrong", true},
	{ExitPartial, "partial: a credential is alive or failed, a step failed, or the record is not whole", false},
	{ExitAuthority, "an authority is missing, was refused, or is not accepted on a suspect host", false},
	{ExitUnproved, "credentials are unproved: the deadline passed, or no answer was conclusive", false},
	{ExitManual, "only manual steps remain", false},
	{ExitNoInstallation, "no installation or incident found", true},
	{ExitLocked, "locked by another responder", true},
	{ExitApproval, "an approval is missing, or what was approved has changed", true},
	{ExitEvidence, "the evidence gate failed: evidence is not sealed", false},
	{ExitInterrupted, "interrupted", false},
	{ExitTerminated, "terminated", false},
}

// precedence says which exit code wins when several hold.
var precedence = []int{
	ExitTerminated, ExitInterrupted, ExitNothing, ExitEvidence, ExitPartial,
	ExitAuthority, ExitUnproved, ExitManual,
}

// ExitCode is how the incident stands, as an exit code.
func (s State) ExitCode() int {
	if s.Declared.DryRun && s.Interrupted == "" && len(s.Plan.Phases) > 0 && len(s.failures()) == 0 && s.Unreadable == 0 {
		return ExitContained // the plan was made; the summary never says contained
	}
	holds := s.conditions()
	for _, code := range precedence {
		if holds[code] {
			return code
		}
	}
	return ExitContained
}

func (s State) conditions() map[int]bool {
	holds := map[int]bool{
		ExitInterrupted: s.Interrupted == "interrupt",
		ExitTerminated:  s.Interrupted != "" && s.Interrupted != "interrupt",
		ExitPartial: !s.Declared.Leak && (!s.AgentDown() || !s.Preserved() || !s.searched()) ||
			s.Trouble != "" || s.Unreadable > 0, // what the record lacks may be what failed
	}
	for _, w := range s.Warnings {
		holds[ExitPartial] = holds[ExitPartial] || w.Grave
	}
	for _, step := range s.steps() {
		holds[step.exitCode()] = holds[step.exitCode()] || !s.madeGood(step)
		if s.leftOpen(step) {
			holds[ExitManual] = true
		}
		if _, ok := s.openApproval(step); ok {
			holds[ExitManual] = true
		}
	}
	for _, c := range s.Credentials {
		holds[c.exitCode()] = true
	}
	holds[ExitNothing] = s.nothingDone() && !(s.Declared.Leak && holds[ExitManual]) // whom it told what to do by hand
	return holds
}

// searched reports whether the whole host was searched: credentials that nobody looked for are not dead.
func (s State) searched() bool { return s.Searched != nil && len(s.Searched.Problems) == 0 }

func (step *Step) exitCode() int {
	switch {
	case step.Status == Done || step.Status == Skipped:
		return ExitContained
	case step.Status == Failed && step.Outcome.Gate:
		return ExitEvidence
	case step.Status == Running && step.Uses == "report.write": // which asks this while it runs
		return ExitContained
	}
	return ExitPartial
}

func (c *Credential) exitCode() int {
	switch c.Life {
	case credential.Dead:
		return ExitContained
	case credential.Unverified:
		return ExitUnproved
	case credential.Manual:
		return ExitManual
	case credential.Failed, credential.Skipped:
		if c.Reason == ReasonAuthority || c.Reason == ReasonRisk {
			return ExitAuthority
		}
	}
	return ExitPartial
}

// nothingDone reports that the response touched nothing: no process, no network, no file, no credential.
func (s State) nothingDone() bool {
	return s.Frozen == nil && s.Stopped == nil && s.Isolated == nil && len(s.Platforms) == 0 && len(s.Sealed) == 0 && !slices.ContainsFunc(s.Brokers, (*Broker).Touched) &&
		!slices.ContainsFunc(s.Credentials, (*Credential).touched)
}

// touched reports whether anything came of the attempts to revoke it.
func (c *Credential) touched() bool {
	switch c.Life {
	case credential.Dead:
		return true
	case credential.Failed, credential.Skipped:
		return c.Receipt.Answer != ""
	}
	return c.Receipt.Answer != "" || !c.RevokedAt.IsZero()
}

// steps lists the steps of the plan in its order.
func (s State) steps() []*Step {
	var all []*Step
	for _, phase := range s.Plan.Phases {
		for _, p := range phase.Steps {
			if step := s.Steps[p.ID]; step != nil {
				all = append(all, step)
			}
		}
	}
	return all
}

func (s State) failures() []*Step {
	return slices.DeleteFunc(s.steps(), func(step *Step) bool { return step.Status != Failed })
}

// AgentDown reports whether the agent was killed and seen to stay down, and nobody let it go since.
func (s State) AgentDown() bool { return s.Checked != nil && s.Checked.Down && s.LetGo == nil }

// Summary is the last line of a run with --json.
type Summary struct {
	Type        string          `json:"type"` // "summary"
	Incident    string          `json:"incident"`
	Mode        string          `json:"mode"`
	Exit        int             `json:"exit"`
	Credentials CredentialCount `json:"credentials"`
	Agent       AgentSummary    `json:"agent"`
	Evidence    EvidenceSummary `json:"evidence"`
	Timings     Timings         `json:"timings"`
	Adversary   Adversary       `json:"adversary"`
	Report      string          `json:"report"`
}

// CredentialCount counts credentials by how they ended.
type CredentialCount struct {
	Total      int `json:"total"`
	Dead       int `json:"dead"`
	Alive      int `json:"alive"`
	Manual     int `json:"manual"`
	Unverified int `json:"unverified"`
	Failed     int `json:"failed"`
	Skipped    int `json:"skipped"`
}

// AgentSummary is what became of the agent. FrozenMS is null when it was not frozen.
type AgentSummary struct {
	FrozenMS *float64 `json:"frozen_ms"`
	Down     bool     `json:"down"`
}

// EvidenceSummary is what was preserved.
type EvidenceSummary struct {
	Files  int   `json:"files"`
	Bytes  int64 `json:"bytes"`
	Sealed bool  `json:"sealed"`
}

// Timings are in milliseconds since the declaration, and null for what did not happen.
type Timings struct {
	FreezeMS       *float64 `json:"freeze_ms"`
	AllDeadMS      *float64 `json:"all_dead_ms"`
	SlowestChainMS *float64 `json:"slowest_chain_ms"` // from the first revocation of one credential to its death
}

// Tally counts the credentials by how they stand. What is still on its way counts as unverified.
func (s State) Tally() CredentialCount {
	n := CredentialCount{
		Total: len(s.Credentials), Dead: s.Count(credential.Dead), Alive: s.Count(credential.Alive),
		Manual: s.Count(credential.Manual), Failed: s.Count(credential.Failed), Skipped: s.Count(credential.Skipped),
	}
	n.Unverified = n.Total - n.Dead - n.Alive - n.Manual - n.Failed - n.Skipped
	return n
}

// Summarize makes the summary of a state. report is the path of the written report, or "".
func (s State) Summarize(report string) Summary {
	sum := Summary{
		Type: "summary", Incident: s.Declared.Incident, Mode: s.Declared.Mode, Exit: s.ExitCode(),
		Credentials: s.Tally(), Timings: s.timings(), Report: report,
		Agent: AgentSummary{Down: s.AgentDown()},
	}
	if s.Frozen != nil {
		took := s.Frozen.TookMS
		sum.Agent.FrozenMS = &took
	}
	if s.Adversary != nil {
		sum.Adversary = *s.Adversary
	}
	for _, bag := range s.Sealed {
		sum.Evidence.Files += bag.Files
		sum.Evidence.Bytes += bag.Bytes
		sum.Evidence.Sealed = sum.Evidence.Sealed || bag.OfHost()
	}
	for _, step := range s.failures() {
		if step.Outcome.Gate {
			sum.Evidence.Sealed = false
		}
	}
	return sum
}

func (s State) timings() Timings {
	var t Timings
	since := func(at time.Time) *float64 {
		ms := float64(at.Sub(s.DeclaredAt).Microseconds()) / 1000
		return &ms
	}
	if s.Frozen != nil {
		t.FreezeMS = since(s.FrozenAt)
	}
	var last time.Time
	var slowest time.Duration
	dead := 0
	for _, c := range s.Credentials {
		if c.Life != credential.Dead {
			continue
		}
		dead++
		if c.DiedAt.After(last) {
			last = c.DiedAt
		}
		if !c.RevokedAt.IsZero() {
			slowest = max(slowest, c.DiedAt.Sub(c.RevokedAt))
		}
	}
	if dead > 0 {
		ms := float64(slowest.Microseconds()) / 1000
		t.SlowestChainMS = &ms
	}
	if dead > 0 && dead == len(s.Credentials) {
		t.AllDeadMS = since(last)
	}
	return t
}
