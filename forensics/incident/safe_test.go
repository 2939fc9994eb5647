package incident_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"clawback/forensics/incident"
)

func TestSafe(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "GET /v1 200 OK", "GET /v1 200 OK"},
		{"empty", "", ""},
		{"letters of the world", "Zoë 東京 שלום Ω", "Zoë 東京 שלום Ω"},
		{"line ends", "a\nb\r\nc\td", "a b  c d"},
		{"Unicode line ends", "a\u2028b\u0085c", "a b c"},
		{"colour", "\x1b[31mred", "\ufffd[31mred"},
		{"title of the terminal", "\x1b]0;x\a", "\ufffd]0;x\ufffd"},
		{"C1 introducer", "\u009b31m", "\ufffd31m"},
		{"delete and null", "a\x7fb\x00", "a\ufffdb\ufffd"},
		{"right to left override", "a\u202egpj.exe", "a\ufffdgpj.exe"},
		{"isolates", "\u2066x\u2069", "\ufffdx\ufffd"},
		{"zero width", "a\u200bb\u200dc\ufeff", "a\ufffdb\ufffdc\ufffd"},
		{"tag characters", "a\U000e0041", "a\ufffd"},
		{"invisible letters", "a\u3164\u115f\u2800", "a\ufffd\ufffd\ufffd"},
		{"variation selector", "a\ufe0f", "a\ufffd"},
		{"private use", "\ue000", "\ufffd"},
		{"not UTF-8", "a\xff\xfeb", "a\ufffd\ufffdb"},
		{"half an escape in UTF-8", "\xc2", "\ufffd"},
		{"stacked marks", "a\u0301\u0302\u0303\u0304b", "a\u0301\u0302\ufffd\ufffdb"},
		{"a mark at the start", "\u0301a", "\ufffda"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := incident.Safe(tt.in); got != tt.want {
				t.Errorf("Safe(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"", "a\x1b[2Jb", "\u202e\u2066", "a\u0301\u0301\u0301", "\xff\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := incident.Safe(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Safe(%q) is not UTF-8", s)
		}
		if again := incident.Safe(got); again != got {
			t.Fatalf("Safe(%q) = %q, and again %q", s, got, again)
		}
		if utf8.RuneCountInString(got) != utf8.RuneCountInString(s) {
			t.Fatalf("Safe(%q) = %q: a character vanished or came", s, got)
		}
		for _, r := range got {
			if r != ' ' && !unicode.IsPrint(r) {
				t.Fatalf("Safe(%q) leaves %U", s, r)
			}
		}
	})
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"exact", 5, "exact"},
		{"too long", 7, "too …"},
		{"öööö", 6, "ö…"}, // never in the middle of a character
		{strings.Repeat("x", 9), 3, "…"},
	} {
		if got := incident.Cut(tt.in, tt.n); got != tt.want || len(got) > tt.n {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}
