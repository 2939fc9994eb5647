// Package github ends GitHub's tokens and keys. Five kinds of token end through the bulk revocation
// endpoint, the installation token with itself, and their own refusal proves it. SSH keys end under
// an authority, and the proof is that GitHub lists them no more. A GitHub App's installation is
// suspended under a private key of the App; that key, and an OAuth client's secret, a person deletes.
package github

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/wire"
)

const (
	name           = "github"
	defaultHost    = "api.github.com"
	webHost        = "github.com"
	defaultBase    = "https://" + defaultHost + "/"
	maxBatch       = 1000             // https://docs.github.com/rest/credentials/revoke
	requestTimeout = 30 * time.Second // where the client that we were given has none

	kindFineGrained  = "github.fine_grained"
	kindPAT          = "github.pat"
	kindOAuth        = "github.oauth"
	kindUserToServer = "github.user_to_server"
	kindRefresh      = "github.refresh"
	kindInstallation = "github.installation"

	docsRevoke       = "https://docs.github.com/rest/credentials/revoke"
	docsInstallation = "https://docs.github.com/rest/apps/installations#revoke-an-installation-access-token"
)

// tokenKinds are those whose value is sent as a token.
var tokenKinds = []string{kindFineGrained, kindPAT, kindOAuth, kindUserToServer, kindRefresh, kindInstallation}

// provider is GitHub, or a GitHub Enterprise Server where an endpoint is pinned.
type provider struct {
	env    revoke.Env
	base   *url.URL // ends in a slash
	pinned bool
	api    wire.Client // what go-github has no call for
	web    wire.Client // where OAuth's own addresses are

	settings settings
	info     revoke.Info
}

var (
	_ revoke.Batcher    = (*provider)(nil)
	_ revoke.Undoer     = (*provider)(nil)
	_ revoke.Enumerator = (*provider)(nil)
)

