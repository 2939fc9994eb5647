// Package lazyregexp holds regular expressions that are compiled when they are first needed: there are
// over a hundred of them, and "clawback version" needs none.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression. Called, it is one of package regexp.
type Regexp func() *regexp.Regexp

// New takes an expression as regexp.MustCompile does, but its panic comes with the first use. The
// expression is written out where New is called: the test of this package finds it there, and
// compiles it.
func New(expr string) Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// MatchString reports whether s contains a match.
func (re Regexp) MatchString(s string) bool { return re().MatchString(s) }

// FindStringSubmatch returns the leftmost match in s and its groups; nil where there is none.
func (re Regexp) FindStringSubmatch(s string) []string { return re().FindStringSubmatch(s) }
