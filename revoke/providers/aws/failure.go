package aws

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"clawback/revoke"
)

// changes are the actions that change something at AWS.
var changes = []string{
	"PutUserPolicy", "PutRolePolicy", "UpdateAccessKey", "UpdateServiceSpecificCredential", "UpdateSecretVersionStage",
	"DeleteUserPolicy", "DeleteRolePolicy", "DeleteLoginProfile", "UpdatePolicy",
}

// denial is why AWS says that it denied an action:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
type denial int

const (
	unexplained    denial = iota
	implicitDenial        // no policy allows it
	identityDenial        // an explicit deny in an identity-based policy, as ours is
	serviceDenial         // an explicit deny in a policy of the organization
	otherDenial           // an explicit deny of a boundary, a session's policy, …
)

func (d denial) String() string {
	return [...]string{"for no reason given", "no policy allows it", "explicit deny in an identity-based policy",
		"explicit deny in a service control policy", "explicit deny in another kind of policy"}[d]
}

// failure is a request without a result. Its text is made of what may be shown; what callers
// decide on is in Unwrap.
type failure struct {
	action    string
	status    int    // 0 where no whole answer came
	code      string // of AWS's error document, "" where the answer is none
	denial    denial
	answer    string // "403 AccessDenied …"
	date      time.Time
	after     time.Duration
	authority bool // asked with the responder's keys
	unsent    bool
	ended     bool  // by us, before it was sent
	cause     error // why no answer came, where a caller decides on it
}

// causes are the reasons for no answer that callers decide on. Others only give their text: those
// of net/http may quote what was received.
var causes = []error{context.Canceled, context.DeadlineExceeded, revoke.ErrNotARead, revoke.ErrBodyTooLarge}

// failed reads an error of the SDK, which itself goes no further: it quotes what was received.
func (c *caller) failed(action string, err error) *failure {
	f := &failure{action: action, authority: c.authority}
	var answered *smithyhttp.ResponseError
	if !errors.As(err, &answered) || answered.Response == nil || answered.HTTPStatusCode() == 0 {
		f.answer = "no answer"
		var missing *noAnswer
		if errors.As(err, &missing) {
			f.unsent = revoke.NeverSent(missing.cause)
			f.answer = revoke.Answer(0, "no answer: "+missing.cause.Error(), c.hide)
		}
		if i := slices.IndexFunc(causes, func(c error) bool { return errors.Is(err, c) }); i >= 0 {
			f.cause = causes[i]
			f.answer = "no answer: " + f.cause.Error()
		}
		return f
	}
	h := answered.Response.Header
	f.status = answered.HTTPStatusCode()
	f.date, _ = http.ParseTime(h.Get("Date"))
	f.after = revoke.RetryAfter(h, c.signer.now())
	f.answer = revoke.Answer(f.status, "not AWS's own answer", c.hide)

	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != "UnknownError" { // the SDK's word for no code
		f.code = revoke.Answer(0, api.ErrorCode(), c.hide)
		text := api.ErrorMessage()
		switch off := c.clockOff(f.date); {
		case f.ofTime() && off != "":
			text = off
		case f.code == "SignatureDoesNotMatch" || f.code == "InvalidSignatureException":
			text = "" // quotes the whole request, session token and all
		}
		if f.denial = denialIn(text); f.denial != unexplained {
			text = f.denial.String() // in AWS's words it comes last and would be cut off
		}
		f.answer = revoke.Answer(f.status, strings.TrimSpace(f.code+" "+text), c.hide)
	}
	return f
}

// ofTime reports whether it is what AWS says of a signature whose time is wrong, among others:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
func (f *failure) ofTime() bool {
	return slices.Contains([]string{"SignatureDoesNotMatch", "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed"}, f.code)
}

// clockOff says by how much this machine's clock differs from AWS's, where AWS would mind.
func (c *caller) clockOff(theirs time.Time) string {
	const tolerated = 5 * time.Minute
	ours := c.signer.now()
	off := theirs.Sub(ours).Round(time.Second)
	switch {
	case theirs.IsZero() || off.Abs() < tolerated:
		return ""
	case off > 0:
		return "this machine's clock is " + off.String() + " behind AWS's"
	}
	return "this machine's clock is " + (-off).String() + " ahead of AWS's"
}

func denialIn(message string) denial {
	switch {
	case strings.Contains(message, "with an explicit deny in an identity-based policy"):
		return identityDenial
	case strings.Contains(message, "with an explicit deny in a service control policy"):
		return serviceDenial
	case strings.Contains(message, "explicit deny"):
		return otherDenial
	case strings.Contains(message, "because no ") && strings.Contains(message, " allows the "):
		return implicitDenial
	}
	return unexplained
}

func (f *failure) Error() string { return "aws: " + f.action + ": " + f.answer }

func (f *failure) Unwrap() []error {
	var out []error
	later := f.throttled() || !f.ended && (f.code == "" || f.status >= 500)
	if later {
		out = append(out, &revoke.RetryError{After: f.after, Answer: f.answer})
	}
	if later && !f.unsent && !f.throttled() && slices.Contains(changes, f.action) {
		out = append(out, revoke.ErrUncertain)
	}
	if f.authority && (f.refused() || f.is(http.StatusForbidden, "SignatureDoesNotMatch") || f.is(http.StatusForbidden, "AccessDenied") ||
		f.is(http.StatusBadRequest, "AccessDeniedException") || f.is(http.StatusBadRequest, "UnrecognizedClientException")) {
		out = append(out, revoke.ErrAuthority)
	}
	if f.cause != nil {
		out = append(out, f.cause)
	}
	return out
}

// is reports whether it is that answer of AWS's own.
func (f *failure) is(status int, code string) bool {
	return f != nil && f.status == status && f.code == code
}

// refused reports whether AWS refused the keys themselves. An inactive or deleted access key, and
// a session that AWS does not know, is InvalidClientTokenId:
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func (f *failure) refused() bool {
	return f.is(http.StatusForbidden, "InvalidClientTokenId") || f.is(http.StatusForbidden, "ExpiredToken")
}

func (f *failure) missing() bool { return f.is(http.StatusNotFound, "NoSuchEntity") }

func (f *failure) throttled() bool {
	_, named := retry.DefaultThrottleErrorCodes[f.code]
	// Another change of the organization is under way:
	// https://docs.aws.amazon.com/organizations/latest/APIReference/API_UpdatePolicy.html
	return named || f.code == "ConcurrentModificationException" || f.status == http.StatusTooManyRequests
}

// final reports whether asking again changes nothing: AWS itself said no.
func (f *failure) final() bool {
	return f.code != "" && f.status/100 == 4 && !f.throttled()
}
