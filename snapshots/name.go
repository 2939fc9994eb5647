package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// A name in the bag is made of letters, digits and ._-+@,~ alone. Every other byte of the host's
// name, "=" included, becomes "=" and two hex digits. RFC 8493 escapes line ends and "%" in a
// manifest in one way and sha256sum in another: a name without them reads the same to both, on
// every file system. The host's own name stands in the index.
const (
	maxPart   = 200  // bytes of one part of a stored name; file systems take 255
	maxStored = 1000 // bytes of a stored name; a path may have 4096
)

const upperHex = "0123456789ABCDEF"

func plainByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return strings.IndexByte("._-+@,~", b) >= 0
}

// storedName returns the name under which a path of the host is kept: a relative path with no
// part that means another folder. Two paths have the same stored name only if they are the same.
func storedName(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = storedPart(part)
	}
	name := strings.Join(parts, "/")
	if len(name) > maxStored {
		// "==" is never the beginning of an encoded part.
		return "==long/" + digestOf(path)
	}
	return name
}

func storedPart(part string) string {
	switch part {
	case "":
		return "="
	case ".":
		return "=2E"
	case "..":
		return "=2E=2E"
	}
	var out strings.Builder
	for i := range len(part) {
		if b := part[i]; plainByte(b) {
			out.WriteByte(b)
		} else {
			out.Write([]byte{'=', upperHex[b>>4], upperHex[b&15]})
		}
	}
	name := out.String()
	if len(name) <= maxPart {
		return name
	}
	return strings.TrimRight(name[:100], "=") + "==" + digestOf(part)
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// names keeps stored names apart on every file system, also on one to which A and a are the same.
type names struct {
	files, folders map[string]bool // lower case
	last           map[string]int  // number given last to a name that was taken
}

func newNames() *names {
	return &names{files: map[string]bool{}, folders: map[string]bool{}, last: map[string]int{}}
}

// place returns a stored name that is free: the path's own, or one with a number after "==".
func (n *names) place(path string) string {
	parts := strings.Split(storedName(path), "/")
	at := ""
	for _, part := range parts[:len(parts)-1] { // a folder may not have the name of a file
		at += n.free(at, part, false) + "/"
		n.folders[fold(strings.TrimSuffix(at, "/"))] = true
	}
	name := at + n.free(at, parts[len(parts)-1], true)
	n.files[fold(name)] = true
	return name
}

func (n *names) free(at, part string, file bool) string {
	taken := func(p string) bool {
		p = fold(at + p)
		return n.files[p] || file && n.folders[p]
	}
	name := part
	for taken(name) {
		first := fold(at + part)
		n.last[first]++
		name = fmt.Sprintf("%s==%d", part, n.last[first]+1)
	}
	return name
}

func fold(name string) string { return strings.ToLower(name) }

// validStored reports whether a name can have been made by place.
func validStored(name string) bool {
	if name == "" || len(name) > 2*maxStored {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
		for i := range len(part) {
			if !plainByte(part[i]) && part[i] != '=' {
				return false
			}
		}
	}
	return true
}
