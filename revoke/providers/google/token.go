package google

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

var (
	errNoToken  = errors.New("its value is not known, or is no token")
	errNoClient = errors.New("a refresh token answers only to the OAuth client that it was issued to: name that client's id, and where its secret is kept, under settings.google.oauth_clients")
)

// federated is a token of Google's Security Token Service, for a federated identity or cut down to some
// objects. Google can neither look into those nor revoke them: the table of access tokens in
// https://docs.cloud.google.com/docs/authentication/token-types
var federated = lazyregexp.New(`\Aya29\.d[a-z]?\.`)

// tokenInfo is what Google tells of a live access token: the Tokeninfo of
// https://www.googleapis.com/discovery/v1/apis/oauth2/v2/rest
type tokenInfo struct {
	Audience string `json:"audience"`
	IssuedTo string `json:"issued_to"`
	User     string `json:"user_id"`
	Email    string `json:"email"`
	Scope    string `json:"scope"`
	Expires  int    `json:"expires_in"` // seconds
}

// probeAccess asks Google what the token is. It says "invalid_token" to one that is not, or no more.
func (p *provider) probeAccess(ctx context.Context, c credential.Credential) (revoke.Verdict, tokenInfo) {
	token := c.Secret.Reveal("value")
	if !wire.Sendable(token) {
		return notAsked(errNoToken, c), tokenInfo{}
	}
	r := p.tokens.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: "/oauth2/v2/tokeninfo", Query: url.Values{"access_token": {token}}, Hide: c.Secret,
	})
	var t tokenInfo
	d, isDenial := denied(r)
	switch {
	case r.Status == http.StatusOK && r.JSON(&t) && cmp.Or(t.Audience, t.IssuedTo) != "" && t.Expires > 0:
		return r.Verdict(revoke.Alive, fmt.Sprintf("tokeninfo: expires in %d s", t.Expires)), t
	case isDenial && r.Status == http.StatusBadRequest && d.Code == "invalid_token":
		if federated.MatchString(token) {
			return r.Verdict(revoke.Inconclusive, said(r)+": says tokeninfo also to live tokens of federated identities"), tokenInfo{}
		}
		return r.Verdict(revoke.Refused, said(r)), tokenInfo{}
	}
	return r.Verdict(revoke.Inconclusive, said(r)), tokenInfo{}
}

func (p *provider) inspectAccess(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v, t := p.probeAccess(ctx, c)
	if v.Outcome != revoke.Alive {
		return revoke.Exposure{}, told(ctx, v)
	}
	show := func(s string) string { return revoke.Answer(0, s, c.Secret) }
	return revoke.Exposure{
		Account: show("client " + cmp.Or(t.Audience, t.IssuedTo)),
		Owner:   show(cmp.Or(t.Email, t.User)), Reach: scopes(t.Scope, show), Answer: v.Answer,
	}, nil
}

func scopes(list string, show func(string) string) []string {
	all := strings.Fields(list)
	for i := range all {
		all[i] = show(strings.TrimPrefix(all[i], "https://www.googleapis.com/auth/"))
	}
	return all[:min(len(all), 50)]
}

// client returns the OAuth client that a refresh token was issued to, as it stood beside the token
// or as the desk's settings have it.
func (p *provider) client(ctx context.Context, c credential.Credential) (id, secret string, err error) {
	id = cmp.Or(c.Secret.Reveal("client_id"), c.Ref["client_id"])
	file, isFile := readKeyFile(c.Secret.Reveal("value"))
	if isFile {
		id, secret = file.ClientID, file.ClientSecret
	}
	if id == "" && len(p.settings.OAuthClients) == 1 {
		for only := range p.settings.OAuthClients {
			id = only
		}
	}
	secret = cmp.Or(secret, c.Secret.Reveal("client_secret"))
	if held := p.settings.OAuthClients[id]; held != nil && held.Load != nil {
		s, err := held.Load(ctx)
		if err != nil {
			return "", "", fmt.Errorf("the secret of OAuth client %s: %w", id, err)
		}
		secret = s.Reveal("value")
	}
	if !wire.Sendable(id) || !wire.Sendable(secret) {
		return "", "", errNoClient
	}
	return id, secret, nil
}

