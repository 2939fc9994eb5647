package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// pasteRaw pastes where the terminal does not say so: text arrives as keys, without a pause.
func (k *keyboard) pasteRaw(text string) {
	k.t.Helper()
	for text != "" {
		n := strings.IndexAny(text, " \n")
		switch n {
		case -1:
			n = len(text)
			fallthrough
		default:
			if n > 0 {
				k.press(text[:n])
				text = text[n:]
				continue
			}
		}
		if text[0] == '\n' {
			k.press("enter")
		} else {
			k.press(" ")
		}
		text = text[1:]
	}
}

func askings(kind string) func(testing.TB) *story {
	return func(t testing.TB) *story { return askingFor(t, kind) }
}

// A paste of which the terminal does not say that it is one answers nothing that is typed or chosen,
// at any question and any dialog, and neither does typing that comes in one piece.
func TestUnmarkedPasteNeverAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		story  func(testing.TB) *story
		opened []string
		text   string
	}{
		"confirm":              {askings("confirm"), []string{"enter", "enter"}, "yes\n"},
		"typed":                {askings("typed"), []string{"enter", "enter"}, "revoke 6\n"},
		"typed, twice":         {askings("typed"), []string{"enter", "enter"}, "revoke 6\n\n\n"},
		"typed, left out":      {askings("typed"), []string{"enter", "enter"}, "no\n"},
		"choice":               {askings("choice"), []string{"enter", "enter"}, "b\n"},
		"guide":                {askings("guide"), []string{"enter", "enter"}, "done\n"},
		"written":              {askings("written"), []string{"enter", "enter"}, "all of it\n.\n\n"},
		"break glass":          {approval, []string{"enter", "B"}, "nobody answers\nbreak glass revoke\n"},
		"break glass, typed":   {approval, []string{"enter", "B", "rest", "alone", "rest", "enter"}, "break glass revoke\n"},
		"leave out":            {approval, []string{"enter", "s"}, "because\n"},
		"skip":                 {underFire, []string{"enter", "j", "s"}, "because\n"},
		"done by hand":         {underFire, []string{"enter", "j", "m"}, "yes\n"},
		"stop":                 {underFire, []string{"enter", "q"}, "yes\n"},
		"add":                  {underFire, []string{"enter", "a"}, canary + "\n\nwiki\nrevoke github.pat\n"},
		"add, where from":      {underFire, []string{"enter", "a", "rest", canary, "enter", "rest", "enter", "rest"}, "wiki\nrevoke github.pat\n"},
		"add, typed":           {underFire, []string{"enter", "a", "rest", canary, "enter", "rest", "enter", "rest", "wiki", "rest", "enter"}, "revoke github.pat\n"},
		"undo":                 {underFire, []string{"enter", "/", "N2QF", "enter", "G", "u"}, "red team\nundo 5faa3782\n"},
		"undo, typed":          {underFire, []string{"enter", "/", "N2QF", "enter", "G", "u", "rest", "red team", "rest", "enter"}, "undo 5faa3782\n"},
		"take a decision back": {inventoried, []string{"enter", "/", "44TD", "enter", "G", "r"}, "revoke aws\n"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, tc.story(t), 80, 24, nil)
			k.press(tc.opened...)
			k.rest()
			if k.c.top() == nil {
				t.Fatal("no dialog is open")
			}
			k.pasteRaw(tc.text)
			if len(k.sent) != 0 || k.asks != 0 || k.quit {
				t.Errorf("it sent %s, asked to end %d times", commands(k.sent), k.asks)
			}
		})
	}
}

// Enter that comes with the text is refused, with a reason, and counts after a pause.
func TestEnterCountsAfterAPause(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "typed"), 80, 24, nil)
	k.press("enter", "enter", "rest", "revoke 6", "enter")
	k.wants("too fast to be read: press enter again")
	k.press("rest", "enter")
	if len(k.sent) != 1 {
		t.Errorf("sent %s", commands(k.sent))
	}
}

