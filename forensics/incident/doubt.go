package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// doubts is what each doubt of a search means to whoever sees the find.
var doubts = map[string]string{
	"placeholder": "a gap that somebody was to fill: nothing to revoke",
	"example":     "an example out of a provider's documentation: nothing to revoke",
	"public key":  "the half of a key that may be known: nothing to revoke",
	"expired":     "by what it says itself it has expired; it is revoked all the same",
	"by format":   "a guess: nothing but its looks speaks for it, and it may be a decoy",
}

// DoubtText says what a doubt about a find means, or repeats one that it does not know; "" for none.
// A doubt is what the host's files suggest, and never a proof of death.
func DoubtText(doubt string) string {
	if text := doubts[doubt]; text != "" {
		return text
	}
	return doubt
}

// SkippedText lists what was not searched as text, by what it is: "binary 3, link 12".
func SkippedText(skipped map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(skipped)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, skipped[what]))
	}
	return strings.Join(parts, ", ")
}
