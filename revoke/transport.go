package revoke

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// ErrNotARead is returned, before anything is sent, for a request that is not among the declared reads.
var ErrNotARead = errors.New("refused before sending: not a declared read")

// maxReadBody bounds the body of a request that might be a declared read.
const maxReadBody = 64 << 10

// ReadOnly returns a transport that sends a provider's declared reads and nothing else. Reads
// that are POST are told apart by their form or body, since the method says nothing at STS or
// Slack. Where an endpoint is pinned (Env.Endpoint), the paths are those below it, and no other
// host is called.
func ReadOnly(next http.RoundTripper, reads []Read, endpoint string) http.RoundTripper {
	base, err := url.Parse(endpoint)
	return readOnly{next, reads, base, err}
}

type readOnly struct {
	next  http.RoundTripper
	reads []Read
	base  *url.URL
	err   error // of the endpoint
}

func (t readOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	r, body, err := peekBody(r)
	if err = errors.Join(err, t.err); err != nil {
		return nil, fmt.Errorf("%w: %s to %s: %w", ErrNotARead, r.Method, r.URL.Host, err)
	}
	below, ok := t.below(r.URL)
	if !ok || !slices.ContainsFunc(t.reads, func(read Read) bool { return read.allows(r, below, body) }) {
		// The path stays out: some are secrets.
		return nil, fmt.Errorf("%w: %s to %s", ErrNotARead, r.Method, r.URL.Host)
	}
	return t.next.RoundTrip(r)
}

// below returns the path that the request has below the pinned endpoint.
func (t readOnly) below(u *url.URL) (string, bool) {
	if t.base.Host == "" {
		return u.Path, true
	}
	rest, ok := strings.CutPrefix(u.Path, strings.TrimRight(t.base.Path, "/"))
	return rest, ok && u.Host == t.base.Host && strings.HasPrefix(rest, "/")
}

func (read Read) allows(r *http.Request, below string, body []byte) bool {
	if read.Method != r.Method || below != path.Clean("/"+below) {
		return false
	}
	if ok, err := path.Match(read.Path, below); err != nil || !ok {
		return false
	}
	if read.Body != "" && read.Body != string(body) {
		return false
	}
	for name, want := range read.Header {
		// Some servers would take an action from the query instead.
		if got := r.Header.Values(name); len(got) != 1 || got[0] != want || r.URL.RawQuery != "" {
			return false
		}
	}
	return len(read.Form) == 0 || read.allowsForm(r, body)
}

// allowsForm wants each value once: a server may take the first or the last of two, and some
// prefer the query to the body.
func (read Read) allowsForm(r *http.Request, body []byte) bool {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return false
	}
	query := r.URL.Query()
	for name, want := range read.Form {
		if got := form[name]; len(got) != 1 || got[0] != want || query.Has(name) {
			return false
		}
	}
	return true
}

// peekBody reads the body of a request, and returns a request that still has it: a transport must
// not change its caller's.
func peekBody(r *http.Request) (*http.Request, []byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReadBody+1))
	_ = r.Body.Close()
	if err != nil {
		return r, nil, fmt.Errorf("read its body: %w", err)
	}
	if len(body) > maxReadBody {
		return r, nil, fmt.Errorf("its body is larger than %d bytes", maxReadBody)
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return again, body, nil
}
