package timestamp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // of certificates in older stamps
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// contentInfo is a token: a signature over an info, as CMS has it.
// https://www.rfc-editor.org/rfc/rfc5652#section-5 and https://www.rfc-editor.org/rfc/rfc3161#section-2.4.2
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version int
	Digests []algorithm `asn1:"set"`
	Content encapsulated
	Certs   asn1.RawValue `asn1:"optional,tag:0"`
	Signers []signerInfo  `asn1:"set"`
}

type encapsulated struct {
	Type    asn1.ObjectIdentifier
	Content []byte `asn1:"explicit,tag:0"`
}

type signerInfo struct {
	Version   int
	ID        asn1.RawValue
	Digest    algorithm
	Attrs     asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm algorithm
	Signature []byte
}

type algorithm struct {
	ID     asn1.ObjectIdentifier
	Params asn1.RawValue `asn1:"optional"`
}

type attribute struct {
	ID     asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// signingCert is SigningCertificate and SigningCertificateV2, which bind the signature to one
// certificate. https://www.rfc-editor.org/rfc/rfc5035#section-3
type signingCert struct {
	Certs    []certID
	Policies asn1.RawValue `asn1:"optional"`
}

type certID struct {
	Hash   algorithm `asn1:"optional"`
	Digest []byte
	Issuer asn1.RawValue `asn1:"optional"`
}

var (
	signedDataOID    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	infoOID          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	contentTypeOID   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	messageDigestOID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	signingCertOID   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	signingCert2OID  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}

	sha256OID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	sha384OID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	sha512OID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}

	rsaOID      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	keyUsageOID = asn1.ObjectIdentifier{2, 5, 29, 37} // extended
	asn1Null    = []byte{asn1.TagNull, 0}
	setOf       = byte(asn1.TagSet | 0x20)
	noMoreThan  = 16 // certificates in a stamp
	otherUsages = ^(x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment)
	hashes      = []hashOf{{sha256OID, crypto.SHA256}, {sha384OID, crypto.SHA384}, {sha512OID, crypto.SHA512}}
	signedWith  = []signature{
		{rsaOID, sha256OID, x509.SHA256WithRSA}, {rsaOID, sha384OID, x509.SHA384WithRSA}, {rsaOID, sha512OID, x509.SHA512WithRSA},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, sha256OID, x509.SHA256WithRSA},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, sha384OID, x509.SHA384WithRSA},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, sha512OID, x509.SHA512WithRSA},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, sha256OID, x509.ECDSAWithSHA256},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, sha384OID, x509.ECDSAWithSHA384},
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, sha512OID, x509.ECDSAWithSHA512},
		{asn1.ObjectIdentifier{1, 3, 101, 112}, sha512OID, x509.PureEd25519},
	}
)

type hashOf struct {
	id   asn1.ObjectIdentifier
	hash crypto.Hash
}

type signature struct {
	id, digest asn1.ObjectIdentifier
	algorithm  x509.SignatureAlgorithm
}

// is reports whether it is an algorithm that has no parameters: none, or NULL.
func (a algorithm) is(id asn1.ObjectIdentifier) bool {
	return a.ID.Equal(id) && (len(a.Params.FullBytes) == 0 || bytes.Equal(a.Params.FullBytes, asn1Null))
}

func (a algorithm) hash() (crypto.Hash, error) {
	for _, h := range hashes {
		if a.is(h.id) {
			return h.hash, nil
		}
	}
	return 0, fmt.Errorf("the digest algorithm %s is not taken", a.ID)
}

// signer is who signed a token, and the certificates that came with it.
type signer struct {
	cert   *x509.Certificate
	others []*x509.Certificate
}

