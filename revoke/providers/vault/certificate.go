package vault

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// serialNumber is a certificate's serial as Vault writes it, with colons or hyphens.
var serialNumber = lazyregexp.New(`\A[0-9a-f]{2}(?:[:-][0-9a-f]{2}){3,19}\z`)

var (
	errSerial  = errors.New("not asked: what is given is no certificate's serial number, as 39:dd:2e:…")
	errNotKey  = errors.New("the private key is not the one of the certificate with that serial number")
	errIssuer  = errors.New("the certificate comes of another issuer of the mount than the one whose revocation list is read")
	errStale   = errors.New("the revocation list is past its time")
	errNoCert  = errors.New("an answer without the certificate")
	errNoMatch = errors.New("an answer with another certificate")
)

// certificate is what Vault says of one.
type certificate struct {
	answer
	data struct {
		Text    string `json:"certificate"`     // PEM
		Revoked *int64 `json:"revocation_time"` // 0 while it is not
	}
	cert *x509.Certificate
}

func serialOf(c credential.Credential) (string, error) {
	serial := strings.ReplaceAll(strings.ToLower(c.Ref["id"]), "-", ":")
	if !serialNumber.MatchString(serial) {
		return "", errSerial
	}
	return serial, nil
}

// readCertificate asks without any token: https://developer.hashicorp.com/vault/api-docs/secret/pki#read-certificate
func (p *provider) readCertificate(ctx context.Context, name string, hide credential.Secret) (c certificate, err error) {
	c.answer = p.ask(ctx, "", hide, get(p.settings.PKI+"/cert/"+name))
	if !c.into(&c.data) {
		return c, c.failure()
	}
	block, _ := pem.Decode([]byte(c.data.Text))
	if block == nil || c.data.Revoked == nil {
		return c, errNoCert
	}
	if c.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return c, errNoCert
	}
	return c, nil
}

// find reads the certificate with the credential's serial number. A private key has to be its own.
func (p *provider) find(ctx context.Context, c credential.Credential) (certificate, error) {
	serial, err := serialOf(c)
	if err != nil {
		return certificate{}, err
	}
	found, err := p.readCertificate(ctx, serial, c.Secret)
	if err != nil {
		return found, err
	}
	want, _ := new(big.Int).SetString(strings.ReplaceAll(serial, ":", ""), 16)
	if found.cert.SerialNumber.Cmp(want) != 0 {
		return found, errNoMatch
	}
	if key := c.Secret.Reveal("private_key"); key != "" && !belongs(key, found.cert) {
		return found, errNotKey
	}
	return found, nil
}

// belongs reports whether a private key, in PEM, is the certificate's.
func belongs(key string, cert *x509.Certificate) bool {
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		return false
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if ec, e := x509.ParseECPrivateKey(block.Bytes); e == nil {
			parsed = ec
		} else if rsa, e := x509.ParsePKCS1PrivateKey(block.Bytes); e == nil {
			parsed = rsa
		}
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// listed reports whether the certificate stands in the revocation list, as its relying parties read
// it: signed by the issuer, and not past its time. An answer that is no such list is an error.
// https://developer.hashicorp.com/vault/api-docs/secret/pki#read-issuer-crl
func (p *provider) listed(ctx context.Context, cert *x509.Certificate, hide credential.Secret) (bool, error) {
	issuer, err := p.readCertificate(ctx, "ca", hide)
	if err != nil {
		return false, fmt.Errorf("read the issuer: %w", err)
	}
	if cert.CheckSignatureFrom(issuer.cert) != nil {
		return false, errIssuer
	}
	a := p.ask(ctx, "", hide, get(p.settings.PKI+"/crl"))
	if a.Err != nil || a.Status != http.StatusOK {
		return false, fmt.Errorf("read the revocation list: %w", a.failure())
	}
	crl, err := x509.ParseRevocationList(a.Body)
	if err != nil {
		return false, errors.New("the revocation list is none")
	}
	switch err := crl.CheckSignatureFrom(issuer.cert); {
	case err != nil:
		return false, errors.New("the revocation list is not signed by the issuer")
	case crl.NextUpdate.Before(p.now()):
		return false, errStale
	}
	return slices.ContainsFunc(crl.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(cert.SerialNumber) == 0
	}), nil
}

func (p *provider) now() time.Time {
	if p.env.Now != nil {
		return p.env.Now()
	}
	return time.Now()
}

