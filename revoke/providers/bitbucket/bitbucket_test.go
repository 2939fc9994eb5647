package bitbucket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/bitbucket"
	"clawback/revoke/providers/bitbucket/bitbucketfake"
)

// reply is one answer of a server that follows a script.
type reply struct {
	status int
	body   string
	realm  string
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// minted makes credentials with random secrets of a Bitbucket that no test asks.
var minted = bitbucketfake.New(fake.Wall{})

// scripted makes a provider whose server gives these answers in turn, the last one for ever, and what
// it was asked.
func scripted(t *testing.T, authority credential.Credential, replies ...reply) (revoke.Provider, *[]*http.Request) {
	t.Helper()
	asked := new([]*http.Request)
	p, err := bitbucket.New(revoke.Env{
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			next := replies[min(len(*asked), len(replies)-1)]
			*asked = append(*asked, r)
			header := http.Header{}
			if next.realm != "" {
				header.Set("WWW-Authenticate", next.realm)
			}
			return &http.Response{StatusCode: next.status, Header: header, Body: io.NopCloser(strings.NewReader(next.body)), Request: r}, nil
		}), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Authority: func(ctx context.Context) (revoke.Authority, error) {
			return revoke.Authority{Secret: authority.Secret, Kind: authority.Kind, From: "a test"}, ctx.Err()
		},
		Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, asked
}

const (
	works   = `{"type":"user","uuid":"{8c2b}","username":"ada","account_id":"712020:1"}`
	invalid = `{"type":"error","error":{"message":"Token is invalid, expired, or not supported for this endpoint."}}`
	lacks   = `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes."}}`
)

func TestVerifyReadsTheBody(t *testing.T) {
	for name, c := range map[string]struct {
		kind  string
		reply reply
		want  revoke.Outcome
	}{
		"works":                {"bitbucket.access_token", reply{200, works, ""}, revoke.Alive},
		"lacks a scope":        {"bitbucket.access_token", reply{403, lacks, ""}, revoke.Alive},
		"is refused":           {"bitbucket.access_token", reply{401, invalid, ""}, revoke.Refused},
		"has expired":          {"bitbucket.oauth_token", reply{401, `{"type":"error","error":{"message":"Access token expired."}}`, ""}, revoke.Refused},
		"password is refused":  {"bitbucket.app_password", reply{401, "", `Basic realm="Bitbucket.org HTTP"`}, revoke.Refused},
		"password works":       {"bitbucket.app_password", reply{200, works, ""}, revoke.Alive},
		"API token is refused": {"bitbucket.api_token", reply{401, "", `BitbucketCustom realm="Bitbucket.org HTTP"`}, revoke.Refused},
		"API token works":      {"bitbucket.api_token", reply{200, works, ""}, revoke.Alive},
		"another's realm":      {"bitbucket.app_password", reply{401, "", `Basic realm="proxy"`}, revoke.Inconclusive},
		"an address list":      {"bitbucket.access_token", reply{403, "<html>", ""}, revoke.Inconclusive},
		"nobody":               {"bitbucket.access_token", reply{200, `{"type":"user"}`, ""}, revoke.Inconclusive},
		"half":                 {"bitbucket.access_token", reply{401, invalid[:40], ""}, revoke.Inconclusive},
		"another's words":      {"bitbucket.access_token", reply{401, `{"error":"unauthorized"}`, ""}, revoke.Inconclusive},
		"wrong status":         {"bitbucket.access_token", reply{200, invalid, ""}, revoke.Inconclusive},
		"gone":                 {"bitbucket.app_password", reply{410, invalid, ""}, revoke.Inconclusive},
		"limited":              {"bitbucket.access_token", reply{429, invalid, ""}, revoke.Inconclusive},
		"outage":               {"bitbucket.access_token", reply{503, invalid, `Basic realm="Bitbucket.org HTTP"`}, revoke.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			p, asked := scripted(t, credential.Credential{}, c.reply)
			v := p.Verify(t.Context(), minted.Mint(c.kind))
			if v.Outcome != c.want || v.Answer == "" || len(*asked) != 1 || (*asked)[0].URL.String() != "https://api.bitbucket.org/2.0/user" {
				t.Errorf("Verify = %s %q after %d requests, want %s", v.Outcome, v.Answer, len(*asked), c.want)
			}
		})
	}
}

// An API token goes with its account's address: alone Bitbucket refuses also one that lives, and the id
// that an administrator deleted may be another one's.
func TestAPITokenWithoutItsAddress(t *testing.T) {
	c := minted.Mint("bitbucket.api_token")
	delete(c.Ref, "email")
	for want, answer := range map[revoke.Outcome]reply{revoke.Inconclusive: {401, invalid, ""}, revoke.Alive: {200, works, ""}} {
		p, _ := scripted(t, credential.Credential{}, answer)
		if v := p.Verify(t.Context(), c); v.Outcome != want {
			t.Errorf("%s %q, want %s", v.Outcome, v.Answer, want)
		}
	}
}

