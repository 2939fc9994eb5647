package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

// number is every id that may become part of an address: they may come from a hostile host.
var number = lazyregexp.New(`\A[1-9][0-9]{0,18}\z`)

// errUnnamed is of what no id is known, or half of it.
var errUnnamed = errors.New("its id is not known")

// route is the address of a credential by its Ref.
func route(c credential.Credential) (string, error) {
	ref := func(key string) string {
		if v := c.Ref[key]; number.MatchString(v) {
			return v
		}
		return ""
	}
	id, project, group, agent, user := ref("id"), ref("project"), ref("group"), ref("agent"), ref("user")
	switch {
	case id == "":
		return "", errUnnamed
	case c.Kind == accessToken && project != "":
		return "/api/v4/projects/" + project + "/access_tokens/" + id, nil
	case c.Kind == accessToken && group != "":
		return "/api/v4/groups/" + group + "/access_tokens/" + id, nil
	case c.Kind == accessToken:
		return "/api/v4/personal_access_tokens/" + id, nil
	case c.Kind == deployToken && project != "":
		return "/api/v4/projects/" + project + "/deploy_tokens/" + id, nil
	case c.Kind == deployToken && group != "":
		return "/api/v4/groups/" + group + "/deploy_tokens/" + id, nil
	case c.Kind == trigger && project != "":
		return "/api/v4/projects/" + project + "/triggers/" + id, nil
	case c.Kind == agentToken && project != "" && agent != "":
		return "/api/v4/projects/" + project + "/cluster_agents/" + agent + "/tokens/" + id, nil
	case c.Kind == deployKey && project != "":
		return "/api/v4/projects/" + project + "/deploy_keys/" + id, nil
	case c.Kind == sshKey && user != "":
		return "/api/v4/users/" + user + "/keys/" + id, nil
	case c.Kind == sshKey && c.Ref["user"] == "":
		return "/api/v4/user/keys/" + id, nil
	}
	return "", errUnnamed
}

// request is what an authority asks about a credential, by its id or, as an administrator, by its
// value: https://docs.gitlab.com/api/admin/token/. The method of a look is not the same for both.
func request(c credential.Credential, a revoke.Authority, remove bool) (q wire.Request, byValue bool, err error) {
	q = wire.Request{Method: http.MethodGet, Bearer: a.Secret.Reveal("value"), Hide: c.Secret}
	value := ""
	if !c.Secret.Empty() {
		if value, err = secretOf(c); err != nil {
			return q, false, err
		}
	}
	if q.Path, err = route(c); err != nil {
		if value == "" || c.Kind == deployKey || c.Kind == sshKey {
			return q, false, fmt.Errorf("not asked: %w", err)
		}
		q.Method, q.Path, q.JSON, byValue = http.MethodPost, "/api/v4/admin/token", map[string]string{"token": value}, true
	}
	if remove {
		q.Method = http.MethodDelete
	}
	return q, byValue, nil
}

func (p *provider) authority(ctx context.Context, c credential.Credential) (revoke.Authority, error) {
	a, err := wire.Authority(ctx, p.env, c)
	if err == nil && !wire.Sendable(a.Secret.Reveal("value")) {
		err = fmt.Errorf("%w: it has no value that can be sent", revoke.ErrAuthority)
	}
	return a, err
}

// lookUnder asks with the authority whether the instance still has the credential.
func (p *provider) lookUnder(ctx context.Context, c credential.Credential, a revoke.Authority) looked {
	q, byValue, err := request(c, a, false)
	if err != nil {
		return unasked(err)
	}
	r := p.wire.Do(ctx, q)
	l := looked{reply: r}
	_, said := refusalOf(r)
	// A feed token's owner is told by value, and a key by its own id.
	if r.Status == http.StatusOK && r.JSON(&l.thing) && l.thing.ID > 0 && (byValue || c.Ref["id"] == fmt.Sprint(l.thing.ID)) {
		if l.thing.over(p.clock(r)) {
			l.Verdict = r.Verdict(revoke.Refused, "the instance says: ended: "+l.thing.text())
			return l
		}
		l.Verdict = r.Verdict(revoke.Alive, "the instance has it: "+l.thing.text())
		return l
	}
	// An access token that ended stays on record: one that is not found was never there.
	if gone(r) && c.Kind != accessToken {
		l.Verdict = r.Verdict(revoke.Refused, "the instance has it no more: "+said)
		return l
	}
	l.Verdict, l.err = r.Verdict(revoke.Inconclusive, "of the authority: "+said), underError(r, byValue)
	return l
}

// underError is why the instance did not serve the authority.
func underError(r wire.Reply, byValue bool) error {
	f, said := refusalOf(r)
	switch {
	case unnamed(r) || ended(r):
		return fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(said))
	case denied(r) && byValue:
		return fmt.Errorf("%w: %w: without its id only an administrator of the instance can end it: %s", revoke.ErrAuthority, revoke.ErrManual, r.Text(said))
	case denied(r):
		return fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(said))
	case byValue && (r.Status == http.StatusNotFound && f.Error == "404 Not Found" || r.Status == http.StatusUnprocessableEntity && said != ""):
		return fmt.Errorf("%w: the instance cannot end it by its value: %s", revoke.ErrManual, r.Text(said))
	}
	return unread(r)
}

// endUnder ends the credential with the authority: after a look, since some deletions do not tell
// whether there was anything to delete.
func (p *provider) endUnder(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	a, err := p.authority(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	l := p.lookUnder(ctx, c, a)
	left := leftOf(c)
	switch {
	case l.Outcome == revoke.Refused:
		return revoke.Receipt{Already: true, Answer: l.Answer, Left: left}, nil
	case errors.Is(l.err, errUnnamed):
		return revoke.Receipt{}, fmt.Errorf("%w: %w", l.err, revoke.ErrManual)
	case l.Outcome != revoke.Alive:
		return revoke.Receipt{}, l.err
	}
	q, byValue, err := request(c, a, true)
	if err != nil {
		return revoke.Receipt{}, err
	}
	r := p.wire.Do(ctx, q)
	_, said := refusalOf(r)
	switch {
	case r.Status == http.StatusNoContent && r.Err == nil:
		return revoke.Receipt{Answer: r.Text(""), Did: []string{"ended " + l.reply.Show(l.thing.text())}, Left: left}, nil
	case gone(r):
		return revoke.Receipt{Already: true, Answer: r.Text(said), Left: left}, nil
	case denied(r), unnamed(r), ended(r), byValue && r.Status == http.StatusUnprocessableEntity:
		return revoke.Receipt{}, underError(r, byValue)
	}
	return revoke.Receipt{}, r.Failure(said)
}

// leftOf is what lives on although the credential ended.
func leftOf(c credential.Credential) []string {
	switch c.Kind {
	case deployKey:
		return []string{"the same key in other projects, where it was enabled there"}
	case oauthSecret:
		return []string{"the tokens that its application was given: they live until they expire or are revoked"}
	}
	return nil
}