func (p *provider) verifyCertificate(ctx context.Context, c credential.Credential) revoke.Verdict {
	found, err := p.find(ctx, c)
	switch {
	case err != nil && found.cert == nil && found.Status > 0:
		return found.Verdict(revoke.Inconclusive, nonempty(found.said(), err.Error()))
	case err != nil:
		return inconclusive(err, c)
	case *found.data.Revoked == 0:
		return found.Verdict(revoke.Alive, "not revoked, valid until "+found.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	at := time.Unix(*found.data.Revoked, 0).UTC().Format(time.RFC3339)
	listed, err := p.listed(ctx, found.cert, c.Secret)
	switch {
	case err != nil:
		return found.Verdict(revoke.Inconclusive, "revoked "+at+", but "+err.Error())
	case !listed: // whoever reads the list lets it in
		return found.Verdict(revoke.Alive, "revoked "+at+", but not in the revocation list")
	}
	return found.Verdict(revoke.Refused, "revoked "+at+", and in the revocation list that its issuer signed")
}

func nonempty(said, otherwise string) string {
	if said == "" {
		return otherwise
	}
	return said
}

func (p *provider) inspectCertificate(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	found, err := p.find(ctx, c)
	if err != nil {
		return revoke.Exposure{}, err
	}
	e := revoke.Exposure{
		Account: found.Show(found.cert.Issuer.String()), Owner: found.Show("certificate of " + found.cert.Subject.String()),
		Answer: found.Text("valid until " + found.cert.NotAfter.UTC().Format(time.RFC3339)),
	}
	for _, name := range found.cert.DNSNames[:min(len(found.cert.DNSNames), 20)] {
		e.Reach = append(e.Reach, found.Show("be "+name))
	}
	return e, nil
}

// leftOfCertificate is what revocation cannot reach.
const leftOfCertificate = "whoever does not read the issuer's revocation list lets the certificate in until "

// revokeCertificate revokes by serial number, or by the private key where the authority may do only
// that, and then has the list made anew.
// https://developer.hashicorp.com/vault/api-docs/secret/pki#revoke-certificate
func (p *provider) revokeCertificate(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	authority, err := p.authority(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	found, err := p.find(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r := revoke.Receipt{Left: []string{leftOfCertificate + found.cert.NotAfter.UTC().Format(time.RFC3339)}}
	if *found.data.Revoked > 0 {
		if listed, err := p.listed(ctx, found.cert, c.Secret); err == nil && listed {
			r.Already, r.Answer = true, found.Text("revoked before")
			return r, nil
		}
	}
	a, how := p.sendRevocation(ctx, authority, c, found)
	var done struct {
		At int64 `json:"revocation_time"`
	}
	if !a.into(&done) || done.At == 0 {
		return revoke.Receipt{}, a.ofAuthority()
	}
	r.Answer, r.Did = a.text(), []string{how}
	p.rotate(ctx, authority, c.Secret, &r)
	return r, nil
}

// sendRevocation revokes by serial number, and by private key where that is not allowed. Even the
// latter needs some token (builtin/logical/pki/backend.go lists it among nothing that needs none).
func (p *provider) sendRevocation(ctx context.Context, authority string, c credential.Credential, found certificate) (a answer, how string) {
	serial, _ := serialOf(c) // it found the certificate
	a = p.ask(ctx, authority, c.Secret, post(p.settings.PKI+"/revoke", map[string]string{"serial_number": serial}))
	key := c.Secret.Reveal("private_key")
	if key == "" || !a.says(http.StatusForbidden, "permission denied") {
		return a, "revoked " + serial
	}
	// https://developer.hashicorp.com/vault/api-docs/secret/pki#revoke-certificate-with-private-key
	body := map[string]string{"serial_number": serial, "private_key": key}
	return p.ask(ctx, authority, c.Secret, post(p.settings.PKI+"/revoke-with-key", body)), "revoked " + serial + " with its private key"
}

// rotate has the revocation list made anew: https://developer.hashicorp.com/vault/api-docs/secret/pki#rotate-crls
func (p *provider) rotate(ctx context.Context, authority string, hide credential.Secret, r *revoke.Receipt) {
	var rotated struct {
		Success bool `json:"success"`
	}
	if a := p.ask(ctx, authority, hide, get(p.settings.PKI+"/crl/rotate")); a.into(&rotated) && rotated.Success {
		r.Did = append(r.Did, "had the revocation list made anew")
	} else {
		r.Left = append(r.Left, "the revocation list as it is, unless Vault makes it anew by itself: "+a.text())
	}
}
