// Package discord ends Discord's credentials. A webhook deletes itself by its own address. An OAuth
// token is revoked by the application that it was given to. The token of a bot and the secret of an
// application are reset by a person. Whether they are dead tells what they name: the webhook, the bot's
// user, the authorization.
package discord

import (
	"bytes"
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
	env  revoke.Env
	wire wire.Client
}

// New makes the provider. It sends nothing.
func New(env revoke.Env) (revoke.Provider, error) {
	client, err := wire.New(env, "https://discord.com")
	if err != nil {
		return nil, fmt.Errorf("discord: %w", err)
	}
	return &provider{env, client}, nil
}

// agent is the form of a User-Agent without which Discord may block a client:
// https://discord.com/developers/docs/reference#user-agent
var agent = http.Header{"User-Agent": {"DiscordBot (clawback, 1)"}}

// What is sent has wholly these forms: whatever else a host has in their place makes no address.
var (
	webhookForm = lazyregexp.New(`\Ahttps://(?:(?:canary|ptb)\.)?discord(?:app)?\.com/api(?:/v[0-9]{1,2})?/webhooks/([0-9]{17,20})/([0-9A-Za-z_-]{60,80})\z`)
	botForm     = lazyregexp.New(`\A[0-9A-Za-z_-]{20,40}\.[0-9A-Za-z_-]{4,10}\.[0-9A-Za-z_-]{20,60}\z`)
	tokenForm   = lazyregexp.New(`\A[0-9A-Za-z_.-]{16,400}\z`)
)

// errForm is of a value that is not sent.
var errForm = errors.New("not asked: the value has not the form of this kind")

// request is the read that tells whether the credential works.
func request(c credential.Credential) (wire.Request, error) {
	q := wire.Request{Method: http.MethodGet, Header: agent.Clone(), Hide: c.Secret}
	value := c.Secret.Reveal("value")
	switch k, ok := info.Kind(c.Kind); {
	case !ok:
		return q, fmt.Errorf("discord has no credentials of the kind %q", c.Kind)
	case k.Unverifiable != "":
		return q, errors.New("not asked: " + k.Unverifiable)
	case value == "":
		return q, errors.New("not asked: the value is not known")
	case c.Kind == webhook:
		m := webhookForm.FindStringSubmatch(value)
		if m == nil {
			return q, errForm
		}
		q.Path = "/api/v10/webhooks/" + m[1] + "/" + m[2]
	case c.Kind == bot:
		if !botForm.MatchString(value) {
			return q, errForm
		}
		q.Path = "/api/v10/users/@me"
		q.Header.Set("Authorization", "Bot "+value)
	default:
		if !tokenForm.MatchString(value) {
			return q, errForm
		}
		q.Path, q.Bearer = "/api/v10/oauth2/@me", value
	}
	return q, nil
}

// look is what one read showed.
type look struct {
	revoke.Verdict
	reply wire.Reply
	thing thing // of what works
	err   error // why nothing was asked
}

func (p *provider) look(ctx context.Context, c credential.Credential) look {
	q, err := request(c)
	if err != nil {
		return look{err: err, Verdict: revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}}
	}
	l := look{reply: p.wire.Do(ctx, q)}
	var text string
	said := refusalOf(l.reply)
	outcome := revoke.Inconclusive
	switch {
	case l.reply.Status == http.StatusOK && l.reply.JSON(&l.thing) && l.thing.named(c.Kind):
		outcome, text = revoke.Alive, l.thing.text(c.Kind)
	case said.refuses(c.Kind, l.reply.Status):
		outcome, text = revoke.Refused, said.text()
	default:
		text = said.text()
	}
	l.Verdict = l.reply.Verdict(outcome, text)
	return l
}

// Verify asks for what the credential names, by the credential.
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	return p.look(ctx, c).Verdict
}

// Inspect tells where a webhook posts, which bot it is and whose, and what a user allowed.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	l := p.look(ctx, c)
	switch {
	case l.err != nil:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, l.err)
	case l.reply.Err != nil:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, l.reply.Err)
	case l.Outcome != revoke.Alive:
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %s", c, l.Answer)
	}
	e := l.thing.exposure(c.Kind, l.reply.Show)
	e.Answer = l.Answer
	if c.Kind == bot {
		e.Reach = p.reachOfBot(ctx, c)
	}
	return e, nil
}

