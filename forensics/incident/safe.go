package incident

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks a character keeps: more of them paint over other lines.
const maxMarks = 2

// Safe makes text from anywhere fit to be shown on one line of a terminal or a document: white
// space becomes a blank, and what could steer a terminal, or hide or reorder text, becomes U+FFFD.
// Nothing of the text vanishes and nothing of it acts. It does not escape markup.
// Safe(Safe(s)) is Safe(s).
func Safe(s string) string {
	if printableASCII(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	marks := maxMarks // none may open a text: it would join what stands before it
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			r, marks = ' ', 0
		case !unicode.IsPrint(r) || invisible(r): // control, format (bidirectional overrides), private use
			r, marks = utf8.RuneError, 0
		case unicode.IsMark(r):
			if marks++; marks > maxMarks {
				r = utf8.RuneError
			}
		default:
			marks = 0
		}
		out.WriteRune(r)
	}
	return out.String()
}

// Cut shortens s to at most n bytes, at least 3, between two characters and with an ellipsis.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	for n -= len(more); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + more
}

// invisible characters count as printable and show nothing.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800'
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
