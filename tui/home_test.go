package tui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// What keys begin. Only what is chosen on purpose begins anything.
func TestHomeKeys(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys []string
		want string // the command line; empty for none
	}{
		{"the likeliest", []string{"enter"}, "attach INC-20261122-0102"},
		{"by its letter", []string{"d"}, "drill"},
		{"by the arrows", []string{"down", "down", "down", "enter"}, "drill"},
		{"arrows end at the ends", []string{"up", "up", "enter"}, "attach INC-20261122-0102"},
		{"leave", []string{"q"}, ""},
		{"esc never leaves", []string{"esc", "esc", "d"}, "drill"},
		{"what goes on by itself is said first", []string{"r"}, ""},
		{"and then begun", []string{"r", "rest", "enter"}, "resume INC-20261121-2240"},
		{"not by what comes with its letter", []string{"r", "enter"}, ""},
		{"and not begun", []string{"r", "rest", "esc", "d"}, "drill"},
		{"readiness begins nothing", []string{"p", "rest", "enter", "esc", "q"}, ""},
		{"help begins nothing", []string{"?", "d", "s", "esc", "q"}, ""},
		{"declare: all as it is marked", []string{"s", "enter", "enter", "enter", "rest", "enter"}, "respond --host root@web-1"},
		{"declare: start counts after a pause", []string{"s", "enter", "enter", "enter", "enter", "enter", "enter"}, ""},
		{"declare: by the arrows", []string{"s", "down", "enter", "down", "enter", "down", "down", "enter", "rest", "enter"}, "kill --severity 2"},
		{"declare: by numbers", []string{"s", "2", "enter", "2", "enter", "3", "enter", "rest", "enter"}, "kill --severity 3"},
		{"declare: a machine that is typed", []string{"s", "3", "q", "w", "e", "b", "-", "9", "tab", "enter", "enter", "rest", "enter"}, "respond --host qweb-9"},
		{"declare: none is typed", []string{"s", "3", "enter", "enter", "enter", "rest", "enter", "enter"}, ""},
		{"declare: what is no machine", []string{"s", "3", "a b", "enter", "enter", "enter", "rest", "enter"}, ""},
		{"declare: what is not begun from here", []string{"s", "enter", "3", "enter", "enter", "rest", "enter"}, ""},
		{"declare: back to the list", []string{"s", "enter", "esc", "esc", "d"}, "drill"},
		{"declare: back, and another", []string{"s", "enter", "enter", "esc", "esc", "2", "enter", "enter", "enter", "rest", "enter"}, "respond"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newAtHome(t, sampleHome(), 80, 24, nil)
			for _, key := range tc.keys {
				if k.quit {
					t.Fatalf("it ended before %q", key)
				}
				k.press(key)
				k.view()
			}
			if got := strings.Join(k.h.chosen, " "); got != tc.want {
				t.Errorf("it begins %q, want %q\n%s", got, tc.want, k.view())
			}
			if left := slices.Contains(tc.keys, "q") && tc.want == ""; k.quit != (left || tc.want != "") {
				t.Errorf("it ended: %v", k.quit)
			}
		})
	}
}

// The marked key, and nothing else, leads from Home to a response.
func TestHomeLeadsOn(t *testing.T) {
	of := sampleHome()
	of.Ways = of.Ways[2:] // nobody responds
	k := newAtHome(t, of, 60, 15, nil)
	for range 10 {
		if k.quit {
			break
		}
		k.press("rest")
		next := k.h.page.next(k.h)
		b, ok := find(k.h.page.keys(k.h), next)
		if !ok || b.off != "" {
			t.Fatalf("%q leads nowhere: %q\n%s", next, b.off, k.view())
		}
		k.wants("▸ " + b.label + " ")
		k.press(next)
	}
	if got := strings.Join(k.h.chosen, " "); got != "respond --host root@web-1" {
		t.Errorf("it begins %q", got)
	}
}

