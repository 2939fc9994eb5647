package gitlab_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers/gitlab"
)

const (
	works        = `{"id":4,"name":"deploy","user_id":3,"scopes":["api"],"revoked":false,"active":true}`
	unauthorized = `{"message":"401 Unauthorized"}`
	forbidden    = `{"message":"403 Forbidden"}`
	notFound     = `{"message":"404 Not found"}`
	scope        = `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token."}`
	wasRevoked   = `{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}`
	hasExpired   = `{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`
	adminUnknown = `{"message":{"error":"Not found"}}`
	noClient     = `{"error":"invalid_client","error_description":"Client authentication failed"}`
)

// sources: the paths are those that one look sends.
var paths = map[string]string{
	"gitlab.pat": "GET /api/v4/personal_access_tokens/self", "gitlab.oauth_token": "GET /api/v4/user", "gitlab.runner": "POST /api/v4/runners/verify",
	"gitlab.job_token": "GET /api/v4/job", "gitlab.oauth_secret": "POST /oauth/introspect", "gitlab.feed_token": "POST /api/v4/admin/token",
}

func TestVerifyReadsTheBody(t *testing.T) {
	for name, c := range map[string]struct {
		kind  string
		reply reply
		want  revoke.Outcome
	}{
		"token works":                {"gitlab.pat", reply{200, works}, revoke.Alive},
		"token lacks a scope":        {"gitlab.pat", reply{403, scope}, revoke.Alive},
		"token's user is blocked":    {"gitlab.pat", reply{403, `{"message":"403 Forbidden - Your account has been blocked"}`}, revoke.Alive},
		"token was revoked":          {"gitlab.pat", reply{401, wasRevoked}, revoke.Refused},
		"token has expired":          {"gitlab.pat", reply{401, hasExpired}, revoke.Refused},
		"token never seen":           {"gitlab.pat", reply{401, unauthorized}, revoke.Inconclusive},
		"bad token":                  {"gitlab.pat", reply{401, `{"error":"invalid_token","error_description":"Bad Access Token."}`}, revoke.Inconclusive},
		"impersonation is off":       {"gitlab.pat", reply{401, `{"error":"invalid_token","error_description":"Token is an impersonation token but impersonation was disabled."}`}, revoke.Inconclusive},
		"proof of possession wanted": {"gitlab.pat", reply{401, `{"error":"dpop_error","error_description":"DPoP validation error: x"}`}, revoke.Inconclusive},
		"ban of the address":         {"gitlab.pat", reply{403, "Forbidden\n"}, revoke.Inconclusive},
		"403 of somebody else":       {"gitlab.pat", reply{403, `{"message":"blocked by policy"}`}, revoke.Inconclusive},
		"says works and revoked":     {"gitlab.pat", reply{200, `{"id":4,"revoked":true}`}, revoke.Inconclusive},
		"says works and inactive":    {"gitlab.pat", reply{200, `{"id":4,"active":false}`}, revoke.Inconclusive},
		"nobody":                     {"gitlab.pat", reply{200, `{"name":"x"}`}, revoke.Inconclusive},
		"half":                       {"gitlab.pat", reply{401, wasRevoked[:60]}, revoke.Inconclusive},
		"two answers":                {"gitlab.pat", reply{401, wasRevoked + works}, revoke.Inconclusive},
		"wrong status":               {"gitlab.pat", reply{200, wasRevoked}, revoke.Inconclusive},
		"limited":                    {"gitlab.pat", reply{429, "Retry later\n"}, revoke.Inconclusive},
		"outage":                     {"gitlab.pat", reply{503, wasRevoked}, revoke.Inconclusive},
		"redirect":                   {"gitlab.pat", reply{302, ""}, revoke.Inconclusive},
		"grant works":                {"gitlab.oauth_token", reply{200, `{"id":3,"username":"ada"}`}, revoke.Alive},
		"grant lacks a scope":        {"gitlab.oauth_token", reply{403, scope}, revoke.Alive},
		"grant was revoked":          {"gitlab.oauth_token", reply{401, wasRevoked}, revoke.Refused},
		"grant never seen":           {"gitlab.oauth_token", reply{401, unauthorized}, revoke.Inconclusive},
		"runner works":               {"gitlab.runner", reply{200, `{"id":9,"token":"x","token_expires_at":null}`}, revoke.Alive},
		"runner works, old":          {"gitlab.runner", reply{200, `"200"`}, revoke.Alive},
		"runner works, older":        {"gitlab.runner", reply{200, `200`}, revoke.Alive},
		"runner is gone":             {"gitlab.runner", reply{403, forbidden}, revoke.Refused},
		"runner, unsure":             {"gitlab.runner", reply{401, unauthorized}, revoke.Inconclusive},
		"job runs":                   {"gitlab.job_token", reply{200, `{"id":9,"status":"running","pipeline":{"project_id":7}}`}, revoke.Alive},
		"job is over":                {"gitlab.job_token", reply{401, unauthorized}, revoke.Refused},
		"job, unsure":                {"gitlab.job_token", reply{404, notFound}, revoke.Inconclusive},
		"application works":          {"gitlab.oauth_secret", reply{200, `{"active":false}`}, revoke.Alive},
		"application is refused":     {"gitlab.oauth_secret", reply{401, noClient}, revoke.Refused},
		"application, unsure":        {"gitlab.oauth_secret", reply{401, `{"error":"invalid_token"}`}, revoke.Inconclusive},
		"application, half":          {"gitlab.oauth_secret", reply{200, `{}`}, revoke.Inconclusive},
		"known":                      {"gitlab.feed_token", reply{200, `{"id":3}`}, revoke.Alive},
		"unknown":                    {"gitlab.feed_token", reply{404, adminUnknown}, revoke.Refused},
		"an old instance":            {"gitlab.feed_token", reply{404, `{"error":"404 Not Found"}`}, revoke.Inconclusive},
		"no administrator":           {"gitlab.feed_token", reply{403, forbidden}, revoke.Inconclusive},
		"the authority is dead":      {"gitlab.feed_token", reply{401, wasRevoked}, revoke.Inconclusive},
		"no such type":               {"gitlab.feed_token", reply{422, `{"message":"Token type not supported."}`}, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			p, asked := scripted(t, minted.Mint("gitlab.pat"), c.reply)
			v := p.Verify(t.Context(), minted.Mint(c.kind))
			if v.Outcome != c.want || v.Answer == "" {
				t.Errorf("Verify = %s %q, want %s", v.Outcome, v.Answer, c.want)
			}
			if !slices.Equal(*asked, []string{paths[c.kind]}) {
				t.Errorf("asked %q", *asked)
			}
		})
	}
}

