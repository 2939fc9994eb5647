// Package discordfake is Discord on the wire, as far as credentials go: webhooks, a bot's user and
// application, users' authorizations and their revocation.
//
// Sources: https://discord.com/developers/docs/resources/webhook,
// https://discord.com/developers/docs/topics/oauth2 and
// https://discord.com/developers/docs/topics/opcodes-and-status-codes.
package discordfake

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	server  = "290926798626357999"
	channel = "223704706495545344"
	appName = "Deploy Bot"
)

// Fake is Discord with one server and one application.
type Fake struct {
	knobs  *fake.Knobs
	app    string
	secret *grant // the application's
	user   string // who authorized the application

	mu       sync.Mutex
	grants   map[string]*grant // by value; webhooks by "id/token"
	messages int               // posted by anyone
}

type grant struct {
	kind, id, value, label string
	life                   fake.Revocation
	authorized             *authorization // of OAuth tokens
}

// authorization is what one user gave to the application: all its tokens end at once.
type authorization struct{ life fake.Revocation }

// New returns Discord with an application and without anything that it could leak.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), app: snowflake(), user: snowflake(), grants: make(map[string]*grant)}
}

func (f *Fake) Name() string       { return "discord" }
func (f *Fake) Hosts() []string    { return []string{"discord.com"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{"discord.webhook", "discord.bot", "discord.oauth_token", "discord.refresh_token", "discord.client_secret"}
}

// Mint makes a live credential of that kind. It panics on a kind that is not Discord's.
func (f *Fake) Mint(kind string) credential.Credential {
	g := &grant{kind: kind, id: snowflake()}
	secret := ""
	switch kind {
	case "discord.webhook":
		g.value = g.id + "/" + text(68)
		secret = "https://discord.com/api/webhooks/" + g.value
	case "discord.bot":
		// https://discord.com/developers/docs/reference#authentication
		g.value = base64.RawURLEncoding.EncodeToString([]byte(g.id)) + "." + text(6) + "." + text(38)
	case "discord.oauth_token", "discord.refresh_token":
		g.value, g.authorized = fake.Pick(fake.Letters, 30), &authorization{}
	case "discord.client_secret":
		g.value = text(32)
	default:
		panic("discordfake cannot mint " + kind)
	}
	if secret == "" {
		secret = g.value
	}
	c := credential.Credential{Provider: "discord", Kind: kind, Secret: credential.Value(secret)}
	g.label = credential.Mask(kind, c.Secret, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[g.value] = g
	return c
}

// Authorize makes the two tokens that a user's authorization gives to the application. They live and
// die together.
func (f *Fake) Authorize() (access, refresh credential.Credential) {
	access, refresh = f.Mint("discord.oauth_token"), f.Mint("discord.refresh_token")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[refresh.Secret.Reveal("value")].authorized = f.grants[access.Secret.Reveal("value")].authorized
	return access, refresh
}

// MintAuthority makes the application's secret: a new one takes the place of the old one.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secret = &grant{kind: "discord.client_secret", id: f.app, value: text(32)}
	return credential.Credential{
		Provider: "discord", Kind: "discord.client_secret", Ref: map[string]string{"client_id": f.app},
		Secret: credential.NewSecret(map[string]string{"client_id": f.app, "client_secret": f.secret.value}),
	}, true
}

// life is where a credential's end is kept; nil where there is none.
func (f *Fake) life(c credential.Credential) *fake.Revocation {
	if f.secret != nil && c.Secret.Reveal("client_secret") == f.secret.value {
		return &f.secret.life
	}
	g := f.grants[strings.TrimPrefix(c.Secret.Reveal("value"), "https://discord.com/api/webhooks/")]
	switch {
	case g == nil:
		return nil
	case g.authorized != nil:
		return &g.authorized.life
	}
	return &g.life
}

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	life := f.life(c)
	return life != nil && f.knobs.Works(*life)
}

// RevokeByHand deletes a webhook, resets a token or a secret, or has the user deauthorize the application.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if life := f.life(c); life != nil {
		f.knobs.Revoke(life)
	}
}

// State renders what there is.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, g := range f.grants {
		line := g.kind + " " + g.label + " " + g.id
		life := g.life
		if g.authorized != nil {
			life = g.authorized.life
		}
		line += " " + life.String()
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprintf("%d messages", f.messages)), "\n")
}

func snowflake() string { return "1" + fake.Pick("0123456789", 17) }

func text(n int) string { return fake.Pick(fake.Letters+"_-", n) }
