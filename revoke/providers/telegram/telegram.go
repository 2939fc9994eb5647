// Package telegram tells how the token of a Telegram bot ends: its owner asks BotFather, since no call
// does it. Whether it is dead tells getMe. Inspect also shows where the bot's messages go: who holds
// the token can have them sent to himself.
package telegram

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	bot           = "telegram.bot"
	webhookSecret = "telegram.webhook_secret"
)

type provider struct{ wire wire.Client }

// New makes the provider. It sends nothing. A pinned endpoint is a Bot API server of one's own
// (https://core.telegram.org/bots/api#using-a-local-bot-api-server): it knows the bots that moved to it.
func New(env revoke.Env) (revoke.Provider, error) {
	client, err := wire.New(env, "https://api.telegram.org")
	if err != nil {
		return nil, fmt.Errorf("telegram: %w", err)
	}
	return &provider{client}, nil
}

var info = revoke.Info{
	Name: "telegram", Title: "Telegram", Hosts: []string{"api.telegram.org"},
	Concurrency: 1, // its server takes 20 bots a minute from one address: ClientManager.cpp, see outcome
	Reads:       []revoke.Read{{Method: "GET", Path: "/bot*/getMe"}, {Method: "GET", Path: "/bot*/getWebhookInfo"}},
	Kinds: []revoke.KindInfo{{
		Kind: bot, Manual: true, Link: "https://t.me/BotFather",
		Steps: []string{
			"Open BotFather with the Telegram account that owns the bot, and send /revoke. Which bot it is shows above.",
			"Choose the bot. BotFather answers with a new token: keep it off the host. A bot that another bot manages gets its new token from that one, by replaceManagedBotToken.",
			"With the new token look at getWebhookInfo: where the bot's messages go must be yours, or nothing. Look also at who administers its groups and channels.",
			"Then mark this as done: the old token is tried until Telegram has refused it long enough.",
		},
		Effect: "the bot is silent until it has its new token; where its messages were sent to ends with the old one",
		Propagation: revoke.Propagation{
			Budget: time.Minute, Every: 10 * time.Second,
			Source: "clawback's own margin: https://core.telegram.org/bots/features#botfather-commands names no time",
		},
		Source: "https://core.telegram.org/bots/features#botfather-commands",
	}, {
		Kind: webhookSecret, Manual: true, Link: "https://core.telegram.org/bots/api#setwebhook",
		Unverifiable: "no call takes a webhook's secret: Telegram sends it to the webhook",
		Steps: []string{
			"Whoever has it can send messages to the agent as if Telegram did, if they reach its webhook. It is the agent's own choice: choose another one, in the agent's settings, off this host.",
			"The agent tells it to Telegram when it starts; otherwise call setWebhook with the new secret_token.",
		},
		Effect: "what Telegram sends is refused until both sides have the new secret",
		Source: "https://core.telegram.org/bots/api#setwebhook",
	}},
}

// Info describes Telegram.
func (p *provider) Info() revoke.Info { return info }

// Revoke is for people.
func (p *provider) Revoke(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	err := ctx.Err()
	switch {
	case c.Kind != bot && c.Kind != webhookSecret:
		err = unknownKind(c)
	case err == nil:
		err = revoke.ErrManual
	}
	return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
}

func unknownKind(c credential.Credential) error {
	return fmt.Errorf("telegram has no credentials of the kind %q", c.Kind)
}

// form is the whole of a token: it stands in the address of every call, and what climbs out of there is
// never sent. Telegram takes no user id that begins with 0, nor a token of more than 80 bytes.
var form = lazyregexp.New(`\A[1-9][0-9]{4,15}:[0-9A-Za-z_-]{30,60}\z`)

// answer is what every call answers: https://core.telegram.org/bots/api#making-requests
type answer struct {
	Ok          *bool   `json:"ok"`
	Code        int     `json:"error_code"`
	Description string  `json:"description"`
	Result      *result `json:"result"`
}

// result is a User of getMe, or a WebhookInfo.
type result struct {
	ID         int64   `json:"id"`
	IsBot      bool    `json:"is_bot"`
	Username   string  `json:"username"`
	Groups     bool    `json:"can_join_groups"`
	Privacy    *bool   `json:"can_read_all_group_messages"`
	Business   bool    `json:"can_connect_to_business"`
	URL        *string `json:"url"`
	Address    string  `json:"ip_address"`
	Unreceived int64   `json:"pending_update_count"`
}

