package oauth2

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// introspection is what an issuer says of a token. https://www.rfc-editor.org/rfc/rfc7662#section-2.2
type introspection struct {
	Active   *bool  `json:"active"` // nil where there is no whole answer
	Scope    string `json:"scope"`
	ClientID string `json:"client_id"`
	Subject  string `json:"sub"`
	Expires  int64  `json:"exp"` // seconds since 1970
}

func (s session) introspect(ctx context.Context) (wire.Reply, introspection) {
	reply := s.post(ctx, s.lookup)
	var told introspection
	if reply.Status != http.StatusOK || !reply.JSON(&told) {
		told = introspection{}
	}
	return reply, told
}

// text is the answer as people see it.
func (s session) text(reply wire.Reply, told introspection) string {
	switch {
	case told.Active == nil:
		return reply.Text(reason(reply))
	case !*told.Active:
		return reply.Text("introspection at " + s.name + ": inactive")
	case told.Expires > 0 && told.Expires < 1<<40:
		return reply.Text(fmt.Sprintf("introspection at %s: active until %s", s.name, time.Unix(told.Expires, 0).UTC().Format(time.RFC3339)))
	}
	return reply.Text("introspection at " + s.name + ": active")
}

// look asks for the proofs that there are: the issuer's and, of an access token, the resource's.
func (s session) look(ctx context.Context) revoke.Verdict {
	reply, told := s.introspect(ctx)
	text := s.text(reply, told)
	switch {
	case told.Active == nil:
		return reply.Verdict(revoke.Inconclusive, reason(reply))
	case *told.Active:
		return revoke.Verdict{Outcome: revoke.Alive, Answer: text}
	case s.c.Kind == kindAccess && s.probe.given():
		return s.tryResource(ctx, text)
	}
	return revoke.Verdict{Outcome: revoke.Refused, Answer: text}
}

// tryResource shows the token to the resource that the desk names. Its refusal counts only in the
// words of RFC 6750 (https://www.rfc-editor.org/rfc/rfc6750#section-3.1), as does its saying that the
// token is good for less.
func (s session) tryResource(ctx context.Context, text string) revoke.Verdict {
	reply := s.probe.wire.Do(ctx, wire.Request{Method: http.MethodGet, Path: s.probe.path, Bearer: s.token, Hide: s.c.Secret})
	code := challenge(reply.Header)
	outcome, seen := revoke.Inconclusive, "an answer that tells nothing"
	switch {
	case reply.Err != nil:
		seen = reply.Err.Error()
	case reply.Status == http.StatusUnauthorized && code == "invalid_token":
		outcome, seen = revoke.Refused, code
	case reply.Status == http.StatusForbidden && code == "insufficient_scope":
		outcome, seen = revoke.Alive, code
	case reply.Status/100 == 2 && strings.Contains(reply.Header.Get("Content-Type"), "json"):
		outcome, seen = revoke.Alive, "it works in spite of that"
	}
	v := reply.Verdict(outcome, "")
	v.Answer = reply.Show(fmt.Sprintf("%s; the resource: %d %s", text, reply.Status, seen))
	return v
}

// parameter is one of a challenge: a name, and a token or quoted string
// (https://www.rfc-editor.org/rfc/rfc9110#section-11.2).
var parameter = lazyregexp.New(`([0-9A-Za-z_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+)`)

// challenge is the error code of a Bearer challenge, or "".
func challenge(h http.Header) string {
	for _, value := range h.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
		if !strings.EqualFold(scheme, "Bearer") || len(rest) > 4<<10 {
			continue
		}
		for _, p := range parameter().FindAllStringSubmatch(rest, 20) {
			if strings.EqualFold(p[1], "error") {
				return strings.Trim(p[2], `"`)
			}
		}
	}
	return ""
}

// reason is the error code of an answer (https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
func reason(reply wire.Reply) string {
	var said struct {
		Error string `json:"error"`
	}
	if reply.Status < 400 || !reply.JSON(&said) {
		return ""
	}
	return said.Error
}
