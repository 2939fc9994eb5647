// Package wire sends one request to a provider and keeps what came of it: for the providers that
// need a few plain calls and no library. It decides nothing: what an answer means is the
// provider's to say.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// Client sends requests to one base address. Its zero value is of no use: see New.
type Client struct {
	http *http.Client
	base string // no slash at its end
	now  func() time.Time
}

// New returns a client for a provider's compiled-in address, or the one that the desk pinned instead.
func New(env revoke.Env, compiled string) (Client, error) {
	c := Client{http: env.HTTP, base: compiled, now: env.Now}
	if env.Endpoint != "" {
		c.base = env.Endpoint
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.http == nil {
		return c, errors.New("no HTTP client")
	}
	u, err := url.Parse(c.base)
	switch {
	case err != nil:
		return c, fmt.Errorf("endpoint: no address: %w", revoke.WithoutURL(err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return c, errors.New("endpoint: want http://… or https://…")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return c, errors.New("endpoint: want an address without user, query and fragment")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	c.base = u.String()
	return c, nil
}

// Request is one request. At most one of JSON, Form and Body is set.
type Request struct {
	Method string
	Path   string // below the base; each segment that is not ours through url.PathEscape
	Query  url.Values
	Header http.Header
	JSON   any
	Form   url.Values
	Body   string // sent as it is, with the Content-Type of Header
	Bearer string // "Authorization: Bearer …" where set
	User   *url.Userinfo
	// Hide is what no text of the Reply may show, beside the values of Bearer, User and Form.
	Hide credential.Secret
}

// Reply is what came of one request.
type Reply struct {
	Status     int // 0 where there was no answer
	Header     http.Header
	Body       []byte        // empty where it could not be read whole
	RetryAfter time.Duration // how long the provider asked us to wait; 0 where it did not
	Err        error         // why there is no whole answer; safe to show
	Unsent     bool          // nothing reached the provider

	hide credential.Secret
}

// Do sends the request once. It follows no redirect and tries nothing again.
func (c Client) Do(ctx context.Context, q Request) Reply {
	p, body := c.send(ctx, q)
	if body == nil {
		return p
	}
	defer func() { _ = body.Close() }()
	return p.read(body)
}

// Copy is Do, except that what a 2xx answers is copied to w, at most so many bytes of it, and is not in the
// Reply. Where the answer is longer or broke off, what came of it is copied and the Reply has Err. The error
// is that of w.
func (c Client) Copy(ctx context.Context, q Request, w io.Writer, most int64) (Reply, error) {
	p, body := c.send(ctx, q)
	if body == nil {
		return p, nil
	}
	defer func() { _ = body.Close() }()
	if p.Status/100 != 2 {
		return p.read(body), nil
	}
	to := &destination{w: w}
	_, err := io.CopyN(to, body, most)
	switch {
	case to.err != nil:
		return p.broke(errors.New("it was not kept")), to.err
	case errors.Is(err, io.EOF):
		return p, nil
	case err != nil:
		return p.broke(err), nil
	}
	if n, _ := io.ReadFull(body, make([]byte, 1)); n > 0 {
		return p.broke(revoke.ErrBodyTooLarge), nil
	}
	return p, nil
}

// destination keeps apart what could not be written from what could not be read.
type destination struct {
	w   io.Writer
	err error
}

func (d *destination) Write(b []byte) (n int, err error) {
	n, err = d.w.Write(b)
	d.err = err
	return n, err
}

// send returns the answer's body, unread; nil where there is no answer.
func (c Client) send(ctx context.Context, q Request) (Reply, io.ReadCloser) {
	p := Reply{hide: q.hidden()}
	r, err := c.request(ctx, q)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		p.Unsent = true
		return p.broke(err), nil
	}
	resp, err := c.http.Do(r)
	if err != nil {
		p.Unsent = revoke.NeverSent(err)
		return p.broke(err), nil
	}
	p.Status, p.Header, p.RetryAfter = resp.StatusCode, resp.Header, revoke.RetryAfter(resp.Header, c.now())
	return p, resp.Body
}

func (p Reply) read(body io.Reader) Reply {
	var err error
	if p.Body, err = revoke.ReadBody(body); err != nil {
		return p.broke(err)
	}
	return p
}

func (c Client) request(ctx context.Context, q Request) (*http.Request, error) {
	body, kind := q.Body, ""
	switch {
	case q.JSON != nil:
		b, err := json.Marshal(q.JSON)
		if err != nil {
			return nil, errors.New("the body cannot be written as JSON")
		}
		body, kind = string(b), "application/json"
	case q.Form != nil:
		body, kind = q.Form.Encode(), "application/x-www-form-urlencoded"
	}
	address := c.base + q.Path
	if len(q.Query) > 0 {
		address += "?" + q.Query.Encode()
	}
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, address, content)
	if err != nil {
		return nil, errors.New("what is known of it makes no address")
	}
	r.Header.Set("User-Agent", "clawback")
	r.Header.Set("Accept", "application/json")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for name, values := range q.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	switch {
	case q.Bearer != "":
		r.Header.Set("Authorization", "Bearer "+q.Bearer)
	case q.User != nil:
		password, _ := q.User.Password()
		r.SetBasicAuth(q.User.Username(), password)
	}
	return r, nil
}

// hidden is all that an answer might quote.
func (q Request) hidden() credential.Secret {
	parts := map[string]string{"bearer": q.Bearer}
	for _, name := range q.Hide.Parts() {
		parts["hide."+name] = q.Hide.Reveal(name)
	}
	if q.User != nil {
		parts["password"], _ = q.User.Password()
	}
	for name, values := range q.Form {
		if len(values) > 0 && len(values[0]) >= 16 {
			parts["form."+name] = values[0]
		}
	}
	return credential.NewSecret(parts)
}

// broke takes in an error of the transport. Of these only the safe text is kept, and the ends of a
// context, on which a caller decides: others may quote what a server sent.
func (p Reply) broke(err error) Reply {
	p.Body = nil
	err = revoke.WithoutURL(err)
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			p.Err = known
			return p
		}
	}
	p.Err = errors.New(revoke.Answer(0, err.Error(), p.hide))
	return p
}

