package github_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
)

const ghe = "https://ghe.example/api/v3"

func authority(c credential.Credential) func(context.Context) (revoke.Authority, error) {
	return func(context.Context) (revoke.Authority, error) {
		return revoke.Authority{Secret: c.Secret, Kind: c.Kind, From: "test"}, nil
	}
}

// TestEnterpriseServer: below a path, and with an authority, which its bulk revocation wants.
func TestEnterpriseServer(t *testing.T) {
	f := githubfake.NewEnterpriseServer(fake.Wall{}, "ghe.example")
	admin, ok := f.MintAuthority()
	if !ok {
		t.Fatal("no authority")
	}
	p := newProvider(t, revoke.Env{HTTP: connect(t, f), Endpoint: ghe, Authority: authority(admin)})
	for _, kind := range []string{"github.pat", "github.fine_grained", "github.installation"} {
		c := f.Mint(kind)
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
			t.Errorf("%s before: %+v", kind, v)
		}
		if _, err := p.Revoke(t.Context(), c); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused {
			t.Errorf("%s after: %+v", kind, v)
		}
	}
	if !f.Alive(admin) {
		t.Error("the authority died")
	}
	for _, call := range f.Knobs().Calls() {
		if !strings.HasPrefix(call.Path, "/api/v3/") {
			t.Errorf("%s is outside of the endpoint", call.Path)
		}
	}
}

func TestEnterpriseServerRefuses(t *testing.T) {
	f := githubfake.NewEnterpriseServer(fake.Wall{}, "ghe.example")
	revoked, _ := f.MintAuthority()
	f.RevokeByHand(revoked)
	broken := errors.New("the vault is sealed")
	for name, tt := range map[string]struct {
		authority func(context.Context) (revoke.Authority, error)
		want      error
	}{
		"none":    {nil, revoke.ErrNoAuthority},
		"empty":   {authority(credential.Credential{}), revoke.ErrNoAuthority},
		"failing": {func(context.Context) (revoke.Authority, error) { return revoke.Authority{}, broken }, broken},
		"refused": {authority(revoked), revoke.ErrAuthority},
	} {
		p := newProvider(t, revoke.Env{HTTP: connect(t, f), Endpoint: ghe, Authority: tt.authority})
		c := f.Mint("github.pat")
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, tt.want) || !f.Alive(c) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// TestAuthorityMeetsTrouble: a limit is no refusal of the authority, and its value stays hidden.
func TestAuthorityMeetsTrouble(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	admin := f.Mint("github.pat")
	for _, tt := range []struct {
		status int
		after  string
		want   error
	}{
		{403, "9", nil}, {429, "9", nil}, {401, "", revoke.ErrAuthority}, {403, "", revoke.ErrAuthority}, {500, "", revoke.ErrUncertain}, {418, "", nil},
	} {
		n := fake.NewNetwork(f)
		n.Handle("ghe.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth := r.Header.Get("Authorization")
			if auth == "" {
				w.WriteHeader(http.StatusUnauthorized)
			} else {
				w.Header().Set("Retry-After", tt.after)
				w.WriteHeader(tt.status)
			}
			_, _ = w.Write([]byte(`{"message":"not with ` + auth + `"}`))
		}))
		p := newProvider(t, revoke.Env{HTTP: n.Client(), Endpoint: ghe, Authority: authority(admin)})
		_, err := p.Revoke(t.Context(), f.Mint("github.pat"))
		var retry *revoke.RetryError
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || (tt.after != "") != (errors.As(err, &retry) && retry.After > 0) {
			t.Errorf("%d: %v", tt.status, err)
		}
		if errors.Is(err, revoke.ErrAuthority) != (tt.want == revoke.ErrAuthority) {
			t.Errorf("%d: the authority is blamed or spared wrongly: %v", tt.status, err)
		}
		if err != nil && strings.Contains(err.Error(), admin.Secret.Reveal("value")[4:12]) {
			t.Errorf("%d: the error shows a piece of the authority", tt.status)
		}
		_ = n.Close()
	}
}

// TestOldEnterpriseServer has no bulk revocation: a person is told so.
func TestOldEnterpriseServer(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	n := fake.NewNetwork(f)
	defer n.Close()
	for _, tt := range []struct {
		body   string
		manual bool
	}{
		{`{"message":"Not Found","documentation_url":"https://docs.github.com/enterprise-server@3.10/rest"}`, true},
		{`<html>not here</html>`, false},
	} {
		n.Handle("ghe.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(tt.body))
		}))
		p := newProvider(t, revoke.Env{HTTP: n.Client(), Endpoint: ghe})
		_, err := p.Revoke(t.Context(), f.Mint("github.pat"))
		if err == nil || errors.Is(err, revoke.ErrManual) != tt.manual {
			t.Errorf("%s: %v", tt.body, err)
		}
	}
}

// TestGitHubNeverGetsTheAuthority: there, an authenticated request is refused, and a proxy's 401
// must not draw the authority out.
func TestGitHubNeverGetsTheAuthority(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	asked := false
	env := revoke.Env{
		HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("a request with authentication")
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"message":"Requires authentication"}`))
		}),
		Authority: func(context.Context) (revoke.Authority, error) { asked = true; return revoke.Authority{}, nil },
	}
	if _, err := newProvider(t, env).Revoke(t.Context(), f.Mint("github.pat")); err == nil || asked {
		t.Errorf("error %v, authority asked: %v", err, asked)
	}
}

// TestReadsOnly: Inspect and Verify pass a transport that lets the declared reads through alone,
// and Revoke does not.
func TestReadsOnly(t *testing.T) {
	for _, endpoint := range []string{"", ghe} {
		f := githubfake.New(fake.Wall{})
		if endpoint != "" {
			f = githubfake.NewEnterpriseServer(fake.Wall{}, "ghe.example")
		}
		client := connect(t, f)
		p, err := github.New(revoke.Env{HTTP: client, Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		guarded := *client
		guarded.Transport = revoke.ReadOnly(client.Transport, p.Info().Reads, endpoint)
		admin, _ := f.MintAuthority()
		p = newProvider(t, revoke.Env{HTTP: &guarded, Endpoint: endpoint, Authority: authority(admin)})
		for _, kind := range f.Kinds() {
			c := f.Mint(kind)
			before := f.State()
			v := p.Verify(t.Context(), c)
			blind := kind == "github.refresh" || kind == "github.client_secret" && endpoint != ""
			if _, err := p.Inspect(t.Context(), c); (err != nil || v.Outcome != revoke.Alive) && !blind || v.Outcome == revoke.Refused {
				t.Errorf("%s: %+v, %v", kind, v, err)
			}
			if f.State() != before {
				t.Errorf("%s: a read changed something", kind)
			}
			if _, err := p.Revoke(t.Context(), c); err == nil || !f.Alive(c) {
				t.Errorf("%s: revoked through a read-only transport: %v", kind, err)
			}
		}
	}
}
