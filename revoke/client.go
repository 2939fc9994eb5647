package revoke

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// NewTransport returns the transport by which real providers are reached. It takes no proxy from
// the environment: on a desk that is also the suspect host, the attacker would choose it.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  25 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		// All requests to a provider share one connection: where that dies in silence, the next
		// attempts must not die with it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// NewClient returns a client over a transport. It follows no redirect: where a provider sends us
// is not where our secrets go.
func NewClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NeverSent reports whether an error of net/http means that the request surely stayed here: no
// connection was made. After any other error the provider may have got it.
func NeverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Refuse is the transport of a dry run: it sends nothing at all.
type Refuse struct{}

func (Refuse) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &DryRunError{Method: r.Method, Host: r.URL.Host}
}

// DryRunError is what a request of a dry run meets instead of its provider.
type DryRunError struct{ Method, Host string }

func (e *DryRunError) Error() string {
	return "dry run: " + e.Method + " to " + e.Host + " was not sent"
}