// reachOfBot adds what the bot's application says of itself, where it does.
func (p *provider) reachOfBot(ctx context.Context, c credential.Credential) []string {
	q, err := request(c)
	if err != nil {
		return nil
	}
	q.Path = "/api/v10/oauth2/applications/@me"
	r := p.wire.Do(ctx, q)
	var app thing
	if r.Status != http.StatusOK || !r.JSON(&app) || app.ID == "" {
		return nil
	}
	reach := []string{"application " + r.Show(app.Name) + " (" + r.Show(app.ID) + ")"}
	if app.Owner.ID != "" {
		reach = append(reach, "of "+r.Show(app.Owner.Username))
	}
	if app.Guilds > 0 {
		reach = append(reach, fmt.Sprintf("about %d servers", app.Guilds))
	}
	return reach
}

// Revoke deletes a webhook by itself, and has a user's token revoked by the application's secret.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	end := p.deleteWebhook
	switch k, ok := info.Kind(c.Kind); {
	case !ok:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: discord has no credentials of the kind %q", c, c.Kind)
	case k.Manual:
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, revoke.ErrManual)
	case c.Kind == oauthToken:
		end = p.endAuthorization
	}
	receipt, err := end(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	return receipt, nil
}

// deleteWebhook: https://discord.com/developers/docs/resources/webhook#delete-webhook-with-token
func (p *provider) deleteWebhook(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	q, err := request(c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	q.Method = http.MethodDelete
	r := p.wire.Do(ctx, q)
	said := refusalOf(r)
	switch {
	case r.Status == http.StatusNoContent && r.Err == nil:
		return revoke.Receipt{Answer: r.Text(""), Did: []string{"deleted the webhook by its own address"}}, nil
	case said.refuses(webhook, r.Status):
		return revoke.Receipt{Answer: r.Text(said.text()), Already: true}, nil
	}
	return revoke.Receipt{}, r.Failure(said.text())
}

// endAuthorization ends all that the user gave to the application: when one of the tokens is revoked,
// "all of your application's access and refresh tokens for that user are immediately invalidated"
// (https://discord.com/developers/docs/topics/oauth2#authorization-code-grant-token-revocation-example).
// RFC 7009 has the same answer for a token that does not exist, so it is looked at first.
func (p *provider) endAuthorization(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	a, err := wire.Authority(ctx, p.env, c)
	if err != nil {
		return revoke.Receipt{}, err
	}
	id, secret := a.Secret.Reveal("client_id"), a.Secret.Reveal("client_secret")
	if !wire.Sendable(id) || !wire.Sendable(secret) {
		return revoke.Receipt{}, fmt.Errorf("%w: it takes the application's client_id and client_secret", revoke.ErrNoAuthority)
	}
	l := p.look(ctx, c)
	switch {
	case l.err != nil:
		return revoke.Receipt{}, l.err
	case l.Outcome == revoke.Inconclusive:
		return revoke.Receipt{}, unread(l.reply)
	case l.Outcome == revoke.Alive && l.thing.Application.ID != id:
		return revoke.Receipt{}, fmt.Errorf("%w: it is of another application than the token, which was given to %s",
			revoke.ErrAuthority, l.reply.Show(l.thing.Application.ID))
	}
	// Also of a token that was refused: another node may still take it.
	q := wire.Request{
		Method: http.MethodPost, Path: "/api/oauth2/token/revoke", Header: agent, User: url.UserPassword(id, secret),
		Form: url.Values{"token": {c.Secret.Reveal("value")}, "token_type_hint": {"access_token"}}, Hide: c.Secret,
	}
	r := p.wire.Do(ctx, q)
	said := refusalOf(r)
	switch {
	case r.Status == http.StatusOK && r.Err == nil && bytes.Equal(bytes.TrimSpace(r.Body), []byte("{}")):
		receipt := revoke.Receipt{Answer: r.Text(""), Already: l.Outcome == revoke.Refused}
		if !receipt.Already {
			receipt.Did = []string{"revoked all tokens that this user gave to the application"}
		}
		return receipt, nil
	case said.Error == "invalid_client" && (r.Status == http.StatusUnauthorized || r.Status == http.StatusBadRequest):
		return revoke.Receipt{}, fmt.Errorf("%w: %s", revoke.ErrAuthority, r.Text(said.text()))
	}
	return revoke.Receipt{}, r.Failure(said.text())
}

// unread is the error where the look before a revocation told nothing: nothing was changed.
func unread(r wire.Reply) error {
	if errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded) {
		return r.Err
	}
	return &revoke.RetryError{After: r.RetryAfter, Answer: r.Text(refusalOf(r).text())}
}
