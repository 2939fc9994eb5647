// Package awsfake is an AWS account on the wire: the Query protocol of STS and IAM, with users,
// roles, keys, sessions and inline policies behind it, and CloudTrail's record of it.
package awsfake

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	stsHost     = "sts.amazonaws.com"
	iamHost     = "iam.amazonaws.com"
	trailHost   = "cloudtrail.us-east-1.amazonaws.com"
	bedrockHost = "bedrock.us-east-1.amazonaws.com"
	secretsHost = "secretsmanager.us-east-1.amazonaws.com"

	organizationsHost = "organizations.us-east-1.amazonaws.com"

	keyKind     = "aws.access_key"
	sessionKind = "aws.session"
	mintedKind  = "aws.minted_key"
	userKind    = "aws.user"
	bedrockKind = "aws.bedrock_key"
	shortKind   = "aws.bedrock_session_key"
	secretKind  = "aws.secret_version"

	sessionLife = 12 * time.Hour
)

// Fake is one simulated AWS account.
type Fake struct {
	knobs *fake.Knobs

	mu      sync.Mutex
	account string
	root    *principal
	users   map[string]*principal
	roles   map[string]*principal
	keys    map[string]*key
	bedrock map[string]*bedrockKey // by what a caller sends
	secrets map[string]*secret     // by ARN
	sso     map[string]*fake.Revocation
	org     *organization // nil where the account is on its own
	serial  int
	perPage int // keys of Bedrock in a list

	events     []event
	result     map[string]any // of the action under way, as CloudTrail records it
	trailDelay time.Duration
	lookups    []time.Time // of the last second
}

// principal is a user, a role or the account's root.
type principal struct {
	account  string // empty: the fake's
	path     string // "/" where nobody chose another
	kind     string // "user", "role", "root"
	name     string
	id       string
	created  time.Time
	allowed  map[string]bool   // "iam:GetUser"; "*" allows all
	policies map[string]string // inline, by name

	forbidden []string // whatever is allowed
	denies    []*deny  // what those among them that deny everything do
	deleted   fake.Revocation
	password  bool // for the console
}

// key is an access key or a temporary one.
type key struct {
	id, secret, token string
	owner             *principal
	session           string // name of a role session
	mfa               bool
	issued, expires   time.Time // expires is zero for an access key
	status            string    // Active or Inactive, as IAM lists it
	deleted           bool
	revocation        fake.Revocation // when it was made Inactive or deleted
}

// New makes an account without users.
func New(c fake.Clock) *Fake {
	f := &Fake{
		knobs:   fake.NewKnobs(c),
		account: digits(12),
		perPage: 100, // as https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServiceSpecificCredentials.html has it
		users:   map[string]*principal{},
		roles:   map[string]*principal{},
		keys:    map[string]*key{},
		bedrock: map[string]*bedrockKey{},
		secrets: map[string]*secret{},
		sso:     map[string]*fake.Revocation{},
	}
	f.root = &principal{
		kind: "root", id: f.account, created: c.Now(),
		allowed: map[string]bool{"*": true}, policies: map[string]string{},
	}
	return f
}

func (f *Fake) Name() string { return "aws" }
func (f *Fake) Hosts() []string {
	return []string{stsHost, iamHost, trailHost, bedrockHost, secretsHost, organizationsHost}
}
func (f *Fake) Kinds() []string {
	return []string{keyKind, sessionKind, mintedKind, userKind, bedrockKind, shortKind, secretKind, ssoKind}
}
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

// Account is the account's number.
func (f *Fake) Account() string { return f.account }

// Mint makes a key of a user of its own, or a session of a role of its own.
func (f *Fake) Mint(kind string) credential.Credential {
	switch kind {
	case keyKind:
		return f.MintFor(f.fresh("agent"))
	case sessionKind:
		return f.MintRoleSession(f.fresh("agent-role"))
	case mintedKind:
		return f.created(mintedKind, f.MintFor(f.fresh("created")).Ref["id"])
	case userKind:
		return f.MintUser(f.fresh("created"))
	case bedrockKind:
		return f.MintBedrock(f.fresh("BedrockAPIKey"))
	case shortKind:
		return f.MintBedrockShort(f.fresh("agent-role"))
	case secretKind:
		return f.MintSecret(f.fresh("agent/secret"), "AWSPREVIOUS")
	case ssoKind:
		return f.MintSSO()
	}
	panic("awsfake mints no " + kind)
}

// MintFor makes an access key of the named user, who is made where missing.
func (f *Fake) MintFor(user string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.credential(f.newKey(f.user(user)))
}

// MintUser makes a user with a key, and names the user as one that a key created.
func (f *Fake) MintUser(name string) credential.Credential {
	f.MintFor(name)
	f.mu.Lock()
	id := f.users[name].id
	f.mu.Unlock()
	return f.created(userKind, id)
}