// Which token an id is of, only the host says: what was not seen alive may be another one than was deleted.
func TestDeletionIsNoProofOfAnotherToken(t *testing.T) {
	c := minted.Mint("bitbucket.api_token")
	has, gone := reply{200, `[{"id":"` + c.Ref["id"] + `"}]`, ""}, reply{204, "", ""}
	for already, before := range map[bool]reply{true: {401, invalid, ""}, false: {200, works, ""}} {
		p, _ := scripted(t, minted.Mint("bitbucket.access_token"), has, before, gone)
		if r, err := p.Revoke(t.Context(), c); err != nil || r.Already != already || len(r.Did) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// The administrator's list is the proof where only the id is known.
func TestVerifyByID(t *testing.T) {
	c := minted.Mint("bitbucket.api_token")
	id := c.Ref["id"]
	c.Secret = credential.Secret{}
	for name, w := range map[string]struct {
		reply reply
		want  revoke.Outcome
	}{
		"has it":             {reply{200, `[{"id":"1","label":"a"},{"id":"` + id + `","label":"b"}]`, ""}, revoke.Alive},
		"has it for a while": {reply{200, `[{"id":"` + id + `","expiry":"2999-01-01T00:00:00.000Z"}]`, ""}, revoke.Alive},
		"has it as expired":  {reply{200, `[{"id":"` + id + `","expiry":"2020-01-01T00:00:00.000Z"}]`, ""}, revoke.Refused},
		"has another":        {reply{200, `[{"id":"1"}]`, ""}, revoke.Refused},
		"has none":           {reply{200, `[]`, ""}, revoke.Refused},
		"a list of others":   {reply{200, `[{"hello":"world"}]`, ""}, revoke.Inconclusive},
		"null":               {reply{200, `null`, ""}, revoke.Inconclusive},
		"no list":            {reply{200, `{"values":[]}`, ""}, revoke.Inconclusive},
		"may not":            {reply{403, `{"code":403,"message":"Forbidden"}`, ""}, revoke.Inconclusive},
		"not managed":        {reply{404, `{"key":"notFound"}`, ""}, revoke.Inconclusive},
	} {
		p, asked := scripted(t, minted.Mint("bitbucket.access_token"), w.reply)
		if v := p.Verify(t.Context(), c); v.Outcome != w.want || v.Answer == "" || (*asked)[0].URL.Host != "api.atlassian.com" {
			t.Errorf("%s: %s %q, want %s", name, v.Outcome, v.Answer, w.want)
		}
	}
}

func TestRevokeReadsTheAnswer(t *testing.T) {
	c := minted.Mint("bitbucket.api_token")
	c.Secret = credential.Secret{}
	has, hasNot := reply{200, `[{"id":"` + c.Ref["id"] + `"}]`, ""}, reply{200, `[]`, ""}
	for name, w := range map[string]struct {
		replies   []reply
		ok        bool
		already   bool
		is        error
		uncertain bool
		retry     bool
	}{
		"deleted":            {replies: []reply{has, {204, "", ""}}, ok: true},
		"not there":          {replies: []reply{hasNot, {404, `{"key":"notFound"}`, ""}}, ok: true, already: true},
		"not there, silent":  {replies: []reply{hasNot, {204, "", ""}}, ok: true, already: true},
		"there, and 404":     {replies: []reply{has, {404, `{"key":"notFound"}`, ""}}},
		"a page":             {replies: []reply{has, {200, "<html>", ""}}, uncertain: true},
		"an empty page":      {replies: []reply{has, {200, "", ""}}, uncertain: true},
		"outage":             {replies: []reply{has, {500, "", ""}}, uncertain: true, retry: true},
		"outage of the look": {replies: []reply{{500, "", ""}}, retry: true},
		"may not":            {replies: []reply{{403, `{"code":403,"message":"Forbidden"}`, ""}}, is: revoke.ErrAuthority},
		"may look only":      {replies: []reply{has, {401, `{"code":401,"message":"Unauthorized"}`, ""}}, is: revoke.ErrAuthority},
		"foreign 401":        {replies: []reply{{401, "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := scripted(t, minted.Mint("bitbucket.access_token"), w.replies...)
			r, err := p.Revoke(t.Context(), c)
			var retry *revoke.RetryError
			if (err == nil) != w.ok || r.Already != w.already || errors.Is(err, revoke.ErrUncertain) != w.uncertain || errors.As(err, &retry) != w.retry {
				t.Errorf("Revoke = %+v, %v", r, err)
			}
			if errors.Is(err, revoke.ErrAuthority) != (w.is == revoke.ErrAuthority) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestWhatOnlyAPersonCanRevoke(t *testing.T) {
	unnamed := minted.Mint("bitbucket.api_token")
	unnamed.Ref = nil
	all := []credential.Credential{unnamed}
	for _, kind := range []string{"bitbucket.access_token", "bitbucket.oauth_token", "bitbucket.oauth_consumer", "bitbucket.app_password"} {
		all = append(all, minted.Mint(kind))
	}
	for _, c := range all {
		p, asked := scripted(t, minted.Mint("bitbucket.access_token"), reply{204, "", ""})
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || len(*asked) != 0 {
			t.Errorf("%s: %v after %d requests", c.Kind, err, len(*asked))
		}
		k, _ := p.Info().Kind(c.Kind)
		if len(k.Steps) == 0 || k.Link == "" {
			t.Errorf("%s: a person is not told how", c.Kind)
		}
	}
}

// The host says whose a token is: no more than a name or an id gets into a request.
func TestHostileRefs(t *testing.T) {
	for _, bad := range []string{"", "..", "a/b", "a?b", "a#b", "a%2e", "a b", "a\n", "ünï", strings.Repeat("a", 300), "-x"} {
		c := minted.Mint("bitbucket.api_token")
		for _, key := range []string{"account_id", "id"} {
			ref := map[string]string{"account_id": c.Ref["account_id"], "id": c.Ref["id"]}
			ref[key] = bad
			p, asked := scripted(t, minted.Mint("bitbucket.access_token"), reply{200, `[]`, ""})
			byID := credential.Credential{Provider: "bitbucket", Kind: c.Kind, Ref: ref}
			if v := p.Verify(t.Context(), byID); v.Outcome != revoke.Inconclusive || len(*asked) != 0 {
				t.Errorf("%s %q: %s %q", key, bad, v.Outcome, v.Answer)
			}
			if _, err := p.Revoke(t.Context(), byID); !errors.Is(err, revoke.ErrManual) || len(*asked) != 0 {
				t.Errorf("%s %q: %v", key, bad, err)
			}
		}
	}
	p, asked := scripted(t, credential.Credential{}, reply{401, invalid, ""})
	c := minted.Mint("bitbucket.app_password")
	c.Ref["username"] = "ada:x\r\n"
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || len(*asked) != 0 {
		t.Errorf("a username: %s %q", v.Outcome, v.Answer)
	}
}

// How a credential goes to Bitbucket: with whom it is of where that is known, and never in the address.
func TestHowItIsSent(t *testing.T) {
	for kind, user := range map[string]string{"bitbucket.api_token": "ada@example.com", "bitbucket.app_password": "ada", "bitbucket.access_token": "", "bitbucket.oauth_token": ""} {
		p, asked := scripted(t, credential.Credential{}, reply{200, works, ""})
		c := minted.Mint(kind)
		p.Verify(t.Context(), c)
		r := (*asked)[0]
		name, password, basic := r.BasicAuth()
		bearer := r.Header.Get("Authorization") == "Bearer "+c.Secret.Reveal("value")
		if basic != (user != "") || basic && (name != user || password != c.Secret.Reveal("value")) || !basic && !bearer || r.URL.RawQuery != "" {
			t.Errorf("%s: basic %v as %q", kind, basic, name)
		}
	}
}

func TestInspect(t *testing.T) {
	p, _ := scripted(t, credential.Credential{}, reply{200, works, ""}, reply{403, lacks, ""}, reply{401, invalid, ""})
	c := minted.Mint("bitbucket.access_token")
	if e, err := p.Inspect(t.Context(), c); err != nil || e.Account != "ada 712020:1" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := p.Inspect(t.Context(), c); err != nil || len(e.Reach) != 1 || e.Account != "" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := p.Inspect(t.Context(), c); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("%v", err)
	}
}

func TestFake(t *testing.T) {
	f := bitbucketfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	client := network.Client()
	defer func() {
		client.CloseIdleConnections()
		_ = network.Close()
	}()
	p, err := bitbucket.New(revoke.Env{HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	if v := p.Verify(t.Context(), f.MintScoped("bitbucket.access_token")); v.Outcome != revoke.Alive || !strings.HasPrefix(v.Answer, "403") {
		t.Errorf("scoped: %s %q", v.Outcome, v.Answer)
	}
	alone := f.Mint("bitbucket.api_token")
	delete(alone.Ref, "email")
	if v := p.Verify(t.Context(), alone); v.Outcome != revoke.Alive {
		t.Errorf("an API token alone: %s %q", v.Outcome, v.Answer)
	}
	other := f.Mint("bitbucket.api_token")
	other.Ref["email"] = "eve@example.com"
	if v := p.Verify(t.Context(), other); v.Outcome != revoke.Refused {
		t.Errorf("an API token as somebody else: %s %q", v.Outcome, v.Answer)
	}
	if key, _ := f.MintAuthority(); !f.Alive(key) || slices.Contains(f.Kinds(), key.Kind) {
		t.Error("the authority is no credential of a host")
	}
}
