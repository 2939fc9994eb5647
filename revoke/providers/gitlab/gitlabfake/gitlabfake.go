// Package gitlabfake is a GitLab instance on the wire: its tokens, keys and jobs, and the calls that
// end them.
//
// Sources: https://docs.gitlab.com/api/ (personal_access_tokens, admin/token, runners, jobs,
// deploy_tokens, pipeline_triggers, cluster_agents, deploy_keys, user_keys, oauth2) and, for the words
// of refusals, lib/api in https://gitlab.com/gitlab-org/gitlab.
package gitlabfake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

const (
	pat         = "gitlab.pat"
	oauthToken  = "gitlab.oauth_token"
	runner      = "gitlab.runner"
	jobToken    = "gitlab.job_token"
	deployKey   = "gitlab.deploy_key"
	sshKey      = "gitlab.ssh_key"
	oauthSecret = "gitlab.oauth_secret"
)

// prefixes are those of https://docs.gitlab.com/security/tokens/#token-prefixes
var prefixes = map[string]string{
	pat: "glpat-", runner: "glrt-", jobToken: "glcbt-64_", "gitlab.deploy_token": "gldt-", "gitlab.trigger": "glptt-",
	"gitlab.agent_token": "glagent-", oauthSecret: "gloas-", "gitlab.scim_token": "glsoat-", "gitlab.feed_token": "glft-",
	"gitlab.mail_token": "glimt-", "gitlab.flags_token": "glffct-", "gitlab.workspace_token": "glwt-",
}

// Fake is one instance.
type Fake struct {
	knobs *fake.Knobs

	mu     sync.Mutex
	things map[string]*thing // by value
	last   int64             // the last id that was given
	family int64

	expireTriggers bool
}

// thing is a token, a key or a running job.
type thing struct {
	kind    string
	value   string
	id      int64
	name    string
	user    int64
	project int64
	agent   int64
	scopes  []string
	admin   bool
	created time.Time
	family  int64  // of the tokens that were rotated into each other
	client  string // of OAuth: the application
	deleted bool   // rather than kept as revoked
	life    fake.Revocation
}

// New returns an instance without anything.
func New(c fake.Clock) *Fake {
	return &Fake{knobs: fake.NewKnobs(c), things: make(map[string]*thing), last: 100}
}

func (f *Fake) Name() string       { return "gitlab" }
func (f *Fake) Hosts() []string    { return []string{"gitlab.com"} }
func (f *Fake) Knobs() *fake.Knobs { return f.knobs }
func (f *Fake) Kinds() []string {
	return []string{
		pat, oauthToken, runner, jobToken, "gitlab.deploy_token", "gitlab.trigger", "gitlab.agent_token", deployKey, sshKey,
		oauthSecret, "gitlab.feed_token", "gitlab.mail_token", "gitlab.flags_token", "gitlab.scim_token", "gitlab.workspace_token",
	}
}

// Mint makes a live credential of that kind. It panics on a kind that is not GitLab's.
func (f *Fake) Mint(kind string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint(kind, "deploy-bot-"+fake.Pick("abcdefghijklmnop", 6), 3, []string{"api"}).credential()
}

// MintToken makes an access token of a user, with a name and scopes.
func (f *Fake) MintToken(name string, user int64, scopes ...string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint(pat, name, user, scopes).credential()
}

// MintGrant makes an OAuth token with these scopes.
func (f *Fake) MintGrant(scopes ...string) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mint(oauthToken, "ada", 3, scopes).credential()
}

// MintAuthority makes an administrator's access token.
func (f *Fake) MintAuthority() (credential.Credential, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.mint(pat, "incident-response", 1, []string{"api", "admin_mode"})
	t.admin = true
	return t.credential(), true
}

func (f *Fake) mint(kind, name string, user int64, scopes []string) *thing {
	f.last++
	f.family++
	t := &thing{kind: kind, id: f.last, name: name, user: user, project: 7, agent: 5, scopes: scopes, created: f.knobs.Clock.Now(), family: f.family}
	switch prefix, ok := prefixes[kind]; {
	case ok:
		t.value = prefix + fake.Pick(fake.Letters, 40)
	case kind == oauthToken:
		t.value = fake.Hex(32)
	case kind == deployKey || kind == sshKey:
		t.value = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + fake.Pick(fake.Letters, 70) + "\n-----END OPENSSH PRIVATE KEY-----\n"
	default:
		panic("gitlabfake cannot mint " + kind)
	}
	if kind == oauthToken || kind == oauthSecret {
		t.client = fake.Hex(32)
	}
	f.things[t.value] = t
	return t
}

func (t *thing) credential() credential.Credential {
	c := credential.Credential{Provider: "gitlab", Kind: t.kind, Secret: credential.Value(t.value)}
	id := strconv.FormatInt(t.id, 10)
	project, agent := strconv.FormatInt(t.project, 10), strconv.FormatInt(t.agent, 10)
	switch t.kind {
	case pat:
		c.Ref = map[string]string{"id": id}
	case "gitlab.deploy_token", "gitlab.trigger", deployKey:
		c.Ref = map[string]string{"id": id, "project": project}
	case "gitlab.agent_token":
		c.Ref = map[string]string{"id": id, "project": project, "agent": agent}
	case sshKey:
		c.Ref = map[string]string{"id": id, "user": strconv.FormatInt(t.user, 10)}
	case oauthToken, oauthSecret:
		c.Ref = map[string]string{"client_id": t.client}
	}
	return c
}

// of finds what c is, by its value or else by its id.
func (f *Fake) of(c credential.Credential) *thing {
	if t := f.things[c.Secret.Reveal("value")]; t != nil {
		return t
	}
	for _, t := range f.things {
		if t.kind == c.Kind && strconv.FormatInt(t.id, 10) == c.Ref["id"] {
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

// RevokeByHand revokes a token, deletes a key or a runner, cancels a job or resets what can only be reset.
func (f *Fake) RevokeByHand(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.of(c); t != nil {
		f.knobs.Revoke(&t.life)
	}
}

// Delete ends the credential and forgets that there was one, as when its user is deleted.
func (f *Fake) Delete(c credential.Credential) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.of(c); t != nil {
		f.knobs.Revoke(&t.life)
		t.deleted = true
	}
}

// ExpireTriggers switches on what lets an administrator revoke a pipeline trigger by its value: GitLab's
// feature flag token_api_expire_pipeline_triggers, which is off unless somebody turns it on.
func (f *Fake) ExpireTriggers() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expireTriggers = true
}

// Rotate is what a thief does with a token: the old one ends, and the new one is of its family.
func (f *Fake) Rotate(c credential.Credential) credential.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rotate(f.of(c)).credential()
}

func (f *Fake) rotate(old *thing) *thing {
	f.knobs.Revoke(&old.life)
	next := f.mint(pat, old.name, old.user, old.scopes)
	next.family, next.admin = old.family, old.admin
	return next
}

// State renders the instance.
func (f *Fake) State() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, t := range f.things {
		lines = append(lines, fmt.Sprintf("%06d %s %s user %d %s", t.id, t.kind, t.name, t.user, t.life))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
