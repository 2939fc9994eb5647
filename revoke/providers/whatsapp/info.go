package whatsapp

import (
	"time"

	"clawback/revoke"
)

const (
	token     = "whatsapp.token"
	appSecret = "whatsapp.app_secret"
	device    = "whatsapp.device"
)

// Where Meta documents what is asked of it.
const (
	systemUsers = "https://developers.facebook.com/docs/business-management-apis/system-users/install-apps-and-generate-tokens"
	permissions = "https://developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke"
	tokenErrors = "https://developers.facebook.com/docs/graph-api/guides/error-handling"
)

func margin(page string) revoke.Propagation {
	return revoke.Propagation{
		Budget: 2 * time.Minute, Every: 10 * time.Second,
		Source: "clawback's own margin: " + page + " names no time",
	}
}

var info = revoke.Info{
	Name: "whatsapp", Title: "WhatsApp", Hosts: []string{"graph.facebook.com"},
	Reads: []revoke.Read{
		{Method: "GET", Path: "/me"},
		{Method: "GET", Path: "/debug_token"},
		{Method: "GET", Path: "/[0-9]*"}, // the application itself
	},
	Kinds: []revoke.KindInfo{
		{
			Kind: token, SelfRevoking: true,
			Effect: "with the app's client_id and client_secret as the authority this token dies; without, all that its user allowed the app. " +
				"Phone numbers that deregister names for whatsapp at the desk are taken off the WhatsApp API first",
			Propagation: margin(systemUsers), Source: systemUsers,
		},
		{
			Kind: appSecret, Manual: true, NeedsAlive: true, Mints: []string{token}, Link: "https://developers.facebook.com/apps/",
			Steps: []string{
				"Open the app, then App settings, Basic.",
				"Click Show beside App secret, then Reset, and confirm. If it asks how long the old secret shall work on: not at all.",
				"Under App settings, Advanced turn on Require app secret: tokens are then of no use without the secret.",
				"In Business settings, System users, look for users and tokens that are not yours.",
				"Then mark this as done: the old secret is tried until Meta has refused it long enough.",
			},
			Effect:      "the app fails, and refuses Meta's webhooks, until it has its new secret; tokens that it was given live on",
			Propagation: margin("https://developers.facebook.com/docs/facebook-login/security"),
			Source:      "https://developers.facebook.com/docs/facebook-login/security#appsecret",
		},
		{
			Kind: device, Manual: true, Link: "https://faq.whatsapp.com/378279804439436",
			Unverifiable: "to try the keys of a linked device is to log in as it",
			Steps: []string{
				"On the phone that owns the account open WhatsApp, Linked devices.",
				"Tap each device that is the agent's, or that nobody knows, and log it out. A device that was logged out cannot come back by its old keys.",
				"Look through the account's chats and groups for what was not written by you, and tell those who got it.",
			},
			Effect: "the agent is off WhatsApp until it is linked anew; what it read before stays with whoever has it",
			Source: "https://faq.whatsapp.com/378279804439436",
		},
	},
}

// Info describes WhatsApp.
func (p *provider) Info() revoke.Info { return info }
