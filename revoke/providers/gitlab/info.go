package gitlab

import (
	"net/http"
	"regexp"
	"sync"
	"time"

	"clawback/revoke"
)

const (
	accessToken = "gitlab.pat"
	oauthToken  = "gitlab.oauth_token"
	runner      = "gitlab.runner"
	jobToken    = "gitlab.job_token"
	deployToken = "gitlab.deploy_token"
	trigger     = "gitlab.trigger"
	agentToken  = "gitlab.agent_token"
	deployKey   = "gitlab.deploy_key"
	sshKey      = "gitlab.ssh_key"
	oauthSecret = "gitlab.oauth_secret"
	feedToken   = "gitlab.feed_token"
	mailToken   = "gitlab.mail_token"
	flagsToken  = "gitlab.flags_token"
	scimToken   = "gitlab.scim_token"
	workspace   = "gitlab.workspace_token"
)

// propagation is a caution of ours: GitLab documents no lag. An instance may read from replicas.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second,
	Source: "clawback's own margin: https://docs.gitlab.com/api/personal_access_tokens/ names no time",
}

const (
	docs   = "https://docs.gitlab.com"
	admin  = "an administrator's access token (api, and admin_mode where the instance has that on)"
	byUser = "https://gitlab.com/-/user_settings/"
)

func (p *provider) Info() revoke.Info { return info }

// forms are the values of each kind: of all that is sent, the whole value.
var forms = sync.OnceValue(func() map[string]*regexp.Regexp {
	key := regexp.MustCompile(`\A-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----\n`) // never sent
	all := map[string]*regexp.Regexp{
		oauthToken: regexp.MustCompile(`\A[0-9a-f]{32,128}\z`), // https://docs.gitlab.com/api/oauth2/
		deployKey:  key, sshKey: key,
	}
	// An instance may have prefixes of its own, and what it made before there were any works on:
	// https://docs.gitlab.com/security/tokens/#token-prefixes
	plain := regexp.MustCompile(`\A[0-9A-Za-z_][0-9A-Za-z_.+=-]{15,998}\z`)
	for _, k := range info.Kinds {
		if all[k.Kind] == nil {
			all[k.Kind] = plain
		}
	}
	return all
})

