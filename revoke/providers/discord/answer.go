package discord

import (
	"net/http"
	"strconv"
	"strings"

	"clawback/revoke"
	"clawback/revoke/wire"
)

// thing is what Discord tells of something that works: a webhook, a user, an authorization or an
// application. Fields that the kind in question does not have stay empty.
type thing struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`     // of a webhook or application
	Username    string   `json:"username"` // of a user
	Bot         any      `json:"bot"`
	Guild       string   `json:"guild_id"`
	Channel     string   `json:"channel_id"`
	Guilds      int      `json:"approximate_guild_count"`
	Scopes      []string `json:"scopes"`
	Expires     string   `json:"expires"`
	Application party    `json:"application"`
	User        party    `json:"user"`
	Owner       party    `json:"owner"`
}

type party struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Username string `json:"username"`
}

// maxScopes bounds what is shown of a token's scopes.
const maxScopes = 60

// named reports whether Discord, and nobody in between, told what the credential is.
func (t thing) named(kind string) bool {
	if kind == oauthToken {
		return t.Application.ID != ""
	}
	return t.ID != ""
}

func (t thing) text(kind string) string {
	switch kind {
	case webhook:
		return "webhook " + t.Name
	case bot:
		return "bot " + t.Username
	}
	return "application " + t.Application.Name
}

func (t thing) exposure(kind string, show func(string) string) revoke.Exposure {
	switch kind {
	case webhook:
		return revoke.Exposure{
			Account: "server " + show(t.Guild), Owner: "webhook " + show(t.Name),
			Reach: []string{"post messages to channel " + show(t.Channel), "change and delete its own messages"},
		}
	case bot:
		return revoke.Exposure{Account: "bot " + show(t.Username), Owner: show(t.ID)}
	}
	e := revoke.Exposure{Account: show(t.Application.Name) + " (" + show(t.Application.ID) + ")", Owner: "application " + show(t.Application.ID)}
	if t.User.ID != "" {
		e.Owner += " for user " + show(t.User.Username)
	}
	for _, scope := range t.Scopes[:min(len(t.Scopes), maxScopes)] {
		e.Reach = append(e.Reach, show(scope))
	}
	return e
}

// refusal is what Discord says to a request that it does not carry out: a code and a message
// (https://discord.com/developers/docs/topics/opcodes-and-status-codes#json), or RFC 6749's error of
// the OAuth calls. A page of Cloudflare's, which stands before Discord, is none.
type refusal struct {
	Code    *int   `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
}

func refusalOf(r wire.Reply) (said refusal) {
	if !r.JSON(&said) {
		return refusal{}
	}
	return said
}

func (s refusal) text() string {
	if s.Code != nil && *s.Code != 0 {
		return s.Message + " (" + strconv.Itoa(*s.Code) + ")"
	}
	return strings.TrimSpace(strings.TrimPrefix(s.Message, "401: ") + " " + s.Error)
}

// Codes that refuse a webhook itself. 50027 is of one that exists, with another token. Both:
// https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes
const (
	unknownWebhook      = 10015
	invalidWebhookToken = 50027
)

// refuses reports whether the answer refuses the credential itself. "A 401 means your request is not
// authorized. This is the result of an expired/invalid token or a malformed token in the authorization
// header", says Discord (https://github.com/discord/discord-api-docs/issues/1174); its body has the code
// 0 and repeats the status (https://github.com/mesalytic/discord-lookup-api/issues/19).
func (s refusal) refuses(kind string, status int) bool {
	switch {
	case s.Code == nil:
		return false
	case kind == webhook:
		return status == http.StatusNotFound && *s.Code == unknownWebhook ||
			status == http.StatusUnauthorized && *s.Code == invalidWebhookToken
	}
	return status == http.StatusUnauthorized && *s.Code == 0 && s.Message == "401: Unauthorized"
}
