package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"
)

// Credential is one thing that the agent could authenticate with.
type Credential struct {
	Provider    string            `json:"provider"` // "github": names a revoke.Provider, or none that we have
	Kind        string            `json:"kind"`     // "github.pat": names a Kind
	Secret      Secret            `json:"-"`
	Ref         map[string]string `json:"ref,omitempty"` // what is no secret: key id, account, endpoint id
	Fingerprint Fingerprint       `json:"fingerprint"`
	Masked      string            `json:"masked"`
	Sources     []Source          `json:"sources"`
	Tier        int               `json:"tier"` // 4 infrastructure, 3 external or financial, 2 internal writes, 1 reads
	Owner       string            `json:"owner,omitempty"`
	Expires     time.Time         `json:"expires,omitzero"`
	LastUsed    time.Time         `json:"last_used,omitzero"`
}

// ClaimedEndpoint is the key of a Ref under which stands where, as the host claims, the credential
// is valid. Nobody calls it; a refusal from elsewhere proves less.
const ClaimedEndpoint = "claimed_endpoint"

// String names the credential as people see it: provider and mask.
func (c Credential) String() string { return c.Provider + " " + c.Masked }

// LogValue keeps a credential's log line to its name.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Source is one place where a credential was found.
type Source struct {
	Path    string `json:"path"`              // slash-separated, below the root that was searched
	Locator string `json:"locator,omitempty"` // where in the file: channels.slack.botToken
	Line    int    `json:"line,omitempty"`    // counted from 1
	Note    string `json:"note,omitempty"`    // "shown to the model", "backup copy"
}

func (s Source) String() string {
	out := s.Path
	if s.Line > 0 {
		out = fmt.Sprintf("%s:%d", out, s.Line)
	}
	if s.Locator != "" {
		out += " (" + s.Locator + ")"
	}
	return out
}

// Fingerprint names a secret without revealing it: HMAC-SHA-256 under a key of the incident, in
// hex. The same secret in two places has the same fingerprint within an incident, and another
// one in every other incident.
type Fingerprint string

// Short is the part that people read and type.
func (f Fingerprint) Short() string { return string(f[:min(len(f), 8)]) }

// FingerprintKey is the incident's key for fingerprints. It never leaves the desk.
type FingerprintKey struct{ key func() [32]byte } // a function for the reason of Secret

// NewFingerprintKey makes a random key.
func NewFingerprintKey() FingerprintKey {
	var k [32]byte
	_, _ = rand.Read(k[:]) // never fails: crypto/rand ends the process instead
	return FingerprintKey{func() [32]byte { return k }}
}

// LoadFingerprintKey takes a key that Bytes gave earlier.
func LoadFingerprintKey(b []byte) (FingerprintKey, error) {
	if len(b) != 32 {
		return FingerprintKey{}, fmt.Errorf("fingerprint key has %d bytes instead of 32", len(b))
	}
	k := [32]byte(b)
	return FingerprintKey{func() [32]byte { return k }}, nil
}

// Bytes returns the key, for the incident's keys folder.
func (k FingerprintKey) Bytes() []byte { b := k.key(); return b[:] }

func (k FingerprintKey) String() string             { return redacted }
func (k FingerprintKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// Of returns the fingerprint of a credential: over its provider and all parts of its secret, since
// what shares a key id or a value may still be two credentials, and one of them planted. A
// credential without a secret is named by its Ref.
func (k FingerprintKey) Of(provider string, s Secret, ref map[string]string) Fingerprint {
	m := hmac.New(sha256.New, k.Bytes())
	fmt.Fprintf(m, "%d:%s", len(provider), provider)
	for _, part := range s.Parts() {
		value := s.Reveal(part)
		fmt.Fprintf(m, " %s %d:%s", part, len(value), value)
	}
	if s.Empty() {
		fmt.Fprintf(m, " ref %s", ref["id"])
	}
	return Fingerprint(hex.EncodeToString(m.Sum(nil)))
}

// Identify fills in what follows from a credential's kind and secret: fingerprint, mask, tier.
func (k FingerprintKey) Identify(c Credential) Credential {
	c.Fingerprint = k.Of(c.Provider, c.Secret, c.Ref)
	c.Masked = Mask(c.Kind, c.Secret, c.Ref)
	if c.Tier == 0 {
		c.Tier = 1
		if known, ok := Lookup(c.Kind); ok {
			c.Tier = known.Tier
		}
	}
	return c
}
