package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

// summary prints the board once, then what needs somebody, and last the verdict.
func (p *textPrinter) summary(sum incident.Summary) {
	p.print("\n")
	p.board()
	p.hints(sum.Report)
	p.timings(sum)
	if sum.Report != "" {
		p.event(p.state.Now, "report", sum.Report)
	}
	p.event(p.state.Now, verdict(sum.Exit, p.state.Declared.DryRun), ending(sum, p.state.Declared.DryRun))
}

// board lists the credentials, those that need somebody last, next to the hints.
func (p *textPrinter) board() {
	all := slices.Clone(p.state.Credentials)
	slices.SortStableFunc(all, func(a, b *incident.Credential) int { return cmp.Compare(place(a), place(b)) })
	dead, rest := all, []*incident.Credential(nil)
	if i := slices.IndexFunc(all, func(c *incident.Credential) bool { return place(c) > 0 }); i >= 0 {
		dead, rest = all[:i], all[i:]
	}
	shown := dead[:min(len(dead), max(0, maxBoard-len(rest)))]
	widths := columns(append(slices.Clip(shown), rest[:min(len(rest), maxBoard)]...))
	p.rows(shown, widths)
	if more := len(dead) - len(shown); more > 0 {
		p.print("  ✓ %s and %d more\n", p.paint(string(credential.Dead), 11), more)
	}
	shown = rest[:min(len(rest), maxBoard)]
	p.rows(shown, widths)
	if more := len(rest) - len(shown); more > 0 {
		p.print("  and %d more that are not dead\n", more)
	}
	if len(all) > 0 {
		p.print("\n")
	}
}

func place(c *incident.Credential) int {
	order := []credential.Life{credential.Dead, credential.Skipped, credential.Manual, credential.Unverified, credential.Failed, credential.Alive}
	if i := slices.Index(order, c.Life); i >= 0 {
		return i
	}
	return slices.Index(order, credential.Unverified) // on its way, and not proved
}

// columns returns the widths of provider and name, bounded where a host claims long ones.
func columns(list []*incident.Credential) (widths [2]int) {
	for _, c := range list {
		widths[0] = max(widths[0], min(width(c.Provider), 12))
		widths[1] = max(widths[1], min(width(c.Masked), 32))
	}
	return widths
}

func (p *textPrinter) rows(list []*incident.Credential, widths [2]int) {
	for _, c := range list {
		why := cmp.Or(c.Evidence, c.Error)
		if c.Life == credential.Dead && c.Weak {
			why += " (weak: not seen alive before)"
		}
		mark, word := symbol(c.Life), string(c.Life)
		if c.Indeterminate {
			mark, word, why = "◌", "unknown", "its revocation was sent by a run that died before the answer"
		}
		p.print("  %s %s %-*s  %-*s  %s\n", mark, p.paint(word, 11),
			widths[0], show(c.Provider), widths[1], show(c.Masked), incident.Cut(show(why), maxReason))
	}
}

func width(s string) int { return utf8.RuneCountInString(show(s)) }

// symbol stands beside the word, for the eye.
func symbol(l credential.Life) string {
	switch l {
	case credential.Dead:
		return "✓"
	case credential.Alive, credential.Failed:
		return "!"
	case credential.Manual:
		return "▸"
	case credential.Skipped:
		return "–"
	}
	return "?"
}

// hints prints a line for each thing that needs somebody. Where many need the same, one line
// names the first and counts the rest.
func (p *textPrinter) hints(report string) {
	type group struct {
		first incident.OpenMatter
		n     int
	}
	var groups []*group
	byHint := make(map[string]*group)
	for _, m := range p.state.OpenMatters() {
		key := m.Kind + "\x00" + m.Hint
		if m.Hint == "" {
			key = m.Kind + "\x00\x00" + m.Why
		}
		if g := byHint[key]; g != nil {
			g.n++
			continue
		}
		g := &group{first: m, n: 1}
		byHint[key] = g
		groups = append(groups, g)
	}
	for i, g := range groups {
		if i == maxHints {
			more := fmt.Sprintf("%d more of this kind", len(groups)-i)
			if report != "" {
				more += ": see the report"
			}
			p.print("%s %s\n", p.paint("hint:", 0), more)
			break
		}
		text := g.first.What + ": " + g.first.Why
		if g.n > 1 {
			text = fmt.Sprintf("%s and %d more: %s", g.first.What, g.n-1, g.first.Why)
		}
		if g.first.Hint != "" {
			text += ": " + g.first.Hint
		}
		p.print("%s %s\n", p.paint("hint:", 0), show(text))
	}
}

func (p *textPrinter) timings(sum incident.Summary) {
	var parts []string
	for _, t := range []struct {
		name string
		ms   *float64
	}{{"frozen", sum.Timings.FreezeMS}, {"all dead", sum.Timings.AllDeadMS}} {
		if t.ms != nil {
			parts = append(parts, fmt.Sprintf("%s after %s", t.name, milliseconds(*t.ms)))
		}
	}
	if ms := sum.Timings.SlowestChainMS; ms != nil {
		parts = append(parts, "the slowest credential took "+milliseconds(*ms))
	}
	if len(parts) > 0 {
		p.event(p.state.Now, "timings", strings.Join(parts, ", "))
	}
	if sum.Mode == incident.Drill {
		p.event(p.state.Now, "adversary", fmt.Sprintf("%d calls after the alarm", sum.Adversary.CallsAfterAlarm))
	}
}

func milliseconds(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d >= time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// verdict is the word of an exit code.
func verdict(exit int, dryRun bool) string {
	switch {
	case exit == incident.ExitContained && dryRun:
		return "planned"
	case exit == incident.ExitContained:
		return "contained"
	}
	word := map[int]string{
		incident.ExitNothing: "nothing", incident.ExitPartial: "partial", incident.ExitAuthority: "authority",
		incident.ExitUnproved: "unproved", incident.ExitManual: "manual", incident.ExitEvidence: "evidence",
		incident.ExitInterrupted: "interrupted", incident.ExitTerminated: "terminated",
	}[exit]
	return cmp.Or(word, "failed")
}

// ending is the text of the last line: the count, the exit code, the mode.
func ending(sum incident.Summary, dryRun bool) string {
	var parts []string
	n := sum.Credentials
	for _, c := range []struct {
		n    int
		word string
	}{{n.Dead, "dead"}, {n.Alive, "alive"}, {n.Failed, "failed"}, {n.Unverified, "unproved"}, {n.Manual, "manual"}, {n.Skipped, "skipped"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	text := strings.Join(parts, ", ")
	switch {
	case dryRun:
		text = "dry run, nothing was changed"
	case text == "":
		text = "no credential on record"
	}
	text += fmt.Sprintf("   exit %d", sum.Exit)
	if sum.Mode == incident.Drill {
		text += "   DRILL"
	}
	return text
}
