package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"clawback/forensics/incident"
	"clawback/playbooks"
	"clawback/playbooks/actions"
)

// lineWidth is how wide the text form is, where its words allow it.
const lineWidth = 80

// WriteText shows what a person approves, in the order of the playbook. digest is that of the plan
// file, or "" where there is none.
func WriteText(w io.Writer, p Plan, digest string) error {
	var t text80
	t.head(p, digest)
	t.lookAt(p)
	t.agent(p)
	t.section("What is done, in this order")
	for _, phase := range p.Playbook.Phases {
		steps := slices.DeleteFunc(slices.Clone(phase.Steps), p.leftOut)
		if len(steps) > 0 {
			t.line(0, "%s", phase.Title)
		}
		for _, s := range steps {
			t.step(p, s)
		}
	}
	t.authorities(p)
	t.people(p)
	t.unproved(p)
	t.risks(p)
	t.notFound(p)
	_, err := w.Write(t.out.Bytes())
	return err
}

// text80 writes lines that are safe on a terminal.
type text80 struct{ out bytes.Buffer }

func (t *text80) section(title string) { t.out.WriteString("\n" + title + "\n") }

// line writes a text, broken between words, each line indented. What is too long for a line is
// broken nowhere: a path or a URL is there to be copied.
func (t *text80) line(indent int, format string, args ...any) {
	margin := strings.Repeat(" ", indent)
	width := 0
	for _, word := range strings.Fields(incident.Safe(fmt.Sprintf(format, args...))) {
		n := utf8.RuneCountInString(word)
		switch {
		case width == 0:
			t.out.WriteString(margin)
			width = indent
		case width+1+n > lineWidth:
			t.out.WriteString("\n" + margin + "  ")
			width = indent + 2
		default:
			t.out.WriteByte(' ')
			width++
		}
		t.out.WriteString(word)
		width += n
	}
	t.out.WriteByte('\n')
}

func (t *text80) head(p Plan, digest string) {
	t.line(0, "%s on %s", p.Playbook.Title, p.Target)
	made := fmt.Sprintf("made by %s on %s at %s", p.By, p.Desk, p.Made.UTC().Format(stamp))
	if digest != "" {
		made = fmt.Sprintf("%s, %s, valid until %s", p.ID, made, p.Until.UTC().Format(stamp))
	}
	t.line(2, "%s", made)
	t.line(2, "playbook %s, each death proved within %s, clawback %s", p.Playbook.Name, p.Asked.Deadline, p.Version)
	if p.Asked.Playbook != p.Playbook.Name {
		t.line(2, "the playbook stands in %s", p.Asked.Playbook)
	}
	for _, provider := range slices.Sorted(maps.Keys(p.Endpoints)) {
		t.line(2, "%s is called at %s", provider, p.Endpoints[provider])
	}
	if digest != "" {
		t.line(2, "SHA-256 of the file %s", digest)
	}
	if p.Offline {
		t.line(2, "No provider was asked what a credential is.")
	}
	if p.Suspect {
		t.line(2, "This desk is the machine under suspicion: whoever owns it can read what is typed here.")
	}
}

// lookAt says what the plan does not know.
func (t *text80) lookAt(p Plan) {
	if len(p.Problems) > 0 {
		t.section("Not searched: what is in there is neither known nor revoked")
		t.list(p.Problems)
	}
	if len(p.Apart) > 0 {
		t.section("Left alone: it belongs to other accounts")
		t.list(p.Apart)
	}
}

// maxShown is how much of a list of the host's a person can be asked to read. The file has all.
const maxShown = 20

func (t *text80) list(items []string) {
	for i, item := range items {
		if i == maxShown {
			t.line(2, "and %d more, which stand in the plan file", len(items)-maxShown)
			return
		}
		t.line(2, "%s", item)
	}
}

func (t *text80) agent(p Plan) {
	t.section("The agent")
	for _, i := range p.Installations {
		user := ""
		if i.User != "" {
			user = ", of " + i.User
		}
		t.line(2, "installation /%s, generation %s%s", i.StateDir, i.Generation, user)
	}
	t.line(2, "%s", plural(p.Processes, "process", "processes"))
	for _, u := range p.Units {
		t.line(2, "unit %s (%s), %s", u.Name, u.Manager, u.Active)
	}
	for _, r := range p.Revivers {
		t.line(2, "may be brought back by %s %s: %s", r.Kind, r.Name, r.Detail)
	}
}

// leftOut reports whether a step does not run on this target. What decisions decide is not known.
func (p Plan) leftOut(s incident.PlanStep) bool {
	when, err := playbooks.ParseCondition(s.When)
	if s.When == "" || err != nil || when.Choice != "" {
		return false
	}
	if when.Fact == playbooks.OnPlatform || when.Fact == playbooks.OnHoster {
		return false // what is in the plan is there
	}
	holds := when.Fact == "remote" && p.Remote || when.Fact == "local" && !p.Remote
	return holds == when.Not
}

func (t *text80) step(p Plan, s incident.PlanStep) {
	t.line(2, "%s: %s", s.ID, s.Title)
	if s.Irreversible != "" {
		t.line(4, "cannot be undone: %s", s.Irreversible)
	}
	if s.Approvals > 0 {
		t.line(4, "needs the approval of %s", plural(s.Approvals, "person", "people"))
	}
	if s.Uses == "platform.isolate" {
		for _, will := range p.Platforms {
			t.line(4, "%s", will)
		}
	}
	if s.Uses == "credentials.revoke" {
		t.credentials(p)
	}
	if s.Uses == "broker.hold" {
		t.listBrokers(p)
	}
}

