package gitlab_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/providers/gitlab"
)

func TestRevokeReadsTheAnswer(t *testing.T) {
	done, alive := reply{204, ""}, reply{200, `{"id":4,"username":"ada"}`}
	job := reply{200, `{"id":9,"status":"running","pipeline":{"project_id":7}}`}
	for name, c := range map[string]struct {
		kind      string
		known     bool // it was seen alive
		replies   []reply
		ok        bool
		already   bool
		is        []error
		retry     bool
		uncertain bool
	}{
		"token":                      {kind: "gitlab.pat", replies: []reply{done}, ok: true},
		"token, 200":                 {kind: "gitlab.pat", replies: []reply{{200, `{}`}}, uncertain: true},
		"token was revoked before":   {kind: "gitlab.pat", replies: []reply{{401, wasRevoked}, {500, ""}}, ok: true, already: true},
		"token was revoked":          {kind: "gitlab.pat", known: true, replies: []reply{{401, wasRevoked}, {401, wasRevoked}}, ok: true, already: true},
		"token was revoked, no path": {kind: "gitlab.pat", known: true, replies: []reply{{401, wasRevoked}, {404, `{"error":"404 Not Found"}`}}, ok: true, already: true},
		"token was revoked, outage":  {kind: "gitlab.pat", known: true, replies: []reply{{401, wasRevoked}, {502, ""}}, uncertain: true, retry: true},
		"token has expired":          {kind: "gitlab.pat", replies: []reply{{401, hasExpired}, {500, ""}}, ok: true, already: true},
		"token of nobody":            {kind: "gitlab.pat", replies: []reply{{401, unauthorized}}},
		"token, limited":             {kind: "gitlab.pat", replies: []reply{{429, "Retry later"}}, retry: true},
		"token, outage":              {kind: "gitlab.pat", replies: []reply{{500, ""}}, retry: true, uncertain: true},
		"token, bad request":         {kind: "gitlab.pat", replies: []reply{{400, `{"message":"400 Bad request"}`}}},
		"grant":                      {kind: "gitlab.oauth_token", replies: []reply{alive, {200, "{}"}}, ok: true},
		"grant, other JSON":          {kind: "gitlab.oauth_token", replies: []reply{alive, {200, `{"hello":"world"}`}}, uncertain: true},
		"grant of another client":    {kind: "gitlab.oauth_token", replies: []reply{alive, {403, `{"error":"unauthorized_client"}`}}, is: []error{revoke.ErrManual}},
		"grant, wrong secret":        {kind: "gitlab.oauth_token", replies: []reply{alive, {401, noClient}}, is: []error{revoke.ErrManual}},
		"grant was revoked":          {kind: "gitlab.oauth_token", replies: []reply{{401, wasRevoked}}, ok: true, already: true},
		"grant of nobody":            {kind: "gitlab.oauth_token", replies: []reply{{401, unauthorized}}},
		"grant, outage of the look":  {kind: "gitlab.oauth_token", replies: []reply{{502, ""}}, retry: true},
		"runner":                     {kind: "gitlab.runner", replies: []reply{done}, ok: true},
		"runner is gone":             {kind: "gitlab.runner", replies: []reply{{403, forbidden}}, ok: true, already: true},
		"runner, foreign 403":        {kind: "gitlab.runner", replies: []reply{{403, "no"}}},
		"job":                        {kind: "gitlab.job_token", replies: []reply{job, {201, `{"id":9,"status":"canceled"}`}}, ok: true},
		"job is being cancelled":     {kind: "gitlab.job_token", replies: []reply{{200, `{"id":9,"status":"canceling","pipeline":{"project_id":7}}`}, {201, `{"id":9}`}}, ok: true},
		"job, another":               {kind: "gitlab.job_token", replies: []reply{job, {201, `{"id":8}`}}, uncertain: true},
		"job without a project":      {kind: "gitlab.job_token", replies: []reply{{200, `{"id":9}`}}},
		"job may not":                {kind: "gitlab.job_token", replies: []reply{job, {403, forbidden}}, is: []error{revoke.ErrAuthority}},
		"job is over":                {kind: "gitlab.job_token", replies: []reply{{401, unauthorized}}, ok: true, already: true},
		"by value":                   {kind: "gitlab.mail_token", replies: []reply{alive, done}, ok: true},
		"by value, gone between":     {kind: "gitlab.mail_token", replies: []reply{alive, {404, adminUnknown}}, ok: true, already: true},
		"by value, no administrator": {kind: "gitlab.mail_token", replies: []reply{{403, forbidden}}, is: []error{revoke.ErrManual, revoke.ErrAuthority}},
		"by value, old instance":     {kind: "gitlab.mail_token", replies: []reply{{404, `{"error":"404 Not Found"}`}}, is: []error{revoke.ErrManual}},
		"by value, dead authority":   {kind: "gitlab.mail_token", replies: []reply{{401, hasExpired}}, is: []error{revoke.ErrAuthority}},
		"by value, portal":           {kind: "gitlab.mail_token", replies: []reply{{200, "<html>"}}, retry: true},
		"by hand":                    {kind: "gitlab.scim_token", replies: []reply{done}, is: []error{revoke.ErrManual}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := scripted(t, minted.Mint("gitlab.pat"), c.replies...)
			cred := minted.Mint(c.kind)
			if c.known {
				p.(revoke.Rememberer).Remember(cred)
			}
			r, err := p.Revoke(t.Context(), cred)
			var retry *revoke.RetryError
			if (err == nil) != c.ok || r.Already != c.already || errors.As(err, &retry) != c.retry || errors.Is(err, revoke.ErrUncertain) != c.uncertain {
				t.Fatalf("Revoke = %+v, %v", r, err)
			}
			for _, all := range []error{revoke.ErrManual, revoke.ErrAuthority} {
				if errors.Is(err, all) != slices.Contains(c.is, all) {
					t.Errorf("is %v: %v", all, err)
				}
			}
			if c.ok && !c.already && len(r.Did) == 0 {
				t.Errorf("the receipt does not say what was done: %+v", r)
			}
		})
	}
}

