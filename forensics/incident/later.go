package incident

import "clawback/revoke/credential"

// Resumed is a run that took up the record of one that died or was interrupted.
type Resumed struct {
	By      string `json:"by"`
	Desk    string `json:"desk"`
	Version string `json:"version"`
	Cut     int    `json:"cut_bytes,omitempty"` // of a torn last line
	For     string `json:"for,omitempty"`       // ToRecheck, ToUndo; "" to carry the response on
	Lost    bool   `json:"host_lost,omitempty"` // from here on the host counts as compromised: see HostLost

	Ticket string            `json:"ticket,omitempty"` // from here on; "" leaves that of the declaration
	Roles  map[string]string `json:"roles,omitempty"`  // likewise, each
}

// What a record is taken up for, beside carrying the response on.
const (
	ToRecheck = "recheck" // deaths are checked again
	ToUndo    = "undo"    // a revocation is taken back
)

// Undo is the intent to take a revocation back, and Undone what came of it.
type Undo struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	By          string                 `json:"by"`
	Why         string                 `json:"why"`
}

// Undone is what a provider said to an Undo.
type Undone struct {
	Fingerprint credential.Fingerprint `json:"fingerprint"`
	Answer      string                 `json:"answer,omitempty"`
	Did         []string               `json:"did,omitempty"`
	Left        []string               `json:"left,omitempty"` // what else works again, or does not
	Error       string                 `json:"error,omitempty"`
}
