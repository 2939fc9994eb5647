package sift

import (
	"math"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// flatten takes a concatenation apart.
func flatten(re *syntax.Regexp) []*syntax.Regexp {
	if re.Op == syntax.OpConcat {
		return re.Sub
	}
	return []*syntax.Regexp{re}
}

// isName reports whether re is what gitleaks begins the names of settings with: [\w.-]{0,50}?
func isName(re *syntax.Regexp) bool {
	return re.Op == syntax.OpRepeat && re.Min == 0 && re.Max == 50 && re.Flags&syntax.NonGreedy != 0
}

// value is the first group of a pattern.
func value(re *syntax.Regexp) *syntax.Regexp {
	if re.Op == syntax.OpCapture {
		return re.Sub[0]
	}
	for _, sub := range re.Sub {
		if v := value(sub); v != nil {
			return v
		}
	}
	return nil
}

// begun reports whether every match of re begins with one of the keywords.
func begun(re *syntax.Regexp, keywords []string) bool {
	for _, start := range starts(re) {
		if !slices.ContainsFunc(keywords, func(k string) bool { return strings.HasPrefix(start.text, k) }) {
			return false
		}
	}
	return true
}

// start is what a match begins with, in lower case; an open one may go on with what comes next.
type start struct {
	text string
	open bool
}

// starts lists what a match of re can begin with.
func starts(re *syntax.Regexp) []start {
	switch re.Op {
	case syntax.OpLiteral:
		return []start{{strings.ToLower(string(re.Rune)), true}}
	case syntax.OpCapture:
		return starts(re.Sub[0])
	case syntax.OpCharClass:
		seen := map[rune]bool{}
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1] && len(seen) < 5; r++ {
				seen[unicode.ToLower(r)] = true
			}
		}
		if len(seen) > 4 {
			break
		}
		var out []start
		for r := range seen {
			out = append(out, start{string(r), true})
		}
		return out
	case syntax.OpAlternate:
		var out []start
		for _, sub := range re.Sub {
			out = append(out, starts(sub)...)
		}
		return out
	case syntax.OpConcat:
		out := []start{{"", true}}
		for _, sub := range re.Sub {
			var next []start
			for _, s := range out {
				if !s.open || len(out) > 64 {
					next = append(next, start{s.text, false})
					continue
				}
				for _, more := range starts(sub) {
					next = append(next, start{s.text + more.text, more.open})
				}
			}
			out = next
		}
		return out
	case syntax.OpQuest:
		return append(starts(re.Sub[0]), start{"", true})
	}
	return []start{{"", false}}
}

// longest is the most bytes that a match of re has; negative where there is no bound.
func longest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return 3 * len(re.Rune) // a letter's other case may be longer in UTF-8
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 4
	case syntax.OpStar, syntax.OpPlus:
		return -1
	case syntax.OpRepeat:
		if re.Max < 0 || longest(re.Sub[0]) < 0 {
			return -1
		}
		return re.Max * longest(re.Sub[0])
	}
	sum, most := 0, 0
	for _, sub := range re.Sub {
		n := longest(sub)
		if n < 0 {
			return -1
		}
		sum += n
		most = max(most, n)
	}
	if re.Op == syntax.OpAlternate {
		return most
	}
	return sum
}

// shortest is the fewest bytes that a match of re has.
func shortest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpStar, syntax.OpQuest:
		return 0
	case syntax.OpRepeat:
		return re.Min * shortest(re.Sub[0])
	}
	sum, least := 0, math.MaxInt
	for _, sub := range re.Sub {
		n := shortest(sub)
		sum += n
		least = min(least, n)
	}
	if re.Op == syntax.OpAlternate {
		return least
	}
	return sum
}

// collect adds the bytes that a match of re consists of to set. It returns false where these are
// not bytes of ASCII alone.
func collect(re *syntax.Regexp, set *[256]bool) bool {
	add := func(from, to rune) bool {
		for r := from; r <= min(to, 127); r++ {
			set[r] = true
		}
		return to <= 127
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if !add(r, r) {
				return false
			}
			if re.Flags&syntax.FoldCase != 0 {
				add(unicode.ToLower(r), unicode.ToLower(r))
				add(unicode.ToUpper(r), unicode.ToUpper(r))
			}
		}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			// U+017F and U+212A are the other cases of s and k: no secret has them.
			if from := re.Rune[i]; from != 0x17f && from != 0x212a && !add(from, re.Rune[i+1]) {
				return false
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	}
	for _, sub := range re.Sub {
		if !collect(sub, set) {
			return false
		}
	}
	return true
}

func bounded(n, bound int) int {
	if n < 0 || n > bound {
		return bound
	}
	return n
}