// parseToken checks the signature of a token by the certificate in it, which is believed only once
// signer.check has seen whose it is. It returns what was signed.
func parseToken(der []byte) ([]byte, signer, error) {
	var token contentInfo
	if err := exactly(der, &token); err != nil {
		return nil, signer{}, fmt.Errorf("its token: %w", err)
	}
	d := token.Content
	switch {
	case !token.Type.Equal(signedDataOID) || d.Version != 3 || !d.Content.Type.Equal(infoOID):
		return nil, signer{}, errors.New("its token is no signed time stamp")
	case len(d.Signers) != 1 || len(d.Digests) != 1:
		return nil, signer{}, fmt.Errorf("its token has %d signers, not one", len(d.Signers))
	case !sameAlgorithm(d.Digests[0], d.Signers[0].Digest):
		return nil, signer{}, errors.New("its token names two digest algorithms")
	}
	certs, err := certificates(d.Certs)
	if err != nil {
		return nil, signer{}, err
	}
	s, err := d.Signers[0].of(certs)
	if err != nil {
		return nil, signer{}, err
	}
	return d.Content.Content, s, d.Signers[0].check(s.cert, d.Content.Content)
}

func sameAlgorithm(a, b algorithm) bool {
	return a.ID.Equal(b.ID) && bytes.Equal(a.Params.FullBytes, b.Params.FullBytes)
}

func certificates(set asn1.RawValue) (all []*x509.Certificate, err error) {
	if len(set.FullBytes) == 0 || !set.IsCompound {
		return nil, errors.New("it holds no certificate, so nobody can tell who signed it")
	}
	for rest := set.Bytes; len(rest) > 0; {
		var one asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return nil, fmt.Errorf("its certificates: %w", err)
		}
		c, err := x509.ParseCertificate(one.FullBytes)
		if err != nil {
			return nil, fmt.Errorf("its certificates: %w", err)
		}
		if all = append(all, c); len(all) > noMoreThan {
			return nil, fmt.Errorf("it holds more than %d certificates", noMoreThan)
		}
	}
	return all, nil
}

// of finds the certificate that a signature names.
func (i signerInfo) of(certs []*x509.Certificate) (signer, error) {
	byIssuer := func(c *x509.Certificate) bool {
		var id issuerAndSerial
		return i.Version == 1 && exactly(i.ID.FullBytes, &id) == nil &&
			bytes.Equal(id.Issuer.FullBytes, c.RawIssuer) && id.Serial.Cmp(c.SerialNumber) == 0
	}
	byKey := func(c *x509.Certificate) bool {
		return i.Version == 3 && i.ID.Class == asn1.ClassContextSpecific && i.ID.Tag == 0 && !i.ID.IsCompound &&
			len(c.SubjectKeyId) > 0 && bytes.Equal(i.ID.Bytes, c.SubjectKeyId)
	}
	at := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return byIssuer(c) || byKey(c) })
	if at < 0 {
		return signer{}, errors.New("the certificate that it names as its signer's is not in it")
	}
	return signer{certs[at], append(slices.Clone(certs[:at]), certs[at+1:]...)}, nil
}

// check checks the signature, and what it binds together: the content, its type and the certificate.
func (i signerInfo) check(cert *x509.Certificate, content []byte) error {
	hash, err := i.Digest.hash()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(signedWith, func(s signature) bool { return i.Algorithm.is(s.id) && i.Digest.ID.Equal(s.digest) })
	if at < 0 {
		return fmt.Errorf("the signature algorithm %s with the digest %s is not taken", i.Algorithm.ID, i.Digest.ID)
	}
	if len(i.Attrs.FullBytes) == 0 || !i.Attrs.IsCompound {
		return errors.New("it signs no attributes: a time stamp has to")
	}
	signed := append([]byte{setOf}, i.Attrs.FullBytes[1:]...) // https://www.rfc-editor.org/rfc/rfc5652#section-5.4
	if err := cert.CheckSignature(signedWith[at].algorithm, signed, i.Signature); err != nil {
		return fmt.Errorf("the signature does not hold: %w", err)
	}
	attrs, err := attributes(i.Attrs.Bytes)
	if err != nil {
		return err
	}
	var kind asn1.ObjectIdentifier
	if err := attrs.one(contentTypeOID, &kind); err != nil || !kind.Equal(infoOID) {
		return errors.New("what was signed is no time stamp")
	}
	sum := hash.New()
	sum.Write(content)
	var digest []byte
	if err := attrs.one(messageDigestOID, &digest); err != nil || !bytes.Equal(digest, sum.Sum(nil)) {
		return errors.New("the signature is over other content")
	}
	return attrs.bindTo(cert)
}

