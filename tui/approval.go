package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
)

// approvalKeys are what can be done about a step that waits for people who approve it. Neither is
// ever the key that leads on.
func approvalKeys(c *console, a *incident.Approval) []binding {
	breakGlass := binding{keys: []string{"B"}, label: "B", text: "break glass: go ahead without", danger: true, off: c.closed(), do: func() tea.Cmd {
		return c.push(breakIt(c, a))
	}}
	leaveOut := binding{keys: []string{"s"}, label: "s", text: "leave it out", off: c.closed(), do: func() tea.Cmd {
		return c.push(leaveItOut(c, a))
	}}
	return []binding{breakGlass, leaveOut}
}

func breakIt(c *console, a *incident.Approval) *promptOverlay {
	return &promptOverlay{
		head: "Break glass: " + c.rec.title(a.Step), label: "go ahead without", careful: true,
		sure: confirmation{want: "break glass " + spoken(a.Step)},
		text: []string{
			fmt.Sprintf("It goes ahead with %d of %d approvals. Your name and reason are on record, and the approvals are asked for afterwards. Why can it not wait?", len(a.Given), a.Needs),
		},
		do: func(reason string) tea.Cmd { return c.aboutStep(a, incident.Break, reason, "the glass is broken: ") },
	}
}

func leaveItOut(c *console, a *incident.Approval) *promptOverlay {
	return &promptOverlay{
		head: "Leave out: " + c.rec.title(a.Step), label: "leave it out", careful: true,
		text: []string{"The step is skipped, and what it was to do is not done. Why?"},
		do:   func(reason string) tea.Cmd { return c.aboutStep(a, incident.LeaveOut, reason, "left out: ") },
	}
}

func (c *console) aboutStep(a *incident.Approval, kind, text, done string) tea.Cmd {
	return c.submit(engine.Command{Step: &incident.Command{Kind: kind, Step: a.Step, Text: text, By: c.o.By}}, done+c.rec.title(a.Step))
}

// title is how people see a step.
func (r *record) title(step string) string {
	if s := r.Steps[step]; s != nil {
		return s.Title
	}
	return step
}

// witnesses says how much of the record is held elsewhere, or who is behind with it.
func (c *console) witnesses() line {
	var behind, held int
	var least uint64
	why := ""
	for _, w := range c.rec.Witnesses {
		if w.Error != "" {
			behind++
			why = w.Sink + ": " + w.Error
			continue
		}
		if held++; held == 1 || w.Entries < least {
			least = w.Entries
		}
	}
	switch {
	case behind > 1:
		why = fmt.Sprintf("%d witnesses are behind", behind)
	case behind == 1:
		why = "behind: " + why
	case held == 0:
		return nil
	default:
		return row(span{dim, "   held by " + plural(held, "witness", "witnesses") + fmt.Sprintf(" up to entry %d", least)})
	}
	return row(span{warn, "   ! " + why})
}
