// Package stripefake is a Stripe account as its API shows it: keys, webhook endpoints, and
// something worth stealing. Answers follow https://docs.stripe.com/api and its pages on errors.
package stripefake

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Permissions of restricted keys, by the names that Stripe's 403 gives them. A write permission
// includes the read.
const (
	BalanceRead  = "rak_balance_read"
	ChargeRead   = "rak_charge_read"
	CustomerRead = "rak_customer_read"
	WebhookRead  = "rak_webhook_read"
	WebhookWrite = "rak_webhook_write"

	EphemeralWrite = "rak_ephemeral_key_write"
	SecretWrite    = "rak_apps_secret_write"
	AccountWrite   = "rak_connected_account_write"
	KeyWrite       = "rak_api_key_write"
)

const (
	kindKey     = "stripe.api_key"
	kindWebhook = "stripe.webhook_secret"

	kindEphemeral = "stripe.ephemeral_key"
	kindConnected = "stripe.connected_account"
	kindAppSecret = "stripe.app_secret"
	kindPayouts   = "stripe.payouts"
)

// Fake is one simulated Stripe account.
type Fake struct {
	// Preview lets the account take part in the private preview of API key management, and mints keys
	// whose id is known.
	Preview bool

	knobs   *fake.Knobs
	account string

	mu        sync.Mutex
	keys      map[string]*key // by value
	endpoints []*endpoint     // oldest first
	named     []*named        // what has an id and an end, oldest first
	rate      map[bool]int    // requests a second, by live mode; 0 means no limit
	second    map[bool]window
}

type key struct {
	id          string
	live        bool
	restricted  bool
	permissions []string
	expired     fake.Revocation
}

type endpoint struct {
	id      string
	secret  string
	live    bool
	created time.Time
	deleted fake.Revocation
}

// named is an ephemeral key, a connected account, its payouts, or a secret of an app.
type named struct {
	kind  string
	id    string
	value string // of an ephemeral key
	was   string // the schedule of payouts that are not held
	note  string // in the account's metadata
	live  bool
	ended fake.Revocation
}

// window counts the requests of one second.
type window struct {
	second int64
	count  int
}

// New returns an account without keys, with the rate limits that Stripe documents: 100 requests a
// second in live mode, 25 in test mode (https://docs.stripe.com/rate-limits).
func New(c fake.Clock) *Fake {
	return &Fake{
		knobs:   fake.NewKnobs(c),
		account: "acct_" + random(16),
		keys:    make(map[string]*key),
		rate:    map[bool]int{true: 100, false: 25},
		second:  make(map[bool]window),
	}
}

func (f *Fake) Name() string    { return "stripe" }
func (f *Fake) Hosts() []string { return []string{"api.stripe.com", "connect.stripe.com"} }
func (f *Fake) Kinds() []string {
	return []string{kindKey, kindPayouts, kindConnected, kindAppSecret, kindWebhook, kindEphemeral}
}
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

// SetRateLimit replaces both rate limits; 0 means none.
func (f *Fake) SetRateLimit(perSecond int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rate = map[bool]int{true: perSecond, false: perSecond}
}

// Mint makes a credential of that kind in live mode.
func (f *Fake) Mint(kind string) credential.Credential {
	switch kind {
	case kindKey:
		return f.MintKey(true)
	case kindWebhook:
		return f.MintEndpoint(true)
	case kindEphemeral, kindConnected, kindAppSecret, kindPayouts:
		return f.mintNamed(kind)
	}
	panic("stripefake: no such kind: " + kind)
}

// MintAuthority makes a restricted key that may do what the revocation of each kind needs.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	return f.MintRestricted(true, WebhookWrite, EphemeralWrite, SecretWrite, AccountWrite, KeyWrite, BalanceRead), true
}

func (f *Fake) mintNamed(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := &named{kind: kind, live: true}
	c := credential.Credential{Provider: "stripe", Kind: kind}
	switch kind {
	case kindEphemeral:
		n.id, n.value = "ephkey_"+random(24), "ek_live_"+random(60)
		c.Secret = credential.Value(n.value)
	case kindConnected:
		n.id = "acct_" + random(16)
	case kindPayouts: // they go out every Monday
		n.id, n.was = "acct_"+random(16)+"/payouts", "weekly:monday"
	case kindAppSecret:
		n.id = "partner-token-" + random(6)
	}
	c.Ref = map[string]string{"id": n.id}
	f.named = append(f.named, n)
	return c
}

// MintKey makes a secret key: it may do everything.
func (f *Fake) MintKey(live bool) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint("sk", &key{live: live})
}

// MintRestricted makes a key with these permissions only.
func (f *Fake) MintRestricted(live bool, permissions ...string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint("rk", &key{live: live, restricted: true, permissions: permissions})
}

// mint puts the key on the account under a new value.
func (f *Fake) mint(prefix string, k *key) credential.Credential {
	k.id = "mk_" + random(24)
	value := prefix + "_" + mode(k.live) + "_" + random(99)
	f.keys[value] = k
	c := credential.Credential{Provider: "stripe", Kind: kindKey, Secret: credential.Value(value)}
	if f.Preview {
		c.Ref = map[string]string{"id": k.id}
	}
	return c
}

// MintEndpoint makes a webhook endpoint and returns its signing secret; its id is Ref["endpoint"].
func (f *Fake) MintEndpoint(live bool) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &endpoint{id: "we_" + random(24), secret: "whsec_" + random(32), live: live, created: f.knobs.Now()}
	f.endpoints = append(f.endpoints, e)
	return credential.Credential{
		Provider: "stripe", Kind: kindWebhook,
		Secret: credential.Value(e.secret), Ref: map[string]string{"endpoint": e.id},
	}
}

// Alive reports whether the key is accepted, or the endpoint still stands.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.revocation(c); r != nil {
		return f.knobs.Works(*r)
	}
	return false
}

// RevokeByHand rolls a key and expires the old value now, or deletes a webhook endpoint, as a
// person does in the dashboard.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.revocation(c)
	if r == nil || !r.At.IsZero() {
		return
	}
	f.knobs.Revoke(r)
	if value := c.Secret.Reveal("value"); c.Kind == kindKey {
		old := f.keys[value]
		f.mint(value[:2], &key{live: old.live, restricted: old.restricted, permissions: old.permissions})
	}
}

func (f *Fake) revocation(c credential.Credential) *fake.Revocation {
	value := c.Secret.Reveal("value")
	switch c.Kind {
	case kindKey:
		if k := f.keys[value]; k != nil {
			return &k.expired
		}
	case kindWebhook:
		for _, e := range f.endpoints {
			if e.secret == value || value == "" && e.id == c.Ref["endpoint"] {
				return &e.deleted
			}
		}
	}
	for _, n := range f.named {
		if n.kind == c.Kind && (n.value != "" && n.value == value || n.id == c.Ref["id"]) {
			return &n.ended
		}
	}
	return nil
}

// State lists keys and endpoints with the time of their end.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, k := range f.keys {
		lines = append(lines, fmt.Sprintf("key %s %s restricted=%t %v %s",
			k.id, mode(k.live), k.restricted, k.permissions, k.expired))
	}
	for _, e := range f.endpoints {
		lines = append(lines, fmt.Sprintf("endpoint %s %s %s", e.id, mode(e.live), e.deleted))
	}
	for _, n := range f.named {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s", n.kind, n.id, mode(n.live), n.was, n.note, n.ended))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func mode(live bool) string {
	if live {
		return "live"
	}
	return "test"
}

func random(n int) string { return fake.Pick(fake.Letters, n) }
