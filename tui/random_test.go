package tui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
)

// randomRuns is how often somebody hits the keyboard at random; fewer with the race detector, which
// makes each many times as long, and with -short.
func randomRuns() int {
	switch {
	case raceEnabled:
		return 500
	case testing.Short():
		return 1000
	}
	return 10_000
}

var allKeys = func() []string {
	keys := []string{
		"enter", "enter", "enter", "esc", "tab", "shift+tab", "up", "down", "backspace", "ctrl+l", "ctrl+s", "ctrl+u", "pgdown", "pgup", "home", "end", "left", "right", " ",
		"/", "?", "G", "B", "Q", "漢", "yes", "revoke", "\x1b", "éé", "ctrl+c",
	}
	for r := 'a'; r <= 'z'; r++ {
		keys = append(keys, string(r))
	}
	for r := '0'; r <= '9'; r++ {
		keys = append(keys, string(r))
	}
	return keys
}()

// randomWorlds are the incidents over which keys are pressed at random, each as who sees it.
func randomWorlds(t testing.TB) []struct {
	*story
	as func(*Options)
} {
	type world = struct {
		*story
		as func(*Options)
	}
	confirmIrreversible := begun(t)
	confirmIrreversible.done("describe", "freeze")
	confirmIrreversible.add(incident.TypeAsked, incident.Question{ID: "q5", Step: "stop", Kind: incident.Typed, Type: "stop claw-prod-1", Title: "Kill the agent"})
	return []world{
		{underFire(t), nil}, {hostile(t), nil}, {askingFor(t, "typed"), nil}, {askingFor(t, "confirm"), nil}, {over(t), nil},
		{approval(t), nil}, {resumed(t), nil}, {askingFor(t, "written"), nil}, {inventoried(t), nil}, {confirmIrreversible, nil},
		{underFire(t), attached}, {forsaken(t), attached}, {approval(t), attached}, {forsaken(t), watching}, {askingFor(t, "typed"), watching},
	}
}

// hands press keys, and remember what was typed with care: key by key, after the pause, into the dialog
// that is open. It is written down apart from the console, whose own fields may not be believed.
type hands struct {
	*keyboard
	typed string // into it, since it opened or was emptied
	rests bool   // nothing was pressed since the last pause
	how   []string
}

// place names what takes the keys: a dialog that asks for the next thing is another one.
func (h *hands) place() string {
	o := h.c.top()
	switch o := o.(type) {
	case nil:
		return ""
	case *promptOverlay:
		return fmt.Sprintf("%p %v", o, o.asked)
	case *addOverlay:
		return fmt.Sprintf("%p %d", o, o.stage)
	}
	return fmt.Sprintf("%p", o)
}

// press presses one key, and holds what comes of it against the rules.
func (h *hands) press(key string) {
	h.t.Helper()
	rested, typed, sent, asks := h.rests, h.typed, len(h.sent), h.asks
	place, top := h.place(), h.c.top()
	armed, input := h.c.armed, h.c.input()
	h.keyboard.press(key)
	h.how = append(h.how, key)
	h.rests = false
	for _, c := range h.sent[sent:] {
		if want := wantedFor(h.c, c); want != "" && (key != "enter" || !rested || typed != want) {
			h.t.Fatalf("%s ran with %q typed, not %q, enter after a pause: %v\nkeys: %q", commands([]engine.Command{c}), typed, want, rested, h.how)
		}
		if c.Answer != nil && !armed {
			h.t.Fatalf("%s was answered before the pause\nkeys: %q", commands([]engine.Command{c}), h.how)
		}
	}
	if h.asks > asks && key != "ctrl+c" {
		if sure, ok := top.(*sureOverlay); !ok || !strings.HasPrefix(sure.head, "Stop the response") || key != "y" || !armed {
			h.t.Fatalf("%q ended the response\nkeys: %q", key, h.how)
		}
	}
	switch now := h.place(); {
	case now != place:
		h.typed = ""
	case input == nil || !armed || h.c.small():
	case key == "ctrl+u" || key == "backspace" || key == "left" || key == "right" || key == "home" || key == "end":
		h.typed = h.c.input().String() // edited: what stands there was typed, since no paste gets in
	case named[key].Type == 0 || key == " ":
		h.typed += key
	}
}

// wantedFor is what has to be typed for a command that cannot be undone; "" for the others.
func wantedFor(c *console, cmd engine.Command) string {
	switch {
	case cmd.Add != nil:
		return "revoke " + cmd.Add.Kind
	case cmd.Step != nil && cmd.Step.Kind == incident.Break:
		return "break glass " + spoken(cmd.Step.Step)
	case cmd.Credential != nil && cmd.Credential.Kind == incident.Retry:
		for _, cred := range c.rec.Credentials {
			if cred.Fingerprint == cmd.Credential.Credential && spared(cred) {
				return "revoke " + spoken(cred.Provider)
			}
		}
	case cmd.Credential != nil && cmd.Credential.Kind == incident.TakeBack:
		return "undo " + cmd.Credential.Credential.Short()
	case cmd.Answer != nil && cmd.Answer.Choice == incident.Yes:
		for _, q := range c.rec.Open {
			if q.ID == cmd.Answer.Question && q.Kind == incident.Typed {
				return q.Type
			}
		}
	}
	return ""
}

