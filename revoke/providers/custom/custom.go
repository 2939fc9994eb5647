// Package custom ends credentials of internal APIs that nobody but the desk knows, as the desk
// describes them: the request that ends one, the request that looks, and which answers mean that it
// was accepted, that the credential is dead, or alive. Any other answer is inconclusive.
package custom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const kindToken = "custom.token"

var (
	errKind      = errors.New("no kind of a custom API's")
	errNoService = errors.New("which API it is of is not known: describe it in the settings of custom, with what matches its values")
	errServices  = errors.New("more than one API in the settings of custom matches it")
	errByHand    = errors.New("the settings of custom describe no call that ends it")
)

type provider struct {
	env      revoke.Env
	services []service // by name
}

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	if env.HTTP == nil {
		return nil, errors.New("custom: no HTTP client")
	}
	all, err := services(env)
	if err != nil {
		return nil, fmt.Errorf("custom: %w", err)
	}
	return &provider{env, all}, nil
}

// serviceOf finds the API of a credential: the one that its Ref names or, failing that, the only one
// whose pattern fits its value or its host. A wrong one would learn the secret.
func (p *provider) serviceOf(c credential.Credential) (service, error) {
	named, value := c.Ref["service"], c.Secret.Reveal("value")
	var fits []service
	for _, s := range p.services {
		if s.name == named {
			return s, nil
		}
		if s.match != nil && (value != "" && s.match.MatchString(value) || named != "" && s.match.MatchString(named)) {
			fits = append(fits, s)
		}
	}
	switch len(fits) {
	case 0:
		return service{}, errNoService
	case 1:
		return fits[0], nil
	}
	return service{}, errServices
}

// request fills in one of a service's requests.
func (p *provider) request(ctx context.Context, q *requestSettings, c credential.Credential) (wire.Request, error) {
	f := filler{secret: c.Secret, ref: c.Ref}
	if q.uses("authority") {
		a, err := wire.Authority(ctx, p.env, c)
		if err != nil {
			return wire.Request{}, err
		}
		f.authority = a.Secret
	}
	out := wire.Request{Method: q.Method, Header: make(http.Header), Hide: f.hidden()}
	err := cmp.Or(
		f.into(&out.Path, q.path, intoPath),
		f.into(&out.Body, q.Body, intoBody(contentType(q.Headers))))
	if q.query != "" {
		var query string
		err = cmp.Or(err, f.into(&query, q.query, intoQuery))
		out.Path += "?" + query
	}
	for name, value := range q.Headers {
		var filled string
		err = cmp.Or(err, f.into(&filled, value, intoHeader))
		out.Header.Set(name, filled)
	}
	if q.Basic != nil {
		var user, password string
		err = cmp.Or(err, f.into(&user, q.Basic.User, intoHeader), f.into(&password, q.Basic.Password, intoHeader))
		out.User = url.UserPassword(user, password)
	}
	return out, err
}

func (f filler) into(to *string, text string, write func(string) (string, error)) (err error) {
	*to, err = f.fill(text, write)
	return err
}

// hidden is all that no text may show.
func (f filler) hidden() credential.Secret {
	parts := make(map[string]string)
	for of, s := range map[string]credential.Secret{"secret.": f.secret, "authority.": f.authority} {
		for _, part := range s.Parts() {
			parts[of+part] = s.Reveal(part)
		}
	}
	return credential.NewSecret(parts)
}

func contentType(headers map[string]string) string {
	for name, value := range headers {
		if http.CanonicalHeaderKey(name) == "Content-Type" {
			return value
		}
	}
	return ""
}

// look is one answer of an API, and what it means.
type look struct {
	revoke.Verdict
	reply wire.Reply
	owner string
	err   error // why nothing was asked
}

func (p *provider) look(ctx context.Context, c credential.Credential) (l look) {
	s, err := p.find(c)
	var q wire.Request
	if err == nil {
		q, err = p.request(ctx, s.Verify, c)
	}
	if err != nil {
		return look{Verdict: revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}, err: err}
	}
	l.reply = s.Verify.wire.Do(ctx, q)
	dead, isDead := first(s.Verify.Dead, l.reply)
	alive, isAlive := first(s.Verify.Alive, l.reply)
	switch {
	case isDead && isAlive: // the settings contradict themselves
		l.Verdict = l.reply.Verdict(revoke.Inconclusive, s.name+": both dead and alive fit")
	case isDead:
		l.Verdict = l.reply.Verdict(revoke.Refused, s.name+": "+dead)
	case isAlive:
		l.Verdict = l.reply.Verdict(revoke.Alive, s.name+": "+alive)
	default:
		l.Verdict = l.reply.Verdict(revoke.Inconclusive, s.name+": no answer that its settings know")
	}
	if s.Verify.Owner != "" && isAlive {
		l.owner, _ = field(l.reply, s.Verify.Owner)
	}
	return l
}

func (p *provider) find(c credential.Credential) (service, error) {
	if c.Kind != kindToken {
		return service{}, errKind
	}
	return p.serviceOf(c)
}

// Verify asks the API as the desk says.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	return p.look(ctx, c).Verdict
}

// Inspect tells whose the credential is, where the API says so.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.look(ctx, c)
	switch {
	case l.err != nil:
		return revoke.Exposure{}, fmt.Errorf("custom: inspect %s: %w", c.Kind, l.err)
	case l.Outcome == revoke.Inconclusive:
		return revoke.Exposure{}, fmt.Errorf("custom: inspect %s: %s", c.Kind, l.Answer)
	}
	s, _ := p.serviceOf(c)
	return revoke.Exposure{Account: s.name, Owner: l.reply.Show(l.owner), Answer: l.Answer}, nil
}

// Revoke ends the credential as the desk says.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	r, err := p.revoke(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("custom: revoke %s: %w", c.Kind, err)
	}
	return r, nil
}

func (p *provider) revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, err
	}
	s, err := p.find(c)
	if err == nil && s.Revoke == nil {
		err = errByHand
	}
	if errors.Is(err, errNoService) || errors.Is(err, errServices) || errors.Is(err, errByHand) {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", err, revoke.ErrManual)
	}
	if err != nil {
		return revoke.Receipt{}, err
	}
	q, err := p.request(ctx, s.Revoke, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	before := p.look(ctx, c)
	if before.Outcome == revoke.Refused {
		return revoke.Receipt{Already: true, Answer: before.Answer}, nil
	}
	reply := s.Revoke.wire.Do(ctx, q)
	if said, ok := first(s.Revoke.Already, reply); ok {
		return revoke.Receipt{Already: true, Answer: reply.Text(s.name + ": " + said)}, nil
	}
	if said, ok := first(s.Revoke.Accepted, reply); ok {
		if before.Outcome != revoke.Alive { // an end of what was never there must not become a proof
			return revoke.Receipt{Already: true, Answer: reply.Text(s.name + ": whether it worked before is not known: " + said)}, nil
		}
		return revoke.Receipt{Answer: reply.Text(s.name + ": " + said), Did: []string{"revoked at " + s.name}}, nil
	}
	if said, ok := first(s.Revoke.Unauthorized, reply); ok {
		return revoke.Receipt{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, reply.Failure(said))
	}
	return revoke.Receipt{}, reply.Failure(s.name + ": no answer that its settings know")
}
