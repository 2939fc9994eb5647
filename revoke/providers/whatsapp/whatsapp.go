// Package whatsapp ends the access to WhatsApp that goes by Meta's Graph API: access tokens of users
// and system users, by the application's authority or by themselves, and the secrets of applications,
// which a person resets. It is dead when the API refuses it for what it is; where the application's
// authority is at hand, that has to see it dead too. What links a device to a phone ends on the phone.
package whatsapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

type provider struct {
	env        revoke.Env
	wire       wire.Client
	deregister []string
}

// settings are the desk's own for WhatsApp.
type settings struct {
	// Deregister is the ids of the phone numbers that are taken off the API when a token is revoked.
	// To bring one back takes its PIN.
	Deregister []string `yaml:"deregister"`
}

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	client, err := wire.New(env, "https://graph.facebook.com")
	if err != nil {
		return nil, fmt.Errorf("whatsapp: %w", err)
	}
	var s settings
	if env.Settings != nil {
		if err := env.Settings(&s); err != nil {
			return nil, fmt.Errorf("whatsapp: %w", err)
		}
	}
	for _, id := range s.Deregister {
		if !idForm.MatchString(id) {
			return nil, fmt.Errorf("whatsapp: deregister: %q is no id of a phone number: want its digits, from the app's page WhatsApp, API setup", id)
		}
	}
	return &provider{env: env, wire: client, deregister: s.Deregister}, nil
}

// What is sent has wholly these forms.
var (
	idForm     = lazyregexp.New(`\A[0-9]{5,20}\z`)
	tokenForm  = lazyregexp.New(`\AEA[0-9A-Za-z]{60,600}\z`)
	secretForm = lazyregexp.New(`\A[0-9A-Za-z]{16,64}\z`)
)

// app is an application's id and secret: those of the authority, with a token of its own where it has one.
type app struct {
	id, secret, token string
}

// bearer is the application's own access token:
// https://developers.facebook.com/docs/facebook-login/guides/access-tokens#apptokens
func (a app) bearer() string { return a.id + "|" + a.secret }

func (a app) hide(c credential.Credential) credential.Secret {
	parts := map[string]string{"app.secret": a.secret, "app.token": a.token}
	for _, name := range c.Secret.Parts() {
		parts[name] = c.Secret.Reveal(name)
	}
	return credential.NewSecret(parts)
}

// authority returns the application of the desk's authority, or ErrNoAuthority.
func (p *provider) authority(ctx context.Context, c credential.Credential) (app, error) {
	a, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return app{}, err
	}
	found := app{id: a.Secret.Reveal("client_id"), secret: a.Secret.Reveal("client_secret"), token: a.Secret.Reveal("value")}
	if !idForm.MatchString(found.id) || !wire.Sendable(found.secret) {
		return app{}, fmt.Errorf("%w: it takes the application's client_id and client_secret", revoke.ErrNoAuthority)
	}
	return found, nil
}

// Revoke has the application revoke a token, or the token end what its user allowed.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	k, ok := info.Kind(c.Kind)
	switch {
	case !ok:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, unknownKind(c))
	case k.Manual:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, revoke.ErrManual)
	}
	receipt, err := p.end(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	return receipt, nil
}

func unknownKind(c credential.Credential) error {
	return fmt.Errorf("whatsapp has no credentials of the kind %q", c.Kind)
}

func (p *provider) end(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	by, err := p.authority(ctx, c)
	if err != nil && !errors.Is(err, revoke.ErrNoAuthority) {
		return revoke.Receipt{}, err
	}
	l := p.look(ctx, c)
	switch {
	case l.err != nil:
		return revoke.Receipt{}, l.err
	case l.Outcome == revoke.Refused:
		return revoke.Receipt{Answer: l.Answer, Already: true}, nil
	case l.Outcome == revoke.Inconclusive:
		return revoke.Receipt{}, unread(l.reply)
	}
	did, left := p.takeOff(ctx, c, by)
	receipt, err := p.endToken(ctx, c, by)
	if err != nil {
		if len(did) > 0 {
			err = fmt.Errorf("%w (but %s)", err, did)
		}
		return revoke.Receipt{}, err
	}
	receipt.Did, receipt.Left = append(did, receipt.Did...), append(left, receipt.Left...)
	return receipt, nil
}

// endToken calls the revocation that Meta documents for system users' tokens, which is the
// application's, or the one that it documents for users' tokens, which is the user's own.
func (p *provider) endToken(ctx context.Context, c credential.Credential, by app) (revoke.Receipt, error) {
	value := c.Secret.Reveal("value")
	q := wire.Request{Method: http.MethodDelete, Path: "/me/permissions", Bearer: value, Hide: c.Secret}
	receipt := revoke.Receipt{
		Did: []string{"took from the app all that the token's user allowed it"},
		Left: []string{"for a system user's token Meta documents another way: if this one lives on, give the app's client_id and client_secret as the authority," +
			" or revoke it in Business settings, System users"},
	}
	if by.id != "" {
		// Meta documents it as GET. It changes what is there: it is no Read.
		q = wire.Request{
			Method: http.MethodGet, Path: "/oauth/revoke", Bearer: cmp.Or(by.token, by.bearer()), Hide: by.hide(c),
			Query: url.Values{"client_id": {by.id}, "client_secret": {by.secret}, "revoke_token": {value}},
		}
		receipt = revoke.Receipt{Did: []string{"revoked the token as its application"}}
	}
	r := p.wire.Do(ctx, q)
	if r.Status == http.StatusOK && succeeded(r) {
		receipt.Answer = r.Text("success")
		return receipt, nil
	}
	return revoke.Receipt{}, refusalOf(r).failure(r, by.id != "")
}

// takeOff takes the phone numbers that the desk named off the API, so that nothing is sent or read by
// them whatever else the thief has: https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account-to-number-current-status/deregister
// A number that stays on it does not keep the token alive.
func (p *provider) takeOff(ctx context.Context, c credential.Credential, by app) (did, left []string) {
	for _, id := range p.deregister {
		q := wire.Request{Method: http.MethodPost, Path: "/" + id + "/deregister", Bearer: cmp.Or(by.token, c.Secret.Reveal("value")), Hide: by.hide(c)}
		r := p.wire.Do(ctx, q)
		if r.Status == http.StatusOK && succeeded(r) {
			did = append(did, "took phone number "+id+" off the API: to bring it back takes its PIN")
			continue
		}
		left = append(left, "phone number "+id+" on the API: "+r.Text(refusalOf(r).text()))
	}
	return did, left
}
