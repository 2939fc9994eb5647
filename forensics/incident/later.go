package incident

import (
	"clawback/forensics/journal"
	"clawback/revoke/credential"
)

// Resumed is a run that took up the record of one that died or was interrupted.
type Resumed struct {
	By      string `json:"by"`
	Desk    string `json:"desk"`
	Version string `json:"version"`
	Cut     int    `json:"cut_bytes,omitempty"` // of a torn last line
	For     string `json:"for,omitempty"`       // ToRecheck, ToUndo, ToForget, ToLetGo, ToIsolate, ToCustody, ToReview; "" to carry the response on
	Lost    bool   `json:"host_lost,omitempty"` // from here on the host counts as compromised: see HostLost

	Ticket string            `json:"ticket,omitempty"` // from here on; "" leaves that of the declaration
	Roles  map[string]string `json:"roles,omitempty"`  // likewise, each
}

// What a record is taken up for, beside carrying the response on.
const (
	ToRecheck = "recheck" // deaths are checked again
	ToUndo    = "undo"    // a revocation is taken back
	ToForget  = "forget"  // the kept secrets are wiped before their time
	ToLetGo   = "let go"  // what was done to the host is taken back
	ToIsolate = "isolate" // its host is cut off the network
	ToCustody = "custody" // its evidence is stamped, deposited, held, handed on or looked at
	ToReview  = "review"  // its open questions are answered in writing
)

// TypeForgotten is the type of the entry of a Forgotten.
const TypeForgotten = "secrets.forgotten"

// Forgotten is the decision of a person to wipe the kept secrets of an incident before their time. It
// is written before they are wiped.
type Forgotten struct {
	By     string                   `json:"by"`
	Why    string                   `json:"why,omitempty"`
	Kept   int                      `json:"kept"`             // how many secrets there were
	Undead []credential.Fingerprint `json:"undead,omitempty"` // those of them not proved dead, which nobody can ask about any more
}

func forgottenLine(e journal.Entry) (string, string, bool) {
	f, ok := decoded[Forgotten](e)
	text := plural(f.Kept, "kept secret", "kept secrets") + " wiped by " + f.By
	if f.Why != "" {
		text += ": " + f.Why
	}
	if n := len(f.Undead); n > 0 {
		text += "; " + plural(n, "of them was", "of them were") + " not proved dead"
	}
	return "forgotten", text, ok
}