type attrs []attribute

func attributes(rest []byte) (all attrs, err error) {
	for len(rest) > 0 {
		var a attribute
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			return nil, fmt.Errorf("what was signed: %w", err)
		}
		if slices.ContainsFunc(all, func(b attribute) bool { return a.ID.Equal(b.ID) }) {
			return nil, fmt.Errorf("what was signed says two things at once: attribute %s is there twice", a.ID)
		}
		all = append(all, a)
	}
	return all, nil
}

// one reads the one value of an attribute.
func (all attrs) one(id asn1.ObjectIdentifier, to any) error {
	for _, a := range all {
		if a.ID.Equal(id) && len(a.Values) == 1 {
			rest, err := asn1.Unmarshal(a.Values[0].FullBytes, to)
			if err == nil && len(rest) > 0 {
				err = errors.New("something stands behind it")
			}
			return err
		}
	}
	return fmt.Errorf("attribute %s is not there", id)
}

// bindTo holds the certificate against the one that the signature is bound to: another one with the
// same key could say another name and another time.
func (all attrs) bindTo(cert *x509.Certificate) error {
	var named signingCert
	hash := crypto.SHA256
	err := all.one(signingCert2OID, &named)
	if err != nil {
		named, hash = signingCert{}, crypto.SHA1
		err = all.one(signingCertOID, &named)
	}
	if err != nil || len(named.Certs) == 0 {
		return errors.New("the signature is not bound to a certificate")
	}
	id := named.Certs[0] // the signer's stands first
	if len(id.Hash.ID) > 0 {
		if hash, err = id.Hash.hash(); err != nil {
			return err
		}
	}
	sum := hash.New()
	sum.Write(cert.Raw)
	if !bytes.Equal(sum.Sum(nil), id.Digest) {
		return errors.New("the signature is bound to another certificate than the one in it")
	}
	return nil
}

// check holds the signer against the roots, at the time of the stamp.
// https://www.rfc-editor.org/rfc/rfc3161#section-2.3
func (s signer) check(at time.Time, roots *x509.CertPool) error {
	if roots == nil {
		return errors.New("no root is named that vouches for it")
	}
	chains, err := s.cert.Verify(s.options(at, roots))
	if err != nil {
		return fmt.Errorf("its signer is not believed: %w", err)
	}
	critical := slices.ContainsFunc(s.cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(keyUsageOID) && e.Critical })
	if !critical || len(s.cert.ExtKeyUsage) != 1 || len(s.cert.UnknownExtKeyUsage) > 0 || s.cert.KeyUsage&otherUsages != 0 {
		return errors.New("its signer is not believed: the certificate is not one for time stamps alone")
	}
	for _, c := range s.others {
		if !slices.ContainsFunc(slices.Concat(chains...), c.Equal) {
			return fmt.Errorf("the certificate of %s in it has no part in who signed it", c.Subject)
		}
	}
	return nil
}

// chain is who signed, and who vouches for them up to a root, which everybody has to have already.
func (s signer) chain(at time.Time, roots *x509.CertPool) []*x509.Certificate {
	chains, err := s.cert.Verify(s.options(at, roots))
	if err != nil {
		return []*x509.Certificate{s.cert}
	}
	return chains[0][:max(1, len(chains[0])-1)]
}

func (s signer) options(at time.Time, roots *x509.CertPool) x509.VerifyOptions {
	between := x509.NewCertPool()
	for _, c := range s.others {
		between.AddCert(c)
	}
	return x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}
}
