package main

import (
	"fmt"
	"io"

	"clawback/forensics/agents/openclaw"
)

func isAuditLog(stored string) bool { return openclaw.IsAuditLog(stored) }

// check reads a log to its end, whatever is in it.
func (l *agentLog) check(in io.Reader) {
	defer close(l.done)
	audit, err := openclaw.CheckAudit(in)
	_, _ = io.Copy(io.Discard, in)
	if err != nil {
		l.lines = []string{fmt.Sprintf("the agent's own %s could not be checked: %v", l.stored, err)}
		return
	}
	l.lines = describeAgentLog(l.stored, audit)
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
