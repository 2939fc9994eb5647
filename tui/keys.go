package tui

import (
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"
)

// binding is one key of a screen: what it is called, what it does, and why it cannot do it now.
type binding struct {
	keys   []string // as Bubble Tea names them
	label  string   // as people read them
	text   string   // what it does, in a few words
	danger bool     // it changes something that cannot be changed back
	off    string   // why it does nothing now; empty where it does
	quiet  bool     // help shows it, the footer does not
	weighs bool     // it acts on what was typed or chosen: it counts once the hands have paused after that
	do     func() tea.Cmd
}

// layer is a screen or an overlay. The console shows one screen and a stack of overlays, and the
// topmost layer takes the keys.
type layer interface {
	title() string
	keys(c *console) []binding
	// next names the key that leads on, "" where there is nothing to do but wait.
	next(c *console) string
	// view draws into w by h cells, or less.
	view(c *console, w, h int) []line
}

// overlay is a layer in a box over a screen.
type overlay interface {
	layer
	// height is the number of rows that it wants, at a width.
	height(c *console, w int) int
	// input is the field that takes what is no key of the overlay, or nil.
	input() *field
	// guarded overlays act on what is typed: they take no key until the hands have paused.
	guarded() bool
}

// find returns the binding of a key.
func find(all []binding, key string) (binding, bool) {
	i := slices.IndexFunc(all, func(b binding) bool { return slices.Contains(b.keys, key) })
	if i < 0 {
		return binding{}, false
	}
	return all[i], true
}

// footer is the row of keys: the next one first, which stands out if it counts, then what else can be
// done now.
func footer(all []binding, nextKey string, counts bool, w int) line {
	var out line
	used := 0
	add := func(b binding, look token) bool {
		gap := "   "
		if len(out) == 0 {
			gap = " "
		}
		item := row(span{plain, gap}, span{look, b.label}, span{plain, " " + b.text})
		switch {
		case look == next && !counts:
			item = row(span{plain, gap + " "}, span{dim, " " + b.label + "  " + b.text})
		case look == next:
			item = row(span{plain, gap}, span{accent, "▸"}, span{next, " " + b.label + " "}, span{accent, " " + b.text})
		}
		if used+item.width() > w {
			return false
		}
		used += item.width()
		out = append(out, item...)
		return true
	}
	if b, ok := find(all, nextKey); ok && nextKey != "" {
		add(b, next)
	}
	at := slices.IndexFunc(all, func(b binding) bool { return b.label == "?" })
	if at >= 0 {
		w -= 9 // kept for help, which stands last
	}
	for i, b := range all {
		if b.quiet || b.off != "" || i == at || nextKey != "" && slices.Contains(b.keys, nextKey) {
			continue
		}
		look := strong
		if b.danger {
			look = danger
		}
		if !add(b, look) {
			break
		}
	}
	if at >= 0 {
		w += 9
		add(all[at], strong)
	}
	return out
}

// helpOverlay lists the keys of the layer below it.
type helpOverlay struct {
	of     layer
	scroll int
}

func (o *helpOverlay) title() string                { return "Keys: " + o.of.title() }
func (o *helpOverlay) guarded() bool                { return false }
func (o *helpOverlay) input() *field                { return nil }
func (o *helpOverlay) next(*console) string         { return "esc" }
func (o *helpOverlay) height(c *console, w int) int { return len(o.lines(c, w)) + 2 }
func (o *helpOverlay) view(c *console, w, h int) []line {
	return withKeys(c, o, scrolledIn(o.lines(c, w), &o.scroll, h-2), w, h)
}

func (o *helpOverlay) keys(c *console) []binding {
	return append([]binding{
		{keys: []string{"esc", "?", "enter", "q"}, label: "esc", text: "back", do: func() tea.Cmd { return c.pop() }},
	}, scrollKeys(&o.scroll, 1)...)
}

func (o *helpOverlay) lines(c *console, w int) []line {
	return append(keyLines(append(o.of.keys(c), c.globalKeys()...), w), glossary(w)...)
}

// keyLines says what keys do, and why not now.
func keyLines(all []binding, w int) []line {
	var out []line
	for _, b := range all {
		text, look := b.text, plain
		if b.danger {
			text += "  ! cannot be undone"
			look = danger
		}
		key := strong
		if b.off != "" {
			text += ": not now, " + b.off
			key, look = dim, dim
		}
		for i, l := range wrap(text, w-11) {
			label := ""
			if i == 0 {
				label = b.label
			}
			out = append(out, row(span{key, column(label, 11)}, span{look, l}))
		}
	}
	return out
}

// scrollKeys move a view over text; step is the size of a page less one.
func scrollKeys(at *int, page int) []binding {
	by := func(n int) func() tea.Cmd {
		return func() tea.Cmd { *at = max(0, *at+n); return nil }
	}
	return []binding{
		{keys: []string{"j", "down"}, label: "j ↓", text: "down", quiet: true, do: by(1)},
		{keys: []string{"k", "up"}, label: "k ↑", text: "up", quiet: true, do: by(-1)},
		{keys: []string{" ", "pgdown", "ctrl+f"}, label: "space", text: "a page down", quiet: true, do: by(max(1, page))},
		{keys: []string{"b", "pgup", "ctrl+b"}, label: "b", text: "a page up", quiet: true, do: by(-max(1, page))},
		{keys: []string{"g", "home"}, label: "g", text: "to the top", quiet: true, do: func() tea.Cmd { *at = 0; return nil }},
		{keys: []string{"G", "end"}, label: "G", text: "to the end", quiet: true, do: func() tea.Cmd { *at = bottom; return nil }},
	}
}

// bottom is beyond the end of any text: scrolled brings it back to the end.
const bottom = 1 << 30

// scrolled returns the h lines from *at on, with *at brought into range.
func scrolled(all []line, at *int, h int) []line {
	h = max(h, 0)
	*at = max(0, min(*at, len(all)-h))
	return all[*at:min(len(all), *at+h)]
}

// scrolledIn is scrolled, with a last row that says what is below.
func scrolledIn(all []line, at *int, h int) []line {
	if len(all) <= h {
		*at = 0
		return slices.Clone(all)
	}
	shown := slices.Clone(scrolled(all, at, max(1, h-1)))
	if below := len(all) - *at - len(shown); below > 0 {
		shown = append(shown, row(span{dim, fmt.Sprintf("… %s below (↓)", plural(below, "row more", "rows more"))}))
	}
	return shown
}

// withKeys puts the keys of an overlay below its text.
func withKeys(c *console, o overlay, text []line, w, h int) []line {
	for len(text) < h-1 {
		text = append(text, nil)
	}
	if h < 1 {
		return nil
	}
	return append(text[:h-1], c.keyRow(o, o.keys(c), w))
}

// keyRow is the row of keys of the topmost layer. What would be refused since it comes too early is
// not offered: the next key stands out from when on it counts.
func (c *console) keyRow(l layer, all []binding, w int) line {
	if !c.armed {
		return row(span{dim, " a moment: keys count once nothing was pressed for a blink"})
	}
	key := l.next(c)
	b, _ := find(all, key)
	return footer(all, key, !b.weighs || c.settled, w)
}
