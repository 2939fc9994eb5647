package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
	"clawback/revoke/credential"
)

// maxSecret bounds a value that a person adds, in characters: a private key is among the longest.
const maxSecret = 16 << 10

// addOverlay takes a credential that the search did not find: its value, which is never shown, then
// its kind, then where it is known from.
type addOverlay struct {
	stage  int   // of a value: its part; then kindStage, noteStage, sureStage
	value  field // hidden
	parts  map[string]string
	kind   credential.Kind
	filter field
	chosen int
	from   int // the list's first row in sight
	note   field
	sure   confirmation
}

const (
	kindStage = 100 + iota
	noteStage
	sureStage // it is revoked, and that cannot be undone
)

// pairs are the kinds whose value has more than one part, in the order in which they are asked for.
var pairs = map[string][]string{
	"aws.access_key": {"access_key_id", "secret_access_key"},
	"aws.session":    {"access_key_id", "secret_access_key", "session_token"},
}

// addKey adds a credential to the board.
func addKey(c *console) binding {
	b := binding{keys: []string{"a"}, label: "a", text: "add a credential", do: func() tea.Cmd {
		return c.push(&addOverlay{value: field{hidden: true}, parts: make(map[string]string)})
	}}
	b.off = c.closed()
	if c.rec.active() && (c.o.Attached || c.o.Submit == nil) {
		b.off = "only where the response runs: a value must not be written into the inbox"
	}
	return b
}

func (o *addOverlay) title() string { return "Add a credential" }
func (o *addOverlay) guarded() bool { return true }

func (o *addOverlay) input() *field {
	switch o.stage {
	case kindStage:
		return &o.filter
	case noteStage:
		return &o.note
	case sureStage:
		return &o.sure.field
	}
	return &o.value
}

// pastes reports whether a paste is taken: what is pasted may be the value, which nothing but its own
// field may show.
func (o *addOverlay) pastes() bool { return o.stage < kindStage }

func (o *addOverlay) next(*console) string {
	if o.stage == sureStage {
		return o.sure.next()
	}
	if o.stage < kindStage && o.value.blank() || o.stage == kindStage && len(o.kinds()) == 0 {
		return ""
	}
	return "enter"
}

func (o *addOverlay) keys(c *console) []binding {
	enter := binding{keys: []string{"enter"}, label: "enter", text: "go on", do: func() tea.Cmd { return o.enter(c) }}
	esc := binding{keys: []string{"esc"}, label: "esc", text: "back, nothing is added", do: func() tea.Cmd { o.wipe(); return c.back() }}
	switch {
	case o.stage == noteStage:
		enter.weighs = true
	case o.stage == sureStage:
		enter.text, enter.danger, enter.weighs = "add and revoke it", true, true
	case o.stage == kindStage:
		move := func(by int) func() tea.Cmd {
			return func() tea.Cmd { o.chosen = max(0, min(len(o.kinds())-1, o.chosen+by)); return nil }
		}
		if len(o.kinds()) == 0 {
			enter.off = "no kind matches"
		}
		return []binding{enter, esc,
			{keys: []string{"down"}, label: "↓", text: "the next", quiet: true, do: move(1)},
			{keys: []string{"up"}, label: "↑", text: "the one before", quiet: true, do: move(-1)},
		}
	case o.value.blank():
		enter.off = "nothing is typed or pasted"
	}
	return []binding{enter, esc}
}

// enter ends a stage. What comes right after it, such as the rest of a paste, is not taken.
func (o *addOverlay) enter(c *console) tea.Cmd {
	switch o.stage {
	case sureStage:
		if !o.sure.given() {
			o.sure.refuse(c)
			return nil
		}
		return o.submit(c)
	case noteStage:
		o.sure.want, o.stage = "revoke "+o.kind.Name, sureStage
	case kindStage:
		all := o.kinds()
		o.choose(all[min(o.chosen, len(all)-1)])
	default:
		o.take()
	}
	return c.guard()
}

