// Package conjur ends what a CyberArk Conjur handed out: the API key of a host or user, by having it
// replaced by one that nobody keeps, and tokens of host factories. Both are proved dead by Conjur's
// refusal of the credential itself.
package conjur

import (
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

const (
	kindKey     = "conjur.api_key"
	kindFactory = "conjur.host_factory_token"
)

var (
	errNoEndpoint = errors.New("no address of a Conjur is configured: name it under endpoints, as conjur: https://…")
	errNoAccount  = errors.New("which account of the Conjur it is of is not known: name it as account in the settings of conjur")
	errNoLogin    = errors.New("not asked: whose key it is is not known: want host/NAME or a user's name")
	errNotValue   = errors.New("not asked: the value is none that Conjur hands out")
	errKind       = errors.New("no kind of Conjur's")
)

// settings is what the desk says of its Conjur.
type settings struct {
	Account string `yaml:"account"` // the organization's
}

// What may become part of an address.
var (
	accountName = lazyregexp.New(`\A[0-9A-Za-z_][0-9A-Za-z_.-]{0,99}\z`)
	loginName   = lazyregexp.New(`\A[0-9A-Za-z_][0-9A-Za-z_.@+-]{0,99}(?:/[0-9A-Za-z_][0-9A-Za-z_.@+-]{0,99}){0,9}\z`)
)

// loginDepth is how many segments a loginName may have.
const loginDepth = 10

// secretValue is a key or token as Conjur makes them, which today is base32 in lower case
// (https://github.com/cyberark/conjur-openapi-spec/blob/main/spec/authentication.yml, ApiKey).
var secretValue = lazyregexp.New(`\A[0-9A-Za-z]{40,120}\z`)

type provider struct {
	env     revoke.Env
	wire    wire.Client
	nowhere bool // no endpoint was pinned
	account string
}

// New makes the provider. It sends nothing. Without a pinned endpoint every call is refused.
func New(env revoke.Env) (revoke.Provider, error) {
	p := &provider{env: env, nowhere: env.Endpoint == ""}
	var err error
	if p.wire, err = wire.New(env, "https://conjur.invalid"); err != nil {
		return nil, fmt.Errorf("conjur: %w", err)
	}
	var s settings
	if env.Settings != nil {
		if err := env.Settings(&s); err != nil {
			return nil, fmt.Errorf("conjur: settings: %w", err)
		}
	}
	if s.Account != "" && !accountName.MatchString(s.Account) {
		return nil, errors.New("conjur: settings: account is no account's name")
	}
	p.account = s.Account
	return p, nil
}

// identity is who a key is of.
type identity struct {
	account, login string
	key            string
	hide           credential.Secret
}

// accountOf is the desk's account or, where it names none, the one that was found with the credential.
func (p *provider) accountOf(c credential.Credential) (string, error) {
	account := p.account
	if account == "" {
		account = c.Ref["account"]
	}
	if !accountName.MatchString(account) {
		return "", errNoAccount
	}
	return account, nil
}

// identify returns whom the credential logs in as.
func (p *provider) identify(c credential.Credential) (identity, error) {
	account, err := p.accountOf(c)
	if err != nil {
		return identity{}, err
	}
	id := identity{account: account, login: c.Secret.Reveal("login"), key: c.Secret.Reveal("value"), hide: c.Secret}
	if id.login == "" {
		id.login = c.Ref["login"]
	}
	switch {
	case !loginName.MatchString(id.login):
		return identity{}, errNoLogin
	case !secretValue.MatchString(id.key):
		return identity{}, errNotValue
	}
	return id, nil
}

// role is the identity as a role: "host:apps/agent", "user:alice".
func (id identity) role() string {
	if host, ok := strings.CutPrefix(id.login, "host/"); ok {
		return "host:" + host
	}
	return "user:" + id.login
}

// authority returns the responder's own identity.
func (p *provider) authority(ctx context.Context, c credential.Credential) (identity, error) {
	a, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return identity{}, err
	}
	own, err := p.identify(credential.Credential{Secret: a.Secret, Ref: map[string]string{"account": c.Ref["account"]}})
	if err != nil {
		return identity{}, fmt.Errorf("%w: %w", revoke.ErrAuthority, err)
	}
	return own, nil
}