// JSON reads the body, which has to be one JSON value, and reports whether it is. What a body with
// the wrong types fills by half is no answer: into is to be used only where JSON is true.
func (p Reply) JSON(into any) bool {
	return p.Err == nil && len(bytes.TrimSpace(p.Body)) > 0 && json.Unmarshal(p.Body, into) == nil
}

// Text is the answer as people see it, "401 Bad credentials": the status, and what the provider said,
// which the caller takes from the body.
func (p Reply) Text(said string) string {
	if p.Err != nil {
		said = p.Err.Error()
	}
	return revoke.Answer(p.Status, said, p.hide)
}

// Show makes text of the body fit to be shown, without its status.
func (p Reply) Show(text string) string { return revoke.Answer(0, text, p.hide) }

// Verdict is a verdict with the answer's text. An outcome other than Inconclusive is for answers that
// were read whole: without one it is Inconclusive.
func (p Reply) Verdict(o revoke.Outcome, said string) revoke.Verdict {
	if p.Err != nil {
		o = revoke.Inconclusive
	}
	return revoke.Verdict{Outcome: o, Answer: p.Text(said), RetryAfter: p.RetryAfter}
}

// Failure is the error for a mutation that was not accepted: typed as revoke's sweep decides, with
// what the provider said. The caller adds revoke.ErrAuthority where the authority was refused.
func (p Reply) Failure(said string) error {
	text := p.Text(said)
	retry := &revoke.RetryError{After: p.RetryAfter, Answer: text}
	ended := errors.Is(p.Err, context.Canceled) || errors.Is(p.Err, context.DeadlineExceeded)
	switch {
	case p.Unsent && ended:
		return p.Err
	case p.Unsent:
		return retry
	case ended:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, p.Err)
	case p.Err != nil, p.Status >= 500:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, retry)
	case p.Status == http.StatusTooManyRequests:
		return retry
	case p.Status < 400: // somebody in between answered, and may have passed it on
		return fmt.Errorf("%w: %s", revoke.ErrUncertain, text)
	}
	return errors.New(text)
}

// Sendable reports whether a value can stand in a header: printable ASCII of at most 8 KiB. A secret
// that cannot is not sent, and proves nothing.
func Sendable(value string) bool {
	return value != "" && len(value) <= 8<<10 && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Authority returns the responder's own credential for killing c, all parts of it. It is never the
// credential itself.
func Authority(ctx context.Context, env revoke.Env, c credential.Credential) (revoke.Authority, error) {
	if env.Authority == nil {
		return revoke.Authority{}, revoke.ErrNoAuthority
	}
	a, err := env.Authority(ctx)
	switch {
	case err != nil:
		return a, fmt.Errorf("get the authority: %w", err)
	case a.Secret.Empty():
		return a, revoke.ErrNoAuthority
	}
	for _, mine := range a.Secret.Parts() {
		for _, part := range c.Secret.Parts() {
			if v := c.Secret.Reveal(part); len(v) >= 16 && v == a.Secret.Reveal(mine) {
				return a, revoke.ErrOurs
			}
		}
	}
	return a, nil
}