// A thief rotates the token that we know: only GitLab's own reuse detection reaches the next one.
func TestARotatedTokenTakesItsFamilyAlong(t *testing.T) {
	w := newWorld(t)
	stolen := w.Mint("gitlab.pat")
	second := w.Rotate(stolen)
	third := w.Rotate(second)
	other := w.Mint("gitlab.pat")
	r, err := w.Revoke(t.Context(), stolen) // dead when it was first seen: the team may have rotated it
	if err != nil || !r.Already || len(r.Did) != 0 || len(r.Left) != 2 || !w.Alive(third) {
		t.Errorf("%+v, %v; the next lives: %v", r, err, w.Alive(third))
	}
	w.Provider.(revoke.Rememberer).Remember(stolen)
	r, err = w.Revoke(t.Context(), stolen)
	if err != nil || !r.Already || len(r.Did) != 1 || w.Alive(third) || !w.Alive(other) {
		t.Errorf("%+v, %v; the thief's lives: %v, another lives: %v", r, err, w.Alive(third), w.Alive(other))
	}
}

// The desk may have it so that the family ends in any case.
func TestTheDeskEndsWhatWasRotated(t *testing.T) {
	for _, on := range []bool{true, false} {
		var asked int
		p, err := gitlab.New(revoke.Env{
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked++
				return &http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(wasRevoked)), Request: r}, nil
			})},
			Settings: func(into any) error { return yaml.Unmarshal([]byte(fmt.Sprintf("end_rotated: %v", on)), into) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := p.Revoke(t.Context(), minted.Mint("gitlab.pat")); err != nil || len(r.Did) != 0 != on || asked != 1 && !on {
			t.Errorf("end_rotated %v: %+v, %v after %d requests", on, r, err, asked)
		}
	}
	wrong := errors.New("no such setting")
	if _, err := gitlab.New(revoke.Env{HTTP: http.DefaultClient, Settings: func(any) error { return wrong }}); !errors.Is(err, wrong) {
		t.Errorf("New = %v", err)
	}
}

// A node that has not heard of the token's end rotates it: what comes of that ends, too.
func TestARotationThatSucceedsIsUndone(t *testing.T) {
	next := minted.Mint("gitlab.pat").Secret.Reveal("value")
	rotated := reply{200, `{"id":5,"token":"` + next + `"}`}
	p, asked := scripted(t, credential.Credential{}, reply{401, wasRevoked}, rotated, reply{204, ""})
	stolen := minted.Mint("gitlab.pat")
	p.(revoke.Rememberer).Remember(stolen)
	r, err := p.Revoke(t.Context(), stolen)
	if err != nil || r.Already || len(r.Did) != 2 || len(*asked) != 3 {
		t.Errorf("%+v, %v after %q", r, err, *asked)
	}
	p, _ = scripted(t, credential.Credential{}, reply{401, wasRevoked}, rotated, reply{500, next})
	p.(revoke.Rememberer).Remember(stolen)
	if _, err := p.Revoke(t.Context(), stolen); !errors.Is(err, revoke.ErrUncertain) || strings.Contains(err.Error(), next) {
		t.Errorf("the next token lives: %v", errors.Is(err, revoke.ErrUncertain))
	}
}

