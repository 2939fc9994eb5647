// Package snapshots preserves evidence: it captures an agent's files and state on the host while
// they may change, and packs and verifies them at the desk.
package snapshots

import (
	"io"
	"time"
)

// Capture verdicts of a file.
const (
	Stable   = "stable"
	Grew     = "grew"     // what was there at opening is kept, then what came after
	Shrank   = "shrank"   // what could be read is kept, nothing is padded
	Replaced = "replaced" // its name led to another file when we looked again
	Vanished = "vanished" // gone between listing and opening
	Timeout  = "timeout"  // read until the time was up
	Listed   = "listed"   // a link, FIFO, socket or device: described, not opened
	Failed   = "failed"   // could not be read: see Problem
)

// File is what is known of one captured file. Metadata is as fstat gave it before reading.
type File struct {
	Path     string            `json:"path"`   // slash-separated, below the root
	Source   string            `json:"source"` // why it was taken: "config", "transcript", "log", "volatile"
	Mode     uint32            `json:"mode,omitempty"`
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

	Bytes   int64  `json:"bytes"` // captured
	SHA256  string `json:"sha256,omitempty"`
	Verdict string `json:"verdict"`
	Problem string `json:"problem,omitempty"`
}

// Sink receives a capture, one file after the other.
type Sink interface {
	// Begin starts a file; its Bytes, SHA256 and Verdict are not known yet. The content is
	// written to the writer as it is read.
	Begin(f File) (io.Writer, error)
	// End closes the file that Begin started, with all that is known of it. For what is only
	// listed, End comes without Begin.
	End(f File) error
}

// Captured is the end of a capture.
type Captured struct {
	Files    int           `json:"files"`
	Bytes    int64         `json:"bytes"`
	Left     []string      `json:"left,omitempty"` // left out, and why: over the budget of bytes or time
	Took     time.Duration `json:"took"`
	Problems []string      `json:"problems,omitempty"`
}

// Sealed is a finished evidence package.
type Sealed struct {
	Path     string `json:"path"` // folder of the bag
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
	Manifest string `json:"manifest_sha256"` // of manifest-sha256.txt
	Digest   string `json:"digest"`          // SHA-256 of tagmanifest-sha256.txt: names the whole bag
}
