package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
)

// planScreen is the first screen: what will happen, step by step, and what of it cannot be undone.
type planScreen struct {
	selected string // a step; "" is the first
	from     int    // first row in sight
	seen     bool   // it was left once: esc goes back
}

func (s *planScreen) title() string { return "Plan" }

func (s *planScreen) keys(c *console) []binding {
	goOn := binding{keys: []string{"enter"}, label: "enter", text: "to the response", do: func() tea.Cmd { s.seen = true; return c.show(&c.run) }}
	if s.seen {
		goOn.keys = append(goOn.keys, "esc")
	}
	move := func(by int) func() tea.Cmd {
		return func() tea.Cmd { s.move(c, by); return nil }
	}
	return []binding{
		goOn,
		{keys: []string{"j", "down"}, label: "j ↓", text: "next step", do: move(1)},
		{keys: []string{"k", "up"}, label: "k ↑", text: "step before", do: move(-1)},
		{keys: []string{"g", "home"}, label: "g", text: "first step", quiet: true, do: move(-bottom)},
		{keys: []string{"G", "end"}, label: "G", text: "last step", quiet: true, do: move(bottom)},
		noteKey(c),
	}
}

func (s *planScreen) next(*console) string { return "enter" }

func (s *planScreen) steps(c *console) []incident.PlanStep {
	var all []incident.PlanStep
	for _, phase := range c.rec.Plan.Phases {
		all = append(all, phase.Steps...)
	}
	return all
}

// at is the selected step: the first that is still to come, where nobody chose one.
func (s *planScreen) at(c *console, all []incident.PlanStep) int {
	for i, step := range all {
		status := c.rec.stepStatus(step.ID)
		if step.ID == s.selected || s.selected == "" && status != incident.Done && status != incident.Skipped {
			return i
		}
	}
	return 0
}

func (s *planScreen) move(c *console, by int) {
	all := s.steps(c)
	if len(all) > 0 {
		s.selected = all[max(0, min(len(all)-1, s.at(c, all)+by))].ID
	}
}

func (s *planScreen) view(c *console, w, h int) []line {
	target := s.target(c, w, h)
	target = append(target, s.forecast(c, w, h)...)
	h -= len(target)
	list, mid, step := layoutPlan(rect{0, 0, w, h})
	all := s.steps(c)
	if len(all) == 0 {
		return append(target, row(span{dim, "The plan is being made …"}))
	}
	selected := all[s.at(c, all)]

	var rows []line
	at := 0
	for i, phase := range c.rec.Plan.Phases {
		rows = append(rows, row(span{strong, fmt.Sprintf("%2d  %s", i+1, phase.Title)}))
		for _, p := range phase.Steps {
			if p.ID == selected.ID {
				at = len(rows)
			}
			rows = append(rows, s.step(c, p, p.ID == selected.ID, w))
		}
	}
	s.from = window(s.from, at, len(rows), list.H)
	if at <= 1 {
		s.from = 0 // the title of the first phase stays in sight
	}
	out := rows[s.from:min(len(rows), s.from+list.H)]
	for len(out) < list.H {
		out = append(out, nil)
	}
	more := ""
	if len(rows) > list.H {
		more = fmt.Sprintf("  (rows %d to %d of %d)", s.from+1, s.from+list.H, len(rows))
	}
	out = append(out[:list.H:list.H], rule(mid.W, span{strong, selected.Title}, span{dim, more}))
	about := indented(s.about(c, selected, w-1))
	return append(target, append(out, about[:min(len(about), step.H)]...)...)
}

// target is on what it will be done, in full: the banner has room for a part of a name alone. Of one
// that has no end the rows beyond a third of the screen are left out.
func (s *planScreen) target(c *console, w, h int) []line {
	d := c.rec.Declared
	if d.Target == "" {
		return nil
	}
	out := indented(labelled("Acts on", strong, d.Target, w-2))
	if most := max(1, h/3); len(out) > most {
		out = append(out[:most-1:most-1], append(out[most-1], span{strong, "…"}))
	}
	return out
}

