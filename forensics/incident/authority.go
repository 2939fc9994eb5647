package incident

import (
	"fmt"

	"clawback/forensics/journal"
)

// TypeAuthority is the type of the entry of an Authority.
const TypeAuthority = "authority.tested"

// What the test of an authority showed.
const (
	AuthorityUsable      = "usable"
	AuthorityRefused     = "refused"     // expired, revoked, or not what it should be
	AuthorityMissing     = "missing"     // where it is kept gives none
	AuthorityUnreachable = "unreachable" // no answer, or none that tells
	AuthorityUntested    = "untested"    // nothing was sent
)

// Authority is what a test of one of the responder's own credentials showed, before it was needed.
type Authority struct {
	Provider string `json:"provider"`
	Kind     string `json:"kind,omitempty"`
	From     string `json:"from,omitempty"` // "env STRIPE_ADMIN_KEY": where the responder keeps it
	Outcome  string `json:"outcome"`
	Who      string `json:"who,omitempty"`    // the principal, where it is usable
	Answer   string `json:"answer,omitempty"` // what was seen, or why it was not tested
	Hint     string `json:"hint,omitempty"`   // how it is renewed

	Reach []string `json:"reach,omitempty"` // scopes and permissions, where the provider tells
}

// Bad reports whether what needs this authority cannot be revoked as it is.
func (a Authority) Bad() bool {
	return a.Outcome != AuthorityUsable && a.Outcome != AuthorityUntested
}

// String is what was seen, in a line.
func (a Authority) String() string {
	text := a.Provider + ": " + a.Outcome
	more := a.Answer
	if a.Outcome == AuthorityUsable {
		more = a.Who
	}
	if more != "" {
		text += ": " + more
	}
	if a.From != "" {
		text += " (" + a.From + ")"
	}
	return text
}

func (s *State) foldAuthority(e journal.Entry) error {
	var a Authority
	if err := e.Decode(&a); err != nil {
		return err
	}
	if a.Provider == "" {
		return fmt.Errorf("entry %d (%s): it names no provider", e.Seq, e.Type)
	}
	if s.Authorities == nil {
		s.Authorities = make(map[string]Authority)
	}
	s.Authorities[a.Provider] = a
	return nil
}

func authorityLine(e journal.Entry) (string, string, bool) {
	a, ok := decoded[Authority](e)
	text := a.String()
	if a.Hint != "" {
		text += "; hint: " + a.Hint
	}
	if a.Bad() {
		return "NO AUTHORITY", text, ok
	}
	return "your own", text, ok
}
