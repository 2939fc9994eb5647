package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	gh "github.com/google/go-github/v60/github"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// badCredentials is how GitHub refuses a token that does not exist, expired or was revoked.
// https://docs.github.com/rest/authentication/authenticating-to-the-rest-api#failed-login-limit
const badCredentials = "Bad credentials"

// errNotProbed is for a credential about which no request can tell anything.
var errNotProbed = errors.New("not probed")

// identity is what a live token tells of itself.
type identity struct {
	account string
	reach   []string
}

// Verify asks GitHub who the token is, or whether it lists the key.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	switch {
	case isKey(c.Kind):
		return p.lookAtKey(ctx, c).Verdict
	case c.Kind == kindAppKey || c.Kind == kindAppInstallation:
		return p.lookAtApp(ctx, c).Verdict
	case c.Kind == kindClientSecret:
		return p.lookAtClient(ctx, c)
	case c.Kind == kindOrgAccess:
		return p.lookAtOrg(ctx, c).Verdict
	}
	id, r := p.probe(ctx, c)
	v := revoke.Verdict{Answer: r.answer(c.Secret)}
	switch {
	case id != nil:
		v.Outcome = revoke.Alive
		v.Answer = revoke.Answer(r.status, id.account, c.Secret)
	case r.err != nil && r.status != 0:
		v.Answer = revoke.Answer(r.status, "but not GitHub's answer", c.Secret)
	case r.err != nil:
	case r.refused():
		v.Outcome = revoke.Refused
		if p.granted(c) {
			v = p.checked(ctx, c, v)
		}
	case strings.HasPrefix(r.message, "Resource not accessible by "):
		// The token was accepted before its permissions were looked at, but 403 is no verdict.
		v.Answer = revoke.Answer(r.status, r.message+" (the token was accepted)", c.Secret)
	default:
		v.RetryAfter = r.wait(p.env.Now())
	}
	return v
}

// Inspect names the account and what the token says that it reaches. Owner stays empty: at GitHub
// each token dies alone.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	switch {
	case isKey(c.Kind):
		return p.inspectKey(ctx, c)
	case c.Kind == kindAppKey || c.Kind == kindAppInstallation:
		return p.inspectApp(ctx, c)
	case c.Kind == kindClientSecret:
		return p.inspectClient(ctx, c)
	case c.Kind == kindOrgAccess:
		return p.inspectOrg(ctx, c)
	}
	id, r := p.probe(ctx, c)
	switch {
	case errors.Is(r.err, errNotProbed):
		return revoke.Exposure{Answer: r.answer(c.Secret)}, nil
	case id != nil:
		e := revoke.Exposure{
			Account: revoke.Answer(0, id.account, c.Secret),
			Answer:  revoke.Answer(r.status, id.account, c.Secret),
		}
		for _, reach := range id.reach {
			e.Reach = append(e.Reach, revoke.Answer(0, reach, c.Secret))
		}
		return e, nil
	case r.err != nil:
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %w", label(c), masked{r.answer(c.Secret), r.err})
	case r.limited || r.status >= 500:
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %w", label(c),
			&revoke.RetryError{After: r.wait(p.env.Now()), Answer: r.answer(c.Secret)})
	}
	return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %s", label(c), r.answer(c.Secret))
}

// probe sends the one read that fits the kind. Its identity is nil unless the token works.
func (p *provider) probe(ctx context.Context, c credential.Credential) (*identity, reply) {
	token, ok := p.token(c)
	switch {
	case !ok:
		return nil, reply{err: fmt.Errorf("%w: no GitHub token is known for it", errNotProbed)}
	case c.Kind == kindRefresh:
		k, _ := p.info.Kind(kindRefresh)
		return nil, reply{err: fmt.Errorf("%w: %s", errNotProbed, k.Unverifiable)}
	case c.Kind == kindInstallation:
		return p.probeInstallation(ctx, token)
	}
	return p.probeUser(ctx, token)
}

func (p *provider) probeUser(ctx context.Context, token string) (*identity, reply) {
	var user gh.User
	r := p.send(ctx, http.MethodGet, "user", token, nil, &user)
	if r.err != nil || r.status != http.StatusOK || user.GetLogin() == "" {
		return nil, r.unreadable()
	}
	id := &identity{account: "login=" + user.GetLogin()}
	for scope := range strings.SplitSeq(r.header.Get("X-OAuth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			id.reach = append(id.reach, "scope "+scope)
		}
	}
	return id, r
}

func (p *provider) probeInstallation(ctx context.Context, token string) (*identity, reply) {
	var list gh.ListRepositories
	r := p.send(ctx, http.MethodGet, "installation/repositories?per_page=10", token, nil, &list)
	if r.err != nil || r.status != http.StatusOK || list.TotalCount == nil {
		return nil, r.unreadable()
	}
	id := &identity{account: fmt.Sprintf("installation with %d repositories", list.GetTotalCount())}
	for _, repo := range list.Repositories {
		id.reach = append(id.reach, "repository "+repo.GetFullName())
	}
	if more := list.GetTotalCount() - len(list.Repositories); more > 0 {
		id.reach = append(id.reach, fmt.Sprintf("%d more repositories", more))
	}
	return id, r
}

// unreadable marks a success that does not say what GitHub's would: a login page answers 200 too.
func (r reply) unreadable() reply {
	if r.err == nil && r.status >= 200 && r.status < 300 {
		r.err = errors.New("the answer does not have the expected content")
	}
	return r
}

// refused reports GitHub's own refusal of the token. A 401 from a proxy has another body.
func (r reply) refused() bool {
	return r.err == nil && r.status == http.StatusUnauthorized && r.message == badCredentials
}
