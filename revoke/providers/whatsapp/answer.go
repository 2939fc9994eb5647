package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"clawback/revoke"
	"clawback/revoke/wire"
)

// refusal is how the Graph API says no: https://developers.facebook.com/docs/graph-api/guides/error-handling
type refusal struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    int    `json:"code"`
	Subcode int    `json:"error_subcode"`
}

func refusalOf(r wire.Reply) refusal {
	var body struct {
		Error *refusal `json:"error"`
	}
	if !r.JSON(&body) || body.Error == nil {
		return refusal{}
	}
	return *body.Error
}

func (s refusal) text() string {
	if s.Code == 0 {
		return s.Message
	}
	code := strconv.Itoa(s.Code)
	if s.Subcode != 0 {
		code += "/" + strconv.Itoa(s.Subcode)
	}
	return s.Message + " (" + code + ")"
}

// The codes of https://developers.facebook.com/docs/graph-api/guides/error-handling
const (
	badParameter = 100
	badApp       = 101
	badToken     = 190
)

// ended are the subcodes of badToken that say that the token itself is over; none says so too: the
// token "has expired, been revoked, or is otherwise invalid". Left out are 459 and 464, of a user who
// has to log in to Facebook once more, after which the token works again, and 492, of a role.
var ended = map[int]bool{0: true, 458: true, 460: true, 463: true, 467: true}

// refuses reports whether the answer refuses the token itself. One that Meta cannot read at all never
// was a token as it stands here.
func (s refusal) refuses() bool {
	low := strings.ToLower(s.Message)
	for _, unreadable := range []string{"parse", "malformed", "decrypt", "signature"} {
		if strings.Contains(low, unreadable) {
			return false
		}
	}
	return s.Code == badToken && ended[s.Subcode]
}

// wantsProof reports whether the app takes tokens only with a proof that its secret is known:
// https://developers.facebook.com/docs/graph-api/guides/secure-requests
func (s refusal) wantsProof() bool {
	return s.Code == badParameter && strings.Contains(s.Message, "appsecret_proof")
}

// busy are the codes of limits and outages: come again later.
var busy = map[int]bool{1: true, 2: true, 4: true, 17: true, 32: true, 341: true, 368: true, 613: true, 80007: true, 130429: true, 133016: true}

// failure is the error of a revocation that was not accepted. What refuses the caller is about the
// authority where that made the call.
func (s refusal) failure(r wire.Reply, byApp bool) error {
	refused := s.Code == badToken || s.Code == badApp || s.Code == 1 && strings.Contains(s.Message, "client secret")
	switch {
	case byApp && refused && r.Status < 500:
		return fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(s.text()))
	case busy[s.Code] && r.Status < 500:
		return &revoke.RetryError{After: r.RetryAfter, Answer: r.Text(s.text())}
	}
	return r.Failure(s.text())
}

// unread is the error where the look before a revocation told nothing: nothing was changed.
func unread(r wire.Reply) error {
	if errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded) {
		return r.Err
	}
	return &revoke.RetryError{After: r.RetryAfter, Answer: r.Text(refusalOf(r).text())}
}

// succeeded reads {"success": true}, of which Meta documents that the value may be a text.
func succeeded(r wire.Reply) bool {
	var body struct {
		Success any `json:"success"`
	}
	return r.JSON(&body) && (body.Success == true || body.Success == "true")
}

// fromGraph reports whether a status is one that the API gives with its refusals.
func fromGraph(r wire.Reply) bool {
	return r.Status == http.StatusBadRequest || r.Status == http.StatusUnauthorized
}
