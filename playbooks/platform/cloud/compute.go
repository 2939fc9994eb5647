package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"clawback/playbooks/platform"
	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const (
	computeAddress = "https://compute.googleapis.com"
	googleToken    = "google.access_token"
	operationLooks = 30 // of an operation, until it is done

	endless  = "endless"          // our reason for an operation that is not done by then
	notReady = "resourceNotReady" // Google's for a change of what another operation is still changing
)

// compute calls Compute Engine's API: https://cloud.google.com/compute/docs/reference/rest/v1
type compute struct {
	env    revoke.Env
	client wire.Client
}

// computeError is Google's refusal of one call, or of the operation that it began.
type computeError struct {
	call   string
	status int    // 0 where there was no answer
	reason string // "forbidden", "QUOTA_EXCEEDED"
	text   string // fit to be shown
}

func (e *computeError) Error() string { return "Google Cloud: " + e.call + ": " + e.text }

func isCompute(err error, statuses ...int) bool {
	var e *computeError
	return errors.As(err, &e) && slices.Contains(statuses, e.status)
}

// computeFinal reports whether asking again changes nothing. 409, 412 and a lost answer show at the next look.
func computeFinal(err error) bool {
	var hinted platform.Hinted
	var e *computeError
	if errors.As(err, &e) && e.reason == notReady {
		return false
	}
	return errors.As(err, &hinted) || isCompute(err, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden) ||
		errors.As(err, &e) && (e.reason == "QUOTA_EXCEEDED" || e.reason == endless)
}

// call sends one request, again where Google asks to wait. into may be nil.
func (c *compute) call(ctx context.Context, name string, q wire.Request, into any) error {
	a, err := c.env.Authority(ctx)
	if err != nil {
		return platform.Hinted{Err: fmt.Errorf("Google Cloud: %s: %w", name, err), Next: "name authorities: {google: …} in the configuration; clawback providers --check tests it"}
	}
	if q.Bearer = a.Secret.Reveal("value"); a.Kind != googleToken || !wire.Sendable(q.Bearer) {
		return platform.Hinted{Err: fmt.Errorf("Google Cloud: %s: %s gives no access token", name, a.From),
			Next: "configure authorities: {google: {kind: google.access_token, parts: {value: {login: gcloud}}}}"}
	}
	q.Path = "/compute/v1/" + q.Path
	wait := time.Second
	for try := 1; ; try++ {
		p := c.client.Do(ctx, q)
		if p.Err == nil && p.Status == http.StatusOK {
			if into != nil && !p.JSON(into) {
				return &computeError{call: name, status: p.Status, text: "the answer has not the form of Google's"}
			}
			return nil
		}
		e := computeRefused(name, p, a.Secret)
		// https://cloud.google.com/compute/api-quota: 403 rateLimitExceeded, 429 at other services
		again := p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable || e.reason == "rateLimitExceeded"
		if !again || try == callTries || c.env.Sleep(ctx, min(max(p.RetryAfter, wait), longest)) != nil {
			if again {
				e.status = http.StatusTooManyRequests
			}
			return e
		}
		wait *= 2
	}
}

// computeRefused reads Google's error: https://cloud.google.com/apis/design/errors#http_mapping
func computeRefused(name string, p wire.Reply, hide credential.Secret) *computeError {
	var said struct {
		Error struct {
			Message string `json:"message"`
			Errors  []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
		} `json:"error"`
	}
	e := &computeError{call: name, status: p.Status}
	if p.JSON(&said) && len(said.Error.Errors) > 0 {
		e.reason = revoke.Answer(0, said.Error.Errors[0].Reason, hide)
	}
	if e.text = p.Text(said.Error.Message); p.Status == 0 || p.Err != nil {
		e.status, e.text = 0, "no answer: "+p.Text("")
	}
	return e
}

// operation is what a change goes on as: https://cloud.google.com/compute/docs/api/how-tos/api-requests-responses#handling_api_responses
type operation struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	} `json:"error"`
	HTTPStatus int `json:"httpErrorStatusCode"`

	call, in string
}

var operationName = regexp.MustCompile(`\A[a-z0-9][-a-z0-9]{0,126}\z`)

// begin asks for a change, which then goes on below in: "projects/p/global". Whoever interrupts us, a
// change that was recorded is sent.
func (c *compute) begin(ctx context.Context, name, in string, q wire.Request) (operation, error) {
	op := operation{call: name, in: in}
	err := c.call(context.WithoutCancel(ctx), name, q, &op)
	return op, err
}

// done waits for a change to end, for a minute at most.
func (c *compute) done(ctx context.Context, op operation) error {
	name, in := op.call, op.in
	for look := 0; op.Status != "DONE"; look++ {
		if !operationName.MatchString(op.Name) {
			return &computeError{call: name, text: "the answer has not the form of Google's"}
		}
		if look == operationLooks {
			return &computeError{call: name, reason: endless, text: "the operation does not end"}
		}
		if err := c.env.Sleep(ctx, roundPause); err != nil {
			return fmt.Errorf("Google Cloud: %s: not seen done: %w", name, err)
		}
		path := in + "/operations/" + url.PathEscape(op.Name)
		op = operation{}
		if err := c.call(ctx, name, wire.Request{Method: http.MethodGet, Path: path}, &op); err != nil {
			return err
		}
	}
	if len(op.Error.Errors) == 0 && op.HTTPStatus < http.StatusBadRequest {
		return nil
	}
	e := &computeError{call: name, status: op.HTTPStatus, text: "the operation failed"}
	if len(op.Error.Errors) > 0 {
		first := op.Error.Errors[0]
		e.reason = revoke.Answer(0, first.Code, credential.Secret{})
		e.text = revoke.Answer(op.HTTPStatus, first.Code+" "+first.Message, credential.Secret{})
	}
	return e
}
