package sift

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`a\nb\tc\"d\\e\/f`: "a\nb\tc\"d\\e/f",
		`\u0041\u00e9\x42`: "AéB",
		`\ud83d\ude00`:     "😀",
		`\ud83d`:           "\ufffd",
		`\q\u12\xzz\`:      `\q\u12\xzz\`,
		`\\n`:              `\n`,
	} {
		if got := unescape(nil, []byte(in), false, nil); string(got) != want {
			t.Errorf("%s became %q, want %q", in, got, want)
		}
	}
	if got := unescape(nil, []byte("plain\na\\tb\nplain\nc\\\\d"), true, nil); string(got) != "a\tb\nc\\d" {
		t.Errorf("the lines with escapes became %q", got)
	}
}

// What JSON escapes is read as JSON reads it, and each byte that stood there unescaped is found again.
func FuzzUnescape(f *testing.F) {
	f.Add("plain \"quoted\" \\ back\nline", false)
	f.Add("\x00\u2028é😀<&>", true)
	f.Fuzz(func(t *testing.T, s string, sparse bool) {
		if raw, err := json.Marshal(s); err == nil && utf8.ValidString(s) {
			if got := unescape(nil, raw[1:len(raw)-1], false, nil); string(got) != s {
				t.Errorf("%s became %q", raw, got)
			}
		}
		src := []byte(s)
		view := unescape(nil, src, sparse, nil)
		wanted := make([]int, len(view))
		for i := range wanted {
			wanted[i] = i
		}
		unescape(nil, src, sparse, wanted)
		last := -1
		for i, at := range wanted {
			if at < last || at >= len(src) || src[at] != '\\' && src[at] != view[i] {
				t.Fatalf("byte %d of %q comes from %d of %q", i, view, at, src)
			}
			last = at
		}
	})
}

func FuzzAutomaton(f *testing.F) {
	f.Add("ushers", "he,she,his,hers", uint16(1))
	f.Add("he s", "she,ehes", uint16(5000))
	f.Add("AaAaAa", "a,aa,aaa", uint16(6500))
	f.Fuzz(func(t *testing.T, text, list string, repeat uint16) {
		words := strings.Split(list, ",")
		if len(words) > 50 || len(list) > 2000 {
			return
		}
		text = strings.Repeat(text, 1+min(int(repeat), 40<<10/(len(text)+1))) // more than one piece at once
		type place struct {
			word int32
			end  int
		}
		got, want := map[place]bool{}, map[place]bool{}
		a := newAutomaton(words)
		a.scan([]byte(text), new(hits), func(list uint32, end int) bool {
			for _, w := range a.ends[list] {
				got[place{w, end}] = true
			}
			return true
		})
		fold := func(s string) []byte {
			b := []byte(s)
			for i := range b {
				b[i] = lower(b[i])
			}
			return b
		}
		for n, w := range words {
			for i := 0; w != "" && i+len(w) <= len(text); i++ {
				if bytes.Equal(fold(text[i:i+len(w)]), fold(w)) {
					want[place{int32(n), i + len(w)}] = true
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d hits, want %d", len(got), len(want))
		}
		for h := range want {
			if !got[h] {
				t.Fatalf("no hit of word %d at %d", h.word, h.end)
			}
		}
	})
}
