// Package slackfake is a Slack workspace on the wire: the Web API methods that matter when tokens
// are stolen, and incoming webhooks.
//
// Sources: https://docs.slack.dev/reference/methods/auth.test,
// https://docs.slack.dev/reference/methods/auth.revoke, https://docs.slack.dev/apis/web-api/ and
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
package slackfake

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	team     = "T024BE7LD"
	teamName = "Acme"
)

// Fake is one workspace.
type Fake struct {
	knobs *fake.Knobs

	mu       sync.Mutex
	secrets  map[string]*grant // tokens, webhook paths, signing secrets
	messages int               // posted by anyone
	sockets  int               // socket mode addresses that were handed out
}

// grant is what one secret allows.
type grant struct {
	kind   string
	life   fake.Revocation
	masked string
	user   string // user or bot user id
	name   string
	bot    string // bot id
	app    string // app id
	scopes string
	client string // client id, of a client secret
	cookie string // of a session
}

// New returns a workspace without credentials.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), secrets: make(map[string]*grant)}
}

func (f *Fake) Name() string       { return "slack" }
func (f *Fake) Hosts() []string    { return []string{"slack.com", "hooks.slack.com"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{
		"slack.bot", "slack.user", "slack.rotating", "slack.app", "slack.webhook", "slack.signing_secret",
		"slack.refresh", "slack.legacy", "slack.session", "slack.client_secret",
	}
}

// Mint makes a live credential of that kind. It panics on a kind that is not Slack's.
func (f *Fake) Mint(kind string) credential.Credential {
	g := &grant{kind: kind, user: id("U"), name: "deploy-bot", bot: id("B"), app: id("A"), scopes: "chat:write,channels:history"}
	var value string
	switch kind {
	case "slack.bot":
		value = "xoxb-" + digits(12) + "-" + digits(13) + "-" + fake.Pick(fake.Letters, 24)
	case "slack.user":
		g.name, g.bot, g.scopes = "ada", "", "identify,chat:write,users:read"
		value = "xoxp-" + digits(12) + "-" + digits(13) + "-" + digits(13) + "-" + strings.ToLower(fake.Pick(fake.Letters, 32))
	case "slack.rotating":
		value = "xoxe.xoxb-1-" + fake.Pick(fake.Letters, 160)
	case "slack.app":
		g.user, g.name, g.bot, g.scopes = "", "deploy-bot", "", "connections:write"
		value = "xapp-1-" + g.app + "-" + digits(13) + "-" + strings.ToLower(fake.Pick(fake.Letters, 64))
	case "slack.webhook":
		value = "https://hooks.slack.com/services/" + id("T") + "/" + id("B") + "/" + fake.Pick(fake.Letters, 24)
	case "slack.signing_secret":
		value = strings.ToLower(fake.Pick(fake.Letters, 32))
	case "slack.refresh":
		value = "xoxe-1-" + fake.Pick(fake.Letters, 146)
	case "slack.legacy":
		g.name, g.bot, g.scopes = "ada", "", "read,post"
		value = "xoxs-" + digits(12) + "-" + digits(13) + "-" + digits(13) + "-" + strings.ToLower(fake.Pick(fake.Letters, 10))
	case "slack.session":
		g.name, g.bot, g.scopes = "ada", "", ""
		value, g.cookie = "xoxc-"+digits(12)+"-"+digits(13)+"-"+digits(13)+"-"+strings.ToLower(fake.Pick(fake.Letters, 64)), "xoxd-"+fake.Pick(fake.Letters, 80)+"%2B"+fake.Pick(fake.Letters, 80)
	case "slack.client_secret":
		value, g.client = strings.ToLower(fake.Pick(fake.Letters, 32)), digits(12)+"."+digits(13)
	default:
		panic("slackfake cannot mint " + kind)
	}
	c := credential.Credential{Provider: "slack", Kind: kind, Secret: credential.NewSecret(map[string]string{"value": value, "cookie": g.cookie})}
	if g.client != "" {
		c.Ref = map[string]string{"client_id": g.client}
	}
	g.masked = credential.Mask(kind, c.Secret, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets[key(value)] = g
	return c
}

// Install installs one app: it makes credentials of these kinds that belong together, and the app's
// client id and secret.
func (f *Fake) Install(kinds ...string) (all []credential.Credential, client credential.Secret) {
	secret := f.Mint("slack.client_secret")
	for _, kind := range kinds {
		all = append(all, f.Mint(kind))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	app := f.secrets[secret.Secret.Reveal("value")]
	for _, c := range all {
		f.secrets[key(c.Secret.Reveal("value"))].app = app.app
	}
	return all, credential.NewSecret(map[string]string{"client_id": app.client, "client_secret": secret.Secret.Reveal("value")})
}

// MintAuthority reports that Slack's credentials need none: they revoke themselves or are
// revoked by a person.
func (f *Fake) MintAuthority() (credential.Credential, bool) { return credential.Credential{}, false }

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.secrets[key(c.Secret.Reveal("value"))]
	return g != nil && f.knobs.Works(g.life)
}

// RevokeByHand removes a token or webhook, or regenerates a signing secret, as the app's settings do.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.secrets[key(c.Secret.Reveal("value"))]; g != nil {
		f.knobs.Revoke(&g.life)
	}
}

// State renders the workspace.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, g := range f.secrets {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", g.kind, g.masked, g.app, g.life))
	}
	slices.Sort(lines)
	lines = append(lines, fmt.Sprintf("%d messages, %d sockets", f.messages, f.sockets))
	return strings.Join(lines, "\n")
}

// key is where a secret is filed: a webhook under its path, since that is what arrives.
func key(value string) string { return strings.TrimPrefix(value, "https://hooks.slack.com") }

func id(prefix string) string { return prefix + "0" + strings.ToUpper(fake.Pick(fake.Letters, 9)) }

func digits(n int) string { return fake.Pick("123456789", n) }
