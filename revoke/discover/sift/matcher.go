package sift

import (
	"bytes"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode"
)

const (
	maxLength = 16 << 10 // bytes of one match, where its pattern has no bound
	maxBefore = 512      // bytes of a match before its keyword, likewise
	nearby    = 320      // bytes of a setting that are looked at first
)

// matcher is a rule made ready. Its keyword is looked for in all of the text, its pattern only
// where the keyword stands and the bytes around can belong to a match: a pattern costs a hundred
// times as much as the look at a byte.
type matcher struct {
	rule
	shape   shape
	after   int        // bytes of a match from its keyword on, at most
	before  int        // bytes of a match before its keyword, where that does not begin it
	word    bool       // a word's boundary stands before it
	set     *[256]bool // bytes of the match, or of the value behind an assignment; nil for any
	least   int        // how many of these follow each other, at least
	ends    bool       // the value ends where these end, and valueEnd follows
	needs   []string   // one of which stands in every match
	compile func() *regexp.Regexp
	paths   func() *regexp.Regexp // of the files that it is for
	allowed []compiled
}

type shape int

const (
	anywhere shape = iota // the keyword stands somewhere in the match
	begins                // the keyword begins the match
	assigns               // the keyword is in a name, then come a mark and the value
	apart                 // the keyword stands somewhere in the text, perhaps far from the match
)

// compiled is an allowance made ready.
type compiled struct {
	allowance
	paths    func() *regexp.Regexp
	hints    func() *automaton // of the paths
	patterns func() *regexp.Regexp
	stop     func() *automaton
}

// distant are the rules whose keyword is no part of their pattern.
var distant = map[string]bool{"facebook-access-token": true, "airtable-personnal-access-token": true}

// reach is how far the matches of those rules go whose pattern would go on through whole files.
var reach = map[string]int{"curl-auth-header": 1 << 10, "curl-auth-user": 1 << 10, "kubernetes-secret-yaml": 1 << 10}

// needed are words without which a pattern that runs over whole lines cannot match.
var needed = map[string][]string{
	"curl-auth-header": {"-H", "--header"},
	"curl-auth-user":   {"-u", "--user"},
	"password-url":     {"@"},
}

func newMatcher(r rule) *matcher {
	m := &matcher{rule: r, needs: needed[r.id], allowed: compileAllowances(r.allow), paths: either([]string{r.path})}
	pattern := r.pattern
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		panic("rule " + r.id + ": " + err.Error()) // the rule file is ours: a test reads all of it
	}
	parts := flatten(tree)
	if isName(parts[0]) {
		m.shape, parts = assigns, parts[1:]
	} else if parts[0].Op == syntax.OpWordBoundary {
		m.word, parts = true, parts[1:]
	}
	rest := &syntax.Regexp{Op: syntax.OpConcat, Sub: parts}
	switch {
	case distant[r.id]:
		m.shape, m.word = apart, false
	case !begun(rest, r.keywords):
		m.shape, m.word = anywhere, false
		m.after = bounded(longest(tree), maxLength)
		m.before = bounded(longest(tree), maxBefore)
	default:
		if m.shape == anywhere {
			m.shape = begins
		}
		m.after = bounded(longest(rest), maxLength)
		pattern = `\A(?:` + rest.String() + `)`
		m.bytes(rest, parts)
	}
	if n := reach[r.id]; n > 0 {
		m.after = n
	}
	m.compile = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return m
}

// bytes finds out what a match must at least consist of.
func (m *matcher) bytes(rest *syntax.Regexp, parts []*syntax.Regexp) {
	body := rest
	if m.shape == assigns {
		// The name may go on with more than the rest of a name: "new-york-times,".
		plain := len(parts) > 1 && parts[1].Op == syntax.OpRepeat && parts[1].Min == 0 && parts[1].Max == 20
		for _, s := range starts(parts[0]) {
			plain = plain && slices.Contains(m.keywords, s.text)
		}
		if !plain {
			return
		}
		if body = value(rest); body == nil {
			return
		}
	} else if last := parts[len(parts)-1]; shortest(last) == 0 && last.Op == syntax.OpAlternate {
		body = &syntax.Regexp{Op: syntax.OpConcat, Sub: parts[:len(parts)-1]}
	}
	var set [256]bool
	if !collect(body, &set) || set[' '] || set['\n'] {
		return
	}
	m.set, m.least = &set, shortest(body)
	if m.shape == assigns && len(parts) > 1 && parts[len(parts)-2].Op == syntax.OpCapture && m.least >= 10 {
		m.ends = parts[len(parts)-1].String() == valueEnd
		for b, in := range set {
			m.ends = m.ends && !(in && kinds[b]&endByte != 0)
		}
	}
}

// valueEnd is what gitleaks ends the values of settings with.
var valueEnd = func() string {
	tree, err := syntax.Parse("(?i)(?:[\\x60'\"\\s;]|\\\\[nr]|$)", syntax.Perl)
	if err != nil {
		panic(err)
	}
	return tree.String()
}()

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

// all returns the groups of all matches in text, of a rule whose keyword stands apart from them.
func (m *matcher) all(text []byte) [][]int { return m.compile().FindAllSubmatchIndex(text, maxMatches) }

