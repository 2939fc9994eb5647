// Package braintree ends OAuth access tokens of Braintree's partners, and guides a person through the
// end of API keys, which no call ends. Both are proved dead by Braintree's refusal of the credential
// itself, in production and in the sandbox where it is not known which of them it is of.
package braintree

import (
	"context"
	"encoding/xml"
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

// https://developer.paypal.com/braintree/graphql/guides/making_api_calls and, for the gateway,
// https://github.com/braintree/braintree_java/blob/master/src/main/java/com/braintreegateway/Environment.java
var environments = []struct{ name, shown, graphql, gateway string }{
	{"production", "live", "payments.braintree-api.com", "api.braintreegateway.com"}, // its name stands in its secrets
	{"sandbox", "sandbox", "payments.sandbox.braintree-api.com", "api.sandbox.braintreegateway.com"},
}

func hosts() (all []string) {
	for _, e := range environments {
		all = append(all, e.graphql, e.gateway)
	}
	return all
}

var (
	errKind      = errors.New("no kind of Braintree's")
	errNotKey    = errors.New("not asked: want a public and a private key")
	errNotToken  = errors.New("not asked: the value is no access token")
	errAuthority = errors.New("the authority wants client_id and client_secret of the OAuth application")
)

// Formats: what the SDKs' documents show, with room.
var (
	keyPart     = lazyregexp.New(`\A[0-9A-Za-z_]{8,128}\z`)
	accessToken = lazyregexp.New(`\Aaccess_token\$(production|sandbox)\$[0-9a-z]{1,64}\$[0-9a-f]{1,128}\z`)
)

// environment is one of Braintree's two.
type environment struct {
	name, shown      string
	graphql, gateway wire.Client
}

type provider struct {
	env          revoke.Env
	environments []environment // one, without a name, where an endpoint is pinned
}

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env}
	for _, e := range environments {
		graphql, err := wire.New(env, "https://"+e.graphql)
		if err != nil {
			return nil, fmt.Errorf("braintree: %w", err)
		}
		gateway, err := wire.New(env, "https://"+e.gateway)
		if err != nil {
			return nil, fmt.Errorf("braintree: %w", err)
		}
		if env.Endpoint != "" {
			p.environments = []environment{{graphql: graphql, gateway: gateway}}
			break
		}
		p.environments = append(p.environments, environment{e.name, e.shown, graphql, gateway})
	}
	return p, nil
}

// of lists the environments that a credential may belong to. A token names its own; a key does not,
// and what the host says of it does not count.
func (p *provider) of(c credential.Credential) []environment {
	m := accessToken.FindStringSubmatch(c.Secret.Reveal("value"))
	if c.Kind != kindToken || m == nil || len(p.environments) == 1 {
		return p.environments
	}
	for _, e := range p.environments {
		if e.name == m[1] {
			return []environment{e}
		}
	}
	return nil
}

// Inspect tells in which environment the credential works.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v, where := p.look(ctx, c)
	if v.Outcome == revoke.Inconclusive {
		return revoke.Exposure{}, fmt.Errorf("braintree: inspect %s: %s", c.Kind, v.Answer)
	}
	e := revoke.Exposure{Answer: v.Answer}
	if v.Outcome != revoke.Alive {
		return e, nil
	}
	e.Reach = []string{"charge, refund and read the customers of the account"}
	if where != "" {
		e.Reach = append(e.Reach, where)
	}
	if id := c.Secret.Reveal("public_key"); id != "" {
		e.Owner = "public key " + revoke.Answer(0, id, credential.Value(c.Secret.Reveal("private_key")))
	}
	return e, nil
}

// Verify asks whether the credential still works.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	v, _ := p.look(ctx, c)
	return v
}

// Revoke ends an access token.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	r, err := p.revoke(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("braintree: revoke %s: %w", c.Kind, err)
	}
	return r, nil
}

func (p *provider) revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, err
	}
	switch c.Kind {
	case kindKey:
		if _, err := wire.Authority(ctx, p.env, c); errors.Is(err, revoke.ErrOurs) {
			return revoke.Receipt{}, err
		}
		return revoke.Receipt{}, revoke.ErrManual
	case kindToken:
		return p.revokeToken(ctx, c)
	}
	return revoke.Receipt{}, errKind
}

// revokeToken has the application withdraw a token of its own. What the gateway says of a token that
// ended before is not documented, so it is looked at first.
// https://github.com/braintree/braintree_java/blob/master/src/main/java/com/braintreegateway/OAuthGateway.java
func (p *provider) revokeToken(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	token := c.Secret.Reveal("value")
	if !accessToken.MatchString(token) {
		return revoke.Receipt{}, errNotToken
	}
	a, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	id, secret := a.Secret.Reveal("client_id"), a.Secret.Reveal("client_secret")
	if !wire.Sendable(id) || !wire.Sendable(secret) {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, errAuthority)
	}
	before, _ := p.look(ctx, c)
	left := []string{"the refresh token of the same grant, which gets new access tokens for who has the client's secret: the merchant ends the grant in the control panel"}
	if before.Outcome == revoke.Refused {
		return revoke.Receipt{Already: true, Answer: before.Answer, Left: left}, nil
	}
	where := p.of(c)
	if len(where) == 0 {
		return revoke.Receipt{}, errNotToken
	}
	reply := where[0].gateway.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: "/oauth/revoke_access_token", User: url.UserPassword(id, secret),
		Header: http.Header{"Content-Type": {"application/xml"}, "Accept": {"application/xml"}, "X-Apiversion": {"6"}},
		Body:   "<credentials><token>" + token + "</token></credentials>",
		Hide:   credential.NewSecret(map[string]string{"token": token, "client": id}),
	})
	switch {
	case succeeded(reply) && before.Outcome == revoke.Alive:
		return revoke.Receipt{Answer: reply.Text("revoked"), Did: []string{"revoked the access token"}, Left: left}, nil
	case succeeded(reply): // an end of what was never seen must not become a proof
		return revoke.Receipt{Already: true, Answer: reply.Text("whether it worked before is not known"), Left: left}, nil
	case reply.Err == nil && (reply.Status == http.StatusUnauthorized || reply.Status == http.StatusForbidden):
		return revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, reply.Failure(""))
	}
	return revoke.Receipt{}, reply.Failure("")
}

// succeeded reports whether the gateway says that it revoked.
func succeeded(reply wire.Reply) bool {
	var result struct {
		XMLName xml.Name `xml:"result"`
		Success string   `xml:"success"`
	}
	return reply.Err == nil && reply.Status/100 == 2 && xml.Unmarshal(reply.Body, &result) == nil && strings.TrimSpace(result.Success) == "true"
}