var info = revoke.Info{
	Name:  "gitlab",
	Title: "GitLab",
	Hosts: []string{host},
	Reads: []revoke.Read{
		{Method: http.MethodGet, Path: "/api/v4/personal_access_tokens"},
		{Method: http.MethodGet, Path: "/api/v4/personal_access_tokens/*"},
		{Method: http.MethodGet, Path: "/api/v4/projects/*/access_tokens/*"},
		{Method: http.MethodGet, Path: "/api/v4/groups/*/access_tokens/*"},
		{Method: http.MethodGet, Path: "/api/v4/user"},
		{Method: http.MethodGet, Path: "/api/v4/job"},
		{Method: http.MethodPost, Path: "/api/v4/runners/verify"},
		{Method: http.MethodPost, Path: "/api/v4/admin/token"},
		{Method: http.MethodPost, Path: "/oauth/introspect"},
		{Method: http.MethodGet, Path: "/api/v4/projects/*/deploy_tokens/*"},
		{Method: http.MethodGet, Path: "/api/v4/groups/*/deploy_tokens/*"},
		{Method: http.MethodGet, Path: "/api/v4/projects/*/triggers/*"},
		{Method: http.MethodGet, Path: "/api/v4/projects/*/cluster_agents/*/tokens/*"},
		{Method: http.MethodGet, Path: "/api/v4/projects/*/deploy_keys/*"},
		{Method: http.MethodGet, Path: "/api/v4/user/keys/*"},
		{Method: http.MethodGet, Path: "/api/v4/users/*/keys/*"},
	},
	Kinds: []revoke.KindInfo{
		{
			Kind: accessToken, SelfRevoking: true, ByRef: true, Propagation: propagation, Mints: []string{accessToken},
			Effect: "the token alone ends: its user's other tokens live on. One that was revoked since it was seen alive is used to end what it was rotated into",
			Source: docs + "/api/personal_access_tokens/#self-revoke",
		},
		{
			Kind: oauthToken, SelfRevoking: true, Propagation: propagation, Link: byUser + "applications",
			Effect: "its refresh token dies with it",
			Steps: []string{
				"Done by hand where the application that it was given to is not known, or its secret.",
				"Signed in as the token's user, open the link, at your own instance where it is one.",
				"Under Authorized applications find the application and choose Revoke.",
			},
			Source: docs + "/api/oauth2/#revoke-a-token",
		},
		{
			Kind: runner, SelfRevoking: true, NeedsAlive: true, Propagation: propagation,
			Effect: "the runner is deleted, on all machines that share its token. Each probe counts as a contact of it",
			Source: docs + "/api/runners/#delete-a-runner-by-authentication-token",
		},
		{
			Kind: jobToken, NeedsAlive: true, Propagation: propagation,
			Authority: "access token (api) of a member who may cancel the project's jobs",
			Effect:    "the job is cancelled; until its after_script has run, the token may live on. Without an authority it dies with its job",
			Source:    docs + "/api/jobs/#cancel-a-job",
		},
		byAuthority(deployToken, "access token (api) with Maintainer of the project, or Owner of the group; without its ids "+admin,
			"nothing can pull or push with it any more", "/api/deploy_tokens/", true, byHand(
				"Open the project or group that it is of, then Settings, Repository, Deploy tokens.",
				"Find it by its name or username (gitlab+deploy-token-ID by default) and choose Revoke.")),
		byAuthority(trigger, "access token (api) with Maintainer of the project; without its ids "+admin,
			"nothing can start pipelines with it any more", "/api/pipeline_triggers/#remove-a-pipeline-trigger-token", true, byHand(
				"Open the project that it is of, then Settings, CI/CD, Pipeline trigger tokens.",
				"Find it by its first four characters and delete it.")),
		byAuthority(agentToken, "access token (api) with Maintainer of the project; without its ids "+admin,
			"the agent for Kubernetes loses its connection unless it has another token", "/api/cluster_agents/#revoke-an-agent-token", true, byHand(
				"Open the project that the agent is registered in, then Operate, Kubernetes clusters.",
				"Open the agent, then Access tokens, and revoke the token.")),
		byAuthority(deployKey, "access token (api) with Maintainer of the project", "the project refuses the key", "/api/deploy_keys/", true, byHand(
			"Open the project, then Settings, Repository, Deploy keys.",
			"Find the key by its fingerprint (ssh-keygen -lf) and delete it. Look in the other projects too.")),
		byAuthority(sshKey, "access token (api) of the key's user, or "+admin, "Git over SSH refuses the key", "/api/user_keys/", true, byHand(
			"Signed in as the key's user, open User settings, SSH keys.",
			"Find the key by its fingerprint (ssh-keygen -lf). Delete it, or Revoke it: that also unverifies the commits that it signed.")),
		byAuthority(oauthSecret, admin, "the application cannot get new tokens until it knows its new secret", "/api/admin/token/#revoke-a-token", false, byHand(
			"Open the application: a user's under User settings, Applications; a group's under Settings, Applications; an instance's under Admin, Applications.",
			"Choose Renew secret.", "Revoke the tokens that it was given, too.")),
		byAuthority(feedToken, admin, "feeds and calendars of the user need their new addresses", "/api/admin/token/#revoke-a-token", false, byHand(
			"Signed in as the token's user, open User settings, Access tokens (Personal access tokens).",
			"Under Feed token choose reset this token.")),
		byAuthority(mailToken, admin, "mail to the user's old addresses creates no issues any more", "/api/admin/token/#revoke-a-token", false, byHand(
			"Signed in as the token's user, open User settings, Access tokens (Personal access tokens).",
			"Under Incoming email token choose reset this token.")),
		byAuthority(flagsToken, admin, "clients read no feature flags until they know the new instance ID", "/api/admin/token/#revoke-a-token", false, byHand(
			"Open the project, then Deploy, Feature flags, Configure.",
			"Beside Instance ID choose Regenerate instance ID.")),
		{
			Kind: scimToken, Manual: true, Unverifiable: "no call is documented that tells whether a SCIM token works",
			Link:   docs + "/user/group/saml_sso/scim_setup/",
			Effect: "the identity provider provisions nobody until it knows the new token",
			Steps: []string{
				"Open the top-level group, then Settings, SAML SSO (on an instance: Admin, Settings, General, SCIM token).",
				"Under SCIM token choose Reset token, and give the new one to the identity provider.",
			},
			Source: docs + "/user/group/saml_sso/scim_setup/",
		},
		{
			Kind: workspace, Manual: true, Unverifiable: "no call is documented that takes a workspace token",
			Link:   docs + "/user/workspace/#manage-workspaces-from-a-project",
			Effect: "the workspace stops; GitLab deletes its token at once",
			Steps:  []string{"Open the project that the workspace belongs to, then Workspaces.", "Stop or terminate the workspace."},
			Source: docs + "/security/tokens/#workspace-token",
		},
	},
}

// byAuthority is a kind that an authority ends. What the instance does not know was never seen
// alive may be another instance's, or a lie of the host: only one that it had is proved dead.
func byAuthority(kind, authority, effect, source string, byRef bool, steps []string) revoke.KindInfo {
	return revoke.KindInfo{
		Kind: kind, Authority: authority, Effect: effect, Source: docs + source, Steps: steps, ByRef: byRef,
		NeedsAlive: true, Propagation: propagation, Link: "https://gitlab.com",
	}
}

func byHand(steps ...string) []string {
	return append([]string{"Done by hand where the authority may not, at your own instance where it is one:"}, steps...)
}
