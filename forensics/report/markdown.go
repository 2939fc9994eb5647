package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"clawback/forensics/incident"
)

// Markdown writes the report for people.
func Markdown(w io.Writer, d Document) error {
	p := &page{w: w}
	p.title(d)
	p.summary(d)
	p.open(d)
	p.times(d)
	p.timeline(d)
	p.credentials(d)
	p.platforms(d)
	p.claims(d)
	p.evidence(d)
	p.custody(d)
	p.steps(d)
	p.team(d)
	p.people(d)
	p.troubles(d)
	p.review(d)
	p.colophon(d)
	return p.err
}

func (p *page) title(d Document) {
	mode := words("REAL: ")
	switch {
	case d.Mode == incident.Drill:
		mode = "DRILL: "
	case d.Mode != incident.Real:
		mode = "UNKNOWN MODE: "
	}
	if d.DryRun {
		mode += "DRY RUN: "
	}
	p.say("# %spost-incident report %s", mode, d.Incident)
	if d.Mode == incident.Drill {
		p.say("**This was a drill.** The mode on record is drill: agent, host and providers were simulated, and nothing here says anything about a real credential.")
	}
	if d.DryRun {
		p.say("**This was a dry run.** Nothing was changed: this report is of a plan.")
	}
	if d.Record.Problem != "" {
		p.say("**The record could not be read whole:** %s. What came after is not in this report.", d.Record.Problem)
	}
	if n := len(d.Record.Losses); n > 0 {
		p.say("**The record was not on disk for some time.** See \"Loss of record\".")
	}
	p.item("`Text in this type` is quoted from the record, the host, a provider or a person. It is not checked, and characters that cannot be printed safely stand there as \ufffd.")
	p.item("*Dead* means that the credential's provider itself refused it repeatedly, over the time that a revocation there is given to take effect everywhere. What is known less well is named for what it is.")
	p.item("Times are in UTC, by the clock of the %s.", clock(d))
	p.item("Codes such as RS.AN-06 name outcomes of the NIST Cybersecurity Framework 2.0, as SP 800-61r3 uses them: what a section is material for, not a claim that the outcome was reached.")
	p.end()
}

func clock(d Document) words {
	if speed := d.Declared.Speed; d.Mode == incident.Drill && speed != 0 && speed != 1 {
		return words(fmt.Sprintf("drill, which ran at %g times the speed", speed))
	}
	return "desk"
}

func (p *page) summary(d Document) {
	p.heading("Summary (RS.MA-01)")
	if len(d.Open) > 0 {
		p.item("**Still open: %s.** Each stands under \"Still open\", with what to do next where that is known.", tally(d.Open))
	} else {
		p.item("The record shows nothing that is still open.")
	}
	p.item("%s declared the incident on %s at the desk %s, for the target %s, and ran the playbook %s.",
		d.Declared.Responder, d.Times.Declared, d.Declared.Desk, d.Declared.Target, d.Declared.Playbook)
	if d.Declared.Plan != "" {
		p.item("It carried out a plan that was made beforehand. The SHA-256 of the plan file is %s.", d.Declared.Plan)
	}
	if d.Mode == incident.Real && !d.Declared.Remote {
		p.item("Desk and target are on record as one machine. If that machine was compromised while this ran, its clock, this record and this report are as trustworthy as the machine.")
	}
	p.item("%s exit code %d. The table of exit codes says of it: %s.", ending(d.Outcome), d.Outcome.Exit, d.Outcome.Meaning)
	if len(d.Record.Losses) > 0 {
		p.item("The record could not be written to disk for some time. An exit code of 3 can stand for that alone.")
	}
	p.summaryOfAgent(d)
	p.summaryOfCredentials(d)
	p.summaryOfEvidence(d)
	if d.Adversary != nil && d.Mode == incident.Drill {
		p.item("The drill's adversary got %s with the stolen credentials after the alarm.", plural(d.Adversary.CallsAfterAlarm, "call through", "calls through"))
	}
	p.end()
}

func ending(o Outcome) words {
	switch {
	case o.Interrupted != "":
		return words(fmt.Sprintf("The response was ended by a signal (%s), with", quote(o.Interrupted)))
	case o.Closed:
		return "The response ended with"
	}
	return "The record does not hold the end of the response. As far as it goes the response stands at"
}

