package vaultfake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// appRole answers below auth/approle/role/.
func (f *Fake) appRole(c *call, rest string) {
	role, rest, _ := strings.Cut(rest, "/")
	s := f.secretIDs[c.text("secret_id")]
	live := s != nil && f.knobs.Live(&s.life)
	switch {
	case role != Role:
		c.refuse(http.StatusInternalServerError, fmt.Sprintf("1 error occurred:\n\t* role %q does not exist\n\n", role))
	case rest == "secret-id/lookup" && c.method == http.MethodPost:
		if !live {
			c.done()
			return
		}
		c.data(map[string]any{
			"secret_id_accessor": s.accessor, "secret_id_num_uses": 0, "secret_id_ttl": 0, "cidr_list": []string{},
			"creation_time": time.Time{}.Format(time.RFC3339), "expiration_time": time.Time{}.Format(time.RFC3339),
		})
	case rest == "secret-id/destroy" && c.method == http.MethodPost:
		if s != nil {
			f.knobs.Revoke(&s.life)
		}
		c.done()
	default:
		c.noRoute()
	}
}

// login makes a token out of a secret-id.
func (f *Fake) login(c *call) {
	s := f.secretIDs[c.text("secret_id")]
	if s == nil || s.roleID != c.text("role_id") || !f.knobs.Live(&s.life) {
		c.refuse(http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	f.logins++
	t := f.mintToken(Token{Policies: []string{"default"}, Path: "auth/approle/login", Orphan: true, Role: Role})
	c.reply(map[string]any{"auth": map[string]any{"client_token": t.Secret.Reveal("value"), "accessor": t.Ref["id"]}})
}

type certificate struct {
	life fake.Revocation
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// found makes the certificate authority.
func (f *Fake) found() {
	f.key = newKey()
	now := f.knobs.Clock.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Acme CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(10000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	f.ca = sign(template, template, &f.key.PublicKey, f.key)
}

func (f *Fake) mintCertificate() credential.Credential {
	made := &certificate{key: newKey()}
	now := f.knobs.Clock.Now()
	made.cert = sign(&x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "agent.test"}, DNSNames: []string{"agent.test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(5000 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}, f.ca, &made.key.PublicKey, f.key)
	der, err := x509.MarshalPKCS8PrivateKey(made.key)
	if err != nil {
		panic(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	id := colons(made.cert.SerialNumber)
	f.certs[id] = made
	return credential.Credential{
		Provider: "vault", Kind: "vault.certificate", Ref: map[string]string{"id": id},
		Secret: credential.NewSecret(map[string]string{"private_key": string(text)}),
	}
}

func (f *Fake) readCertificate(c *call, name string) {
	if name == "ca" {
		c.data(map[string]any{"certificate": encode(f.ca), "revocation_time": 0, "revocation_time_rfc3339": ""})
		return
	}
	made := f.certs[strings.ReplaceAll(name, "-", ":")]
	if made == nil {
		c.refuse(http.StatusNotFound)
		return
	}
	at := int64(0)
	if !f.knobs.Live(&made.life) {
		at = made.life.At.Unix()
	}
	c.data(map[string]any{"certificate": encode(made.cert), "revocation_time": at, "revocation_time_rfc3339": ""})
}

// readList answers the revocation list, in DER.
func (f *Fake) readList(c *call) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: f.knobs.Now(), NextUpdate: f.knobs.Now().Add(72 * time.Hour)}
	for _, made := range f.certs {
		if made.life.At.IsZero() || f.ByHand && f.rotated.Before(made.life.At) || f.knobs.Live(&made.life) {
			continue
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: made.cert.SerialNumber, RevocationTime: made.life.At})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, f.ca, f.key)
	if err != nil {
		panic(err)
	}
	c.w.Header().Set("Content-Type", "application/pkix-crl")
	_, _ = c.w.Write(der)
}

// pki answers what needs a token below pki/.
func (f *Fake) pki(c *call, rest string) {
	switch {
	case (rest == "revoke" || rest == "revoke-with-key") && c.method == http.MethodPost:
		made := f.certs[strings.ReplaceAll(c.text("serial_number"), "-", ":")]
		if made == nil {
			c.refuse(http.StatusBadRequest, fmt.Sprintf("certificate with serial %s not found.", c.text("serial_number")))
			return
		}
		f.knobs.Revoke(&made.life)
		c.data(map[string]any{"revocation_time": made.life.At.Unix(), "revocation_time_rfc3339": made.life.At.UTC().Format(time.RFC3339Nano), "state": "revoked"})
	case rest == "crl/rotate" && c.method == http.MethodGet:
		f.rotated = f.knobs.Clock.Now()
		c.data(map[string]any{"success": true})
	default:
		c.noRoute()
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func serial() *big.Int {
	raw := make([]byte, 20)
	_, _ = rand.Read(raw)
	raw[0] = raw[0]&0x7f | 0x40 // positive, and of 20 bytes
	return new(big.Int).SetBytes(raw)
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

func encode(cert *x509.Certificate) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
}

// colons is a serial number as Vault writes it.
func colons(n *big.Int) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", n.Bytes()), " ", ":")
}

// Issuer is the certificate authority, for tests that make lists of their own.
func (f *Fake) Issuer() (*x509.Certificate, *ecdsa.PrivateKey) { return f.ca, f.key }