// Inspect tells whose the credential is. What it may do only a policy tells.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v := p.Verify(ctx, c)
	if v.Outcome == revoke.Inconclusive {
		return revoke.Exposure{}, fmt.Errorf("conjur: inspect %s: %s", c.Kind, v.Answer)
	}
	e := revoke.Exposure{Answer: v.Answer}
	if account, err := p.accountOf(c); err == nil {
		e.Account = account
	}
	switch id, err := p.identify(c); {
	case c.Kind == kindFactory:
		e.Reach = []string{"new hosts in the layers of its factory"}
	case err == nil:
		e.Owner = revoke.Answer(0, id.role(), credential.Value(id.key))
		e.Reach = []string{"what the policies permit " + e.Owner}
	}
	return e, nil
}

// Verify asks whether the credential still works.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	var v verdict
	switch c.Kind {
	case kindKey:
		v = p.tryKey(ctx, c)
	case kindFactory:
		v = p.tryFactory(ctx, c)
	default:
		v = unasked(errKind)
	}
	return v.Verdict
}

// Revoke ends the credential.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	r, err := p.revoke(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("conjur: revoke %s: %w", c.Kind, err)
	}
	return r, nil
}

func (p *provider) revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, err
	}
	switch c.Kind {
	case kindKey:
		return p.rotateKey(ctx, c)
	case kindFactory:
		return p.deleteFactoryToken(ctx, c)
	}
	return revoke.Receipt{}, errKind
}

// ask sends one request.
func (p *provider) ask(ctx context.Context, q wire.Request) wire.Reply {
	if p.nowhere {
		return wire.Reply{Err: errNoEndpoint, Unsent: true}
	}
	return p.wire.Do(ctx, q)
}

// verdict is a verdict, and the error for a revocation that it stands in the way of.
type verdict struct {
	revoke.Verdict
	err error
}

func unasked(err error) verdict {
	return verdict{revoke.Verdict{Answer: err.Error()}, err}
}

// judged is the verdict of one answer.
func judged(a wire.Reply, o revoke.Outcome, said string) verdict {
	return verdict{a.Verdict(o, said), a.Failure(said)}
}

// present asks for the authenticators, which Conjur tells anybody: whether it is one that answers. A
// refusal of Conjur's is a 401 with nothing in it, as any proxy may send. Where there is no such page
// it may be a Conjur all the same, behind a gateway: silent.
// https://github.com/cyberark/conjur-openapi-spec/blob/main/spec/status.yml, AuthenticatorsIndex
func (p *provider) present(ctx context.Context, hide credential.Secret) (v verdict, ok, silent bool) {
	a := p.ask(ctx, wire.Request{Method: http.MethodGet, Path: "/authenticators", Hide: hide})
	var index struct {
		Installed []string `json:"installed"`
		Enabled   []string `json:"enabled"`
	}
	if a.Status == http.StatusOK && a.JSON(&index) && len(index.Installed) > 0 && index.Enabled != nil {
		return verdict{}, true, false
	}
	silent = a.Err == nil && a.Status == http.StatusNotFound && !strings.Contains(string(a.Body), "<")
	return judged(a, revoke.Inconclusive, "no answer of a Conjur's"), false, silent
}

// witnessed is a refusal of what does not tell that it is a Conjur. It counts where the authority is
// let in right after it.
func (p *provider) witnessed(ctx context.Context, c credential.Credential, refusal wire.Reply) verdict {
	const unknown = "whether it is a Conjur's refusal is not known: "
	own, err := p.authority(ctx, c)
	if err != nil {
		return judged(refusal, revoke.Inconclusive, unknown+err.Error())
	}
	if _, token := p.login(ctx, own); token == nil {
		return judged(refusal, revoke.Inconclusive, unknown+"the authority is not let in either")
	}
	return judged(refusal, revoke.Refused, "and right after it the authority is let in")
}

// refused reports whether Conjur refused what it was asked with, once it is known to be Conjur: 401
// and nothing else, whatever the reason (app/controllers/application_controller.rb, unauthorized).
func refused(a wire.Reply) bool {
	return a.Err == nil && a.Status == http.StatusUnauthorized && len(strings.TrimSpace(string(a.Body))) == 0
}

func keyPath(id identity) string { return "/authn/" + url.PathEscape(id.account) + "/api_key" }
