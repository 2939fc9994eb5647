// Package snapshots preserves evidence: it captures an agent's files and state on the host while
// they may change, and packs and verifies them at the desk.
package snapshots

import (
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Capture verdicts of a file.
const (
	Stable   = "stable"
	Modified = "modified" // written to or changed in its metadata while it was read: it may be torn
	Grew     = "grew"     // what was there at opening is kept, then what came after
	Shrank   = "shrank"   // what could be read is kept, nothing is padded
	Rotated  = "rotated"  // it got another name while it was read: see Problem
	Replaced = "replaced" // its name led to another file when we looked again
	Vanished = "vanished" // gone between listing and opening, or while it was read: what was read is kept
	Timeout  = "timeout"  // read until the time was up
	Listed   = "listed"   // described, not opened: a link, FIFO, socket or device, or left out: see Problem
	Failed   = "failed"   // could not be read: see Problem

	DeletedOpen = "deleted-open" // it has no name any more, and was read where a process holds it: see Target
)

// File is what is known of one captured file. Metadata is as fstat gave it before reading.
//
// It marshals itself, so that names which are not UTF-8 survive JSON: a struct that is marshalled
// holds a File in a named field and never embeds it.
type File struct {
	Path     string            `json:"path"`           // slash-separated, below the root, byte for byte
	Source   string            `json:"source"`         // why it was taken: "config", "transcript", "log", "volatile"
	Mode     uint32            `json:"mode,omitempty"` // st_mode: type and permission bits
	UID      int               `json:"uid,omitempty"`
	GID      int               `json:"gid,omitempty"`
	Device   uint64            `json:"device,omitempty"`
	Inode    uint64            `json:"inode,omitempty"`
	Links    uint64            `json:"links,omitempty"`
	Size     int64             `json:"size"` // at opening
	Modified time.Time         `json:"modified,omitzero"`
	Changed  time.Time         `json:"changed,omitzero"`
	Target   string            `json:"target,omitempty"` // of a link
	Xattrs   map[string]string `json:"xattrs,omitempty"` // base64

	Bytes    int64     `json:"bytes"` // captured, holes counted
	SHA256   string    `json:"sha256,omitempty"`
	Holes    []Hole    `json:"holes,omitempty"`    // at opening; they read as zeros
	Segments []Segment `json:"segments,omitempty"` // of a file that grew: what was there at opening, and what came after
	Verdict  string    `json:"verdict"`
	Problem  string    `json:"problem,omitempty"`
}

// Hole is a part of a sparse file that takes no place on its disk.
type Hole struct {
	Offset int64 `json:"offset"`
	Bytes  int64 `json:"bytes"`
}

// Segment is a part of a file that was captured at a time of its own.
type Segment struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// plainFile is a File without its methods.
type plainFile File

// wireFile is a File in JSON, which cannot hold every name that a file system can.
type wireFile struct {
	plainFile
	RawPath   []byte `json:"path_raw,omitempty"`
	RawTarget []byte `json:"target_raw,omitempty"`
}

// MarshalJSON adds the raw bytes of a path or target that is not UTF-8, and leaves out a time that is
// beyond the year 9999.
func (f File) MarshalJSON() ([]byte, error) {
	w := wireFile{plainFile: plainFile(f)}
	for _, at := range []*time.Time{&w.Modified, &w.Changed} {
		if y := at.UTC().Year(); y < 0 || y > 9999 { // an agent may have set it, and JSON cannot say it
			*at = time.Time{}
		}
	}
	w.Path, w.RawPath = readable(f.Path)
	w.Target, w.RawTarget = readable(f.Target)
	return json.Marshal(w)
}

// UnmarshalJSON gives the raw bytes precedence.
func (f *File) UnmarshalJSON(data []byte) error {
	var w wireFile
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*f = File(w.plainFile)
	if len(w.RawPath) > 0 {
		f.Path = string(w.RawPath)
	}
	if len(w.RawTarget) > 0 {
		f.Target = string(w.RawTarget)
	}
	return nil
}

func readable(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return strings.ToValidUTF8(s, "\uFFFD"), []byte(s)
}

// Sink receives a capture, one file after the other.
type Sink interface {
	// Begin starts a file; its Bytes, SHA256 and Verdict are not known yet. The content is
	// written to the writer as it is read, holes as zeros unless it is a HoleWriter.
	Begin(f File) (io.Writer, error)
	// End closes the file that Begin started, with all that is known of it. For what was not
	// opened, because it is only listed or could not be, End comes without Begin.
	End(f File) error
}

// HoleWriter is a writer that Sink.Begin may return, for which a hole is no content.
type HoleWriter interface {
	io.Writer
	Hole(n int64) error // n zeros come next
}

// Captured is the end of a capture.
type Captured struct {
	Files    int           `json:"files"` // whose content was taken
	Bytes    int64         `json:"bytes"`
	Left     []string      `json:"left,omitempty"` // left out, and why: over the budget of bytes or time
	Took     time.Duration `json:"took"`
	Problems []string      `json:"problems,omitempty"`
}

// Sealed is a finished evidence package: one file.
type Sealed struct {
	Path     string   `json:"path"`
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	Manifest string   `json:"manifest_sha256"` // of manifest-sha256.txt
	Digest   string   `json:"digest"`          // SHA-256 of tagmanifest-sha256.txt: names all that was packed
	Package  string   `json:"package_sha256"`  // of the file at Path
	Problems []string `json:"problems,omitempty"`
}
