package azure

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

var errWhose = errors.New("whose refresh token it is, is not known: Entra did not say, and the host names nobody")

// revokeSessions ends all sessions of the user whom a refresh token belongs to. Whose it is, Entra
// tells when it is shown the token; the host's word counts only where Entra answered and would not say.
func (p *provider) revokeSessions(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	a, err := p.admin(ctx, c, graphAudience, p.graph)
	if err != nil {
		return revoke.Receipt{}, err
	}
	g, refusals, err := p.present(ctx, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	user, by := claimsOf(g.IDToken).User, ""
	switch {
	case g.refused(refusals):
		return revoke.Receipt{Already: true, Answer: g.Text(g.said()), Left: []string{lifetime}}, nil
	case !g.issued() && !g.answered():
		return revoke.Receipt{}, failure(g.Reply, g.said())
	case user == "":
		user, by = claimedUser(c), ", whom the host names: Entra did not tell ("+g.Text(g.said())+")"
	}
	switch {
	case user == "":
		return revoke.Receipt{}, errWhose
	case strings.EqualFold(user, claimsOf(a.bearer).User):
		return revoke.Receipt{}, revoke.ErrOurs
	}
	reply, err := a.change(ctx, http.MethodPost, "/v1.0/users/"+user+"/revokeSignInSessions", nil, nil, sessionsEnded)
	if err != nil {
		return revoke.Receipt{}, err
	}
	return revoke.Receipt{
		Answer: reply.Text(""),
		Did:    []string{"revoked all sign-in sessions of user " + user + by},
		Left:   []string{lifetime, "where the user is a guest from another tenant: the sessions there"},
	}, nil
}

// sessionsEnded takes both answers that are documented: nothing, or {"value":true}.
// https://learn.microsoft.com/graph/api/user-revokesigninsessions
func sessionsEnded(r wire.Reply) bool {
	var body struct {
		Value bool `json:"value"`
	}
	return noContent(r) || r.Status == http.StatusOK && r.JSON(&body) && body.Value
}

// claimedUser is the user whom the host names: by object id, or by the account id of az's cache,
// which is the object id and the tenant.
func claimedUser(c credential.Credential) string {
	for _, claim := range []string{c.Ref["user"], c.Ref["home_account_id"], c.Owner} {
		if id, _, _ := strings.Cut(claim, "."); guidForm.MatchString(id) {
			return id
		}
	}
	return ""
}
