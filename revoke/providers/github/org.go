package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"clawback/revoke"
	"clawback/revoke/credential"
)

// kindOrgAccess is what an organization approved of a member's fine-grained token. It is for tokens of
// which only the id is known, as the audit log has it; one whose value is known ends as a whole.
const kindOrgAccess = "github.org_access"

// orgGrant is such an approval in the organization's list.
type orgGrant struct {
	ID      int64  `json:"id"`       // of the approval
	TokenID int64  `json:"token_id"` // of the token, in the audit log too
	Name    string `json:"token_name"`
	Owner   struct {
		Login string `json:"login"`
	} `json:"owner"`
}

type lookedOrg struct {
	revoke.Verdict
	list   string
	token  string
	hide   credential.Secret
	access *orgGrant // where it is there
	err    error
}

// lookAtOrg asks whether the organization still has the token among those that it approved.
// https://docs.github.com/rest/orgs/personal-access-tokens#list-fine-grained-personal-access-tokens-with-access-to-organization-resources
func (p *provider) lookAtOrg(ctx context.Context, c credential.Credential) lookedOrg {
	var l lookedOrg
	org, id := c.Ref["org"], c.Ref["id"]
	switch {
	case ctx.Err() != nil:
		l.err = fmt.Errorf("not asked: %w", ctx.Err())
	case !login.MatchString(org) || !number.MatchString(id):
		l.err = fmt.Errorf("%w: its organization or its id is not known", errUnnamed)
	default:
		l.token, l.err = p.installationToken(ctx)
	}
	if l.err != nil {
		l.Answer = l.err.Error()
		return l
	}
	l.list, l.hide = "orgs/"+org+"/personal-access-tokens", joined(credential.Secret{}, l.token)
	found, others, r := find(ctx, p, l.list, l.token, func(g orgGrant) (bool, error) {
		if g.ID <= 0 || g.TokenID <= 0 {
			return false, errors.New("an entry is no approval")
		}
		return strconv.FormatInt(g.TokenID, 10) == id, nil
	})
	say := func(o revoke.Outcome, text string) { l.Outcome, l.Answer = o, revoke.Answer(r.status, text, l.hide) }
	switch {
	case found != nil:
		l.access = found
		say(revoke.Alive, fmt.Sprintf("%s lets it in: %s of %s", org, found.Name, found.Owner.Login))
	case r.whole():
		say(revoke.Refused, fmt.Sprintf("%s does not let it in, and lets %d others in", org, others))
	default:
		l.Verdict, l.err = p.unlisted(r, l.hide)
	}
	return l
}

// installationToken is the authority's: GitHub lets nobody but an App see and end such access.
func (p *provider) installationToken(ctx context.Context) (string, error) {
	a, err := p.held(ctx)
	if err != nil {
		return "", err
	}
	if token := a.Secret.Reveal("installation_token"); token != "" {
		return token, nil
	}
	return p.authority(ctx)
}

func (p *provider) inspectOrg(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.lookAtOrg(ctx, c)
	switch {
	case l.access != nil:
		return revoke.Exposure{
			Account: revoke.Answer(0, l.access.Owner.Login, l.hide), Answer: l.Answer,
			Reach: []string{"what " + c.Ref["org"] + " approved of it"},
		}, nil
	case l.err != nil:
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %w", label(c), l.err)
	}
	return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %s", label(c), l.Answer)
}

// endOrgAccess is
// https://docs.github.com/rest/orgs/personal-access-tokens#update-the-access-a-fine-grained-personal-access-token-has-to-organization-resources
func (p *provider) endOrgAccess(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	left := []string{"the token itself: it still reaches what its owner has elsewhere"}
	l := p.lookAtOrg(ctx, c)
	switch {
	case ctx.Err() != nil:
		return revoke.Receipt{}, fmt.Errorf("nothing was changed: %w", ctx.Err())
	case errors.Is(l.err, errUnnamed):
		return revoke.Receipt{}, fmt.Errorf("%w: %w", l.err, revoke.ErrManual)
	case l.Outcome == revoke.Refused:
		return revoke.Receipt{Already: true, Answer: l.Answer, Left: left}, nil
	case l.access == nil:
		return revoke.Receipt{}, l.err
	}
	path := l.list + "/" + strconv.FormatInt(l.access.ID, 10)
	r := p.send(ctx, http.MethodPost, path, l.token, map[string]string{"action": "revoke"}, nil)
	if err := r.mutationError(p.env.Now(), l.hide); err != nil {
		return revoke.Receipt{}, err
	}
	switch {
	case r.status == http.StatusNoContent:
		return revoke.Receipt{Answer: r.answer(l.hide), Did: []string{"ended the token's access to " + c.Ref["org"]}, Left: left}, nil
	case r.denied():
		return revoke.Receipt{}, fmt.Errorf("%w: it may see the token, and not end its access: %s", revoke.ErrAuthority, r.answer(l.hide))
	}
	return revoke.Receipt{}, r.unexpected(l.hide)
}

func orgKind() revoke.KindInfo {
	const docs = "https://docs.github.com/rest/orgs/personal-access-tokens#update-the-access-a-fine-grained-personal-access-token-has-to-organization-resources"
	q := propagation
	q.Source = "clawback's own margin: " + docs + " names no time"
	return revoke.KindInfo{
		Kind: kindOrgAccess, ByRef: true, NeedsAlive: true, Propagation: q, Source: docs,
		Authority: "installation token (ghs_) of a GitHub App with Personal access tokens (write) of the organization, as the part installation_token or value",
		Effect:    "the token reaches nothing of the organization any more, and lives on elsewhere; its owner can ask for approval again",
		Link:      "https://docs.github.com/organizations/managing-programmatic-access-to-your-organization/reviewing-and-revoking-personal-access-tokens-in-your-organization",
		Steps: []string{
			"As an owner of the organization open its Settings, Personal access tokens, Active tokens.",
			"Open the token, whose id stands in the address, and choose Revoke.",
		},
	}
}
