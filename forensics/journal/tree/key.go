package tree

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"
)

// Origin is the name of an incident's tree and of the key that signs its checkpoints: the first
// line of each.
func Origin(incident string) string { return "clawback/" + incident }

// Signer signs the checkpoints of one incident with an Ed25519 key.
type Signer struct {
	signer   note.Signer // holds the key in a closure, where nothing prints it
	verifier string
}

// Origin returns what the signer signs for.
func (s *Signer) Origin() string { return s.signer.Name() }

// Verifier returns the public half as text, which OpenCheckpoint takes
// (https://c2sp.org/signed-note, "vkey").
func (s *Signer) Verifier() string { return s.verifier }

// NewKey makes a key for the tree with that origin. secret is a secret, which ParseKey takes.
func NewKey(origin string) (secret, verifier string, err error) {
	secret, verifier, err = note.GenerateKey(rand.Reader, origin)
	if err == nil {
		_, err = note.NewVerifier(verifier) // GenerateKey takes any name
	}
	if err != nil {
		return "", "", fmt.Errorf("make the key of the checkpoints of %q: %w", origin, err)
	}
	return secret, verifier, nil
}

var errKey = errors.New("not a key of checkpoints")

// ParseKey reads the secret of NewKey.
func ParseKey(secret string) (*Signer, error) {
	// PRIVATE+KEY+<name>+<hash>+<base64 of the algorithm and the seed>
	parts := strings.SplitN(strings.TrimSpace(secret), "+", 5)
	if len(parts) != 5 {
		return nil, errKey
	}
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errKey // not err: it may quote the secret
	}
	signer, err := note.NewSigner(strings.TrimSpace(secret))
	if err != nil {
		return nil, errKey
	}
	return finish(signer, ed25519.NewKeyFromSeed(raw[1:]))
}

func finish(signer note.Signer, key ed25519.PrivateKey) (*Signer, error) {
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &Signer{signer, verifier}, nil
}

// KeyError says why an SSH key cannot sign checkpoints.
type KeyError struct {
	Kind      string // "ssh-rsa"; empty when it cannot be told
	Encrypted bool   // it needs a passphrase, which is not asked for
}

func (e *KeyError) Error() string {
	switch {
	case e.Encrypted:
		return "the SSH key is encrypted with a passphrase"
	case e.Kind == "":
		return "not an SSH private key"
	}
	return "the SSH key is of the kind " + e.Kind + ", and checkpoints are signed with ssh-ed25519 alone"
}

// SignerFromSSH makes a signer of an OpenSSH Ed25519 private key without a passphrase. It returns
// a *KeyError for any other.
func SignerFromSSH(origin string, pem []byte) (*Signer, error) {
	parsed, err := ssh.ParseRawPrivateKey(pem)
	if errors.As(err, new(*ssh.PassphraseMissingError)) {
		return nil, &KeyError{Encrypted: true}
	}
	if err != nil {
		return nil, &KeyError{} // not err: it may quote what may be a secret
	}
	key, ok := parsed.(*ed25519.PrivateKey)
	if !ok {
		other, err := ssh.NewSignerFromKey(parsed)
		if err != nil {
			return nil, &KeyError{}
		}
		return nil, &KeyError{Kind: other.PublicKey().Type()}
	}
	verifier, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	_, public, _ := strings.Cut(verifier, "+")
	hash, _, _ := strings.Cut(public, "+")
	seed := base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)) // 1: Ed25519
	signer, err := note.NewSigner("PRIVATE+KEY+" + origin + "+" + hash + "+" + seed)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoints of %q: %w", origin, err)
	}
	return &Signer{signer, verifier}, nil
}

// VerifierFromSSH gives the verifier key that belongs to a line "ssh-ed25519 AAAA… comment".
func VerifierFromSSH(origin string, line []byte) (string, error) {
	public, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return "", fmt.Errorf("not an SSH public key: %w", err)
	}
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return "", &KeyError{Kind: public.Type()}
	}
	key, ok := crypto.CryptoPublicKey().(ed25519.PublicKey)
	if !ok {
		return "", &KeyError{Kind: public.Type()}
	}
	return note.NewEd25519VerifierKey(origin, key)
}
