// Package githubfake is GitHub's REST API as far as tokens and keys go: who holds one, what it reads,
// how it is revoked.
package githubfake

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// Fake is github.com's API, or a GitHub Enterprise Server's.
type Fake struct {
	knobs      *fake.Knobs
	host       string
	hosts      []string
	prefix     string // of all paths
	enterprise bool

	mu            sync.Mutex
	tokens        map[string]*token // by value
	minted        []*token          // in order
	keys          []*key            // in order
	lastKey       int
	signers       []*signer
	installations []*installation
	clients       []*oauthClient
	orgGrants     []*orgGrant
	windows       map[string]*window
	countRefusals bool
}

// token is one that was issued. Its value is not in it.
type token struct {
	id     int
	kind   string
	login  string // of the user, or of the organisation where the App is installed
	client string // id of the App that it was given to, where that is known
	scopes string // of the kinds that have them
	masked string
	mails  int // that its owner got
	life   fake.Revocation
}

var _ fake.Provider = (*Fake)(nil)

// formats are the kinds that exist, and how many random characters follow which prefix.
var formats = []struct {
	kind, prefix string
	parts        []int // joined by an underscore
}{
	{"github.fine_grained", "github_pat_", []int{22, 59}},
	{"github.pat", "ghp_", []int{36}},
	{"github.oauth", "gho_", []int{36}},
	{"github.user_to_server", "ghu_", []int{36}},
	{"github.refresh", "ghr_", []int{76}},
	{"github.installation", "ghs_", []int{36}},
}

// New returns api.github.com with no token in it.
func New(c fake.Clock) *Fake {
	return &Fake{
		knobs:   fake.NewKnobs(c),
		host:    "api.github.com",
		hosts:   []string{"api.github.com", "github.com"},
		tokens:  make(map[string]*token),
		windows: make(map[string]*window),
	}
}

// NewEnterpriseServer returns a GitHub Enterprise Server, whose API is below /api/v3. Its bulk
// revocation asks for authentication and takes personal access tokens only.
// https://docs.github.com/enterprise-server@3.19/rest/credentials/revoke
func NewEnterpriseServer(c fake.Clock, host string) *Fake {
	f := New(c)
	f.host, f.hosts, f.prefix, f.enterprise = host, []string{host}, "/api/v3", true
	return f
}

func (f *Fake) Name() string       { return "github" }
func (f *Fake) Hosts() []string    { return f.hosts }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }

func (f *Fake) Kinds() []string {
	var kinds []string
	for _, k := range formats {
		kinds = append(kinds, k.kind)
	}
	return slices.Concat(kinds, keyKinds, appKinds)
}

// SetCountRefusals makes requests with bad credentials draw on their client's 60 requests an
// hour, which GitHub does without documenting it: many probes of dead tokens then run into the
// limit.
func (f *Fake) SetCountRefusals(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countRefusals = on
}

// Mint issues a token of its own user or installation, or adds a key. It panics on a kind that
// GitHub has not.
func (f *Fake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case slices.Contains(keyKinds, kind):
		return f.mintKey(kind)
	case slices.Contains(appKinds, kind):
		return f.mintApp(kind)
	}
	return f.mintToken(kind, "", "repo, workflow")
}

// MintUser issues a classic token with these scopes, of a user with this name.
func (f *Fake) MintUser(login, scopes string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mintToken("github.pat", login, scopes)
}

// mintToken issues a token of a user, or of one of its own. The caller holds the lock.
func (f *Fake) mintToken(kind, login, scopes string) credential.Credential {
	i := slices.Index(f.Kinds(), kind)
	if i < 0 {
		panic("githubfake: no kind " + kind)
	}
	parts := make([]string, len(formats[i].parts))
	for j, n := range formats[i].parts {
		parts[j] = random(n)
	}
	value := formats[i].prefix + strings.Join(parts, "_")
	secret := credential.Value(value)
	id := len(f.minted) + 1
	if login == "" {
		login = fmt.Sprintf("acme-bot-%d", id)
	}
	t := &token{id: id, kind: kind, login: login, scopes: scopes, masked: credential.Mask(kind, secret, nil)}
	f.tokens[value] = t
	f.minted = append(f.minted, t)
	return credential.Credential{
		Provider: f.Name(), Kind: kind, Secret: secret,
		Ref: map[string]string{"account": t.login},
	}
}

// MintAuthority is a token of the user whose keys the fake has, a key of the App that is installed, and
// a token of that App at the organization.
// Tokens need it at a GitHub Enterprise Server only.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.mintToken("github.pat", person, allScopes)
	s := f.mintSigner(deskApp)
	installed := f.mintToken(integration, organization, "")
	c.Secret = credential.NewSecret(map[string]string{
		"value": c.Secret.Reveal("value"), "private_key": s.file, "app_id": strconv.Itoa(s.app),
		"installation_token": installed.Secret.Reveal("value"),
	})
	return c, true
}

func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	life := f.lifeOf(c)
	return life != nil && f.knobs.Works(*life)
}

func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if life := f.lifeOf(c); life != nil {
		f.knobs.Revoke(life)
	}
	if t := f.tokens[c.Secret.Reveal("installation_token")]; t != nil { // an authority: it has a key, too
		f.knobs.Revoke(&t.life)
		f.knobs.Revoke(f.appLife(c))
	}
}

// lifeOf is nil for what was never here. The caller holds the lock.
func (f *Fake) lifeOf(c credential.Credential) *fake.Revocation {
	if slices.Contains(appKinds, c.Kind) {
		return f.appLife(c)
	}
	if slices.Contains(keyKinds, c.Kind) {
		if k := f.keyOf(c); k != nil {
			return &k.life
		}
		return nil
	}
	if t := f.tokens[c.Secret.Reveal("value")]; t != nil {
		return &t.life
	}
	return nil
}

// State leaves the rate limits out: they follow from the requests that the log has.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out strings.Builder
	for _, t := range f.minted {
		life := "live"
		if !t.life.At.IsZero() {
			life = "revoked " + t.life.At.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&out, "%d %s %s %s, %d mails\n", t.id, t.kind, t.login, life, t.mails)
	}
	for _, k := range f.keys {
		out.WriteString(k.String())
	}
	out.WriteString(f.appState())
	return out.String()
}

// ServeHTTP answers a request, unless a fault does, and records it.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.Call{
		Method: r.Method, Path: r.URL.Path,
		Adversary: r.Header.Get(fake.AdversaryHeader) != "",
	}
	f.mu.Lock()
	if t := f.tokens[bearer(r)]; t != nil {
		call.Credential = t.masked
	}
	f.mu.Unlock()
	// net/http sees that a client is gone only once the body is read: without this, a fault that
	// hangs would hang for ever.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		body = nil // it will not parse
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := &recorder{ResponseWriter: w}
	defer func() { // a fault may panic
		call.Status = rec.status
		f.knobs.Record(call)
	}()
	f.knobs.Serve(rec, r, func(w http.ResponseWriter, r *http.Request) { f.route(w, r, &call) })
}

// recorder keeps the status of what was answered; 0 where nothing was.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func random(n int) string { return fake.Pick(fake.Letters, n) }
