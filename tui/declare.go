package tui

import (
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// declarePage puts a response together before anything is done. Its last row starts it.
type declarePage struct {
	row    int
	at     [startRow]int // the option of each row
	typed  field         // another machine
	typing bool          // it is chosen
	from   int           // the first option in sight
	looked map[string]string
}

// Rows of a declaration.
const (
	machineRow = iota
	bookRow
	severityRow
	startRow
)

// choice is one of what can be chosen in a row.
type choice struct{ name, about, off string }

// anotherMachine is chosen by who types one.
const anotherMachine = "another"

// severities are how bad a response can be declared, by their numbers.
var severities = []string{"left open", "the worst", "in between", "the least"}

func (p *declarePage) title() string {
	return "Declare: nothing is done yet"
}

// next is enter where it leads on.
func (p *declarePage) next(h *home) string {
	if p.enterKey(h).off != "" {
		return ""
	}
	return "enter"
}

func (p *declarePage) input() *field {
	if p.row == machineRow && p.typing {
		return &p.typed
	}
	return nil
}

// choices are what can be chosen in the row of the cursor.
func (p *declarePage) choices(h *home) (all []choice) {
	switch p.row {
	case machineRow:
		for _, m := range h.Machines {
			all = append(all, choice{name: m.Name, about: m.About})
		}
		if h.Types {
			all = append(all, choice{name: anotherMachine, about: "Type [USER@]HOST. It is reached over ssh, with your own configuration of it."})
		}
	case bookRow:
		for _, b := range h.Books {
			d := p.declared(h)
			d.Book = b.Name
			_, err := h.Line(d)
			c := choice{name: b.Name, about: b.About}
			if b.Default {
				c.name += " (default)"
			}
			if err != nil {
				c.off = err.Error()
			}
			all = append(all, c)
		}
	case severityRow:
		for i, name := range severities {
			about := "For the record and the report. It changes nothing of what is done."
			if i == 0 {
				about = "It can be noted later."
			}
			all = append(all, choice{name: name, about: about})
		}
	}
	return all
}

// declared is what is chosen so far.
func (p *declarePage) declared(h *home) Declaration {
	d := Declaration{Severity: p.at[severityRow], Machine: p.machine(h)}
	if len(h.Books) > 0 {
		d.Book = h.Books[p.at[bookRow]].Name
	}
	return d
}

// machine is the chosen one; "" while none is typed.
func (p *declarePage) machine(h *home) string {
	if i := p.at[machineRow]; i < len(h.Machines) {
		return h.Machines[i].Name
	}
	return strings.TrimSpace(p.typed.String())
}

// look finds out what is known of the chosen machine, once.
func (h *home) look() tea.Cmd {
	p := &h.declare
	i := p.at[machineRow]
	p.typing = h.Types && i == len(h.Machines)
	if h.Look == nil || i >= len(h.Machines) {
		return nil
	}
	name := h.Machines[i].Name
	if _, begun := p.looked[name]; begun {
		return nil
	}
	p.looked[name] = ""
	return h.work.cmd(func() tea.Msg { return lookedMsg{name, h.Look(h.work.ctx, name)} })
}

func (p *declarePage) keys(h *home) []binding {
	all := []binding{p.enterKey(h), p.escKey(h)}
	if p.row == startRow {
		return all
	}
	options := p.choices(h)
	choose := func(i int) func() tea.Cmd {
		return func() tea.Cmd {
			p.at[p.row] = max(0, min(len(options)-1, i))
			return tea.Batch(h.settle(), h.look())
		}
	}
	down := binding{keys: []string{"down"}, label: "↓", text: "the next", do: choose(p.at[p.row] + 1)}
	up := binding{keys: []string{"up"}, label: "↑", text: "the one before", quiet: true, do: choose(p.at[p.row] - 1)}
	if p.input() != nil {
		return append(all, down, up)
	}
	down.keys, up.keys = append(down.keys, "j"), append(up.keys, "k")
	all = append(all, down, up)
	for i, o := range options {
		if digit := p.digit(i); digit != "" {
			all = append(all, binding{keys: []string{digit}, label: digit, text: o.name, quiet: true, do: choose(i)})
		}
	}
	return all
}

// digit is the key of an option: of how bad it is that number, of others their place in the list.
func (p *declarePage) digit(i int) string {
	if p.row != severityRow {
		i++
	}
	if i > 9 {
		return ""
	}
	return strconv.Itoa(i)
}

func (p *declarePage) escKey(h *home) binding {
	return binding{keys: []string{"esc", "shift+tab"}, label: "esc", text: "back, nothing is done", do: func() tea.Cmd {
		if p.row == machineRow {
			return h.show(&h.menu)
		}
		p.row, p.from = p.row-1, 0
		return h.settle()
	}}
}

// enterKey leads to the next row, and from the last to the response.
func (p *declarePage) enterKey(h *home) binding {
	b := binding{keys: []string{"enter", "tab"}, label: "enter", text: "go on", do: func() tea.Cmd {
		p.row, p.from = p.row+1, 0
		return h.settle()
	}}
	args, err := h.Line(p.declared(h))
	switch {
	case p.row == startRow:
		b.keys, b.text, b.weighs = b.keys[:1], "start", true
		b.do = func() tea.Cmd { return h.begin(args) }
	case p.machine(h) == "":
		b.off = "no machine is chosen"
		return b
	case p.row == severityRow:
		return b
	}
	if err != nil {
		b.off = err.Error()
	}
	return b
}

func (p *declarePage) view(h *home, w, rows int) []line {
	d := p.declared(h)
	severity := severities[d.Severity]
	if d.Severity > 0 {
		severity = strconv.Itoa(d.Severity) + ", " + severity
	}
	out := []line{
		p.form(machineRow, "Machine", d.Machine, "none yet"),
		p.form(bookRow, "Playbook", d.Book, "none"),
		p.form(severityRow, "How bad", severity, ""),
		row(span{dim, "   You       "}, span{plain, h.By}, span{dim, ", " + h.Known}),
		p.form(startRow, "Start", "the plan first; nothing before you say so", ""),
	}
	if rows > 14 {
		out = append(out, nil)
	}
	out = append(out, rule(w, span{dim, [...]string{"Which machine", "What is carried out", "How bad it is", "What happens now"}[p.row]}))
	out = append(out, p.below(h, w, rows-len(out)-1)...)
	for len(out) < rows-1 {
		out = append(out, nil)
	}
	args, _ := h.Line(d)
	return append(out[:rows-1], commandLine(args))
}

// form is one row of what is chosen.
func (p *declarePage) form(of int, label, value, none string) line {
	cursor, look := "   ", plain
	if of == p.row {
		cursor, look = " ▸ ", strong
	}
	if value == "" {
		value, look = none, dim
	}
	return row(span{accent, cursor}, span{look, column(label, 10)}, span{look, value})
}

// below is what can be chosen in the row of the cursor, and what is known of the chosen one.
func (p *declarePage) below(h *home, w, rows int) []line {
	if p.row == startRow {
		return p.start(h, w, rows)
	}
	all, at := p.choices(h), p.at[p.row]
	if len(all) == 0 {
		return indented(paragraph(warn, "None is known here. hosts: [root@web-1] in the configuration names the machines that may be responded to.", w-2))
	}
	about := p.about(h, all[at], w-8)
	list := min(len(all), max(1, rows-min(len(about), 4)))
	p.from = window(p.from, at, len(all), list)
	var out []line
	for i := p.from; i < min(len(all), p.from+list); i++ {
		mark, look := "   ○ ", plain
		switch {
		case i == at:
			mark, look = "   ● ", strong
		case all[i].off != "":
			look = dim
		}
		l := row(span{accent, mark}, span{dim, column(p.digit(i), 2)}, span{look, all[i].name})
		if i == at && p.input() != nil {
			l = append(append(l, span{plain, "  "}), p.typed.line(w-9-ansi.StringWidth(all[i].name))...)
		}
		out = append(out, l)
	}
	for i := range about {
		about[i] = append(row(span{plain, "       "}), about[i]...)
	}
	return append(out, about[:min(len(about), max(0, rows-len(out)))]...)
}

// about is what is known of an option.
func (p *declarePage) about(h *home, c choice, w int) []line {
	out := paragraph(dim, c.about, w)
	if c.off != "" {
		out = append(paragraph(warn, "Not here: "+c.off, w), out...)
	}
	if p.row != machineRow {
		return out
	}
	switch text, begun := p.looked[c.name]; {
	case begun && text == "":
		return append(paragraph(busy, "looking …", w), out...)
	case begun:
		return append(paragraph(plain, text, w), out...)
	}
	return out
}

// start says what the last row does.
func (p *declarePage) start(h *home, w, rows int) []line {
	d := p.declared(h)
	var then string
	for _, b := range h.Books {
		if b.Name == d.Book {
			then = b.Then
		}
	}
	out := indented(paragraph(plain, then, w-2))
	if _, err := h.Line(d); err != nil {
		out = indented(paragraph(warn, "Not like that: "+err.Error(), w-2))
	}
	if text := p.looked[d.Machine]; text != "" {
		out = append(out, indented(paragraph(dim, text, w-2))...)
	}
	return out[:min(len(out), rows)]
}
