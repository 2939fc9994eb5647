package discover

import (
	"slices"
	"strings"

	"clawback/forensics/agents/openclaw/json5"
)

// place is one path at which a JSON file of the agent holds a secret.
type place struct {
	file     string // see document; "openclaw.json" is the configuration by whatever name
	path     string // keys joined by dots; "*" is any key or index
	provider string // whose secret it is; empty where a sibling "provider" or the first "*" names it
	kind     string // a credential.Kind's name; empty where the provider or the format tells
	holds    holding
	part     string // the part of a secret that it is; empty for the whole
}

// holding is what stands at a place.
type holding int

const (
	aSecret   holding = iota
	aHeader           // a request header: a secret where its name or its format says so
	aVariable         // an environment variable: a secret where its name or its format says so
	aFile             // the name of a file that holds nothing but the secret
	aLogin            // login and password in base64
	aCommand          // what gives the secret when it is run or asked: never done
	aHelper           // the name of a store that is never asked
	aKey              // the file is a private key
	aThing            // the file holds sessions, whose values are not read
	aSocket           // a socket that signs for whoever may write to it
	aMachine          // the file says what the place says: the machine itself has an identity
	aDatabase         // the file is a database, which is not understood here
	aManifest         // paths in a vault and identities, under names that nobody laid down
)

const configFile = "openclaw.json"

// places is all that is searched.
var places = slices.Concat(agentPlaces, toolPlaces)

