package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// checkKeys refuses a line in which an object names a key twice: two programs would read two
// different records. line is valid compact JSON. encoding/json takes "Step" for "step", so keys
// that differ in case alone count as the same in the outermost objects, the entry and its data,
// whose keys this program names; further in, a map's keys may be anything.
func checkKeys(line []byte, folded int) error {
	var keys [][]byte // of all objects that are open
	var open []int    // where the keys of each begin
	for i := 0; i < len(line); {
		switch line[i] {
		case '{':
			open = append(open, len(keys))
		case '}':
			mine := keys[open[len(open)-1]:]
			slices.SortFunc(mine, bytes.Compare)
			for k := 1; k < len(mine); k++ {
				if bytes.Equal(mine[k-1], mine[k]) {
					return fmt.Errorf("an object has the key %.40q twice", mine[k])
				}
			}
			keys = keys[:len(keys)-len(mine)]
			open = open[:len(open)-1]
		case '"':
			end := endOfString(line, i)
			if end < len(line) && line[end] == ':' {
				keys = append(keys, key(line[i:end], len(open) <= folded))
			}
			i = end
			continue
		}
		i++
	}
	return nil
}

// endOfString returns where the string that begins at i is over.
func endOfString(line []byte, i int) int {
	for i++; i < len(line) && line[i] != '"'; i++ {
		if line[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// key is what a quoted key says.
func key(quoted []byte, fold bool) []byte {
	said := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(said, '\\') >= 0 {
		var s string
		if json.Unmarshal(quoted, &s) == nil {
			said = []byte(s)
		}
	}
	if fold {
		said = bytes.ToLower(bytes.ToUpper(said)) // both: some letters have two small forms, some two large ones
	}
	return said
}
