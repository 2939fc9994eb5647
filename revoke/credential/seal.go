package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

const (
	// maxPlain bounds a secret as JSON: three parts of 256 KiB, of which every byte may be escaped
	// (\u0000 takes six), and their names.
	maxPlain = 3*6*(256<<10) + 4<<10
	// maxSealed leaves age its header, and a tag of 16 bytes for every 64 KiB.
	maxSealed = maxPlain + 16<<10
)

// ErrTooLarge is returned for a secret, sealed or not, that is larger than what Unseal takes.
var ErrTooLarge = errors.New("the secret is too large")

// Seal encrypts a secret to recipient. It is the only way by which a secret leaves a process
// other than to its provider. What Unseal would refuse is ErrTooLarge.
func Seal(s Secret, recipient age.Recipient) ([]byte, error) {
	var parts map[string]string
	if s.parts != nil {
		parts = s.parts()
	}
	var plain, out bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(parts); err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	if plain.Len() > maxPlain {
		return nil, fmt.Errorf("seal secret: %w: %d bytes, more than %d", ErrTooLarge, plain.Len(), maxPlain)
	}
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	if _, err := w.Write(plain.Bytes()); err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	if out.Len() > maxSealed {
		return nil, fmt.Errorf("seal secret: %w: %d bytes sealed, more than %d", ErrTooLarge, out.Len(), maxSealed)
	}
	return out.Bytes(), nil
}

// Unseal opens what Seal closed. Its errors never quote the content.
func Unseal(sealed []byte, identity age.Identity) (Secret, error) {
	if len(sealed) > maxSealed {
		return Secret{}, fmt.Errorf("unseal secret: %w: %d bytes sealed, more than %d", ErrTooLarge, len(sealed), maxSealed)
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
