package fake

import (
	"maps"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	began := time.Now()
	call := func(s int, of string, adversary bool) Call {
		return Call{At: began.Add(time.Duration(s) * time.Second), Credential: of, Adversary: adversary}
	}
	calls := []Call{call(3, "a b", false), call(0, "a", true), call(1, "a", false), call(9, "b", false), call(10, "", false), call(99, "b", true)}
	if got := Span(calls); got != 9*time.Second {
		t.Errorf("Span = %v, want 9s", got)
	}
	if got, want := Spans(calls), map[string]time.Duration{"a": 2 * time.Second, "b": 6 * time.Second}; !maps.Equal(got, want) {
		t.Errorf("Spans = %v, want %v", got, want)
	}
	if Span(nil) != 0 || len(Spans(nil)) != 0 {
		t.Error("no call takes no time")
	}
}
