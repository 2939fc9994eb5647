package sift

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"clawback/forensics/agents/openclaw/json5"
)

// Match is one place at which a secret stands, or what looks like one.
type Match struct {
	Rule   string       // the rule's id: "github-pat"; empty for a known value
	Known  int          // which known value it is, counted from 1; 0 for none
	Value  string       // the secret itself
	Name   string       // what it is assigned to, where the rule knows no format but that
	What   string       // "public key", "example" or "expired", where it is that
	Offset int64        // of its first byte
	Line   int          // how many lines end before it, in the window
	Path   []json5.Step // to the string of JSON that it stands in; empty where there is none

	start, end int // in the window
}

// guess reports whether nothing but a name speaks for the match.
func (m Match) guess() bool { return strings.HasPrefix(m.Rule, "generic") }

const (
	minKnown  = 8  // bytes of a value that is looked for
	knownStem = 24 // bytes of it that the automaton holds
	maxWork   = 4  // how many times its length a rule may look at a text, beside a Step
)

// ruleset is what all scanners have in common.
type ruleset struct {
	rules    []*matcher
	global   compiled
	keywords []string
	of       [][]int32 // rules by keyword
	around   []around  // by keyword
}

var prepare = sync.OnceValue(func() *ruleset {
	rules, global, err := readRules(ruleFile)
	if err != nil {
		panic("gitleaks.toml: " + err.Error())
	}
	rs := &ruleset{global: compileAllowances([]allowance{global})[0]}
	number := map[string]int{}
	for _, r := range append(rules, ownRules()...) {
		if r.pattern == "" {
			continue // of a file's name alone
		}
		if r.id == "flutterwave-public-key" {
			r.what = publicKey
		}
		for _, k := range r.keywords {
			k = strings.ToLower(k)
			if _, ok := number[k]; !ok {
				number[k] = len(rs.keywords)
				rs.keywords, rs.of = append(rs.keywords, k), append(rs.of, nil)
			}
			rs.of[number[k]] = append(rs.of[number[k]], int32(len(rs.rules)))
		}
		rs.rules = append(rs.rules, newMatcher(widen(r)))
	}
	for k, numbers := range rs.of {
		var of []*matcher
		for _, n := range numbers {
			of = append(of, rs.rules[n])
		}
		rs.around = append(rs.around, aroundKeyword(rs.keywords[k], of))
	}
	return rs
})

// Scanner finds secrets, and known values, in texts. Several goroutines may use it at once.
type Scanner struct {
	*ruleset
	known []string
	words *automaton
}

// New makes a scanner that finds the known values beside what looks like a secret. Known values
// of fewer than eight bytes are not looked for.
func New(known []string) *Scanner {
	s := &Scanner{ruleset: prepare(), known: known}
	words := slices.Clone(s.keywords)
	for _, k := range known {
		if len(k) < minKnown {
			k = ""
		}
		words = append(words, strings.ToLower(k[:min(len(k), knownStem)]))
	}
	s.words = newAutomaton(words)
	return s
}

// Ignored reports whether files of this name hold what looks like secrets and is none, by the
// rules: lock files, packages that were installed. Only the end of the path is looked at: whoever
// walks a tree asks for its directories first.
func (s *Scanner) Ignored(path string) bool {
	at := len(path)
	for range 3 {
		at = max(0, strings.LastIndexByte(path[:max(0, at)], '/'))
	}
	return s.global.ofPath(path[at:])
}

// scan appends the matches in text to found. limited reports that a rule was given up because the
// text gave it too much to do.
func (s *Searcher) scan(text []byte, path string, found []Match) (_ []Match, limited bool) {
	clear(s.done)
	budget := maxWork*len(text) + Step
	s.words.scan(text, &s.hits, func(list uint32, end int) bool {
		for _, word := range s.words.ends[list] {
			if int(word) >= len(s.keywords) {
				found = s.knownAt(text, int(word)-len(s.keywords), end, found)
			} else if begin := end - len(s.keywords[word]); s.around[word].fits(text, begin, end) {
				for _, n := range s.of[word] {
					if found = s.try(n, text, path, begin, end, budget, found); s.done[n].work > budget {
						limited = true
					}
				}
			}
		}
		return true
	})
	return found, limited
}

