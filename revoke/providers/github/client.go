package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// reply is what came of one request: an answer, or the error that took its place.
type reply struct {
	status  int // 0 where no whole answer came
	header  http.Header
	message string // GitHub's own, in an error; "" where the body is not GitHub's
	limited bool
	err     error // the request failed, or an answer of success could not be read
}

// send makes one request with a client of its own: go-github's clients remember rate limits, and
// then invent a 403 without asking. No token means no authentication.
func (p *provider) send(ctx context.Context, method, path, token string, body, into any) reply {
	hc := *p.env.HTTP
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	hc.Transport = whole{hc.Transport}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc.Jar = nil
	// go-github leaves bodies of refusals open, and a client's own timeout runs on behind those.
	timeout := hc.Timeout
	if timeout == 0 {
		timeout = requestTimeout
	}
	hc.Timeout = 0
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := gh.NewClient(&hc)
	if token != "" {
		client = client.WithAuthToken(token)
	}
	client.BaseURL = p.base
	client.UserAgent = "clawback"
	req, err := client.NewRequest(method, path, body)
	if err != nil {
		return reply{err: err}
	}
	resp, err := client.Do(ctx, req, into)
	return newReply(resp, err)
}

// newReply takes go-github's many errors back to what was answered.
func newReply(resp *gh.Response, err error) reply {
	if resp == nil || resp.Response == nil {
		return reply{err: err}
	}
	r := reply{status: resp.StatusCode, header: resp.Header, limited: resp.StatusCode == http.StatusTooManyRequests}
	var (
		accepted  *gh.AcceptedError
		plain     *gh.ErrorResponse
		primary   *gh.RateLimitError
		secondary *gh.AbuseRateLimitError
		otp       *gh.TwoFactorAuthError
	)
	switch {
	case err == nil, errors.As(err, &accepted):
	case errors.As(err, &primary):
		r.message, r.limited = primary.Message, true
	case errors.As(err, &secondary):
		r.message, r.limited = secondary.Message, true
	case errors.As(err, &otp):
		r.message = "one-time password required"
	case errors.As(err, &plain):
		r.message = plain.Message
		r.limited = r.limited || r.status == http.StatusForbidden && r.header.Get("Retry-After") != ""
	default:
		r.err = err
	}
	return r
}

// answer words the reply for people.
func (r reply) answer(secret credential.Secret) string {
	if r.err != nil && r.status == 0 {
		return revoke.Answer(0, revoke.WithoutURL(r.err).Error(), secret)
	}
	return revoke.Answer(r.status, r.message, secret)
}

// wait is how long GitHub asks to wait.
// https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api#rate-limit-errors
func (r reply) wait(now time.Time) time.Duration {
	if after := revoke.RetryAfter(r.header, now); after > 0 || !r.limited {
		return after
	}
	if r.header.Get("X-RateLimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(r.header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			// Up to the hour that a window has, and never at once.
			return min(max(time.Unix(reset, 0).Sub(now), time.Second), time.Hour)
		}
	}
	return time.Minute
}

// more reports whether GitHub has another page of a list.
// https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api
func (r reply) more() bool { return strings.Contains(r.header.Get("Link"), `rel="next"`) }

// mutationError says why a request that was to change something did not, or may not have; nil
// after an answer that is neither a limit nor an outage.
func (r reply) mutationError(now time.Time, secret credential.Secret) error {
	retry := &revoke.RetryError{After: r.wait(now), Answer: r.answer(secret)}
	switch {
	case r.err != nil && revoke.NeverSent(r.err):
		return fmt.Errorf("%w: %w", retry, masked{"not sent", r.err})
	case r.err != nil:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, masked{r.answer(secret), r.err})
	case r.limited:
		return retry
	case r.status >= 500:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, retry)
	}
	return nil
}

// unexpected words an answer that the documentation does not have. A success of another kind may
// have been one.
func (r reply) unexpected(secret credential.Secret) error {
	err := errors.New(r.answer(secret))
	if r.status < 300 {
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, err)
	}
	return err
}

// masked is an error whose own text may hold what must not be shown: net/http quotes a broken
// answer. It can be compared with, and not be reached.
type masked struct {
	text  string
	cause error
}

func (e masked) Error() string        { return e.text }
func (e masked) Is(target error) bool { return errors.Is(e.cause, target) }

// whole hands on answers that arrived in full and are of a sensible size. go-github reads without
// a limit, and takes the first half of a cut error for an error.
type whole struct{ next http.RoundTripper }

func (t whole) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := revoke.ReadBody(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
