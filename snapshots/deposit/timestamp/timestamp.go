// Package timestamp has a time stamping authority say that a digest existed at a time (RFC 3161), and
// checks what it said against roots that the desk believes.
//
// What is kept is a response that openssl ts -verify takes as well. Checking it needs no network. It
// is strict: of what the authority sends, whatever nobody signs is either left out or has one form
// only, so that no changed bit means the same. Whether the authority's certificate was revoked is not
// looked at.
package timestamp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Trust is what a stamp is held against.
type Trust struct {
	Roots  *x509.CertPool        // whose authorities are believed
	Policy asn1.ObjectIdentifier // that it has to be given under; nil for any
	Now    time.Time             // a stamp of later is none
}

// Stamp is what an authority said of a digest.
type Stamp struct {
	Time     time.Time     // UTC, by the authority's clock
	Accuracy time.Duration // 0 where it names none
	By       string        // subject of the certificate that signed it
	Policy   string        // dotted OID
	Serial   string        // decimal
}

// skew is how far the authority's clock and the desk's may be apart.
const skew = 10 * time.Minute

// most bounds a response; usual ones have 2 to 8 kB.
const most = 64 << 10

// response is TimeStampResp. https://www.rfc-editor.org/rfc/rfc3161#section-2.4.2
type response struct {
	Status statusInfo
	Token  asn1.RawValue `asn1:"optional"`
}

type statusInfo struct {
	Status int
	Text   []asn1.RawValue `asn1:"optional"`
	Fail   asn1.BitString  `asn1:"optional"`
}

// info is TSTInfo, which is all that the authority signs.
type info struct {
	Version    int
	Policy     asn1.ObjectIdentifier
	Imprint    imprint
	Serial     *big.Int
	Time       time.Time     `asn1:"generalized"`
	Accuracy   accuracy      `asn1:"optional"`
	Ordering   bool          `asn1:"optional"`
	Nonce      *big.Int      `asn1:"optional"`
	TSA        asn1.RawValue `asn1:"optional,tag:0"`
	Extensions []extension   `asn1:"optional,tag:1"`
}

type imprint struct {
	Algorithm algorithm
	Digest    []byte
}

type accuracy struct {
	Seconds int `asn1:"optional"`
	Millis  int `asn1:"optional,tag:0"`
	Micros  int `asn1:"optional,tag:1"`
}

type extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool `asn1:"optional"`
	Value    []byte
}

// Verify checks a kept response over a SHA-256 and returns what it proves.
func Verify(kept []byte, digest [sha256.Size]byte, t Trust) (Stamp, error) {
	s, _, err := verify(kept, digest, t)
	return s, err
}

func verify(kept []byte, digest [sha256.Size]byte, t Trust) (Stamp, info, error) {
	if len(kept) > most {
		return Stamp{}, info{}, fmt.Errorf("a time stamp of more than %d bytes", most)
	}
	r, err := parseResponse(kept)
	if err != nil {
		return Stamp{}, info{}, err
	}
	if again, err := keep(r); err != nil || !bytes.Equal(again, kept) {
		return Stamp{}, info{}, errors.New("it is not in the one form in which it is kept: something that nobody signed was changed")
	}
	content, signer, err := parseToken(r.Token.FullBytes)
	if err != nil {
		return Stamp{}, info{}, err
	}
	var said info
	if err := exactly(content, &said); err != nil {
		return Stamp{}, info{}, fmt.Errorf("what was signed: %w", err)
	}
	if err := said.check(digest, t); err != nil {
		return Stamp{}, info{}, err
	}
	if err := signer.check(said.Time, t.Roots); err != nil {
		return Stamp{}, info{}, err
	}
	return Stamp{
		Time: said.Time.UTC(), Accuracy: said.Accuracy.duration(), By: signer.cert.Subject.String(),
		Policy: said.Policy.String(), Serial: said.Serial.String(),
	}, said, nil
}