// confirming is the text that the dialog on top wants typed, and the field for it; nil for none.
func (h *hands) confirming() *confirmation {
	switch o := h.c.top().(type) {
	case *askOverlay:
		if o.q.Kind == incident.Typed {
			return &o.typed
		}
	case *promptOverlay:
		if o.asked {
			return &o.sure
		}
	case *addOverlay:
		if o.stage == sureStage {
			return &o.sure
		}
	}
	return nil
}

// paste hands in a paste. It sends nothing, and gets into no field that confirms.
func (h *hands) paste(text string) {
	h.t.Helper()
	sent, asks, before := len(h.sent), h.asks, ""
	if f := h.confirming(); f != nil {
		before = f.field.String()
	}
	h.keyboard.paste(text)
	h.how = append(h.how, "paste:"+text)
	h.rests = false
	if f := h.confirming(); f != nil && f.field.String() != before {
		h.t.Fatalf("a paste stands in a confirmation: %q\nkeys: %q", f.field.String(), h.how)
	}
	if len(h.sent) > sent || h.asks > asks {
		h.t.Fatalf("a paste sent %s\nkeys: %q", commands(h.sent[sent:]), h.how)
	}
}

// try goes the way of somebody who means it, now and then: else no random key would ever reach the
// end of a text, and the rules above would hold of nothing.
func (h *hands) try(rnd *rand.Rand) {
	if f := h.confirming(); f != nil {
		h.press("ctrl+u")
		for _, r := range f.want {
			h.press(string(r))
		}
	}
	if rnd.IntN(2) == 0 {
		h.pause()
	}
	h.press("enter")
}

func (h *hands) pause() {
	h.t.Helper()
	h.rest()
	h.how = append(h.how, "rest")
	h.rests = true
}

// Ten thousand times somebody hits the keyboard at random, over every kind of incident and in every
// role: nothing panics, nothing leaves the screen's bounds, and nothing that cannot be undone happens
// without its text, typed key by key after the dialog opened and ended by a key after a pause. Not the
// console's own fields say so but what the hands remember.
func TestRandomKeys(t *testing.T) {
	const shards = 8
	var done [shards]map[string]int
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				done[shard] = make(map[string]int)
				worlds := randomWorlds(t)
				for seed := shard; seed < randomRuns(); seed += shards {
					w := worlds[seed/shards%len(worlds)]
					hitAtRandom(t, uint64(seed), w.story, w.as, done[shard])
				}
			})
		}
	})
	total := make(map[string]int)
	for _, d := range done {
		for k, n := range d {
			total[k] += n
		}
	}
	t.Logf("%d runs; confirmed and sent: %v", randomRuns(), total)
	for _, kind := range []string{"answer", "break", "add", incident.Retry, incident.TakeBack} { // or the rule was never tried
		if total[kind] == 0 {
			t.Errorf("no run came to the end of a confirmation of the kind %q: %v", kind, total)
		}
	}
}

func hitAtRandom(t *testing.T, seed uint64, s *story, as func(*Options), done map[string]int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	h := &hands{keyboard: newKeyboard(t, s, 40+rnd.IntN(100), 12+rnd.IntN(40), nil)}
	if as != nil {
		h.as(as)
	}
	for range 60 {
		switch n := rnd.IntN(24); {
		case n < 5:
			h.pause()
		case n == 5:
			h.paste(hostileTexts[rnd.IntN(len(hostileTexts))] + "revoke 6\n")
		case n == 6:
			h.send(tea.WindowSizeMsg{Width: 20 + rnd.IntN(140), Height: 5 + rnd.IntN(60)})
		case n == 7:
			h.try(rnd)
		case n == 8:
			h.send(tickMsg{})
		case n >= 9 && n < 12: // a way that many keys lead to, and random ones seldom
			for _, key := range [][]string{{"B", "rest", "x", "rest", "enter", "rest"}, {"a", "rest", "x", "enter", "rest", "enter", "rest", "y", "rest", "enter", "rest"},
				{"/", "4", "4", "T", "D", "enter", "G", "r", "rest"}, {"enter", "rest"},
				{"/", "N", "2", "Q", "F", "enter", "G", "u", "rest", "x", "rest", "enter", "rest"}, {"/", "4", "4", "T", "D", "enter", "G", "r", "rest"}}[rnd.IntN(6)] {
				if key == "rest" {
					h.pause()
				} else {
					h.press(key)
				}
			}
			if rnd.IntN(2) == 0 {
				h.try(rnd)
			}
		default:
			key := allKeys[rnd.IntN(len(allKeys))]
			if key == "ctrl+c" && rnd.IntN(8) > 0 {
				continue
			}
			h.press(key)
		}
		if rnd.IntN(12) == 0 {
			h.view()
		}
		if h.quit {
			break
		}
	}
	h.view()
	for _, c := range h.sent {
		if wantedFor(h.c, c) != "" {
			done[kindOf(c)]++
		}
	}
}

func kindOf(c engine.Command) string {
	switch {
	case c.Add != nil:
		return "add"
	case c.Step != nil:
		return "break"
	case c.Credential != nil:
		return c.Credential.Kind
	}
	return "answer"
}