// How long the hands have to rest: a person who types at their own speed is not held up, and enter
// stands out as the next key exactly while it counts.
func TestPauses(t *testing.T) {
	const enter = "▸ enter"
	for name, tc := range map[string]struct {
		story  func(testing.TB) *story
		opened []string
		rest   time.Duration // then
		keys   []string
		counts bool
	}{
		"a fresh dialog":                     {askings("confirm"), []string{"enter", "enter"}, 299 * time.Millisecond, []string{"y"}, false},
		"a dialog that was read":             {askings("confirm"), []string{"enter", "enter"}, 300 * time.Millisecond, []string{"y"}, true},
		"enter with the text":                {askings("typed"), []string{"enter", "enter", "rest", "revoke 6"}, 149 * time.Millisecond, []string{"enter"}, false},
		"enter after the text":               {askings("typed"), []string{"enter", "enter", "rest", "revoke 6"}, 150 * time.Millisecond, []string{"enter"}, true},
		"a paste shortens no pause":          {askings("typed"), []string{"enter", "enter", "paste:revoke 6"}, 299 * time.Millisecond, []string{"r"}, false},
		"a choice":                           {askings("choice"), []string{"enter", "enter", "rest", "down", "down", "down"}, 150 * time.Millisecond, []string{"enter"}, true},
		"the screen below, answered":         {askings("confirm"), []string{"enter", "enter", "rest", "y"}, 299 * time.Millisecond, []string{"p"}, false},
		"the screen below, answered, rested": {askings("confirm"), []string{"enter", "enter", "rest", "y"}, 300 * time.Millisecond, []string{"p"}, true},
		"the screen below, left":             {askings("confirm"), []string{"enter", "enter", "rest", "esc"}, 150 * time.Millisecond, []string{"p"}, true},
		"the screen below, left at once":     {askings("confirm"), []string{"enter", "enter", "rest", "esc"}, 149 * time.Millisecond, []string{"p"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, tc.story(t), 80, 24, nil)
			for _, key := range tc.opened {
				if text, ok := strings.CutPrefix(key, "paste:"); ok {
					k.paste(text)
				} else {
					k.press(key)
				}
			}
			k.wait(tc.rest)
			before, open := ansi.Strip(k.view()), k.c.top() != nil
			k.press(tc.keys...)
			if counts := k.c.screen != &k.c.run || open && k.c.top() == nil || k.c.input() != nil && len(k.c.input().String()) == 1; counts != tc.counts {
				t.Errorf("it counts: %v\n%s", counts, k.view())
			}
			if tc.keys[0] == "enter" && strings.Contains(before, enter) != tc.counts {
				t.Errorf("enter counts: %v, and the screen says\n%s", tc.counts, before)
			}
			if !tc.counts && tc.keys[0] != "enter" && !strings.Contains(before, "a moment:") {
				t.Errorf("it does not say that keys do not count\n%s", before)
			}
		})
	}
}

// What is typed into a dialog beyond its answer presses no key of the screen below.
func TestYesDoesNotPressOtherKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		keys []string
		sent int
	}{
		"yes":           {[]string{"y", "e", "s"}, 1},
		"no":            {[]string{"n", "o"}, 1},
		"yes at once":   {[]string{"yes"}, 0},
		"esc and a key": {[]string{"esc", "s"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := underFire(t)
			s.add(incident.TypeAsked, questions["confirm"])
			k := newKeyboard(t, s, 80, 24, nil)
			k.press("enter", "j", "k", "enter", "rest")
			if k.c.top() == nil {
				t.Fatal("no question is open")
			}
			open := k.c.top()
			k.press(tc.keys...)
			if o := k.c.top(); o != nil && o != open {
				t.Errorf("%q is open", o.title())
			}
			if len(k.sent) != tc.sent {
				t.Errorf("sent %s", commands(k.sent))
			}
		})
	}
}

// What cannot be undone needs its name, typed: with less, nothing happens.
func TestIrreversibleIsTyped(t *testing.T) {
	adding := []string{"enter", "a", "rest", canary, "enter", "rest", "enter", "rest", "wiki", "rest", "enter", "rest"}
	for name, tc := range map[string]struct {
		story func(testing.TB) *story
		keys  []string
		typed string
	}{
		"break glass":          {approval, []string{"enter", "B", "rest", "alone", "rest", "enter", "rest"}, "break glass revoke"},
		"add":                  {underFire, adding, "revoke github.pat"},
		"take a decision back": {inventoried, []string{"enter", "/", "44TD", "enter", "G", "r", "rest"}, "revoke aws"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, tc.story(t), 80, 24, nil)
			k.press(tc.keys...)
			k.wants("Type  "+tc.typed, "to go on")
			for _, text := range []string{"", "y", "yes", "no", strings.ToUpper(tc.typed), tc.typed + " ", tc.typed[:len(tc.typed)-1]} {
				if text != "" {
					k.press(text)
				}
				k.press("rest", "enter", "rest")
				k.press("ctrl+u")
				k.paste(tc.typed)
				k.press("rest", "enter", "rest", "ctrl+u")
			}
			if len(k.sent) != 0 {
				t.Fatalf("sent %s", commands(k.sent))
			}
			for k.c.top().next(k.c) != "enter" { // the highlighted key spells it
				k.press(k.c.top().next(k.c))
			}
			k.press("rest", "enter")
			if len(k.sent) != 1 || k.c.top() != nil {
				t.Errorf("sent %s", commands(k.sent))
			}
		})
	}
}