func TestHomePaste(t *testing.T) {
	for _, text := range []string{"d", "s\r\r\r\r\r", "q", "\r"} {
		k := newAtHome(t, sampleHome(), 80, 24, nil)
		k.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true})
		k.wants("a paste presses no keys")
		if k.h.page != &k.h.menu || k.quit {
			t.Errorf("a paste of %q chose something", text)
		}
	}
	k := newAtHome(t, sampleHome(), 80, 24, nil)
	k.press("dd") // a terminal that marks no paste
	k.wants("as a paste does")
	k.press("s", "3")
	k.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("root@web-9\x1b[2J"), Paste: true})
	k.wants("--host 'root@web-9�[2J'")
	if k.quit || k.h.chosen != nil {
		t.Error("it began something")
	}
}

// A machine is looked at once it is chosen, once, and what was found stands beside it.
func TestHomeLooks(t *testing.T) {
	k := newAtHome(t, sampleHome(), 80, 24, nil)
	k.press("down", "p", "esc")
	if len(k.looks) != 0 {
		t.Fatalf("looked at %q before anything was chosen", k.looks)
	}
	k.press("s")
	k.wants("as root@web-1 shows", "$ clawback respond --host root@web-1")
	k.press("down", "up", "down", "down", "up")
	k.wants("as this machine shows")
	if !slices.Equal(k.looks, []string{"root@web-1", "this machine"}) {
		t.Errorf("looked at %q", k.looks)
	}
	of := sampleHome()
	of.Look = func(context.Context, string) string { panic("the value quotes") }
	k = newAtHome(t, of, 80, 24, nil)
	_, cmd := k.h.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("s")})
	_, _ = k.h.Update(cmd())
	if k.h.failed == nil || strings.Contains(k.h.failed.Error(), "quotes") {
		t.Errorf("a fault of the look became %v", k.h.failed)
	}
}

func TestHomeSuspends(t *testing.T) {
	k := newAtHome(t, sampleHome(), 80, 24, nil)
	_, cmd := k.h.Update(tea.KeyMsg{Type: tea.KeyCtrlZ})
	if cmd == nil {
		t.Fatal("ctrl+z does nothing")
	}
	k.h.o.Suspend = nil
	k.send(tea.KeyMsg{Type: tea.KeyCtrlZ})
	k.wants("no shell to come back to")
	k.send(awakeMsg{errors.New("no \x1b[2Jjob control")})
	k.wants("no �[2Jjob control")
}

// homeScreens are the settled screens of Home that the golden files hold.
var homeScreens = []struct {
	name string
	keys []string
}{
	{"home", nil},
	{"home-drill", []string{"j", "j", "j"}},
	{"resume", []string{"r", "rest"}},
	{"readiness", []string{"p"}},
	{"declare", []string{"s", "rest"}},
	{"declare-typed", []string{"s", "3", "root@web-9", "rest"}},
	{"declare-playbook", []string{"s", "enter", "3", "rest"}},
	{"declare-severity", []string{"s", "enter", "enter", "1", "rest"}},
	{"declare-start", []string{"s", "enter", "enter", "2", "enter", "rest"}},
	{"declare-start-early", []string{"s", "enter", "enter", "2", "enter"}},
	{"keys", []string{"s", "?"}},
}

