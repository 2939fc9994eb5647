package report

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
)

// Team is who responded together, and who approved what.
type Team struct {
	Severity  int                     `json:"severity,omitempty"` // 1 is the worst, 3 the least; 0 where nobody said
	Ticket    string                  `json:"ticket,omitempty"`
	Roles     map[string]string       `json:"roles"`
	Approvals []StepApproval          `json:"approvals"`
	Refused   []incident.InboxRefused `json:"refused_messages"`
}

// StepApproval is how the approval of a step stands.
type StepApproval struct {
	Step   string     `json:"step"`
	Title  string     `json:"title"`
	Needs  int        `json:"needs"`
	By     string     `json:"asked_by"`
	Binds  string     `json:"digest"`
	Given  []Approver `json:"given"`
	Broken *Broken    `json:"broken,omitempty"` // it went ahead without
}

// Approver is one person's approval. Its entry in the record holds what they signed.
type Approver struct {
	Time       time.Time `json:"time"`
	Entry      uint64    `json:"entry"`
	By         string    `json:"by"`
	Key        string    `json:"key"`
	Late       bool      `json:"late"`
	Beforehand bool      `json:"beforehand"` // of the plan file, before there was an incident
}

// Broken is who went ahead without approvals, and why.
type Broken struct {
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// approval reads how approvals were given. What does not count is a warning of the state's.
func (h *history) approval(e journal.Entry) {
	switch e.Type {
	case incident.TypeApproved:
		if a, ok := read[incident.Approved](e); ok {
			h.approved[a.Step] = append(h.approved[a.Step], Approver{e.Time, e.Seq, a.By, a.Key, a.Late, a.Plan != ""})
		}
	case incident.TypeBreakGlass:
		if b, ok := read[incident.BreakGlass](e); ok {
			h.broken[b.Step] = &Broken{e.Time, b.By, b.Reason}
		}
	}
}

// keyOf is the key that signed what came from another terminal.
func keyOf(s *incident.Signed) string {
	if s == nil {
		return ""
	}
	return s.Key
}

func team(s incident.State, h *history) Team {
	t := Team{Severity: s.Declared.Severity, Ticket: s.Declared.Ticket, Roles: maps.Clone(s.Declared.Roles), Approvals: []StepApproval{}, Refused: some(s.Refused)}
	if t.Roles == nil {
		t.Roles = map[string]string{}
	}
	for _, phase := range s.Plan.Phases {
		for _, step := range phase.Steps {
			a := s.Approvals[step.ID]
			if a == nil {
				continue
			}
			counted := slices.DeleteFunc(slices.Clone(h.approved[step.ID]), func(given Approver) bool {
				return !slices.ContainsFunc(a.Given, func(g incident.Approved) bool { return g.By == given.By && g.Key == given.Key })
			})
			t.Approvals = append(t.Approvals, StepApproval{
				Step: step.ID, Title: step.Title, Needs: a.Needs, By: a.By, Binds: a.Binds, Given: some(counted), Broken: h.broken[step.ID],
			})
		}
	}
	return t
}

func (p *page) team(d Document) {
	t := d.Team
	if t.Severity == 0 && t.Ticket == "" && len(t.Roles)+len(t.Approvals)+len(t.Refused) == 0 {
		return
	}
	p.heading("Responders and approvals (RS.MA-01)")
	p.item("Responder: %s", d.Declared.Responder)
	for _, name := range slices.Sorted(maps.Keys(t.Roles)) {
		p.item("%s: %s", name, t.Roles[name])
	}
	if t.Severity != 0 {
		p.item("Severity as declared: %d (1 is the worst, 3 the least)", t.Severity)
	}
	if t.Ticket != "" {
		p.item("Change ticket: %s", t.Ticket)
	}
	for _, a := range t.Approvals {
		p.stepApproval(a)
	}
	if n := len(t.Refused); n > 0 {
		p.item("%s refused; the record says why.", plural(n, "message from another terminal was", "messages from other terminals were"))
	}
	p.end()
	for _, a := range t.Approvals {
		if len(a.Given) > 0 {
			p.howToCheck(a.Given[0])
			return
		}
	}
}

func (p *page) stepApproval(a StepApproval) {
	p.item("Step %s, asked for by %s: %d of %d approvals. Digest of plan and step: %s", a.Title, a.By, len(a.Given), a.Needs, a.Binds)
	if b := a.Broken; b != nil {
		p.sub("**Went ahead without the approvals that were missing** on %s, by %s: %s", b.Time, b.By, b.Reason)
	}
	for _, g := range a.Given {
		when := words("")
		switch {
		case g.Beforehand:
			when = ", as part of a plan file, before the incident"
		case g.Late:
			when = ", after the step had gone ahead"
		}
		p.sub("%s, approved by %s with the key %s%s (entry %d)", g.Time, g.By, g.Key, when, g.Entry)
	}
}

// howToCheck shows how an approval is checked with programs that are not ours.
func (p *page) howToCheck(a Approver) {
	p.say("Who approved is who the desk's list of allowed signers gave the key to. What they signed stands in the record. To check it, with that list, for example:")
	p.block([]string{
		fmt.Sprintf("jq -j 'select(.seq==%d).data.message' journal.jsonl > message", a.Entry),
		fmt.Sprintf("jq -r 'select(.seq==%d).data.signature' journal.jsonl > message.sig", a.Entry),
		fmt.Sprintf("ssh-keygen -Y verify -f allowed_signers -I '%s' -n clawback-approval@v1 -s message.sig < message", shellSafe(a.By)),
	})
}

// shellSafe is a name that stands between single quotes of a shell.
func shellSafe(name string) string {
	out := []rune(incident.Safe(name))
	for i, r := range out {
		if r == '\'' {
			out[i] = '?'
		}
	}
	return string(out)
}