// take keeps a part of the value, and asks for the next, or for the kind.
func (o *addOverlay) take() {
	value := strings.TrimSpace(o.value.String())
	o.value.wipe()
	if o.stage > 0 {
		o.parts[pairs[o.kind.Name][o.stage]] = value
		o.stage++
		o.more()
		return
	}
	o.parts["value"] = value
	if known, ok := credential.Recognize(value); ok {
		o.kind = known // chosen beforehand, and the person has the last word
		o.chosen = max(0, slices.IndexFunc(o.kinds(), func(k credential.Kind) bool { return k.Name == known.Name }))
	}
	o.stage = kindStage
}

func (o *addOverlay) choose(k credential.Kind) {
	o.kind = k
	if names := pairs[k.Name]; names != nil {
		o.parts = map[string]string{names[0]: o.parts["value"]}
		o.stage = 1
	}
	o.more()
}

// more goes to the note when no part is missing.
func (o *addOverlay) more() {
	if o.stage >= len(pairs[o.kind.Name]) {
		o.stage = noteStage
	}
}

// kinds lists the kinds that match the filter.
func (o *addOverlay) kinds() []credential.Kind {
	words := strings.Fields(strings.ToLower(o.filter.String()))
	return slices.DeleteFunc(slices.Clone(credential.Kinds), func(k credential.Kind) bool {
		text := strings.ToLower(k.Name + " " + k.Title)
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
}

func (o *addOverlay) submit(c *console) tea.Cmd {
	provider := o.kind.Provider
	if provider == "" {
		provider = "unknown"
	}
	a := incident.Addition{Provider: provider, Kind: o.kind.Name, Secret: credential.NewSecret(o.parts), Text: strings.TrimSpace(o.note.String()), By: c.o.By}
	o.parts = nil
	o.wipe()
	return tea.Batch(c.pop(), c.submit(engine.Command{Add: &a}, "added: "+o.kind.Name+" "+credential.Mask(a.Kind, a.Secret, nil)))
}

// wipe forgets what was typed.
func (o *addOverlay) wipe() {
	o.value.wipe()
	clear(o.parts)
}

func (o *addOverlay) lines(w, room int) []line {
	var out []line
	say := func(look token, text string) { out = append(out, paragraph(look, text, w)...) }
	switch o.stage {
	case kindStage:
		say(plain, "What is it? Type to narrow the list down.")
		if o.kind.Name != "" {
			say(good, "By its form it is: "+o.kind.Name)
		}
		out = append(out, o.filter.line(w))
		return append(out, o.list(room-len(out))...)
	case noteStage:
		say(plain, fmt.Sprintf("%s (%s). Where do you know it from? It goes on record; leave the value out.", o.kind.Name, o.kind.Title))
		return append(out, nil, o.note.line(w))
	case sureStage:
		say(plain, fmt.Sprintf("%s (%s).", o.kind.Name, o.kind.Title))
		say(warn, "It is taken like the ones that were found: revoked, and proved dead. That cannot be undone.")
		return append(out, o.sure.lines(w, ".")...)
	case 0:
		say(plain, "Paste or type its value. It is not shown, and goes to its provider and nowhere else: not into the record, nor any log.")
	default:
		say(plain, "Now its "+pairs[o.kind.Name][o.stage]+". It is not shown either.")
	}
	return append(out, nil, o.value.line(w))
}

// list is the rows of the kinds around the chosen one.
func (o *addOverlay) list(room int) []line {
	all := o.kinds()
	o.chosen = max(0, min(o.chosen, len(all)-1))
	room = max(1, room)
	o.from = window(o.from, o.chosen, len(all), room)
	var out []line
	for i := o.from; i < len(all) && len(out) < room; i++ {
		cursor, look := "  ", plain
		if i == o.chosen {
			cursor, look = "▸ ", strong
		}
		out = append(out, row(span{accent, cursor}, span{look, column(all[i].Name, 24)}, span{dim, " " + all[i].Title}))
	}
	return out
}

func (o *addOverlay) height(_ *console, w int) int { return len(o.lines(w, 10)) + 2 }
func (o *addOverlay) view(c *console, w, h int) []line {
	return withKeys(c, o, o.lines(w, max(1, h-2)), w, h)
}
