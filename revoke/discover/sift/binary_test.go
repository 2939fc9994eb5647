package sift

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// A byte that no text has hides nothing of a text, and nothing is looked for in what is a program or picture.
func TestTextWithOddBytes(t *testing.T) {
	noise := make([]byte, firstRead)
	_, _ = rand.Read(noise)
	for i := 0; i < len(noise); i += 8 { // a program's numbers are mostly small; chance alone comes near an eighth
		noise[i] = 0
	}
	token := "token ghp_" + random(36, alphanumeric) + "\n"
	line := strings.Repeat("a line of text\n", 10_000)
	for name, c := range map[string]struct {
		text  string
		found bool
	}{
		"plain":                    {token, true},
		"one NUL":                  {"\x00" + token, true},
		"one in a long text":       {"notes\x00" + line + token, true},
		"many in a long text":      {strings.Repeat("ab\x00cdefghijk", 80) + line + token, true},
		"a small one full of them": {strings.Repeat("\x00\x01", 2000) + token, true},
		"a program":                {"\x7fELF\x02\x01\x01\x00" + token, false},
		"a picture":                {"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + token, false},
		"a film":                   {"\x00\x00\x00\x18ftypmp42" + token, false},
		"a database's log":         {"7\x7f\x06\x82\x00\x2d\xe2\x18" + token, false},
		"a long binary":            {"\x00" + string(noise) + token, false},
		"a magic and no NUL":       {"\x89PNG " + token, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(nil).Searcher()
			f, r, err := s.First(strings.NewReader(c.text), "notes")
			if !c.found {
				if !errors.Is(err, ErrNoText) {
					t.Errorf("%+v %v", r, err)
				}
				return
			}
			found := r.Matches
			for at := int64(Step); at < int64(len(c.text)); at += Step {
				more, err := s.Window(f, at)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, more.Matches...)
			}
			if err != nil || len(found) != 1 || !bytes.Contains([]byte(token), []byte(found[0].Value)) {
				t.Errorf("%+v %v", found, err)
			}
		})
	}
}
