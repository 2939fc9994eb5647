package tui

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/playbooks/engine"
)

// An answer is written line by line, and a single dot ends it.
func TestLinesInWriting(t *testing.T) {
	long := strings.Repeat("x", maxTyped)
	for name, tc := range map[string]struct {
		types []string
		sends string
		says  string
	}{
		"lines":             {[]string{"1", "by a mail", "", "at 02:51", "."}, "yes by a mail\n\nat 02:51", "Write as many lines as it takes"},
		"left open":         {[]string{"2"}, "later", ""},
		"nothing":           {[]string{"1", "", "."}, "", "Nothing is written: it is still asked."},
		"nothing, then all": {[]string{"1", ".", "1", "all", "."}, "yes all", ""},
		"put off":           {[]string{"3"}, "", "1 were put off"},
		"too much":          {[]string{"1", long, long, long, long, long, "."}, "yes " + strings.Join([]string{long, long, long, long}, "\n"), "That line was not taken: the record takes 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, sent := askedOf(t, wrote)
				l.wants("1 write the answer, 2 leave it open, 3 later, 0 other things. Choice: ")
				for _, text := range tc.types {
					l.rest()
					if text == long {
						l.piece(text)
						time.Sleep(beat)
						l.piece("\r")
						continue
					}
					l.types(text)
				}
				time.Sleep(calm + 2*time.Second)
				synctest.Wait()
				l.wants(tc.says)
				if got := answers(*sent); got != tc.sends {
					t.Errorf("it sent %.90q, want %.90q\n%s", got, tc.sends, l.heard.String())
				}
			})
		})
	}
}

// By numbers too a revocation is taken back, with its reason and its name.
func TestLinesUndo(t *testing.T) {
	for name, tc := range map[string]struct{ why, typed, sends string }{
		"typed":     {"red team", "undo " + ofAWS.Short(), "undo red team"},
		"close":     {"red team", "undo", ""},
		"no reason": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := new([]engine.Command)
				l := listenTo(t, t.Context(), Options{Journal: &list{entries: underFire(t).entries}, By: "dana", Submit: func(_ context.Context, c engine.Command) error {
					*sent = append(*sent, c)
					return nil
				}})
				time.Sleep(backlog + time.Second)
				numberOf := func(what string) string {
					t.Helper()
					m := regexp.MustCompile(`(\d+) `+regexp.QuoteMeta(what)).FindAllStringSubmatch(l.fresh(), -1)
					if m == nil {
						t.Fatalf("%q is not offered:\n%s", what, l.heard.String())
					}
					return m[len(m)-1][1]
				}
				say := func(text string) { l.rest(); l.types(text); l.rest() }
				say("0")
				say(numberOf("credentials that are not dead"))
				say(numberOf("aws AKIA…N2QF"))
				say(numberOf("undo its revocation"))
				say(tc.why)
				if tc.typed != "" {
					l.wants("It will work again. Type  undo " + ofAWS.Short() + "  to go on")
					say(tc.typed)
				}
				if got := answers(*sent); got != tc.sends {
					t.Errorf("it sent %q, want %q\n%s", got, tc.sends, l.heard.String())
				}
			})
		})
	}
}
