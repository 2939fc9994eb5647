package azure

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// azCLI is the client that az signs people in with, and so that of the refresh tokens in ~/.azure.
// https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
const azCLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// The refusals of the credential itself, by their AADSTS numbers. Microsoft says that numbers may
// change, so that one that is not here proves nothing; neither do conditional access (53003), another
// tenant's name (90002) or a wrong clock (700024).
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
var (
	// The application is gone from the tenant, or disabled, whatever it shows: 7000112 is a disabled
	// service principal (https://learn.microsoft.com/troubleshoot/entra/entra-id/app-integration/error-code-aadsts7000112-application-is-disabled).
	applicationGone = []int{700016, 7000112, 70001, 700011}
	// An invalid secret, and one that expired.
	secretWrong   = []int{7000215, 7000222, 70002}
	secretRefused = slices.Concat(secretWrong, applicationGone)
	// An assertion signed with a certificate that the application does not have. It is also what a
	// malformed assertion gets, which is why only a certificate that worked before dies by it.
	certificateRefused = append([]int{700027}, applicationGone...)
	// A grant that was revoked by a user or an administrator, and one that expired.
	grantRefused = []int{50173, 70008, 700082, 700084}
)

// grant is the token endpoint's answer.
type grant struct {
	wire.Reply
	TokenType   string `json:"token_type"`
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Error       string `json:"error"`
	Codes       []int  `json:"error_codes"`
}

var errorForm = lazyregexp.New(`\A[a-z_]{1,40}\z`)

// token asks for a token. It changes nothing: a token that was minted is dropped, and Entra does not
// end a refresh token that was used (https://learn.microsoft.com/entra/identity-platform/refresh-tokens).
func (p *provider) token(ctx context.Context, tenant string, form url.Values, hide credential.Secret) grant {
	reply := p.login.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token", Form: form, Hide: hide,
	})
	var g grant
	if !reply.JSON(&g) {
		g = grant{}
	}
	g.Reply = reply
	return g
}

func (g grant) issued() bool {
	return g.Err == nil && g.Status == http.StatusOK && strings.EqualFold(g.TokenType, "Bearer") && g.AccessToken != ""
}

// answered reports whether Entra itself said no.
func (g grant) answered() bool {
	return g.Err == nil && (g.Status == http.StatusBadRequest || g.Status == http.StatusUnauthorized) &&
		errorForm.MatchString(g.Error) && len(g.Codes) > 0
}

// refused reports whether Entra said no for reasons that are all among these.
func (g grant) refused(by []int) bool {
	told := g.Error == "invalid_client" || g.Error == "unauthorized_client" || g.Error == "invalid_grant"
	return g.answered() && told && !slices.ContainsFunc(g.Codes, func(code int) bool { return !slices.Contains(by, code) })
}

// said is the answer in a few words. Entra's own description names the tenant's applications and
// people, and is not for machines to read.
func (g grant) said() string {
	switch {
	case g.issued():
		return "a token was issued"
	case !g.answered():
		return "not an answer of Entra's token endpoint"
	}
	said := g.Error
	for _, code := range g.Codes[:min(len(g.Codes), 4)] {
		said += fmt.Sprintf(" AADSTS%d", code)
	}
	return said
}

// failure is the error of a request that changes nothing and got no usable answer.
func failure(r wire.Reply, said string) error {
	text := r.Text(said)
	switch {
	case errors.Is(r.Err, context.Canceled), errors.Is(r.Err, context.DeadlineExceeded):
		return r.Err
	case r.Err != nil, r.Status == http.StatusTooManyRequests, r.Status >= 500:
		return &revoke.RetryError{After: r.RetryAfter, Answer: text}
	}
	return errors.New(text)
}

// errUnnamed says what is needed to show a credential to the token endpoint.
var errUnnamed = errors.New("not asked: the application (client_id) and tenant that it belongs to are not known, or are no GUID and domain")