// at returns the groups of the match to which the keyword belongs that stands in text from start
// to end, as indexes of text; nil for none.
// p tells where the match before it ended, and counts the bytes that the pattern looks at.
func (m *matcher) at(text []byte, start, end int, p *pass) []int {
	from, to := start, min(start+m.after, len(text))
	switch m.shape {
	case begins:
		if m.word && start > 0 && isWord(text[start-1]) || m.set != nil && !m.run(text[start:to]) {
			return nil
		}
	case assigns:
		if m.set != nil && !m.assigned(text[end:to]) || m.generic() && !tellingName(text, start, end) {
			return nil
		}
	default:
		from = max(p.end, start-m.before)
	}
	if m.needs != nil && !slices.ContainsFunc(m.needs, func(w string) bool { return bytes.Contains(text[from:to], []byte(w)) }) {
		return nil
	}
	if short := from + nearby; m.shape == assigns && m.set != nil && m.least < nearby/2 && short < to {
		// Most settings are short, and Go's engine is faster on a short text. One that is cut is looked
		// at again.
		if g := m.compile().FindSubmatchIndex(text[from:short]); g == nil {
			return nil
		} else if g[1] < nearby {
			return shift(g, from)
		}
	}
	if m.set == nil {
		p.work += (to - from) * max(1, 4*min(reach[m.id], 1))
	} else {
		p.work += 1 << 5 // it fails where it begins
	}
	groups := m.compile().FindSubmatchIndex(text[from:to])
	if groups == nil || groups[1] == to-from && to < len(text) && m.after >= maxLength {
		return nil
	}
	return shift(groups, from)
}

func shift(groups []int, by int) []int {
	for i := range groups {
		if groups[i] >= 0 {
			groups[i] += by
		}
	}
	return groups
}

// generic reports whether nothing but a name speaks for the rule's matches.
func (m *matcher) generic() bool { return strings.HasPrefix(m.id, "generic") }

// around says what stands around a keyword where one of its rules can match.
type around struct {
	word  bool       // a word's boundary before it
	after *[256]bool // a byte behind it; nil for any
}

func aroundKeyword(keyword string, rules []*matcher) around {
	a := around{word: true, after: new([256]bool)}
	for _, m := range rules {
		a.word = a.word && m.shape == begins && m.word
		for b := range a.after {
			switch {
			case m.shape == begins && m.set != nil && m.least > len(keyword):
				a.after[b] = a.after[b] || m.set[b]
			case m.shape == assigns && m.set != nil:
				a.after[b] = a.after[b] || kinds[b]&(nameByte|quoteByte|markByte) != 0
			default:
				a.after[b] = true
			}
		}
	}
	if !slices.Contains(a.after[:], false) {
		a.after = nil
	}
	return a
}

// fits reports whether the bytes around a keyword that stands in text from begin to end are so.
func (a *around) fits(text []byte, begin, end int) bool {
	return !(a.word && begin > 0 && isWord(text[begin-1])) && (a.after == nil || end < len(text) && a.after[text[end]])
}

// run reports whether text begins with as many bytes of the rule's as a match has at least.
func (m *matcher) run(text []byte) bool {
	if len(text) < m.least {
		return false
	}
	for _, b := range text[:m.least] {
		if !m.set[b] {
			return false
		}
	}
	return true
}

// maxRun is how far the end of a value is looked for before its pattern is.
const maxRun = 256

// assigned reports whether what follows a name can be a mark and a value: the rest of the name,
// blanks and quotes, "=" or its like, blanks and quotes, enough bytes of a value, and its end.
func (m *matcher) assigned(text []byte) bool {
	i := skip(text, 0, 23, nameByte)
	i = skip(text, i, 3, quoteByte)
	j := skip(text, i, 4, markByte)
	if j == i {
		return false
	}
	k := skip(text, j, 5, gapByte)
	n, most := 0, min(maxRun, len(text)-k)
	for n < most && m.set[text[k+n]] {
		n++
	}
	if m.ends && n < most && kinds[text[k+n]]&endByte == 0 {
		return false
	}
	return n >= m.least || n == maxRun || m.set[text[k-1]] // a value may begin with "="
}

// What a byte can be around an assignment.
const (
	wordByte  = 1 << iota
	nameByte  // of a name
	gapByte   // between a mark and a value
	quoteByte // between a name and a mark
	markByte
	endByte // behind a value: of valueEnd
)

var kinds = func() (k [256]uint8) {
	add := func(kind uint8, bytes string) {
		for _, b := range []byte(bytes) {
			k[b] |= kind
		}
	}
	add(wordByte|nameByte, "0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	add(nameByte, " \t.-")
	add(quoteByte|gapByte, " \t\n\r\f\v'\"")
	add(gapByte, "`=")
	add(markByte, "=>:|?,")
	add(endByte, "`'\" \t\n\r\f\v;\\")
	return k
}()

// skip is the first index from i on, but most further at most, at which no byte of a kind stands.
func skip(text []byte, i, most int, kind uint8) int {
	for most = min(len(text), i+most); i < most && kinds[text[i]]&kind != 0; {
		i++
	}
	return i
}

func isWord(b byte) bool { return kinds[b]&wordByte != 0 }

func isNamePart(b byte) bool { return kinds[b]&nameByte != 0 }
