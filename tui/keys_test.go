package tui

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"clawback/forensics/incident"
	"clawback/playbooks/engine"
)

func answer(id, choice, text string) engine.Command {
	return engine.Command{Answer: &incident.Answer{Question: id, Choice: choice, Text: text, By: "dana"}}
}

func about(kind, credential, text string) engine.Command {
	return engine.Command{Credential: &incident.Command{Kind: kind, Credential: print(credential), Text: text, By: "dana"}}
}

const stripeKey = "stripesk_live_…9fQ2"

// What keys hand to the response. A + in front of a key lets the hands rest after it.
func TestKeys(t *testing.T) {
	fire := underFire
	kind := func(k string) func(testing.TB) *story {
		return func(t testing.TB) *story { return askingFor(t, k) }
	}
	for _, tc := range []struct {
		name  string
		story func(testing.TB) *story
		keys  []string
		want  []engine.Command
	}{
		{"confirm: yes", kind("confirm"), []string{"enter", "+enter", "y"}, []engine.Command{answer("q1", "yes", "")}},
		{"confirm: no", kind("confirm"), []string{"enter", "+enter", "n"}, []engine.Command{answer("q1", "no", "")}},
		{"confirm: esc never answers", kind("confirm"), []string{"enter", "+enter", "esc", "esc", "esc"}, nil},
		{"confirm: enter never answers", kind("confirm"), []string{"enter", "+enter", "enter", "enter"}, nil},
		{"confirm: keys before the pause are swallowed", kind("confirm"), []string{"enter", "enter", "y", "y"}, nil},
		{"confirm: one piece of typing does not answer", kind("confirm"), []string{"enter", "enter", "yyyy"}, nil},
		{"confirm: once only", kind("confirm"), []string{"enter", "+enter", "+y", "+enter", "y"}, []engine.Command{answer("q1", "yes", "")}},
		{"typed: the text", kind("typed"), []string{"enter", "+enter", "+revoke 6", "enter"}, []engine.Command{answer("q2", "yes", "revoke 6")}},
		{"typed: key by key", kind("typed"), []string{"enter", "+enter", "r", "e", "v", "x", "backspace", "o", "k", "e", " ", "+6", "enter"}, []engine.Command{answer("q2", "yes", "revoke 6")}},
		{"typed: another text", kind("typed"), []string{"enter", "+enter", "+revoke 66", "+enter", "ctrl+u", "+Revoke 6", "+enter", "ctrl+u", "+revoke 6 ", "enter"}, nil},
		{"typed: y and enter", kind("typed"), []string{"enter", "+enter", "+enter", "+y", "enter", "esc"}, nil},
		{"typed: no", kind("typed"), []string{"enter", "+enter", "+no", "enter"}, []engine.Command{answer("q2", "no", "no")}},
		{"choice: letter and enter", kind("choice"), []string{"enter", "+enter", "+b", "enter"}, []engine.Command{answer("q3", "theft", "")}},
		{"choice: a letter alone does not answer", kind("choice"), []string{"enter", "+enter", "a", "c", "esc"}, nil},
		{"choice: arrows", kind("choice"), []string{"enter", "+enter", "down", "down", "down", "down", "+up", "enter"}, []engine.Command{answer("q3", "host", "")}},
		{"guide: done", kind("guide"), []string{"enter", "+enter", "+02:51 a mail", "enter"}, []engine.Command{answer("q4", "yes", "02:51 a mail")}},
		{"guide: later", kind("guide"), []string{"enter", "+enter", "half", "ctrl+l"}, []engine.Command{answer("q4", "later", "half")}},
		{"guide: a draft survives esc", kind("guide"), []string{"enter", "+enter", "one ", "+esc", "+enter", "+two", "enter"}, []engine.Command{answer("q4", "yes", "one two")}},
		{"note", fire, []string{"enter", "n", "called the owner", "enter"}, []engine.Command{{Note: &incident.Note{Text: "called the owner", By: "dana"}}}},
		{"note: empty", fire, []string{"enter", "n", " ", "enter", "esc"}, nil},
		{"by hand", fire, []string{"enter", "j", "+m", "y"}, []engine.Command{about(incident.ByHand, stripeKey, "")}},
		{"by hand: asked first", fire, []string{"enter", "j", "+m", "enter", "n"}, nil},
		{"by hand: in its detail", fire, []string{"enter", "j", "enter", "+m", "y"}, []engine.Command{about(incident.ByHand, stripeKey, "")}},
		{"by hand: once only", fire, []string{"enter", "j", "+m", "+y", "k", "k", "/", "stripe", "enter", "G", "+m", "y"}, []engine.Command{about(incident.ByHand, stripeKey, "")}},
		{"retry", fire, []string{"enter", "/", "gitlab", "enter", "G", "r"}, []engine.Command{about(incident.Retry, "gitlabglpat-…c0Rr", "")}},
		{"retry: not what is dead", fire, []string{"enter", "/", "1xQz", "enter", "G", "r", "m", "s"}, nil},
		{"skip: with a reason", fire, []string{"enter", "j", "+s", "+owner is on leave", "enter"}, []engine.Command{about(incident.Skip, stripeKey, "owner is on leave")}},
		{"skip: not without", fire, []string{"enter", "j", "+s", "+enter", "+ ", "enter"}, nil},
		{"after the end nothing is asked", over, []string{"enter", "m", "r", "s", "n"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKeyboard(t, tc.story(t), 80, 24, nil)
			for _, key := range tc.keys {
				name, rest := strings.CutPrefix(key, "+")
				k.press(name)
				k.view()
				if rest {
					k.rest()
				}
			}
			if !reflect.DeepEqual(k.sent, tc.want) {
				t.Errorf("sent %s\nwant %s\n%s", commands(k.sent), commands(tc.want), k.view())
			}
		})
	}
}