// On what it acts stands on every screen, and in every dialog.
func TestTargetIsOnEveryScreen(t *testing.T) {
	for _, sc := range append(screens, struct {
		name  string
		story func(testing.TB) *story
		keys  []string
	}{"break-glass", approval, []string{"enter", "B", "rest"}}) {
		for _, size := range [][2]int{{60, 15}, {80, 24}} {
			k := newKeyboard(t, sc.story(t), size[0], size[1], nil)
			writeReport(t, k)
			k.press(sc.keys...)
			rows := strings.Split(k.view(), "\n")
			if first := rows[0]; !strings.Contains(first, "REAL") || !strings.Contains(first, "claw-prod-1") {
				t.Errorf("%s: the banner of %v is %q", sc.name, size, first)
			}
			if last := rows[len(rows)-1]; k.c.top() != nil && !strings.Contains(last, "REAL on claw-prod-1") {
				t.Errorf("%s: the last row of %v is %q", sc.name, size, last)
			}
		}
	}
}

// The plan says in full on what it acts, whatever the banner has room for.
func TestPlanNamesTheTarget(t *testing.T) {
	long := "responder@agents-of-the-billing-department-17.eu-central.internal.example.org:/srv/agents/billing"
	for name, tc := range map[string]struct {
		target string
		cut    bool
	}{
		"short":           {"web-1", false},
		"an account":      {"root@web-1.example.org", false},
		"two rows":        {long, false},
		"without an end":  {strings.Repeat("x", 30_000), true},
		"hostile":         {"web-1\x1b[2J\r\nREAL on db-1", false},
		"wide characters": {strings.Repeat("漢", 60), false},
	} {
		for _, size := range [][2]int{{60, 15}, {80, 24}, {200, 60}} {
			s := newStory(t)
			s.add(incident.TypeDeclared, incident.Declared{Incident: "INC-1", Mode: incident.Real, Playbook: "p", Target: tc.target, Attended: true, Responder: "dana"})
			s.add(incident.TypePlan, storyPlan)
			k := newKeyboard(t, s, size[0], size[1], nil)
			var shown strings.Builder
			rows := strings.Split(ansi.Strip(k.view()), "\n")
			for i, row := range rows[2:] {
				text, first := strings.CutPrefix(row, " Acts on     ")
				text, more := strings.CutPrefix(text, strings.Repeat(" ", 13))
				if i == 0 != first || i > 0 && !more {
					break
				}
				shown.WriteString(strings.TrimSpace(text))
			}
			want := strings.Join(strings.Fields(clean(tc.target)), "")
			got := strings.Join(strings.Fields(shown.String()), "")
			if (got == want) == tc.cut || tc.cut && !strings.HasSuffix(got, "…") {
				t.Errorf("%s, %v: it says %q\n%s", name, size, got, k.view())
			}
			k.wants("enter", "Take stock")
		}
	}
}

// What waits for a person is not shown as running.
func TestWaitingIsNotRunning(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "confirm"), 80, 24, nil)
	k.press("enter")
	if v := k.view(); strings.Contains(v, "running") {
		t.Errorf("it says that something runs\n%s", v)
	}
	k.wants("◇ Freeze", "waiting for you: Freeze the agent", "nothing is frozen yet")
	k = newKeyboard(t, approval(t), 80, 24, nil)
	k.press("enter")
	k.wants("◇ Revoke")
}

// A notice of success goes by itself; a complaint stays until it was read.
func TestNoticeGoes(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "confirm"), 80, 24, nil)
	k.press("enter", "enter", "rest", "y")
	k.wants("answered: Freeze the agent")
	for range 10 {
		k.send(tickMsg{})
	}
	if strings.Contains(k.view(), "answered: Freeze the agent") {
		t.Error("it stays")
	}
	k.err = errors.New("the disk is full")
	k.send(sentMsg{err: k.err})
	for range 100 {
		k.send(tickMsg{})
	}
	k.wants("the disk is full")
}

// A terminal that is too small never leads to a command that acts by itself.
func TestTooSmallNamesNoKill(t *testing.T) {
	for _, size := range []tea.WindowSizeMsg{{Width: 50, Height: 12}, {Width: 40, Height: 10}} {
		k := newKeyboard(t, begun(t), 80, 24, nil)
		k.c.o = Options{Now: k.c.o.Now, Getenv: k.c.o.Getenv}.withDefaults()
		k.send(size)
		if v := k.view(); strings.Contains(v, "kill") || !strings.Contains(v, "clawback watch INC-20261122-0317") {
			t.Errorf("it says\n%s", v)
		}
	}
}

// A guide that is done without a word says so first.
func TestGuideWithoutAWord(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "guide"), 80, 24, nil)
	k.press("enter", "enter", "rest", "enter")
	if len(k.sent) != 0 {
		t.Fatal("it is done, and nothing is recorded")
	}
	k.wants("nothing is recorded")
	k.press("rest", "enter")
	if len(k.sent) != 1 || k.sent[0].Answer.Choice != incident.Yes {
		t.Errorf("sent %s", commands(k.sent))
	}
}
