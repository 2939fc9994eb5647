package incident

import (
	"fmt"
	"slices"
	"strings"

	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// Line renders an entry as one line of a log: a word and a text. s is the state after the entry.
// Entries that people need not see in a log have none. What the host claimed may hold terminal
// escapes: whoever shows a line makes it safe.
func Line(s State, e journal.Entry) (word, text string, ok bool) {
	switch e.Type {
	case TypeDeclared:
		return "declared", fmt.Sprintf("%s, %s, by %s", s.Declared.Target, s.Declared.Playbook, s.Declared.Responder), true
	case TypeStepOutcome:
		return stepLine(s, e)
	case TypeAsked:
		q, ok := decoded[Question](e)
		return "question", q.Title, ok
	case TypeAnswered:
		a, ok := decoded[Answer](e)
		return "answer", strings.TrimSpace(a.Choice+" "+a.Text) + ", by " + a.By, ok
	case TypeCommand:
		c, ok := decoded[Command](e)
		text := strings.TrimSpace(c.Kind + " " + s.about(c))
		if c.Text != "" {
			text += ": " + c.Text
		}
		return "command", text + ", by " + c.By, ok
	case TypeNote:
		n, ok := decoded[Note](e)
		return "note", n.Text + ", by " + n.By, ok
	case TypeWarning:
		w, ok := decoded[Warning](e)
		return "warning", w.Text, ok
	case journal.TypeTrouble:
		return "RECORD LOST", s.Trouble, true
	case TypeInterrupted:
		return "interrupted", "by " + s.Interrupted + ": finishing what is under way", true
	case TypeReport:
		r, ok := decoded[Report](e)
		return "report", r.Markdown, ok
	case TypeDescribed, TypeFrozen, TypeStopped, TypeChecked, TypeIsolated, TypeHostLost, TypeSealed, TypeSearched:
		return hostLine(s, e)
	case TypeStamped, TypeDeposited, TypeTransfer, TypeAccess, TypeHold:
		return custodyLine(e)
	case TypeCutOff:
		return cutOffLine(e)
	case TypeBroker, TypeBrokerDone:
		return brokerLine(e)
	case TypeLetGo, TypeLetGone:
		return letGoLine(e)
	case TypeApproval, TypeApproved, TypeBreakGlass, TypeRefused, TypeTerminal, TypeWitness, TypeResumed:
		return deskLine(s, e)
	case TypeAuthority:
		return authorityLine(e)
	case TypeForgotten:
		return forgottenLine(e)
	case TypeIsolationTested:
		return isolationLine(e)
	case TypePlatformIntent, TypePlatformDone, TypePlatformUndo, TypePlatformUndone, TypeSnapshotIntent, TypeSnapshots:
		return platformLine(e)
	}
	return credentialLine(s, e)
}

// deskLine is about those who respond, and where their record is.
func deskLine(s State, e journal.Entry) (string, string, bool) {
	switch e.Type {
	case TypeApproval:
		a, ok := decoded[ApprovalAsked](e)
		return "approval", fmt.Sprintf("%s: to be approved first by %s: clawback approve %s %s", s.title(a.Step),
			plural(a.Needs, "other person", "other people"), s.Declared.Incident, a.Step), ok
	case TypeApproved:
		a, ok := decoded[Approved](e)
		word := "approved"
		if asked := s.Approvals[a.Step]; asked == nil || !slices.Contains(asked.Given, a) {
			word = "NOT APPROVED" // it was given for something else
		}
		return word, fmt.Sprintf("%s, by %s with %s", s.title(a.Step), a.By, a.Key), ok
	case TypeBreakGlass:
		b, ok := decoded[BreakGlass](e)
		return "BREAK GLASS", fmt.Sprintf("%s goes ahead without its approvals, by %s: %s", s.title(b.Step), b.By, b.Reason), ok
	case TypeRefused:
		r, ok := decoded[InboxRefused](e)
		return "refused", fmt.Sprintf("message %s: %s", r.File, r.Why), ok
	case TypeTerminal:
		t, ok := decoded[Terminal](e)
		text := "the terminal is " + t.State
		if t.By != "" {
			text += ", by " + t.By
		}
		if t.Hint != "" {
			text += "; hint: " + t.Hint
		}
		return "terminal", text, ok
	case TypeWitness:
		w, ok := decoded[WitnessHeld](e)
		text := fmt.Sprintf("%s (%s): up to entry %d", w.Sink, w.Kind, w.Entries)
		if w.Error != "" {
			text += ", behind: " + w.Error
		}
		return "witness", text, ok
	}
	r, ok := decoded[Resumed](e)
	text := fmt.Sprintf("by %s on %s", r.By, r.Desk)
	if r.Cut > 0 {
		text += fmt.Sprintf("; a torn last line of %s was cut off", plural(r.Cut, "byte", "bytes"))
	}
	switch r.For {
	case ToRecheck:
		return "recheck", text, ok
	case ToUndo:
		return "undo", text, ok
	case ToForget:
		return "forget", text, ok
	case ToLetGo:
		return "false alarm", text, ok
	case ToIsolate:
		return "isolate", text, ok
	case ToCustody:
		return "custody", text, ok
	case ToReview:
		return "review", text, ok
	}
	return "resumed", text, ok
}

// title is how people see a step.
func (s State) title(id string) string {
	if step := s.Steps[id]; step != nil {
		return step.Title
	}
	return id
}

func stepLine(s State, e journal.Entry) (string, string, bool) {
	o, ok := decoded[StepOutcome](e)
	if !ok || o.Status == Done {
		return "", "", false
	}
	text := s.title(o.Step) + ": " + o.Error + o.Note
	if o.Hint != "" {
		text += "; hint: " + o.Hint
	}
	return o.Status, text, true
}

func hostLine(s State, e journal.Entry) (string, string, bool) {
	switch e.Type {
	case TypeDescribed:
		d, ok := decoded[Described](e)
		return "described", fmt.Sprintf("%s, %s, %s", strings.Join(d.Installations, ", "),
			plural(d.Processes, "process", "processes"), plural(len(d.Revivers), "thing that may bring it back", "things that may bring it back")), ok
	case TypeFrozen:
		f, ok := decoded[Frozen](e)
		text := fmt.Sprintf("%s in %.0f ms", plural(f.Processes, "process", "processes"), f.TookMS)
		if !f.Complete && f.Still {
			return "frozen", text + trouble(f.Problems), ok
		}
		if !f.Complete {
			return "NOT FROZEN", text + ": " + strings.Join(f.Problems, "; "), ok
		}
		return "frozen", text, ok
	case TypeStopped:
		v, ok := decoded[Stopped](e)
		return "killed", plural(v.Killed, "process", "processes") + trouble(v.Problems), ok
	case TypeChecked:
		v, ok := decoded[Checked](e)
		if v.Down {
			return "down", strings.Join(v.Proof, "; "), ok
		}
		return "NOT DOWN", strings.Join(v.Problems, "; "), ok
	case TypeIsolated:
		v, ok := decoded[Isolated](e)
		word := "isolated"
		if v.Only {
			word = "agent cut off"
		}
		return word, strings.Join(v.How, "; ") + "; " + Delay + trouble(v.Problems), ok
	case TypeHostLost:
		v, ok := decoded[HostLost](e)
		return "HOST LOST", "other users' credentials are lost with it: " + v.Why, ok
	case TypeSealed:
		b, ok := decoded[Sealed](e)
		return "sealed", fmt.Sprintf("%s evidence, %s, %s%s", b.Part, plural(b.Files, "file", "files"), size(b.Bytes), trouble(b.Problems)), ok
	}
	v, ok := decoded[Searched](e)
	text := fmt.Sprintf("%s, %s: %s", plural(v.Files, "file", "files"), size(v.Bytes), plural(len(s.Credentials), "credential", "credentials"))
	if n := len(v.Apart); n > 0 {
		text += fmt.Sprintf("; %s of other users left alone", plural(n, "file", "files"))
	}
	return "searched", text + trouble(v.Problems), ok
}

func credentialLine(s State, e journal.Entry) (string, string, bool) {
	switch e.Type {
	case TypeFound:
		f, ok := decoded[Found](e)
		if !ok || len(f.Sources) == 0 {
			return "", "", false
		}
		text := f.String() + " in " + f.Sources[0].String()
		if f.Other != "" {
			text += ", of " + f.Other
		}
		if f.Doubt != "" {
			text += "; perhaps none: " + f.Doubt
		}
		return "found", text, true
	case TypeInventoried:
		v, ok := decoded[Inventoried](e)
		return "inventory", s.name(v.Fingerprint) + ": " + v.Item.About(), ok && v.Item.About() != ""
	case TypeRevoke:
		r, ok := decoded[Revoke](e)
		return "requested", s.name(r.Fingerprint), ok
	case TypeReceipt:
		r, ok := decoded[Receipt](e)
		return "accepted", s.name(r.Fingerprint) + " " + r.Answer, ok
	case TypeProbe:
		p, ok := decoded[Probe](e)
		return "probe", fmt.Sprintf("%s %s: %s", s.name(p.Fingerprint), p.Outcome, p.Answer), ok && p.Outcome != "refused"
	case TypeLife:
		l, ok := decoded[Life](e)
		text := s.name(l.Fingerprint)
		for _, part := range []string{l.Evidence, l.Error} {
			if part != "" {
				text += " (" + part + ")"
			}
		}
		if l.Hint != "" && l.Life != credential.Dead {
			text += "; hint: " + l.Hint
		}
		return string(l.Life), text, ok
	case TypeUndo:
		u, ok := decoded[Undo](e)
		return "undo", fmt.Sprintf("%s: %s wants its revocation taken back: %s", s.name(u.Fingerprint), u.By, u.Why), ok
	case TypeUndone:
		u, ok := decoded[Undone](e)
		text := s.name(u.Fingerprint) + ": " + u.Answer
		if u.Error != "" {
			return "NOT UNDONE", text + u.Error, ok
		}
		return "undone", strings.Join(slices.Concat([]string{text}, u.Did, u.Left), "; "), ok
	}
	return "", "", false
}

// name is how people see a credential.
func (s State) name(f credential.Fingerprint) string {
	if c := s.Credential(f); c != nil {
		return c.String()
	}
	return f.Short()
}

// about is what a command concerns.
func (s State) about(c Command) string {
	if c.Step != "" {
		return s.title(c.Step)
	}
	return s.name(c.Credential)
}

func decoded[T any](e journal.Entry) (T, bool) {
	var v T
	err := e.Decode(&v)
	return v, err == nil
}

func trouble(problems []string) string {
	switch len(problems) {
	case 0:
		return ""
	case 1:
		return "; problem: " + problems[0]
	}
	return fmt.Sprintf("; %d problems, the first: %s", len(problems), problems[0])
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
