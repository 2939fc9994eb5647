package sift

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// withoutGates is a searcher that looks at a pattern wherever its keyword stands, whatever is around.
func withoutGates(s *Scanner) *Searcher {
	rs := *s.ruleset
	rs.rules = nil
	for _, m := range s.rules {
		bare := *m
		bare.set, bare.least, bare.ends, bare.needs = nil, 0, false, nil
		rs.rules = append(rs.rules, &bare)
	}
	return (&Scanner{ruleset: &rs, known: s.known, words: s.words}).Searcher()
}

// scanPlainly is Searcher.scan with keywords looked for one by one.
func (s *Searcher) scanPlainly(text []byte, known []string) (found []Match) {
	clear(s.done)
	folded := make([]byte, len(text))
	for i, b := range text {
		folded[i] = lower(b)
	}
	type place struct{ word, end int }
	var places []place
	words := slices.Clone(s.keywords)
	for _, k := range known {
		words = append(words, strings.ToLower(k[:min(len(k), knownStem)]))
	}
	for n, w := range words {
		for at := 0; ; at++ {
			i := bytes.Index(folded[at:], []byte(w))
			if i < 0 {
				break
			}
			at += i
			places = append(places, place{n, at + len(w)})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(a.end-b.end, len(words[b.word])-len(words[a.word])) })
	for _, p := range places {
		if p.word >= len(s.keywords) {
			found = s.knownAt(text, p.word-len(s.keywords), p.end, found)
			continue
		}
		for _, n := range s.of[p.word] {
			found = s.try(n, text, "x.yaml", p.end-len(words[p.word]), p.end, 1<<40, found)
		}
	}
	return found
}

// FuzzComplete proves that what is looked at before a pattern loses no match: neither the look at
// the bytes around its keyword, nor that four pieces of a text are read at once.
func FuzzComplete(f *testing.F) {
	known := []string{"hunter2-" + random(30, alphanumeric), "p=ss w\"rd"}
	s := New(known)
	fast, slow := s.Searcher(), withoutGates(s)
	check := func(t *testing.T, text []byte) {
		got, limited := fast.scan(text, "x.yaml", nil)
		if limited {
			return
		}
		want := slow.scanPlainly(text, known)
		if a, b := listed(got), listed(want); a != b {
			t.Errorf("in %q:\nfound %s\nwant  %s", text, a, b)
		}
	}
	f.Add([]byte("a "+known[0]+" b "+known[1]+" token=abcdef0123456789"), uint16(300))
	for _, m := range s.rules {
		tree, err := syntax.Parse(m.pattern, syntax.Perl)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(sample(tree)+"\n"), uint16(rand.IntN(1000)))
	}
	for _, text := range []string{"key: ======abcdef0123", "token=\"a1b2c3d4e5f6\\nx", "api_key = `=abcdefgh12`", "secret,=,=abcdefghij0;", "auth_token=abcdefghi0\v", "SK" + random(32, "0123456789abcdef"),
		"key=" + random(400, alphanumeric), "password = \"" + random(149, alphanumeric) + "=\"", "the key: of=it, api=" + random(151, alphanumeric) + "."} {
		f.Add([]byte(text), uint16(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, before uint16) {
		if len(text) > 4<<10 {
			return
		}
		check(t, text)
		check(t, slices.Concat(bytes.Repeat([]byte("the keys "), int(before%150)), text, []byte(" and token"), text))
		rand := rand.New(rand.NewPCG(uint64(before), uint64(len(text))))
		for range 8 { // near misses
			near := slices.Clone(text)
			if len(near) > 0 {
				at := rand.IntN(len(near))
				switch pieces := []byte("=:;'\"`\\ \n\t,->|?.a0Z_\x80"); rand.IntN(3) {
				case 0:
					near[at] = pieces[rand.IntN(len(pieces))]
				case 1:
					near = slices.Insert(near, at, pieces[rand.IntN(len(pieces))])
				default:
					near = slices.Delete(near, at, at+1)
				}
			}
			check(t, near)
		}
	})
}

// listed names matches in the order of the text, but no values.
func listed(matches []Match) string {
	slices.SortFunc(matches, func(a, b Match) int {
		return cmp.Or(a.start-b.start, a.end-b.end, cmp.Compare(a.Rule, b.Rule), a.Known-b.Known)
	})
	var b strings.Builder
	for _, m := range matches {
		fmt.Fprintf(&b, "%s %d %q %d-%d; ", m.Rule, m.Known, m.What, m.start, m.end)
	}
	return b.String()
}

// The keywords that stand in every text are looked at before their patterns are.
func TestCommonKeywordsAreGated(t *testing.T) {
	s := New(nil)
	ends := 0
	for _, m := range s.rules {
		if m.ends {
			ends++
		}
		if m.id == "generic-api-key" && !m.ends {
			t.Error("where the value of a setting ends is not known")
		}
	}
	if ends < 70 {
		t.Errorf("of %d rules it is known where their values end", ends)
	}
	for _, text := range []string{"key ", "hey ", "is. ", "task ", "keys|", "a s.\n", "tokens\x00"} {
		fits := 0
		for _, n := range []string{"ey", "s.", "sk"} {
			if at := strings.Index(text, n); at >= 0 && s.around[slices.Index(s.keywords, n)].fits([]byte(text), at, at+len(n)) {
				fits++
			}
		}
		if fits > 0 {
			t.Errorf("%q: %d keywords go on to a pattern", text, fits)
		}
	}
}
