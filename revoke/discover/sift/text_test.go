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

// A secret of a format of its own is found wherever people and programs put it, and nothing that
// follows it is taken for a part of it.
func TestFormatsInAnySurroundings(t *testing.T) {
	hex := "0123456789abcdef"
	values := map[string]string{
		"sendgrid":     "SG." + random(66, alphanumeric),
		"npm":          "npm_" + random(36, alphanumeric),
		"vault":        "hvs." + random(95, alphanumeric),
		"digitalocean": "dop_v1_" + random(64, hex),
		"google":       "ya29." + random(160, alphanumeric),
		"refresh":      "1//0" + random(98, alphanumeric),
		"tailscale":    "tskey-auth-k" + random(10, alphanumeric) + "CNTRL-" + random(32, alphanumeric),
		"salesforce":   "00D" + random(12, alphanumeric) + "!AQ" + random(94, alphanumeric),
		"whatsapp":     "EAA" + random(180, alphanumeric),
		"openrouter":   "sk-or-v1-" + random(64, hex),
		"groq":         "gsk_" + random(52, alphanumeric),
		"xai":          "xai-" + random(80, alphanumeric),
		"hubspot":      "pat-na1-" + random(8, hex) + "-" + random(4, hex) + "-" + random(4, hex) + "-" + random(4, hex) + "-" + random(12, hex),
		"bitbucket":    "ATBB" + random(32, alphanumeric),
		"docker":       "dckr_pat_" + random(27, alphanumeric),
		"notion":       "ntn_" + random(46, alphanumeric),
		"bedrock":      "ABSKQmVkcm9ja0FQSUtleS" + random(82, alphanumeric),
		"braintree":    "access_token$production$" + random(16, hex) + "$" + random(32, hex),
		"discord":      "https://discord.com/api/webhooks/1" + random(17, "0123456789") + "/" + random(68, alphanumeric),
	}
	s := New(nil)
	for who, v := range values {
		for _, around := range []string{"x %s", "'%s'", "(%s)", "is %s, keep it", "use %s.", "?token=%s&all", "| `%s` |", "<%s>", "[%s]", `{"a": "%s"}`, `"A=%s\\nB=1"`} {
			text := strings.Replace(around, "%s", v, 1)
			if found := all(t, s, "notes.md", []byte(text)); len(found) != 1 || found[0].Value != v {
				t.Errorf("%s: not found in %s: %+v", who, around, found)
			}
		}
	}
}
