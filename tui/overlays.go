package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// sureOverlay asks once more before something of the console's own. safe means that the answer
// that changes nothing is the next key.
type sureOverlay struct {
	head, label string
	text        []string
	safe        bool
	do          func() tea.Cmd
}

func (o *sureOverlay) title() string { return o.head }
func (o *sureOverlay) guarded() bool { return true }
func (o *sureOverlay) input() *field { return nil }

func (o *sureOverlay) keys(c *console) []binding {
	no := binding{keys: []string{"n", "esc"}, label: "n", text: "no, go back", do: func() tea.Cmd { return c.back() }}
	if o.safe {
		no.keys = append(no.keys, "enter")
	}
	return []binding{
		{keys: []string{"y"}, label: "y", text: "yes, " + o.label, do: func() tea.Cmd { return tea.Batch(c.pop(), o.do()) }}, no,
	}
}

func (o *sureOverlay) next(*console) string {
	if o.safe {
		return "n"
	}
	return "y"
}

func (o *sureOverlay) lines(w int) []line {
	var out []line
	for _, t := range o.text {
		out = append(out, paragraph(plain, t, w)...)
	}
	return out
}

func (o *sureOverlay) height(_ *console, w int) int { return len(o.lines(w)) + 2 }
func (o *sureOverlay) view(c *console, w, h int) []line {
	return withKeys(c, o, o.lines(w), w, h)
}

// promptOverlay takes a line of text. What it does and cannot undo has its name typed after that.
type promptOverlay struct {
	head, label string
	text        []string
	careful     bool // it acts on a credential or a step
	field       field
	sure        confirmation // of what cannot be undone
	after       string       // what stands behind what to type; by default that it cannot be undone
	asked       bool         // the text is there, or none is wanted: sure is being typed
	scroll      int
	do          func(string) tea.Cmd
}

func (o *promptOverlay) title() string { return o.head }
func (o *promptOverlay) guarded() bool { return o.careful }
func (o *promptOverlay) danger() bool  { return o.sure.want != "" }

func (o *promptOverlay) input() *field {
	if o.asked {
		return &o.sure.field
	}
	return &o.field
}

func (o *promptOverlay) next(*console) string {
	switch {
	case o.asked:
		return o.sure.next()
	case o.field.blank():
		return ""
	}
	return "enter"
}

func (o *promptOverlay) keys(c *console) []binding {
	enter := binding{keys: []string{"enter"}, label: "enter", text: o.label, danger: o.asked, weighs: o.careful, do: func() tea.Cmd { return o.enter(c) }}
	switch {
	case o.asked:
		enter.text = "once it is typed"
	case o.field.blank():
		enter.off = "nothing is typed"
	case o.danger():
		enter.text = "go on"
	}
	all := []binding{enter, {keys: []string{"esc"}, label: "esc", text: "back", do: func() tea.Cmd { return c.back() }}}
	return append(all, arrowsOnly(scrollKeys(&o.scroll, 3))...)
}

func (o *promptOverlay) enter(c *console) tea.Cmd {
	switch {
	case o.danger() && !o.asked:
		o.asked = true
		return c.guard()
	case o.asked && !o.sure.given():
		o.sure.refuse(c)
		return nil
	}
	return tea.Batch(c.pop(), o.do(o.field.String()))
}

func (o *promptOverlay) lines(w int) []line {
	var out []line
	for _, t := range o.text {
		out = append(out, paragraph(plain, t, w)...)
	}
	return out
}

// foot is what is typed into, and stays in sight whatever stands above it.
func (o *promptOverlay) foot(w int) []line {
	if o.asked {
		return o.sure.lines(w, ". "+first(o.after, "It cannot be undone."))
	}
	return []line{o.field.line(w)}
}

func (o *promptOverlay) height(_ *console, w int) int { return len(o.lines(w)) + len(o.foot(w)) + 2 }
func (o *promptOverlay) view(c *console, w, h int) []line {
	foot := o.foot(w)
	text := scrolledIn(o.lines(w), &o.scroll, max(1, h-2-len(foot)))
	return withKeys(c, o, append(text, foot...), w, h)
}

// noteKey writes a note into the record.
func noteKey(c *console) binding {
	b := binding{keys: []string{"n"}, label: "n", text: "note", do: func() tea.Cmd {
		return c.push(&promptOverlay{
			head: "Note for the record", label: "write it down",
			text: []string{"It is kept with its time and your name, and cannot be taken back."},
			do: func(text string) tea.Cmd {
				return c.submit(engine.Command{Note: &incident.Note{Text: text, By: c.o.By}}, "noted")
			},
		})
	}}
	b.off = c.closed()
	return b
}

