// Package azurefake is one Entra ID tenant and one Key Vault on the wire: the token endpoint, and the
// calls of Microsoft Graph and Key Vault that matter when credentials are stolen.
//
// Sources: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes,
// https://learn.microsoft.com/graph/api/resources/application and
// https://learn.microsoft.com/rest/api/keyvault/secrets.
package azurefake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // the name that Entra gives a certificate
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	login = "login.microsoftonline.com"
	graph = "graph.microsoft.com"
	vault = "acme-prod" // the vault's name

	azCLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
)

// Fake is one tenant.
type Fake struct {
	knobs  *fake.Knobs
	tenant string

	mu      sync.Mutex
	apps    map[string]*application // by client id
	users   map[string]*user        // by object id
	refresh map[string]*user        // by refresh token
	pems    map[string]*key         // by the PEM that was minted
	access  map[string]*access      // by access token
	secrets map[string][]*version   // of the vault, by name, oldest first
}

// application is an app registration with its service principal.
type application struct {
	client, object, principal string
	admin                     bool
	label                     string // what the log calls it
	disabled                  fake.Revocation
	passwords                 []*password
	keys                      []*key
	roles, grants             []string
}

// password is a client secret.
type password struct {
	id, hint, value string
	ofPrincipal     bool
	life            fake.Revocation
}

// key is a certificate that an application signs in with.
type key struct {
	id, name    string
	certificate *x509.Certificate
	app         *application
	life        fake.Revocation
}

type user struct {
	object   string
	label    string
	sessions fake.Revocation
}

// access is an access token.
type access struct {
	app      *application // nil where it is a user's
	user     *user
	audience string
	expires  time.Time
	ended    fake.Revocation // before that, which nothing at Entra does
}

// version is one version of a secret in the vault.
type version struct {
	id       string
	created  time.Time
	tags     map[string]string
	disabled fake.Revocation
}

// New returns a tenant without credentials.
func New(c fake.Clock) *Fake {
	return &Fake{
		knobs: fake.NewKnobs(c), tenant: fake.GUID(),
		apps: map[string]*application{}, users: map[string]*user{}, refresh: map[string]*user{},
		pems: map[string]*key{}, access: map[string]*access{}, secrets: map[string][]*version{},
	}
}

func (f *Fake) Name() string       { return "azure" }
func (f *Fake) Hosts() []string    { return []string{login, graph, vault + ".vault.azure.net"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{"azure.client_secret", "azure.certificate", "azure.refresh_token", "azure.access_token", "azure.key_vault_secret"}
}

// Mint makes a live credential, each with an application, a user or a secret of its own.
func (f *Fake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := credential.Credential{Provider: "azure", Kind: kind}
	switch kind {
	case "azure.client_secret":
		a := f.register()
		c.Secret, c.Ref = credential.Value(f.addPassword(a, "", false).value), f.named(a)
	case "azure.certificate":
		a := f.register()
		c.Secret, c.Ref = credential.Value(f.addKey(a)), f.named(a)
	case "azure.refresh_token":
		u := &user{object: fake.GUID()}
		value := "1.AX" + fake.Pick(fake.Letters+"_-", 900)
		u.label = credential.Mask(kind, credential.Value(value), nil)
		f.users[u.object], f.refresh[value] = u, u
		c.Secret, c.Ref = credential.Value(value), map[string]string{"home_account_id": u.object + "." + f.tenant, "tenant": f.tenant}
	case "azure.access_token":
		u := &user{object: fake.GUID()}
		f.users[u.object] = u
		a := &access{user: u, audience: "https://management.azure.com"}
		c.Secret, c.Ref = credential.Value(f.issue(a)), map[string]string{"home_account_id": u.object + "." + f.tenant, "tenant": f.tenant}
		c.Expires = a.expires
	case "azure.key_vault_secret":
		name := "db-" + strings.ToLower(fake.Hex(4))
		f.addVersions(name, 2)
		c.Secret = credential.Value(fake.Pick(fake.Letters+"_-", 32)) // what the secret holds
		c.Ref = map[string]string{"id": vault + "/" + name, "vault": vault, "name": name}
	default:
		panic("azurefake cannot mint " + kind)
	}
	return c
}

// MintAuthority makes an application that may do everything in the tenant and the vault.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.register()
	a.admin = true
	p := f.addPassword(a, "", false)
	return credential.Credential{
		Provider: "azure", Kind: "azure.client_secret",
		Secret: credential.NewSecret(map[string]string{"value": p.value, "client_id": a.client, "tenant": f.tenant}),
		Ref:    f.named(a), // who it is, is no secret
	}, true
}

