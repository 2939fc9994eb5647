package timestamp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Wait bounds a call of Ask, with its second try.
const Wait = 10 * time.Second

// query is TimeStampReq. https://www.rfc-editor.org/rfc/rfc3161#section-2.4.1
type query struct {
	Version int
	Imprint imprint
	Policy  asn1.ObjectIdentifier `asn1:"optional"`
	Nonce   *big.Int
	Certs   bool
}

// Authority is a server that gives time stamps.
type Authority struct {
	url    string
	trust  Trust
	client *http.Client
	now    func() time.Time
}

// New makes an authority of its URL. Plain http does: what is sent is a digest, what comes back is
// signed, and the nonce in it makes it an answer to this question. ca vouches for https; nil for the
// roots of the system. policy is nil for whichever the authority gives.
func New(address string, roots, ca *x509.CertPool, policy asn1.ObjectIdentifier, now func() time.Time) (*Authority, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, errors.New("write it as https://host[:port][/path]")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("a time stamp is not asked for over %q", u.Scheme)
	}
	return &Authority{address, Trust{Roots: roots, Policy: policy}, &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: Wait / 2}).DialContext,
			TLSClientConfig: &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: Wait / 2,
			MaxResponseHeaderBytes: most, DisableKeepAlives: true,
		},
	}, now}, nil
}

// URL is where it is asked.
func (a *Authority) URL() string { return a.url }

// Check is Verify by what this authority is held against.
func (a *Authority) Check(kept []byte, digest [sha256.Size]byte) (Stamp, error) {
	trust := a.trust
	trust.Now = a.now()
	return Verify(kept, digest, trust)
}

// unreached is why an authority gave no answer; it may give one to a second try.
type unreached struct{ error }

func (u unreached) Unwrap() error { return u.error }

// Ask has a digest stamped. It returns the response to keep, once Verify takes it, it answers this
// very question, and its time is about now. It waits no longer than Wait.
func (a *Authority) Ask(ctx context.Context, digest [sha256.Size]byte) ([]byte, Stamp, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Wait, fmt.Errorf("no answer within %s", Wait))
	defer cancel()
	kept, s, err := a.once(ctx, digest)
	if errors.As(err, new(unreached)) && ctx.Err() == nil {
		kept, s, err = a.once(ctx, digest)
	}
	if err != nil {
		return nil, Stamp{}, fmt.Errorf("time stamp of %s: %w", a.url, err)
	}
	return kept, s, nil
}

func (a *Authority) once(ctx context.Context, digest [sha256.Size]byte) ([]byte, Stamp, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, Stamp{}, err
	}
	q := query{1, imprint{algorithm{sha256OID, asn1.NullRawValue}, digest[:]}, a.trust.Policy, nonce, true}
	asked, err := asn1.Marshal(q)
	if err != nil {
		return nil, Stamp{}, err
	}
	began := a.now()
	answer, err := a.post(ctx, asked)
	if err != nil {
		return nil, Stamp{}, err
	}
	r, err := parseResponse(answer)
	if err == nil {
		r, err = bare(r, a.trust.Roots)
	}
	if err != nil {
		return nil, Stamp{}, err
	}
	kept, err := keep(r)
	if err != nil {
		return nil, Stamp{}, err
	}
	trust := a.trust
	trust.Now = a.now()
	s, said, err := verify(kept, digest, trust)
	switch {
	case err != nil:
		return nil, Stamp{}, err
	case said.Nonce == nil || said.Nonce.Cmp(nonce) != 0:
		return nil, Stamp{}, errors.New("it is the answer to another question: its nonce is not the one that was sent")
	case s.Time.Before(began.Add(-skew)):
		return nil, Stamp{}, fmt.Errorf("it says that it is %s, and the desk's clock says %s: one of them is wrong",
			s.Time.Format(time.RFC3339), began.UTC().Format(time.RFC3339))
	}
	return kept, s, nil
}

// post waits half as long as there is, so that a second try is left.
func (a *Authority) post(ctx context.Context, asked []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Wait/2, fmt.Errorf("no answer within %s", Wait/2))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(asked))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	req.Header.Set("Accept", "application/timestamp-reply")
	answer, err := a.client.Do(req)
	if err != nil {
		return nil, unreached{reached(ctx, err)}
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		err := fmt.Errorf("it answered %d", answer.StatusCode)
		if answer.StatusCode >= 500 {
			return nil, unreached{err}
		}
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, unreached{reached(ctx, err)}
	case len(b) > most:
		return nil, fmt.Errorf("it answered with more than %d bytes", most)
	}
	return b, nil
}

// reached says why an authority could not be asked, without the URL, which the caller names.
func reached(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
