package signers

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Namespaces of what is signed: a signature made for one counts for no other.
const (
	Approvals = "clawback-approval@v1"
	Notes     = "clawback-note@v1"
	Commands  = "clawback-command@v1"
	Evidence  = "evidence@clawback"
)

// maxSignature bounds an armored signature, in bytes: the largest key is RSA with 16,384 bits.
const maxSignature = 16 << 10

// Sign returns the armored SSH signature of a message, as ssh-keygen -Y sign writes it, over its SHA-512.
func Sign(key ssh.Signer, namespace string, message []byte) (string, error) {
	return SignFrom(key, namespace, bytes.NewReader(message))
}

// SignFrom is Sign of what a reader gives.
func SignFrom(key ssh.Signer, namespace string, message io.Reader) (string, error) {
	if err := strong(key.PublicKey()); err != nil {
		return "", err
	}
	sig, err := sshsig.Sign(message, key, sshsig.HashSHA512, namespace)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", ssh.FingerprintSHA256(key.PublicKey()), err)
	}
	return string(sshsig.Armor(sig)), nil
}

// Verify returns the key that signed a message in a namespace. Whether it is allowed to is for
// Signers to say.
func Verify(message []byte, armored, namespace string) (ssh.PublicKey, error) {
	return VerifyFrom(bytes.NewReader(message), armored, namespace)
}

// VerifyFrom is Verify of what a reader gives.
func VerifyFrom(message io.Reader, armored, namespace string) (ssh.PublicKey, error) {
	if len(armored) > maxSignature {
		return nil, fmt.Errorf("the signature has %d bytes, more than %d", len(armored), maxSignature)
	}
	block, rest := pem.Decode([]byte(armored))
	if block == nil || block.Type != sshsig.PEMType || len(block.Headers) > 0 || strings.TrimSpace(string(rest)) != "" ||
		!strings.HasPrefix(armored, "-----BEGIN "+sshsig.PEMType+"-----\n") {
		return nil, errors.New("it has no SSH signature")
	}
	sig, err := sshsig.ParseSignature(block.Bytes)
	if err != nil {
		return nil, errors.New("its SSH signature cannot be read")
	}
	if err := strong(sig.PublicKey); err != nil {
		return nil, err
	}
	if err := sshsig.Verify(message, sig, sig.PublicKey, sshsig.HashSHA512, namespace); err != nil {
		return nil, fmt.Errorf("its signature does not hold in %s: %w", namespace, err)
	}
	return sig.PublicKey, nil
}
