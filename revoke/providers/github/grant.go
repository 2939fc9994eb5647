package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

// settings are the desk's own.
type settings struct {
	// ClientID names the team's own OAuth or GitHub App, whose secret is the authority's client_secret.
	// Tokens that it was given end with its whole grant at their user, refresh tokens included.
	ClientID string `yaml:"client_id"`
}

// granted reports whether the token may be one that the team's own App was given.
func (p *provider) granted(c credential.Credential) bool {
	return p.settings.ClientID != "" && c.Provider == name && (c.Kind == kindOAuth || c.Kind == kindUserToServer)
}

// ownClient asks in the name of the team's App about a token. ok is false where the App's secret is not
// known, and then nobody was asked.
func (p *provider) ownClient(ctx context.Context, method, path string, c credential.Credential) (r wire.Reply, ok bool) {
	token, known := p.token(c)
	a, err := p.held(ctx)
	secret := a.Secret.Reveal("client_secret")
	if err != nil || !known || secret == "" || ctx.Err() != nil {
		return r, false
	}
	return p.api.Do(ctx, wire.Request{
		Method: method, Path: "/applications/" + p.settings.ClientID + path, Hide: c.Secret,
		User: url.UserPassword(p.settings.ClientID, secret), JSON: map[string]string{"access_token": token},
		Header: http.Header{"Accept": {"application/vnd.github+json"}, "X-Github-Api-Version": {"2022-11-28"}}, // as go-github sends them
	}), true
}

// endGrant ends what the App was granted by the token's user, and with it all of its tokens for that
// user. Bulk revocation ends the token alone, and is what remains wherever the grant does not end: the
// token may be another App's. https://docs.github.com/rest/apps/oauth-applications#delete-an-app-authorization
func (p *provider) endGrant(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	r, asked := p.ownClient(ctx, http.MethodDelete, "/grant", c)
	if asked && r.Err == nil && r.Status == http.StatusNoContent {
		return revoke.Receipt{
			Answer: r.Text(""),
			Did:    []string{"deleted the grant of App " + p.settings.ClientID + " at the token's user, with all tokens under it"},
		}, nil
	}
	receipt, err := p.RevokeBatch(ctx, []credential.Credential{c})
	if err == nil && asked {
		receipt.Left = append(receipt.Left, fmt.Sprintf("the grant that it is of, where that is App %s's: it was not deleted: %s",
			p.settings.ClientID, r.Text(messageOf(r))))
	}
	return receipt, err
}

// checked is the second proof of a token that was refused: the App's own look at it, which does not
// count as a failed login. GitHub finds no token that is not valid, or not the App's.
// https://docs.github.com/rest/apps/oauth-applications#check-a-token
func (p *provider) checked(ctx context.Context, c credential.Credential, v revoke.Verdict) revoke.Verdict {
	r, asked := p.ownClient(ctx, http.MethodPost, "/token", c)
	var found struct {
		ID  int64           `json:"id"`
		App json.RawMessage `json:"app"`
	}
	switch {
	case !asked:
	case r.Status == http.StatusOK && r.JSON(&found) && found.ID > 0 && len(found.App) > 0:
		return r.Verdict(revoke.Alive, "the token was refused, and its App is told that it is valid")
	case r.Err == nil && r.Status == http.StatusNotFound && messageOf(r) == "Not Found":
		v.Answer += "; its App is told 404 Not Found"
	}
	return v
}

func messageOf(r wire.Reply) string {
	var said struct {
		Message string `json:"message"`
	}
	if !r.JSON(&said) {
		return ""
	}
	return said.Message
}
