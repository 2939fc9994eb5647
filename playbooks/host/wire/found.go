package wire

import (
	"maps"
	"slices"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/discover"
)

// Bounds of discover. The sealed secret that is largest fits into a line, as base64 and with every
// text at its limit.
const (
	discoverTotal = 64 << 20 // bytes
	discoverItems = 10_000
	maxText       = 4 << 10 // bytes of one text of a find
	maxRef        = 16      // entries of a find's Ref

	// roomForFinds is what an honest host fills: a greeting, the header and the trailer fit beside it.
	roomForFinds = discoverTotal - defaultLine - 1<<20
)

// Why a find has no secret.
const (
	tooLarge = "too large to be sealed"
	noRoom   = "no room for it in the host's answer"
	notWhole = "its secret did not arrive whole: a claim of the host"
)

// clipped is f with every text at most maxText bytes long, a short Ref, and a kind that we know.
func clipped(f discover.Found) discover.Found {
	if _, ok := credential.Lookup(f.Kind); !ok {
		f.Kind = "unknown"
	}
	for _, text := range []*string{&f.Provider, &f.Source.Path, &f.Source.Locator, &f.Source.Note, &f.Owner, &f.Endpoint, &f.Unresolved} {
		*text = clip(*text)
	}
	f.Doubt = discover.Doubt(clip(string(f.Doubt)))
	f.Ref = clipRef(f.Ref)
	return f
}

// clipRef keeps the first entries by name, and "id" always: it names a credential without a secret.
func clipRef(ref map[string]string) map[string]string {
	if ref == nil {
		return nil
	}
	kept := make(map[string]string, min(len(ref), maxRef))
	if id, ok := ref["id"]; ok {
		kept["id"] = clip(id)
	}
	for _, key := range slices.Sorted(maps.Keys(ref)) {
		if len(kept) == maxRef {
			break
		}
		if key != "id" {
			kept[clip(key)] = clip(ref[key])
		}
	}
	return kept
}

// clip cuts a text to maxText bytes, and not within a character.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "")
}
