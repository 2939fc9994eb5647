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
)

const noProbe = "no call takes a signing secret: it only signs what Slack sends"

// propagation is a caution of ours: Slack documents no lag, and none was measured.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "https://docs.slack.dev/reference/methods/auth.revoke names none; a minute is our caution",
}

const (
	revokeMethod = "https://docs.slack.dev/reference/methods/auth.revoke"
	apps         = "https://api.slack.com/apps"
)

var info = revoke.Info{
	Name:  "slack",
	Title: "Slack",
	Hosts: []string{"slack.com", "hooks.slack.com"},
	Reads: []revoke.Read{
		{Method: http.MethodPost, Path: "/api/auth.test"}, // https://docs.slack.dev/reference/methods/auth.test
		{Method: http.MethodPost, Path: "/services/*/*/*", Body: webhookProbe},
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
			Effect: "the access token dies; the refresh token may live on",
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
	},
}

// Info describes Slack. Its methods take far more requests a minute than a sweep sends.
func (p *provider) Info() revoke.Info { return info }
