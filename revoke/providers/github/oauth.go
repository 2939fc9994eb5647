package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
	"clawback/revoke/wire"
)

const (
	kindClientSecret = "github.client_secret"

	exchangePath = "/login/oauth/access_token"
	noCode       = "clawback-asks-whether-the-secret-works" // GitHub never issued it, so nothing is exchanged
)

var (
	clientID     = lazyregexp.New(`\A[0-9A-Za-z.]{10,60}\z`)
	clientSecret = lazyregexp.New(`\A[0-9A-Za-z_]{20,100}\z`)
)

// lookAtClient offers a code that GitHub never issued. GitHub looks at the client's secret first: it
// says that the code is bad to the right one, and to a wrong one that the secret is.
// https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
func (p *provider) lookAtClient(ctx context.Context, c credential.Credential) revoke.Verdict {
	id, value := c.Ref["client_id"], c.Secret.Reveal("value")
	switch {
	case !clientID.MatchString(id):
		return revoke.Verdict{Answer: "not asked: the client_id that it belongs to is not known"}
	case !clientSecret.MatchString(value):
		return revoke.Verdict{Answer: "not asked: the value has not the form of a client's secret"}
	case strings.HasSuffix(p.base.Path, "/api/v3/"):
		return revoke.Verdict{Answer: "not asked: the address that tells is outside of the pinned endpoint"}
	}
	r := p.web.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: exchangePath, Hide: c.Secret,
		Form: url.Values{"client_id": {id}, "client_secret": {value}, "code": {noCode}},
	})
	var said struct {
		Error string `json:"error"`
	}
	if r.Status != http.StatusOK || !r.JSON(&said) {
		return r.Verdict(revoke.Inconclusive, "")
	}
	switch said.Error {
	case "bad_verification_code":
		return r.Verdict(revoke.Alive, said.Error+": the secret was accepted")
	case "incorrect_client_credentials":
		return r.Verdict(revoke.Refused, said.Error)
	}
	return r.Verdict(revoke.Inconclusive, said.Error)
}

func (p *provider) inspectClient(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	v := p.lookAtClient(ctx, c)
	if v.Outcome != revoke.Alive {
		return revoke.Exposure{}, fmt.Errorf("github: inspect %s: %w", label(c), errors.New(v.Answer))
	}
	return revoke.Exposure{
		Account: "client " + c.Ref["client_id"], Answer: v.Answer,
		Reach: []string{"get tokens for whoever authorizes the App, and refresh those that it was given"},
	}, nil
}

// appKinds are what a GitHub App or an OAuth app has. What names the App may be a lie of the host: of
// these only what was seen alive is proved dead.
func appKinds() []revoke.KindInfo {
	margin := func(source string) revoke.Propagation {
		q := propagation
		q.Source = "clawback's own margin: " + source + " names no time"
		return q
	}
	const (
		keys    = "https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/managing-private-keys-for-github-apps"
		suspend = "https://docs.github.com/rest/apps/apps#suspend-an-app-installation"
		secrets = "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors"
	)
	return []revoke.KindInfo{
		{
			Kind: kindAppKey, Manual: true, NeedsAlive: true, Propagation: margin(keys), Source: keys,
			Link:   "https://github.com/settings/apps",
			Mints:  []string{kindAppInstallation, kindInstallation},
			Effect: "the App can sign with its other keys only; tokens that it made before live up to an hour",
			Steps: []string{
				"Open the link as the App's owner; an organization's Apps are under its Settings, Developer settings, GitHub Apps.",
				"Choose Edit beside the App, and go to Private keys. Where the key is the only one, generate another first.",
				"Find the key by its fingerprint (openssl rsa -in KEY -pubout -outform DER | openssl sha256 -binary | openssl base64) and delete it.",
			},
		},
		{
			Kind: kindAppInstallation, ByRef: true, NeedsAlive: true, Reversible: true, Propagation: margin(suspend), Source: suspend,
			Authority: "a private key of the App: parts app_id and private_key",
			Effect:    "the App reaches nothing of the account any more, also with tokens that it has, until the suspension is lifted",
		},
		{
			Kind: kindClientSecret, Manual: true, NeedsAlive: true, Propagation: margin(secrets), Source: secrets,
			Link:   "https://github.com/settings/developers",
			Effect: "nobody signs in through the App until it knows its new secret; tokens that it was given live on",
			Steps: []string{
				"Open the link as the App's owner, and there OAuth Apps or GitHub Apps; an organization's are under its Settings, Developer settings.",
				"Open the App. Under Client secrets choose Generate a new client secret, then delete the old one.",
				"Where tokens may have been stolen with it, choose Revoke all user tokens, too.",
			},
		},
	}
}