// Without an id an administrator ends it by its value, and with one anybody who may.
func TestByIDOrByValue(t *testing.T) { synctest.Test(t, byIDOrByValue) }

func byIDOrByValue(t *testing.T) {
	w := newWorld(t)
	from := 0
	without := w.Mint("gitlab.trigger")
	without.Ref = nil
	if _, err := w.Revoke(t.Context(), without); !errors.Is(err, revoke.ErrManual) || !w.Alive(without) {
		t.Errorf("a trigger by its value, where that is off: %v", err)
	}
	w.ExpireTriggers()
	for _, kind := range []string{"gitlab.deploy_token", "gitlab.trigger", "gitlab.agent_token"} {
		w.sent(&from)
		known, unknown := w.Mint(kind), w.Mint(kind)
		unknown.Ref = nil
		for _, c := range []credential.Credential{known, unknown} {
			if _, err := w.Revoke(t.Context(), c); err != nil || w.Alive(c) {
				t.Errorf("%s %v: %v", kind, c.Ref, err)
			}
			time.Sleep(time.Second) // the instance's clock tells seconds
			if v := w.Verify(t.Context(), c); v.Outcome != revoke.Refused {
				t.Errorf("%s %v: %s %q", kind, c.Ref, v.Outcome, v.Answer)
			}
		}
		sent := w.sent(&from)
		if len(sent) != 6 || !strings.Contains(sent[1], "DELETE /api/v4/projects/7/") || sent[4] != "DELETE /api/v4/admin/token" {
			t.Errorf("%s: sent %q", kind, sent)
		}
	}
	group := w.Mint("gitlab.deploy_token")
	group.Ref = map[string]string{"id": group.Ref["id"], "group": "8"}
	if _, err := w.Revoke(t.Context(), group); err != nil || w.Alive(group) {
		t.Errorf("a group's: %v", err)
	}
	own := w.Mint("gitlab.ssh_key")
	delete(own.Ref, "user")
	w.authority = w.MintToken("ada", 3, "api")
	if _, err := w.Revoke(t.Context(), own); err != nil || w.Alive(own) {
		t.Errorf("the authority's own key: %v", err)
	}
}

// What an instance made before it knew prefixes, or with one of its own, works on without ours:
// https://docs.gitlab.com/security/tokens/#token-prefixes
func TestTokensWithoutTheirPrefix(t *testing.T) {
	for kind, replies := range map[string][]reply{
		"gitlab.runner":       {{204, ""}},
		"gitlab.deploy_token": {{200, `{"id":5,"name":"ci"}`}, {204, ""}},
		"gitlab.trigger":      {{200, `{"id":5,"description":"ci"}`}, {204, ""}},
		"gitlab.agent_token":  {{200, `{"id":5,"name":"ci","status":"active"}`}, {204, ""}},
		"gitlab.feed_token":   {{200, `{"id":5,"username":"ada"}`}, {204, ""}},
	} {
		for _, value := range []string{rand.Text()[:20], "acme-gldt-" + rand.Text()} {
			p, asked := scripted(t, minted.Mint("gitlab.pat"), replies...)
			c := credential.Credential{
				Provider: "gitlab", Kind: kind, Secret: credential.Value(value), Ref: map[string]string{"id": "5", "project": "7", "agent": "3"},
			}
			if r, err := p.Revoke(t.Context(), c); err != nil || len(r.Did) != 1 || len(*asked) != len(replies) {
				t.Errorf("%s: %+v, %v after %q", kind, r, err, *asked)
			}
		}
	}
}

// A project's or group's access token ends by its id under whoever may there; an administrator needs
// neither: https://docs.gitlab.com/api/project_access_tokens/#revoke-a-project-access-token
func TestAccessTokenOfAProjectByItsID(t *testing.T) {
	w := newWorld(t)
	of := w.Mint("gitlab.pat")
	of.Secret, of.Ref = credential.Secret{}, map[string]string{"id": of.Ref["id"], "project": "7"}
	if _, err := w.Revoke(t.Context(), of); err != nil || w.Alive(of) {
		t.Errorf("%v", err)
	}
	for ref, path := range map[string]string{"project": "/api/v4/projects/7/access_tokens/5", "group": "/api/v4/groups/7/access_tokens/5", "": "/api/v4/personal_access_tokens/5"} {
		p, asked := scripted(t, minted.Mint("gitlab.pat"), reply{200, `{"id":5,"name":"ci","active":true}`}, reply{204, ""}, reply{200, `{"id":5,"name":"ci","active":false,"revoked":true}`})
		c := credential.Credential{Provider: "gitlab", Kind: "gitlab.pat", Ref: map[string]string{"id": "5", ref: "7"}}
		if r, err := p.Revoke(t.Context(), c); err != nil || len(r.Did) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		v := p.Verify(t.Context(), c)
		if want := []string{"GET " + path, "DELETE " + path, "GET " + path}; !slices.Equal(*asked, want) || v.Outcome != revoke.Refused {
			t.Errorf("asked %q, %s %q", *asked, v.Outcome, v.Answer)
		}
	}
}

