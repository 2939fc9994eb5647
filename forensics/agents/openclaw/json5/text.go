package json5

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// space skips white space and hands over comments.
func (s *scanner) space() error {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '\n' || c == '\r':
			s.newline()
		case c == ' ' || c == '\t' || c == '\v' || c == '\f':
			s.at++
		case c == '/':
			if err := s.comment(); err != nil {
				return err
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s.data[s.at:])
			if r != '\ufeff' && !unicode.IsSpace(r) {
				return nil
			}
			s.at += n
		default:
			return nil
		}
	}
	return nil
}

// newline steps over one line break: LF, CR, or both.
func (s *scanner) newline() {
	if s.data[s.at] == '\r' && s.at+1 < len(s.data) && s.data[s.at+1] == '\n' {
		s.at++
	}
	s.at++
	s.line++
	s.lineStart = s.at
}

func (s *scanner) comment() error {
	line, column := s.line, s.column()
	switch {
	case s.skipPrefix("//"):
		from := s.at
		for s.at < len(s.data) && s.data[s.at] != '\n' && s.data[s.at] != '\r' {
			s.at++
		}
		s.yield(Comment, string(s.data[from:s.at]), line, column)
		return nil
	case s.skipPrefix("/*"):
		from := s.at
		for s.at < len(s.data) {
			if s.skipPrefix("*/") {
				s.yield(Comment, string(s.data[from:s.at-2]), line, column)
				return nil
			}
			if c := s.data[s.at]; c == '\n' || c == '\r' {
				s.newline()
			} else {
				s.at++
			}
		}
		return &SyntaxError{Line: line, Column: column, Reason: "a comment is not closed"}
	}
	return s.fault("a stray slash")
}

// quoted reads a string with its quotes.
func (s *scanner) quoted() (string, error) {
	line, column, quote := s.line, s.column(), s.data[s.at]
	s.at++
	var b strings.Builder
	from := s.at
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case quote:
			b.Write(s.data[from:s.at])
			s.at++
			return b.String(), nil
		case '\\':
			b.Write(s.data[from:s.at])
			s.at++
			if err := s.escape(&b); err != nil {
				return "", err
			}
			from = s.at
		case '\n', '\r': // forbidden, but harmless
			s.newline()
		default:
			s.at++
		}
	}
	return "", &SyntaxError{Line: line, Column: column, Reason: "a string is not closed"}
}

// escape reads what follows a backslash.
func (s *scanner) escape(b *strings.Builder) error {
	if s.at >= len(s.data) {
		return s.fault("the document ends inside a string")
	}
	c := s.data[s.at]
	if i := strings.IndexByte("bfnrtv0", c); i >= 0 {
		b.WriteByte("\b\f\n\r\t\v\x00"[i])
		s.at++
		return nil
	}
	switch c {
	case '\n', '\r': // the string goes on in the next line
		s.newline()
	case 'x':
		s.at++
		r, err := s.hex(2)
		if err != nil {
			return err
		}
		b.WriteRune(r)
	case 'u':
		s.at++
		r, err := s.hex(4)
		if err != nil {
			return err
		}
		if utf16.IsSurrogate(r) {
			r = s.lowSurrogate(r)
		}
		b.WriteRune(r)
	default:
		r, n := utf8.DecodeRune(s.data[s.at:])
		if r != '\u2028' && r != '\u2029' { // line breaks too, and left out like them
			b.Write(s.data[s.at : s.at+n])
		}
		s.at += n
	}
	return nil
}

// lowSurrogate joins high with the escape that follows it, where that is its other half.
func (s *scanner) lowSurrogate(high rune) rune {
	back := s.at
	if s.skipPrefix(`\u`) {
		if low, err := s.hex(4); err == nil {
			if r := utf16.DecodeRune(high, low); r != unicode.ReplacementChar {
				return r
			}
		}
	}
	s.at = back
	return unicode.ReplacementChar
}

func (s *scanner) hex(digits int) (rune, error) {
	var r rune
	for range digits {
		if s.at >= len(s.data) {
			return 0, s.fault("the document ends inside an escape")
		}
		i := strings.IndexByte("0123456789abcdef", s.data[s.at]|0x20)
		if i < 0 || s.data[s.at] < '0' {
			return 0, s.fault("an escape has a digit that is not hexadecimal")
		}
		r = r<<4 | rune(i)
		s.at++
	}
	return r, nil
}
