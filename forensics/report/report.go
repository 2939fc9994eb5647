// Package report writes the post-incident report from the record of an incident. Its reader may
// sit in a court: each sentence says what the record shows and no more, and what the host said
// stands there as the host's claim.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"clawback/forensics/disk"
	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// Schema is the version of the JSON report. Fields may be added to it; none changes its meaning.
const Schema = 1

// Names of the report in the folder of its incident.
const (
	MarkdownName = "report.md"
	JSONName     = "report.json"
)

// Document is a report. Its texts may quote the host, a provider or a person as they wrote it:
// Markdown and JSON make them safe.
type Document struct {
	Schema   int       `json:"schema"`
	Incident string    `json:"incident"`
	Mode     string    `json:"mode"` // "real", "drill"
	DryRun   bool      `json:"dry_run"`
	Leak     bool      `json:"leak,omitempty"` // there is no host
	Title    string    `json:"title"`          // of the plan
	Declared Declared  `json:"declared"`
	Outcome  Outcome   `json:"outcome"`
	Times    Times     `json:"times"`
	Record   Record    `json:"record"`
	Search   *Searched `json:"search,omitempty"` // none when its end is not on record

	HostLost *incident.HostLost `json:"host_lost,omitempty"` // none where nobody found that the host itself is compromised

	Open        []incident.OpenMatter    `json:"still_open"`
	Counts      incident.CredentialCount `json:"counts"`
	Credentials []Credential             `json:"credentials"`
	NotFound    []incident.InventoryItem `json:"inventory_not_found,omitempty"`
	Claims      []Claim                  `json:"host_claims"`
	Platforms   []incident.Platform      `json:"platforms,omitempty"` // what was done to the machine from outside of it
	Snapshots   []incident.Snapshots     `json:"disk_snapshots,omitempty"`
	Evidence    []incident.Sealed        `json:"evidence"`
	Custody     Custody                  `json:"chain_of_custody"`
	Steps       []Step                   `json:"steps"`
	Team        Team                     `json:"team"`
	Answers     []Answer                 `json:"answers"`
	Commands    []Command                `json:"commands"`
	Notes       []Note                   `json:"notes"`
	Warnings    []incident.Warning       `json:"warnings"`
	Adversary   *incident.Adversary      `json:"adversary,omitempty"` // of a drill
	Review      []Review                 `json:"review"`
	Reviewed    *Answer                  `json:"review_record,omitempty"` // what the responder wrote under the step that asks all four
	Timeline    []Event                  `json:"timeline"`
}

// Declared is who responded to what, with what.
type Declared struct {
	Responder string   `json:"responder"`
	Desk      string   `json:"desk"`
	Target    string   `json:"target"`
	Remote    bool     `json:"desk_is_another_machine"`
	Playbook  string   `json:"playbook"`
	Version   string   `json:"version"`
	Accepted  []string `json:"accepted_risks"`
	Deadline  string   `json:"deadline,omitempty"`
	Plan      string   `json:"approved_plan,omitempty"` // SHA-256 of the plan file that was carried out
	Scenario  string   `json:"scenario,omitempty"`
	Seed      uint64   `json:"seed,omitempty"`
	Speed     float64  `json:"speed,omitempty"`
}

// Outcome is how the response stands at the end of the record that the report covers.
type Outcome struct {
	Exit        int    `json:"exit"`
	Meaning     string `json:"meaning"`
	Interrupted string `json:"interrupted,omitempty"` // by which signal
	Closed      bool   `json:"closed"`                // the end of the response is on record
	AgentDown   bool   `json:"agent_down"`            // by the host's claim
	Proved      int    `json:"proved_dead"`           // by refusals at the provider, weak ones included
	Weak        int    `json:"weakly_proved_dead"`
	Claimed     int    `json:"claimed_dead"` // counted as dead without a proof at a provider
}

// Times are by the desk's clock, in UTC, and left out where nothing is on record.
type Times struct {
	Declared time.Time `json:"declared,omitzero"`
	Frozen   time.Time `json:"frozen,omitzero"` // when the host's claim arrived
	AllDead  time.Time `json:"all_dead,omitzero"`
	Newest   time.Time `json:"newest_entry,omitzero"`
	Closed   time.Time `json:"closed,omitzero"`
	incident.Timings
}

// Record is the part of the journal that the report covers.
type Record struct {
	Entries   uint64                 `json:"entries"`
	Last      string                 `json:"last_entry_sha256"`
	Problem   string                 `json:"problem,omitempty"`   // why it could not be read further
	Losses    []Note                 `json:"losses"`              // when it was not on disk, and why
	Seal      *Seal                  `json:"seal,omitempty"`      // none for a record that is not signed
	Witnesses []incident.WitnessHeld `json:"witnesses,omitempty"` // the newest word on each sink off the host
}

// Searched is the end of the search for credentials.
type Searched incident.Searched

// Step is a step of the plan as it stands.
type Step struct {
	ID     string    `json:"id"`
	Phase  string    `json:"phase"`
	Title  string    `json:"title"`
	Status string    `json:"status"`
	Began  time.Time `json:"began,omitzero"`
	Ended  time.Time `json:"ended,omitzero"`
	Note   string    `json:"note,omitempty"`
	Error  string    `json:"error,omitempty"`
	Hint   string    `json:"hint,omitempty"`
	Gate   bool      `json:"evidence_gate,omitempty"`
}

