// Package credential is the vocabulary of what an agent held: credentials, their kinds,
// their secrets and how a secret is named without being shown. It does no I/O.
package credential

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
)

// ErrSecret is returned by every attempt to marshal a Secret. Seal is the only way out of a process.
var ErrSecret = errors.New("a secret cannot be marshalled: seal it to a recipient instead")

const redacted = "[secret]"

// Secret is the value of a credential: one or more named parts, such as an access key's id and
// secret. It prints as "[secret]" with every verb and refuses to be marshalled. The zero value
// holds nothing.
type Secret struct {
	// A function, because fmt ignores Format in an unexported field of whatever holds the secret
	// and prints what it finds: of a function that is an address. Even a pointer is followed, by a
	// verb that does not suit it.
	parts func() map[string]string
}

// NewSecret returns a Secret that holds the given parts. Empty parts are dropped.
func NewSecret(parts map[string]string) Secret {
	kept := make(map[string]string, len(parts))
	for name, value := range parts {
		if value != "" {
			kept[name] = value
		}
	}
	if len(kept) == 0 {
		return Secret{}
	}
	return Secret{parts: func() map[string]string { return kept }}
}

// Value returns a Secret with the single part "value".
func Value(value string) Secret { return NewSecret(map[string]string{"value": value}) }

// Reveal returns one part in the clear, or "" where the secret has no such part. Its result
// goes to the credential's provider and nowhere else.
func (s Secret) Reveal(part string) string {
	if s.parts == nil {
		return ""
	}
	return s.parts()[part]
}

// Parts lists the names of the parts, sorted.
func (s Secret) Parts() []string {
	if s.parts == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.parts()))
}

// Empty reports whether the secret holds nothing: the credential is known by its Ref alone.
func (s Secret) Empty() bool { return s.parts == nil }

// Equal reports whether both secrets hold the same parts.
func (s Secret) Equal(o Secret) bool {
	if s.Empty() || o.Empty() {
		return s.Empty() == o.Empty()
	}
	return maps.Equal(s.parts(), o.parts())
}

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalJSON() ([]byte, error) { return nil, ErrSecret }
func (s Secret) MarshalText() ([]byte, error) { return nil, ErrSecret }
func (s Secret) MarshalBinary() ([]byte, error) {
	return nil, ErrSecret
}
func (s Secret) GobEncode() ([]byte, error) { return nil, ErrSecret }
func (s Secret) MarshalYAML() (any, error)  { return nil, ErrSecret }
