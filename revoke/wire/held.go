package wire

import (
	"context"
	"errors"

	"go.yaml.in/yaml/v3"

	"clawback/revoke/credential"
)

// ErrClearText means that settings hold what may be a secret in clear text. It quotes nothing.
var ErrClearText = errors.New("only where a secret is kept may stand here, not the secret")

// Held is a secret of the desk's that settings need. They say where it is kept, and never what it is.
type Held struct {
	Place yaml.Node // in the desk's own words: {env: NAME}

	// Load reads the secret, part "value", from its place. Whoever decodes the settings sets it.
	Load func(context.Context) (credential.Secret, error)
}

// Holder is settings that need secrets of the desk's.
type Holder interface {
	// Held returns them by where they stand: "oauth_clients.ID".
	Held() map[string]*Held
}

// UnmarshalYAML takes a place, and refuses what may be the secret itself.
func (h *Held) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return ErrClearText
	}
	h.Place = *n
	return nil
}
