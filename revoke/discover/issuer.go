package discover

import (
	"strings"

	"clawback/revoke/credential"
)

// issuers are the formats of providers that nothing of ours revokes: a value with such a beginning, and so
// long at least, is theirs wherever it stands. Taken for another's, it would be asked for there, and the refusal
// would prove nothing. Formats: the providers' documentation and gitleaks v8.30.1 config/gitleaks.toml.
var issuers = []struct {
	prefix         string
	length         int
	provider, kind string
}{
	{"sk-or-v1-", 40, "openrouter", unknown},
	{"hvs.", 24, "vault", "vault.token"},
	{"hvb.", 100, "vault", "vault.token"},
	{"npm_", 40, "npm", "npm.token"},
	{"ya29.", 30, "google", unknown},
	{"1//0", 60, "google", "google.refresh_token"},
	{"ABSK", 100, "aws", unknown},
	{"bedrock-api-key-", 60, "aws", unknown},
	{"EAA", 80, "whatsapp", unknown},
	{"tskey-", 30, "tailscale", unknown},
	{"SG.", 60, "sendgrid", unknown},
	{"hf_", 36, "huggingface", unknown},
	{"gsk_", 50, "groq", unknown},
	{"xai-", 60, "xai", unknown},
	{"pplx-", 40, "perplexity", unknown},
	{"dop_v1_", 60, "digitalocean", unknown},
	{"dckr_pat_", 30, "docker", unknown},
	{"dckr_oat_", 30, "docker", unknown},
	{"pypi-AgE", 60, "pypi", unknown},
	{"ATATT3", 60, "atlassian", unknown},
	{"ATBB", 32, "bitbucket", unknown},
	{"pat-na", 40, "hubspot", unknown},
	{"pat-eu", 40, "hubspot", unknown},
	{"lin_api_", 40, "linear", unknown},
	{"ntn_", 40, "notion", unknown},
	{"access_token$", 60, "braintree", unknown},
	{"https://discord.com/api/webhooks/", 60, "discord", unknown},
	{"https://discordapp.com/api/webhooks/", 60, "discord", unknown},
}

// issuer tells whose a bare value is by the format of one of them. What only one provider of ours uses goes first.
func issuer(value string) (provider, kind string, ok bool) {
	if k, known := credential.Recognize(value); known && telling(k, value) || strings.ContainsAny(value, " \t\r\n") {
		return "", "", false
	}
	for _, i := range issuers {
		if len(value) >= i.length && strings.HasPrefix(value, i.prefix) {
			return i.provider, i.kind, true
		}
	}
	return "", "", false
}
