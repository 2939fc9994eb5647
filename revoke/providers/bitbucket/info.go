package bitbucket

import (
	"net/http"
	"regexp"
	"sync"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
)

const (
	bitbucketHost = "api.bitbucket.org"
	atlassianHost = "api.atlassian.com"

	apiToken      = "bitbucket.api_token"
	accessToken   = "bitbucket.access_token"
	oauthToken    = "bitbucket.oauth_token"
	oauthConsumer = "bitbucket.oauth_consumer"
	appPassword   = "bitbucket.app_password"
)

// propagation is a caution of ours: Atlassian documents no lag.
var propagation = revoke.Propagation{
	Budget: 2 * time.Minute, Every: 10 * time.Second,
	Source: "clawback's own margin: https://support.atlassian.com/bitbucket-cloud/docs/revoke-an-api-token/ names no time",
}

// forms are the whole values of each kind, as far as its format tells.
var forms = sync.OnceValue(func() map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{oauthToken: regexp.MustCompile(`\A[0-9A-Za-z._~+/=-]{20,1000}\z`)} // no format is documented
	for _, k := range credential.Kinds {
		if k.Provider == "bitbucket" && k.Format != "" {
			all[k.Name] = regexp.MustCompile(`\A(?:` + k.Format + `)\z`)
		}
	}
	return all
})

func (p *provider) Info() revoke.Info { return info }

var info = revoke.Info{
	Name:  "bitbucket",
	Title: "Bitbucket Cloud",
	Hosts: []string{bitbucketHost, atlassianHost},
	Reads: []revoke.Read{
		{Method: http.MethodGet, Path: "/2.0/user"},
		{Method: http.MethodGet, Path: "/users/*/manage/api-tokens"},
	},
	Kinds: []revoke.KindInfo{
		{
			Kind: apiToken, NeedsAlive: true, ByRef: true, Propagation: propagation,
			Authority: "API key of an organization that has claimed the account's domain, without scopes or with manage:users",
			Link:      "https://id.atlassian.com/manage-profile/security/api-tokens",
			Effect:    "it ends for Jira and Confluence too; it cannot be undone",
			Steps: []string{
				"Done by hand where the account or the token's id is not known, or no organization manages the account.",
				"Signed in as the token's account, open the link. Find the token by its label and last use, and choose Revoke.",
				"An organization's administrator finds it under Atlassian Administration, Insights, API token activity.",
			},
			Source: "https://developer.atlassian.com/cloud/admin/user-management/rest/api-group-api-tokens/",
		},
		{
			// No call ends these: https://jira.atlassian.com/browse/BCLOUD-23192
			Kind: accessToken, Manual: true, NeedsAlive: true, Propagation: propagation,
			Link:   "https://bitbucket.org/account/workspaces/",
			Effect: "whatever uses the token loses the repository, project or workspace",
			Steps: []string{
				"The value does not tell whether it is a repository's, a project's or a workspace's: look in the repositories that the host works with, then in their project and workspace.",
				"Repository: Repository settings, Security, Access tokens. Project: Project settings, Security, Access tokens. Workspace: Settings, Security, Access tokens.",
				"Find the token by its name and last use, choose Revoke and confirm.",
			},
			Source: "https://support.atlassian.com/bitbucket-cloud/docs/revoke-a-workspace-access-token",
		},
		{
			Kind: oauthToken, Manual: true, NeedsAlive: true, Propagation: propagation,
			Link:   "https://bitbucket.org/account/settings/app-authorizations/",
			Effect: "the application loses the account; an access token expires two hours after it was given in any case",
			Steps: []string{
				"Signed in as the account that gave the token, open the link (Personal Bitbucket settings, App authorizations).",
				"Find the application and choose Revoke.",
				"One of a workspace's own consumer has no such entry: delete the consumer (Workspace settings, OAuth consumers) and wait until the token has expired.",
			},
			Source: "https://support.atlassian.com/bitbucket-cloud/kb/revoke-app-authorization-from-a-bitbucket-account/",
		},
		{
			Kind: oauthConsumer, Manual: true, Link: "https://bitbucket.org/account/workspaces/",
			Unverifiable: "the only call that takes a consumer's secret makes a new access token",
			Effect:       "everything that signs in by this consumer stops; tokens that it was given live for up to two hours",
			Steps: []string{
				"Open the workspace that owns the consumer, then Workspace settings, Apps and features, OAuth consumers.",
				"Find the consumer by its key. Delete it, and add a new one when the host is clean.",
			},
			Source: "https://developer.atlassian.com/cloud/bitbucket/oauth-2/",
		},
		{
			// None works since 28 July 2026, so that a refusal proves its death without its having been seen alive:
			// https://community.atlassian.com/forums/Bitbucket-articles/Deprecation-notice-Bitbucket-Cloud-app-password-brownout/ba-p/3237429
			Kind: appPassword, Manual: true, Propagation: propagation,
			Link:   "https://bitbucket.org/account/settings/app-passwords/",
			Effect: "none: Bitbucket removed app passwords for good on 28 July 2026",
			Steps: []string{
				"Bitbucket accepts no app password since 28 July 2026: there is nothing to revoke, and the probe shows it.",
				"Should the probe say that it lives, open the link signed in as its account, delete it, and tell Atlassian.",
			},
			Source: "https://support.atlassian.com/bitbucket-cloud/docs/revoke-an-app-password/",
		},
	},
}
