package witness

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Secret gives a secret when it is needed, and anew each time: it may be renewed during a run.
type Secret func() (string, error)

// HTTPS posts each delivery to one URL, as JSON:
//
//	{"version": 1, "incident": "INC-…", "first": 3, "last": 4, "lines": ["…", "…"], "checkpoint": "…", "size": 4}
//
// Lines are those of the record without their newline, the checkpoint is the signed note; each is
// left out when there is none. A delivery is repeated until it is answered with a 2xx, under the
// same Idempotency-Key as long as it is the same.
type HTTPS struct {
	url    string
	token  Secret // nil for none
	client *http.Client
}

// Post is the body that HTTPS sends.
type Post struct {
	Version    int      `json:"version"`
	Incident   string   `json:"incident"`
	First      uint64   `json:"first,omitempty"`
	Last       uint64   `json:"last,omitempty"`
	Lines      []string `json:"lines,omitempty"`
	Checkpoint string   `json:"checkpoint,omitempty"`
	Size       uint64   `json:"size,omitempty"`
}

// NewHTTPS checks the URL. token may be nil; roots may be nil for those of the system.
func NewHTTPS(rawURL string, token Secret, roots *x509.CertPool) (*HTTPS, error) {
	if err := CheckURL(rawURL); err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               nil, // the desk's environment does not decide where the record goes
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
	return &HTTPS{rawURL, token, &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CheckURL refuses a URL that is no place for a record: without TLS outside of this machine, or
// with a password in it. It never repeats the URL, which may hold one.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("it is not a URL such as https://audit.example.com/clawback")
	case u.User != nil:
		return errors.New("it holds a user name or password: use token for a secret")
	case u.Fragment != "":
		return errors.New("it ends in a fragment, which is never sent")
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("the record is not sent over %q: use https", u.Scheme)
	}
	return nil
}

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Kind is "https".
func (*HTTPS) Kind() string { return "https" }

// Send returns nil once the receiver answered with a 2xx.
func (h *HTTPS) Send(ctx context.Context, d Delivery) error {
	post := Post{Version: 1, Incident: d.Incident, First: d.First, Last: d.Last, Checkpoint: string(d.Checkpoint), Size: d.Size}
	for _, e := range d.Entries {
		post.Lines = append(post.Lines, string(e.Line()))
	}
	body, err := json.Marshal(post)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("make the request: the URL cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "clawback")
	r.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d-%d-%d", d.Incident, d.First, d.Last, d.Size))
	if h.token != nil {
		token, err := h.token()
		if err != nil {
			return fmt.Errorf("its token: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := h.client.Do(r)
	if err != nil {
		return withoutURL(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	return answered(resp)
}

// withoutURL takes the URL out of an error: its path or query may be a secret.
func withoutURL(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var full *url.Error
	if errors.As(err, &full) {
		err = full.Err
	}
	return err
}

// answered judges by the status alone. Nothing of the body is repeated: it may hold what was sent.
func answered(resp *http.Response) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("it answered %d %s", code, http.StatusText(code))
	switch {
	case code >= 300 && code < 400:
		err = fmt.Errorf("%w: redirects are not followed", err)
	case code == http.StatusTooManyRequests, code >= 500:
		if after := retryAfter(resp); after > 0 {
			return &LaterError{err, after}
		}
		return err
	}
	return &LaterError{err, time.Minute} // to ask soon again changes nothing; a person might
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
