package slack

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

	api "github.com/slack-go/slack"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// maxScopes bounds what is shown of a token's scopes.
const maxScopes = 100

// answer is what one request came to. Slack answers 200 to nearly everything: the truth stands
// in the body, and an answer without "ok" is not Slack's. The fields of the body are set only
// where the status is 200 and the body was read and parsed whole.
type answer struct {
	Ok      *bool  `json:"ok"`
	Error   string `json:"error"`
	Revoked *bool  `json:"revoked"`
	Team    string `json:"team"`
	TeamID  string `json:"team_id"`
	User    string `json:"user"`
	UserID  string `json:"user_id"`
	AppID   string `json:"app_id"` // for an app-level token, instead of team and user
	AppName string `json:"app_name"`

	status int
	body   []byte // bounded; empty where it could not be read whole
	scopes string
	after  time.Duration
	sent   bool
	err    error // of the transport or the body
}

// call calls a Web API method with the token alone.
func (p *provider) call(ctx context.Context, method string, secret credential.Secret) answer {
	rec := &recorder{p: p, token: secret.Reveal("value")}
	client := api.New(rec.token, api.OptionAPIURL(p.api+"/api/"), api.OptionHTTPClient(rec))
	var err error
	if method == "auth.revoke" {
		_, err = client.SendAuthRevokeContext(ctx, "")
	} else {
		_, err = client.AuthTestContext(ctx)
	}
	a := rec.seen
	if a.status == 0 && a.err == nil && err != nil { // the library refused to send it
		a.err = revoke.WithoutURL(err)
	}
	return a.parsed()
}

// form calls a Web API method with a form, as whom set makes the request's sender.
func (p *provider) form(ctx context.Context, method string, form url.Values, set func(*http.Request)) answer {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.api+"/api/"+method, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{err: errors.New("the endpoint makes no address")}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	set(r)
	return p.send(r).parsed()
}

func bearer(secret credential.Secret) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret.Reveal("value")) }
}

// parsed is the answer with what its body says: what one with the wrong types fills by half is no answer.
func (a answer) parsed() answer {
	full := a
	if a.err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &full) != nil {
		return a
	}
	return full
}

// recorder is the library's client: it sends through the provider's, and keeps the answer's status
// and body, which the library turns into errors that quote it.
type recorder struct {
	p     *provider
	token string
	seen  answer
}

func (rec *recorder) Do(r *http.Request) (*http.Response, error) {
	// The library puts the token into the form, where Slack refuses app-level tokens.
	r.Header.Set("Authorization", "Bearer "+rec.token)
	r.Body, r.GetBody, r.ContentLength = http.NoBody, nil, 0
	rec.seen = rec.p.send(r)
	if rec.seen.err != nil {
		return nil, rec.seen.err
	}
	return &http.Response{StatusCode: rec.seen.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(rec.seen.body))}, nil
}

// send sends one request and reads what comes back, up to its bound.
func (p *provider) send(r *http.Request) (a answer) {
	if err := r.Context().Err(); err != nil {
		a.err = err
		return a
	}
	a.sent = true
	resp, err := p.env.HTTP.Do(r)
	if err != nil {
		a.err = revoke.WithoutURL(err)
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	a.status, a.after, a.scopes = resp.StatusCode, revoke.RetryAfter(resp.Header, p.now()), resp.Header.Get("X-OAuth-Scopes")
	a.body, a.err = revoke.ReadBody(resp.Body)
	return a
}

func (p *provider) now() time.Time {
	if p.env.Now != nil {
		return p.env.Now()
	}
	return time.Now()
}

// ok reports whether Slack, and nobody in between, said yes.
func (a answer) ok() bool { return a.Ok != nil && *a.Ok }

// accepted reports whether auth.test named whom the token belongs to.
func (a answer) accepted() bool { return a.ok() && (a.TeamID != "" || a.AppID != "") }

// revoked reports whether auth.revoke did it; spared, that it could and was told not to.
func (a answer) revoked() bool { return a.ok() && a.Revoked != nil && *a.Revoked }
func (a answer) spared() bool  { return a.ok() && a.Revoked != nil && !*a.Revoked }

func (a answer) ambiguous() bool {
	return a.Ok != nil && !*a.Ok && a.Error == "invalid_auth"
}

// text is the answer as people see it: "200 token_revoked", "200 ok".
func (a answer) text(secret credential.Secret) string {
	switch {
	case a.err != nil:
		return revoke.Answer(a.status, a.err.Error(), secret)
	case a.ok() && a.User != "":
		return revoke.Answer(a.status, "ok user="+a.User, secret)
	case a.ok():
		return revoke.Answer(a.status, "ok", secret)
	case a.Error != "":
		return revoke.Answer(a.status, a.Error, secret)
	case a.status == http.StatusOK:
		return revoke.Answer(a.status, "but not Slack's answer", secret)
	}
	return revoke.Answer(a.status, "", secret)
}

// failure is the error for a revocation that was not accepted.
func (a answer) failure(secret credential.Secret) error {
	said := a.text(secret)
	retry := &revoke.RetryError{After: a.after, Answer: said}
	switch {
	case a.err != nil && !a.sent:
		return a.failed(said)
	case revoke.NeverSent(a.err):
		return retry
	case a.err != nil:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, a.failed(said))
	case a.status >= 500:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, retry)
	case a.status == http.StatusTooManyRequests, a.Error == "ratelimited":
		return retry
	case uncertain[a.Error]:
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, retry)
	case a.status == http.StatusOK && a.Ok == nil: // somebody in between answered, and may have passed it on
		return fmt.Errorf("%w: %s", revoke.ErrUncertain, said)
	case a.ambiguous():
		return errors.New(said + ": the token is dead, or may not be used from this address; in doubt revoke it in the app's settings")
	}
	return errors.New(said)
}

// uncertain are the failures of which Slack says that "some aspect of the operation" may have
// succeeded, or which come from an outage: https://docs.slack.dev/reference/methods/auth.revoke
var uncertain = map[string]bool{"internal_error": true, "fatal_error": true, "request_timeout": true, "service_unavailable": true, "team_added_to_org": true}

// failed is a failure to ask, as an error. A caller decides on its context's end alone, and other
// errors of net/http may quote what the server sent: of those only the safe text is kept.
func (a answer) failed(said string) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(a.err, known) {
			return known
		}
	}
	return errors.New(said)
}

func (a answer) exposure(secret credential.Secret) revoke.Exposure {
	show := func(s string) string { return revoke.Answer(0, s, secret) }
	e := revoke.Exposure{Answer: a.text(secret)}
	if a.TeamID == "" {
		e.Account, e.Reach = show("app "+a.AppName), []string{"socket mode and the app's other app-level scopes"}
		return e
	}
	e.Account, e.Owner = show(a.TeamID), show(a.TeamID+" "+a.UserID)
	if a.Team != "" {
		e.Account = show(a.TeamID + " (" + a.Team + ")")
	}
	for scope := range strings.SplitSeq(a.scopes, ",") {
		if scope = show(scope); scope != "" && len(e.Reach) < maxScopes {
			e.Reach = append(e.Reach, scope)
		}
	}
	return e
}