// tally counts open matters by their kind.
func tally(open []incident.OpenMatter) words {
	n := make(map[string]int)
	for _, m := range open {
		n[m.Kind]++
	}
	var parts []words
	for _, k := range []struct {
		kind      string
		one, many words
	}{
		{incident.MatterAgent, "the agent", "the agent"}, {incident.MatterEvidence, "the evidence", "the evidence"},
		{incident.MatterRecord, "the record", "the record"}, {incident.MatterSearch, "the search", "the search"},
		{incident.MatterCredential, "1 credential not proved dead", "credentials not proved dead"},
		{incident.MatterLivesOn, "1 thing that outlives its revocation", "things that outlive their revocation"},
		{incident.MatterStep, "1 step", "steps"}, {incident.MatterQuestion, "1 question", "questions"},
		{incident.MatterInventory, "1 credential of the inventory that was not found", "credentials of the inventory that were not found"},
		{incident.MatterApproval, "1 approval afterwards", "approvals afterwards"},
	} {
		switch {
		case n[k.kind] == 1:
			parts = append(parts, k.one)
		case n[k.kind] > 1:
			parts = append(parts, words(fmt.Sprintf("%d %s", n[k.kind], k.many)))
		}
	}
	return enumerate(parts)
}

func (p *page) summaryOfAgent(d Document) {
	if d.DryRun {
		return
	}
	if d.Leak {
		p.item("The credentials were handed over. No host was searched or touched, so nothing here says who used them, or what else leaked.")
		return
	}
	if d.Times.Frozen.IsZero() {
		p.item("No freeze of the agent is on record.")
	}
	if d.Outcome.AgentDown {
		p.item("At its last look the host said that the agent is down. That is the host's claim; it is not proved from outside.")
	} else {
		p.item("**The agent is not known to be down.**")
	}
}

func (p *page) summaryOfCredentials(d Document) {
	n, o := d.Counts, d.Outcome
	if d.HostLost != nil {
		p.item("**The host itself counts as compromised:** %s. What its other users keep there was searched for too.", d.HostLost.Why)
	}
	if n.Total == 0 {
		p.item("No credential is on record. That does not show that there was none.")
		return
	}
	var parts []words
	for _, c := range []struct {
		n    int
		text words
	}{
		{o.Proved - o.Weak, "proved dead at the provider"}, {o.Weak, "dead on weak evidence"},
		{o.Claimed, "counted as dead without a proof at a provider"}, {n.Alive, "alive"},
		{n.Failed, "not revoked"}, {n.Unverified, "unproved"}, {n.Manual, "waiting for a person"}, {n.Skipped, "left alone"},
	} {
		if c.n > 0 {
			parts = append(parts, words(fmt.Sprintf("%d %s", c.n, c.text)))
		}
	}
	p.item("%s on record: %s.", plural(n.Total, "credential is", "credentials are"), enumerate(parts))
	if o.Exit == incident.ExitContained && o.Weak+o.Claimed > 0 {
		p.item("The exit code counts as dead also what is dead on weak evidence or without a proof at a provider.")
	}
}

func (p *page) summaryOfEvidence(d Document) {
	if len(d.Evidence) == 0 {
		if !d.DryRun {
			p.item("**No evidence is sealed.**")
		}
		return
	}
	files, bytes := 0, int64(0)
	for _, b := range d.Evidence {
		files, bytes = files+b.Files, bytes+b.Bytes
	}
	p.item("%s of evidence with %s and %d bytes %s sealed at the desk.", plural(len(d.Evidence), "package", "packages"),
		plural(files, "file", "files"), bytes, words(map[bool]string{true: "is", false: "are"}[len(d.Evidence) == 1]))
}

func (p *page) open(d Document) {
	if len(d.Open) == 0 {
		return
	}
	p.heading("Still open")
	for _, m := range d.Open {
		p.item("%s: %s", m.What, m.Why)
		if m.Hint != "" {
			p.sub("Next: %s", m.Hint)
		}
	}
	p.end()
}

