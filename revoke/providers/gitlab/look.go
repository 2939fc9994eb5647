package gitlab

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

// looked is what one look at a credential showed.
type looked struct {
	revoke.Verdict
	thing thing // where it is alive
	reply wire.Reply
	err   error // why it was not asked, or under which authority it failed
}

func unasked(err error) looked {
	return looked{Verdict: revoke.Verdict{Answer: err.Error()}, err: err}
}

// look asks once.
func (p *provider) look(ctx context.Context, c credential.Credential) looked {
	switch {
	case ctx.Err() != nil:
		return unasked(fmt.Errorf("not asked: %w", ctx.Err()))
	case c.Kind == accessToken && !c.Secret.Empty():
		return p.lookAtToken(ctx, c, "/api/v4/personal_access_tokens/self")
	case c.Kind == oauthToken:
		return p.lookAtToken(ctx, c, "/api/v4/user")
	case c.Kind == runner:
		return p.lookAtRunner(ctx, c)
	case c.Kind == jobToken:
		return p.lookAtJob(ctx, c)
	case c.Kind == oauthSecret && c.Ref["client_id"] != "":
		return p.lookAtClient(ctx, c)
	}
	if k, ok := info.Kind(c.Kind); !ok || k.Unverifiable != "" {
		return unasked(errors.New("not asked: no probe can tell"))
	}
	a, err := p.authority(ctx, c)
	if err != nil {
		return unasked(err)
	}
	return p.lookUnder(ctx, c, a)
}

// lookAtToken asks with the token itself. Every scope may see the token that it belongs to, and
// elsewhere GitLab looks at scopes last, so that a denial is of a token that works:
// https://docs.gitlab.com/api/personal_access_tokens/#self-inform
func (p *provider) lookAtToken(ctx context.Context, c credential.Credential, path string) looked {
	value, err := secretOf(c)
	if err != nil {
		return unasked(err)
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodGet, Path: path, Bearer: value, Hide: c.Secret})
	l := looked{reply: r}
	_, said := refusalOf(r)
	_, knew := p.knew(c)
	switch {
	case r.Status == http.StatusOK && r.JSON(&l.thing) && l.thing.ID > 0 && !l.thing.over(p.clock(r)):
		p.remember(c, l.thing)
		l.Verdict = r.Verdict(revoke.Alive, l.thing.text())
	case denied(r):
		p.remember(c, thing{})
		l.Verdict = r.Verdict(revoke.Alive, said)
	case ended(r), unnamed(r) && knew:
		l.Verdict = r.Verdict(revoke.Refused, said)
	case unnamed(r):
		l.Verdict = r.Verdict(revoke.Inconclusive, said+": says GitLab to a token that it never had, too")
	default:
		l.Verdict = r.Verdict(revoke.Inconclusive, said)
	}
	return l
}

// lookAtRunner validates the token as a runner does. For the instance that is a contact of the
// runner; nothing else changes: https://docs.gitlab.com/api/runners/#verify-authentication-for-a-registered-runner
func (p *provider) lookAtRunner(ctx context.Context, c credential.Credential) looked {
	value, err := secretOf(c)
	if err != nil {
		return unasked(err)
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/api/v4/runners/verify", Form: url.Values{"token": {value}}, Hide: c.Secret})
	l := looked{reply: r}
	_, said := refusalOf(r)
	var old string // "200", from before it told the id
	switch {
	case r.Status == http.StatusOK && (r.JSON(&l.thing) && l.thing.ID > 0 || r.JSON(&old) && old == "200" || string(r.Body) == "200"):
		l.Verdict = r.Verdict(revoke.Alive, "valid")
	case denied(r):
		l.Verdict = r.Verdict(revoke.Refused, said)
	default:
		l.Verdict = r.Verdict(revoke.Inconclusive, said)
	}
	return l
}

// lookAtJob asks which job the token is of: only a job that runs has an answer.
// https://docs.gitlab.com/api/jobs/#get-job-tokens-job
func (p *provider) lookAtJob(ctx context.Context, c credential.Credential) looked {
	value, err := secretOf(c)
	if err != nil {
		return unasked(err)
	}
	r := p.wire.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/api/v4/job", Header: http.Header{"Job-Token": {value}}, Hide: c.Secret})
	l := looked{reply: r}
	_, said := refusalOf(r)
	switch {
	case r.Status == http.StatusOK && r.JSON(&l.thing) && l.thing.ID > 0:
		l.Verdict = r.Verdict(revoke.Alive, "job "+l.thing.text())
	case unnamed(r):
		l.Verdict = r.Verdict(revoke.Refused, said)
	default:
		l.Verdict = r.Verdict(revoke.Inconclusive, said)
	}
	return l
}

// clientID is what an application's id looks like.
var clientID = lazyregexp.New(`\A[0-9A-Za-z_-]{16,128}\z`)

// lookAtClient has the application ask about a token that does not exist. Whoever may ask is told
// that it is inactive: https://www.rfc-editor.org/rfc/rfc7662#section-2.3
func (p *provider) lookAtClient(ctx context.Context, c credential.Credential) looked {
	value, err := secretOf(c)
	if err == nil && !clientID.MatchString(c.Ref["client_id"]) {
		err = errors.New("not asked: what is given as its application is no application's id")
	}
	if err != nil {
		return unasked(err)
	}
	r := p.wire.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: "/oauth/introspect", Hide: c.Secret,
		Form: url.Values{"client_id": {c.Ref["client_id"]}, "client_secret": {value}, "token": {"none"}},
	})
	f, said := refusalOf(r)
	var answer struct {
		Active *bool `json:"active"`
	}
	switch {
	case r.Status == http.StatusOK && r.JSON(&answer) && answer.Active != nil:
		return looked{Verdict: r.Verdict(revoke.Alive, "the application may ask"), reply: r}
	case r.Status == http.StatusUnauthorized && f.Error == "invalid_client":
		return looked{Verdict: r.Verdict(revoke.Refused, said), reply: r}
	}
	return looked{Verdict: r.Verdict(revoke.Inconclusive, said), reply: r}
}
