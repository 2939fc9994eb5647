package github_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
	"clawback/revoke/revoketest/contract"
)

// deskOf is the environment of a desk that has an App of its own.
func deskOf(client *http.Client, app credential.Credential, secret string) revoke.Env {
	return revoke.Env{
		HTTP:      client,
		Authority: authority(credential.Credential{Secret: credential.NewSecret(map[string]string{"client_secret": secret})}),
		Settings:  func(into any) error { return yaml.Unmarshal([]byte("client_id: "+app.Ref["client_id"]), into) },
	}
}

func TestGrant(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	app := f.Mint("github.client_secret")
	everywhere := "https://docs.github.com/rest/authentication/authenticating-to-the-rest-api"
	client := connect(t, f)
	client.Transport = contract.New(t, description, client.Transport,
		contract.Exception{Method: "DELETE", Path: "/applications/{client_id}/grant", Status: 404, Why: everywhere})
	p := newProvider(t, deskOf(client, app, app.Secret.Reveal("value")))

	under := f.MintGrant(app, "github.user_to_server", "github.refresh", "github.oauth")
	other := f.MintGrant(app, "github.user_to_server")[0]
	if p.Batchable(under[0]) || !p.Batchable(under[1]) {
		t.Error("the grant's token goes with a batch, or its refresh token does not")
	}
	r, err := p.Revoke(t.Context(), under[0])
	if err != nil || len(r.Did) != 1 || !strings.Contains(r.Did[0], "grant") || len(r.Left) != 0 {
		t.Fatalf("Revoke = %+v, %v", r, err)
	}
	for _, c := range under {
		if f.Alive(c) {
			t.Errorf("%s outlived its grant", c.Kind)
		}
	}
	if !f.Alive(other) {
		t.Error("another user's grant died")
	}
	if v := p.Verify(t.Context(), under[0]); v.Outcome != revoke.Refused || !strings.Contains(v.Answer, "its App is told 404") {
		t.Errorf("%+v", v)
	}
	stranger := f.Mint("github.oauth") // of another App
	r, err = p.Revoke(t.Context(), stranger)
	if err != nil || f.Alive(stranger) || !slices.ContainsFunc(r.Left, func(s string) bool { return strings.Contains(s, "not deleted: 404") }) {
		t.Errorf("another App's token: %+v, %v", r, err)
	}
}

// TestGrantDoesNotHoldUp: where the grant does not end, for whatever reason, the token does.
func TestGrantDoesNotHoldUp(t *testing.T) {
	for name, tt := range map[string]struct {
		secret string
		fault  fake.Fault
	}{
		"no secret":    {"", fake.Fault{}},
		"wrong secret": {"not-the-apps", fake.Fault{}},
		"limited":      {"", fake.Fault{Status: 429}},
		"outage":       {"", fake.Fault{Status: 503}},
		"portal":       {"", fake.Fault{Status: 200, Body: "<html>"}},
		"cut":          {"", fake.Fault{Cut: true, Status: 204}},
	} {
		f := githubfake.New(fake.Wall{})
		app := f.Mint("github.client_secret")
		if tt.fault != (fake.Fault{}) {
			tt.secret = app.Secret.Reveal("value")
			f.Knobs().SetFault(func(r *http.Request) fake.Fault {
				if strings.HasPrefix(r.URL.Path, "/applications/") {
					return tt.fault
				}
				return fake.Fault{}
			})
		}
		p := newProvider(t, deskOf(connect(t, f), app, tt.secret))
		c := f.MintGrant(app, "github.user_to_server")[0]
		r, err := p.Revoke(t.Context(), c)
		if err != nil || f.Alive(c) || len(r.Left) != 1 != (tt.secret != "") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused || strings.Contains(v.Answer, "its App") {
			t.Errorf("%s: the token's own refusal is proof enough: %+v", name, v)
		}
	}
}

// TestTwoProofs: what the App is told outweighs a refusal.
func TestTwoProofs(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	app := f.Mint("github.client_secret")
	p := newProvider(t, deskOf(connect(t, f), app, app.Secret.Reveal("value")))
	c := f.MintGrant(app, "github.oauth")[0]
	f.Knobs().SetFault(func(r *http.Request) fake.Fault {
		if r.URL.Path == "/user" {
			return fake.Fault{Status: 401, Body: `{"message":"Bad credentials"}`, Type: "application/json"}
		}
		return fake.Fault{}
	})
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
		t.Errorf("%+v", v)
	}
}

func TestSettings(t *testing.T) {
	broken := errors.New("no such field")
	_, err := github.New(revoke.Env{HTTP: http.DefaultClient, Settings: func(any) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	app := credential.Credential{Ref: map[string]string{"client_id": "../user"}}
	if _, err := github.New(deskOf(http.DefaultClient, app, "")); err == nil {
		t.Error("a client id that is a path")
	}
}