// agentPlaces is every path with a secret that we know, in every JSON file that we read. A file below
// the state directory is named by its path there, one below a home begins with "~/".
// Sources: https://docs.openclaw.ai/reference/secretref-credential-surface and
// https://docs.openclaw.ai/gateway/configuration-reference.
var agentPlaces = expand([]place{
	{configFile, "gateway.auth.{token,password}", "openclaw", "openclaw.gateway", aSecret, ""},
	{configFile, "gateway.remote.{token,password}", "openclaw", "unknown", aSecret, ""}, // of another machine's gateway
	{configFile, "hooks.token", "openclaw", "openclaw.hook", aSecret, ""},
	{configFile, "hooks.gmail.pushToken", "openclaw", "openclaw.hook", aSecret, ""},
	{configFile, "cron.webhookToken", "openclaw", "unknown", aSecret, ""}, // for a receiver elsewhere

	{configFile, "channels.slack{,.accounts.*}.botToken", "slack", "slack.bot", aSecret, ""},
	{configFile, "channels.slack{,.accounts.*}.appToken", "slack", "slack.app", aSecret, ""},
	{configFile, "channels.slack{,.accounts.*}.userToken", "slack", "slack.user", aSecret, ""},
	{configFile, "channels.slack{,.accounts.*}.signingSecret", "slack", "slack.signing_secret", aSecret, ""},
	{configFile, "channels.telegram{,.accounts.*}.botToken", "telegram", "telegram.bot", aSecret, ""},
	{configFile, "channels.telegram{,.accounts.*}.webhookSecret", "telegram", "telegram.webhook_secret", aSecret, ""},
	{configFile, "channels.telegram{,.accounts.*}.tokenFile", "telegram", "telegram.bot", aFile, ""},
	{configFile, "channels.discord{,.accounts.*}.token", "discord", "discord.bot", aSecret, ""},
	{configFile, "channels.discord{,.accounts.*}.pluralkit.token", "pluralkit", "unknown", aSecret, ""},
	{configFile, "channels.msteams{,.accounts.*}.appPassword", "azure", "azure.client_secret", aSecret, ""},
	{configFile, "channels.matrix{,.accounts.*}.{accessToken,password}", "matrix", "unknown", aSecret, ""},
	{configFile, "channels.mattermost{,.accounts.*}.botToken", "mattermost", "unknown", aSecret, ""},
	{configFile, "channels.feishu{,.accounts.*}.{appSecret,encryptKey,verificationToken}", "feishu", "unknown", aSecret, ""},
	{configFile, "channels.googlechat{,.accounts.*}.serviceAccount", "google", "google.service_account", aSecret, ""},
	{configFile, "channels.googlechat{,.accounts.*}.serviceAccount.private_key", "google", "google.service_account", aSecret, ""},
	{configFile, "channels.googlechat{,.accounts.*}.serviceAccountFile", "google", "google.service_account", aFile, ""},
	{configFile, "channels.nostr{,.accounts.*}.privateKey", "nostr", "unknown", aSecret, ""},
	{configFile, "channels.sms{,.accounts.*}.authToken", "sms", "unknown", aSecret, ""},
	{configFile, "channels.line{,.accounts.*}.channelAccessToken", "line", "unknown", aSecret, ""},
	{configFile, "channels.line{,.accounts.*}.channelSecret", "line", "unknown", aSecret, ""},
	{configFile, "channels.line{,.accounts.*}.{tokenFile,secretFile}", "line", "unknown", aFile, ""},
	{configFile, "channels.irc{,.accounts.*}.{password,nickserv.password}", "irc", "unknown", aSecret, ""},
	{configFile, "channels.bluebubbles{,.accounts.*}.password", "bluebubbles", "unknown", aSecret, ""},
	{configFile, "channels.nextcloud-talk{,.accounts.*}.{botSecret,apiPassword}", "nextcloud", "unknown", aSecret, ""},
	{configFile, "channels.zalo{,.accounts.*}.{botToken,webhookSecret}", "zalo", "unknown", aSecret, ""},
	{configFile, "channels.discord{,.accounts.*}.voice.tts.*.apiKey", "", "", aSecret, ""},

	{configFile, "models.providers.*.apiKey", "", "", aSecret, ""},
	{configFile, "models.providers.*.headers.*", "", "", aHeader, ""},
	{configFile, "models.providers.*.request.auth.{token,value}", "", "", aSecret, ""},
	{configFile, "models.providers.*.request.headers.*", "", "", aHeader, ""},
	{configFile, "models.providers.*.request.tls.{key,passphrase}", "", "unknown", aSecret, ""},
	{configFile, "agents.{defaults,list.*,entries.*}.memorySearch.remote.apiKey", "unknown", "", aSecret, ""},
	{configFile, "agents.{defaults,list.*,entries.*}.sandbox.docker.env.*", "", "", aVariable, ""},
	{configFile, "messages.tts.{,providers.}*.apiKey", "", "", aSecret, ""},
	{configFile, "talk.apiKey", "elevenlabs", "unknown", aSecret, ""},
	{configFile, "talk.providers.*.apiKey", "", "", aSecret, ""},
	{configFile, "tools.web.search.apiKey", "", "", aSecret, ""},
	{configFile, "tools.web.{search,fetch}.*.apiKey", "", "", aSecret, ""},
	{configFile, "skills.entries.*.apiKey", "unknown", "", aSecret, ""},
	{configFile, "skills.entries.*.env.*", "", "", aVariable, ""},
	{configFile, "plugins.entries.*.apiKey", "", "", aSecret, ""},
	{configFile, "plugins.entries.*.env.*", "", "", aVariable, ""},
	{configFile, "plugins.entries.*.config.{webSearch,webFetch}.apiKey", "", "", aSecret, ""},
	{configFile, "mcp.servers.*.headers.*", "", "", aHeader, ""},
	{configFile, "mcp.servers.*.env.*", "", "", aVariable, ""},
	{configFile, "mcp.servers.*.clientKey", "", "unknown", aSecret, ""},
	{configFile, "env.{,vars.}*", "", "", aVariable, ""},

	{"agents/*/agent/auth-profiles.json", "profiles.*.{key,token}", "", "", aSecret, ""},
	{"agents/*/agent/auth-profiles.json", "profiles.*.access", "", "unknown", aSecret, "value"},
	{"agents/*/agent/auth-profiles.json", "profiles.*.refresh", "", "unknown", aSecret, "refresh"},
	{"agents/*/agent/auth.json", "*.{key,token}", "", "", aSecret, ""},
	{"agents/*/agent/auth.json", "*.access", "", "unknown", aSecret, "value"},
	{"agents/*/agent/auth.json", "*.refresh", "", "unknown", aSecret, "refresh"},
	{"agents/*/agent/models.json", "providers.*.apiKey", "", "", aSecret, ""},
	{"agents/*/agent/models.json", "providers.*.headers.*", "", "", aHeader, ""},
	{"credentials/oauth.json", "*.access", "", "unknown", aSecret, "value"},
	{"credentials/oauth.json", "*.refresh", "", "unknown", aSecret, "refresh"},
	{"credentials/github-copilot.token.json", "token", "github", "unknown", aSecret, ""},
	{"credentials/whatsapp/*/creds.json", "advSecretKey", "whatsapp", "whatsapp.device", aSecret, ""},
	{"credentials/whatsapp/*/creds.json.bak", "advSecretKey", "whatsapp", "whatsapp.device", aSecret, ""},
	{"devices/paired.json", "*.tokens.*.token", "openclaw", "openclaw.paired", aSecret, ""},
	{"devices/bootstrap.json", "*.token", "openclaw", "openclaw.paired", aSecret, ""},
	{"nodes/paired.json", "*.{token,tokens.*.token}", "openclaw", "openclaw.paired", aSecret, ""},
	{"identity/device.json", "privateKeyPem", "openclaw", "openclaw.device", aSecret, ""},
	{"identity/device-auth.json", "tokens.*.token", "openclaw", "openclaw.device", aSecret, ""},
	{"exec-approvals.json", "socket.token", "openclaw", "unknown", aSecret, ""},

	{"~/.claude/.credentials.json", "claudeAiOauth.accessToken", "anthropic", "unknown", aSecret, "value"},
	{"~/.claude/.credentials.json", "claudeAiOauth.refreshToken", "anthropic", "unknown", aSecret, "refresh"},
	{"~/.codex/auth.json", "OPENAI_API_KEY", "openai", "openai.api_key", aSecret, ""},
	{"~/.codex/auth.json", "tokens.access_token", "openai", "unknown", aSecret, "value"},
	{"~/.codex/auth.json", "tokens.refresh_token", "openai", "unknown", aSecret, "refresh"},
	{"~/.minimax/oauth_creds.json", "access_token", "minimax", "unknown", aSecret, "value"},
	{"~/.minimax/oauth_creds.json", "refresh_token", "minimax", "unknown", aSecret, "refresh"},
	{"~/.config/clawhub/config.json", "token", "clawhub", "unknown", aSecret, ""},
})

