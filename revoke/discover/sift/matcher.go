package sift

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
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
	const gaps = 4 + 5 // bytes between a name and a value, some of which could be a value's: but not all of it
	if m.shape == assigns && len(parts) > 1 && parts[len(parts)-2].Op == syntax.OpCapture && m.least > gaps {
		m.ends = parts[len(parts)-1].String() == valueEnd
		for b, in := range set {
			m.ends = m.ends && !(in && kinds[b]&endByte != 0)
		}
	}
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
