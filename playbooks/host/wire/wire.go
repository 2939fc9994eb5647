// Package wire is how the host's program answers the desk on its standard output: a header line, the
// verb's messages, and a trailer without which nothing counts as whole. A message is one line of
// JSON; the content of captured files follows its chunk line as raw bytes, and a hole is a line alone.
//
//	{"type":"header","protocol":2,"verb":"capture","version":"v1.2.0"}
//	{"type":"begin","file":{"path":"home/ada/.openclaw/openclaw.json",…}}
//	{"type":"chunk","bytes":1812}
//	…1812 bytes…
//	{"type":"hole","bytes":1048576}
//	{"type":"end","file":{…,"sha256":"…","verdict":"stable"}}
//	{"type":"trailer","result":{…}}
//
// The desk believes none of it: every line, file and stream has a bound, and what it can check it does.
package wire

import (
	"encoding/json"

	"clawback/revoke/discover"
	"clawback/snapshots"
)

// Protocol is the version of the protocol. A desk and a host of different versions do not talk.
const Protocol = 2

// Verbs is the closed list of what the host's program does.
var Verbs = []string{"describe", "freeze", "thaw", "capture", "discover", "stop", "isolate", "restore", "check"}

// Types of messages.
const (
	typeHeader  = "header"
	typeFound   = "found"
	typeBegin   = "begin"
	typeChunk   = "chunk"
	typeHole    = "hole"
	typeEnd     = "end"
	typeTrailer = "trailer"
)

const (
	maxChunk = 256 << 10 // bytes
	maxHole  = 64 << 20  // bytes: what the desk hashes at once
)

type message struct {
	Type string `json:"type"`

	Protocol int    `json:"protocol,omitempty"` // of a header
	Verb     string `json:"verb,omitempty"`
	Version  string `json:"version,omitempty"`

	Found *discover.Found `json:"found,omitempty"`
	File  *snapshots.File `json:"file,omitempty"`
	Bytes int             `json:"bytes,omitempty"`

	Result json.RawMessage `json:"result,omitempty"` // of a trailer: also beside an error, as far as it came
	Error  string          `json:"error,omitempty"`
	Code   string          `json:"code,omitempty"` // which error, where the desk decides on it
}

// Error codes.
const codeNoInstallation = "no-installation"