func commands(all []engine.Command) string {
	var out []string
	for _, c := range all {
		switch {
		case c.Answer != nil:
			out = append(out, "answer "+c.Answer.Question+" "+c.Answer.Choice+" "+c.Answer.Text)
		case c.Note != nil:
			out = append(out, "note "+c.Note.Text)
		case c.Add != nil:
			out = append(out, "add "+c.Add.Kind)
		case c.Credential != nil:
			out = append(out, c.Credential.Kind+" "+c.Credential.Credential.Short()+" "+c.Credential.Text)
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func TestPasteNeverAnswers(t *testing.T) {
	for kind, text := range map[string]string{"confirm": "y", "typed": "revoke 6", "choice": "b\n", "guide": "done\n"} {
		t.Run(kind, func(t *testing.T) {
			k := newKeyboard(t, askingFor(t, kind), 80, 24, nil)
			k.press("enter", "enter")
			k.paste(text) // before the pause
			k.rest()
			k.paste(text)
			if len(k.sent) != 0 || k.c.top() == nil {
				t.Fatalf("a paste sent %s", commands(k.sent))
			}
			if kind == "typed" {
				k.wants("a paste approves nothing")
				k.press("rest", "enter")
				if len(k.sent) != 0 {
					t.Errorf("the pasted text was taken")
				}
			}
			if kind == "guide" {
				k.press("enter")
				if got := k.sent[0].Answer.Text; got != "done " {
					t.Errorf("the field took %q", got)
				}
			}
		})
	}
	k := newKeyboard(t, underFire(t), 80, 24, nil)
	k.paste("\nqy")
	if k.quit || k.c.screen != &k.c.plan {
		t.Error("a paste pressed keys")
	}
}

func TestPauseStartsAnewWithEachKey(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "confirm"), 80, 24, nil)
	k.press("enter", "enter")
	first := k.later
	k.press("y")
	k.later, first = nil, append(k.later, first...)
	k.send(first[len(first)-1]) // the pause that the first key began is over
	k.press("y")
	if len(k.sent) != 0 {
		t.Fatal("a key within the pause answered")
	}
	k.wants("a moment")
	k.rest()
	k.press("y")
	if len(k.sent) != 1 {
		t.Error("a key after the pause did not answer")
	}
}

func TestFailedSubmit(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "confirm"), 80, 24, nil)
	k.err = errors.New("the disk is \x1b[2Jfull")
	k.press("enter", "enter")
	k.rest()
	k.press("y")
	k.wants("the disk is", "NEEDS YOU  1") // it can be answered again
	k.err = engine.ErrNoQuestion
	k.press("rest", "enter")
	k.rest()
	k.press("y")
	k.wants("somebody else answered", "NEEDS YOU  nothing")
}

func TestAnsweredElsewhere(t *testing.T) {
	s := askingFor(t, "typed")
	k := newKeyboard(t, s, 80, 24, nil)
	k.press("enter", "enter")
	k.rest()
	n := len(s.entries)
	s.add(incident.TypeAnswered, incident.Answer{Question: "q2", Choice: incident.No, By: "lee"})
	k.send(entriesMsg(s.entries[n:]))
	if k.c.top() != nil {
		t.Error("the overlay of an answered question stays")
	}
	k.wants("was answered by lee")
	k.press("q", "n", "p")
	if k.c.top() != nil || k.c.screen != &k.c.run {
		t.Error("what was typed into the closed overlay pressed keys of the screen")
	}
	k.rest()
	k.press("p")
	if k.c.screen != &k.c.plan {
		t.Error("keys do not count again after a pause")
	}
}

