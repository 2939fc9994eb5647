package main

import (
	"fmt"
	"os"
	"path/filepath"

	"clawback/forensics/agents/openclaw"
	"clawback/snapshots"
)

// agentLogs checks the audit logs that the agent itself kept, in a bag that is verified, and says
// what each shows. A log that is broken says something about the host, and nothing against the bag.
func agentLogs(bag string) (says []string) {
	for e, err := range snapshots.Entries(bag) {
		if err != nil {
			return append(says, "the agent's audit logs could not all be looked for: "+err.Error())
		}
		if e.Stored == "" || !openclaw.IsAuditLog(e.File.Path) {
			continue
		}
		audit, err := checkAgentLog(bag, e.Stored)
		if err != nil {
			says = append(says, fmt.Sprintf("the agent's own %s could not be checked: %v", e.File.Path, err))
			continue
		}
		says = append(says, describeAgentLog(e.File.Path, audit)...)
	}
	return says
}

func checkAgentLog(bag, stored string) (openclaw.Audit, error) {
	f, err := os.OpenInRoot(filepath.Join(bag, "data"), filepath.FromSlash(stored))
	if err != nil {
		return openclaw.Audit{}, err
	}
	defer func() { _ = f.Close() }()
	return openclaw.CheckAudit(f)
}

// shownGaps bounds what is printed of a log in which nothing fits.
const shownGaps = 10

func describeAgentLog(path string, a openclaw.Audit) (says []string) {
	text := fmt.Sprintf("the agent's own %s: ", path)
	switch a.Verdict {
	case openclaw.AuditIntact:
		text += fmt.Sprintf("intact, %d entries; that its end was cut, or all of it written anew, would not show", a.Entries)
	case openclaw.AuditBroken:
		text += fmt.Sprintf("BROKEN at line %d: %s; the %d entries before agree", a.At, a.Why, a.Entries)
	default:
		text += fmt.Sprintf("its %d lines are not chained: a change to one would not show", a.Entries)
	}
	if a.Torn {
		text += "; its last line is not whole"
	}
	says = append(says, text)
	for i, g := range a.Gaps {
		if i == shownGaps {
			break
		}
		says = append(says, fmt.Sprintf("  line %d: %s was changed by something else before, or lines are missing (SHA-256 %.12s became %.12s)", g.Line, g.Path, g.Was, g.Is))
	}
	if n := len(a.Gaps) + a.More - shownGaps; n > 0 {
		says = append(says, fmt.Sprintf("  and %d more such changes", n))
	}
	return says
}
