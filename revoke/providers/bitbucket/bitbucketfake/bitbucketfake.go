// Package bitbucketfake is Bitbucket Cloud and Atlassian's user management on the wire: who a token
// is of, and the list of an account's API tokens.
//
// Sources: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/#api-user-get,
// https://developer.atlassian.com/cloud/admin/user-management/rest/api-group-api-tokens/ and, for the
// words of a refusal, https://github.com/avivsinai/bitbucket-cli/issues/174.
package bitbucketfake

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	apiToken    = "bitbucket.api_token"
	appPassword = "bitbucket.app_password"
	orgKey      = "bitbucket.org_key" // the authority's: no kind that is found on hosts

	account = "712020:5b10ac8d-82e0-5b22-cc7d-4ef5aa11bb22"
	email   = "ada@example.com"
)

// prefixes are those of tokens that look like something.
var prefixes = map[string]string{
	apiToken: "ATATT3xFfGF0", "bitbucket.access_token": "ATCTT3xFfGN0", appPassword: "ATBB",
	"bitbucket.oauth_token": "", "bitbucket.oauth_consumer": "", orgKey: "ATCTT3xFfGF0",
}

// Fake is Bitbucket Cloud with one account.
type Fake struct {
	knobs *fake.Knobs

	mu     sync.Mutex
	tokens map[string]*token // by value
	last   int
}

type token struct {
	kind, value, id string
	scoped          bool // lacks the scope to be told who it is of
	life            fake.Revocation
}

// New returns a Bitbucket without tokens.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), tokens: make(map[string]*token)}
}

func (f *Fake) Name() string       { return "bitbucket" }
func (f *Fake) Hosts() []string    { return []string{"api.bitbucket.org", "api.atlassian.com"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{apiToken, "bitbucket.access_token", "bitbucket.oauth_token", "bitbucket.oauth_consumer", appPassword}
}

// Mint makes a live credential of that kind. It panics on a kind that is not Bitbucket's.
func (f *Fake) Mint(kind string) credential.Credential { return f.mint(kind, false) }

// MintScoped makes one that may not be told who it is of.
func (f *Fake) MintScoped(kind string) credential.Credential { return f.mint(kind, true) }

// MintAuthority makes the API key of the organization that manages the account.
func (f *Fake) MintAuthority() (credential.Credential, bool) { return f.mint(orgKey, false), true }

func (f *Fake) mint(kind string, scoped bool) credential.Credential {
	prefix, ok := prefixes[kind]
	if !ok {
		panic("bitbucketfake cannot mint " + kind)
	}
	n := map[string]int{appPassword: 32, "bitbucket.oauth_consumer": 32}[kind]
	if n == 0 {
		n = 180
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	t := &token{kind: kind, value: prefix + fake.Pick(fake.Letters, n), id: fmt.Sprintf("%d%08d", 104, f.last), scoped: scoped}
	f.tokens[t.value] = t
	c := credential.Credential{Provider: "bitbucket", Kind: kind, Secret: credential.Value(t.value)}
	switch kind {
	case apiToken:
		c.Ref = map[string]string{"account_id": account, "id": t.id, "email": email}
	case appPassword:
		c.Ref = map[string]string{"username": "ada"}
	}
	return c
}

// of finds what c is, by its value or else by its id.
func (f *Fake) of(c credential.Credential) *token {
	if t := f.tokens[c.Secret.Reveal("value")]; t != nil {
		return t
	}
	for _, t := range f.tokens {
		if t.kind == c.Kind && t.id == c.Ref["id"] {
			return t
		}
	}
	return nil
}

// Alive reports whether the credential works now.
func (f *Fake) Alive(c credential.Credential) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.of(c)
	return t != nil && f.knobs.Works(t.life)
}

// RevokeByHand revokes a token, or deletes a consumer, in the settings.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.of(c); t != nil {
		f.knobs.Revoke(&t.life)
	}
}

// State renders all tokens.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, t := range f.tokens {
		lines = append(lines, t.id+" "+t.kind+" "+t.life.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// ServeHTTP answers for both hosts. They share no path, so that one pinned endpoint can stand for both.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := fake.CallOf(r)
	call.Action = r.Method + " " + r.URL.Path
	f.knobs.Answer(w, r, call, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		user, value, basic := r.BasicAuth()
		if !basic {
			value = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		}
		t := f.tokens[value]
		if t != nil {
			call.Credential = credential.Mask(t.kind, credential.Value(t.value), nil)
		}
		if basic && t != nil && (user != email || t.kind != apiToken) && (user != "ada" || t.kind != appPassword) {
			t = nil
		}
		list := "/users/" + account + "/manage/api-tokens"
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/2.0/user":
			f.whoami(w, t, basic)
		case r.URL.Path == list || strings.HasPrefix(r.URL.Path, list+"/"):
			f.manage(w, r, t, strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, list), "/"))
		default:
			fake.JSON(w, http.StatusNotFound, failed("Resource not found"))
		}
	})
}

type object map[string]any

func failed(message string) object {
	return object{"type": "error", "error": object{"message": message}}
}

func (f *Fake) whoami(w http.ResponseWriter, t *token, basic bool) {
	switch {
	case t == nil && basic || t != nil && basic && !f.knobs.Live(&t.life): // no body
		w.Header().Set("WWW-Authenticate", `Basic realm="Bitbucket.org HTTP"`)
		w.WriteHeader(http.StatusUnauthorized)
	case t == nil || t.kind == orgKey || t.kind == "bitbucket.oauth_consumer" || !basic && !f.knobs.Live(&t.life):
		fake.JSON(w, http.StatusUnauthorized, failed("Token is invalid, expired, or not supported for this endpoint."))
	case t.scoped:
		fake.JSON(w, http.StatusForbidden, failed("Your credentials lack one or more required privilege scopes."))
	default:
		fake.JSON(w, http.StatusOK, object{"type": "user", "uuid": "{8c2b5a1e-0000-4000-8000-1234567890ab}", "account_id": account, "username": "ada", "display_name": "Ada"})
	}
}

func (f *Fake) manage(w http.ResponseWriter, r *http.Request, who *token, id string) {
	if who == nil || who.kind != orgKey || !f.knobs.Live(&who.life) {
		fake.JSON(w, http.StatusUnauthorized, object{"code": 401, "message": "Unauthorized"})
		return
	}
	switch {
	case r.Method == http.MethodGet && id == "":
		list := []object{}
		for _, t := range f.tokens {
			if t.kind == apiToken && f.knobs.Live(&t.life) {
				list = append(list, object{"id": t.id, "label": "CI " + t.id, "createdAt": "2026-01-02T03:04:05.000Z", "lastAccess": "2026-05-06T07:08:09.000Z"})
			}
		}
		fake.JSON(w, http.StatusOK, list)
	case r.Method == http.MethodDelete && id != "":
		for _, t := range f.tokens {
			if t.kind == apiToken && t.id == id {
				f.knobs.Revoke(&t.life)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		fake.JSON(w, http.StatusMethodNotAllowed, object{"code": 405, "message": "Method Not Allowed"})
	}
}
