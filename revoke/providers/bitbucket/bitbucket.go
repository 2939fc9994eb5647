// Package bitbucket proves the death of Bitbucket Cloud's tokens by asking Bitbucket who they are of.
// It ends an Atlassian account's API tokens where an organization's administrator may; the others
// have no call that ends them, and a person does it.
package bitbucket

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

type provider struct {
	env   revoke.Env
	api   wire.Client // of Bitbucket
	admin wire.Client // of Atlassian's user management
}

// New makes the provider. A pinned endpoint stands for both hosts.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env}
	var err error
	if p.api, err = wire.New(env, "https://"+bitbucketHost); err == nil {
		p.admin, err = wire.New(env, "https://"+atlassianHost)
	}
	if err != nil {
		return nil, fmt.Errorf("bitbucket: %w", err)
	}
	return p, nil
}

// Verify asks once: with the credential itself, or with the authority where only its id is known.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	if k, ok := info.Kind(c.Kind); !ok || k.Unverifiable != "" {
		return revoke.Verdict{Answer: "not asked: no probe can tell"}
	}
	if c.Kind == apiToken && c.Secret.Empty() {
		_, v := p.find(ctx, c)
		return v
	}
	_, v := p.whoami(ctx, c)
	return v
}

// Inspect tells whose the credential is.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	if k, ok := info.Kind(c.Kind); !ok || k.Unverifiable != "" {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: no call tells", c)
	}
	var e revoke.Exposure
	var v revoke.Verdict
	if c.Kind == apiToken && c.Secret.Empty() {
		e, v = p.find(ctx, c)
	} else {
		e, v = p.whoami(ctx, c)
	}
	if e.Answer = v.Answer; v.Outcome != revoke.Alive {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %s", c, v.Answer)
	}
	return e, nil
}

// Revoke deletes an API token as an organization's administrator. The rest is a person's.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if _, ok := info.Kind(c.Kind); !ok {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: not a kind of Bitbucket's", c)
	}
	if c.Kind != apiToken {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, revoke.ErrManual)
	}
	receipt, err := p.deleteToken(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	return receipt, nil
}

// What the host says of a credential, as far as it may become part of a request.
var (
	accountID = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z:_-]{5,127}\z`) // 5b10ac8d82e05b22cc7d4ef5, 712020:8c2b…
	tokenID   = lazyregexp.New(`\A[0-9A-Za-z][0-9A-Za-z_-]{0,255}\z`)
	login     = lazyregexp.New(`\A[0-9A-Za-z._@+-]{1,254}\z`) // an Atlassian account's address, or a username
)

var errUnnamed = errors.New("its account and id are not known, and nothing tells them from its value")

// tokenPath is where an account's API tokens are, and one of them:
// https://developer.atlassian.com/cloud/admin/user-management/rest/api-group-api-tokens/
func tokenPath(c credential.Credential) (all, one string, err error) {
	account, id := c.Ref["account_id"], c.Ref["id"]
	if !accountID.MatchString(account) || !tokenID.MatchString(id) {
		return "", "", errUnnamed
	}
	all = "/users/" + account + "/manage/api-tokens"
	return all, all + "/" + id, nil
}

func (p *provider) deleteToken(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	_, path, err := tokenPath(c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", err, revoke.ErrManual)
	}
	if value := c.Secret.Reveal("value"); value != "" && !forms()[c.Kind].MatchString(value) {
		return revoke.Receipt{}, fmt.Errorf("its value is no API token: %w", revoke.ErrManual)
	}
	// What the deletion of a token that there is not answers is not documented: the list tells.
	l := p.list(ctx, c)
	if l.err != nil {
		return revoke.Receipt{}, l.err
	}
	unproved := false
	if l.has && !c.Secret.Empty() {
		_, v := p.whoami(ctx, c)
		unproved = v.Outcome != revoke.Alive // the end of what the id is of must not become a proof
	}
	r := p.admin.Do(ctx, wire.Request{Method: http.MethodDelete, Path: path, Bearer: l.key, Hide: c.Secret})
	switch {
	case !l.has && r.Err == nil && (r.Status == http.StatusNoContent || r.Status == http.StatusNotFound && said(r) != ""):
		return revoke.Receipt{Already: true, Answer: r.Text(said(r))}, nil
	case l.has && r.Err == nil && r.Status == http.StatusNoContent:
		return revoke.Receipt{Answer: r.Text(""), Already: unproved, Did: []string{"deleted API token " + c.Ref["id"]}}, nil
	case refusedAuthority(r):
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(said(r)))
	}
	return revoke.Receipt{}, r.Failure(said(r))
}
