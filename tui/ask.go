package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
)

// askOverlay puts a question of the response. esc never answers: the question stays open.
type askOverlay struct {
	q      incident.Question
	read   bool  // nothing can be answered from here
	chosen int   // of a Choice
	text   field // of a Guide, or of what is Written
	typed  confirmation
	bare   bool // it was said that a Guide is done without a word
	scroll int
}

func newAsk(c *console, q incident.Question) *askOverlay {
	o := &askOverlay{q: q, read: c.closed() != "", typed: confirmation{want: q.Type}}
	if o.drafted() {
		o.text = c.drafts[q.ID]
		o.text.tall = q.Kind == incident.Written
	}
	return o
}

// drafted reports whether what is typed is kept until the record holds an answer.
func (o *askOverlay) drafted() bool {
	return o.q.Kind == incident.Guide || o.q.Kind == incident.Written
}

func (o *askOverlay) title() string { return o.q.Title }
func (o *askOverlay) guarded() bool { return true }

func (o *askOverlay) input() *field {
	switch {
	case o.read:
	case o.q.Kind == incident.Typed:
		return &o.typed.field
	case o.drafted():
		return &o.text
	}
	return nil
}

// irreversible is what the question's step cannot undo, or "".
func (o *askOverlay) irreversible(c *console) string {
	if step := c.rec.Steps[o.q.Step]; step != nil {
		return step.Irreversible
	}
	return ""
}

func (o *askOverlay) answer(c *console, choice, text string) tea.Cmd {
	if o.drafted() {
		c.drafts[o.q.ID] = o.text // should the answer not arrive
	}
	a := incident.Answer{Question: o.q.ID, Choice: choice, Text: text, By: c.o.By}
	return tea.Batch(c.pop(), c.submit(engine.Command{Answer: &a}, "answered: "+o.q.Title))
}

func (o *askOverlay) back(c *console) tea.Cmd {
	if o.drafted() {
		c.drafts[o.q.ID] = o.text
	}
	return c.back()
}

func (o *askOverlay) keys(c *console) []binding {
	esc := binding{keys: []string{"esc"}, label: "esc", text: "back, it stays open", do: func() tea.Cmd { return o.back(c) }}
	say := func(key, label, text, choice string) binding {
		return binding{keys: []string{key}, label: label, text: text, do: func() tea.Cmd { return o.answer(c, choice, o.text.String()) }}
	}
	scroll := scrollKeys(&o.scroll, 5)
	if o.read {
		esc.text = "back"
		return append([]binding{esc}, scroll...)
	}
	switch o.q.Kind {
	case incident.Typed:
		enter := binding{keys: []string{"enter"}, label: "enter", text: "once it is typed", danger: true, weighs: true, do: func() tea.Cmd { return o.enterTyped(c) }}
		return append([]binding{enter, esc}, arrowsOnly(scroll)...)
	case incident.Guide:
		done := binding{keys: []string{"enter"}, label: "enter", text: "done", weighs: true, do: func() tea.Cmd { return o.done(c) }}
		return append([]binding{done, say("ctrl+l", "ctrl+l", "later: leave it open", incident.Later), esc}, arrowsOnly(scroll)...)
	case incident.Written:
		esc.text = "back, the draft is kept"
		save := binding{keys: []string{"ctrl+s"}, label: "ctrl+s", text: "save", weighs: true, do: func() tea.Cmd { return o.save(c) }}
		leave := say("ctrl+l", "ctrl+l", "leave it open", incident.Later)
		return append([]binding{save, leave, esc}, pagesOnly(scroll)...)
	case incident.Choice:
		return append(o.choiceKeys(c), esc)
	}
	if o.q.Kind != incident.Confirm { // of a version to come: not to be answered by guessing
		return append([]binding{esc}, scroll...)
	}
	yes := say("y", "y", "yes, go on", incident.Yes)
	yes.danger = o.irreversible(c) != ""
	return append([]binding{yes, say("n", "n", "no, leave it out", incident.No), esc}, scroll...)
}

// arrowsOnly leaves the letters to the field.
func arrowsOnly(all []binding) []binding {
	out := slices.Clone(all)
	for i, b := range out {
		out[i].keys = slices.DeleteFunc(slices.Clone(b.keys), func(k string) bool { return len(k) == 1 || k == "home" || k == "end" })
		if len(out[i].keys) > 0 {
			out[i].label = out[i].keys[0]
		}
	}
	return slices.DeleteFunc(out, func(b binding) bool { return len(b.keys) == 0 })
}

// pagesOnly leaves the arrows to the editor too.
func pagesOnly(all []binding) []binding {
	return slices.DeleteFunc(arrowsOnly(all), func(b binding) bool { return slices.Contains(b.keys, "up") || slices.Contains(b.keys, "down") })
}

// save answers a question in writing. Without a word it stays open, which takes a second key.
func (o *askOverlay) save(c *console) tea.Cmd {
	switch {
	case !o.text.blank():
		return o.answer(c, incident.Yes, o.text.String())
	case !o.bare:
		o.bare = true
		c.complain("nothing is written: ctrl+s again leaves the question open")
		return c.settle()
	}
	return o.answer(c, incident.Later, "")
}