func TestQuestionOfAVersionToCome(t *testing.T) {
	s := begun(t)
	s.add(incident.TypeAsked, incident.Question{ID: "q9", Kind: "quorum", Title: "Two of three?"})
	k := newKeyboard(t, s, 80, 24, nil)
	k.press("enter", "enter", "rest", "y", "n", "enter")
	if len(k.sent) != 0 {
		t.Errorf("it was answered by guessing: %s", commands(k.sent))
	}
}

func TestLeaving(t *testing.T) {
	t.Run("q asks while a response runs", func(t *testing.T) {
		k := newKeyboard(t, underFire(t), 80, 24, nil)
		k.press("enter", "q")
		k.rest()
		k.press("enter")
		if k.quit || k.c.top() != nil {
			t.Fatal("enter left: the default is No")
		}
		k.press("rest", "q")
		k.rest()
		k.press("y")
		if !k.quit || k.asks != 1 {
			t.Errorf("quit %v, asked the response to end %d times", k.quit, k.asks)
		}
	})
	t.Run("q after the end", func(t *testing.T) {
		k := newKeyboard(t, over(t), 80, 24, nil)
		k.press("q")
		if !k.quit || k.asks != 0 {
			t.Errorf("quit %v, asked %d times", k.quit, k.asks)
		}
	})
	t.Run("ctrl+c stops, twice leaves", func(t *testing.T) {
		k := newKeyboard(t, askingFor(t, "typed"), 80, 24, nil)
		k.press("enter", "enter", "ctrl+c") // from within an overlay, before the pause
		if k.quit || k.asks != 1 {
			t.Fatalf("quit %v, asked %d times", k.quit, k.asks)
		}
		k.wants("ctrl+c again leaves")
		k.press("ctrl+c")
		if !k.quit || k.asks != 1 {
			t.Errorf("quit %v, asked %d times", k.quit, k.asks)
		}
	})
	t.Run("esc never leaves", func(t *testing.T) {
		k := newKeyboard(t, underFire(t), 80, 24, nil)
		for range 5 {
			k.press("esc")
		}
		k.press("enter")
		for range 5 {
			k.press("esc")
		}
		if k.quit || k.asks != 0 {
			t.Error("esc left")
		}
	})
	t.Run("a record that breaks", func(t *testing.T) {
		k := newKeyboard(t, underFire(t), 80, 24, nil)
		k.send(endMsg{errors.New("entry 9 does not carry the hash of entry 8")})
		k.wants("! the record cannot be read further", "entry 9")
		k.press("enter", "m", "q")
		if !k.quit || len(k.sent) != 0 {
			t.Errorf("quit %v, sent %s", k.quit, commands(k.sent))
		}
	})
}

func TestCopyLink(t *testing.T) {
	k := newKeyboard(t, underFire(t), 80, 24, nil)
	k.press("enter", "j")
	if got := k.c.screen.next(k.c); got != "o" {
		t.Errorf("next is %q before the link was copied", got)
	}
	k.press("o")
	link := base64.StdEncoding.EncodeToString([]byte("https://dashboard.stripe.com/apikeys"))
	if want := "\x1b]52;c;" + link + "\a"; k.out.String() != want {
		t.Errorf("wrote %q, want %q", k.out.String(), want)
	}
	k.wants("copied: https://dashboard.stripe.com/apikeys")
	if got := k.c.screen.next(k.c); got != "m" {
		t.Errorf("next is %q after the link was copied", got)
	}
}

// Every key of every screen is named, says what it does, and says why when it does nothing.
func TestKeyTable(t *testing.T) {
	for _, sc := range screens {
		t.Run(sc.name, func(t *testing.T) {
			k := newKeyboard(t, sc.story(t), 80, 24, nil)
			writeReport(t, k)
			k.press(sc.keys...)
			var l layer = k.c.screen
			if o := k.c.top(); o != nil {
				l = o
			}
			seen := make(map[string]string)
			all := l.keys(k.c)
			for _, b := range all {
				if len(b.keys) == 0 || b.label == "" || b.text == "" || b.do == nil && b.off == "" {
					t.Errorf("%+v is not whole", b)
				}
				for _, key := range b.keys {
					if seen[key] != "" {
						t.Errorf("%s is both %q and %q", key, seen[key], b.text)
					}
					seen[key] = b.text
				}
			}
			if n := l.next(k.c); n != "" && k.c.input() == nil {
				b, ok := find(append(all, k.c.globalKeys()...), n)
				if !ok || b.off != "" {
					t.Errorf("the next key %q does nothing: %q", n, b.off)
				}
			}
		})
	}
}

