package tree

import (
	"errors"
	"slices"
	"strings"
)

// slot puts one credential in one place, and reports whether it could: some places hold one only.
type slot func(b *builder, i int) bool

// slots are the places that suit each provider or, where a kind has its own, each kind.
var slots = map[string][]slot{
	"aws":                     {awsProfile, awsEnv, awsVariables("env.vars"), awsTool},
	"aws.bedrock_key":         {inEnv("AWS_BEARER_TOKEN_BEDROCK"), configured("mcp.servers.bedrock.env.AWS_BEARER_TOKEN_BEDROCK")},
	"aws.bedrock_session_key": {inEnv("AWS_BEARER_TOKEN_BEDROCK"), configured("mcp.servers.bedrock.env.AWS_BEARER_TOKEN_BEDROCK")},
	"github":                  {ghHost, envReference("GITHUB_TOKEN", "mcp.servers.github.env.GITHUB_PERSONAL_ACCESS_TOKEN"), configured("skills.entries.github.env.GH_TOKEN"), inEnv("GITHUB_TOKEN"), backedUp("skills.entries.github.env.GH_TOKEN")},
	"gitlab":                  {inEnv("GITLAB_TOKEN"), configured("mcp.servers.gitlab.env.GITLAB_TOKEN")},
	"stripe.api_key":          {configured("skills.entries.stripe.apiKey"), inEnv("STRIPE_SECRET_KEY"), configured("mcp.servers.stripe.env.STRIPE_SECRET_KEY"), backedUp("skills.entries.stripe.apiKey")},
	"stripe.webhook_secret":   {endpointEnv, endpointSkill},
	"slack.bot":               {account("slack", "botToken"), envReference("SLACK_BOT_TOKEN", "channels.slack.botToken"), inEnv("SLACK_BOT_TOKEN"), backedUp("channels.slack.botToken")},
	"slack.app":               {account("slack", "appToken"), inEnv("SLACK_APP_TOKEN")},
	"slack.user":              {account("slack", "userToken"), inEnv("SLACK_USER_TOKEN")},
	"slack.rotating":          {account("slack", "userToken"), inEnv("SLACK_USER_TOKEN")},
	"slack.webhook":           {inEnv("SLACK_WEBHOOK_URL"), configured("skills.entries.notify.env.SLACK_WEBHOOK_URL")},
	"slack.signing_secret":    {account("slack", "signingSecret"), inEnv("SLACK_SIGNING_SECRET")},
	"telegram":                {account("telegram", "botToken"), envReference("TELEGRAM_BOT_TOKEN", "channels.telegram.botToken")},
	"discord":                 {account("discord", "token"), envReference("DISCORD_BOT_TOKEN", "channels.discord.token")},
	"anthropic":               {authProfile, modelKey, inEnv("ANTHROPIC_API_KEY"), envReference("ANTHROPIC_API_KEY", "models.providers.anthropic.apiKey")},
	"openai":                  {authProfile, modelKey, inEnv("OPENAI_API_KEY"), envReference("OPENAI_API_KEY", "models.providers.openai.apiKey")},
	"google":                  {authProfile, modelKey, inEnv("GEMINI_API_KEY")},
	"openclaw.gateway":        {once("gateway.auth.token"), inUnit("OPENCLAW_GATEWAY_TOKEN"), inEnv("OPENCLAW_GATEWAY_TOKEN")},
	"openclaw.hook":           {once("hooks.token"), inEnv("OPENCLAW_HOOKS_TOKEN")},
	"":                        {authProfile, modelKey, providerEnv},
}

// place puts a credential in one to three places.
func (b *builder) place(i int) error {
	c := b.creds[i]
	if c.Secret.Empty() {
		return errors.New("it has no secret")
	}
	choice := slots[c.Kind]
	if choice == nil {
		choice = slots[c.Provider]
	}
	if choice == nil {
		choice = slots[""]
	}
	choice = append(choice[:len(choice):len(choice)], b.more(c)...)
	want, got := 1+b.rng.IntN(3), 0
	for _, n := range b.rng.Perm(len(choice)) {
		if got < want && choice[n](b, i) {
			got++
		}
	}
	if got == 0 {
		return errors.New("no place is left for it")
	}
	return nil
}

func (b *builder) secret(i int) string { return b.creds[i].Secret.Reveal("value") }

// vacant is a path of the configuration at which nothing stands: the given one, or that of a
// second account, server or skill.
func (b *builder) vacant(p string) (string, bool) {
	if !b.config.has(p) {
		return p, true
	}
	parts := strings.Split(p, ".")
	switch {
	case parts[0] == "channels":
		parts = slices.Insert(parts, 2, "accounts", b.fresh("team", "-"))
	case len(parts) > 3 && (parts[0] == "mcp" || parts[0] == "skills"):
		b.taken[parts[2]] = max(b.taken[parts[2]], 1)
		parts[2] = b.fresh(parts[2], "-")
	default:
		return "", false
	}
	return strings.Join(parts, "."), true
}

func configured(p string) slot {
	return func(b *builder, i int) bool {
		at, ok := b.vacant(p)
		if ok {
			b.config.setCred(at, b.secret(i), i)
		}
		return ok
	}
}

