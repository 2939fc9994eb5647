// Package oauth2 ends OAuth 2.0 tokens of issuers that have no provider of their own, by revocation
// (RFC 7009) at the addresses that the desk configured. A revocation is answered alike for a token
// that never existed, so its answer proves nothing: the proof is that introspection (RFC 7662), which
// called the token active before, calls it inactive, and that a resource refuses it, where the desk
// names one.
package oauth2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

var (
	errKind     = errors.New("no kind of OAuth's")
	errNotValue = errors.New("not asked: the value is no token")
	errNoIssuer = errors.New("which issuer it is of is not known: name its authorization server in the settings of oauth2, with what matches its tokens")
	errIssuers  = errors.New("more than one issuer in the settings of oauth2 matches it")
	errNoClient = errors.New("the client that the token was issued to is not known: name it as client_id")
)

type provider struct {
	env     revoke.Env
	issuers []issuer // by name
}

// New makes the provider. It sends nothing. Without an issuer every call is refused.
func New(env revoke.Env) (revoke.Provider, error) {
	if env.HTTP == nil {
		return nil, errors.New("oauth2: no HTTP client")
	}
	all, err := issuers(env)
	if err != nil {
		return nil, fmt.Errorf("oauth2: %w", err)
	}
	return &provider{env, all}, nil
}

// issuerOf finds the issuer of a token: the one that the Ref names or, failing that, the only one
// whose pattern fits the token or its host. A wrong one would learn the token.
func (p *provider) issuerOf(c credential.Credential) (issuer, error) {
	service, value := c.Ref["service"], c.Secret.Reveal("value")
	var fits []issuer
	for _, i := range p.issuers {
		if i.name == service {
			return i, nil
		}
		if i.all || i.match != nil && (i.match.MatchString(value) || service != "" && i.match.MatchString(service)) {
			fits = append(fits, i)
		}
	}
	switch len(fits) {
	case 0:
		return issuer{}, errNoIssuer
	case 1:
		return fits[0], nil
	}
	return issuer{}, errIssuers
}

// session is one token at its issuer.
type session struct {
	issuer
	c        credential.Credential
	token    string
	clientID string
	secret   string // empty for a public client
}

// begin finds who can be asked about a token, and as whom.
func (p *provider) begin(ctx context.Context, c credential.Credential) (session, error) {
	s := session{c: c, token: c.Secret.Reveal("value")}
	if c.Kind != kindAccess && c.Kind != kindRefresh {
		return s, errKind
	}
	if !wire.Sendable(s.token) {
		return s, errNotValue
	}
	var err error
	if s.issuer, err = p.issuerOf(c); err != nil {
		return s, err
	}
	s.clientID = s.issuer.clientID
	if s.secretPart != "" || s.clientID == "" {
		a, err := wire.Authority(ctx, p.env, c)
		if err != nil {
			return s, err
		}
		if s.clientID == "" {
			s.clientID = a.Secret.Reveal("client_id")
		}
		if s.secretPart != "" {
			if s.secret = a.Secret.Reveal(s.secretPart); s.secret == "" {
				return s, fmt.Errorf("%w: the authority has no part %s", revoke.ErrNoAuthority, s.secretPart)
			}
		}
	}
	if !wire.Sendable(s.clientID) {
		return s, errNoClient
	}
	return s, nil
}

// post sends the token to one of its issuer's endpoints as the client.
// https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
func (s session) post(ctx context.Context, to place) wire.Reply {
	hint := strings.TrimPrefix(s.c.Kind, "oauth2.")
	q := wire.Request{
		Method: http.MethodPost, Path: to.path, Form: url.Values{"token": {s.token}, "token_type_hint": {hint}},
		Hide: credential.NewSecret(map[string]string{"token": s.token, "client": s.clientID, "secret": s.secret}),
	}
	switch {
	case s.secret == "" || s.issuer.post:
		q.Form.Set("client_id", s.clientID)
		if s.secret != "" {
			q.Form.Set("client_secret", s.secret)
		}
	default:
		q.User = url.UserPassword(url.QueryEscape(s.clientID), url.QueryEscape(s.secret))
	}
	return to.wire.Do(ctx, q)
}

