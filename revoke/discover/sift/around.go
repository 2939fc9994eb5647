package sift

import (
	"regexp/syntax"
	"slices"
)

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

// valueEnd is what gitleaks ends the values of settings with.
var valueEnd = func() string {
	tree, err := syntax.Parse("(?i)(?:[\\x60'\"\\s;]|\\\\[nr]|$)", syntax.Perl)
	if err != nil {
		panic(err)
	}
	return tree.String()
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