// MintAccess makes the access tokens of an administrator, as az hands them out.
func (f *Fake) MintAccess() credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.register()
	a.admin = true
	return credential.Credential{
		Provider: "azure", Kind: "azure.access_token",
		Secret: credential.NewSecret(map[string]string{
			"value": f.issue(&access{app: a, audience: "https://" + graph}), "vault": f.issue(&access{app: a, audience: "https://vault.azure.net"}),
		}),
	}
}

// AddSecret gives the application of a credential one more client secret, which begins with start.
func (f *Fake) AddSecret(c credential.Credential, start string, hinted, ofPrincipal bool) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.addPassword(f.apps[c.Ref["client_id"]], start, ofPrincipal)
	if !hinted {
		p.hint = ""
	}
	return credential.Credential{Provider: "azure", Kind: "azure.client_secret", Secret: credential.Value(p.value), Ref: maps.Clone(c.Ref)}
}

// AddCertificate gives the application of a credential one more certificate.
func (f *Fake) AddCertificate(c credential.Credential) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return credential.Credential{Provider: "azure", Kind: "azure.certificate", Secret: credential.Value(f.addKey(f.apps[c.Ref["client_id"]])), Ref: maps.Clone(c.Ref)}
}

// AddPermissions gives the application of a credential app roles and delegated grants.
func (f *Fake) AddPermissions(c credential.Credential, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[c.Ref["client_id"]]
	for range n {
		a.roles, a.grants = append(a.roles, fake.Pick(fake.Letters+"_-", 43)), append(a.grants, fake.Pick(fake.Letters+"_-", 43))
	}
}

// AddVersions gives a secret in the vault more versions.
func (f *Fake) AddVersions(c credential.Credential, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addVersions(c.Ref["name"], n)
}

// Disable disables the oldest version of a secret in the vault, as its owner may have done long ago.
func (f *Fake) Disable(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.knobs.Revoke(&f.secrets[c.Ref["name"]][0].disabled)
}

// Forget deletes the app registration of a credential, and with all its service principal too.
func (f *Fake) Forget(c credential.Credential, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[c.Ref["client_id"]]
	a.object = ""
	if all {
		a.principal = ""
	}
}

func (f *Fake) register() *application {
	a := &application{client: fake.GUID(), object: fake.GUID(), principal: fake.GUID()}
	f.apps[a.client] = a
	return a
}

func (f *Fake) named(a *application) map[string]string {
	return map[string]string{"client_id": a.client, "tenant": f.tenant}
}

// addPassword makes a secret as Entra does: 40 characters.
func (f *Fake) addPassword(a *application, start string, ofPrincipal bool) *password {
	if start == "" {
		start = fake.Pick(fake.Letters+"_-", 3)
	}
	p := &password{id: fake.GUID(), value: start + "8Q~" + fake.Pick(fake.Letters+"_-", 37-len(start)), ofPrincipal: ofPrincipal}
	p.hint = p.value[:3]
	a.passwords = append(a.passwords, p)
	if a.label == "" {
		a.label = credential.Mask("azure.client_secret", credential.Value(p.value), nil)
	}
	return p
}

// signingKeys are made once: an RSA key costs more than all the rest of a test. Each certificate is
// new, and of an application no two have the same key.
var signingKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		keys[i] = k
	}
	return keys
})