func (p *page) times(d Document) {
	p.heading("Times (RS.MA-01)")
	t := d.Times
	after := func(at time.Time) words {
		if at.IsZero() || t.Declared.IsZero() {
			return "–"
		}
		return words(lasting(at.Sub(t.Declared)))
	}
	when := func(at time.Time, otherwise words) words {
		if at.IsZero() {
			return otherwise
		}
		return words(stamp(at))
	}
	p.raw("| | When | After the declaration |\n|---|---|---|\n")
	for _, row := range []struct {
		name, when, after words
	}{
		{"Declared", when(t.Declared, "not on record"), "–"},
		{"The host's claim of a freeze", when(t.Frozen, "not on record"), after(t.Frozen)},
		{"All credentials recorded as dead", when(t.AllDead, "not all are"), after(t.AllDead)},
		{"The newest entry that this report covers", when(t.Newest, "not on record"), after(t.Newest)},
		{"Closed", when(t.Closed, "not on record"), after(t.Closed)},
	} {
		p.raw(fill("| %s | %s | %s |\n", []any{row.name, row.when, row.after}))
	}
	p.end()
	if ms := t.SlowestChainMS; ms != nil {
		p.say("Of the credentials recorded as dead, the slowest took %s from the first request to revoke it.", time.Duration(*ms*float64(time.Millisecond)))
	}
}

func (p *page) timeline(d Document) {
	p.heading("Timeline (RS.AN-06)")
	if len(d.Timeline) == 0 {
		p.say("No event is on record.")
		return
	}
	p.say("From the record, which holds more than is shown here: each refusal by a provider, each step that was done. Repeated answers are shown once. The words are the record's: lines about the host are its claims, and what a death rests on stands under \"Credentials\".")
	lines, day := []string{}, ""
	for _, e := range d.Timeline {
		at := e.Time.UTC()
		if today := at.Format(time.DateOnly); today != day {
			day = today
			lines = append(lines, day+" UTC")
		}
		lines = append(lines, fmt.Sprintf("%s  %-12s %s", at.Format("15:04:05.000"), e.Word, e.Text))
	}
	p.block(lines)
}

func (p *page) claims(d Document) {
	p.heading("What the host claimed (RS.AN-07)")
	p.say("Everything in this section was said by programs on the machine under suspicion. None of it is proved by this record. What was proved at the providers stands under \"Credentials\".")
	if len(d.Claims) == 0 {
		p.say("The host said nothing that is on record.")
		return
	}
	for _, c := range d.Claims {
		p.item("%s, the host said: %s", c.Time, c.Says)
		for _, line := range c.Basis {
			p.sub("%s", line)
		}
		for _, line := range c.Problems {
			p.sub("**Problem:** %s", line)
		}
	}
	p.end()
}

func (p *page) steps(d Document) {
	p.heading("Steps that failed, were left out or did not end (RS.MA-01)")
	listed := 0
	for _, s := range d.Steps {
		if s.Status == incident.Done {
			continue
		}
		listed++
		p.item("%s (phase %s): %s", s.Title, s.Phase, status(s))
		if s.Hint != "" {
			p.sub("Next: %s", s.Hint)
		}
	}
	if listed == 0 {
		p.say("None: %s on record, each with the outcome done.", plural(len(d.Steps), "step is", "steps are"))
		return
	}
	p.end()
}

func status(s Step) words {
	switch s.Status {
	case incident.Failed:
		gate := words("")
		if s.Gate {
			gate = ". Evidence was not safe, so what would have destroyed it was not done"
		}
		return words(fill("failed: %s%s", []any{s.Error, gate}))
	case incident.Skipped:
		return words(fill("left out: %s", []any{cmp.Or(s.Note, "no reason is on record")}))
	case incident.Running:
		return words(fill("began on %s, and no outcome is on record; whether it took effect is not known", []any{s.Began}))
	case incident.Waiting:
		return "not begun"
	}
	return words(fill("on record as %s", []any{s.Status}))
}

func (p *page) people(d Document) {
	p.heading("Decisions, answers and notes (RS.MA-01)")
	if len(d.Answers)+len(d.Commands)+len(d.Notes) == 0 {
		p.say("None is on record.")
		return
	}
	for _, a := range d.Answers {
		p.answer(a)
	}
	for _, c := range d.Commands {
		if about := cmp.Or(c.Name, c.Credential.Short()); about != "" {
			p.item("%s, %s asked: %s for %s", c.Time, c.By, c.Kind, about)
		} else {
			p.item("%s, %s asked: %s", c.Time, c.By, c.Kind)
		}
		p.written(c.Text)
	}
	for _, n := range d.Notes {
		if n.Key == "" {
			p.item("%s, note by %s:", n.Time, n.By)
		} else {
			p.item("%s, note by %s, signed with the key %s:", n.Time, n.By, n.Key)
		}
		p.written(n.Text)
	}
	p.end()
}