// What the authority reads by id.
func TestVerifyUnderAnAuthority(t *testing.T) {
	for name, c := range map[string]struct {
		kind  string
		reply func(id string) reply
		want  revoke.Outcome
	}{
		"has it":              {"gitlab.deploy_token", func(id string) reply { return reply{200, `{"id":` + id + `,"revoked":false,"expired":false}`} }, revoke.Alive},
		"has it as revoked":   {"gitlab.deploy_token", func(id string) reply { return reply{200, `{"id":` + id + `,"revoked":true}`} }, revoke.Refused},
		"has it as expired":   {"gitlab.deploy_token", func(id string) reply { return reply{200, `{"id":` + id + `,"expired":true}`} }, revoke.Refused},
		"has another":         {"gitlab.deploy_token", func(string) reply { return reply{200, `{"id":9999999}`} }, revoke.Inconclusive},
		"does not have it":    {"gitlab.deploy_token", func(string) reply { return reply{404, notFound} }, revoke.Refused},
		"no such project":     {"gitlab.deploy_token", func(string) reply { return reply{404, `{"message":"404 Project Not Found"}`} }, revoke.Inconclusive},
		"no such group":       {"gitlab.deploy_token", func(string) reply { return reply{404, `{"message":"404 Group Not Found"}`} }, revoke.Inconclusive},
		"no such path":        {"gitlab.deploy_token", func(string) reply { return reply{404, `{"error":"404 Not Found"}`} }, revoke.Inconclusive},
		"may not":             {"gitlab.deploy_token", func(string) reply { return reply{403, forbidden} }, revoke.Inconclusive},
		"agent's is revoked":  {"gitlab.agent_token", func(id string) reply { return reply{200, `{"id":` + id + `,"status":"revoked"}`} }, revoke.Refused},
		"key is gone":         {"gitlab.deploy_key", func(string) reply { return reply{404, `{"message":"404 Deploy Key Not Found"}`} }, revoke.Refused},
		"user's key is gone":  {"gitlab.ssh_key", func(string) reply { return reply{404, `{"message":"404 Key Not Found"}`} }, revoke.Refused},
		"user is gone":        {"gitlab.ssh_key", func(string) reply { return reply{404, `{"message":"404 User Not Found"}`} }, revoke.Inconclusive},
		"trigger has an end":  {"gitlab.trigger", func(id string) reply { return reply{200, `{"id":` + id + `,"expires_at":"2999-01-01T00:00:00.000Z"}`} }, revoke.Alive},
		"trigger has ended":   {"gitlab.trigger", func(id string) reply { return reply{200, `{"id":` + id + `,"expires_at":"2020-01-01T00:00:00.000Z"}`} }, revoke.Refused},
		"trigger is there":    {"gitlab.trigger", func(id string) reply { return reply{200, `{"id":` + id + `,"token":"glpt"}`} }, revoke.Alive},
		"token by id":         {"gitlab.pat", func(id string) reply { return reply{200, `{"id":` + id + `,"revoked":true,"active":false}`} }, revoke.Refused},
		"token by id, works":  {"gitlab.pat", func(id string) reply { return reply{200, `{"id":` + id + `,"revoked":false,"active":true}`} }, revoke.Alive},
		"token by id, is not": {"gitlab.pat", func(string) reply { return reply{404, notFound} }, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			cred := minted.Mint(c.kind)
			cred.Secret = credential.Secret{}
			p, asked := scripted(t, minted.Mint("gitlab.pat"), c.reply(cred.Ref["id"]))
			if v := p.Verify(t.Context(), cred); v.Outcome != c.want || v.Answer == "" || len(*asked) != 1 {
				t.Errorf("Verify = %s %q after %q, want %s", v.Outcome, v.Answer, *asked, c.want)
			}
		})
	}
}

