package stripe

import (
	"time"

	"clawback/revoke"
)

// Stripe publishes no figure for any kind. Others who expire keys by its preview API report
// that an expired key goes on working for a short while
// (https://infisical.com/docs/documentation/platform/secret-rotation/stripe-api-key): the minute
// is ours.
var propagation = revoke.Propagation{
	Budget:   time.Minute,
	Every:    5 * time.Second,
	Refusals: 3,
	Source:   "clawback's own margin: https://docs.stripe.com/keys names no time",
}

func (p *provider) Info() revoke.Info {
	return revoke.Info{
		Name:  "stripe",
		Title: "Stripe",
		Kinds: []revoke.KindInfo{p.keyInfo(), p.payoutsInfo(), connectedInfo, appSecretInfo, webhookInfo, ephemeralInfo},
		Reads: []revoke.Read{
			{Method: "GET", Path: "/v1/balance"},
			{Method: "GET", Path: "/v1/webhook_endpoints/*"},
			{Method: "GET", Path: "/v1/apps/secrets/find"},
			{Method: "GET", Path: "/v1/accounts/*"},
		},
		Hosts: []string{host, connectHost},
	}
}

// keyInfo is a person's work, unless the desk has the preview's call do it.
func (p *provider) keyInfo() revoke.KindInfo {
	k := keyInfo
	if p.settings.PreviewExpire {
		k.Manual = false
		k.Authority = "secret key of the same account and mode, in the private preview of API key management"
		k.Source = "https://stripe.dev/stripe-java/com/stripe/service/v2/iam/ApiKeyService.html"
	}
	return k
}

// payoutsInfo is a person's work, unless the desk allows it.
func (p *provider) payoutsInfo() revoke.KindInfo {
	k := payoutsInfo
	if p.settings.HoldPayouts {
		k.Manual, k.Reversible, k.ByRef = false, true, true
		k.Authority = "the platform's secret key, of the same mode, for an account of which the platform controls the payouts"
	}
	return k
}

var keyInfo = revoke.KindInfo{
	Kind:    kindKey,
	Manual:  true,
	Payment: true,
	Link:    "https://dashboard.stripe.com/apikeys",
	Steps: []string{
		"Open the link in the account that the key belongs to. A key with _test_ in it is at https://dashboard.stripe.com/test/apikeys.",
		"Find the key by its last four characters: sk_ under standard keys, rk_ under restricted keys. More than one account or sandbox: look in each.",
		"In its menu choose Rotate key (Roll key in older dashboards) and set the expiration to Now. Any later time leaves the leaked key alive until then. A restricted key that nothing needs: Expire key.",
		"What breaks: whatever still uses the key gets 401 at once, charges, refunds and payouts included. It cannot be undone.",
		"Put the new key only where it is needed, and not on the host under response.",
		"Then mark this as done: the old key is probed until Stripe has refused it long enough.",
	},
	Effect:      "every service that uses the key stops at once",
	Propagation: propagation,
	Source:      "https://docs.stripe.com/keys#rolling-keys",
}

var webhookInfo = revoke.KindInfo{
	Kind: kindWebhook,
	Link: "https://dashboard.stripe.com/webhooks",
	// The endpoint's id comes from the host: one of another account answers 404 from the start.
	NeedsAlive: true,
	Steps: []string{
		"Done by hand where the secret's endpoint is unknown: Stripe shows a signing secret to people only, so they tell which endpoint it belongs to.",
		"Open the link, in the mode of the secret; test mode is at https://dashboard.stripe.com/test/webhooks. Reveal the signing secret of each endpoint that sends to the host under response and compare its last four characters.",
		"Delete that endpoint, and create it again when the host is clean. Roll secret ends the secret as well, but the endpoint lives on, so no probe can prove it.",
		"Take the secret from every receiver: " + forgery + ".",
	},
	Authority:   "API key of the same account and mode with Webhook Endpoints: Write (rak_webhook_write)",
	Effect:      "Stripe sends no more events to the endpoint's address; " + forgery,
	Propagation: propagation,
	Source:      "https://docs.stripe.com/api/webhook_endpoints/delete",
}

var ephemeralInfo = revoke.KindInfo{
	Kind: kindEphemeral, NeedsAlive: true, Propagation: propagation,
	Steps: []string{
		"Nothing ends an ephemeral key of which the id (ephkey_…) is not known, but it expires within an hour of its making.",
		"Find where it was made: whoever has the account's secret key can make more, so that key comes first.",
	},
	Authority: "secret key of the same account and mode",
	Effect:    "the app that holds it has to ask its server for another",
	Source:    "https://docs.stripe.com/api/ephemeral_keys/delete",
}

var connectedInfo = revoke.KindInfo{
	Kind: kindConnected, Payment: true, ByRef: true, NeedsAlive: true, Propagation: propagation,
	Link: "https://dashboard.stripe.com/connect/accounts",
	Steps: []string{
		"Done by hand where the platform's client id is not configured (settings.stripe.client_id), or the platform made the account itself and controls it: such an account cannot be deauthorized.",
		"Open the link, choose the account and disconnect it; or have its owner remove the platform among the installed apps of the account's own dashboard.",
		"For an account that the platform controls, pause its payouts instead, and roll the platform's own keys.",
	},
	Authority: "the platform's secret key, of the same mode",
	Effect:    "the platform loses the account, and its tokens for it, until its owner connects it again",
	Source:    "https://docs.stripe.com/connect/oauth-reference#post-deauthorize",
}

// payoutsInfo is no credential's end, but keeps the money where it is while credentials end.
var payoutsInfo = revoke.KindInfo{
	Kind: kindPayouts, Manual: true, Payment: true, NeedsAlive: true, Propagation: propagation,
	Link: "https://dashboard.stripe.com/connect/accounts",
	Steps: []string{
		"Done by hand unless the settings allow it (settings.stripe.hold_payouts): it stops the income of the account's owner.",
		"Open the link, choose the account and pause its payouts, or set its payout schedule to manual.",
		"Look at the payouts that are pending: a manual one can be canceled, an automatic one cannot.",
		"Compare the account's external bank accounts with what its owner says. Then mark this as done.",
	},
	Effect: "no money leaves the account by itself until it is undone",
	Source: "https://docs.stripe.com/connect/manage-payout-schedule",
}

var appSecretInfo = revoke.KindInfo{
	Kind: kindAppSecret, ByRef: true, NeedsAlive: true, Propagation: propagation,
	Authority: "secret key of the account that runs the app, with its permission secret_write",
	Effect:    "the app does not find the secret any more; it is not ended where it came from",
	Source:    "https://docs.stripe.com/api/secret_management/delete_secret",
}
