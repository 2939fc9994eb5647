package credential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"filippo.io/age"
)

// maxSealed bounds a sealed secret that a host sends: 64 KB of secret, its JSON escapes and age's frame.
const maxSealed = 1 << 20

// Seal encrypts a secret to recipient. It is the only way by which a secret leaves a process
// other than to its provider.
func Seal(s Secret, recipient age.Recipient) ([]byte, error) {
	var parts map[string]string
	if s.parts != nil {
		parts = s.parts()
	}
	plain, err := json.Marshal(parts)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	return out.Bytes(), nil
}

// Unseal opens what Seal closed. Its errors never quote the content.
func Unseal(sealed []byte, identity age.Identity) (Secret, error) {
	if len(sealed) > maxSealed {
		return Secret{}, fmt.Errorf("unseal secret: %d bytes, more than the %d that a secret can take", len(sealed), maxSealed)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return Secret{}, fmt.Errorf("unseal secret: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxSealed))
	if err != nil {
		return Secret{}, fmt.Errorf("unseal secret: %w", err)
	}
	var parts map[string]string
	if json.Unmarshal(plain, &parts) != nil {
		return Secret{}, fmt.Errorf("unseal secret: not a map of named parts")
	}
	return NewSecret(parts), nil
}