// A project that the authority does not see is no proof that its token is gone.
func TestAProjectOutOfSight(t *testing.T) {
	w := newWorld(t)
	c := w.Mint("gitlab.deploy_token")
	c.Ref["project"] = "12"
	if v := w.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive {
		t.Errorf("Verify = %s %q", v.Outcome, v.Answer)
	}
	if r, err := w.Revoke(t.Context(), c); err == nil || !w.Alive(c) {
		t.Errorf("Revoke = %+v, %v", r, err)
	}
}

func TestTheAuthorityIsNeverTheCredential(t *testing.T) {
	w := newWorld(t)
	c := w.Mint("gitlab.deploy_token")
	w.authority = c
	if _, err := w.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrOurs) {
		t.Errorf("Revoke = %v", err)
	}
}

func TestMinted(t *testing.T) {
	w := newWorld(t)
	w.MintToken("door", 3, "self_rotate") // before
	stolen := w.MintToken("ci", 3, "api", "read_user")
	if v := w.Verify(t.Context(), stolen); v.Outcome != revoke.Alive {
		t.Fatal(v.Answer)
	}
	made := w.MintToken("door", 3, "self_rotate", "k8s_proxy")
	for range 150 { // of which there are more than a page has room for
		w.MintToken("own", 3, "api")
	}
	w.MintToken("ci", 3, "api", "read_user") // by its name alone
	w.MintToken("door", 4, "self_rotate")    // of somebody else
	dead := w.MintToken("door", 3, "self_rotate")
	w.RevokeByHand(dead)
	_, err := w.Revoke(t.Context(), stolen)
	if err != nil {
		t.Fatal(err)
	}
	again := w.MintToken("door", 3, "k8s_proxy")
	found, err := w.Provider.(revoke.Enumerator).Minted(t.Context(), stolen)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range found {
		ids = append(ids, c.Ref["id"])
		if c.Kind != "gitlab.pat" || !c.Secret.Empty() || c.Owner != "user 3" || c.Expires.IsZero() {
			t.Errorf("found %+v", c)
		}
	}
	slices.Sort(ids)
	if want := []string{made.Ref["id"], again.Ref["id"]}; !slices.Equal(ids, want) {
		t.Errorf("found %v, want %v", ids, want)
	}
	for _, c := range found {
		if _, err := w.Revoke(t.Context(), c); err != nil || w.Alive(c) {
			t.Errorf("revoke %v: %v", c.Ref, err)
		}
	}
}

// An administrator is told whose token it was even where nobody saw it alive.
func TestMintedByATokenThatWasDead(t *testing.T) {
	w := newWorld(t)
	stolen := w.MintToken("ci", 3, "api")
	made := w.MintToken("door", 3, "self_rotate")
	w.RevokeByHand(stolen)
	found, err := w.Provider.(revoke.Enumerator).Minted(t.Context(), stolen)
	if err != nil || len(found) != 1 || found[0].Ref["id"] != made.Ref["id"] {
		t.Errorf("found %v, %v", found, err)
	}
	w.authority = w.MintToken("maintainer", 9, "api")
	if found, err := w.Provider.(revoke.Enumerator).Minted(t.Context(), w.Mint("gitlab.pat")); err == nil || len(found) != 0 {
		t.Errorf("found %v without being told", found)
	}
	w.authority = credential.Credential{}
	if _, err := w.Provider.(revoke.Enumerator).Minted(t.Context(), stolen); !errors.Is(err, revoke.ErrNoAuthority) {
		t.Errorf("without an authority: %v", err)
	}
}

func TestInspect(t *testing.T) {
	w := newWorld(t)
	for kind, want := range map[string]string{"gitlab.pat": "user 3", "gitlab.job_token": "project 7"} {
		e, err := w.Inspect(t.Context(), w.Mint(kind))
		if err != nil || e.Account != want || e.Answer == "" {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
	}
	dead := w.Mint("gitlab.pat")
	w.RevokeByHand(dead)
	if _, err := w.Inspect(t.Context(), dead); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("dead: %v", err)
	}
}
