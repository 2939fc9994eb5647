package tree

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"clawback/revoke/credential"
)

// Options say what kind of installation to write.
type Options struct {
	// Generation is how the agent stores its records: "A" in JSON and JSONL, which is the default, "B"
	// with credentials in SQLite, "C" with transcripts there too.
	Generation string
	// Varied gives it another name, profile and layout, by the generator's state: an older name of the
	// project, an included file, several backups, references to secrets.
	Varied bool
	// Lookalikes is how many harmless values stand in the workspace that look like secrets.
	Lookalikes int
}

// Place is one place of a credential that was not given: the agent's own, or one that only a
// reference names.
type Place struct {
	Credential credential.Credential // without a secret where it is unresolved
	Source     credential.Source
	Unresolved bool
}

// The databases, below the state directory.
const (
	stateDatabase = StateDir + "/state/openclaw.sqlite"
	agentDatabase = StateDir + "/agents/main/agent/openclaw-agent.sqlite"
)

func (b *builder) inDatabases() bool { return b.opts.Generation == "B" || b.opts.Generation == "C" }

// referable is where a kind's secret may stand by reference, and storeNames what it is called in the
// agent's own store of secrets; a provider's where a kind has none of its own.
var (
	referable = map[string]string{
		"slack.bot": "channels.slack.botToken", "slack.app": "channels.slack.appToken", "slack.user": "channels.slack.userToken",
		"slack.signing_secret": "channels.slack.signingSecret", "telegram": "channels.telegram.botToken", "discord": "channels.discord.token",
		"anthropic": "models.providers.anthropic.apiKey", "openai": "models.providers.openai.apiKey", "google": "models.providers.google.apiKey",
		"stripe.api_key": "skills.entries.stripe.apiKey", "github": "skills.entries.github.env.GITHUB_TOKEN", "gitlab": "skills.entries.gitlab.env.GITLAB_TOKEN",
	}
	storeNames = map[string]string{
		"slack.bot": "SLACK_BOT_TOKEN", "slack.app": "SLACK_APP_TOKEN", "slack.user": "SLACK_USER_TOKEN", "slack.rotating": "SLACK_USER_TOKEN",
		"slack.webhook": "SLACK_WEBHOOK_URL", "slack.signing_secret": "SLACK_SIGNING_SECRET", "telegram": "TELEGRAM_BOT_TOKEN", "discord": "DISCORD_BOT_TOKEN",
		"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY", "stripe.api_key": "STRIPE_SECRET_KEY",
		"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN", "openclaw.gateway": "OPENCLAW_GATEWAY_TOKEN", "openclaw.hook": "OPENCLAW_HOOKS_TOKEN",
	}
)

func ofKind(m map[string]string, c credential.Credential) string {
	if v := m[c.Kind]; v != "" {
		return v
	}
	return m[c.Provider]
}

// more are the places that an installation has beside those of generation A.
func (b *builder) more(c credential.Credential) []slot {
	var out []slot
	whole := len(c.Secret.Parts()) == 1
	if b.inDatabases() && c.Kind != "stripe.webhook_secret" && (whole || c.Provider == "aws") {
		out = append(out, stored(false), stored(true))
	}
	if at := ofKind(referable, c); b.opts.Varied && whole && at != "" {
		out = append(out, byReference("env", at), byReference("file", at))
		if b.inDatabases() {
			out = append(out, byReference("store", at))
		}
	}
	return out
}

// stored puts a credential into the agent's own store of secrets, where a deleted row stays for 30 days.
func stored(deleted bool) slot {
	return func(b *builder, i int) bool { return b.store(i, deleted) != "" }
}

func (b *builder) store(i int, deleted bool) string {
	c := b.creds[i]
	var gone any
	if deleted {
		gone = day.Add(-48 * time.Hour).UnixMilli()
	}
	row := func(name, value string) {
		b.insert(stateDatabase, "secret_store_entries", "team", "", name, value, "secret", day.UnixMilli(), day.UnixMilli(), "owner", gone)
	}
	name := ofKind(storeNames, c)
	if name == "" {
		name = strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(c.Provider)) + "_API_KEY"
	}
	if c.Secret.Reveal("access_key_id") != "" {
		prefix := b.fresh("STORE", "") + "_"
		name = prefix + "AWS_ACCESS_KEY_ID"
		row(name, c.Secret.Reveal("access_key_id"))
		row(prefix+"AWS_SECRET_ACCESS_KEY", c.Secret.Reveal("secret_access_key"))
		if t := c.Secret.Reveal("session_token"); t != "" {
			row(prefix+"AWS_SESSION_TOKEN", t)
		}
	} else {
		name = b.fresh(name, "_")
		row(name, b.secret(i))
	}
	b.found(i, stateDatabase, "secret_store_entries/team/"+name+"/value", 0)
	return name
}

// reference begins a reference to a secret: a given one, or one that it only names.
func reference(source string, cred int) *node {
	n := object().setCred("source", source, cred)
	n.children["source"].ref = true
	return n
}

// byReference puts a secret elsewhere and refers to it from the configuration.
func byReference(source, at string) slot {
	return func(b *builder, i int) bool {
		p, ok := b.vacant(at)
		if !ok || b.config.has(p) {
			return false
		}
		ref := reference(source, i)
		switch source {
		case "env":
			name := b.fresh(ofKind(storeNames, b.creds[i]), "_")
			b.setEnv(name, b.secret(i), i)
			ref.set("provider", "default").set("id", name)
		case "file":
			name := b.fresh("secret", "-")
			b.secrets.setCred(name, b.secret(i), i)
			ref.set("provider", "vault").set("id", "/"+name)
			b.config.set("secrets.providers.vault.source", "file").set("secrets.providers.vault.path", "~/.openclaw/secrets.json").set("secrets.providers.vault.mode", "json")
		case "store":
			ref.set("provider", "default").set("id", b.store(i, false))
		}
		b.config.set(p, ref)
		return true
	}
}