// expand writes out the alternatives in braces: "{a,b}.c" is "a.c" and "b.c".
func expand(rows []place) []place {
	var out []place
	for _, row := range rows {
		before, rest, ok := strings.Cut(row.path, "{")
		if !ok {
			out = append(out, row)
			continue
		}
		choices, after, _ := strings.Cut(rest, "}")
		for choice := range strings.SplitSeq(choices, ",") {
			row.path = before + choice + after
			out = append(out, expand([]place{row})...)
		}
	}
	return out
}

// pattern is a place whose path is taken apart.
type pattern struct {
	place
	steps []string
	from  int // the first step whose "*" counts: a row's key is no name of a provider
}

func newPattern(p place) pattern {
	n := pattern{place: p, steps: strings.Split(p.path, ".")}
	if p.file == databaseFile {
		n.from = 2
	}
	return n
}

// match reports whether path is at the place, and which key its first "*" stands for.
func (p pattern) match(path []json5.Step) (wild string, ok bool) {
	if p.path == "**" {
		return "", true
	}
	if len(path) != len(p.steps) {
		return "", false
	}
	for i, want := range p.steps {
		switch {
		case want == "*":
			if wild == "" && i >= p.from {
				wild = path[i].Key
			}
		case path[i].Key != want || path[i].Index >= 0:
			return "", false
		}
	}
	return wild, true
}