func account(channel, key string) slot { return configured("channels." + channel + "." + key) }

func once(p string) slot {
	return func(b *builder, i int) bool {
		if b.config.has(p) {
			return false
		}
		b.config.setCred(p, b.secret(i), i)
		return true
	}
}

func backedUp(p string) slot {
	return func(b *builder, i int) bool {
		if b.backup.has(p) {
			return false
		}
		b.backup.setCred(p, b.secret(i), i)
		return true
	}
}

func inEnv(name string) slot {
	return func(b *builder, i int) bool {
		b.setEnv(b.fresh(name, "_"), b.secret(i), i)
		return true
	}
}

func (b *builder) setEnv(name, value string, i int) {
	b.env = append(b.env, assignment{name, value, i})
	b.inEnv[i] = true
}

// envReference keeps the secret in .env and refers to it from the configuration.
func envReference(name, p string) slot {
	return func(b *builder, i int) bool {
		at, ok := b.vacant(p)
		if !ok {
			return false
		}
		name := b.fresh(name, "_")
		b.setEnv(name, b.secret(i), i)
		b.config.setCred(at, "${"+name+"}", i)
		return true
	}
}

func inUnit(name string) slot {
	return func(b *builder, i int) bool {
		b.unit = append(b.unit, assignment{b.fresh(name, "_"), b.secret(i), i})
		return true
	}
}

func providerEnv(b *builder, i int) bool {
	name := strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(b.creds[i].Provider))
	return inEnv(name+"_API_KEY")(b, i)
}

func authProfile(b *builder, i int) bool {
	c := b.creds[i]
	id := "profiles." + b.fresh(c.Provider+":default", "-")
	b.profiles.set(id+".type", "api_key").set(id+".provider", c.Provider)
	if refresh := c.Secret.Reveal("refresh"); refresh != "" {
		b.profiles.set(id+".type", "oauth").setCred(id+".access", b.secret(i), i).set(id+".refresh", refresh)
		return true
	}
	b.profiles.setCred(id+".key", b.secret(i), i)
	return true
}

func modelKey(b *builder, i int) bool {
	p := "providers." + b.creds[i].Provider + ".apiKey"
	if b.models.has(p) || b.creds[i].Secret.Reveal("refresh") != "" {
		return false
	}
	b.models.setCred(p, b.secret(i), i)
	return true
}

func ghHost(b *builder, i int) bool {
	b.users = append(b.users, ghUser{b.fresh("claw-bot", "-"), i})
	return true
}

func awsProfile(b *builder, i int) bool {
	name := "default"
	if len(b.aws) > 0 {
		name = b.fresh([]string{"deploy", "backup", "billing"}[b.rng.IntN(3)], "-")
	}
	b.aws = append(b.aws, profile{name, i})
	return true
}

func awsEnv(b *builder, i int) bool {
	prefix := strings.TrimPrefix(b.fresh("ENV", ""), "ENV") // "", then "2", "3"
	if prefix != "" {
		prefix = "ACCOUNT" + prefix + "_"
	}
	b.setEnv(prefix+"AWS_ACCESS_KEY_ID", b.creds[i].Secret.Reveal("access_key_id"), i)
	b.env = append(b.env, assignment{prefix + "AWS_SECRET_ACCESS_KEY", b.creds[i].Secret.Reveal("secret_access_key"), -1})
	if t := b.creds[i].Secret.Reveal("session_token"); t != "" {
		b.env = append(b.env, assignment{prefix + "AWS_SESSION_TOKEN", t, -1})
	}
	return true
}

func awsVariables(p string) slot {
	return func(b *builder, i int) bool {
		s := b.creds[i].Secret
		if b.config.has(p + ".AWS_ACCESS_KEY_ID") {
			return false
		}
		b.config.setCred(p+".AWS_ACCESS_KEY_ID", s.Reveal("access_key_id"), i).set(p+".AWS_SECRET_ACCESS_KEY", s.Reveal("secret_access_key"))
		if t := s.Reveal("session_token"); t != "" {
			b.config.set(p+".AWS_SESSION_TOKEN", t)
		}
		return true
	}
}

func awsTool(b *builder, i int) bool {
	return awsVariables("mcp.servers."+b.fresh("aws", "-")+".env")(b, i)
}

func endpointEnv(b *builder, i int) bool {
	if b.taken["STRIPE_WEBHOOK_SECRET"] > 0 {
		return false
	}
	b.setEnv(b.fresh("STRIPE_WEBHOOK_SECRET", "_"), b.secret(i), i)
	if id := b.creds[i].Ref["endpoint"]; id != "" {
		b.env = append(b.env, assignment{"STRIPE_WEBHOOK_ENDPOINT", id, -1})
	}
	return true
}

func endpointSkill(b *builder, i int) bool {
	p := "skills.entries." + b.fresh("stripe-webhooks", "-") + ".env"
	b.config.setCred(p+".STRIPE_WEBHOOK_SECRET", b.secret(i), i)
	if id := b.creds[i].Ref["endpoint"]; id != "" {
		b.config.set(p+".STRIPE_WEBHOOK_ENDPOINT", id)
	}
	return true
}
