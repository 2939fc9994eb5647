package discover

import (
	"net/url"
	"strings"
	"unicode"

	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const unknown = "unknown"

// providerNames turns what OpenClaw calls a provider into what we call it.
var providerNames = map[string]string{
	"openai-codex": "openai", "openai-responses": "openai",
	"claude": "anthropic", "claude-cli": "anthropic", "anthropic-cli": "anthropic",
	"gemini": "google", "google-gemini-cli": "google", "google-antigravity": "google", "google-vertex": "google",
	"hf": "huggingface", "github-copilot": "github", "amazon-bedrock": "aws", "bedrock": "aws",
}

// apiKeyKinds is what a provider's API key is, where its format says nothing.
var apiKeyKinds = map[string]string{
	"anthropic": "anthropic.api_key",
	"openai":    "openai.api_key",
	"google":    "google.api_key",
	"stripe":    "stripe.api_key",
}

var providerFormat = lazyregexp.New(`\A[a-z0-9][a-z0-9._-]{0,39}\z`)

// providerName makes a provider of a word of the host, and "unknown" of one that is none.
func providerName(word string) string {
	name, _, _ := strings.Cut(strings.ToLower(word), ":") // "anthropic:default"
	if known, ok := providerNames[name]; ok {
		return known
	}
	if _, secret := credential.Recognize(word); secret || !providerFormat.MatchString(name) {
		return unknown
	}
	return name
}

// classify decides what a value is. A format that only one provider uses says more than the place;
// otherwise the place tells: a key of another provider must not be taken to OpenAI because it
// begins with "sk-" too.
func classify(provider, kind, value string) (string, string) {
	if who, what, ok := issuer(value); ok && (provider == "" || provider == unknown || provider == who) {
		if kind == "" || kind == unknown {
			kind = what
		}
		return who, kind
	}
	if rec, ok := credential.Recognize(value); ok {
		if telling(rec, value) || provider == "" || provider == unknown || provider == rec.Provider {
			return rec.Provider, rec.Name
		}
	}
	switch {
	case provider == "":
		provider = unknown
	case kind == "":
		kind = apiKeyKinds[provider]
	}
	if kind == "" {
		kind = unknown
	}
	return provider, kind
}

// telling reports whether no other provider hands out secrets of this format.
func telling(k credential.Kind, value string) bool {
	switch k.Name {
	case "openai.api_key":
		for _, p := range []string{"sk-proj-", "sk-svcacct-", "sk-admin-"} {
			if strings.HasPrefix(value, p) {
				return true
			}
		}
		return false
	case "stripe.webhook_secret": // "whsec_" is used by every service that signs like Svix
		return false
	}
	return true
}

// variable is what an environment variable of this name holds.
type variable struct{ provider, kind string }

// variables names those whose name tells more than its words do by variableProvider.
var variables = map[string]variable{
	"ANTHROPIC_ADMIN_KEY":        {"anthropic", "anthropic.admin_key"},
	"ANTHROPIC_OAUTH_TOKEN":      {"anthropic", unknown},
	"CLAUDE_AI_SESSION_KEY":      {"anthropic", unknown},
	"CLAUDE_WEB_SESSION_KEY":     {"anthropic", unknown},
	"CLAUDE_WEB_COOKIE":          {"anthropic", unknown},
	"STRIPE_WEBHOOK_SECRET":      {"stripe", "stripe.webhook_secret"},
	"GH_TOKEN":                   {"github", unknown},
	"GITLAB_TOKEN":               {"gitlab", "gitlab.pat"},
	"SLACK_BOT_TOKEN":            {"slack", "slack.bot"},
	"SLACK_APP_TOKEN":            {"slack", "slack.app"},
	"SLACK_USER_TOKEN":           {"slack", "slack.user"},
	"SLACK_SIGNING_SECRET":       {"slack", "slack.signing_secret"},
	"SLACK_WEBHOOK_URL":          {"slack", "slack.webhook"},
	"TELEGRAM_BOT_TOKEN":         {"telegram", "telegram.bot"},
	"TELEGRAM_WEBHOOK_SECRET":    {"telegram", "telegram.webhook_secret"},
	"DISCORD_BOT_TOKEN":          {"discord", "discord.bot"},
	"DISCORD_TOKEN":              {"discord", "discord.bot"},
	"DISCORD_CLIENT_SECRET":      {"discord", "discord.client_secret"},
	"AZURE_CLIENT_SECRET":        {"azure", "azure.client_secret"},
	"ARM_CLIENT_SECRET":          {"azure", "azure.client_secret"},
	"MSTEAMS_APP_PASSWORD":       {"azure", "azure.client_secret"},
	"VAULT_TOKEN":                {"vault", "vault.token"},
	"VAULT_SECRET_ID":            {"vault", "vault.approle_secret_id"},
	"VAULT_APPROLE_SECRET_ID":    {"vault", "vault.approle_secret_id"},
	"CONJUR_AUTHN_API_KEY":       {"conjur", "conjur.api_key"},
	"SLACK_CLIENT_SECRET":        {"slack", "slack.client_secret"},
	"GITHUB_CLIENT_SECRET":       {"github", "github.client_secret"},
	"GITHUB_OAUTH_CLIENT_SECRET": {"github", "github.client_secret"},
	"GITHUB_APP_PRIVATE_KEY":     {"github", "github.app_key"},
	"WHATSAPP_APP_SECRET":        {"whatsapp", "whatsapp.app_secret"},
	"META_APP_SECRET":            {"whatsapp", "whatsapp.app_secret"},
	"FACEBOOK_APP_SECRET":        {"whatsapp", "whatsapp.app_secret"},
	"BRAINTREE_PRIVATE_KEY":      {"braintree", "braintree.api_key"},
	"CI_DEPLOY_PASSWORD":         {"gitlab", "gitlab.deploy_token"},
	"BITBUCKET_APP_PASSWORD":     {"bitbucket", "bitbucket.app_password"},
	"BITBUCKET_API_TOKEN":        {"bitbucket", "bitbucket.api_token"},
	"BITBUCKET_ACCESS_TOKEN":     {"bitbucket", "bitbucket.access_token"},
	"OPENCLAW_GATEWAY_TOKEN":     {"openclaw", "openclaw.gateway"},
	"OPENCLAW_GATEWAY_PASSWORD":  {"openclaw", "openclaw.gateway"},
	"CLAWDBOT_GATEWAY_TOKEN":     {"openclaw", "openclaw.gateway"},
	"CLAWDBOT_GATEWAY_PASSWORD":  {"openclaw", "openclaw.gateway"},
	"MOLTBOT_GATEWAY_TOKEN":      {"openclaw", "openclaw.gateway"},
	"MOLTBOT_GATEWAY_PASSWORD":   {"openclaw", "openclaw.gateway"},
	"OPENCLAW_HOOKS_TOKEN":       {"openclaw", "openclaw.hook"},
}

var (
	secretName = lazyregexp.New(`(?i)(?:^|[_.-])(?:API_?KEY|AUTH_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PWD|PASSPHRASE|CREDENTIALS?|COOKIE|PAT|AUTH|AUTHORIZATION|WEBHOOK_URL)(?:_?[0-9]+)?$`)
	publicName = lazyregexp.New(`(?i)(?:^|[_.-])(?:PUBLIC|PUBLISHABLE)[_.-]`)
	// What a name loses so that its provider's name remains: BRAVE_SEARCH_API_KEY, brave_search.
	secretWords = lazyregexp.New(`(?i)[_.-]?(?:API[_-]?KEY|AUTH[_-]?KEY|ACCESS[_-]?TOKEN|AUTH[_-]?TOKEN|BOT[_-]?TOKEN|SECRET[_-]?KEY|CLIENT[_-]?SECRET|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PAT|CREDENTIALS?|COOKIE|WEBHOOK[_-]?URL)(?:_?[0-9]+)?$`)
)

// classifyVariable decides whether an environment variable is a secret, and which.
func classifyVariable(name, value string) (provider, kind string, ok bool) {
	if v, known := variables[baseName(name)]; known {
		provider, kind = classify(v.provider, v.kind, value)
		return provider, kind, true
	}
	if _, known := credential.Recognize(value); known {
		provider, kind = classify(variableProvider(name), "", value)
		return provider, kind, true
	}
	if scheme, ok := passwordURL(value); ok {
		return scheme, unknown, true
	}
	if _, _, known := issuer(value); known {
		provider, kind = classify(variableProvider(name), "", value)
		return provider, kind, true
	}
	if !secretNamed(name) || plainSetting(value) {
		return "", "", false
	}
	provider, kind = classify(variableProvider(name), "", value)
	return provider, kind, true
}

// baseName is a variable's name without the number of a second one of its kind.
func baseName(name string) string {
	return strings.TrimSuffix(strings.TrimRight(strings.ToUpper(name), "0123456789"), "_")
}

// secretNamed reports whether a variable or header of this name holds a secret, whatever its value.
func secretNamed(name string) bool {
	_, known := variables[baseName(name)]
	return known || secretName.MatchString(name) && !publicName.MatchString(name)
}

// variableProvider is the provider that a variable's name begins with: "brave" of BRAVE_API_KEY.
func variableProvider(name string) string {
	rest := secretWords().ReplaceAllString(name, "")
	if rest == "" || rest == name {
		return unknown
	}
	return providerName(strings.ToLower(rest))
}

// plainSetting reports whether a value is too plain for a secret: a switch, a small number, a path.
func plainSetting(value string) bool {
	switch strings.ToLower(value) {
	case "true", "false", "yes", "no", "on", "off", "none", "null", "auto":
		return true
	}
	if strings.HasPrefix(value, "/") || strings.HasPrefix(value, "~/") || strings.HasPrefix(value, "./") {
		return true
	}
	return len(value) < 6 && strings.Trim(value, "0123456789") == ""
}

// passwordURL reports whether value is a URL with a password in it, as databases have them.
func passwordURL(value string) (provider string, ok bool) {
	if len(value) > 4096 || !strings.Contains(value, "://") || !strings.Contains(value, "@") {
		return "", false
	}
	u, err := url.Parse(value)
	if err != nil || u.User == nil {
		return "", false
	}
	if password, set := u.User.Password(); !set || placeholder(password) {
		return "", false
	}
	return providerName(u.Scheme), true
}

// classifyHeader decides whether a request header is a secret, and returns the secret without its
// scheme ("Bearer").
func classifyHeader(provider, name, value string) (secret, p, kind string, ok bool) {
	secret = value
	if scheme, rest, cut := strings.Cut(value, " "); cut {
		switch strings.ToLower(scheme) {
		case "bearer", "token", "bot", "basic", "apikey":
			secret = strings.TrimSpace(rest)
		}
	}
	if _, known := credential.Recognize(secret); !known && !secretNamed(name) {
		return "", "", "", false
	}
	p, kind = classify(provider, "", secret)
	return secret, p, kind, true
}

// origin is an address without what may be secret in it: scheme and host, nothing more.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || len(u.Host) > 253 {
		return ""
	}
	return clean(u.Scheme+"://"+u.Host, 300)
}

// clean makes a word of the host fit to be shown: no control characters, bounded.
func clean(word string, max int) string {
	word = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(word, ""))
	if len(word) > max {
		word = strings.ToValidUTF8(word[:max], "") + "…"
	}
	return word
}
