package sift

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxTexts is how many texts one pattern may stand for.
const maxTexts = 256

// hints finds words, one of which stands in each text of ASCII that one of the patterns matches;
// nil where there are none.
func hints(patterns []string) *automaton {
	var words []string
	for _, p := range patterns {
		tree, err := syntax.Parse(p, syntax.Perl)
		if err != nil {
			panic("path " + p + ": " + err.Error()) // the rule file is ours: a test reads all of it
		}
		one := required(tree)
		if one == nil {
			return nil
		}
		words = append(words, one...)
	}
	return newAutomaton(words)
}

// required lists words, one of which stands in every match of re, in lower case; nil where none
// is known. The longer they are, the fewer texts hold one by chance.
func required(re *syntax.Regexp) (best []string) {
	choose := func(words []string) {
		if shortestOf(words) > shortestOf(best) {
			best = words
		}
	}
	choose(texts(re))
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		choose(required(re.Sub[0]))
	case syntax.OpRepeat:
		if re.Min > 0 {
			choose(required(re.Sub[0]))
		}
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			one := required(sub)
			if one == nil {
				return best
			}
			all = append(all, one...)
		}
		choose(all)
	case syntax.OpConcat:
		run := []string{""}
		for _, sub := range re.Sub {
			choose(required(sub))
			if run = product(run, texts(sub)); run == nil {
				run = []string{""}
			}
			choose(run)
		}
	}
	return best
}

func shortestOf(words []string) int {
	if len(words) == 0 {
		return 0
	}
	return len(slices.MinFunc(words, func(a, b string) int { return len(a) - len(b) }))
}

// texts lists all that re matches, in lower case; nil where that is too much.
func texts(re *syntax.Regexp) (out []string) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if out = append(out, strings.ToLower(string(r))); len(out) > maxTexts {
					return nil
				}
			}
		}
	case syntax.OpCapture:
		return texts(re.Sub[0])
	case syntax.OpQuest:
		if some := texts(re.Sub[0]); some != nil {
			return append(some, "")
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			some := texts(sub)
			if out = append(out, some...); some == nil || len(out) > maxTexts {
				return nil
			}
		}
	case syntax.OpConcat:
		out = []string{""}
		for _, sub := range re.Sub {
			out = product(out, texts(sub))
		}
	}
	return out
}

// product lists each of some with each of more behind it; nil where that is too much.
func product(some, more []string) (out []string) {
	if len(some)*len(more) > maxTexts {
		return nil
	}
	for _, a := range some {
		for _, b := range more {
			out = append(out, a+b)
		}
	}
	return out
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
