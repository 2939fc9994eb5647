package discover

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// maxBeside bounds what stands beside a secret and is kept with it, in bytes.
const maxBeside = 4096

// companion is what stands beside a secret, and without which its provider can neither try nor revoke it.
type companion struct {
	kind      string
	keys      []string // of the object that the secret stands in, or names of variables
	part, ref string   // what it becomes: a part of the secret, or of what names it
}

// companions are what the providers ask for beside a value.
// Sources: https://cloud.google.com/docs/authentication/application-default-credentials,
// https://learn.microsoft.com/python/api/overview/azure/identity-readme#environment-variables,
// https://developer.hashicorp.com/vault/docs/auth/approle,
// https://docs.cyberark.com/conjur-open-source/latest/en/content/developer/lp_rest_api.htm,
// https://docs.gitlab.com/user/project/deploy_tokens/, https://discord.com/developers/docs/topics/oauth2
var companions = []companion{
	{kind: "google.refresh_token", keys: []string{"client_id", "GOOGLE_CLIENT_ID"}, part: "client_id"},
	{kind: "google.refresh_token", keys: []string{"client_secret", "GOOGLE_CLIENT_SECRET"}, part: "client_secret"},
	{kind: "google.service_account", keys: []string{"private_key_id"}, ref: "id"},
	{kind: "azure.client_secret", keys: []string{"client_id", "appId", "AZURE_CLIENT_ID", "ARM_CLIENT_ID", "MSTEAMS_APP_ID"}, ref: "client_id"},
	{kind: "azure.client_secret", keys: []string{"tenant", "tenantId", "AZURE_TENANT_ID", "ARM_TENANT_ID", "MSTEAMS_TENANT_ID"}, ref: "tenant"},
	{kind: "azure.certificate", keys: []string{"client_id"}, ref: "client_id"},
	{kind: "azure.certificate", keys: []string{"tenant"}, ref: "tenant"},
	{kind: "azure.refresh_token", keys: []string{"client_id", "_clientId"}, ref: "client_id"},
	{kind: "azure.refresh_token", keys: []string{"home_account_id"}, ref: "home_account_id"},
	{kind: "azure.access_token", keys: []string{"client_id", "_clientId"}, ref: "client_id"},
	{kind: "azure.access_token", keys: []string{"home_account_id"}, ref: "home_account_id"},
	{kind: "azure.access_token", keys: []string{"realm"}, ref: "tenant"},
	{kind: "vault.approle_secret_id", keys: []string{"role_id", "VAULT_ROLE_ID", "VAULT_APPROLE_ROLE_ID"}, part: "role_id"},
	{kind: "vault.approle_secret_id", keys: []string{"role_name", "role", "VAULT_ROLE_NAME", "VAULT_APPROLE_ROLE_NAME", "VAULT_ROLE"}, ref: "role"},
	{kind: "conjur.api_key", keys: []string{"login", "CONJUR_AUTHN_LOGIN"}, part: "login"},
	{kind: "conjur.api_key", keys: []string{"account", "CONJUR_ACCOUNT"}, ref: "account"},
	{kind: "gitlab.oauth_token", keys: []string{"client_id"}, ref: "client_id"},
	{kind: "gitlab.runner", keys: []string{"id"}, ref: "id"},
	{kind: "gitlab.deploy_token", keys: []string{"login", "CI_DEPLOY_USER"}, ref: "username"},
	{kind: "bitbucket.app_password", keys: []string{"login", "BITBUCKET_USERNAME", "BITBUCKET_USER"}, ref: "username"},
	{kind: "bitbucket.api_token", keys: []string{"login", "BITBUCKET_EMAIL", "BITBUCKET_USERNAME", "BITBUCKET_USER", "ATLASSIAN_EMAIL"}, ref: "email"},
	{kind: "slack.client_secret", keys: []string{"client_id", "SLACK_CLIENT_ID"}, part: "client_id"},
	{kind: "github.client_secret", keys: []string{"client_id", "GITHUB_CLIENT_ID", "GITHUB_OAUTH_CLIENT_ID"}, ref: "client_id"},
	{kind: "github.app_key", keys: []string{"app_id", "GITHUB_APP_ID"}, ref: "app_id"},
	{kind: "whatsapp.app_secret", keys: []string{"app_id", "WHATSAPP_APP_ID", "META_APP_ID", "FACEBOOK_APP_ID"}, ref: "client_id"},
	{kind: "braintree.api_key", keys: []string{"public_key", "publicKey", "BRAINTREE_PUBLIC_KEY"}, part: "public_key"},
	{kind: "braintree.api_key", keys: []string{"merchant_id", "merchantId", "BRAINTREE_MERCHANT_ID"}, part: "merchant_id"},
	{kind: "discord.client_secret", keys: []string{"client_id", "DISCORD_CLIENT_ID", "DISCORD_APPLICATION_ID"}, part: "client_id"},
}

// mainParts is what the value itself is called where a kind has it as one part of several.
var mainParts = map[string]string{
	"vault.approle_secret_id": "secret_id",
	"discord.client_secret":   "client_secret",
	"braintree.api_key":       "private_key",
}

// deployUser is the login of a GitLab deploy token that was given no other one.
// Source: https://docs.gitlab.com/user/project/deploy_tokens/
var deployUser = lazyregexp.New(`\Agitlab\+deploy-token-([0-9]{1,18})\z`)

