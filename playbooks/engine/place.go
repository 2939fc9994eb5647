package engine

import (
	"bytes"
	"strings"
)

// place is the function and line of ours in which a stack panicked.
func place(stack []byte) string {
	lines := bytes.Split(stack, []byte("\n"))
	seen := false
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte("panic(")) {
			seen = true
			continue
		}
		if seen && bytes.HasPrefix(line, []byte("clawback/")) && i+1 < len(lines) {
			at, _, _ := strings.Cut(strings.TrimSpace(string(lines[i+1])), " +")
			return at
		}
	}
	return "an unknown place"
}
