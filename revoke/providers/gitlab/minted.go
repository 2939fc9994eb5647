package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const (
	perPage  = 100 // the most that GitLab gives: https://docs.gitlab.com/api/rest/#offset-based-pagination
	maxPages = 20
)

// Minted lists the access tokens that whoever held c could have created with it: those of the same
// user that have no more than the scopes which a user's own token can give to a new one. What c was
// rotated into ends with it, by Revoke. The rest, such as a project's tokens, has another user, and
// nothing tells it from what others created.
func (p *provider) Minted(ctx context.Context, c credential.Credential) ([]credential.Credential, error) {
	if c.Kind != accessToken || c.Secret.Empty() {
		return nil, nil
	}
	a, err := p.authority(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("look for what %s minted: %w", c, err)
	}
	own, ok := p.knew(c)
	if !ok || own.ID == 0 {
		l := p.lookUnderByValue(ctx, c, a)
		if own = l.thing; own.ID == 0 {
			return nil, fmt.Errorf("look for what %s minted: whose it was is not known: %s", c, l.Answer)
		}
	}
	tokens, err := p.tokensOf(ctx, own, a, c.Secret)
	var minted []credential.Credential
	for _, t := range tokens {
		if t.made(own) {
			minted = append(minted, t.credential())
		}
	}
	if err != nil {
		err = fmt.Errorf("look for what %s minted: %w", c, err)
	}
	return minted, err
}

// lookUnderByValue asks as an administrator, who is told also of what has ended.
func (p *provider) lookUnderByValue(ctx context.Context, c credential.Credential, a revoke.Authority) looked {
	c.Ref = nil
	return p.lookUnder(ctx, c, a)
}

// made reports whether t may come of own. An id is given once, and higher each time. A token that the
// API made for its own user has no other scopes than these:
// https://docs.gitlab.com/api/user_tokens/#create-a-personal-access-token
func (t thing) made(own thing) bool {
	if t.ID <= own.ID || t.UserID != own.UserID {
		return false
	}
	return len(t.Scopes) > 0 && !slices.ContainsFunc(t.Scopes, func(s string) bool { return s != "k8s_proxy" && s != "self_rotate" })
}

func (t thing) credential() credential.Credential {
	out := credential.Credential{
		Provider: info.Name, Kind: accessToken, Owner: fmt.Sprintf("user %d", t.UserID),
		Ref: map[string]string{"id": strconv.FormatInt(t.ID, 10)},
	}
	if day, err := time.Parse(time.DateOnly, t.ExpiresAt); err == nil {
		out.Expires = day
	}
	return out
}

// tokensOf lists the active access tokens of the user that own belongs to, made after it. With an
// error comes what was listed before it.
func (p *provider) tokensOf(ctx context.Context, own thing, a revoke.Authority, hide credential.Secret) (all []thing, err error) {
	if own.UserID <= 0 {
		return nil, errors.New("the instance does not say which user it was of")
	}
	query := url.Values{"user_id": {strconv.FormatInt(own.UserID, 10)}, "state": {"active"}, "per_page": {strconv.Itoa(perPage)}}
	if !own.CreatedAt.IsZero() {
		query.Set("created_after", own.CreatedAt.UTC().Add(-time.Second).Format(time.RFC3339))
	}
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		r := p.wire.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/api/v4/personal_access_tokens", Query: query, Bearer: a.Secret.Reveal("value"), Hide: hide})
		var some []thing
		if r.Status != http.StatusOK || !r.JSON(&some) {
			return all, underError(r, false)
		}
		now := p.clock(r)
		for _, t := range some {
			if !t.over(now) {
				all = append(all, t)
			}
		}
		if len(some) < perPage {
			return all, nil
		}
	}
	return all, fmt.Errorf("only the first %d tokens of user %d were looked at", perPage*maxPages, own.UserID)
}