// complete adds what stands beside a candidate's value and belongs to it. beside is what stands at a
// key there, or "".
func (c *candidate) complete(beside func(key string) string) {
	for _, with := range companions {
		if with.kind != c.kind {
			continue
		}
		for _, k := range with.keys {
			v := beside(k)
			if _, secret := credential.Recognize(v); v == "" || len(v) > maxBeside || secret || placeholder(v) && strings.Trim(v, "0123456789") != "" || reference.MatchString(v) || with.ref == "email" && !strings.Contains(v, "@") {
				continue
			}
			if with.part != "" {
				c.parts = added(c.parts, with.part, v)
			} else {
				c.refer(with.ref, v)
			}
			break
		}
	}
	if name := mainParts[c.kind]; name != "" && c.parts["value"] != "" {
		c.parts = added(c.parts, name, c.parts["value"])
		delete(c.parts, "value")
	}
	if m := deployUser.FindStringSubmatch(c.ref["username"]); m != nil && c.kind == "gitlab.deploy_token" {
		c.refer("id", m[1])
	}
	if _, tenant, ok := strings.Cut(c.ref["home_account_id"], "."); ok && c.ref["tenant"] == "" {
		c.refer("tenant", tenant) // source: https://learn.microsoft.com/entra/msal/dotnet/microsoft-identity-client/accountid
	}
}

// refer adds to what names a candidate.
func (c *candidate) refer(name, value string) { c.ref = added(c.ref, name, clean(value, 300)) }

func added(m map[string]string, key, value string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// companionPart reports whether a part is no secret by itself, but stands beside one: a client's id, a
// login. Where else it stands is of no matter.
func companionPart(kind, part string) bool {
	return slices.ContainsFunc(companions, func(c companion) bool { return c.kind == kind && c.part == part })
}

// whole keeps a secret one credential in places that tell less: it has the companions that it had where
// it was first found.
func (s *scan) whole(c *candidate) {
	if c.doubt.Harmless() {
		return
	}
	key := c.kind + "\x00" + c.value()
	if before, ok := s.beside[key]; ok {
		for part, v := range before {
			if c.parts[part] == "" {
				c.parts = added(c.parts, part, v)
			}
		}
		return
	}
	for part, v := range c.parts {
		if companionPart(c.kind, part) {
			s.beside[key] = added(s.beside[key], part, v)
		}
	}
}

// besideLeaf is what stands in the same object as l.
func (r *reader) besideLeaf(l leaf) func(string) string {
	object := l.parent()
	return func(key string) string {
		other, ok := r.sibling(object, key)
		if !ok {
			return ""
		}
		text, _, ok := r.expand(other.text, candidate{})
		if !ok {
			return ""
		}
		return text
	}
}

// besideVariable is what is set beside a variable, under the number that it has: variables have no other
// names in common with the keys of documents.
func besideVariable(name string, beside func(string) string) func(string) string {
	number := name[len(baseName(name)):]
	return func(key string) string {
		if strings.ToUpper(key) != key {
			return ""
		}
		return beside(key + number)
	}
}

// serviceAccountFile takes a whole key file of a service account apart, so that it is the same credential
// wherever its key stands. Source: https://cloud.google.com/iam/docs/keys-create-delete
func (c *candidate) serviceAccountFile() {
	text := strings.TrimSpace(c.parts["value"])
	if c.kind != "google.service_account" || !strings.HasPrefix(text, "{") || len(text) > maxKeyFile {
		return
	}
	var f struct {
		Key   string `json:"private_key"`
		ID    string `json:"private_key_id"`
		Email string `json:"client_email"`
	}
	if json.Unmarshal([]byte(text), &f) != nil || f.Key == "" {
		return
	}
	c.parts = map[string]string{"value": f.Key}
	if f.ID != "" {
		c.refer("id", f.ID)
	}
	if c.owner == "" {
		c.owner = f.Email
	}
}

// glabClient is the application as which glab logs in to gitlab.com; it is public.
// Source: https://gitlab.com/gitlab-org/cli/-/blob/main/internal/glinstance/host.go
const glabClient = "41d48f9422ebd655dd9cf2947d6979681dfaddc6d0c56f7628f6ada59559af1e"

// aboutGlab tells a login by OAuth from a token that somebody gave to glab.
// Source: https://docs.gitlab.com/cli/auth/login/
func (r *reader) aboutGlab(l leaf, host string, c *candidate) {
	if host != "gitlab.com" {
		c.endpoint = origin("https://" + host)
	}
	if by, ok := r.sibling(l.parent(), "is_oauth2"); ok && by.text == "true" {
		c.kind = "gitlab.oauth_token"
	}
	if c.kind == "gitlab.oauth_token" && host == "gitlab.com" {
		c.refer("client_id", glabClient)
	}
	if user, ok := r.sibling(l.parent(), "user"); ok && c.owner == "" {
		c.owner = user.text
	}
}

// userOf is the name of the user with an account id, as a cache of tokens has it.
// Source: https://learn.microsoft.com/entra/msal/python/advanced/msal-python-token-cache-serialization
func (r *reader) userOf(account string) string {
	if r.users == nil {
		r.users = map[string]string{}
		for _, l := range r.doc.leaves {
			if len(l.path) == 3 && l.path[0].Key == "Account" && l.key() == "username" && l.str {
				if id, ok := r.sibling(l.parent(), "home_account_id"); ok {
					r.users[id.text] = l.text
				}
			}
		}
	}
	return r.users[account]
}
