package tui

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"clawback/forensics/incident"
	"clawback/revoke/credential"
)

var hostileTexts = []string{
	"\x1b[2J\x1b[H", "\x1b]52;c;ZXZpbA==\a", "\x1b]0;title\x1b\\", "\x9b31m", "\u202egnp.exe", "a\u2066b\u2069", "line\nline\r\nline", "\x00\x07\x08\x7f",
	"wide 漢字かな交じり文", "e\u0301\u0301\u0301\u0301\u0301\u0301zalgo", "\u0301first", "👨‍👩‍👧‍👦🏽🇩🇪", "\ufe0f☁\ufe0f", "zero\u200bwidth\ufeff\u2060", "\xff\xfe broken \xc3", "tab\ttab",
	"\u2028\u2029\u0085", strings.Repeat("long ", 400), strings.Repeat("漢", 300), "\U000e0041tag", "한글 \u1100\u1161\u11a8", "ﷺ", "%s%d%!", "",
}

func FuzzClean(f *testing.F) {
	for _, s := range hostileTexts {
		f.Add(s, 20)
	}
	th := testTheme("")
	dumb := testTheme("dumb")
	f.Fuzz(func(t *testing.T, s string, w int) {
		w = max(0, min(w, 300))
		got := clean(s)
		if !utf8.ValidString(got) {
			t.Fatalf("clean(%q) = %q is no UTF-8", s, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("clean(%q) = %q keeps %U", s, got, r)
			}
		}
		if clean(got) != got {
			t.Fatalf("clean(clean(%q)) = %q, not %q", s, clean(got), got)
		}
		// A neighbour on either side, that what is shown could join with.
		for _, l := range []line{row(span{plain, s}), row(span{dim, "a"}, span{danger, s}, span{good, s}, span{plain, "z"})} {
			for name, d := range map[string]theme{"unicode": th, "ascii": dumb} {
				if cells := ansi.StringWidth(d.draw(l, w)); cells != w {
					t.Fatalf("%s: %q takes %d cells, not %d", name, s, cells, w)
				}
			}
		}
		for _, l := range wrap(s, max(w, 1)) {
			if cells := ansi.StringWidth(l); cells > max(w, 2) {
				t.Fatalf("wrap(%q, %d) has a line of %d cells", s, w, cells)
			}
		}
		for _, short := range []string{shorten(s, w), column(s, w)} {
			if cells := ansi.StringWidth(short); cells > w {
				t.Fatalf("%q cut to %d takes %d cells: %q", s, w, cells, short)
			}
		}
	})
}

func FuzzMarkdown(f *testing.F) {
	f.Add(sampleReport, 60)
	f.Add("|||||||\n|--|\n|a|"+strings.Repeat("b|", 40), 3)
	f.Fuzz(func(t *testing.T, s string, w int) {
		w = max(1, min(w, 200))
		th := testTheme("")
		for _, l := range markdown(s, w) {
			if cells := ansi.StringWidth(th.draw(l, w)); cells != w {
				t.Fatalf("a line of %d cells at %d", cells, w)
			}
		}
	})
}

