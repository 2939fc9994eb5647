package tui

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
)

// rehearsed is a story as a drill: the same in all but its mode and its number.
func rehearsed(of func(testing.TB) *story) func(testing.TB) *story {
	return func(t testing.TB) *story {
		s := of(t)
		var d incident.Declared
		if err := s.entries[0].Decode(&d); err != nil {
			t.Fatal(err)
		}
		d.Mode, d.Incident = incident.Drill, strings.Replace(d.Incident, "INC-", "DRILL-", 1)
		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		s.entries[0].Data = raw
		return s
	}
}

// layerTypes are the names of all screens and dialogs that the package has for a console, or pages of Home.
func layerTypes(t *testing.T, of string) (names []string) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "keys" {
				continue
			}
			recv, ok := f.Recv.List[0].Type.(*ast.StarExpr)
			whose, pointer := f.Type.Params.List[0].Type.(*ast.StarExpr)
			if ok && pointer && whose.X.(*ast.Ident).Name == of {
				names = append(names, recv.X.(*ast.Ident).Name)
			}
		}
	}
	if len(names) < 5 {
		t.Fatalf("only %v are screens or dialogs of a %s", names, of)
	}
	return names
}

func nameOf(l any) string { return reflect.TypeOf(l).Elem().Name() }

// sight is a way to a screen or a dialog.
type sight struct {
	name  string
	story func(testing.TB) *story
	as    func(*Options)
	keys  []string
}

// sights are all that a golden file holds.
func sights() (all []sight) {
	for _, sc := range screens {
		all = append(all, sight{sc.name, sc.story, nil, sc.keys})
	}
	for _, sc := range teamScreens {
		all = append(all, sight(sc))
	}
	return all
}

// at goes to a place.
func (p sight) at(t testing.TB, of func(testing.TB) *story, w, h int, env map[string]string) *keyboard {
	k := newKeyboard(t, of(t), w, h, env)
	if p.as != nil {
		k.as(p.as)
	}
	writeReport(t, k)
	k.press(p.keys...)
	return k
}

// A drill and a response to the real thing can be told apart on every screen and in every dialog, at every
// size: by a word, and with colours by these as well.
func TestRealAndDrillDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range sights() {
		for _, size := range [][2]int{{40, 10}, {60, 15}, {80, 24}, {200, 60}} {
			var first [2]string
			for i, tc := range []struct {
				story   func(testing.TB) *story
				is, not string
			}{{p.story, "REAL", "DRILL"}, {rehearsed(p.story), "DRILL", "REAL"}} {
				k := p.at(t, tc.story, size[0], size[1], map[string]string{"NO_COLOR": "1", "TERM": "xterm-256color"})
				rows := strings.Split(k.view(), "\n")
				where := fmt.Sprintf("%s at %v", p.name, size)
				if !strings.HasPrefix(rows[0], "┃ "+tc.is+" ") {
					t.Errorf("%s: the first row of %s is %q", where, tc.is, rows[0])
				}
				if o := k.c.top(); o != nil && !k.c.small() {
					if last := rows[len(rows)-1]; !strings.HasPrefix(last, " "+tc.is+" on ") {
						t.Errorf("%s: the last row of %s, below a dialog, is %q", where, tc.is, last)
					}
					seen[nameOf(o)] = true
				}
				seen[nameOf(k.c.screen)] = true
				for _, row := range rows {
					if strings.Contains(strings.ReplaceAll(row, "DRILL-", ""), tc.not) {
						t.Errorf("%s: %s says %q", where, tc.is, row)
					}
				}
				k = p.at(t, tc.story, size[0], size[1], map[string]string{"TERM": "xterm-256color"})
				coloured, _, _ := strings.Cut(k.view(), tc.is)
				first[i] = coloured
			}
			if first[0] == first[1] || !strings.Contains(first[0], "\x1b[") {
				t.Errorf("%s: the colours of both are %q", p.name, first[0])
			}
		}
	}
	for _, name := range layerTypes(t, "console") {
		if !seen[name] {
			t.Errorf("%s was not looked at: it needs a golden file", name)
		}
	}
}

// drillScreens are those that a person who practises sees first, and those that weigh most.
var drillScreens = []string{"plan", "run", "confirm", "typed", "choice", "guide", "brief", "leave", "by-hand", "skip", "help", "add-sure", "take-back", "break-glass-typed", "run-over", "watch"}

func TestGoldenDrill(t *testing.T) {
	all := sights()
	for _, name := range drillScreens {
		i := slices.IndexFunc(all, func(p sight) bool { return p.name == name })
		if i < 0 {
			t.Fatalf("there is no %q", name)
		}
		for suffix, env := range map[string]map[string]string{
			"":       {"NO_COLOR": "1", "TERM": "xterm-256color"},
			".color": {"TERM": "xterm-256color"},
			".dark":  {"TERM": "xterm-256color", "COLORFGBG": "15;0"},
			".light": {"TERM": "xterm-256color", "COLORFGBG": "0;15"},
		} {
			t.Run(name+suffix, func(t *testing.T) {
				k := all[i].at(t, rehearsed(all[i].story), 80, 24, env)
				got := strings.ReplaceAll(k.view(), "\x1b", "␛") + "\n"
				if suffix == "" && strings.Contains(got, "␛") {
					t.Error("an escape without colours")
				}
				if _, row, _ := strings.Cut(ansi.Strip(k.view()), "DRILL"); row == "" {
					t.Error("it says nowhere that this is a drill")
				}
				golden(t, filepath.Join("testdata", "drill", name+suffix+".golden"), got)
			})
		}
	}
}