// Make makes the report of state s, which folds the first s.Entries of entries. What cannot be
// read of them is said in the report.
func Make(s incident.State, entries iter.Seq2[journal.Entry, error]) Document {
	h := readHistory(entries, s.Entries)
	sum := s.Summarize("")
	d := Document{
		Schema: Schema, Incident: s.Declared.Incident, Mode: s.Declared.Mode, DryRun: s.Declared.DryRun, Leak: s.Declared.Leak, Title: s.Plan.Title,
		Declared: Declared{
			Responder: s.Declared.Responder, Desk: s.Declared.Desk, Target: s.Declared.Target, Remote: s.Declared.Remote,
			Playbook: s.Declared.Playbook, Version: s.Declared.Version, Accepted: some(s.Declared.Accepted),
			Deadline: s.Declared.Deadline, Plan: s.Declared.Approved, Scenario: s.Declared.Scenario, Seed: s.Declared.Seed, Speed: s.Declared.Speed,
		},
		Times:  Times{Declared: s.DeclaredAt, Frozen: s.FrozenAt, Newest: s.Now, Closed: s.ClosedAt, Timings: sum.Timings},
		Record: Record{Entries: s.Entries, Last: h.last, Problem: h.problem(s.Entries), Losses: some(h.losses), Witnesses: witnesses(s)},
		Search: (*Searched)(s.Searched), HostLost: s.Lost,
		Open: some(s.OpenMatters()), Counts: sum.Credentials, Credentials: []Credential{},
		Claims: some(h.claims), Evidence: some(s.Sealed), Custody: custody(s), Platforms: s.Platforms, Snapshots: s.Snapshots, Steps: steps(s), Team: team(s, h),
		Answers: some(h.answers), Commands: some(h.commands), Notes: some(h.notes), Warnings: some(s.Warnings),
		Adversary: s.Adversary, Timeline: some(h.timeline.events()),
	}
	d.Review, d.Reviewed = review(h.answers, s.Written())
	if ms := sum.Timings.AllDeadMS; ms != nil {
		d.Times.AllDead = s.DeclaredAt.Add(time.Duration(*ms * float64(time.Millisecond)))
	}
	for _, c := range s.Credentials {
		d.Credentials = append(d.Credentials, describe(c, h.of[c.Fingerprint]))
	}
	if s.Searched != nil {
		d.NotFound = s.NotFound()
	}
	d.Outcome = outcome(s, d.Credentials)
	return d
}

// some is a list that is empty rather than null in JSON.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func outcome(s incident.State, all []Credential) Outcome {
	o := Outcome{Exit: s.ExitCode(), Interrupted: s.Interrupted, Closed: s.Exit != nil, AgentDown: s.AgentDown()}
	if o.Closed {
		o.Exit = *s.Exit
	}
	o.Meaning = "unknown: treat it as a failure"
	for _, row := range incident.ExitCodes {
		if row.Code == o.Exit {
			o.Meaning = row.Meaning
		}
	}
	if s.Declared.DryRun && o.Exit == incident.ExitContained {
		o.Meaning = "the plan was made; it was a dry run, so nothing was changed and nothing is contained"
	}
	for _, c := range all {
		switch c.Proof {
		case ProofProvider:
			o.Proved++
		case ProofWeak:
			o.Proved++
			o.Weak++
		case ProofNone:
			if c.Dead {
				o.Claimed++
			}
		}
	}
	return o
}

func steps(s incident.State) []Step {
	all := []Step{}
	for _, phase := range s.Plan.Phases {
		for _, p := range phase.Steps {
			if step := s.Steps[p.ID]; step != nil {
				o := step.Outcome
				all = append(all, Step{
					ID: p.ID, Phase: phase.Title, Title: p.Title, Status: step.Status, Began: step.Began, Ended: step.Ended,
					Note: o.Note, Error: o.Error, Hint: o.Hint, Gate: o.Gate,
				})
			}
		}
	}
	return all
}

// JSON writes the report as one JSON object. Characters that could act on a terminal, or hide or
// reorder text, stand there as escapes, so nothing of the record is lost and nothing of it acts.
func JSON(w io.Writer, d Document) error {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	_, err := w.Write(journal.Visible(plain.Bytes()))
	return err
}

// Draft is the Markdown report of a record as far as it goes, which somebody may still be writing: a
// last line that is not whole yet is left out. Nothing is written.
func Draft(entries func() iter.Seq2[journal.Entry, error]) (string, error) {
	s, err := incident.FoldAll(entries())
	if err != nil && !errors.Is(err, journal.ErrTorn) {
		return "", err
	}
	var text bytes.Buffer
	if err := Markdown(&text, Make(s, entries())); err != nil {
		return "", err
	}
	return text.String(), nil
}

// Write writes report.md and report.json into dir, the folder of the incident, and returns their
// paths. An older report is replaced as a whole or not at all. A record that cannot be read to its
// end is no error: the report says so at its top.
func Write(dir string, s incident.State, entries iter.Seq2[journal.Entry, error]) (incident.Report, error) {
	return WriteOn(disk.OS{}, dir, s, entries)
}

// WriteOn is Write on a given disk.
func WriteOn(fsys disk.FS, dir string, s incident.State, entries iter.Seq2[journal.Entry, error]) (incident.Report, error) {
	if dir == "" {
		return incident.Report{}, errors.New("the incident has no folder to write a report into")
	}
	d := Make(s, entries)
	d.Record.Seal = seal(dir, s)
	out := incident.Report{Markdown: filepath.Join(dir, MarkdownName), JSON: filepath.Join(dir, JSONName)}
	for _, f := range []struct {
		path   string
		render func(io.Writer, Document) error
	}{{out.Markdown, Markdown}, {out.JSON, JSON}} {
		var text bytes.Buffer
		err := f.render(&text, d)
		if err == nil {
			err = disk.Replace(fsys, f.path, text.Bytes(), 0o600)
		}
		if err != nil {
			return incident.Report{}, fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	return out, nil
}