func (p *page) answer(a Answer) {
	switch {
	case a.Kind == incident.Written && a.Choice == incident.Later:
		p.item("%s, %s left %s open", a.Time, a.By, a.Question)
	case a.Kind == incident.Written && a.Key != "":
		p.item("%s, %s answered %s in writing, signed with the key %s:", a.Time, a.By, a.Question, a.Key)
	case a.Kind == incident.Written:
		p.item("%s, %s answered %s in writing:", a.Time, a.By, a.Question)
	case a.ChoiceTitle != "":
		p.item("%s, %s answered %s with %s (%s)", a.Time, a.By, a.Question, a.ChoiceTitle, a.Choice)
	default:
		p.item("%s, %s answered %s with %s", a.Time, a.By, a.Question, a.Choice)
	}
	p.written(a.Text)
}

// written is what a person wrote, inside an item of a list.
func (p *page) written(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	p.end()
	for line := range strings.Lines(block(prose(text))) {
		p.raw("  " + line)
	}
	p.end()
}

func (p *page) troubles(d Document) {
	p.heading("Warnings")
	for _, w := range d.Warnings {
		p.item("%s", w.Text)
		if w.Hint != "" {
			p.sub("Next: %s", w.Hint)
		}
	}
	if len(d.Warnings) == 0 {
		p.say("None is on record.")
	}
	p.heading("Accepted risks")
	for _, r := range d.Declared.Accepted {
		p.item("%s accepted %s", d.Declared.Responder, r)
	}
	if len(d.Declared.Accepted) == 0 {
		p.say("None is on record.")
	}
	p.heading("Loss of record (RS.AN-06)")
	for _, l := range d.Record.Losses {
		p.item("%s, the record could not be written to disk: %s", l.Time, l.Text)
	}
	if len(d.Record.Losses) == 0 {
		p.say("No entry says that the record could not be written to disk.")
		return
	}
	p.end()
	p.say("Entries after such a time were held in memory until the disk took them. Had the desk failed meanwhile, they would be missing.")
}

func (p *page) review(d Document) {
	p.heading("Review (RS.AN-03, RS.AN-08, ID.IM-03)")
	if a := d.Reviewed; a != nil {
		p.say("On %s, %s wrote under the step that asks all four questions:", a.Time, a.By)
		p.block(prose(a.Text))
	}
	for _, q := range d.Review {
		p.say("### %s", headline(q.Question))
		for _, a := range q.OnRecord {
			p.answer(a)
		}
		switch {
		case q.Open && q.LeftBy != "":
			p.say("**Open:** %s left it open, and nobody has answered it in writing.", q.LeftBy)
		case q.Open:
			p.say("**Open:** nobody has answered it in writing.")
		case q.Answered:
		case d.Reviewed != nil:
			p.say("No separate answer is on record: see what was written under the step that asks all four questions.")
		default:
			p.say("_To be answered by the responder._")
		}
	}
	p.reach(d)
}

// reach says how far the stolen credentials went. It bounds what can have been accessed.
func (p *page) reach(d Document) {
	var could []string
	for _, c := range d.Credentials {
		for _, r := range c.Reach {
			if text := c.Provider + ": " + r; !slices.Contains(could, text) && len(could) < 100 {
				could = append(could, text)
			}
		}
	}
	if len(could) == 0 {
		return
	}
	p.say("### What the credentials could reach")
	p.say("By the answers of their providers before the revocation. It is what could be done with them, not what was done.")
	for _, text := range could {
		p.item("%s", text)
	}
	p.end()
}

func (p *page) colophon(d Document) {
	p.heading("The record (RS.AN-06)")
	p.say("Written by clawback %s from the first %d entries of %s, beside this file. Later entries are not in it.", d.Declared.Version, d.Record.Entries, "journal.jsonl")
	if d.Record.Problem == "" && d.Record.Last != "" {
		p.say("Each entry carries the SHA-256 of the one before, so this hash of the last of them names them all: %s. To check it:", d.Record.Last)
		p.block([]string{fmt.Sprintf("sed -n %dp journal.jsonl | tr -d '\\n' | sha256sum", d.Record.Entries)})
	}
	p.seal(d)
	p.witnesses(d)
}