// Inspect tells what the issuer says of the token.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	s, err := p.begin(ctx, c)
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("oauth2: inspect %s: %w", c.Kind, err)
	}
	reply, told := s.introspect(ctx)
	if told.Active == nil {
		return revoke.Exposure{}, fmt.Errorf("oauth2: inspect %s: %w", c.Kind, reply.Failure(reason(reply)))
	}
	e := revoke.Exposure{Account: s.name, Answer: s.text(reply, told)}
	if !*told.Active {
		return e, nil
	}
	if told.Subject != "" {
		e.Owner = reply.Show(s.name + " " + told.Subject)
	}
	for _, scope := range strings.Fields(told.Scope) {
		if e.Reach = append(e.Reach, reply.Show(scope)); len(e.Reach) == 30 {
			break
		}
	}
	return e, nil
}

// Verify asks the issuer and, where the desk names one, a resource.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	s, err := p.begin(ctx, c)
	if err != nil {
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	}
	return s.look(ctx)
}

// Revoke asks the issuer to end the token. That is done also where it looks inactive: introspection
// says so of tokens as well that it does not know, or not to this client.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	r, err := p.revoke(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("oauth2: revoke %s: %w", c.Kind, err)
	}
	return r, nil
}

func (p *provider) revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, err
	}
	s, err := p.begin(ctx, c)
	if errors.Is(err, errNoIssuer) || errors.Is(err, errIssuers) {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", err, revoke.ErrManual)
	}
	if err != nil {
		return revoke.Receipt{}, err
	}
	before := s.look(ctx)
	reply := s.post(ctx, s.revocation)
	said := reason(reply)
	switch {
	case reply.Err == nil && reply.Status == http.StatusOK && (bare(reply) || s.inactive(ctx)):
		return s.receipt(reply, before), nil
	case reply.Err == nil && reply.Status == http.StatusOK:
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrUncertain, reply.Text("with more than a revocation is answered with"))
	case reply.Err == nil && said == "unsupported_token_type": // RFC 7009, section 2.2.1
		return revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrManual, reply.Failure(said))
	case reply.Err == nil && (said == "invalid_client" || said == "unauthorized_client") && reply.Status < 500:
		return revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, reply.Failure(said))
	}
	return revoke.Receipt{}, reply.Failure(said)
}

// bare reports whether a success says nothing else, as RFC 7009 has it. A page or another document
// is somebody's who stands in between.
func bare(reply wire.Reply) bool {
	body := bytes.TrimSpace(reply.Body)
	if string(body) == "{}" {
		return true
	}
	return len(body) == 0 && !strings.Contains(reply.Header.Get("Content-Type"), "json") && !strings.Contains(reply.Header.Get("Content-Type"), "html")
}

func (s session) inactive(ctx context.Context) bool {
	_, told := s.introspect(ctx)
	return told.Active != nil && !*told.Active
}

// receipt says of a token that was not seen alive that it was dead already: 200 is also what a token
// gets that this issuer never had, and must not become the proof of its death.
func (s session) receipt(reply wire.Reply, before revoke.Verdict) revoke.Receipt {
	r := revoke.Receipt{Answer: reply.Text("revoked at " + s.name)}
	switch before.Outcome {
	case revoke.Alive:
		r.Did = []string{"revoked the token at " + s.name}
	case revoke.Refused:
		r.Already, r.Answer = true, reply.Text("it was not active before")
	default:
		r.Already, r.Answer = true, reply.Text("whether it was active before is not known")
	}
	if s.c.Kind == kindRefresh {
		r.Left = []string{"access tokens of its grant, where the server does not end them with it: until they expire"}
	} else if !s.probe.given() {
		r.Left = []string{"servers that check the token by its signature alone, or cache what they looked up, accept it until it expires"}
	}
	return r
}
