package sift

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

func TestRuleFile(t *testing.T) {
	rules, global, err := readRules(ruleFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != 222 || len(global.paths) != 25 || len(global.patterns) != 13 || len(global.stopwords) != 2 {
		t.Errorf("%d rules, %d paths, %d patterns, %d words", len(rules), len(global.paths), len(global.patterns), len(global.stopwords))
	}
	stop, allow := 0, 0
	for _, r := range rules {
		allow += len(r.allow)
		for _, a := range r.allow {
			stop += len(a.stopwords)
		}
		if r.id == "" || r.pattern == "" && r.path == "" || r.pattern != "" && len(r.keywords) == 0 {
			t.Errorf("rule %+v", r)
		}
	}
	if stop < 1000 || allow != 13 {
		t.Errorf("%d stop words, %d allowances", stop, allow)
	}
	for _, m := range prepare().rules {
		m.compile()
		for _, a := range m.allowed {
			_, _ = a.patterns(), a.paths()
		}
	}
}

func TestRuleFileFaults(t *testing.T) {
	for _, file := range []string{"[[rules]]\nx = 1", "[other]\n", "x", "x = 1", "[[rules]]\nid = '''a", "[[rules]]\nid = \"a\\\"\n\"",
		"[[rules]]\nkeywords = [", "[[rules]]\nentropy = a", "[allowlist]\nx = 1", "[[rules]]\nid =", "[[rules]]\nid = []"} {
		if _, _, err := readRules(file); err == nil {
			t.Errorf("%q was read", file)
		}
	}
}

// sample makes a random text that re matches, as far as assertions do not matter.
func sample(re *syntax.Regexp) string {
	times := func(least, most int) string {
		if most < least {
			most = least + 20
		}
		var b strings.Builder
		for range least + rand.IntN(most-least+1) {
			b.WriteString(sample(re.Sub[0]))
		}
		return b.String()
	}
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 && rand.IntN(2) == 0 {
			return strings.ToUpper(string(re.Rune))
		}
		return string(re.Rune)
	case syntax.OpCharClass:
		for {
			i := rand.IntN(len(re.Rune)/2) * 2
			from, to := re.Rune[i], min(re.Rune[i+1], 126)
			if from > to {
				continue
			}
			if r := from + rand.Int32N(to-from+1); r >= ' ' || to < ' ' {
				return string(r)
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "."
	case syntax.OpCapture:
		return sample(re.Sub[0])
	case syntax.OpAlternate:
		return sample(re.Sub[rand.IntN(len(re.Sub))])
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(sample(sub))
		}
		return b.String()
	case syntax.OpStar:
		return times(0, 3)
	case syntax.OpPlus:
		return times(1, 3)
	case syntax.OpQuest:
		return times(0, 1)
	case syntax.OpRepeat:
		return times(re.Min, re.Max)
	}
	return ""
}

// Looking at a pattern only where its keyword stands, and where what follows can belong to it,
// finds what the pattern alone finds.
func TestEveryRuleFindsWhatItsPatternFinds(t *testing.T) {
	for _, m := range prepare().rules {
		if m.generic() {
			continue // takes less than its pattern: the name has to tell, see TestLookAlikes
		}
		whole := regexp.MustCompile(m.pattern)
		tree, err := syntax.Parse(m.pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		for n := 0; n < 500 && tried < 30; n++ {
			text := []byte("the words before it, " + strings.Repeat("x ", rand.IntN(300)) + "\n" + sample(tree) + "\n and after it" + strings.Repeat(" x", rand.IntN(300)))
			want := whole.FindIndex(text)
			if m.shape == apart && want != nil {
				tried++
				if all := m.all(text); len(all) != 1 || all[0][1] != want[1] {
					t.Errorf("%s: %d matches", m.id, len(all))
				}
				continue
			}
			if want == nil || !holdsKeyword(m, text[want[0]:want[1]]) {
				continue
			}
			tried++
			if !findsEnd(m, text, want[1]) {
				t.Errorf("%s: not found in %q", m.id, text[want[0]:want[1]])
				break
			}
		}
		if tried == 0 {
			t.Errorf("%s: no sample of %s", m.id, m.pattern)
		}
	}
}

func holdsKeyword(m *matcher, text []byte) bool {
	return slices.ContainsFunc(m.keywords, func(k string) bool { return bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(k))) })
}

// findsEnd reports whether the matcher finds a match that ends there, from one of its keywords.
func findsEnd(m *matcher, text []byte, end int) bool {
	lower := bytes.ToLower(text)
	for _, k := range m.keywords {
		for at := 0; ; at++ {
			i := bytes.Index(lower[at:], []byte(strings.ToLower(k)))
			if i < 0 {
				break
			}
			at += i
			if g := m.at(text, at, at+len(k), &pass{}); g != nil && g[1] == end {
				return true
			}
		}
	}
	return false
}
