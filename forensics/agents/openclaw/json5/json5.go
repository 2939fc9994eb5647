// Package json5 reads JSON and JSON5 as a stream of scalars, each with its path and its line. It
// is made for files that may be broken or hostile: what stood before a fault has been handed over
// when the fault is reported, depth is bounded, and no error quotes the text.
package json5

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDepth is how many objects and arrays may stand inside each other.
const MaxDepth = 512

// Kind is what a Value is.
type Kind int

const (
	String  Kind = iota // Text is unescaped
	Number              // Text as it stands: "1e3", "0x1F", "-Infinity"
	Literal             // true, false, null
	Comment             // Text without its marks; Path is that of the value, key or bracket around it
)

// Step is one step of a path: a key, or an index where Key is empty and Index is not negative.
type Step struct {
	Key   string
	Index int // -1 for a key
}

// Value is one scalar or comment of a document.
type Value struct {
	Path   []Step // valid only until the callback returns
	Kind   Kind
	Text   string
	Line   int // of its first character, counted from 1
	Column int // in bytes, counted from 1
	// Again reports that its key, or the key of an object or array around it, stood in its object
	// before. A parser that keeps the last hides the first from the reader, or the other way round.
	Again bool
}

// SyntaxError is where a document stops making sense.
type SyntaxError struct {
	Line, Column int
	Reason       string // quotes nothing of the document
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Scan calls found for each scalar and comment of data, in order. It stops at the first fault and
// returns it as a *SyntaxError. It accepts all of JSON and JSON5 and is lenient beyond (control
// characters in strings, broken UTF-8), because a secret does not die of a typing error.
func Scan(data []byte, found func(Value)) error {
	s := &scanner{data: data, line: 1, found: found}
	s.skipPrefix("\ufeff")
	return s.document()
}

type scanner struct {
	data      []byte
	at        int
	line      int
	lineStart int
	path      []Step
	again     int // how many steps of path stood there before
	found     func(Value)
}

func (s *scanner) document() error {
	if err := s.space(); err != nil {
		return err
	}
	if err := s.value(); err != nil {
		return err
	}
	if err := s.space(); err != nil {
		return err
	}
	if s.at < len(s.data) {
		return s.fault("text after the end of the document")
	}
	return nil
}

func (s *scanner) value() error {
	if s.at >= len(s.data) {
		return s.fault("the document ends where a value is expected")
	}
	switch c := s.data[s.at]; c {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"', '\'':
		line, column := s.line, s.column()
		text, err := s.quoted()
		if err == nil {
			s.yield(String, text, line, column)
		}
		return err
	default:
		return s.bare()
	}
}

func (s *scanner) object() error {
	s.at++
	if len(s.path) >= MaxDepth {
		return s.fault("objects and arrays are nested too deeply")
	}
	seen := map[string]bool{}
	for {
		if err := s.space(); err != nil {
			return err
		}
		if s.at >= len(s.data) {
			return s.fault("the document ends inside an object")
		}
		if s.data[s.at] == '}' {
			s.at++
			return nil
		}
		key, err := s.key()
		if err != nil {
			return err
		}
		err = s.member(Step{Key: key, Index: -1}, seen[key], func() error {
			if err := s.space(); err != nil {
				return err
			}
			if !s.skip(':') {
				return s.fault("a colon is missing after a key")
			}
			if err := s.space(); err != nil {
				return err
			}
			return s.value()
		})
		if err != nil {
			return err
		}
		seen[key] = true
		if done, err := s.separator('}'); done || err != nil {
			return err
		}
	}
}

func (s *scanner) array() error {
	s.at++
	if len(s.path) >= MaxDepth {
		return s.fault("objects and arrays are nested too deeply")
	}
	for i := 0; ; i++ {
		if err := s.space(); err != nil {
			return err
		}
		if s.at >= len(s.data) {
			return s.fault("the document ends inside an array")
		}
		if s.data[s.at] == ']' {
			s.at++
			return nil
		}
		if err := s.member(Step{Index: i}, false, s.value); err != nil {
			return err
		}
		if done, err := s.separator(']'); done || err != nil {
			return err
		}
	}
}

// member reads what stands below one key or index.
func (s *scanner) member(step Step, again bool, read func() error) error {
	s.path = append(s.path, step)
	if again {
		s.again++
	}
	err := read()
	s.path = s.path[:len(s.path)-1]
	if again {
		s.again--
	}
	return err
}

// separator reads a comma, or the end of the object or array, and reports whether it was the end.
func (s *scanner) separator(end byte) (done bool, err error) {
	if err := s.space(); err != nil {
		return false, err
	}
	switch {
	case s.skip(','):
		return false, nil
	case s.skip(end):
		return true, nil
	case s.at >= len(s.data):
		return false, s.fault("the document ends inside an object or array")
	}
	return false, s.fault("a comma is missing")
}

func (s *scanner) key() (string, error) {
	if c := s.data[s.at]; c == '"' || c == '\'' {
		return s.quoted()
	}
	var b strings.Builder
	for s.at < len(s.data) {
		r, n := utf8.DecodeRune(s.data[s.at:])
		switch {
		case r == '\\':
			s.at++
			if !s.skip('u') {
				return "", s.fault("an escape in a key is not \\u")
			}
			u, err := s.hex(4)
			if err != nil {
				return "", err
			}
			b.WriteRune(u)
			continue
		case r == '$' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.In(r, unicode.Mn, unicode.Mc, unicode.Pc, unicode.Nl) || r == '\u200c' || r == '\u200d':
			b.Write(s.data[s.at : s.at+n])
			s.at += n
			continue
		}
		break
	}
	if b.Len() == 0 {
		return "", s.fault("a key is expected")
	}
	return b.String(), nil
}

// bare reads a number or a literal: what stands up to the next separator.
func (s *scanner) bare() error {
	line, column, from := s.line, s.column(), s.at
	for s.at < len(s.data) && (isAlnum(s.data[s.at]) || strings.IndexByte("+-._", s.data[s.at]) >= 0) {
		s.at++
	}
	text := string(s.data[from:s.at])
	kind := Number
	switch {
	case text == "true" || text == "false" || text == "null":
		kind = Literal
	case !isNumber(text):
		s.at = from
		return s.fault("a value is expected")
	}
	s.yield(kind, text, line, column)
	return nil
}

// isNumber accepts what JSON5 calls a number.
func isNumber(text string) bool {
	body := strings.TrimLeft(text, "+-")
	if len(text)-len(body) > 1 || body == "" || strings.Contains(body, "_") {
		return false
	}
	if body == "Infinity" || body == "NaN" {
		return true
	}
	if hex, ok := strings.CutPrefix(strings.ToLower(body), "0x"); ok {
		return hex != "" && strings.Trim(hex, "0123456789abcdef") == ""
	}
	if c := body[0]; c != '.' && (c < '0' || c > '9') {
		return false // "inf" and "nan" are numbers to strconv only
	}
	_, err := strconv.ParseFloat(body, 64)
	return err == nil || strings.HasSuffix(err.Error(), strconv.ErrRange.Error())
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (s *scanner) yield(kind Kind, text string, line, column int) {
	s.found(Value{Path: s.path, Kind: kind, Text: text, Line: line, Column: column, Again: s.again > 0})
}

func (s *scanner) column() int { return s.at - s.lineStart + 1 }

func (s *scanner) fault(reason string) error {
	return &SyntaxError{Line: s.line, Column: s.column(), Reason: reason}
}

func (s *scanner) skip(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) skipPrefix(p string) bool {
	if strings.HasPrefix(string(s.data[s.at:min(len(s.data), s.at+len(p))]), p) {
		s.at += len(p)
		return true
	}
	return false
}
