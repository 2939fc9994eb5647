package sift

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// random makes n characters of an alphabet.
func random(n int, of string) string {
	var b strings.Builder
	for range n {
		b.WriteByte(of[rand.IntN(len(of))])
	}
	return b.String()
}

// all searches a text window by window, and counts lines from the beginning of the file.
func all(t testing.TB, s *Scanner, path string, data []byte) (out []Match) {
	t.Helper()
	w := s.Searcher()
	f, r, err := w.First(bytes.NewReader(data), path)
	for line, at := 0, int64(Step); ; at += Step {
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range r.Matches {
			m.Line += line
			out = append(out, m)
		}
		line += r.Lines
		if r.Bytes < Step {
			return out
		}
		r, err = w.Window(f, at)
	}
}
