// Package discover finds the credentials that an agent held. It runs on the suspect host, or over
// a tree of evidence; it runs nothing that it finds and follows nothing out of its root.
package discover

import (
	"time"

	"clawback/forensics/agents/openclaw"
	"clawback/revoke/credential"
)

// Found is one place at which one credential stands. The same credential in three places is
// found three times: the desk, which holds the fingerprint key, makes it one.
type Found struct {
	Provider   string            `json:"provider"`
	Kind       string            `json:"kind"`
	Secret     credential.Secret `json:"-"`
	Sealed     []byte            `json:"sealed,omitempty"` // Secret on its way to the desk
	Ref        map[string]string `json:"ref,omitempty"`
	Source     credential.Source `json:"source"`
	Owner      string            `json:"owner,omitempty"`
	Expires    time.Time         `json:"expires,omitzero"`
	LastUsed   time.Time         `json:"last_used,omitzero"`
	Unresolved string            `json:"unresolved,omitempty"` // why there is no secret: "exec reference, never run"
	Endpoint   string            `json:"endpoint,omitempty"`   // found beside it; shown, never called
}

// Summary is the end of a search.
type Summary struct {
	Files    int                `json:"files"`
	Bytes    int64              `json:"bytes"`
	Found    int                `json:"found"`
	Problems []openclaw.Problem `json:"problems,omitempty"` // what may hold credentials and could not be searched
	Apart    []openclaw.Problem `json:"apart,omitempty"`    // what belongs to other accounts, which the agent's may not read
}
