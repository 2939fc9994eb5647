package stripe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// backend sends, once, what the library's resource clients build. The library's own backend would
// run `uname -a` from PATH at the first request and send its output to Stripe, read answers
// without bound, log and quote them, and drop the status of those that are not Stripe's.
type backend struct {
	*provider
	at   string            // the address of the API, or of Connect
	hide credential.Secret // what no error may show
}

// sending returns a backend whose errors show neither the key that it sends nor the credential.
func (p *provider) sending(key string, c credential.Credential) backend {
	return backend{p, p.base, credential.NewSecret(map[string]string{"key": key, "leaked": c.Secret.Reveal("value")})}
}

// failure is any answer but the one that was asked for, or none. Its text is safe to show.
type failure struct {
	text   string
	status int                // 0 where there was no whole answer
	said   *library.Error     // nil where the answer is not one of Stripe's
	unsent bool               // nothing reached Stripe
	retry  *revoke.RetryError // nil where asking again is of no use
	cause  error              // nil where there was an answer
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() []error {
	var chain []error
	if f.cause != nil {
		chain = append(chain, f.cause)
	}
	if f.retry != nil {
		chain = append(chain, f.retry)
	}
	return chain
}

func (b backend) Call(method, path, key string, params library.ParamsContainer, v library.LastResponseSetter) error {
	values := &form.Values{}
	form.AppendTo(values, params)
	return b.CallRaw(method, path, key, values, params.GetParams(), v)
}

// CallRaw returns nil or a *failure.
func (b backend) CallRaw(method, path, key string, values *form.Values, params *library.Params, v library.LastResponseSetter) error {
	r, err := b.request(method, path, key, values, params)
	if err != nil {
		return b.unanswered(err, true)
	}
	if err := params.Context.Err(); err != nil {
		return b.unanswered(err, true)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		return b.unanswered(err, revoke.NeverSent(err))
	}
	defer resp.Body.Close()
	body, err := revoke.ReadBody(resp.Body)
	if err != nil {
		return b.unanswered(err, false)
	}
	if resp.StatusCode/100 == 2 && json.Unmarshal(body, v) == nil {
		v.SetLastResponse(&library.APIResponse{StatusCode: resp.StatusCode})
		return nil
	}
	return b.refused(resp, body)
}

// request writes parameters where Stripe reads them: of a POST in its body, otherwise in the query.
func (b backend) request(method, path, key string, values *form.Values, params *library.Params) (*http.Request, error) {
	body := ""
	if !values.Empty() {
		body = values.Encode()
	}
	if body != "" && method != http.MethodPost {
		path, body = path+"?"+body, ""
	}
	r, err := http.NewRequestWithContext(params.Context, method, b.at+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Stripe-Version", library.APIVersion) // the shapes that the library's structs have
	r.Header.Set("User-Agent", "clawback")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if params.StripeAccount != nil {
		r.Header.Set("Stripe-Account", *params.StripeAccount)
	}
	return r, nil
}

func (b backend) unanswered(err error, unsent bool) *failure {
	err = revoke.WithoutURL(err)
	f := &failure{text: revoke.Answer(0, err.Error(), b.hide), unsent: unsent, cause: err}
	// A connection that takes too long counts as an end of the context too.
	if revoke.NeverSent(err) || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		f.retry = &revoke.RetryError{Answer: f.text}
	}
	return f
}

func (b backend) refused(resp *http.Response, body []byte) *failure {
	f := &failure{status: resp.StatusCode}
	var answer struct {
		Error *library.Error `json:"error"`
	}
	text := "not an answer of Stripe's"
	if resp.StatusCode >= 400 && json.Unmarshal(body, &answer) == nil && answer.Error != nil && answer.Error.Type != "" {
		f.said, text = answer.Error, answer.Error.Msg
		if text == "" {
			text = string(answer.Error.Code)
		}
	}
	f.text = revoke.Answer(resp.StatusCode, text, b.hide)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		f.retry = &revoke.RetryError{After: revoke.RetryAfter(resp.Header, b.now()), Answer: f.text}
	}
	return f
}

var errUnused = errors.New("stripe: a kind of request that this provider does not make")

func (backend) CallStreaming(_, _, _ string, _ library.ParamsContainer, _ library.StreamingLastResponseSetter) error {
	return errUnused
}

func (backend) CallMultipart(_, _, _, _ string, _ *bytes.Buffer, _ *library.Params, _ library.LastResponseSetter) error {
	return errUnused
}

func (backend) SetMaxNetworkRetries(int64) {} // a probe is one request