// created names a key or a user by its id, as CloudTrail does.
func (f *Fake) created(kind, id string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := credential.Credential{Provider: "aws", Kind: kind, Ref: map[string]string{"id": id, "account": f.account}}
	if k := f.keys[id]; k != nil {
		c.Ref["user"] = k.owner.name
	} else if u := f.userByID(id); u != nil {
		c.Ref["user"] = u.name
	}
	return c
}

func (f *Fake) userByID(id string) *principal {
	for _, u := range f.users {
		if u.id == id {
			return u
		}
	}
	return nil
}

// MintRoot makes an access key of the account's root.
func (f *Fake) MintRoot() credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.credential(f.newKey(f.root))
}

// MintSession makes what the named user would get from GetSessionToken.
func (f *Fake) MintSession(user string, mfa bool) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.newSession(f.user(user))
	k.mfa = mfa
	return f.credential(k)
}

// MintRoleSession makes a session of the named role, which is made where missing.
func (f *Fake) MintRoleSession(role string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.roles[role]
	if !ok {
		r = f.newPrincipal("role", role)
		f.roles[role] = r
	}
	k := f.newSession(r)
	k.session = "agent"
	return f.credential(k)
}

// MintAuthority makes the key of an administrator.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	name := f.fresh("responder")
	f.mu.Lock()
	defer f.mu.Unlock()
	admin := f.user(name)
	admin.allowed["*"] = true
	return f.credential(f.newKey(admin)), true
}

// SetPassword gives the named user a console password.
func (f *Fake) SetPassword(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user(user).password = true
}

// HasPassword reports whether the named user has one.
func (f *Fake) HasPassword(user string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.user(user).password
}

// Allow adds actions such as "iam:UpdateAccessKey" to what a user or role may do. Without it a
// user cannot make its own key inactive.
func (f *Fake) Allow(name string, actions ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range []*principal{f.users[name], f.roles[name]} {
		for _, a := range actions {
			if p != nil {
				p.allowed[a] = true
			}
		}
	}
}

// Forbid takes actions away again.
func (f *Fake) Forbid(name string, actions ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range []*principal{f.users[name], f.roles[name]} {
		for _, a := range actions {
			if p != nil {
				delete(p.allowed, a)
			}
		}
	}
}

// Alive reports whether the credential can do anything: AWS recognises it and no deny of
// everything applies to it.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.userByID(c.Ref["id"]); u != nil {
		return f.knobs.Works(u.deleted) && !slices.ContainsFunc(u.denies, func(d *deny) bool {
			return d.before.IsZero() && !f.knobs.Works(d.revocation)
		})
	}
	if s := f.secrets[c.Ref["secret"]]; s != nil {
		return f.inUse(s, c.Ref["id"])
	}
	if b := f.bedrock[c.Secret.Reveal("value")]; b != nil {
		return b.status != "Expired" && f.knobs.Works(b.revocation)
	}
	if s := f.sso[c.Secret.Reveal("value")]; s != nil {
		return f.knobs.Works(*s)
	}
	k := f.keys[idOf(c)]
	if k == nil || f.expired(k) || !f.knobs.Works(k.revocation) {
		return false
	}
	return !slices.ContainsFunc(k.owner.denies, func(d *deny) bool {
		return d.covers(k) && !f.knobs.Works(d.revocation)
	}) && !slices.ContainsFunc(f.denying(k), func(d *serviceDeny) bool { return !f.knobs.Works(d.revocation) })
}

func idOf(c credential.Credential) string {
	return cmp.Or(c.Secret.Reveal("access_key_id"), c.Ref["id"])
}

// RevokeByHand deletes the key in the console; for a session it does what the button "Revoke
// active sessions" does, a second later, since a simulated clock may stand still.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.userByID(c.Ref["id"]); u != nil {
		f.deleteUser(u)
		return
	}
	if s := f.secrets[c.Ref["secret"]]; s != nil {
		for _, label := range slices.Clone(s.stages[c.Ref["id"]]) {
			f.take(s, c.Ref["id"], label)
		}
		return
	}
	if b := f.bedrock[c.Secret.Reveal("value")]; b != nil {
		b.deleted = true
		f.knobs.Revoke(&b.revocation)
		return
	}
	if s := f.sso[c.Secret.Reveal("value")]; s != nil {
		f.knobs.Revoke(s)
		return
	}
	k := f.keys[idOf(c)]
	switch {
	case k == nil:
	case k.expires.IsZero():
		k.deleted = true
		f.knobs.Revoke(&k.revocation)
	default:
		k.owner.put(f.knobs, "AWSRevokeOlderSessions", olderThan(f.knobs.Now().Add(time.Second)))
	}
}

// deleteUser takes the keys with it, as the console does.
func (f *Fake) deleteUser(u *principal) {
	f.knobs.Revoke(&u.deleted)
	for _, k := range f.keys {
		if k.owner == u {
			k.deleted = true
			f.knobs.Revoke(&k.revocation)
		}
	}
}

