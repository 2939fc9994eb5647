package report

import (
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain", "`plain`"},
		{"", "(blank)"},
		{" \n", "(blank)"},
		{"](http://evil)", "`](http://evil)`"},
		{"<script>", "`<script>`"},
		{"a`b", "``a`b``"},
		{"`a", "`` `a ``"},
		{"a``", "``` a`` ```"},
		{" a ", "`  a  `"},
		{"a\nb", "`a b`"},
		{"\x1b[31m", "`\ufffd[31m`"},
		{"a\u202eb", "`a\ufffdb`"},
	} {
		if got := quote(tt.in); got != tt.want {
			t.Errorf("quote(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// FuzzQuote reads the result as CommonMark does: one code span from end to end.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"a", "`", "``a`", " ` ", "\x1b[2J", "<b>", "](x)", strings.Repeat("`x", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := quote(s)
		if got == "(blank)" {
			return
		}
		n := len(got) - len(strings.TrimLeft(got, "`"))
		ticks := strings.Repeat("`", n)
		inside, ok := strings.CutSuffix(got[n:], ticks)
		if n == 0 || !ok || inside == "" || longestRun(inside) >= n || strings.HasPrefix(inside, "`") || strings.HasSuffix(inside, "`") {
			t.Fatalf("quote(%q) = %q is not one code span", s, got)
		}
		if len(got) > 3*maxQuote+8 {
			t.Fatalf("quote(%q) has %d bytes", s, len(got))
		}
		for _, r := range got {
			if r != ' ' && !unicode.IsPrint(r) {
				t.Fatalf("quote(%q) leaves %U", s, r)
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add("a\n```\n# out")
	f.Add("`````")
	f.Fuzz(func(t *testing.T, s string) {
		lines := strings.Split(strings.TrimSuffix(block(prose(s)), "\n"), "\n")
		fence := lines[len(lines)-1]
		if strings.Trim(fence, "`") != "" || len(fence) < 3 || lines[0] != fence+"text" {
			t.Fatalf("block(%q) has no fences: %q", s, lines)
		}
		for _, line := range lines[1 : len(lines)-1] {
			if longestRun(line) >= len(fence) {
				t.Fatalf("block(%q) can be left by %q", s, line)
			}
		}
	})
}

func TestProse(t *testing.T) {
	got := prose(strings.Repeat("word ", 30) + "\n\nsecond\x1b paragraph")
	if len(got) != 4 || len(got[0]) > 100 || got[2] != "" || got[3] != "second\ufffd paragraph" {
		t.Errorf("%q", got)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"evidence/files": "evidence/files",
		"a b":            "'a b'",
		"":               "''",
		"-x":             "'-x'",
		"$(x)'y":         `'$(x)'\''y'`,
	} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestLasting(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 431*time.Millisecond + 900*time.Microsecond: "431 ms", 12 * time.Second: "12 s",
		time.Minute + 50*time.Second + 714*time.Millisecond: "110.714 s", 7*time.Minute + 5*time.Second: "7 min 5 s", 27*time.Hour + time.Minute: "27 h 1 min",
	} {
		if got := lasting(d); got != want {
			t.Errorf("lasting(%d) = %q, want %q", d, got, want)
		}
	}
}
