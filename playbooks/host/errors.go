package host

import "fmt"

const connecting = "connect"

// LinkError is a link to the host that was lost, or never came about. What the verb did until then is
// unknown; a frozen agent stays frozen.
type LinkError struct {
	Host, Verb string
	Err        error
}

func (e *LinkError) Error() string {
	if e.Verb == connecting {
		return fmt.Sprintf("connect to %s: %v", e.Host, e.Err)
	}
	return fmt.Sprintf("%s on %s: the link is lost: %v", e.Verb, e.Host, e.Err)
}

func (e *LinkError) Unwrap() error { return e.Err }

// ClaimError is an answer of the host's program that cannot be believed: it floods, or contradicts
// itself or the protocol. Nothing of it counts.
type ClaimError struct {
	Host, Verb string
	Err        error
}

func (e *ClaimError) Error() string {
	return fmt.Sprintf("%s on %s: the host's program gave an answer that cannot be: %v", e.Verb, e.Host, e.Err)
}

func (e *ClaimError) Unwrap() error { return e.Err }
