package sift

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// What the patterns of a path say is said without them, where nothing hints at them.
func FuzzIgnored(f *testing.F) {
	s := New(nil)
	whole := regexp.MustCompile("(?:" + strings.Join(s.global.allowance.paths, ")|(?:") + ")")
	for _, p := range s.global.allowance.paths {
		tree, err := syntax.Parse(p, syntax.Perl)
		if err != nil {
			f.Fatal(err)
		}
		for range 20 {
			f.Add("a/" + sample(tree))
		}
	}
	f.Add("a/Caſsocket/x.SOC\u212aET")
	f.Add("workspace/src/d001/f000001.ts")
	f.Fuzz(func(t *testing.T, path string) {
		if strings.Count(path, "/") > 2 {
			return // its end would be looked at
		}
		if got, want := s.Ignored(path), whole.MatchString(path); got != want {
			t.Errorf("%q: ignored %v, want %v", path, got, want)
		}
	})
}

// Of the files that make up trees nothing hints at the patterns, which take long.
func TestHints(t *testing.T) {
	h := New(nil).global.hints()
	for path, want := range map[string]bool{
		"workspace/src/d001/f000001.ts": false, "main/sessions/6f1c.jsonl": false, "state/logs/gateway.log": false,
		"workspace/memory/2026-01-01.md": false, "app/main.py": false, "a/node_modules/b": true, "a/b.PNG": true,
	} {
		if h.holds([]byte(path)) != want {
			t.Errorf("%s: hints %v, want %v", path, !want, want)
		}
	}
}
