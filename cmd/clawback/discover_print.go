package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"clawback/forensics/incident"
	"clawback/forensics/journal"
	"clawback/playbooks/actions"
	"clawback/revoke/discover"
)

// maxPlaces is how many places of a credential a person is shown.
const maxPlaces = 8

func (a *app) printFoundJSON(all []*discovered, end searchEnd) {
	object := func(v any) {
		if line, err := json.Marshal(v); err == nil {
			fmt.Fprintf(a.out, "%s\n", journal.Visible(line))
		}
	}
	for _, d := range all {
		object(d)
	}
	object(end)
}

// printFound shows people what was found, at 80 columns where words allow it.
func (a *app) printFound(all []*discovered, end searchEnd) {
	widths := [2]int{}
	for _, d := range all {
		widths[0] = max(widths[0], min(width(d.Kind), 26))
		widths[1] = max(widths[1], min(width(d.Masked), 32))
	}
	apart := false
	for _, d := range all {
		if d.Doubt.Harmless() && !apart {
			apart = true
			fmt.Fprintln(a.out, "\nTold apart: there is nothing to revoke of these.")
		}
		fmt.Fprintf(a.out, "%-*s  %-*s  tier %d\n", widths[0], incident.Safe(d.Kind), widths[1], incident.Safe(d.Masked), d.Tier)
		writeLine(a.out, 4, d.about())
		for i, s := range d.Sources {
			if i == maxPlaces {
				writeLine(a.out, 4, "and in "+count(len(d.Sources)-maxPlaces, "more place", "more places")+": --json lists them")
				break
			}
			writeLine(a.out, 4, s.String())
		}
	}
	for _, p := range end.NotRead {
		writeLine(a.err, 0, "not read: "+p.String())
	}
	for _, p := range end.LeftAlone {
		writeLine(a.err, 0, "another user's: "+p.String())
	}
	for _, item := range end.NotFound {
		writeLine(a.err, 0, "in the inventory, not found: "+item.String())
	}
	for _, agent := range end.Agents {
		writeLine(a.err, 0, "searched: "+agentLine(agent))
	}
	if len(end.Skipped) > 0 {
		writeLine(a.err, 0, "not searched as text: "+incident.SkippedText(end.Skipped))
	}
	if len(end.LeftAlone) > 0 {
		writeLine(a.err, 0, "what is another user's is searched with --host-lost")
	}
	for _, line := range totals(all, end.Files) {
		writeLine(a.err, 0, line)
	}
}

// agentLine names an installation.
func agentLine(a discover.Agent) string {
	text := a.Layout + " in " + a.StateDir
	if a.User != "" {
		text += ", of " + a.User
	}
	return text
}

// totals count what was found, by how much it can destroy and by who can end it.
func totals(all []*discovered, files int) (lines []string) {
	tiers, ends, live := make(map[int]int), make(map[string]int), 0
	for _, d := range all {
		if !d.Doubt.Harmless() {
			live++
			tiers[d.Tier]++
			ends[d.end()]++
		}
	}
	var parts []string
	for tier := 4; tier >= 1; tier-- {
		if tiers[tier] > 0 {
			parts = append(parts, fmt.Sprintf("%d of tier %d", tiers[tier], tier))
		}
	}
	if n := len(all) - live; n > 0 {
		parts = append(parts, fmt.Sprintf("%d told apart", n))
	}
	line := count(live, "credential", "credentials") + " in " + count(files, "file", "files")
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	lines = append(lines, line)
	parts = nil
	for _, end := range []string{endsItself, endsAuthority, endsGateway, endsPerson} {
		if ends[end] > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", end, ends[end]))
		}
	}
	if len(parts) > 0 {
		lines = append(lines, strings.Join(parts, "; "))
	}
	return lines
}

// Who can end a credential.
const (
	endsItself    = "it revokes itself"
	endsAuthority = "your authority revokes it"
	endsGateway   = "it dies with the agent's gateway"
	endsPerson    = "a person revokes it"
)

// end is who can end the credential.
func (d *discovered) end() string {
	switch {
	case d.Manual:
		return endsPerson
	case d.SelfRevocable:
		return endsItself
	case actions.DiesWithGateway(d.Kind):
		return endsGateway
	}
	return endsAuthority
}

// about is what is known of a credential beside its name and its places.
func (d *discovered) about() string {
	var parts []string
	add := func(label, text string) {
		if text != "" {
			parts = append(parts, label+text)
		}
	}
	add("", incident.DoubtText(string(d.Doubt)))
	add("no value: ", d.Unresolved)
	add("kept by another user: ", d.Other)
	add("owner ", d.Owner)
	for _, t := range []struct {
		label string
		at    *time.Time
	}{{"expires ", d.Expires}, {"last used ", d.LastUsed}} {
		if t.at != nil {
			add(t.label, t.at.Format("2006-01-02 15:04 UTC"))
		}
	}
	if !d.Doubt.Harmless() {
		add("", d.end())
		add("mints ", d.Mints)
	}
	add("claims ", d.Endpoint)
	if d.Inventory != nil {
		add("inventory: ", d.Inventory.About())
	}
	return strings.Join(parts, "; ")
}

func (s spot) String() string {
	text := s.Path
	if s.Line > 0 {
		text = fmt.Sprintf("%s:%d", text, s.Line)
	}
	if s.Locator != "" {
		text += " (" + s.Locator + ")"
	}
	if s.Note != "" {
		text += ", " + s.Note
	}
	return text
}

func (u unread) String() string {
	if u.Path == "" {
		return u.Reason
	}
	return u.Path + ": " + u.Reason
}

// writeLine writes a text, broken between words, each line indented. A word that is too long for a
// line is not broken: a path is there to be copied.
func writeLine(w io.Writer, indent int, text string) {
	const most = 80
	margin := strings.Repeat(" ", indent)
	var out strings.Builder
	at := 0
	for _, word := range strings.Fields(incident.Safe(text)) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
			out.WriteString(margin)
			at = indent
		case at+1+n > most:
			out.WriteString("\n" + margin + "  ")
			at = indent + 2
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(word)
		at += n
	}
	if at > 0 {
		out.WriteByte('\n')
	}
	_, _ = io.WriteString(w, out.String())
}
