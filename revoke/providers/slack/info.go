package slack

import (
	"net/http"
	"time"

	"clawback/revoke"
)

const (
	bot           = "slack.bot"
	user          = "slack.user"
	rotating      = "slack.rotating"
	appLevel      = "slack.app"
	webhook       = "slack.webhook"
	signingSecret = "slack.signing_secret"
	refreshToken  = "slack.refresh"
	legacy        = "slack.legacy"
	session       = "slack.session"
	clientSecret  = "slack.client_secret"
)

const noProbe = "no call takes a signing secret: it only signs what Slack sends"

// propagation is a caution of ours: Slack documents no lag, and none was measured.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "clawback's own margin: https://docs.slack.dev/reference/methods/auth.revoke names no time",
}

const (
	revokeMethod = "https://docs.slack.dev/reference/methods/auth.revoke"
	rotation     = "https://docs.slack.dev/authentication/using-token-rotation"
	apps         = "https://api.slack.com/apps"
)

var info = revoke.Info{
	Name:  "slack",
	Title: "Slack",
	Hosts: []string{"slack.com", "hooks.slack.com"},
	Reads: []revoke.Read{
		{Method: http.MethodPost, Path: "/api/auth.test"}, // https://docs.slack.dev/reference/methods/auth.test
		{Method: http.MethodPost, Path: "/services/*/*/*", Body: webhookProbe},
		{Method: http.MethodPost, Path: "/api/auth.revoke", Form: map[string]string{"test": "1"}}, // a dry run: see testRefresh
		{Method: http.MethodPost, Path: "/api/oauth.v2.access", Form: map[string]string{"grant_type": "authorization_code", "code": noCode}},
	},
	Kinds: []revoke.KindInfo{
		{
			Kind: bot, SelfRevoking: true, Propagation: propagation, Source: revokeMethod,
			Effect: "the bot user is deactivated and leaves its channels; the app stays installed",
		},
		{
			Kind: user, SelfRevoking: true, Propagation: propagation, Source: revokeMethod,
			Effect: "the app can no longer act as this user",
		},
		{
			Kind: rotating, SelfRevoking: true, Propagation: propagation, Source: revokeMethod,
			Effect: "the access token dies; the refresh token may live on, unless the desk set uninstall for slack",
		},
		{
			Kind: refreshToken, SelfRevoking: true, NeedsAlive: true, Mints: []string{rotating}, Propagation: propagation, Source: rotation,
			Effect: "the app cannot renew its access token, and stops when that expires",
		},
		{
			Kind: legacy, SelfRevoking: true, Propagation: propagation, Source: revokeMethod,
			Effect: "whatever uses this token stops",
		},
		{
			Kind: session, Manual: true, Propagation: propagation, Link: "https://my.slack.com/account/settings",
			Effect: "the person is signed out of Slack everywhere",
			Steps: []string{
				"It is a person's own login, taken from a browser or Slack's app: let that person open the link and click Sign out all other sessions, and change the password.",
				"Or, as an owner of an Enterprise organization, reset the person's sessions by admin.users.session.reset.",
				"Look at the person's access logs, and at the apps and tokens that the account made.",
				"Then mark this as done: the session is tried, with its cookie, until Slack has refused it long enough.",
			},
			Source: "https://docs.slack.dev/reference/methods/admin.users.session.reset",
		},
		{
			Kind: appLevel, Manual: true, Propagation: propagation, Link: apps,
			Effect: "socket mode connections of the app end",
			Steps: []string{
				"Open the app, then Basic Information.",
				"Under App-Level Tokens click the token's name.",
				"Click Revoke and confirm.",
			},
			Source: "https://docs.slack.dev/authentication/tokens#app-level",
		},
		{
			Kind: webhook, Manual: true, Propagation: propagation, Link: apps,
			Effect: "nothing can post through this address any more",
			Steps: []string{
				"Open the app that owns the webhook, then Incoming Webhooks.",
				"Find the address that ends like the one shown here and click the bin beside it.",
				"If no app of yours owns it, look under Manage apps, Custom Integrations, Incoming WebHooks.",
			},
			Source: "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
		},
		{
			Kind: signingSecret, Manual: true, Unverifiable: noProbe, Link: apps,
			Effect: "requests that Slack sends are signed with the new secret: the app has to know it",
			Steps: []string{
				"Open the app, then Basic Information.",
				"Under App Credentials click Regenerate beside Signing Secret and confirm.",
			},
			Source: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
		},
		{
			Kind: clientSecret, Manual: true, NeedsAlive: true, Propagation: propagation, Link: apps,
			Effect: "logins to the app and renewals of its tokens fail until it has its new secret; tokens that it was given live on",
			Steps: []string{
				"Open the app, then Basic Information.",
				"Under App Credentials click Regenerate beside Client Secret and confirm. Keep the new one off the host.",
				"Then mark this as done: the old secret is tried, with a code that is none, until Slack has refused it long enough.",
			},
			Source: "https://docs.slack.dev/authentication/best-practices-for-security",
		},
	},
}

// Info describes Slack. Its methods take far more requests a minute than a sweep sends.
func (p *provider) Info() revoke.Info { return info }