func TestGoldenHome(t *testing.T) {
	type size struct{ w, h int }
	for _, sc := range homeScreens {
		for suffix, mode := range map[string]struct {
			sizes []size
			env   map[string]string
		}{
			"":       {[]size{{60, 15}, {80, 24}, {120, 40}}, map[string]string{"NO_COLOR": "1"}},
			".color": {[]size{{60, 15}, {80, 24}}, nil},
			".dark":  {[]size{{80, 24}}, map[string]string{"COLORFGBG": "15;0"}},
			".light": {[]size{{80, 24}}, map[string]string{"COLORFGBG": "0;15"}},
			".linux": {[]size{{80, 24}}, map[string]string{"TERM": "linux", "NO_COLOR": "1"}},
		} {
			name, env := sc.name+suffix+".golden", map[string]string{"TERM": "xterm-256color"}
			maps.Copy(env, mode.env)
			t.Run(name, func(t *testing.T) {
				var got strings.Builder
				for _, size := range mode.sizes {
					k := newAtHome(t, sampleHome(), size.w, size.h, env)
					k.press(sc.keys...)
					fmt.Fprintf(&got, "== %dx%d\n%s\n", size.w, size.h, strings.ReplaceAll(k.view(), "\x1b", "␛"))
				}
				if env["NO_COLOR"] != "" && strings.Contains(got.String(), "␛") {
					t.Error("an escape with NO_COLOR")
				}
				if suffix == ".linux" && !printableASCII(strings.ReplaceAll(got.String(), "\n", "")) {
					t.Error("more than ASCII")
				}
				golden(t, filepath.Join("testdata", "home", name), got.String())
			})
		}
	}
}

// hostileHome is a desk on which all that comes from elsewhere is meant to harm the screen.
func hostileHome() Home {
	of := sampleHome()
	for i := range hostileTexts {
		evil := hostileTexts[i] + hostileTexts[(i*7)%len(hostileTexts)]
		of.Ways[i%2].Text, of.Ways[i%2].About, of.Ways[1].Asks = evil+of.Ways[i%2].Text, evil+of.Ways[i%2].About, evil
		of.Missing = append(of.Missing, Missing{evil, evil})
		of.Machines = append(of.Machines, Machine{evil, evil})
		of.Books = append(of.Books, Book{Name: evil, Title: evil, About: evil, Then: evil})
		of.Desk, of.By, of.Known = evil+of.Desk, of.By+evil, evil
	}
	line := of.Line
	of.Line = func(d Declaration) ([]string, error) {
		if len(d.Book)%2 == 0 {
			return nil, errors.New(d.Book + d.Machine)
		}
		args, err := line(d)
		return append(args, d.Book), err
	}
	of.Look = func(_ context.Context, machine string) string { return machine + strings.Join(hostileTexts, " ") }
	return of
}

func TestHomeResizes(t *testing.T) {
	for _, of := range []Home{sampleHome(), hostileHome()} {
		for _, sc := range homeScreens {
			k := newAtHome(t, of, 80, 24, nil)
			k.press(sc.keys...)
			for w := 20; w <= 300; w += 40 {
				for h := 5; h <= 80; h += 25 {
					k.send(tea.WindowSizeMsg{Width: w, Height: h})
					v := k.view()
					if w >= minWidth && h >= minHeight && strings.Count(v, "\n") != h-1 {
						t.Fatalf("%s: %d rows at %dx%d", sc.name, strings.Count(v, "\n")+1, w, h)
					}
					if strings.ContainsAny(ansi.Strip(v), "\x1b\x07\u202e") {
						t.Fatalf("%s: %q", sc.name, v)
					}
				}
			}
		}
	}
}

func TestHomeTooSmall(t *testing.T) {
	k := newAtHome(t, sampleHome(), 50, 14, nil)
	k.wants("needs 60x15", "50x14", "clawback --help", "ACCESSIBLE=1")
	k.press("enter", "d", "s")
	if k.quit || k.h.page != &k.h.menu {
		t.Error("a key did what could not be seen")
	}
	k.press("ctrl+c")
	if !k.quit || k.h.chosen != nil {
		t.Error("ctrl+c does not leave")
	}
	for _, of := range []Home{{Ways: sampleHome().Ways, Line: sampleHome().Line}, {Ways: sampleHome().Ways, Line: sampleHome().Line, Types: true}} { // nothing is known
		k := newAtHome(t, of, 80, 24, nil)
		k.press("s", "rest", "enter", "enter", "enter", "rest", "enter")
		k.view()
		if k.quit {
			t.Error("it began something on no machine")
		}
	}
}