// done ends a guided step. Without a word it takes a second key: what nobody writes down is lost.
func (o *askOverlay) done(c *console) tea.Cmd {
	if o.text.blank() && !o.bare {
		o.bare = true
		c.complain("nothing is recorded: enter again if it is done without a word")
		return c.settle()
	}
	return o.answer(c, incident.Yes, o.text.String())
}

// enterTyped goes on only with exactly what was asked for.
func (o *askOverlay) enterTyped(c *console) tea.Cmd {
	text := o.typed.field.String()
	switch {
	case o.typed.given():
		return o.answer(c, incident.Yes, text)
	case strings.EqualFold(strings.TrimSpace(text), incident.No):
		return o.answer(c, incident.No, text)
	}
	o.typed.refuse(c)
	return nil
}

func (o *askOverlay) choiceKeys(c *console) []binding {
	n := len(o.q.Options)
	move := func(to int) func() tea.Cmd {
		return func() tea.Cmd { o.chosen = max(0, min(n-1, to)); return c.settle() }
	}
	choose := binding{keys: []string{"enter"}, label: "enter", text: "choose", weighs: true, do: func() tea.Cmd {
		return o.answer(c, o.q.Options[o.chosen].ID, "")
	}}
	if n == 0 {
		choose.off = "there is nothing to choose from"
	}
	all := []binding{
		choose,
		{keys: []string{"down"}, label: "↓", text: "look at the next", do: move(o.chosen + 1)},
		{keys: []string{"up"}, label: "↑", text: "at the one before", quiet: true, do: move(o.chosen - 1)},
	}
	for i := range min(n, 26) {
		letter := string(rune('a' + i))
		all = append(all, binding{keys: []string{letter}, label: letter, text: o.q.Options[i].Title, quiet: true, do: move(i)})
	}
	return all
}

// next never picks an answer to a choice: it leads through all of them, and rests on the last.
func (o *askOverlay) next(*console) string {
	if o.read {
		return "esc"
	}
	switch o.q.Kind {
	case incident.Typed:
		return o.typed.next()
	case incident.Choice:
		if o.chosen < len(o.q.Options)-1 {
			return "down"
		}
		return "enter"
	case incident.Guide:
		return "enter"
	case incident.Written:
		return "ctrl+s"
	case incident.Confirm:
		return "y"
	}
	return "esc"
}

func (o *askOverlay) height(c *console, w int) int {
	text, _ := o.body(c, w)
	return len(text) + len(o.foot(w, editorRows)) + 2
}

func (o *askOverlay) view(c *console, w, h int) []line {
	text, at := o.body(c, w)
	foot := o.foot(w, max(3, min(editorRows, h-4-min(len(text), h/3))))
	room := max(1, h-2-len(foot))
	visible := room
	if len(text) > room { // the last row says that there is more
		visible = max(1, room-1)
	}
	if o.q.Kind == incident.Choice {
		o.scroll = window(o.scroll, at, len(text), visible)
	}
	shown := scrolledIn(text, &o.scroll, room)
	for len(shown) < room {
		shown = append(shown, nil)
	}
	return withKeys(c, o, append(shown, foot...), w, h)
}

// body is the question's text, and the row in it that has to be in sight.
func (o *askOverlay) body(c *console, w int) (text []line, at int) {
	irreversible := o.irreversible(c)
	if irreversible != "" { // first, so that no small terminal hides it
		text = append(text, paragraph(danger, "! Cannot be undone: "+irreversible, w)...)
	}
	for _, t := range o.q.Text {
		if t != irreversible {
			text = append(text, paragraph(plain, t, w)...)
		}
	}
	if o.q.Kind != incident.Choice {
		return text, 0
	}
	if len(text) > 0 {
		text = append(text, nil)
	}
	for i, opt := range o.q.Options {
		letter, cursor, look := " ", "  ", plain
		if i < 26 {
			letter = string(rune('a' + i))
		}
		if i == o.chosen {
			cursor, look = "▸ ", strong
		}
		from := len(text)
		text = append(text, row(span{accent, cursor + letter + "  "}, span{look, opt.Title}))
		if opt.Text != "" {
			for _, l := range wrap(opt.Text, w-5) {
				text = append(text, row(span{plain, "     "}, span{dim, l}))
			}
		}
		if step := c.rec.Steps[o.q.Step]; step != nil && step.Uses == "person.decide" {
			if on := grounds(c.rec.State, opt.ID); on != "" {
				text = append(text, row(span{plain, "     "}, span{busy, on}))
			}
		}
		if i == o.chosen {
			at = len(text) - 1
			if i == 0 {
				at = from
			}
		}
	}
	return text, at
}

// editorRows is how many rows an editor has where there is room.
const editorRows = 12

// foot is the field, where the question has one; an editor has so many rows.
func (o *askOverlay) foot(w, tall int) []line {
	if o.read {
		return nil
	}
	switch o.q.Kind {
	case incident.Typed:
		return o.typed.lines(w, ", or  no  to leave it out.")
	case incident.Guide:
		return []line{nil, row(span{dim, "For the record: what you did and saw"}), o.text.line(w)}
	case incident.Written:
		head := spread(row(span{dim, "Your answer, for the report"}), row(span{dim, o.text.extent(w)}), w)
		return append([]line{nil, head}, o.text.rows(w, tall)...)
	}
	return nil
}
