package credential

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Kind is one kind of credential, as far as it is known without its provider: how it looks, what
// names it, how much it can destroy.
type Kind struct {
	Name     string // "github.pat"
	Provider string // "github"
	Title    string // "personal access token (classic)"
	Format   string // regular expression of the whole value; empty where only the context tells
	Prefix   string // public prefix that a mask may show, up to and including its separator
	NamePart string // the part that people know it by; "value" where empty
	Tier     int    // 4 infrastructure, 3 external or financial, 2 internal writes, 1 reads: see Tiers
	Mints    string // what it can make more of, for people; a revoke.Provider tells it for its own kinds
}

// Kinds is every kind that a format or a setting tells, the more specific format first; Placed is the rest. Where no provider
// of ours exists yet, the credential is still found, shown and handed to a person.
// Formats: provider documentation, gitleaks v8.30.1 config/gitleaks.toml and trufflehog 3ab759f.
var Kinds = []Kind{
	{Name: "aws.access_key", Provider: "aws", Title: "access key", Format: `(?:AKIA|ABIA|ACCA)[A-Z0-9]{16}`, Prefix: "AKIA", NamePart: "access_key_id", Tier: 4},
	{Name: "aws.session", Provider: "aws", Title: "temporary session key", Format: `ASIA[A-Z0-9]{16}`, Prefix: "ASIA", NamePart: "access_key_id", Tier: 4},
	{Name: "aws.bedrock_key", Provider: "aws", Title: "Bedrock API key (long-term)", Format: `ABSK[A-Za-z0-9+/]{109,269}={0,2}`, Prefix: "ABSK", Tier: 2},
	{Name: "aws.bedrock_session_key", Provider: "aws", Title: "Bedrock API key (short-term)", Format: `bedrock-api-key-[A-Za-z0-9+/]{100,}={0,2}`, Prefix: "bedrock-api-key-", Tier: 2},
	{Name: "stripe.api_key", Provider: "stripe", Title: "API key", Format: `(?:sk|rk)_(?:live|test)_[0-9a-zA-Z]{10,247}`, Prefix: "sk_live_", Tier: 3},
	{Name: "stripe.webhook_secret", Provider: "stripe", Title: "webhook signing secret", Format: `whsec_[0-9a-zA-Z+/=]{16,128}`, Prefix: "whsec_", Tier: 2},
	{Name: "stripe.ephemeral_key", Provider: "stripe", Title: "ephemeral key", Format: `ek_(?:live|test)_[0-9a-zA-Z_]{10,400}`, Prefix: "ek_live_", Tier: 2},
	{Name: "braintree.access_token", Provider: "braintree", Title: "OAuth access token", Format: `access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}`, Prefix: "access_token$", Tier: 3},
	{Name: "github.fine_grained", Provider: "github", Title: "fine-grained personal access token", Format: `github_pat_[0-9A-Za-z_]{22,255}`, Prefix: "github_pat_", Tier: 3},
	{Name: "github.pat", Provider: "github", Title: "personal access token (classic)", Format: `ghp_[0-9A-Za-z]{36,255}`, Prefix: "ghp_", Tier: 3},
	{Name: "github.oauth", Provider: "github", Title: "OAuth access token", Format: `gho_[0-9A-Za-z]{36,255}`, Prefix: "gho_", Tier: 3},
	{Name: "github.user_to_server", Provider: "github", Title: "GitHub App user token", Format: `ghu_[0-9A-Za-z]{36,255}`, Prefix: "ghu_", Tier: 3},
	{Name: "github.refresh", Provider: "github", Title: "GitHub App refresh token", Format: `ghr_[0-9A-Za-z]{36,255}`, Prefix: "ghr_", Tier: 3},
	{Name: "github.installation", Provider: "github", Title: "GitHub App installation token", Format: `ghs_[0-9A-Za-z_.\-]{36,1000}`, Prefix: "ghs_", Tier: 3},
	{Name: "slack.bot", Provider: "slack", Title: "bot token", Format: `xoxb-[0-9A-Za-z-]{10,250}`, Prefix: "xoxb-", Tier: 2},
	{Name: "slack.user", Provider: "slack", Title: "user token", Format: `xoxp-[0-9A-Za-z-]{10,250}`, Prefix: "xoxp-", Tier: 3},
	{Name: "slack.rotating", Provider: "slack", Title: "rotating access token", Format: `xoxe\.xox[bp]-[0-9A-Za-z-]{10,400}`, Prefix: "xoxe.", Tier: 3},
	{Name: "slack.refresh", Provider: "slack", Title: "refresh token", Format: `xoxe-[0-9]-[0-9A-Za-z-]{40,400}`, Prefix: "xoxe-", Tier: 3, Mints: "access tokens"},
	{Name: "slack.legacy", Provider: "slack", Title: "legacy token", Format: `xox[aors]-[0-9A-Za-z-]{10,250}`, Tier: 3},
	{Name: "slack.session", Provider: "slack", Title: "login of a browser or of Slack's app", Format: `xoxc-[0-9A-Za-z-]{10,250}`, Prefix: "xoxc-", Tier: 3},
	{Name: "slack.app", Provider: "slack", Title: "app-level token", Format: `xapp-[0-9A-Za-z-]{10,250}`, Prefix: "xapp-", Tier: 2},
	{Name: "slack.webhook", Provider: "slack", Title: "incoming webhook", Format: `https://hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z/_-]{20,200}`, Prefix: "https://hooks.slack.com/services/", Tier: 2},
	{Name: "slack.signing_secret", Provider: "slack", Title: "signing secret", Tier: 2},
	{Name: "anthropic.admin_key", Provider: "anthropic", Title: "admin API key", Format: `sk-ant-admin01-[0-9A-Za-z_-]{20,200}`, Prefix: "sk-ant-admin01-", Tier: 4},
	{Name: "anthropic.api_key", Provider: "anthropic", Title: "API key", Format: `sk-ant-[0-9A-Za-z_-]{20,200}`, Prefix: "sk-ant-", Tier: 2},
	{Name: "openai.api_key", Provider: "openai", Title: "API key", Format: `sk-(?:proj-|svcacct-|admin-|None-)?[0-9A-Za-z_-]{20,250}`, Prefix: "sk-", Tier: 2},
	{Name: "google.api_key", Provider: "google", Title: "API key", Format: `AIza[0-9A-Za-z_-]{35}`, Prefix: "AIza", Tier: 2},
	{Name: "google.auth_key", Provider: "google", Title: "API key bound to a service account", Format: `AQ\.[0-9A-Za-z_-]{30,200}`, Prefix: "AQ.", Tier: 2},
	{Name: "google.access_token", Provider: "google", Title: "OAuth access token", Format: `ya29\.(?:[a-z]{1,3}\.)?[0-9A-Za-z_-]{30,1000}`, Prefix: "ya29.", Tier: 4},
	{Name: "google.refresh_token", Provider: "google", Title: "OAuth refresh token", Format: `1//0[0-9A-Za-z_-]{60,500}`, Prefix: "1//0", Tier: 4, Mints: "access tokens"},
	{Name: "gitlab.pat", Provider: "gitlab", Title: "access token (personal, project, group)", Format: `glpat-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glpat-", Tier: 3},
	{Name: "gitlab.runner", Provider: "gitlab", Title: "runner authentication token", Format: `glrtr?-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glrt-", Tier: 3},
	{Name: "gitlab.job_token", Provider: "gitlab", Title: "CI/CD job token", Format: `glcbt-[0-9A-Za-z_.\-]{20,1000}`, Prefix: "glcbt-", Tier: 3},
	{Name: "gitlab.deploy_token", Provider: "gitlab", Title: "deploy token", Format: `gldt-[0-9A-Za-z_.\-]{20,320}`, Prefix: "gldt-", Tier: 3},
	{Name: "gitlab.trigger", Provider: "gitlab", Title: "pipeline trigger token", Format: `glptt-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glptt-", Tier: 3},
	{Name: "gitlab.agent_token", Provider: "gitlab", Title: "token of an agent for Kubernetes", Format: `glagent-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glagent-", Tier: 4},
	{Name: "gitlab.oauth_secret", Provider: "gitlab", Title: "secret of an OAuth application", Format: `gloas-[0-9A-Za-z_.\-]{20,320}`, Prefix: "gloas-", Tier: 3},
	{Name: "gitlab.scim_token", Provider: "gitlab", Title: "SCIM token", Format: `glsoat-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glsoat-", Tier: 4},
	{Name: "gitlab.feed_token", Provider: "gitlab", Title: "feed token", Format: `glft-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glft-", Tier: 1},
	{Name: "gitlab.mail_token", Provider: "gitlab", Title: "incoming mail token", Format: `glimt-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glimt-", Tier: 2},
	{Name: "gitlab.flags_token", Provider: "gitlab", Title: "feature flags client token", Format: `glffct-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glffct-", Tier: 1},
	{Name: "gitlab.workspace_token", Provider: "gitlab", Title: "workspace token", Format: `glwt-[0-9A-Za-z_.\-]{20,320}`, Prefix: "glwt-", Tier: 3},
	{Name: "bitbucket.api_token", Provider: "bitbucket", Title: "Atlassian API token", Format: `ATATT3[0-9A-Za-z_=-]{50,400}`, Prefix: "ATATT3", Tier: 3},
	{Name: "bitbucket.access_token", Provider: "bitbucket", Title: "access token of a repository, project or workspace", Format: `ATCTT3[0-9A-Za-z_=-]{50,400}`, Prefix: "ATCTT3", Tier: 3},
	{Name: "bitbucket.app_password", Provider: "bitbucket", Title: "app password", Format: `ATBB[0-9A-Za-z_=.-]{32}`, Prefix: "ATBB", Tier: 3},
	{Name: "telegram.bot", Provider: "telegram", Title: "bot token", Format: `[0-9]{6,12}:[0-9A-Za-z_-]{35}`, Tier: 2},
	{Name: "whatsapp.token", Provider: "whatsapp", Title: "access token of Meta's Graph API", Format: `EAA[0-9A-Za-z]{80,500}`, Prefix: "EAA", Tier: 3},
	{Name: "discord.bot", Provider: "discord", Title: "bot token", Format: `[MNO][0-9A-Za-z_-]{23,27}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,40}`, Tier: 2},
	{Name: "discord.webhook", Provider: "discord", Title: "webhook", Format: `https://(?:(?:canary|ptb)\.)?discord(?:app)?\.com/api(?:/v[0-9]{1,2})?/webhooks/[0-9]{17,20}/[0-9A-Za-z_-]{60,80}`, Prefix: "https://discord.com/api/webhooks/", Tier: 2},
	{Name: "vault.token", Provider: "vault", Title: "token", Format: `hvs\.[0-9A-Za-z_-]{24,400}(?:\.[0-9A-Za-z]{1,20})?`, Prefix: "hvs.", Tier: 4, Mints: "child tokens and leased secrets"},
	{Name: "vault.batch_token", Provider: "vault", Title: "batch token", Format: `hvb\.[0-9A-Za-z_-]{100,800}(?:\.[0-9A-Za-z]{1,20})?`, Prefix: "hvb.", Tier: 4},
	{Name: "msteams.webhook", Provider: "msteams", Title: "incoming webhook", Format: `https://[0-9a-z-]{1,63}\.webhook\.office\.com/webhookb2/[0-9a-fA-F-]{36}@[0-9a-fA-F-]{36}/[0-9A-Za-z]{1,40}/[0-9A-Za-z]{32}/[0-9a-fA-F-]{36}(?:/[0-9A-Za-z_-]{1,100})?`, Prefix: "https://", Tier: 2},
	{Name: "msteams.workflow", Provider: "msteams", Title: "address that runs a workflow", Format: `https://[0-9a-z.-]{1,150}\.(?:environment\.api\.powerplatform|logic\.azure)\.com(?::443)?/(?:powerautomate/automations/direct/)?workflows/[0-9a-f]{32}/triggers/[0-9A-Za-z_-]{1,60}/paths/invoke/?\?[^\s"'<>]{0,300}\bsig=[0-9A-Za-z_%-]{20,100}[^\s"'<>]{0,200}`, Prefix: "https://", Tier: 2},
	{Name: "openclaw.gateway", Provider: "openclaw", Title: "gateway token", Tier: 2},
	{Name: "openclaw.hook", Provider: "openclaw", Title: "hook token", Tier: 2},
	{Name: "unknown", Title: "secret of an unknown kind", Tier: 2},
}

var kindByName = func() map[string]Kind {
	m := make(map[string]Kind, len(Kinds)+len(Placed)+len(Told))
	for _, k := range slices.Concat(Kinds, Placed, Told) {
		if _, twice := m[k.Name]; twice {
			panic("credential kind " + k.Name + " is listed twice")
		}
		m[k.Name] = k
	}
	return m
}()

// Lookup returns the kind with that name.
func Lookup(name string) (Kind, bool) {
	k, ok := kindByName[name]
	return k, ok
}

// kindFormats are compiled when the first value is looked at: most commands never do.
var kindFormats = sync.OnceValue(func() []*regexp.Regexp {
	all := make([]*regexp.Regexp, len(Kinds))
	for i, k := range Kinds {
		if k.Format != "" {
			all[i] = regexp.MustCompile(`\A(?:` + k.Format + `)\z`)
		}
	}
	return all
})

// Recognize names the kind of a bare value by its format, and false where only the context can tell.
func Recognize(value string) (Kind, bool) {
	for i, re := range kindFormats() {
		if re != nil && re.MatchString(value) {
			return Kinds[i], true
		}
	}
	return Kind{}, false
}

// Mask shows a credential's public prefix and, where the rest is long enough to give nothing
// away, its last four characters.
func Mask(kind string, s Secret, ref map[string]string) string {
	k := kindByName[kind]
	part := k.NamePart
	if part == "" {
		part = "value"
	}
	value := s.Reveal(part)
	if value == "" {
		value = ref["id"]
	}
	prefix := publicPrefix(k, value)
	rest := value[len(prefix):]
	switch {
	case value == "":
		return prefix + "…"
	case len(rest) < 16 || !printable(rest[len(rest)-4:]):
		return prefix + "…"
	default:
		return prefix + "…" + rest[len(rest)-4:]
	}
}

// publicPrefix is the part of value that names its kind and nothing else.
func publicPrefix(k Kind, value string) string {
	switch {
	case k.Name == "stripe.api_key" && strings.Count(value, "_") >= 2: // sk_live_, rk_test_
		return value[:strings.LastIndex(value[:min(len(value), 9)], "_")+1]
	case k.Name == "aws.access_key" && len(value) >= 4: // AKIA, ABIA, ACCA
		return value[:4]
	case k.Prefix != "" && strings.HasPrefix(value, k.Prefix):
		return k.Prefix
	}
	return ""
}

func printable(s string) bool {
	for _, r := range s {
		if r < 0x21 || r > 0x7e {
			return false
		}
	}
	return true
}
