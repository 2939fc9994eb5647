package discord

import (
	"time"

	"clawback/revoke"
)

const (
	webhook      = "discord.webhook"
	bot          = "discord.bot"
	oauthToken   = "discord.oauth_token"
	refreshToken = "discord.refresh_token"
	clientSecret = "discord.client_secret"
)

const (
	portal = "https://discord.com/developers/applications"
	oauth2 = "https://discord.com/developers/docs/topics/oauth2"
)

func margin(page string) revoke.Propagation {
	return revoke.Propagation{
		Budget: time.Minute, Every: 10 * time.Second,
		Source: "clawback's own margin: " + page + " names no time",
	}
}

var info = revoke.Info{
	Name: "discord", Title: "Discord", Hosts: []string{"discord.com"},
	// Its limits are small, and are told with each answer; 10,000 refused requests in ten minutes shut an
	// address out: https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
	Concurrency: 2,
	Reads: []revoke.Read{
		{Method: "GET", Path: "/api/v10/webhooks/*/*"},
		{Method: "GET", Path: "/api/v10/users/@me"},
		{Method: "GET", Path: "/api/v10/oauth2/@me"},
		{Method: "GET", Path: "/api/v10/oauth2/applications/@me"},
	},
	Kinds: []revoke.KindInfo{
		{
			Kind: webhook, SelfRevoking: true,
			Effect:      "whatever posts by this address stops; what it posted stays",
			Propagation: margin("https://discord.com/developers/docs/resources/webhook"),
			Source:      "https://discord.com/developers/docs/resources/webhook#delete-webhook-with-token",
		},
		{
			Kind: bot, Manual: true, Link: portal,
			Steps: []string{
				"Open the bot's application, then Bot.",
				"Click Reset Token and confirm. Keep the new token off the host.",
				"In the settings of each server that the bot is in, look under Integrations for webhooks, and in the audit log for invites, roles and members, that the bot made and you did not.",
				"Then mark this as done: the old token is tried until Discord has refused it long enough.",
			},
			Effect:      "the bot is offline until it has its new token",
			Propagation: margin("https://discord.com/developers/docs/quick-start/getting-started"),
			Source:      "https://discord.com/developers/docs/quick-start/getting-started#configuring-your-bot",
		},
		{
			Kind: oauthToken, NeedsAlive: true, Authority: "client_id and client_secret of the application that the token was given to",
			Effect:      "the application loses all access and refresh tokens of this user, who has to log in to it again",
			Propagation: margin(oauth2),
			Source:      oauth2 + "#authorization-code-grant-token-revocation-example",
		},
		{
			Kind: refreshToken, Manual: true, Link: portal, Mints: []string{oauthToken},
			Unverifiable: "the only call that takes a refresh token spends it for new ones",
			Steps: []string{
				"A refresh token works with the application's client secret alone: open the application, then OAuth2, and click Reset Secret.",
				"Where an access token of the same user is known, it is revoked by itself, and this one with it.",
				"Otherwise let the user open Discord's User Settings, Authorized Apps, and click Deauthorize beside the application.",
			},
			Effect: "the application has to know its new secret",
			Source: oauth2 + "#authorization-code-grant-token-revocation-example",
		},
		{
			Kind: clientSecret, Manual: true, Link: portal, Mints: []string{oauthToken},
			Unverifiable: "every call that takes a client secret hands out or ends tokens",
			Steps: []string{
				"Open the application, then OAuth2.",
				"Click Reset Secret and confirm. Keep the new secret off the host.",
			},
			Effect: "logins by the application fail until it has its new secret; tokens that it was given live on",
			Source: oauth2 + "#shared-resources",
		},
	},
}

// Info describes Discord.
func (p *provider) Info() revoke.Info { return info }