// hostile is an incident in which everything that comes from outside is meant to harm the screen.
func hostile(t testing.TB) *story {
	s := newStory(t)
	n := 0
	evil := func() string { n++; return hostileTexts[n%len(hostileTexts)] + hostileTexts[(n*7)%len(hostileTexts)] }
	s.add(incident.TypeDeclared, incident.Declared{Incident: evil(), Mode: incident.Real, Playbook: evil(), Target: evil(), Responder: evil()})
	plan := incident.Plan{Title: evil()}
	for _, id := range []string{"a", "b", "c"} {
		plan.Phases = append(plan.Phases, incident.PlanPhase{ID: id, Title: evil(), Steps: []incident.PlanStep{
			{ID: id, Title: evil(), Uses: evil(), Why: evil(), Needs: []string{evil()}, Irreversible: evil(), Gate: evil()},
		}})
	}
	s.add(incident.TypePlan, plan)
	s.begin("a")
	s.add(incident.TypeStepOutcome, incident.StepOutcome{Step: "a", Status: incident.Failed, Error: evil(), Hint: evil()})
	s.begin("b")
	for i := range 14 {
		f := s.found(evil(), evil(), evil()+string(rune('a'+i)), func(f *incident.Found) {
			f.Manual, f.Steps, f.Link, f.Effect = i%3 == 0, []string{evil(), evil()}, "https://"+evil(), evil()
			f.Owner, f.Unresolved, f.Endpoint = evil(), evil(), evil()
			f.Sources = []credential.Source{{Path: evil(), Locator: evil(), Note: evil()}}
			f.Ref = map[string]string{evil(): evil()}
			f.Fingerprint = print(string(rune('a' + i)))
		})
		s.add(incident.TypeBaseline, incident.Probe{Fingerprint: f, Outcome: evil(), Answer: evil(), Reach: []string{evil()}, Account: evil()})
		s.add(incident.TypeReceipt, incident.Receipt{Fingerprint: f, Answer: evil(), Did: []string{evil()}, Left: []string{evil()}})
		s.add(incident.TypeProbe, incident.Probe{Fingerprint: f, Outcome: evil(), Answer: evil(), From: evil(), Row: -5, SpanMS: -1, BudgetMS: int64(i - 3)})
		s.life(f, credential.Life([]string{"manual", "dead", "alive", evil()}[i%4]), func(l *incident.Life) { l.Error, l.Hint, l.Evidence, l.Reason = evil(), evil(), evil(), evil() })
	}
	for i, kind := range []string{incident.Confirm, incident.Typed, incident.Choice, incident.Guide, incident.Written, evil()} {
		q := incident.Question{ID: string(rune('1' + i)), Step: "b", Kind: kind, Title: evil(), Text: []string{evil(), evil()}, Type: "really\x1b[2J"}
		if i < 4 {
			for range 30 {
				q.Options = append(q.Options, incident.Option{ID: evil(), Title: evil(), Text: evil()})
			}
		}
		s.add(incident.TypeAsked, q)
	}
	s.add(incident.TypeWarning, incident.Warning{Text: evil()})
	s.add("journal.trouble", map[string]string{"error": evil()})
	s.add("a type of tomorrow", map[string]any{"x": evil()})
	s.add(incident.TypeFound, []int{1})
	s.add(incident.TypeReport, incident.Report{Markdown: evil()})
	return s
}

func TestResize(t *testing.T) {
	stepW, stepH := 40, 15
	if raceEnabled {
		stepW, stepH = 140, 25
	}
	for _, sc := range screens {
		for _, world := range []func(testing.TB) *story{sc.story, hostile} {
			k := newKeyboard(t, world(t), 80, 24, nil)
			writeReport(t, k)
			k.press(sc.keys...)
			for w := 20; w <= 300; w += stepW {
				for h := 5; h <= 80; h += stepH {
					k.send(tea.WindowSizeMsg{Width: w, Height: h})
					if v := k.view(); w >= minWidth && h >= minHeight && strings.Count(v, "\n") != h-1 {
						t.Fatalf("%s: %d rows at %dx%d", sc.name, strings.Count(v, "\n")+1, w, h)
					}
				}
			}
		}
	}
}

func TestTooSmall(t *testing.T) {
	k := newKeyboard(t, askingFor(t, "confirm"), 50, 14, nil)
	k.wants("needs 60x15", "50x14", "clawback attach INC-20261122-0317", "REAL", "claw-prod-1")
	k.press("enter", "enter")
	k.rest()
	k.press("y", "q")
	if len(k.sent) != 0 || k.quit {
		t.Error("a key did what could not be seen")
	}
}

// What is measured fast is what is measured whole.
func FuzzCells(f *testing.F) {
	th := testTheme("xterm-256color")
	for _, s := range append(hostileTexts, "│ ▸ … ✓ ╿", "\x1b[1;38;5;80mon\x1b[0m", "\x1b[12", "\x1b[2J", "─\u0301", "a\u0301", "\xe2\x94", "✓\ufe0f", "●\u200d●") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{s, clean(s), th.draw(row(span{accent, s}, span{plain, "│"}, span{danger, s}), 80)} {
			if got, want := cells(text), ansi.StringWidth(text); got != want {
				t.Fatalf("%q takes %d cells, not %d", text, got, want)
			}
		}
	})
}
