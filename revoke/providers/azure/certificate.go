package azure

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // the name that Entra gives a certificate, and no protection
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"time"
)

// pair is what an application signs in with: its private key, and the certificate that Entra knows
// it by, which is nil where the host had the key alone.
type pair struct {
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

// maxPEM bounds what is parsed, and maxBlocks its parts.
const (
	maxPEM    = 64 << 10
	maxBlocks = 16
)

var errNotPEM = errors.New("not asked: no RSA key in PEM")

// parsePair reads a key and its certificate in PEM, as az keeps them for a service principal. Of more
// certificates the one of this key counts.
func parsePair(text string) (pair, error) {
	var p pair
	if len(text) > maxPEM {
		return p, errNotPEM
	}
	var certificates []*x509.Certificate
	rest := []byte(text)
	for range maxBlocks {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY":
			if p.key == nil {
				p.key = rsaKey(block.Bytes)
			}
		case "CERTIFICATE":
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				certificates = append(certificates, c)
			}
		}
	}
	if p.key == nil {
		return p, errNotPEM
	}
	for _, c := range certificates {
		if p.key.PublicKey.Equal(c.PublicKey) {
			p.certificate = c
			break
		}
	}
	return p, nil
}

func rsaKey(der []byte) *rsa.PrivateKey {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	k, _ := x509.ParsePKCS8PrivateKey(der)
	key, _ := k.(*rsa.PrivateKey) // Entra takes no other: https://learn.microsoft.com/entra/identity-platform/certificate-credentials
	return key
}

// is reports whether a key credential of an application is this one: the same public key, or the
// certificate's thumbprint where Entra does not give the key.
// https://learn.microsoft.com/graph/api/resources/keycredential
func (p pair) is(k keyCredential) bool {
	if der := binary(k.Key); len(der) > 0 {
		c, err := x509.ParseCertificate(der)
		return err == nil && p.key.PublicKey.Equal(c.PublicKey)
	}
	if p.certificate == nil {
		return false
	}
	sum := sha1.Sum(p.certificate.Raw)
	// The name is the thumbprint in bytes, or its 40 hexadecimal characters.
	name := binary(k.CustomKeyIdentifier)
	thumbprint := hex.EncodeToString(sum[:])
	return bytes.Equal(name, sum[:]) || strings.EqualFold(string(name), thumbprint) || strings.EqualFold(k.CustomKeyIdentifier, thumbprint)
}

// binary decodes base64 of either alphabet: OData writes one, Microsoft's examples the other. What is
// none is nothing.
func binary(text string) []byte {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "="))
	if err != nil {
		return nil
	}
	return b
}

// assertionLife is short, and begins a little in the past: clocks differ.
const (
	assertionLife = 10 * time.Minute
	assertionPast = 2 * time.Minute
)

// assertion signs a client assertion for the tenant's token endpoint, whatever endpoint is pinned.
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
func (p *provider) assertion(text, client, tenant string) (string, error) {
	k, err := parsePair(text)
	if err != nil {
		return "", err
	}
	if k.certificate == nil {
		return "", errors.New("not asked: the key's certificate is not known, and Entra knows the key by it")
	}
	thumbprint, now := sha256.Sum256(k.certificate.Raw), p.now()
	header, err := segment(map[string]string{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(thumbprint[:])})
	if err != nil {
		return "", err
	}
	body, err := segment(map[string]any{
		"aud": "https://" + loginHost + "/" + tenant + "/oauth2/v2.0/token", "iss": client, "sub": client, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-assertionPast).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(header + "." + body))
	signature, err := rsa.SignPSS(rand.Reader, k.key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return "", errors.New("not asked: the key cannot sign")
	}
	return header + "." + body + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func segment(v any) (string, error) {
	b, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// keyring keeps two certificates of one application from bringing each other back: each is removed by
// writing back the others, as they were read, and Entra may show for a while what was removed.
type keyring struct {
	free    chan struct{} // holds one while nobody writes
	removed map[string]bool
}

func newKeyring() keyring {
	k := keyring{make(chan struct{}, 1), make(map[string]bool)}
	k.free <- struct{}{}
	return k
}

// turn waits until nobody else reads and writes keys.
func (k keyring) turn(ctx context.Context) (done func(), err error) {
	select {
	case <-k.free:
		return func() { k.free <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// remember is called in one's turn.
func (k keyring) remember(gone []keyCredential) {
	for _, g := range gone {
		k.removed[g.KeyID] = true
	}
}
