package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// edited is an editor of w cells after some keys; what has no name is typed.
func edited(w int, keys ...string) *field {
	f := newEditor()
	f.wide = w
	for _, key := range keys {
		msg, ok := named[key]
		if !ok {
			msg = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
		}
		f.edit(msg)
	}
	return &f
}

// shown is its text with the cursor.
func shown(f *field) string { return string(f.text[:f.at]) + "|" + string(f.text[f.at:]) }

func TestEditor(t *testing.T) {
	for name, tc := range map[string]struct {
		keys []string
		want string
	}{
		"lines":                      {[]string{"one", "enter", "two"}, "one\ntwo|"},
		"a line in between":          {[]string{"one", "enter", "two", "up", "end", "enter", "and"}, "one\nand|\ntwo"},
		"lines joined":               {[]string{"one", "enter", "two", "home", "backspace"}, "one|two"},
		"the end of a line deleted":  {[]string{"one", "enter", "two", "up", "end", "delete"}, "one|two"},
		"up and down keep a column":  {[]string{"abcdef", "enter", "ab", "enter", "abcdef", "left", "left", "up", "up"}, "ab|cdef\nab\nabcdef"},
		"up at the top":              {[]string{"abc", "up"}, "|abc"},
		"down at the end":            {[]string{"abc", "home", "down"}, "abc|"},
		"rows of one line":           {[]string{"one two three", "up"}, "one|two three"},
		"the beginning of its line":  {[]string{"one", "enter", "two three", "home", "x"}, "one\nx|two three"},
		"a line emptied":             {[]string{"one", "enter", "two three", "ctrl+u"}, "one\n|"},
		"wide characters":            {[]string{"漢字", "enter", "abcd", "left", "up"}, "漢|字\nabcd"},
		"a mark stays on its letter": {[]string{"ae\u0301b", "left", "left", "x"}, "ax|e\u0301b"},
		"a mark typed by itself":     {[]string{"e", "\u0301", "b"}, "e\u0301b|"},
		"a letter with its mark":     {[]string{"ae\u0301b", "home", "right", "delete"}, "a|b"},
		"the ends of Windows":        {[]string{"a\r\nb\rc\td"}, "a\nb\nc  d|"},
		"what steers a terminal":     {[]string{"a\x1b[2J\x07\u202eb"}, "a\ufffd[2J\ufffd\ufffdb|"},
	} {
		t.Run(name, func(t *testing.T) {
			want := tc.want
			if name == "rows of one line" {
				want = "one t|wo three" // the row below begins behind the blank
			}
			if got := shown(edited(9, tc.keys...)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// An editor takes what the record takes in one go, cut at a character, and says how much that is.
func TestEditorIsBounded(t *testing.T) {
	for _, piece := range []string{"x", "é", "漢", "e\u0301", "a\n"} {
		f := edited(40, strings.Repeat(piece, incident.MaxAnswer), "home", piece, "enter")
		if n := len(string(f.text)); n > incident.MaxAnswer || n < incident.MaxAnswer-4 || !utf8.ValidString(string(f.text)) {
			t.Errorf("%q: %d bytes", piece, n)
		}
		if want := "of 8192 bytes"; !strings.Contains(f.extent(40), want) {
			t.Errorf("it says %q", f.extent(40))
		}
	}
}

// Whatever stands in an editor, its rows hold all of it, in order, and fit; and so does what is drawn,
// with the cursor in sight.
func FuzzEditor(f *testing.F) {
	for _, s := range append(hostileTexts, "one two  three", "漢字漢字漢字", "e\u0301\u0301\u0301\u0301", "\n\n a\n", strings.Repeat("word ", 50)) {
		f.Add(s, 9, 3)
	}
	f.Fuzz(func(t *testing.T, text string, w, at int) {
		w = 2 + abs(w)%200
		e := newEditor()
		e.insert([]rune(text))
		e.at = 0
		for range abs(at) % 50 {
			e.edit(named["right"])
		}
		next := 0
		for _, p := range e.places(w) {
			if p.from < next || strings.Trim(string(e.text[next:p.from]), "\n") != "" || p.to < p.from {
				t.Fatalf("a row from %d to %d after %d of %q", p.from, p.to, next, string(e.text))
			}
			if row := strings.TrimRight(string(e.text[p.from:p.to]), " "); ansi.StringWidth(row) > w {
				t.Fatalf("%q has more than %d cells", row, w)
			}
			next = p.to
		}
		if next != len(e.text) {
			t.Fatalf("the rows end at %d of %d", next, len(e.text))
		}
		for _, key := range []string{"up", "down", "up", "end", "backspace", "home", "delete"} {
			e.edit(named[key])
			if e.at < 0 || e.at > len(e.text) {
				t.Fatalf("after %s the cursor stands at %d of %d", key, e.at, len(e.text))
			}
		}
		cursors := 0
		for _, l := range e.rows(w+3, 4) {
			for _, s := range l {
				if s.look == accent && s.text == "▏" {
					cursors++
				}
			}
		}
		if cursors != 1 {
			t.Fatalf("%d cursors", cursors)
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// What is written is sent with ctrl+s and nothing else, and is kept until the record holds it.
func TestWriting(t *testing.T) {
	for name, tc := range map[string]struct {
		keys  []string
		sends string
		draft string // that is kept
	}{
		"lines":             {[]string{"one", "enter", "two", "rest", "ctrl+s"}, "q6 yes one\ntwo", "one\ntwo"},
		"too fast":          {[]string{"one", "ctrl+s"}, "", ""},
		"enter sends not":   {[]string{"one", "rest", "enter", "rest", "enter"}, "", ""},
		"blank":             {[]string{" ", "enter", "rest", "ctrl+s"}, "", ""},
		"blank, twice":      {[]string{"ctrl+s", "rest", "ctrl+s"}, "q6 later ", ""},
		"left open":         {[]string{"one", "rest", "ctrl+l"}, "q6 later one", "one"},
		"back":              {[]string{"one", "enter", "esc"}, "", "one\n"},
		"back and on":       {[]string{"one", "enter", "esc", "rest", "enter", "rest", "two", "rest", "ctrl+s"}, "q6 yes one\ntwo", "one\ntwo"},
		"pasted":            {[]string{"paste:one\ntwo", "rest", "ctrl+s"}, "q6 yes one\ntwo", "one\ntwo"},
		"a small terminal":  {[]string{"one", "size:20x5", "x", "size:80x24", "two", "rest", "ctrl+s"}, "q6 yes onetwo", "onetwo"},
		"another size":      {[]string{"one", "size:60x15", "two", "rest", "ctrl+s"}, "q6 yes onetwo", "onetwo"},
		"letters are text":  {[]string{"n q ? j G 5", "rest", "ctrl+s"}, "q6 yes n q ? j G 5", "n q ? j G 5"},
		"too soon to write": {[]string{"early:one"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyboard(t, askingFor(t, "written"), 80, 24, nil)
			k.press("enter", "enter")
			if !strings.HasPrefix(tc.keys[0], "early:") {
				k.rest()
			}
			for _, key := range tc.keys {
				what, rest, _ := strings.Cut(key, ":")
				switch what {
				case "paste":
					k.paste(rest)
				case "early":
					k.press(rest)
				case "size":
					var w, h int
					if _, err := fmt.Sscanf(rest, "%dx%d", &w, &h); err != nil {
						t.Fatal(err)
					}
					k.send(tea.WindowSizeMsg{Width: w, Height: h})
					k.view()
				default:
					k.press(key)
				}
				k.view()
			}
			got := ""
			for _, c := range k.sent {
				got += c.Answer.Question + " " + c.Answer.Choice + " " + c.Answer.Text
			}
			if d := k.c.drafts["q6"]; got != tc.sends || d.String() != tc.draft {
				t.Errorf("it sent %q, want %q, and keeps %q, want %q", got, tc.sends, d.String(), tc.draft)
			}
		})
	}
}

// An answer that could not be handed in is not lost, and one that is on record is kept no longer.
func TestWhatIsWrittenIsNotLost(t *testing.T) {
	s := askingFor(t, "written")
	k := newKeyboard(t, s, 80, 24, nil)
	k.err = errors.New("the inbox is full")
	k.press("enter", "enter", "rest", "one", "rest", "ctrl+s", "rest", "enter", "rest")
	k.wants("one▏")
	k.err = nil
	n := len(s.entries)
	s.add(incident.TypeAnswered, incident.Answer{Question: "q6", Choice: incident.Yes, Text: "one", By: "dana"})
	k.send(entriesMsg(s.entries[n:]))
	if len(k.c.drafts) > 0 {
		t.Errorf("kept: %v", k.c.drafts)
	}
}