// State lists principals, policies and keys.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, ps := range []map[string]*principal{f.users, f.roles, {"": f.root}} {
		for _, p := range ps {
			lines = append(lines, fmt.Sprintf("%s %s allowed %v password %t deleted %v", p.kind, p.name, slices.Sorted(maps.Keys(p.allowed)), p.password, p.deleted.At))
			for name, document := range p.policies {
				lines = append(lines, fmt.Sprintf("policy of %s %s: %s %s", p.kind, p.name, name, document))
			}
			for _, d := range p.denies {
				lines = append(lines, fmt.Sprintf("deny of %s %s: before %v since %v", p.kind, p.name, d.before, d.revocation.At))
			}
		}
	}
	for _, k := range f.keys {
		lines = append(lines, fmt.Sprintf("key %s of %s %s: %s deleted=%t expires=%v revoked=%v",
			k.id, k.owner.kind, k.owner.name, k.status, k.deleted, k.expires, k.revocation.At))
	}
	for arn, s := range f.secrets {
		lines = append(lines, fmt.Sprintf("secret %s: %v", arn, s.stages))
	}
	if f.org != nil {
		lines = append(lines, "organization's policy: "+f.org.content)
	}
	for _, b := range f.bedrock {
		lines = append(lines, fmt.Sprintf("bedrock key %s %s: %s deleted=%t revoked=%v", b.id, b.alias, b.status, b.deleted, b.revocation.At))
	}
	for _, s := range f.sso {
		lines = append(lines, "single sign-on session "+s.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// fresh is a name that nobody has yet.
func (f *Fake) fresh(prefix string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	return fmt.Sprintf("%s-%d", prefix, f.serial)
}

func (f *Fake) user(name string) *principal {
	u, ok := f.users[name]
	if !ok {
		u = f.newPrincipal("user", name)
		f.users[name] = u
	}
	return u
}

// newPrincipal makes one that may look at itself and mint keys for itself, as careless accounts allow.
func (f *Fake) newPrincipal(kind, name string) *principal {
	prefix := map[string]string{"user": "AIDA", "role": "AROA"}[kind]
	return &principal{
		kind: kind, name: name, path: "/", id: prefix + alphanumeric(17), created: f.knobs.Now(),
		allowed: map[string]bool{
			"iam:GetUser": true, "iam:ListAccessKeys": true, "iam:CreateAccessKey": true, "iam:ListAccountAliases": true,
		},
		policies: map[string]string{},
	}
}

func (f *Fake) newKey(owner *principal) *key {
	k := &key{
		id: "AKIA" + alphanumeric(16), secret: randomBase64(30), owner: owner,
		issued: f.knobs.Now(), status: "Active",
	}
	f.keys[k.id] = k
	return k
}

func (f *Fake) newSession(owner *principal) *key {
	k := f.newKey(owner)
	delete(f.keys, k.id)
	k.id = "ASIA" + k.id[4:]
	k.token = randomBase64(180)
	k.expires = k.issued.Add(sessionLife)
	f.keys[k.id] = k
	return k
}

func (f *Fake) credential(k *key) credential.Credential {
	c := credential.Credential{
		Provider: "aws", Kind: keyKind,
		Ref: map[string]string{"id": k.id, "account": f.account},
		Secret: credential.NewSecret(map[string]string{
			"access_key_id": k.id, "secret_access_key": k.secret, "session_token": k.token,
		}),
	}
	if k.token != "" {
		c.Kind, c.Expires = sessionKind, k.expires
	}
	return c
}

func (f *Fake) expired(k *key) bool {
	return !k.expires.IsZero() && !f.knobs.Now().Before(k.expires)
}

func (f *Fake) mask(id string) string {
	kind := keyKind
	if strings.HasPrefix(id, "ASIA") {
		kind = sessionKind
	}
	return credential.Mask(kind, credential.NewSecret(map[string]string{"access_key_id": id}), nil)
}

// arn names the principal as GetCallerIdentity does for this key.
func (f *Fake) arn(k *key) string {
	switch k.owner.kind {
	case "root":
		return "arn:aws:iam::" + f.account + ":root"
	case "role":
		return "arn:aws:sts::" + f.account + ":assumed-role/" + k.owner.name + "/" + k.session
	}
	return "arn:aws:iam::" + f.accountOf(k.owner) + ":user" + k.owner.path + k.owner.name
}

func (f *Fake) accountOf(p *principal) string { return cmp.Or(p.account, f.account) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

func randomBase64(n int) string { return base64.StdEncoding.EncodeToString(randomBytes(n)) }

func alphanumeric(n int) string { return drawn(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") }

func digits(n int) string { return "1" + drawn(n-1, "01234567") }

// drawn needs an alphabet whose length divides 256.
func drawn(n int, alphabet string) string {
	b := randomBytes(n)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func requestID() string {
	h := hex.EncodeToString(randomBytes(16))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
