// Package whatsappfake is Meta's Graph API on the wire, as far as an application's access to WhatsApp
// goes: tokens of users and system users, what the API tells of them, their revocation, the
// application's secret, and phone numbers.
//
// Sources: https://developers.facebook.com/docs/business-management-apis/system-users/install-apps-and-generate-tokens,
// https://developers.facebook.com/docs/graph-api/reference/debug_token,
// https://developers.facebook.com/docs/graph-api/guides/error-handling and
// https://developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke.
package whatsappfake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Fake is one business with its applications.
type Fake struct {
	knobs *fake.Knobs
	app   string // whose tokens are minted

	mu       sync.Mutex
	grants   map[string]*grant // by value
	numbers  map[string]bool   // phone numbers: whether they are on the API
	proofs   bool              // tokens are taken with a proof of the secret alone
	stubborn bool              // the permissions of a system user end no token
	messages int               // sent by anyone
}

type grant struct {
	kind, label, app, user string
	system                 bool // of a system user
	life                   fake.Revocation
}

// New returns a business with one application and one phone number.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), app: digits(16), grants: make(map[string]*grant), numbers: map[string]bool{digits(15): true}}
}

func (f *Fake) Name() string       { return "whatsapp" }
func (f *Fake) Hosts() []string    { return []string{"graph.facebook.com"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{"whatsapp.token", "whatsapp.app_secret", "whatsapp.device"}
}

// Mint makes a live credential of that kind: a token is a system user's. It panics on a kind that is
// not WhatsApp's.
func (f *Fake) Mint(kind string) credential.Credential {
	g := &grant{kind: kind, app: f.app, user: digits(15), system: true}
	c := credential.Credential{Provider: "whatsapp", Kind: kind}
	var value string
	switch kind {
	case "whatsapp.token":
		value = "EAA" + fake.Pick(fake.Letters, 190)
	case "whatsapp.app_secret":
		g.app, value = digits(16), fake.Hex(16)
		c.Ref = map[string]string{"client_id": g.app}
	case "whatsapp.device":
		value = fake.Pick(fake.Letters, 43) + "="
	default:
		panic("whatsappfake cannot mint " + kind)
	}
	c.Secret = credential.Value(value)
	g.label = credential.Mask(kind, c.Secret, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[value] = g
	return c
}

// MintUser makes a token of a person who logged in.
func (f *Fake) MintUser() credential.Credential {
	c := f.Mint("whatsapp.token")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[c.Secret.Reveal("value")].system = false
	return c
}

// MintAuthority makes the secret of the application that tokens are minted for.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	value := fake.Hex(16)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants[value] = &grant{kind: "whatsapp.app_secret", app: f.app, label: "the authority"}
	return credential.Credential{
		Provider: "whatsapp", Kind: "whatsapp.app_secret", Ref: map[string]string{"client_id": f.app},
		Secret: credential.NewSecret(map[string]string{"client_id": f.app, "client_secret": value}),
	}, true
}

// RequireProof makes tokens useless without a proof of the application's secret.
func (f *Fake) RequireProof() { f.mu.Lock(); defer f.mu.Unlock(); f.proofs = true }

// Stubborn lets system users' tokens live on when their permissions are taken: no document says that they do not.
func (f *Fake) Stubborn() { f.mu.Lock(); defer f.mu.Unlock(); f.stubborn = true }

// Number is the business's phone number, and whether it is on the API.
func (f *Fake) Number() (id string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, on = range f.numbers {
	}
	return id, on
}

func (f *Fake) grant(c credential.Credential) *grant {
	if g := f.grants[c.Secret.Reveal("value")]; g != nil {
		return g
	}
	return f.grants[c.Secret.Reveal("client_secret")]
}

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.grant(c)
	return g != nil && f.knobs.Works(g.life)
}

// RevokeByHand revokes a token in the business's settings, resets a secret, or logs a device out.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.grant(c); g != nil {
		f.knobs.Revoke(&g.life)
	}
}

// State renders the business.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, g := range f.grants {
		lines = append(lines, g.kind+" "+g.label+" of "+g.user+" "+g.life.String())
	}
	for id, on := range f.numbers {
		lines = append(lines, fmt.Sprintf("number %s on the API: %v", id, on))
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprintf("%d messages", f.messages)), "\n")
}

// proves reports whether a proof was made with a live secret of the application.
func (f *Fake) proves(app, value, proof string) bool {
	for secret, g := range f.grants {
		if g.kind != "whatsapp.app_secret" || g.app != app || !g.life.At.IsZero() {
			continue
		}
		m := hmac.New(sha256.New, []byte(secret))
		m.Write([]byte(value))
		if hex.EncodeToString(m.Sum(nil)) == proof {
			return true
		}
	}
	return false
}

func digits(n int) string { return fake.Pick("123456789", n) }
