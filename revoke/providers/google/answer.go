package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

var errNotOurs = errors.New("no kind of Google's that can be done here")

// refusal is the error that Google's APIs answer with: https://google.aip.dev/193
type refusal struct {
	Error struct {
		Code    int    `json:"code"`
		Status  string `json:"status"` // "PERMISSION_DENIED"
		Message string `json:"message"`
		Details []struct {
			Reason string `json:"reason"`
			Domain string `json:"domain"`
		} `json:"details"`
	} `json:"error"`
}

// refused reads the error of one of Google's APIs, and nothing where the answer is not Google's.
func refused(r wire.Reply) (f refusal, ok bool) {
	var read refusal
	if !r.JSON(&read) || read.Error.Code != r.Status || read.Error.Status == "" || r.Status < 400 {
		return refusal{}, false
	}
	return read, true
}

// because reports whether the reason is one that Google's service infrastructure gives:
// https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
func (f refusal) because(reason string) bool {
	for _, d := range f.Error.Details {
		if d.Domain == "googleapis.com" && d.Reason == reason {
			return true
		}
	}
	return false
}

// denial is the error of the OAuth endpoints, RFC 6749 section 5.2.
type denial struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Subtype     string `json:"error_subtype"`
}

func denied(r wire.Reply) (d denial, ok bool) {
	var read denial
	if r.Status != http.StatusBadRequest && r.Status != http.StatusUnauthorized || !r.JSON(&read) || read.Code == "" {
		return denial{}, false
	}
	return read, true
}

// said is what an answer says, for people.
func said(r wire.Reply) string {
	if f, ok := refused(r); ok {
		return f.Error.Status + ": " + f.Error.Message
	}
	if d, ok := denied(r); ok {
		if d.Description != "" {
			return d.Code + ": " + d.Description
		}
		return d.Code
	}
	if r.Status < 400 {
		return "but not Google's answer"
	}
	return ""
}

// seen is the error for a read that told nothing. Nothing was changed, so that it can be repeated.
func seen(r wire.Reply) error {
	text := r.Text(said(r))
	switch {
	case errors.Is(r.Err, context.Canceled), errors.Is(r.Err, context.DeadlineExceeded):
		return r.Err
	case r.Err != nil, r.Status >= 500, r.Status == http.StatusTooManyRequests:
		return &revoke.RetryError{After: r.RetryAfter, Answer: text}
	case forbidden(r):
		return fmt.Errorf("%w: %s", revoke.ErrAuthority, text)
	}
	return errors.New(text)
}

// unchanged is the error for a change under the authority that was not accepted.
func unchanged(r wire.Reply) error {
	if r.Err == nil && forbidden(r) {
		return fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(said(r)))
	}
	return r.Failure(said(r))
}

// forbidden reports whether Google refused whoever asks.
func forbidden(r wire.Reply) bool {
	f, ok := refused(r)
	return ok && (f.Error.Status == "UNAUTHENTICATED" || f.Error.Status == "PERMISSION_DENIED")
}

// missing reports whether Google says that what was asked about does not exist.
func missing(r wire.Reply) bool {
	f, ok := refused(r)
	return ok && r.Status == http.StatusNotFound && f.Error.Status == "NOT_FOUND"
}

// empty reports whether the answer is an empty JSON object, Google's success of a change.
func empty(r wire.Reply) bool {
	var all map[string]any
	return r.Status == http.StatusOK && r.JSON(&all) && all != nil && len(all) == 0
}

// notAsked is the verdict where nothing was proved.
func notAsked(err error, c credential.Credential) revoke.Verdict {
	v := revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	if retry, ok := errors.AsType[*revoke.RetryError](err); ok {
		v.RetryAfter = retry.After
	}
	return v
}

// told is the error of an inspection that found no live credential.
func told(ctx context.Context, v revoke.Verdict) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", v.Answer, err)
	}
	return errors.New(v.Answer)
}