// New makes the provider. An endpoint is the address that API paths are appended to:
// "https://ghe.example/api/v3" for a GitHub Enterprise Server.
func New(env revoke.Env) (revoke.Provider, error) {
	if env.HTTP == nil {
		return nil, errors.New("github: no HTTP client to send with")
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	base, err := parseBase(env.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("github: endpoint: %w", err)
	}
	p := &provider{env: env, base: base, pinned: base.Host != defaultHost, info: info()}
	web := env
	if !p.pinned {
		web.Endpoint = ""
	}
	if p.web, err = wire.New(web, "https://"+webHost); err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	if p.api, err = wire.New(env, "https://"+defaultHost); err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	if env.Settings != nil {
		if err := env.Settings(&p.settings); err != nil {
			return nil, fmt.Errorf("github: %w", err)
		}
	}
	if id := p.settings.ClientID; id != "" && !clientID.MatchString(id) {
		return nil, errors.New("github: client_id: want that of an OAuth or GitHub App")
	}
	if p.pinned {
		// A GitHub Enterprise Server has no such limit unless its administrator sets one, and then
		// its answers say so.
		// https://docs.github.com/enterprise-server@3.19/rest/using-the-rest-api/rate-limits-for-the-rest-api
		p.info.RefusedAnHour = 0
	}
	return p, nil
}

// parseBase does not quote what it refuses: a password may stand in it.
func parseBase(endpoint string) (*url.URL, error) {
	if endpoint == "" {
		endpoint = defaultBase
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, errors.New("not an http or https URL with a host")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("user, query and fragment have no place in it")
	case u.RawPath != "":
		return nil, errors.New("its path has escaped characters")
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}

func (p *provider) Info() revoke.Info { return p.info }

func info() revoke.Info {
	return revoke.Info{
		Name:  name,
		Title: "GitHub",
		Kinds: slices.Concat([]revoke.KindInfo{
			bulkKind(kindFineGrained), bulkKind(kindPAT), bulkKind(kindOAuth),
			bulkKind(kindUserToServer), refreshKind(), installationKind(),
		}, keyKinds(), appKinds(), []revoke.KindInfo{orgKind()}),
		Reads: []revoke.Read{
			{Method: http.MethodGet, Path: "/user"},
			{Method: http.MethodGet, Path: "/installation/repositories"},
			{Method: http.MethodGet, Path: "/user/keys"},
			{Method: http.MethodGet, Path: "/user/ssh_signing_keys"},
			{Method: http.MethodGet, Path: "/users/*/keys"},
			{Method: http.MethodGet, Path: "/users/*/ssh_signing_keys"},
			{Method: http.MethodGet, Path: "/repos/*/*/keys"},
			{Method: http.MethodGet, Path: "/orgs/*/personal-access-tokens"},
			{Method: http.MethodGet, Path: "/app"},
			{Method: http.MethodGet, Path: "/app/installations"},
			{Method: http.MethodGet, Path: "/app/installations/*"},
			{Method: http.MethodPost, Path: "/applications/*/token"}, // PATCH and DELETE are what change something there
			{Method: http.MethodPost, Path: exchangePath, Form: map[string]string{"code": noCode}},
		},
		// 60 requests an hour may come in a burst: waiting a minute for each would leave stolen
		// tokens alive, and what is over the limit is told when to come back.
		Every:    2 * time.Second,
		BatchMax: maxBatch,
		Hosts:    []string{defaultHost, webHost},
		// The rest of the 60 is for revocations: see propagation.
		RefusedAnHour: 54,
	}
}

func bulkKind(kind string) revoke.KindInfo {
	k := revoke.KindInfo{
		Kind:         kind,
		SelfRevoking: true,
		Effect: "GitHub mails the owner and enters it in the owner's security log; nothing can bring the token back; " +
			"a GitHub Enterprise Server wants an authority: any valid token of its own",
		Propagation: propagation,
		Source:      docsRevoke,
	}
	if kind == kindOAuth || kind == kindUserToServer {
		k.Effect += "; where the settings name its App (client_id) and the authority has its client_secret, all of the App's tokens at its user end with it"
	}
	return k
}

func refreshKind() revoke.KindInfo {
	k := bulkKind(kindRefresh)
	// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
	k.Unverifiable = "the API takes no refresh token, so its refusal there says nothing; exchanging it would mint new tokens and needs the App's secret"
	k.Mints = []string{kindUserToServer, kindRefresh}
	k.Link = "https://github.com/settings/apps/authorizations"
	k.Steps = []string{
		"As the user whom the token belongs to, open Settings, Applications, Authorized GitHub Apps",
		"Revoke the App: that ends its refresh and access tokens for this user",
	}
	return k
}

func installationKind() revoke.KindInfo {
	return revoke.KindInfo{
		Kind:         kindInstallation,
		SelfRevoking: true,
		Effect:       "the App's other tokens live on, and its private key can mint new ones",
		Propagation:  propagation,
		Source:       docsInstallation,
	}
}

// propagation is our own choice: GitHub names no time. Three probes, and no more, because a
// refused probe draws on the 60 requests an hour that an address has without authentication, the
// same that bulk revocation draws on. Seen in https://github.com/maxlath/backup-github-repo/issues/10,
// where each "401 Bad credentials" lowers x-ratelimit-remaining by one.
var propagation = revoke.Propagation{
	Budget:   time.Minute,
	Every:    30 * time.Second,
	Refusals: 3,
	Source:   "clawback's own margin: " + docsRevoke + " answers 202 and names no time",
}

// token returns the secret to send, and false for a credential that is no token of ours or is
// known by its reference alone.
func (p *provider) token(c credential.Credential) (string, bool) {
	if c.Provider != name || !slices.Contains(tokenKinds, c.Kind) {
		return "", false
	}
	value := c.Secret.Reveal("value")
	return value, value != ""
}
