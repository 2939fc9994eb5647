package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// banner is the first row: what mode, which incident, how long, how many dead.
func (c *console) banner() line {
	d := c.rec.Declared
	mode, look := " …  ", dim
	switch d.Mode {
	case incident.Real:
		mode, look = "┃ REAL ┃", realMode
	case incident.Drill:
		mode, look = "┃ DRILL ┃", drillMode
	}
	if d.DryRun {
		mode = strings.TrimSuffix(mode, "┃") + "· DRY RUN ┃"
	}
	title := c.rec.Plan.Title
	if title == "" {
		title = d.Playbook
	}
	if n := len(c.rec.Resumed); n > 0 {
		title = fmt.Sprintf("resumed ×%d  %s", n, title)
	}
	dead, all := c.rec.Count(credential.Dead), len(c.rec.Credentials)
	of, gap := " of ", "   "
	if c.w < 72 { // on what it acts needs the room
		of, gap = "/", " "
	}
	count := span{plain, fmt.Sprintf("● %d%s%d dead", dead, of, all)}
	switch {
	case all > 0 && dead == all:
		count = span{good, fmt.Sprintf("✓ %d%s%d dead", dead, of, all)}
	case c.rec.Count(credential.Alive, credential.Failed) > 0:
		count.look = danger
	}
	right := row(span{strong, c.elapsed()}, span{plain, gap}, count)
	if c.w >= 72 {
		right = append(right, span{plain, " "})
	}
	left := row(span{look, mode}, span{plain, " "}, span{strong, d.Incident}, span{strong, " " + shortTarget(d.Target)}, span{accent, c.place()}, span{dim, "  " + title})
	return spread(left, right, c.w)
}

// place says where the console stands to a response that runs elsewhere.
func (c *console) place() string {
	switch {
	case c.o.Submit == nil:
		return "  watching"
	case c.o.Attached:
		return "  attached"
	}
	return ""
}

// shortTarget is what a banner has room for of a target: an account's or a path's last part.
func shortTarget(target string) string {
	name := target
	if at := strings.LastIndexAny(strings.TrimRight(name, "/"), "/@"); at >= 0 {
		name = name[at+1:]
	}
	if name == "" {
		name = target
	}
	return ansi.Truncate(clean(name), 20, "…")
}

// spoken is what of a name can be typed and read without doubt.
func spoken(name string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, name)
}

// overlayFoot is the last row below a dialog: on what it acts.
func (c *console) overlayFoot() line {
	d := c.rec.Declared
	mode, look := strings.ToUpper(d.Mode), dim
	switch d.Mode {
	case incident.Real:
		look = realMode
	case incident.Drill:
		look = drillMode
	}
	rest := "   ctrl+c stops the response"
	if c.guest() {
		rest = "   ctrl+c leaves; the response goes on"
	}
	return row(span{plain, " "}, span{look, mode + " on " + shortTarget(d.Target)}, span{dim, rest})
}

func (c *console) elapsed() string {
	if c.rec.DeclaredAt.IsZero() {
		return ""
	}
	return clock(c.rec.until(c.now).Sub(c.rec.DeclaredAt))
}

// spread puts one part at the left and one at the right end; the left one gives way.
func spread(left, right line, w int) line {
	room := w - right.width()
	if room <= 0 {
		return right
	}
	var out line
	used := 0
	for i, s := range left {
		text := opening(s.text, room)
		if used+cells(text) > room-1 || i == len(left)-1 {
			text = ansi.Truncate(text, max(0, room-1-used), "…")
		}
		out = append(out, span{s.look, text})
		used += cells(text)
	}
	out = append(out, span{plain, strings.Repeat(" ", max(0, room-used))})
	return append(out, right...)
}

// rule is a row of its own with a text in it.
func rule(w int, text ...span) line {
	if len(text) == 0 {
		return row(span{dim, strings.Repeat("─", w)})
	}
	used := 5
	out := row(span{dim, "── "})
	for _, s := range text {
		s.text = ansi.Truncate(opening(s.text, w), max(0, w-used), "…")
		used += cells(s.text)
		out = append(out, s)
	}
	return append(out, span{dim, " " + strings.Repeat("─", max(1, w-used+1))})
}

// status says what goes on. A record that is not on disk comes before everything else.
func (c *console) status() line {
	switch r := c.rec; {
	case r.broken != nil:
		return rule(c.w, span{danger, "! the record cannot be read further: " + r.broken.Error()})
	case r.Trouble != "":
		return rule(c.w, span{danger, "! RECORD LOST: " + r.Trouble})
	case r.Exit != nil:
		return c.outcome(*r.Exit)
	case r.over:
		return rule(c.w, span{warn, "■ the record ends here, and the incident is not closed"})
	case c.stopping || r.Interrupted != "":
		return rule(c.w, span{warn, "◐ stopping after the steps under way; ctrl+c again leaves"})
	case c.nobody():
		return rule(c.w, span{danger, "! its terminal is lost, nobody answers: "}, span{strong, "clawback attach " + r.Declared.Incident})
	case c.o.Submit != nil && r.question(c.answered) != nil:
		q := r.question(c.answered)
		out := row(span{accent, "◇ waiting for you: "}, span{plain, q.Title})
		if step := r.Steps[q.Step]; step != nil && step.Uses == "agent.freeze" && r.Frozen == nil {
			out = append(out, span{danger, "; nothing is frozen yet"})
		}
		return rule(c.w, out...)
	case len(r.running()) > 0:
		return rule(c.w, span{busy, "◐ running: "}, span{plain, strings.Join(r.running(), ", ")})
	case len(r.Pending()) > 0 && len(r.needs(c.answered)) == len(r.Pending()):
		first := r.Pending()[0]
		return rule(c.w, span{accent, "◇ waits for " + plural(first.Missing(), "approval", "approvals") + ": "},
			span{plain, "clawback approve " + r.Declared.Incident + " " + first.Step})
	case len(r.needs(c.answered)) > 0 && c.o.Submit == nil:
		return rule(c.w, span{accent, "◇ waiting for somebody"})
	case len(r.needs(c.answered)) > 0:
		return rule(c.w, span{accent, "◇ waiting for you"})
	case r.Entries == 0:
		return rule(c.w, span{dim, "reading the record"})
	}
	return rule(c.w, span{dim, "◐ running"})
}

// nobody reports whether somebody is needed and nobody but those who watch sees it.
func (c *console) nobody() bool {
	return c.o.Submit == nil && len(c.rec.Terminals) > 0 && c.rec.Consoles == 0
}

func (c *console) outcome(code int) line {
	meaning, look := "unknown, which means failure", danger
	for _, e := range incident.ExitCodes {
		if e.Code == code {
			meaning = e.Meaning
		}
	}
	switch code {
	case incident.ExitContained:
		look = good
		if c.rec.Declared.DryRun {
			meaning = "the plan was made; nothing was done"
		}
	case incident.ExitManual, incident.ExitUnproved:
		look = warn
	}
	return rule(c.w, span{look, fmt.Sprintf("■ ended, exit %d: ", code)}, span{plain, meaning})
}

// noticeRule stands above the keys and says what the last one did.
func (c *console) noticeRule() line {
	switch {
	case c.notice == "" && c.linkInSight() != "":
		return rule(c.w, span{dim, "page: "}, span{plain, c.linkInSight()})
	case c.notice == "":
		return rule(c.w)
	case c.bad:
		return rule(c.w, span{warn, "! " + c.notice})
	}
	return rule(c.w, span{good, "✓ "}, span{plain, c.notice})
}