func (t *text80) credentials(p Plan) {
	t.line(4, "%s in %s", plural(len(p.Credentials), "credential", "credentials"), plural(p.Files, "file", "files"))
	told := make(map[string]bool)
	for _, c := range p.Credentials {
		seen := ""
		if !p.Offline {
			seen = c.Seen.String()
		}
		t.line(6, "%s %s %s", c.Kind, c.Masked, seen)
		t.line(8, "%s", c.Why)
		if c.Other != "" {
			t.line(8, "kept by another user of the host: %s", c.Other)
		}
		if c.Doubt != "" {
			t.line(8, "%s", incident.DoubtText(c.Doubt))
		}
		switch {
		case c.Inventory != nil:
			t.line(8, "inventory: %s", cmp.Or(c.Inventory.About(), "it is in there"))
		case p.Inventoried:
			t.line(8, "not in inventory")
		}
		effect := p.kind(c.Kind).Effect
		if effect != "" && !told[c.Kind] && (c.Way == actions.ByItself || c.Way == actions.ByAuthority) {
			t.line(8, "besides: %s", effect)
			told[c.Kind] = true
		}
		where := "found nowhere"
		if len(c.Sources) > 0 {
			where = "in " + c.Sources[0].String()
		}
		if more := len(c.Sources) + c.More - 1; more > 0 {
			where += ", and in " + plural(more, "other place", "other places")
		}
		t.line(8, "%s", where)
	}
}

// String is what was seen of a credential, in a line.
func (s Seen) String() string {
	var parts []string
	switch s.Outcome {
	case NotAsked:
		parts = append(parts, "not asked")
	case "":
	default:
		parts = append(parts, s.Outcome)
	}
	if s.Owner != "" || s.Account != "" {
		parts = append(parts, "of "+strings.TrimSpace(s.Owner+" "+s.Account))
	} else if s.Answer != "" && s.Outcome != "alive" {
		parts = append(parts, s.Answer)
	}
	if len(s.Reach) > 0 {
		parts = append(parts, "reaches "+strings.Join(s.Reach, ", "))
	}
	return strings.Join(parts, ": ")
}

// authorities says with what of the responder's own it is done.
func (t *text80) authorities(p Plan) {
	if len(p.Authorities) == 0 {
		return
	}
	t.section("Your own credentials that it takes")
	for _, a := range p.Authorities {
		text := cmp.Or(a.Tested, a.Trouble)
		if a.From != "" {
			text = strings.TrimSuffix(a.Kind+" from "+a.From+", "+text, ", ")
		}
		t.line(2, "%s: %s", a.Provider, text)
	}
}

// needing counts the credentials that a provider's authority revokes.
func (p Plan) needing(provider string) (n int) {
	for _, c := range p.Credentials {
		if c.Provider == provider && c.Way == actions.ByAuthority {
			n++
		}
	}
	return n
}

// people says what is left to people.
func (t *text80) people(p Plan) {
	count := make(map[string]int)
	for _, c := range p.Credentials {
		if c.Way == actions.ByPerson || c.Way == Ours {
			count[c.Kind]++
		}
	}
	var asks []string
	for _, r := range p.Revivers {
		if r.Ask != "" {
			asks = append(asks, r.Kind+" "+r.Name+": "+r.Ask)
		}
	}
	if len(count) == 0 && len(asks) == 0 {
		return
	}
	t.section("What is left to people")
	for _, name := range slices.Sorted(maps.Keys(count)) {
		k := p.kind(name)
		t.line(2, "%d %s %s", count[name], name, k.Link)
		for i, s := range k.Steps {
			t.line(4, "%d. %s", i+1, s)
		}
	}
	t.list(asks)
}

// unproved says whose death nobody will be able to prove.
func (t *text80) unproved(p Plan) {
	var lines []string
	for _, k := range p.Kinds {
		if k.Unprovable != "" {
			lines = append(lines, k.Kind+": "+k.Unprovable)
		}
	}
	if lines != nil {
		t.section("What cannot be proved")
		t.list(lines)
	}
}

// risks says what was accepted, and what would have to be.
func (t *text80) risks(p Plan) {
	var lines []string
	if p.Asked.HostLost {
		lines = append(lines, "the host counts as compromised: what its other users keep there is revoked too")
	}
	for _, name := range p.Asked.Risks {
		lines = append(lines, "accepted: "+name+": "+actions.Risks[name])
	}
	missing := make(map[string]int)
	for _, c := range p.Credentials {
		if c.Way == actions.NeedsRisk || c.Way == actions.NeedsAuthority {
			missing[c.Why]++
		}
	}
	for _, a := range p.Authorities {
		if n := p.needing(a.Provider); a.Kind != "" && a.Trouble != "" && n > 0 {
			missing[a.Provider+": "+a.Trouble] = n
		}
	}
	for _, why := range slices.Sorted(maps.Keys(missing)) {
		lines = append(lines, plural(missing[why], "credential stays", "credentials stay")+" alive: "+why)
	}
	if lines != nil {
		t.section("Risks")
		t.list(lines)
	}
}

// notFound lists what somebody has to look for elsewhere.
func (t *text80) notFound(p Plan) {
	var lines []string
	for _, item := range p.NotFound {
		line := item.String()
		if about := item.About(); about != "" {
			line += ": " + about
		}
		lines = append(lines, line)
	}
	if lines != nil {
		t.section("In the inventory, not found on the host")
		t.list(lines)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
