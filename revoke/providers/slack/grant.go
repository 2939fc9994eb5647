package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// noCode is no authorization code of Slack's: what is exchanged for it is an error.
const noCode = "0.0.no-code-is-this-secret-still-there"

// What is sent has wholly these forms. A session's cookie is found encoded as a browser keeps it.
var (
	clientForm = lazyregexp.New(`\A[0-9]{5,20}\.[0-9]{5,20}\z`)
	secretForm = lazyregexp.New(`\A[0-9A-Za-z]{16,128}\z`)
	cookieForm = lazyregexp.New(`\Axoxd-[0-9A-Za-z%+/=_.~-]{20,1000}\z`)
)

// testRefresh asks auth.revoke for its dry run: "Setting this parameter to 1 triggers a testing mode
// where the specified token will not actually be revoked" (https://docs.slack.dev/reference/methods/auth.revoke).
// auth.test is not known to take refresh tokens, and auth.revoke is: see left.
func (p *provider) testRefresh(ctx context.Context, c credential.Credential) (answer, error) {
	if !wire.Sendable(c.Secret.Reveal("value")) {
		return answer{}, errors.New("not probed: the value is no token")
	}
	return p.form(ctx, "auth.revoke", url.Values{"test": {"1"}}, bearer(c.Secret)), nil
}

// testSession asks auth.test as the browser does: the token of a session is refused without its cookie
// (https://docs.mau.fi/bridges/go/slack/authentication.html), and that refusal proves nothing.
func (p *provider) testSession(ctx context.Context, c credential.Credential) (answer, error) {
	cookie := c.Secret.Reveal("cookie")
	switch {
	case !wire.Sendable(c.Secret.Reveal("value")):
		return answer{}, errors.New("not probed: the value is no token")
	case cookie == "":
		return answer{}, errors.New("not probed: a session's token works with its cookie alone, and that is not known")
	case !cookieForm.MatchString(cookie):
		return answer{}, errors.New("not probed: the cookie has not the form of a session's")
	}
	return p.form(ctx, "auth.test", url.Values{}, func(r *http.Request) {
		bearer(c.Secret)(r)
		r.Header.Set("Cookie", "d="+cookie)
	}), nil
}

// verifyClient exchanges a code that is none. Slack documents bad_client_secret for a wrong secret and
// invalid_code for a wrong code (https://docs.slack.dev/reference/methods/oauth.v2.access), not which it
// looks at first: were it the code, a dead secret would look alive, and no live one dead.
func (p *provider) verifyClient(ctx context.Context, c credential.Credential) revoke.Verdict {
	id, secret := c.Secret.Reveal("client_id"), c.Secret.Reveal("value")
	if id == "" {
		id = c.Ref["client_id"]
	}
	switch {
	case !secretForm.MatchString(secret):
		return revoke.Verdict{Answer: "not probed: the value has not the form of a client secret"}
	case !clientForm.MatchString(id):
		return revoke.Verdict{Answer: "not probed: the client id that belongs to it is not known"}
	}
	a := p.form(ctx, "oauth.v2.access", url.Values{"grant_type": {"authorization_code"}, "code": {noCode}}, func(r *http.Request) { r.SetBasicAuth(id, secret) })
	v := revoke.Verdict{Answer: a.text(c.Secret), RetryAfter: a.after}
	switch {
	case a.Ok == nil || *a.Ok:
	case a.Error == "invalid_code":
		v.Outcome = revoke.Alive
	case a.Error == "bad_client_secret":
		v.Outcome = revoke.Refused
	}
	return v
}

// uninstall removes the app from the token's workspace, and with it "all tokens associated with a single
// installation of an app": https://docs.slack.dev/reference/methods/apps.uninstall. Where that cannot be
// it says why, and the token is to be revoked alone.
func (p *provider) uninstall(ctx context.Context, c credential.Credential) (r revoke.Receipt, why string, err error) {
	by, err := wire.Authority(ctx, p.env, c)
	id, secret := by.Secret.Reveal("client_id"), by.Secret.Reveal("client_secret")
	switch {
	case errors.Is(err, revoke.ErrNoAuthority), err == nil && (!clientForm.MatchString(id) || !secretForm.MatchString(secret)):
		return r, "to uninstall it takes the app's client_id and client_secret as the authority", nil
	case err != nil:
		return r, "", err
	}
	hide := credential.NewSecret(map[string]string{"value": c.Secret.Reveal("value"), "client_secret": secret})
	a := p.form(ctx, "apps.uninstall", url.Values{"client_id": {id}, "client_secret": {secret}}, bearer(c.Secret))
	r.Answer = a.text(hide)
	switch {
	case a.ok():
		p.accept(c.Secret)
		r.Did = []string{"uninstalled the app from the token's workspace, which revokes all tokens of the installation"}
		return r, "", nil
	case p.refused(a, c):
		r.Already = true
		return r, "", nil
	case a.Ok != nil && alone[a.Error]:
		return r, "Slack did not uninstall it: " + r.Answer, nil
	case a.Ok != nil && notThisApp[a.Error]:
		return r, "", fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Answer)
	}
	return r, "", a.failure(hide)
}

// alone are the refusals to uninstall that are about the token, which can still revoke itself.
var alone = map[string]bool{
	"is_bot": true, "no_permission": true, "not_allowed_token_type": true, "access_denied": true, "missing_scope": true,
	"enterprise_is_restricted": true, "team_access_not_granted": true, "client_id_token_mismatch": true,
}

// notThisApp are the refusals of the authority.
var notThisApp = map[string]bool{"bad_client_secret": true, "invalid_client_id": true}
