package google

import (
	"net/http"
	"time"

	"clawback/revoke"
)

const (
	serviceAccount = "google.service_account"
	apiKey         = "google.api_key"
	authKey        = "google.auth_key"
	accessToken    = "google.access_token"
	refreshToken   = "google.refresh_token"
	secretVersion  = "google.secret_version"
)

const revocation = "https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke"

// grantEnds is clawback's own margin: Google says that a revocation may take some time to have its
// full effect, and not how long.
var grantEnds = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "clawback's own margin: " + revocation + " names no time",
}

const (
	apiKeysAdmin    = "apikeys.keys.lookup, apikeys.keys.get, apikeys.keys.delete, apikeys.keys.undelete (roles/serviceusage.apiKeysAdmin)"
	keyDelete       = "https://cloud.google.com/api-keys/docs/reference/rest/v2/projects.locations.keys/delete"
	credentialsPage = "https://console.cloud.google.com/apis/credentials"
)

// keyEnds: some of Google's servers refuse a deleted key at once, others take it until then.
var keyEnds = revoke.Propagation{
	Budget: 23 * time.Minute, Every: 30 * time.Second, Refusals: 10,
	Source: "https://www.aikido.dev/blog/google-api-keys-deletion: up to 23 minutes, 16 in the median",
}

var keySteps = []string{
	"Done by hand where no authority may do it: open APIs & Services, then Credentials, in the project of the key.",
	"Find the key by its value (Show key) and delete it.",
}

var info = revoke.Info{
	Name:  "google",
	Title: "Google Cloud",
	Hosts: []string{oauthHost, tokensHost, iamHost, apiKeysHost, secretsHost, languagesHost, modelsHost},
	Reads: []revoke.Read{
		// A token that is minted for a proof changes nothing, and is thrown away.
		{Method: http.MethodPost, Path: "/token", Form: map[string]string{"grant_type": assertionGrant}},
		{Method: http.MethodPost, Path: "/token", Form: map[string]string{"grant_type": refreshGrant}},
		{Method: http.MethodPost, Path: "/oauth2/v2/tokeninfo"},
		{Method: http.MethodGet, Path: "/language/translate/v2/languages"},
		{Method: http.MethodGet, Path: "/v1beta/models"},
		{Method: http.MethodGet, Path: "/v1/projects/*/serviceAccounts/*"},
		{Method: http.MethodGet, Path: "/v1/projects/*/serviceAccounts/*/keys"},
		{Method: http.MethodGet, Path: "/v1/projects/*/serviceAccounts/*/keys/*"},
		{Method: http.MethodGet, Path: "/v2/keys:lookupKey"},
		{Method: http.MethodGet, Path: "/v2/projects/*/locations/global/keys/*"},
		{Method: http.MethodGet, Path: "/v1/projects/*/secrets/*/versions/*"},
	},
	Kinds: []revoke.KindInfo{
		{
			Kind: serviceAccount, NeedsAlive: true, ByRef: true, Reversible: true,
			Authority: "iam.serviceAccountKeys.get, iam.serviceAccountKeys.list, iam.serviceAccountKeys.disable, iam.serviceAccountKeys.enable (roles/iam.serviceAccountKeyAdmin); iam.serviceAccounts.get, iam.serviceAccounts.disable, iam.serviceAccounts.enable where the settings disable accounts, too",
			Effect:    "whatever else signs with this key stops; other keys of the account work on",
			Mints:     []string{accessToken},
			Link:      "https://console.cloud.google.com/iam-admin/serviceaccounts",
			Steps: []string{
				"Done by hand where no authority may do it: open IAM & Admin, then Service Accounts, and the account.",
				"Under Keys disable the key; look at who made the others.",
				"Disable the account, too, to have the tokens refused that were minted before.",
			},
			Unanswered: "where the settings disable accounts, too: no answer says that the account is disabled",
			// About 5 s were measured by others; for changes of access Google names minutes.
			Propagation: revoke.Propagation{
				Budget: 2 * time.Minute, Every: 5 * time.Second,
				Source: "clawback's own margin: https://cloud.google.com/iam/docs/access-change-propagation names no time for keys, and typically 2 minutes for policies",
			},
			Source: "https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys/disable",
		},
		{
			Kind: refreshToken, SelfRevoking: true, NeedsAlive: true, Propagation: grantEnds, Source: revocation,
			Effect: "the user's whole grant to the OAuth client ends, with its access tokens: they must consent again",
			Mints:  []string{accessToken},
		},
		{
			Kind: accessToken, SelfRevoking: true, Propagation: grantEnds, Source: revocation,
			Effect: "the user's whole grant to the OAuth client ends, with its refresh token; the token of a service account cannot be revoked and ends within an hour, or with its account's disabling",
		},
		{
			Kind: authKey, NeedsAlive: true, Reversible: true, Authority: apiKeysAdmin, Propagation: keyEnds, Source: keyDelete,
			Effect: "whatever else uses this key stops, and nothing else acts as its service account by it; it can be undeleted for 30 days",
			Link:   credentialsPage, Steps: keySteps,
		},
		{
			Kind: apiKey, Reversible: true, Authority: apiKeysAdmin, Propagation: keyEnds, Source: keyDelete,
			Effect: "whatever else uses this key stops; it can be undeleted for 30 days",
			Link:   credentialsPage, Steps: keySteps,
		},
		{
			Kind: secretVersion, NeedsAlive: true, ByRef: true, Reversible: true,
			Authority: "secretmanager.versions.get, secretmanager.versions.disable, secretmanager.versions.enable (roles/secretmanager.secretVersionManager)",
			Effect:    "nobody can read this version any more; the secret in it stays valid where it is used",
			Propagation: revoke.Propagation{
				Budget: time.Minute, Every: 5 * time.Second,
				Source: "clawback's own margin: https://cloud.google.com/secret-manager/docs/disable-secret-version names no time",
			},
			Link: "https://console.cloud.google.com/security/secret-manager",
			Steps: []string{
				"Done by hand for a regional secret: open Secret Manager, then Regional secrets, and the secret.",
				"Disable the version.",
				"Revoke the secret that it holds where that is valid.",
			},
			Source: "https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/disable",
		},
	},
}

// Info describes Google. Its limits of requests are far above what a sweep sends.
func (p *provider) Info() revoke.Info { return info }