// inventoryKey has the inventory in clawback.yaml read anew.
func inventoryKey(c *console) binding {
	b := binding{keys: []string{"i"}, label: "i", text: "read clawback.yaml's inventory anew", quiet: true, do: func() tea.Cmd {
		return c.submit(engine.Command{Credential: &incident.Command{Kind: incident.ReadInventory, By: c.o.By}}, "the inventory is read anew")
	}}
	if b.off = c.closed(); b.off == "" && c.rec.Declared.Mode == incident.Drill {
		b.off = "a drill's world is in no inventory"
	}
	return b
}

// credentialKeys are what can be done about one credential.
func credentialKeys(c *console, cred *incident.Credential) []binding {
	link := binding{keys: []string{"o"}, label: "o", text: "copy its link", do: func() tea.Cmd { return c.copyLink(cred) }}
	byHand := binding{keys: []string{"m"}, label: "m", text: "done by hand", do: func() tea.Cmd { return c.push(doneByHand(c, cred)) }}
	retry := binding{keys: []string{"r"}, label: "r", text: "retry", do: func() tea.Cmd {
		if spared(cred) {
			return c.push(takeBack(c, cred))
		}
		return c.command(cred, incident.Retry, "", "retrying: "+cred.String())
	}}
	skip := binding{keys: []string{"s"}, label: "s", text: "skip", do: func() tea.Cmd { return c.push(skipIt(c, cred)) }}
	undo := binding{keys: []string{"u"}, label: "u", text: "undo", do: func() tea.Cmd { return c.push(undoIt(c, cred)) }}
	all := []*binding{&link, &byHand, &retry, &skip, &undo}

	switch {
	case cred == nil:
		for _, b := range all {
			b.off = "no credential is selected"
		}
	case c.closed() != "":
		byHand.off, retry.off, skip.off, undo.off = c.closed(), c.closed(), c.closed(), c.undoClosed(cred)
	default:
		byHand.off = unless(cred, c.rec.byHand, stuck...)
		retry.off = unless(cred, c.rec.byHand, stuck[1:]...)
		if spared(cred) {
			retry.off = "" // a decision can be taken back
		}
		skip.off = unless(cred, nil, append(slices.Clone(stuck), underWay...)...)
		undo.off = noUndo(cred)
		if cred.Undoing != nil {
			byHand.off, retry.off, skip.off = undo.off, undo.off, undo.off
		}
	}
	if cred != nil && linkOf(cred) == "" {
		link.off = "it has no link"
	}
	return []binding{link, byHand, retry, skip, undo}
}

// manualNext is the way of a credential that a person has to revoke: its page, then the proof.
func manualNext(c *console, cred *incident.Credential) string {
	switch {
	case c.closed() != "":
		return ""
	case linkOf(cred) != "" && !c.copied[cred.Fingerprint]:
		return "o"
	}
	return "m"
}

func doneByHand(c *console, cred *incident.Credential) *sureOverlay {
	return &sureOverlay{
		head: "Done by hand: " + cred.String(), label: "it is done",
		text: []string{
			"You revoked it at " + cred.Provider + " yourself. clawback now asks the provider until it is proved dead; if it still answers, it comes back here.",
		},
		do: func() tea.Cmd {
			return c.command(cred, incident.ByHand, "", "the proof begins: "+cred.String())
		},
	}
}

// spared reports whether a person decided to leave a credential alone.
func spared(cred *incident.Credential) bool {
	return cred.Life == credential.Skipped && cred.Reason == incident.ReasonDecision
}

// takeBack revokes what a person had decided to leave alone.
func takeBack(c *console, cred *incident.Credential) *promptOverlay {
	text := []string{"It was left alone by a decision. Now it is revoked, and proved dead."}
	if d := cred.Decision; d.By != "" {
		text = append(text, d.By+" decided it: "+d.Text)
	}
	if i := cred.Inventory; i != nil && i.Breaks != "" {
		text = append(text, "Breaks: "+i.Breaks+".")
	}
	return &promptOverlay{
		head: "Revoke " + cred.String() + " after all", label: "revoke it", careful: true, text: text,
		asked: true, sure: confirmation{want: "revoke " + spoken(cred.Provider)},
		do: func(string) tea.Cmd { return c.command(cred, incident.Retry, "", "retrying: "+cred.String()) },
	}
}

func skipIt(c *console, cred *incident.Credential) *promptOverlay {
	return &promptOverlay{
		head: "Skip " + cred.String(), label: "skip it", careful: true,
		text: []string{"Nothing more is done about it: it may live on, and the incident does not end as contained. Why?"},
		do: func(reason string) tea.Cmd {
			return c.command(cred, incident.Skip, reason, "skipped: "+cred.String())
		},
	}
}

func (c *console) command(cred *incident.Credential, kind, text, done string) tea.Cmd {
	return c.submit(engine.Command{Credential: &incident.Command{
		Kind: kind, Credential: cred.Fingerprint, Text: text, By: c.o.By,
	}}, done)
}