// vary adds what a well-used installation has: references that nothing resolves, old copies, gaps.
func (b *builder) vary() {
	for n, source := range []string{"exec", "store", "env"} {
		ref := reference(source, -1).set("provider", "default").set("id", strings.ToUpper(source)+"_ONLY_TOKEN")
		b.config.set("skills.entries."+[]string{"notes", "maps", "mail"}[n]+".apiKey", ref)
	}
	login := credential.Credential{Provider: "openai", Kind: "unknown", Expires: day.Add(-90 * 24 * time.Hour),
		Secret: credential.NewSecret(map[string]string{"value": b.letters(60), "refresh": b.letters(40)})}
	access := leaf(login.Secret.Reveal("value"), -1)
	access.own = &login
	const id = "profiles.openai-codex:old."
	b.profiles.set(id+"type", "oauth").set(id+"provider", "openai-codex").set(id+"access", access).
		set(id+"refresh", login.Secret.Reveal("refresh")).set(id+"expires", login.Expires.UnixMilli())
	b.env = append(b.env, assignment{"BRAVE_API_KEY", "your-api-key-here", -1}, assignment{"OPENAI_API_KEY_OLD", "sk-xxxxxxxxxxxxxxxx", -1}, assignment{"NODE_ENV", "production", -1})
	b.config.set("tools.web.search.apiKey", "<your key>")
}

// renderVaried writes the parts of the configuration that differ from one installation to the next.
func (b *builder) renderVaried() {
	if part := []string{"channels", "skills", "models", ""}[b.rng.IntN(4)]; b.config.children[part] != nil {
		name := "conf/" + part + ".json5"
		b.renderJSON(path.Join(StateDir, name), b.config.children[part], true)
		b.config.children[part] = object().set("$include", "./"+name)
	}
	for n := range b.rng.IntN(3) {
		b.renderJSON(path.Join(StateDir, fmt.Sprintf("openclaw.json.bak.%d", n+1)), b.backup, false)
	}
	if b.rng.IntN(2) == 0 {
		b.renderJSON(path.Join(StateDir, fmt.Sprintf("openclaw.json.clobbered.%d", day.UnixMilli())), b.backup, true)
	}
	if len(b.secrets.keys) > 0 {
		b.renderJSON(path.Join(StateDir, "secrets.json"), b.secrets, false)
	}
}

// names of the state directory and of the configuration in it.
var stateNames = [][2]string{
	{".openclaw", "openclaw.json"}, {".openclaw-dev", "openclaw.json"}, {".clawdbot", "clawdbot.json"}, {".moltbot", "moltbot.json"}, {".openclaw-prod", "openclaw.json"},
}

// rename gives the installation another name, in its files and in the truth.
func (b *builder) rename(truth *Truth) {
	name := stateNames[b.rng.IntN(len(stateNames))]
	moved := func(p string) string {
		rest, ok := strings.CutPrefix(p, StateDir+"/")
		if !ok {
			return p
		}
		if after, ok := strings.CutPrefix(rest, "openclaw.json"); ok {
			rest = name[1] + after
		}
		return path.Join(Home, name[0], rest)
	}
	truth.StateDir = path.Join(Home, name[0])
	files := map[string]string{}
	for p, text := range b.files {
		files[moved(p)] = strings.ReplaceAll(text, ".openclaw/", name[0]+"/")
	}
	b.files = files
	rows := map[string][]row{}
	for p, r := range b.rows {
		rows[moved(p)] = r
	}
	b.rows = rows
	for _, sources := range truth.Sources {
		for i := range sources {
			sources[i].Path = moved(sources[i].Path)
		}
	}
	for i := range truth.More {
		truth.More[i].Source.Path = moved(truth.More[i].Source.Path)
	}
	truth.Story.Transcript = moved(truth.Story.Transcript)
}

// lookalikes writes n values that are no secrets.
func (b *builder) lookalikes(n int) {
	makers := []func(*rand.Rand) string{
		func(r *rand.Rand) string {
			return fmt.Sprintf("commit %s", hex(r, 40))
		},
		func(r *rand.Rand) string {
			return fmt.Sprintf("request %s-%s-4%s-a%s-%s done", hex(r, 8), hex(r, 4), hex(r, 3), hex(r, 3), hex(r, 12))
		},
		func(r *rand.Rand) string { return fmt.Sprintf("%s  ./dist/main-%s.js", hex(r, 64), hex(r, 8)) },
		func(r *rand.Rand) string { return fmt.Sprintf(`<li class="sk-nav-item-%s-wrapper">`, hex(r, 6)) },
		func(r *rand.Rand) string { return "token_count: " + fmt.Sprint(r.IntN(90_000)) },
		func(r *rand.Rand) string { return "password: changeme" },
		func(r *rand.Rand) string { return "export GITHUB_TOKEN=ghp_" + strings.Repeat("x", 36) },
		func(r *rand.Rand) string { return "aws_access_key_id = AKIAIOSFODNN7EXAMPLE" },
		func(r *rand.Rand) string { return "api_key: ${API_KEY_" + strings.ToUpper(hex(r, 4)) + "}" },
		func(r *rand.Rand) string { return "image: registry.example/app@sha256:" + hex(r, 64) },
	}
	var w lines
	for i := range n {
		w.add("%s", makers[i%len(makers)](b.rng))
		if i%50 == 49 || i == n-1 {
			b.files[path.Join(Workspace, fmt.Sprintf("docs/notes-%02d.txt", i/50))] = w.String()
			w = lines{}
		}
	}
}
