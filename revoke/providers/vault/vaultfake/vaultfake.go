// Package vaultfake is a HashiCorp Vault on the wire, as far as tokens, AppRole, leases and PKI go.
// Its answers are those of a Vault 1.21, word for word where words matter.
//
// Sources: https://developer.hashicorp.com/vault/api-docs/auth/token, …/auth/approle,
// …/system/leases and …/secret/pki.
package vaultfake

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Role is the AppRole role whose secret-ids are minted.
const Role = "agent"

// Fake is one Vault.
type Fake struct {
	// Old makes it say "permission denied" alone to a dead token, as old versions do.
	Old bool
	// ByHand leaves the revocation list as it is until it is rotated.
	ByHand bool
	// Irrevocable is how many leases it has given up revoking.
	Irrevocable int
	// Namespace is the one in which everything is.
	Namespace string

	knobs *fake.Knobs

	mu        sync.Mutex
	tokens    map[string]*token           // by value
	leases    map[string]*fake.Revocation // by lease id
	secretIDs map[string]*secretID        // by value
	certs     map[string]*certificate     // by serial, with colons
	ca        *x509.Certificate
	key       *ecdsa.PrivateKey
	rotated   time.Time
	logins    int
}

// Token is what is known of a token when it is made.
type Token struct {
	Policies []string // "root" may do everything
	Mute     bool     // it has not the default policy: it may not look itself up, nor revoke itself
	Path     string   // "auth/token/create" where empty
	Orphan   bool
	Parent   string // value of the token that made it
	Entity   string
	Role     string // of the login that made it
	Batch    bool
	Created  time.Time // now where zero
}

type token struct {
	Token
	life     fake.Revocation
	accessor string
	masked   string
}

type secretID struct {
	life     fake.Revocation
	roleID   string
	accessor string
	masked   string
}

// New returns a Vault without credentials.
func New(c fake.Clock) *Fake {
	f := &Fake{
		knobs: fake.NewKnobs(c), tokens: make(map[string]*token), leases: make(map[string]*fake.Revocation),
		secretIDs: make(map[string]*secretID), certs: make(map[string]*certificate),
	}
	f.found()
	return f
}

func (f *Fake) Name() string       { return "vault" }
func (f *Fake) Hosts() []string    { return []string{"vault.test"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{"vault.token", "vault.batch_token", "vault.approle_secret_id", "vault.lease", "vault.certificate"}
}

// Mint makes a live credential of that kind. It panics on a kind that is not Vault's.
func (f *Fake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch kind {
	case "vault.token":
		return f.mintToken(Token{Policies: []string{"default"}})
	case "vault.batch_token":
		return f.mintToken(Token{Policies: []string{"default"}, Batch: true})
	case "vault.approle_secret_id":
		return f.mintSecretID()
	case "vault.lease":
		prefix := "database/creds/agent-" + strings.ToLower(fake.Pick(fake.Letters, 6))
		f.leases[prefix+"/"+fake.Pick(fake.Letters, 24)] = new(fake.Revocation)
		f.leases[prefix+"/"+fake.Pick(fake.Letters, 24)] = new(fake.Revocation)
		return credential.Credential{Provider: "vault", Kind: kind, Ref: map[string]string{"id": prefix}}
	case "vault.certificate":
		return f.mintCertificate()
	}
	panic("vaultfake cannot mint " + kind)
}

// MintToken makes a live token.
func (f *Fake) MintToken(t Token) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mintToken(t)
}

func (f *Fake) mintToken(t Token) credential.Credential {
	if t.Path == "" {
		t.Path = "auth/token/create"
	}
	if t.Policies == nil {
		t.Policies = []string{"app"}
	}
	if t.Created.IsZero() {
		t.Created = f.knobs.Now()
	}
	made := &token{Token: t, accessor: fake.Pick(fake.Letters, 24)}
	c := credential.Credential{Provider: "vault", Kind: "vault.token", Secret: credential.Value("hvs." + fake.Pick(fake.Letters, 91)), Ref: map[string]string{"id": made.accessor}}
	if t.Batch {
		made.accessor = ""
		c = credential.Credential{Provider: "vault", Kind: "vault.batch_token", Secret: credential.Value("hvb." + fake.Pick(fake.Letters, 150))}
	} else {
		f.leases[t.Path+"/h"+strings.ToLower(fake.Pick(fake.Letters, 40))] = &made.life
	}
	made.masked = credential.Mask(c.Kind, c.Secret, c.Ref)
	f.tokens[c.Secret.Reveal("value")] = made
	return c
}