// application returns the client id and tenant of an application's credential, as claimed. A lie in
// them makes Entra refuse from the start, which is why such a refusal alone proves nothing.
func (p *provider) application(c credential.Credential) (client, tenant string, err error) {
	client, tenant = c.Ref["client_id"], c.Ref["tenant"]
	if tenant == "" {
		tenant = p.settings.Tenant
	}
	if !guidForm.MatchString(client) || !tenantForm.MatchString(tenant) {
		return "", "", errUnnamed
	}
	return client, tenant, nil
}

// present shows a credential to the token endpoint, and returns the codes that refuse its kind.
func (p *provider) present(ctx context.Context, c credential.Credential) (grant, []int, error) {
	value := c.Secret.Reveal("value")
	if c.Kind == kindRefresh {
		return p.presentRefresh(ctx, c, value)
	}
	client, tenant, err := p.application(c)
	if err != nil {
		return grant{}, nil, err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "scope": {graphAudience + "/.default"}}
	if c.Kind == kindSecret {
		if !wire.Sendable(value) {
			return grant{}, nil, errors.New("not asked: no client secret")
		}
		form.Set("client_secret", value)
		return p.token(ctx, tenant, form, c.Secret), secretRefused, nil
	}
	assertion, err := p.assertion(value, client, tenant)
	if err != nil {
		return grant{}, nil, err
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return p.token(ctx, tenant, form, credential.Secret{}), certificateRefused, nil // the key is not sent
}

func (p *provider) presentRefresh(ctx context.Context, c credential.Credential, value string) (grant, []int, error) {
	client, tenant := c.Ref["client_id"], c.Ref["tenant"]
	if client == "" {
		client = azCLI
	}
	if tenant == "" {
		tenant = "organizations"
	}
	if !guidForm.MatchString(client) || tenant != "organizations" && !tenantForm.MatchString(tenant) {
		return grant{}, nil, errUnnamed
	}
	if !wire.Sendable(value) {
		return grant{}, nil, errors.New("not asked: no refresh token")
	}
	// Without offline_access no new refresh token is asked for; openid tells whose it is.
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {value}, "scope": {"openid " + graphAudience + "/.default"}}
	return p.token(ctx, tenant, form, c.Secret), grantRefused, nil
}

func (p *provider) verifyToken(ctx context.Context, c credential.Credential) revoke.Verdict {
	g, refusals, err := p.present(ctx, c)
	switch {
	case err != nil:
		return inconclusive(err, c)
	case g.issued():
		return g.Verdict(revoke.Alive, g.said())
	case g.refused(refusals):
		return g.Verdict(revoke.Refused, g.said())
	}
	return g.Verdict(revoke.Inconclusive, g.said())
}

func (p *provider) inspectToken(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	g, refusals, err := p.present(ctx, c)
	if err == nil && !g.issued() && !g.refused(refusals) {
		err = failure(g.Reply, g.said())
	}
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
	}
	e := revoke.Exposure{Answer: g.Text(g.said())}
	if !g.issued() {
		return e, nil
	}
	who := claimsOf(g.AccessToken)
	if user := claimsOf(g.IDToken); user.User != "" {
		who.User, who.Tenant = user.User, user.Tenant
	}
	e.Account = who.Tenant
	if e.Owner = strings.ToLower(c.Ref["client_id"]); c.Kind == kindRefresh {
		e.Owner = who.User
	}
	for _, reach := range append(who.Roles, strings.Fields(who.Scopes)...) {
		if len(e.Reach) < 100 {
			e.Reach = append(e.Reach, g.Show(reach))
		}
	}
	return e, nil
}

// claims are what is read of a token that came from the token endpoint over TLS, and so need no check
// of its signature.
type claims struct {
	User   string   `json:"oid"`
	Tenant string   `json:"tid"`
	App    string   `json:"appid"`
	Roles  []string `json:"roles"` // of an application
	Scopes string   `json:"scp"`   // of a user

	Expires int64 `json:"exp"` // seconds since 1970
}

// claimsOf reads a token's claims; ids that are none are left out, and so is all of what is no JWT.
func claimsOf(token string) claims {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 64<<10 {
		return c
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return claims{}
	}
	if !guidForm.MatchString(c.User) {
		c.User = ""
	}
	if !guidForm.MatchString(c.Tenant) {
		c.Tenant = ""
	}
	return c
}