// forecast says of the credentials what is to come: how long a proof takes by provider, what a person has
// to do, and what will not be proved. Of more than fits, what takes longest comes first.
func (s *planScreen) forecast(c *console, w, h int) []line {
	type provider struct {
		name                  string
		all, manual, unproved int
		budget                int64
	}
	var of []*provider
	for _, cred := range c.rec.Credentials {
		i := slices.IndexFunc(of, func(p *provider) bool { return p.name == cred.Provider })
		if i < 0 {
			i, of = len(of), append(of, &provider{name: cred.Provider})
		}
		of[i].all++
		of[i].budget = max(of[i].budget, cred.BudgetMS)
		switch {
		case cred.Unproved != "":
			of[i].unproved++
		case cred.Manual:
			of[i].manual++
		}
	}
	if len(of) == 0 {
		return indented(labelled("Credentials", dim, "not searched for yet: how long each proof takes is known then", w-2))
	}
	slices.SortStableFunc(of, func(a, b *provider) int { return cmp.Compare(b.budget, a.budget) })
	var parts []string
	manual, unproved := 0, 0
	for _, p := range of {
		text := fmt.Sprintf("%s %d", p.name, p.all)
		if p.budget > 0 {
			text += " in " + seconds(p.budget)
		}
		parts = append(parts, text)
		manual += p.manual
		unproved += p.unproved
	}
	out := labelled("Proof", plain, strings.Join(parts, ", ")+" at least, once each is revoked", w-2)
	if most := max(1, h/5); len(out) > most {
		out = append(out[:most-1:most-1], append(out[most-1], span{dim, "…"}))
	}
	if manual+unproved > 0 {
		out = append(out, labelled("", warn, strings.Join(compact(counted(manual, "by hand"), counted(unproved, "will be unproved")), ", "), w-2)...)
	}
	return indented(out)
}

// compact leaves out what is empty.
func compact(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// counted is "3 by hand", and "" for none.
func counted(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

// step is one row: its state, its title, and what it asks for.
func (s *planScreen) step(c *console, p incident.PlanStep, selected bool, w int) line {
	m := stepMark(c.rec.stepStatus(p.ID))
	cursor, look := "  ", plain
	if selected {
		cursor, look = "▸ ", strong
	}
	asks := ""
	switch p.Gate {
	case incident.Confirm:
		asks = "asks you"
	case incident.Typed:
		asks = "you type"
	}
	left := row(span{accent, cursor}, span{m.look, m.symbol + " " + column(m.word, 9)}, span{look, p.Title})
	right := row(span{dim, asks + " "})
	if p.Approvals > 0 {
		asks = strings.TrimPrefix(asks+", "+plural(p.Approvals, "approval", "approvals"), ", ")
		right = row(span{dim, asks + " "})
	}
	if p.Irreversible != "" {
		right = row(span{dim, asks}, span{danger, "  ! cannot be undone "})
	}
	return spread(left, right, w)
}

// about is all that is known of a step.
func (s *planScreen) about(c *console, p incident.PlanStep, w int) []line {
	var out []line
	add := func(label string, look token, text string) {
		if text != "" {
			out = append(out, labelled(label, look, text, w)...)
		}
	}
	if step := c.rec.Steps[p.ID]; step != nil {
		o := step.Outcome
		m := stepMark(c.rec.stepStatus(p.ID))
		state := m.symbol + " " + m.word
		if !step.Ended.IsZero() && !step.Began.IsZero() {
			state += fmt.Sprintf(", took %.1f s", step.Ended.Sub(step.Began).Seconds())
		}
		add("State", m.look, state)
		add("Error", danger, o.Error)
		add("Way out", accent, o.Hint)
		add("Note", plain, o.Note)
	}
	add("Approved", plain, c.rec.approvals(p.ID))
	if c.rec.stepStatus(p.ID) == approving {
		add("To do", accent, "others approve it: clawback approve "+c.rec.Declared.Incident+" "+p.ID)
	}
	if p.Unanswered != "" {
		add("Waits", plain, "for your answer, and goes ahead after "+p.Unanswered+" without one")
	}
	add("Why", plain, p.Why)
	add("Does", plain, first(Does(p.Uses), p.Uses))
	add("Undo", danger, p.Irreversible)
	if a, ok := c.rec.Decisions[p.ID]; ok {
		add("Answer", plain, strings.TrimSpace(a.Choice+" "+a.Text)+", by "+a.By)
	}
	add("Needs", dim, strings.Join(p.Needs, ", "))
	return out
}
