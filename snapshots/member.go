package snapshots

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	tarBlock        = 512
	xattrWord       = "SCHILY.xattr."
	maxMemberXattrs = 64 << 10 // bytes of a member's
)

// member is a file of a package, as its header in the tar stream says it. Owner and mode are the
// same for all, whatever the host said: what is unpacked belongs to who unpacks it, is for nobody
// else and is no program. Extended attributes but those of users mean something to a system, and
// stay in the index with the rest of what the host claimed.
type member struct {
	name     string
	size     int64
	modified time.Time
	xattrs   map[string]string // by PAX keyword
}

// memberOf describes a captured file.
func memberOf(name string, size int64, f File) member {
	m := member{name: name, size: size, modified: f.Modified}
	if y := m.modified.Year(); y < 1970 || y > 2500 { // there is no such time, or the host lies
		m.modified = time.Unix(0, 0)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(f.Xattrs)) {
		value, err := base64.StdEncoding.DecodeString(f.Xattrs[name])
		total += len(name) + len(value)
		if err != nil || total > maxMemberXattrs || !harmlessXattr(name) {
			continue
		}
		if m.xattrs == nil {
			m.xattrs = map[string]string{}
		}
		m.xattrs[xattrWord+name] = string(value)
	}
	return m
}

func harmlessXattr(name string) bool {
	return strings.HasPrefix(name, "user.") && len(name) < 256 && utf8.ValidString(name) && !strings.ContainsAny(name, "=\x00\n")
}

// header is the one way to write a member's header.
func (m member) header() ([]byte, error) {
	h := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: m.name, Mode: 0o600, Size: m.size, ModTime: m.modified, PAXRecords: m.xattrs}
	if strings.HasSuffix(m.name, "/") {
		h.Typeflag, h.Mode = tar.TypeDir, 0o700
	}
	var out bytes.Buffer
	err := tar.NewWriter(&out).WriteHeader(h)
	return out.Bytes(), err
}

// memberIn is what a header that was read says.
func memberIn(h *tar.Header) member {
	m := member{name: h.Name, size: h.Size, modified: h.ModTime}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrWord); ok && harmlessXattr(name) {
			if m.xattrs == nil {
				m.xattrs = map[string]string{}
			}
			m.xattrs[key] = value
		}
	}
	return m
}

// padding is what follows a member's content.
func (m member) padding() []byte { return zeros[:-m.size&(tarBlock-1)] }

// tarEnd is the end of a tar stream.
var tarEnd = zeros[:2*tarBlock]