// Whatever is pressed, nothing begins but what was put together on the screen before, and resuming
// asks first.
func TestHomeRandomKeys(t *testing.T) {
	runs := randomRuns() / 20
	begun := make(map[string]bool)
	for seed := range runs {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		of := sampleHome()
		if seed%50 == 0 {
			of = hostileHome()
		}
		k := newAtHome(t, of, 20+r.IntN(100), 5+r.IntN(40), nil)
		k.press([]string{"s", "r", "j", "?"}[seed%4])
		for range 40 {
			before := ""
			if !k.h.small() {
				before = k.view()
			}
			switch key := allKeys[r.IntN(len(allKeys))]; r.IntN(10) {
			case 0:
				k.press("rest")
			case 1:
				k.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key), Paste: true})
			case 2, 3:
				k.press("enter")
			case 4:
				k.send(tea.WindowSizeMsg{Width: 20 + r.IntN(100), Height: 5 + r.IntN(40)})
			default:
				k.press(key)
			}
			k.view()
			if !k.quit {
				continue
			}
			if args := k.h.chosen; args != nil {
				begun[args[0]] = true
				if args[0] != "attach" && args[0] != "drill" && !strings.Contains(ansi.Strip(before), "▸ enter ") {
					t.Fatalf("seed %d: %q began from\n%s", seed, args, before)
				}
			}
			break
		}
	}
	for _, want := range []string{"attach", "drill", "respond", "resume"} {
		if !begun[want] && runs >= 500 {
			t.Errorf("%s never began: the keys did not go far", want)
		}
	}
}

// Whatever ends Home, the screen is given back, and what was chosen comes out.
func TestRunHome(t *testing.T) {
	for name, tc := range map[string]struct {
		keys string
		stop error
		gone bool
		want string // the command line
		err  string
	}{
		"something is chosen":  {keys: "d", want: "drill"},
		"they leave":           {keys: "q"},
		"ctrl+c":               {keys: "\x03"},
		"told to end":          {stop: errors.New("terminated"), err: "terminated"},
		"its terminal is gone": {gone: true, err: ErrTerminal.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			terminal, out := newTerminal(t)
			input, end := terminal, func() error { return nil }
			if tc.gone {
				in, keys, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = in.Close() }()
				input, end = in, keys.Close
			}
			type ended struct {
				args []string
				err  error
			}
			ran := make(chan ended, 1)
			go func() {
				args, err := RunHome(ctx, Options{Input: input, Output: terminal, Getenv: func(string) string { return "" }}, sampleHome())
				ran <- ended{args, err}
			}()
			out.waitFor(t, "Something is wrong")
			out.press(t, tc.keys)
			_ = end()
			if tc.stop != nil {
				cancel(tc.stop)
			}
			got := <-ran
			if strings.Join(got.args, " ") != tc.want || (tc.err == "") != (got.err == nil) || tc.err != "" && !strings.Contains(got.err.Error(), tc.err) {
				t.Errorf("it returned %q, %v", got.args, got.err)
			}
			out.waitFor(t, "\x1b[?1049l")
		})
	}
}

// The key table of each page is whole: no key stands twice, and each says what it does.
func TestHomeKeyTable(t *testing.T) {
	for _, sc := range homeScreens {
		k := newAtHome(t, sampleHome(), 80, 24, nil)
		k.press(sc.keys...)
		seen := make(map[string]string)
		for _, b := range append(k.h.page.keys(k.h), k.h.globalKeys()...) {
			if len(b.keys) == 0 || b.label == "" || b.text == "" || b.do == nil && b.off == "" {
				t.Errorf("%s: %+v is not whole", sc.name, b)
			}
			for _, key := range b.keys {
				if seen[key] != "" && key != "?" && key != "enter" {
					t.Errorf("%s: %s is both %q and %q", sc.name, key, seen[key], b.text)
				}
				seen[key] = b.text
			}
		}
	}
}