func TestHelpNamesEveryKeyAndReason(t *testing.T) {
	k := newKeyboard(t, underFire(t), 120, 50, nil)
	k.press("enter", "?")
	for _, b := range slices.Concat(k.c.run.keys(k.c), k.c.globalKeys()) {
		k.wants(b.label, b.text)
		if b.off != "" {
			k.wants("not now, " + b.off)
		}
	}
	k.press("esc")
	k.press("r") // on a question
	k.wants("r retry: not now, no credential is selected")
}

func TestReport(t *testing.T) {
	open := func(t *testing.T, path string) *keyboard {
		s := underFire(t)
		s.add(incident.TypeReport, incident.Report{Markdown: path})
		k := newKeyboard(t, s, 80, 24, nil)
		writeReport(t, k)
		return k
	}
	t.Run("absolute", func(t *testing.T) {
		k := open(t, "report.md")
		k.c.rec.Report.Markdown = filepath.Join(k.c.o.Dir, "report.md")
		k.press("enter", "v")
		k.wants("# INC-20261122-0317: suspected compromise")
		k.press("G")
		k.wants("�[2J�]52;c;ZXZpbA==� a line that came from a log")
	})
	for name, path := range map[string]string{"outside": "../secret.md", "absolute outside": "/etc/passwd", "a link out": "link.md", "a FIFO": "fifo", "missing": "none.md", "a folder": "."} {
		t.Run(name, func(t *testing.T) {
			k := open(t, path)
			if err := os.WriteFile(filepath.Join(filepath.Dir(k.c.o.Dir), "secret.md"), []byte("root:x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../secret.md", filepath.Join(k.c.o.Dir, "link.md")); err != nil {
				t.Fatal(err)
			}
			mkfifo(t, filepath.Join(k.c.o.Dir, "fifo"))
			k.press("enter", "v")
			k.wants("read the report:")
			if strings.Contains(k.view(), "root:") {
				t.Error("it was read")
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		k := open(t, "report.md")
		if err := os.WriteFile(filepath.Join(k.c.o.Dir, "report.md"), []byte(strings.Repeat("a line of it\n", maxReport/10)), 0o600); err != nil {
			t.Fatal(err)
		}
		k.press("enter", "v", "G")
		k.wants("(The rest is in the file.)")
	})
}

func TestNoColorAndDumb(t *testing.T) {
	for name, tc := range map[string]struct {
		env     map[string]string
		noColor bool
	}{"NO_COLOR": {map[string]string{"NO_COLOR": "1"}, false}, "TERM=dumb": {map[string]string{"TERM": "dumb"}, false}, "TERM=linux": {map[string]string{"TERM": "linux", "NO_COLOR": "1"}, false}, "--no-color": {nil, true}} {
		t.Run(name, func(t *testing.T) {
			s := underFire(t)
			k := newKeyboard(t, s, 80, 24, tc.env)
			o := k.c.o
			o.NoColor = tc.noColor
			c := newConsole(o, k.c.work)
			c.later = k.c.later
			k.c = c
			k.send(tea.WindowSizeMsg{Width: 80, Height: 24})
			k.send(entriesMsg(s.entries))
			k.press("enter")
			v := k.view()
			if strings.Contains(v, "\x1b") {
				t.Errorf("an escape: %q", v)
			}
			if tc.env["TERM"] != "" && !printableASCII(strings.ReplaceAll(v, "\n", "")) {
				t.Errorf("more than ASCII:\n%s", v)
			}
		})
	}
}

// The table in the documentation leaves out no screen and no key.
func TestKeysForTheDocumentation(t *testing.T) {
	titles, said := make(map[string]bool), make(map[string]bool)
	for _, s := range Keys() {
		if titles[s.Title] || len(s.Keys) == 0 {
			t.Errorf("section %q stands twice or has no keys", s.Title)
		}
		titles[s.Title] = true
		for _, k := range s.Keys {
			if k.Key == "" || k.Does == "" {
				t.Errorf("%s: %+v", s.Title, k)
			}
			said[k.Key+" "+k.Does] = true
		}
	}
	k := newKeyboard(t, begun(t), 80, 24, nil)
	of := make(map[string]bool)
	for _, l := range documented(k.c) {
		of[nameOf(l.of)] = true
	}
	for _, p := range pages(homeOfOne()) {
		of[nameOf(p.of)] = true
	}
	for _, name := range append(layerTypes(t, "console"), layerTypes(t, "home")...) {
		if !of[name] {
			t.Errorf("the keys of %s are not documented", name)
		}
	}
	for _, key := range []string{"enter to the response", "o copy its link", "B break glass: go ahead without", "b a page up", "? help", "esc back, it stays open", "/ filter", "n no, go back", "↓ the next", "ctrl+c stop after the steps under way; again: leave at once", "Q stop the response", "its letter begin it"} {
		if !said[key] {
			t.Errorf("%q is not in the table", key)
		}
	}
}