// parseResponse reads what an authority answered, and says why there is no stamp in it.
func parseResponse(b []byte) (response, error) {
	var r response
	rest, err := asn1.Unmarshal(b, &r)
	switch {
	case err != nil:
		return r, fmt.Errorf("it is no response of a time stamping authority: %w", err)
	case len(rest) > 0:
		return r, errors.New("something stands behind the response")
	case r.Status.Status != 0:
		return r, fmt.Errorf("the authority gives no stamp: status %d%s", r.Status.Status, reason(r.Status))
	case len(r.Token.FullBytes) == 0:
		return r, errors.New("the authority says that it gives a stamp, and gives none")
	}
	return r, nil
}

// reason is why an authority refused. https://www.rfc-editor.org/rfc/rfc3161#section-2.4.2
func reason(s statusInfo) string {
	for bit, text := range map[int]string{
		0: "it does not take SHA-256", 2: "bad request", 5: "bad data", 14: "its clock is out of reach",
		15: "it does not give stamps under this policy", 16: "unaccepted extension", 17: "not available", 25: "system failure",
	} {
		if s.Fail.At(bit) == 1 {
			return " (" + text + ")"
		}
	}
	return ""
}

// keep is the form in which a response is kept.
func keep(r response) ([]byte, error) {
	return asn1.Marshal(response{Token: asn1.RawValue{FullBytes: r.Token.FullBytes}})
}

// bare is a response without what nobody signs and nobody needs: the authority's words, and
// certificates that have no part in who signed it, of which some authorities send several.
func bare(r response, roots *x509.CertPool) (response, error) {
	var token contentInfo
	if err := exactly(r.Token.FullBytes, &token); err != nil {
		return r, fmt.Errorf("its token: %w", err)
	}
	content, s, err := parseToken(r.Token.FullBytes)
	if err != nil {
		return r, err
	}
	var said info
	if err := exactly(content, &said); err != nil {
		return r, fmt.Errorf("what was signed: %w", err)
	}
	var certs [][]byte
	for _, c := range s.chain(said.Time, roots) {
		certs = append(certs, c.Raw)
	}
	slices.SortFunc(certs, bytes.Compare) // a set has one order
	token.Content.Certs = asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: bytes.Join(certs, nil)}
	der, err := asn1.Marshal(token)
	return response{Token: asn1.RawValue{FullBytes: der}}, err
}

func (said info) check(digest [sha256.Size]byte, t Trust) error {
	switch {
	case said.Version != 1 || said.Serial == nil:
		return fmt.Errorf("a stamp of version %d is not known", said.Version)
	case !said.Imprint.Algorithm.is(sha256OID) || !bytes.Equal(said.Imprint.Digest, digest[:]):
		return errors.New("it is a stamp of something else: the digest in it is another")
	case t.Policy != nil && !said.Policy.Equal(t.Policy):
		return fmt.Errorf("it was given under the policy %s, not %s", said.Policy, t.Policy)
	case said.Time.After(t.Now.Add(skew)):
		return fmt.Errorf("its time, %s, is still to come", said.Time.UTC().Format(time.RFC3339))
	}
	for _, e := range said.Extensions {
		if e.Critical {
			return fmt.Errorf("it says something that has to be understood and is not: extension %s", e.ID)
		}
	}
	return nil
}

func (a accuracy) duration() time.Duration {
	return time.Duration(a.Seconds)*time.Second + time.Duration(a.Millis)*time.Millisecond + time.Duration(a.Micros)*time.Microsecond
}

// exactly reads DER in its one form: with nothing behind it, nor inside it that v does not name.
func exactly[T any](der []byte, v *T) error {
	rest, err := asn1.Unmarshal(der, v)
	if err != nil {
		return err
	}
	again, err := asn1.Marshal(*v)
	if err != nil || len(rest) > 0 || !bytes.Equal(again, der) {
		return errors.New("it is not in the one form that it has to have (DER)")
	}
	return nil
}