// call asks a method without parameters. The token is part of the path: no text of the reply shows it.
func (p *provider) call(ctx context.Context, c credential.Credential, method string) (a answer, r wire.Reply, err error) {
	value := c.Secret.Reveal("value")
	switch {
	case c.Kind == webhookSecret:
		return a, r, errors.New("not asked: no call takes a webhook's secret")
	case c.Kind != bot:
		return a, r, unknownKind(c)
	case value == "":
		return a, r, errors.New("not asked: the token is not known")
	case !form.MatchString(value):
		return a, r, errors.New("not asked: the value has not the form of a token")
	}
	r = p.wire.Do(ctx, wire.Request{Method: http.MethodGet, Path: "/bot" + value + "/" + method, Hide: c.Secret})
	if !r.JSON(&a) {
		a = answer{}
	}
	return a, r, nil
}

// outcome reads the answer to getMe. Telegram's own server says 401 "Unauthorized" of a token with
// which it cannot log in, and other things of whatever else is amiss: "Unauthorized: invalid token
// specified" of what never was a token, "Unauthorized: invalid api-id/api-hash" where the server itself
// is misconfigured, 400 "Logged out" of a bot that was moved to another server, where its token works
// on, 404 of an address that is none and 421 of a bot that is elsewhere: get_closing_error in
// https://github.com/tdlib/telegram-bot-api/blob/01a3679c0bbf9bbba03d1d3e20f621fa4becddcc/telegram-bot-api/Client.cpp
// and send in ClientManager.cpp beside it.
func (a answer) outcome(r wire.Reply) revoke.Outcome {
	switch {
	case a.Ok == nil:
		return revoke.Inconclusive
	case r.Status == http.StatusOK && *a.Ok && a.Result != nil && a.Result.ID > 0:
		return revoke.Alive
	case r.Status == http.StatusUnauthorized && !*a.Ok && a.Code == http.StatusUnauthorized && a.Description == "Unauthorized":
		return revoke.Refused
	}
	return revoke.Inconclusive
}

func (a answer) text() string {
	if a.Ok != nil && *a.Ok && a.Result != nil && a.Result.Username != "" {
		return "bot @" + a.Result.Username
	}
	if strings.HasPrefix(a.Description, "Logged out") {
		return a.Description + ": it was moved to another Bot API server, where its token works on"
	}
	return a.Description
}

// Verify asks getMe: https://core.telegram.org/bots/api#getme
func (p *provider) Verify(ctx context.Context, c credential.Credential) revoke.Verdict {
	a, r, err := p.call(ctx, c, "getMe")
	if err != nil {
		return revoke.Verdict{Answer: revoke.Answer(0, err.Error(), c.Secret)}
	}
	return r.Verdict(a.outcome(r), a.text())
}

// Inspect tells which bot it is, what it may do, and where its messages go.
func (p *provider) Inspect(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	a, r, err := p.call(ctx, c, "getMe")
	if err == nil && a.outcome(r) != revoke.Alive {
		if err = r.Err; err == nil {
			err = errors.New(r.Text(a.text()))
		}
	}
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
	}
	e := revoke.Exposure{Account: r.Show("@" + a.Result.Username), Owner: fmt.Sprintf("bot %d", a.Result.ID), Answer: r.Text(a.text())}
	e.Reach = append(e.Reach, "send messages as the bot, and read those that are sent to it")
	if a.Result.Privacy != nil && *a.Result.Privacy {
		e.Reach = append(e.Reach, "read all messages of its groups")
	}
	if a.Result.Business {
		e.Reach = append(e.Reach, "act for accounts of Telegram Business that connected it")
	}
	e.Reach = append(e.Reach, p.whereTo(ctx, c))
	return e, nil
}

// whereTo tells where the bot's messages go, the address in Telegram's words: who stole the token may
// have set it. https://core.telegram.org/bots/api#getwebhookinfo
func (p *provider) whereTo(ctx context.Context, c credential.Credential) string {
	a, r, err := p.call(ctx, c, "getWebhookInfo")
	switch {
	case err != nil || r.Status != http.StatusOK || a.Ok == nil || !*a.Ok || a.Result == nil || a.Result.URL == nil:
		return "where its messages go is not known: getWebhookInfo answered " + r.Text(a.text())
	case *a.Result.URL == "":
		return "no webhook is set: whoever asks first gets its messages"
	}
	to := "its messages go to the webhook " + r.Show(*a.Result.URL)
	if a.Result.Address != "" {
		to += " at " + r.Show(a.Result.Address)
	}
	return to
}