// refreshValue is the refresh token itself, also where its whole file was kept.
func refreshValue(c credential.Credential) string {
	value := c.Secret.Reveal("value")
	if file, ok := readKeyFile(value); ok {
		return file.Refresh
	}
	return value
}

// probeRefresh mints an access token, which changes nothing. "invalid_grant" is also what Google says
// where the user has to sign in again for this session (invalid_rapt), with the token alive:
// https://support.google.com/a/answer/9368756
func (p *provider) probeRefresh(ctx context.Context, c credential.Credential) (revoke.Verdict, granted) {
	token := refreshValue(c)
	if !wire.Sendable(token) {
		return notAsked(errNoToken, c), granted{}
	}
	id, secret, err := p.client(ctx, c)
	if err != nil {
		return notAsked(err, c), granted{}
	}
	_, g, r := p.refresh(ctx, token, id, secret, both(c.Secret, credential.Value(secret)))
	d, isDenial := denied(r)
	switch {
	case g.Token != "":
		return r.Verdict(revoke.Alive, "minted a token"), g
	case isDenial && r.Status == http.StatusBadRequest && d.Code == "invalid_grant" && d.Subtype == "" && !strings.Contains(d.Description, "rapt"):
		return r.Verdict(revoke.Refused, said(r)), granted{}
	}
	return r.Verdict(revoke.Inconclusive, said(r)), granted{}
}

func (p *provider) inspectRefresh(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v, g := p.probeRefresh(ctx, c)
	if v.Outcome != revoke.Alive {
		return revoke.Exposure{}, told(ctx, v)
	}
	show := func(s string) string { return revoke.Answer(0, s, c.Secret) }
	e := revoke.Exposure{Owner: show(c.Owner), Reach: scopes(g.Scope, show), Answer: v.Answer}
	if id, _, err := p.client(ctx, c); err == nil {
		e.Account = show("client " + id)
	}
	return e, nil
}

// revokeToken makes a token end itself and the whole grant that it belongs to:
// https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke
func (p *provider) revokeToken(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	token := refreshValue(c)
	if !wire.Sendable(token) {
		return revoke.Receipt{}, errNoToken
	}
	if c.Kind == accessToken && federated.MatchString(token) {
		return revoke.Receipt{}, fmt.Errorf("%w: a federated identity's token ends within the hour; take from that identity what it may do", revoke.ErrUnkillable)
	}
	r := p.oauth.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/revoke", Form: url.Values{"token": {token}}, Hide: c.Secret})
	d, isDenial := denied(r)
	switch {
	case empty(r):
		return revoke.Receipt{Answer: r.Text("revoked"), Did: []string{"revoked the grant of the token, by the token itself"}}, nil
	case !isDenial || d.Code != "invalid_token":
		return revoke.Receipt{}, r.Failure(said(r))
	}
	// Google says invalid_token to a token that is dead; that it does not say so to one that it cannot
	// revoke, such as a service account's, is written nowhere.
	return p.alreadyRevoked(ctx, c, r)
}

func (p *provider) alreadyRevoked(ctx context.Context, c credential.Credential, r wire.Reply) (revoke.Receipt, error) {
	probe := p.probeAccess
	if c.Kind == refreshToken {
		if _, _, err := p.client(ctx, c); errors.Is(err, errNoClient) { // nothing else can be asked
			return revoke.Receipt{Already: true, Answer: r.Text(said(r))}, nil
		}
		probe = func(ctx context.Context, c credential.Credential) (revoke.Verdict, tokenInfo) {
			v, _ := p.probeRefresh(ctx, c)
			return v, tokenInfo{}
		}
	}
	v, _ := probe(ctx, c)
	switch v.Outcome {
	case revoke.Refused:
		return revoke.Receipt{Already: true, Answer: v.Answer}, nil
	case revoke.Alive:
		return revoke.Receipt{}, fmt.Errorf("%s, and yet it works (%s): the token of a service account ends with its account's disabling, or when it expires", r.Text(said(r)), v.Answer)
	}
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, err
	}
	return revoke.Receipt{}, &revoke.RetryError{After: v.RetryAfter, Answer: v.Answer}
}