// try appends the matches of a rule at its keyword, which stands in text from begin to end.
func (s *Searcher) try(rule int32, text []byte, path string, begin, end, budget int, found []Match) []Match {
	p, m := &s.done[rule], s.rules[rule]
	if begin < p.end || p.work > budget {
		return found
	}
	if m.path != "" && !m.paths().MatchString(path) {
		p.end = math.MaxInt
		return found
	}
	var all [][]int
	if m.shape == apart {
		all, p.end, p.work = m.all(text), math.MaxInt, p.work+len(text)
	} else if groups := m.at(text, begin, end, p); groups != nil {
		all, p.end = [][]int{groups}, groups[1]
	}
	for _, groups := range all {
		if match, ok := s.judge(m, text, path, groups); ok {
			found = append(found, match)
		}
	}
	return found
}

// pass is how far a rule got with a text.
type pass struct{ end, work int }

// knownAt reports the known value whose beginning ends at end, if all of it stands there, and not
// as a piece of something longer.
func (s *Scanner) knownAt(text []byte, n, end int, found []Match) []Match {
	value := s.known[n]
	start := end - min(len(value), knownStem)
	stop := start + len(value)
	if stop > len(text) || string(text[start:stop]) != value || start > 0 && isWord(text[start-1]) && isWord(text[start]) ||
		stop < len(text) && isWord(text[stop]) && isWord(text[stop-1]) {
		return found
	}
	return append(found, Match{Known: n + 1, Value: value, start: start, end: stop})
}

// judge decides what a match of a rule is.
func (s *Scanner) judge(m *matcher, text []byte, path string, groups []int) (Match, bool) {
	from, to := groups[0], groups[1]
	match := bytes.Trim(text[from:to], "\n")
	if m.group > 0 {
		from, to = groups[2*m.group], groups[2*m.group+1]
	} else {
		for i := 2; i < len(groups); i += 2 {
			if groups[i] >= 0 && groups[i+1] > groups[i] {
				from, to = groups[i], groups[i+1]
				break
			}
		}
	}
	if from < 0 {
		return Match{}, false
	}
	secret := text[from:to]
	if strings.Contains(m.id, ".") && !bytes.ContainsAny(secret, "0123456789") {
		return Match{}, false // words with hyphens, after "sk-"
	}
	if m.entropy > 0 && entropy(secret) <= m.entropy {
		return Match{}, false
	}
	out := Match{Rule: m.id, Value: string(secret), What: m.what, start: from, end: to}
	if m.shape == assigns {
		begin := groups[0]
		for begin > 0 && groups[0]-begin < 50 && isNamePart(text[begin-1]) && text[begin-1] != ' ' && text[begin-1] != '\t' {
			begin--
		}
		match = bytes.Trim(text[begin:groups[1]], "\n")
		out.Name = name(match)
	}
	if out.What == "" {
		out.What = lookAlike(m, out)
	}
	line := lineAround(text, groups[0], groups[1])
	allowed := s.global.ofMatch(path, secret, match, line)
	for i := range m.allowed {
		if m.allowed[i].ofPath(path) {
			return Match{}, false
		}
		allowed = allowed || m.allowed[i].ofMatch(path, secret, match, line)
	}
	if allowed && out.What == "" {
		out.What = example
	}
	// Where only a name speaks for a value, every other setting would be listed as an example.
	return out, !(out.guess() && out.What != "")
}

// name is what a match assigns to.
func name(match []byte) string {
	end := skip(match, 0, 100, nameByte)
	return strings.TrimSpace(string(match[:end]))
}

// settle takes out of matches, all of one text, those that others overlap which tell more: a
// known value more than a format, a format more than a name, and what is longer more.
func settle(matches []Match) []Match {
	slices.SortStableFunc(matches, func(a, b Match) int { return cmp.Or(cmp.Compare(a.Offset, b.Offset), a.start-b.start) })
	var out []Match
	for _, m := range matches {
		last := len(out) - 1
		switch {
		case last < 0 || m.Offset >= out[last].Offset+int64(len(out[last].Value)):
			out = append(out, m)
		case better(m, out[last]):
			out[last] = m
		}
	}
	return out
}

func better(a, b Match) bool {
	if rank(a) != rank(b) {
		return rank(a) < rank(b)
	}
	return len(a.Value) > len(b.Value)
}

func rank(m Match) int {
	switch {
	case m.Known > 0:
		return 0
	case m.guess():
		return 3
	case strings.Contains(m.Rule, "."), m.Rule == "password-url": // ours, whose format may be wider
		return 2
	}
	return 1
}
