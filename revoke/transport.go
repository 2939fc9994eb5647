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

// maxReadBody bounds the body of a request that might be a declared read in form encoding.
const maxReadBody = 64 << 10

// ReadOnly returns a transport that sends a provider's declared reads and nothing else. Reads
// that are POST are told apart by their form, since the method says nothing at STS or Slack.
func ReadOnly(next http.RoundTripper, reads []Read) http.RoundTripper {
	return readOnly{next, reads}
}

type readOnly struct {
	next  http.RoundTripper
	reads []Read
}

func (t readOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	form, err := peekForm(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrNotARead, r.Method, r.URL.Path, err)
	}
	if !slices.ContainsFunc(t.reads, func(read Read) bool { return read.allows(r, form) }) {
		return nil, fmt.Errorf("%w: %s %s", ErrNotARead, r.Method, r.URL.Path)
	}
	return t.next.RoundTrip(r)
}

func (read Read) allows(r *http.Request, form url.Values) bool {
	if read.Method != r.Method || r.URL.Path != path.Clean("/"+r.URL.Path) {
		return false
	}
	if ok, err := path.Match(read.Path, r.URL.Path); err != nil || !ok {
		return false
	}
	for name, want := range read.Form {
		if got := form[name]; len(got) != 1 || got[0] != want {
			return false
		}
	}
	return true
}

// peekForm reads the body of a form-encoded request and puts it back.
func peekForm(r *http.Request) (url.Values, error) {
	if r.Body == nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReadBody+1))
	_ = r.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read its body: %w", err)
	}
	if len(body) > maxReadBody {
		return nil, fmt.Errorf("its body is larger than %d bytes", maxReadBody)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return url.ParseQuery(string(body))
}