// GitLab says the same to a token that was deleted with its user as to another instance's.
func TestAnUnnamedRefusalCountsOnlyOfAKnownToken(t *testing.T) {
	for name, know := range map[string]func(revoke.Provider, credential.Credential){
		"verified":  func(p revoke.Provider, c credential.Credential) { p.Verify(t.Context(), c) },
		"inspected": func(p revoke.Provider, c credential.Credential) { _, _ = p.Inspect(t.Context(), c) },
		"an earlier process's": func(p revoke.Provider, c credential.Credential) {
			p.(revoke.Rememberer).Remember(c)
			p.Verify(t.Context(), minted.Mint("gitlab.pat"))
		},
	} {
		p, _ := scripted(t, credential.Credential{}, reply{200, works}, reply{401, unauthorized})
		c := minted.Mint("gitlab.pat")
		know(p, c)
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused {
			t.Errorf("%s: %s %q", name, v.Outcome, v.Answer)
		}
		if v := p.Verify(t.Context(), minted.Mint("gitlab.pat")); v.Outcome != revoke.Inconclusive {
			t.Errorf("%s: another token: %s %q", name, v.Outcome, v.Answer)
		}
	}
}

// Instances choose their own prefix, and old ones had none.
func TestTokensOfOtherForms(t *testing.T) {
	for prefix, sent := range map[string]int{"": 1, "acme-": 1, "acme_pat.": 1, "-": 0, "https://": 0, "a b": 0, "a\n": 0} {
		p, asked := scripted(t, credential.Credential{}, reply{200, works})
		c := minted.Mint("gitlab.pat")
		c.Secret = credential.Value(prefix + strings.TrimPrefix(c.Secret.Reveal("value"), "glpat-"))
		if v := p.Verify(t.Context(), c); (v.Outcome == revoke.Alive) != (sent == 1) || len(*asked) != sent {
			t.Errorf("%q: %s %q after %d requests", prefix, v.Outcome, v.Answer, len(*asked))
		}
	}
}

// Ids and values come from a hostile host: nothing but a number gets into an address, and what has
// not its kind's form is not sent.
func TestHostileRefs(t *testing.T) {
	for _, id := range []string{"", "0", "-1", "1/../2", "..", "%2e", "1?x=y", "1#", "self", "1\n", strings.Repeat("9", 20), "1 "} {
		for _, kind := range []string{"gitlab.deploy_key", "gitlab.ssh_key", "gitlab.pat", "gitlab.trigger"} {
			p, asked := scripted(t, minted.Mint("gitlab.pat"), reply{200, works})
			c := minted.Mint(kind)
			c.Ref["id"], c.Secret = id, credential.Secret{}
			if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || len(*asked) != 0 {
				t.Errorf("%s %q: %s %q after %q", kind, id, v.Outcome, v.Answer, *asked)
			}
			if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || len(*asked) != 0 {
				t.Errorf("%s %q: %v after %q", kind, id, err, *asked)
			}
		}
	}
	c := minted.Mint("gitlab.oauth_token")
	c.Ref["client_id"] = "x&y=z"
	p, asked := scripted(t, minted.Mint("gitlab.pat"), reply{200, works})
	if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || len(*asked) != 0 {
		t.Errorf("an application's id: %v after %q", err, *asked)
	}
}

func TestNewRefusesWhatIsNoInstance(t *testing.T) {
	for _, endpoint := range []string{"gitlab.com", "ftp://gitlab.com", "https://gitlab.example.com/api/v4", "https://gitlab.example.com/api/v4/", "https://u:p@gitlab.example.com"} {
		if _, err := gitlab.New(revoke.Env{HTTP: http.DefaultClient, Endpoint: endpoint}); err == nil {
			t.Errorf("New took %q", endpoint)
		}
	}
	if _, err := gitlab.New(revoke.Env{}); err == nil {
		t.Error("New took an environment without a client")
	}
}
