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
	_, isJSON := Sniff(data[:min(len(data), 1<<10)])
	w := s.Searcher()
	line := 0
	for at := int64(0); ; at += Step {
		r, err := w.Window(File{bytes.NewReader(data), path, isJSON}, at)
		if err != nil {
			t.Fatal(err)
		}
		if r.Bytes == 0 {
			return out
		}
		for _, m := range r.Matches {
			m.Line += line
			out = append(out, m)
		}
		line += r.Lines
	}
}