// addKey makes a self-signed certificate and returns it with its key, as az writes them.
func (f *Fake) addKey(a *application) string {
	signer := signingKeys()[len(a.keys)%2]
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // never fails
	now := f.knobs.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "CLI-Login"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		panic(err)
	}
	sum := sha1.Sum(der)
	k := &key{id: fake.GUID(), name: base64.StdEncoding.EncodeToString(sum[:]), certificate: certificate, app: a}
	a.keys = append(a.keys, k)
	if a.label == "" {
		a.label = "certificate " + k.id
	}
	out := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})) + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	f.pems[strings.TrimSpace(out)] = k
	return strings.TrimSpace(out)
}

func (f *Fake) addVersions(name string, n int) {
	for range n {
		f.secrets[name] = append(f.secrets[name], &version{id: strings.ToLower(fake.Hex(16)), created: f.knobs.Now()})
	}
}

// Alive reports whether the credential works now; of a secret in the vault, whether a version can be read.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := c.Secret.Reveal("value")
	switch c.Kind {
	case "azure.client_secret":
		a, p := f.password(value)
		return p != nil && f.knobs.Works(p.life) && f.knobs.Works(a.disabled)
	case "azure.certificate":
		k := f.pems[value]
		return k != nil && f.knobs.Works(k.life) && f.knobs.Works(k.app.disabled)
	case "azure.refresh_token":
		u := f.refresh[value]
		return u != nil && f.knobs.Works(u.sessions)
	case "azure.access_token":
		a := f.access[value]
		return a != nil && f.knobs.Works(a.ended) && f.knobs.Now().Before(a.expires)
	}
	return slices.ContainsFunc(f.secrets[c.Ref["name"]], func(v *version) bool { return f.knobs.Works(v.disabled) })
}

// RevokeByHand does what a person does in the admin centre or the portal.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := c.Secret.Reveal("value")
	switch c.Kind {
	case "azure.client_secret":
		if _, p := f.password(value); p != nil {
			f.knobs.Revoke(&p.life)
		}
	case "azure.certificate":
		if k := f.pems[value]; k != nil {
			f.knobs.Revoke(&k.life)
		}
	case "azure.refresh_token":
		if u := f.refresh[value]; u != nil {
			f.knobs.Revoke(&u.sessions)
		}
	case "azure.access_token":
		if a := f.access[value]; a != nil {
			f.knobs.Revoke(&a.ended)
		}
	case "azure.key_vault_secret":
		for _, v := range f.secrets[c.Ref["name"]] {
			f.knobs.Revoke(&v.disabled)
		}
	}
}

func (f *Fake) password(value string) (*application, *password) {
	for _, a := range f.apps {
		for _, p := range a.passwords {
			if p.value == value {
				return a, p
			}
		}
	}
	return nil, nil
}

// State renders the tenant and the vault. Tokens that were issued are not state: they expire. One that
// was ended before is.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, a := range f.apps {
		lines = append(lines, fmt.Sprintf("application %s registered=%t principal=%t %s, roles %v, grants %v", a.client, a.object != "", a.principal != "", a.disabled, a.roles, a.grants))
		for _, p := range a.passwords {
			lines = append(lines, fmt.Sprintf("secret %s of %s %s", p.id, a.client, p.life))
		}
		for _, k := range a.keys {
			lines = append(lines, fmt.Sprintf("certificate %s of %s %s", k.id, a.client, k.life))
		}
	}
	for _, u := range f.users {
		lines = append(lines, "sessions of "+u.object+" "+u.sessions.String())
	}
	for _, a := range f.access {
		if a.user != nil && !f.knobs.Works(a.ended) {
			lines = append(lines, "a token of "+a.user.object+" "+a.ended.String())
		}
	}
	for name, all := range f.secrets {
		for _, v := range all {
			lines = append(lines, fmt.Sprintf("version %s of %s %s %v", v.id, name, v.disabled, v.tags))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
