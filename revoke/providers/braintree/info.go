package braintree

import (
	"net/http"
	"time"

	"clawback/revoke"
)

const (
	kindKey   = "braintree.api_key"
	kindToken = "braintree.access_token"
)

// Braintree publishes no figure: the minute is ours.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "clawback's own margin: https://developer.paypal.com/braintree/articles/risk-and-security/control-panel-security/rotating-api-keys names no time",
}

func (p *provider) Info() revoke.Info {
	return revoke.Info{
		Name: "braintree", Title: "Braintree",
		Kinds: []revoke.KindInfo{keyInfo, tokenInfo},
		Reads: []revoke.Read{{Method: http.MethodPost, Path: "/graphql", Body: ping}},
		Hosts: hosts(),
	}
}

var keyInfo = revoke.KindInfo{
	Kind: kindKey, Manual: true, Payment: true, NeedsAlive: true, Propagation: propagation,
	Link: "https://www.braintreegateway.com/login",
	Steps: []string{
		"Open the link as the user whose key it is, or as an account administrator. A sandbox key is at https://sandbox.braintreegateway.com/login.",
		"Choose the gear icon, then API, and scroll to API Keys. Find the key by its public key; an administrator finds those of other users under Team.",
		"Generate a new API key first where the business needs one: the old one works until it is deleted. Put it only where it is needed, and not on the host under response.",
		"Delete the old key. What breaks: whatever still uses it cannot take payments any more. It cannot be undone.",
		"Look through recent transactions, refunds and the webhook destinations for what is not yours.",
		"Then mark this as done: the old key is probed until Braintree has refused it long enough.",
	},
	Effect: "every service that uses the key stops at once",
	Source: "https://developer.paypal.com/braintree/articles/risk-and-security/control-panel-security/rotating-api-keys",
}

var tokenInfo = revoke.KindInfo{
	Kind: kindToken, Payment: true, NeedsAlive: true, Propagation: propagation,
	Authority: "client_id and client_secret of the OAuth application that the token was issued to",
	Effect:    "the application cannot act for the merchant with it any more",
	Source:    "https://github.com/braintree/braintree_java/blob/master/src/main/java/com/braintreegateway/OAuthGateway.java",
}
