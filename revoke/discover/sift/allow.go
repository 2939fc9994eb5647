package sift

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"sync"
)

func compileAllowances(all []allowance) []compiled {
	out := make([]compiled, len(all))
	for i, a := range all {
		out[i] = compiled{allowance: a, paths: either(a.paths), patterns: either(a.patterns),
			hints: sync.OnceValue(func() *automaton { return hints(a.paths) }),
			stop:  sync.OnceValue(func() *automaton { return newAutomaton(a.stopwords) })}
	}
	return out
}

// either compiles patterns to one, when it is first needed.
func either(patterns []string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:` + strings.Join(patterns, `)|(?:`) + `)`)
	})
}

// ofPath reports whether a whole file is allowed by its path alone.
func (c *compiled) ofPath(path string) bool {
	if len(c.allowance.paths) == 0 || c.all {
		return false
	}
	if h := c.hints(); h != nil && !h.holds([]byte(path)) && isASCII(path) {
		return false // as of most files of a tree: the patterns take many times as long
	}
	return c.paths().MatchString(path)
}

// ofMatch reports whether a match is allowed.
func (c *compiled) ofMatch(path string, secret, match, line []byte) bool {
	target := secret
	switch c.target {
	case "match":
		target = match
	case "line":
		target = line
	}
	fits := len(c.allowance.patterns) > 0 && c.patterns().Match(target)
	if c.all {
		return fits && (len(c.allowance.paths) == 0 || c.paths().MatchString(path))
	}
	return fits || len(c.stopwords) > 0 && c.stop().holds(secret)
}

// entropy is Shannon's, in bits a byte.
func entropy(data []byte) float64 {
	var counts [256]int
	for _, b := range data {
		counts[b]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(data))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// lineAround is the line that a match stands in, as far as it is near.
func lineAround(text []byte, start, end int) []byte {
	const near = 2 << 10
	from, to := max(0, start-near), min(len(text), end+near)
	if i := bytes.LastIndexByte(text[from:start], '\n'); i >= 0 {
		from += i + 1
	}
	if i := bytes.IndexByte(text[end:to], '\n'); i >= 0 {
		to = end + i
	}
	return text[from:to]
}