func (f *Fake) mintSecretID() credential.Credential {
	s := &secretID{roleID: fake.GUID(), accessor: fake.GUID()}
	c := credential.Credential{
		Provider: "vault", Kind: "vault.approle_secret_id", Ref: map[string]string{"role": Role},
		Secret: credential.NewSecret(map[string]string{"role_id": s.roleID, "secret_id": fake.GUID()}),
	}
	s.masked = s.accessor
	f.secretIDs[c.Secret.Reveal("secret_id")] = s
	return c
}

// Login makes a token with a secret-id, as a thief does.
func (f *Fake) Login(c credential.Credential) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	return f.mintToken(Token{Policies: []string{"default"}, Path: "auth/approle/login", Orphan: true, Role: c.Ref["role"]})
}

// MintAuthority makes a root token.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	return f.MintToken(Token{Policies: []string{"root"}, Orphan: true}), true
}

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.lives(c), func(life *fake.Revocation) bool { return f.knobs.Works(*life) })
}

// RevokeByHand does what a person does with the vault command. For a batch token it stands for the
// end of its parent.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tokenOf(c); t != nil {
		f.revokeTree(t)
		return
	}
	for _, life := range f.lives(c) {
		f.knobs.Revoke(life)
	}
}

func (f *Fake) tokenOf(c credential.Credential) *token {
	if t := f.tokens[c.Secret.Reveal("value")]; t != nil {
		return t
	}
	return f.byAccessor(c.Ref["id"])
}

func (f *Fake) byAccessor(accessor string) *token {
	for _, t := range f.tokens {
		if t.accessor == accessor && accessor != "" {
			return t
		}
	}
	return nil
}

// lives is what has to end for a credential to be dead.
func (f *Fake) lives(c credential.Credential) (all []*fake.Revocation) {
	switch c.Kind {
	case "vault.token", "vault.batch_token":
		if t := f.tokenOf(c); t != nil {
			all = append(all, &t.life)
		}
	case "vault.approle_secret_id":
		if s := f.secretIDs[c.Secret.Reveal("secret_id")]; s != nil {
			all = append(all, &s.life)
		}
	case "vault.certificate":
		if cert := f.certs[c.Ref["id"]]; cert != nil {
			all = append(all, &cert.life)
		}
	case "vault.lease":
		for id, life := range f.leases {
			if id == c.Ref["id"] || strings.HasPrefix(id, c.Ref["id"]+"/") {
				all = append(all, life)
			}
		}
	}
	return all
}

// revokeTree ends a token and what it made, batch tokens too; orphans are nobody's.
func (f *Fake) revokeTree(t *token) {
	f.knobs.Revoke(&t.life)
	for value, parent := range f.tokens {
		if parent != t {
			continue
		}
		for _, child := range f.tokens {
			if child.Parent == value && child.life.At.IsZero() {
				f.revokeTree(child)
			}
		}
	}
}

// State renders the Vault.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	put := func(what, name string, life fake.Revocation) {
		lines = append(lines, what+" "+name+" "+life.String())
	}
	for _, t := range f.tokens {
		put("token", t.accessor+" "+t.masked+" "+t.Path, t.life)
	}
	for _, s := range f.secretIDs {
		put("secret-id", s.accessor, s.life)
	}
	for id, life := range f.leases {
		put("lease", id, *life)
	}
	for serial, c := range f.certs {
		put("certificate", serial, c.life)
	}
	slices.Sort(lines)
	lines = append(lines, fmt.Sprintf("%d logins, list made anew %s", f.logins, f.rotated.UTC().Format(time.RFC3339Nano)))
	return strings.Join(lines, "\n")
}

// AddLease leases something below a prefix.
func (f *Fake) AddLease(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leases[prefix+"/"+fake.Pick(fake.Letters, 24)] = new(fake.Revocation)
}
