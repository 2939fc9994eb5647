package github_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
)

var bulkKinds = []string{"github.fine_grained", "github.pat", "github.oauth", "github.user_to_server", "github.refresh"}

// connect returns a client whose only way out leads to the fakes.
func connect(t *testing.T, fakes ...fake.Provider) *http.Client {
	n := fake.NewNetwork(fakes...)
	client := n.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = n.Close()
	})
	return client
}

// serve is a server that is no fake: it answers everything as handler does.
func serve(t *testing.T, handler http.HandlerFunc) *http.Client {
	f := githubfake.New(fake.Wall{})
	n := fake.NewNetwork(f)
	n.Handle("api.github.com", handler)
	client := n.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = n.Close()
	})
	return client
}

func newProvider(t *testing.T, env revoke.Env) revoke.Batcher {
	t.Helper()
	p, err := github.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return p.(revoke.Batcher)
}

// simulated returns a fake and its provider.
func simulated(t *testing.T) (*githubfake.Fake, revoke.Batcher) {
	t.Helper()
	f := githubfake.New(fake.Wall{})
	return f, newProvider(t, revoke.Env{HTTP: connect(t, f)})
}

func TestNew(t *testing.T) {
	for _, tt := range []struct{ endpoint, fails string }{
		{"", ""},
		{"https://ghe.example/api/v3", ""},
		{"http://127.0.0.1:8080/", ""},
		{"ftp://ghe.example/", "http"},
		{"ghe.example", "http"},
		{"https://", "host"},
		{"https://me:pass@ghe.example/", "no place"},
		{"https://ghe.example/?a=b", "no place"},
		{"https://ghe.example/a%2Fb", "escaped"},
		{"https://ghe.example/%zz", "not a URL"},
	} {
		_, err := github.New(revoke.Env{HTTP: http.DefaultClient, Endpoint: tt.endpoint})
		switch {
		case tt.fails == "" && err != nil:
			t.Errorf("%q: %v", tt.endpoint, err)
		case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
			t.Errorf("%q: error %v, want one with %q", tt.endpoint, err, tt.fails)
		case err != nil && strings.Contains(err.Error(), "pass"):
			t.Errorf("the error quotes the password")
		}
	}
	if _, err := github.New(revoke.Env{}); err == nil {
		t.Error("no client, no error")
	}
}

func TestInfo(t *testing.T) {
	f, p := simulated(t)
	info := p.Info()
	if info.Name != f.Name() || info.BatchMax != 1000 || info.Every <= 0 {
		t.Errorf("Info = %+v", info)
	}
	for _, kind := range f.Kinds() {
		k, ok := info.Kind(kind)
		known, _ := credential.Lookup(kind)
		if !ok || known.Provider != info.Name {
			t.Errorf("%s: not a kind of the provider", kind)
		}
		if k.Source == "" || k.Effect == "" || k.Propagation.Source == "" || k.Propagation.Budget == 0 || !k.Manual && k.SelfRevoking == (k.Authority != "") {
			t.Errorf("%s: incomplete: %+v", kind, k)
		}
		if (k.Unverifiable != "") != (kind == "github.refresh") {
			t.Errorf("%s: Unverifiable = %q", kind, k.Unverifiable)
		}
	}
	if len(info.Kinds) != len(f.Kinds()) {
		t.Errorf("%d kinds, the fake has %d", len(info.Kinds), len(f.Kinds()))
	}
}

// TestLife follows a token of each kind from alive to refused, through the lag that follows a 202.
func TestLife(t *testing.T) {
	for _, kind := range append(bulkKinds, "github.installation") {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, p := simulated(t)
				f.Knobs().SetLag(20 * time.Second)
				c, bystander := f.Mint(kind), f.Mint(kind)
				alive, refused := revoke.Alive, revoke.Refused
				if kind == "github.refresh" {
					alive, refused = revoke.Inconclusive, revoke.Inconclusive
				}
				check := func(when string, c credential.Credential, want revoke.Outcome) {
					t.Helper()
					if v := p.Verify(t.Context(), c); v.Outcome != want || v.Answer == "" {
						t.Errorf("%s: %v %q, want %v", when, v.Outcome, v.Answer, want)
					}
				}
				check("before", c, alive)
				r, err := p.Revoke(t.Context(), c)
				if err != nil || r.Answer == "" || r.Already {
					t.Fatalf("Revoke = %+v, %v", r, err)
				}
				check("within the lag", c, alive)
				time.Sleep(20 * time.Second)
				check("after the lag", c, refused)
				check("another token", bystander, alive)
				if f.Alive(c) || !f.Alive(bystander) {
					t.Error("the wrong token died")
				}
				if _, err := p.Revoke(t.Context(), c); err != nil {
					t.Errorf("Revoke again: %v", err)
				}
			})
		})
	}
}

func TestRevokeInstallationAgain(t *testing.T) {
	f, p := simulated(t)
	c := f.Mint("github.installation")
	f.RevokeByHand(c)
	if r, err := p.Revoke(t.Context(), c); err != nil || !r.Already {
		t.Errorf("Revoke = %+v, %v; want Already", r, err)
	}
}

// TestBulkDoesNotTell: 202 is the answer for a token that never was, so a receipt claims nothing.
func TestBulkDoesNotTell(t *testing.T) {
	f, p := simulated(t)
	never := f.Mint("github.pat")
	never.Secret = credential.Value("ghp_" + strings.ReplaceAll(rand.Text()+rand.Text(), "=", "")[:36])
	r, err := p.Revoke(t.Context(), never)
	if err != nil || r.Already || !strings.Contains(r.Answer, "does not tell") {
		t.Errorf("Revoke = %+v, %v", r, err)
	}
}

func TestRefreshIsNotProbed(t *testing.T) {
	f, p := simulated(t)
	c := f.Mint("github.refresh")
	v := p.Verify(t.Context(), c)
	x, err := p.Inspect(t.Context(), c)
	if v.Outcome != revoke.Inconclusive || err != nil || x.Account != "" {
		t.Errorf("Verify = %+v, Inspect = %+v, %v", v, x, err)
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("%d requests were sent", len(calls))
	}
	r, err := p.Revoke(t.Context(), c)
	if err != nil || len(r.Left) == 0 {
		t.Errorf("Revoke = %+v, %v: the access tokens that live on are not named", r, err)
	}
}

func TestInspect(t *testing.T) {
	f, p := simulated(t)
	for _, tt := range []struct{ kind, account, reach string }{
		{"github.pat", "login=acme-bot-1", "scope repo, scope workflow"},
		{"github.fine_grained", "login=acme-bot-2", ""},
		{"github.installation", "installation with 1 repositories", "repository acme-bot-3/payments"},
	} {
		x, err := p.Inspect(t.Context(), f.Mint(tt.kind))
		if err != nil || x.Account != tt.account || strings.Join(x.Reach, ", ") != tt.reach || x.Owner != "" {
			t.Errorf("%s: %+v, %v", tt.kind, x, err)
		}
	}
	c := f.Mint("github.pat")
	f.RevokeByHand(c)
	if x, err := p.Inspect(t.Context(), c); err == nil {
		t.Errorf("a dead token: %+v without an error", x)
	}
}

func TestBatch(t *testing.T) {
	f, p := simulated(t)
	var cs []credential.Credential
	for i := range 1000 {
		cs = append(cs, f.Mint(bulkKinds[i%len(bulkKinds)]))
	}
	spared := f.Mint("github.pat")
	for _, c := range cs {
		if !p.Batchable(c) {
			t.Fatalf("%s is not batchable", c.Kind)
		}
	}
	if _, err := p.RevokeBatch(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		if f.Alive(c) {
			t.Fatalf("%s is alive", c.Kind)
		}
	}
	if !f.Alive(spared) {
		t.Error("a token outside the batch died")
	}
	if n := len(f.Knobs().Calls()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestBatchRefusedBeforeSending(t *testing.T) {
	f, p := simulated(t)
	pat, app := f.Mint("github.pat"), f.Mint("github.installation")
	var many []credential.Credential
	for range 1001 {
		many = append(many, f.Mint("github.pat"))
	}
	foreign, unnamed, unknown := pat, pat, pat
	foreign.Provider, unnamed.Secret, unknown.Kind = "slack", credential.Secret{}, "github.other"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx  context.Context
		cs   []credential.Credential
		want error // nil: any
	}{
		"empty":              {t.Context(), nil, nil},
		"too many":           {t.Context(), many, nil},
		"installation token": {t.Context(), []credential.Credential{pat, app}, nil},
		"foreign":            {t.Context(), []credential.Credential{foreign}, nil},
		"unknown kind":       {t.Context(), []credential.Credential{unknown}, nil},
		"no value":           {t.Context(), []credential.Credential{unnamed}, revoke.ErrManual},
		"ended context":      {ended, []credential.Credential{pat}, context.Canceled},
	} {
		if _, err := p.RevokeBatch(tt.ctx, tt.cs); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
	for _, c := range []credential.Credential{pat, app} {
		if _, err := p.Revoke(ended, c); !errors.Is(err, context.Canceled) || errors.Is(err, revoke.ErrUncertain) {
			t.Errorf("Revoke with an ended context: %v", err)
		}
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("%d requests were sent", len(calls))
	}
}

func TestBatchable(t *testing.T) {
	f, p := simulated(t)
	pat := f.Mint("github.pat")
	legacy, mixed, foreign := pat, pat, pat
	legacy.Secret = credential.Value(fmt.Sprintf("%040x", 1))
	mixed.Kind = "github.oauth"
	foreign.Provider = "slack"
	for name, tt := range map[string]struct {
		c    credential.Credential
		want bool
	}{
		"as formatted": {pat, true},
		"installation": {f.Mint("github.installation"), false},
		"old format":   {legacy, false},
		"other kind":   {mixed, false},
		"foreign":      {foreign, false},
	} {
		if got := p.Batchable(tt.c); got != tt.want {
			t.Errorf("%s: Batchable = %v", name, got)
		}
	}
}

// TestRateLimit: GitHub says when to come back, and the next request is really sent.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := simulated(t)
		for range 60 {
			if _, err := p.Revoke(t.Context(), f.Mint("github.pat")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute)
		c := f.Mint("github.pat")
		_, err := p.Revoke(t.Context(), c)
		var retry *revoke.RetryError
		if !errors.As(err, &retry) || errors.Is(err, revoke.ErrUncertain) || retry.After < 49*time.Minute || retry.After > 51*time.Minute {
			t.Fatalf("61st request: %v", err)
		}
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
			t.Errorf("the token's own limit is another: %+v", v)
		}
		time.Sleep(retry.After)
		if _, err := p.Revoke(t.Context(), c); err != nil || f.Alive(c) {
			t.Errorf("after the wait: %v", err)
		}
		if n := len(f.Knobs().Calls()); n != 63 {
			t.Errorf("%d requests arrived, want 63", n)
		}
	})
}

// TestProbesRunIntoTheLimit: what no probe can tell stays unproved.
func TestProbesRunIntoTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := simulated(t)
		f.SetCountRefusals(true)
		dead, live := f.Mint("github.pat"), f.Mint("github.pat")
		f.RevokeByHand(dead)
		for range 60 {
			if v := p.Verify(t.Context(), dead); v.Outcome != revoke.Refused {
				t.Fatalf("%+v", v)
			}
		}
		v := p.Verify(t.Context(), dead)
		if v.Outcome != revoke.Inconclusive || v.RetryAfter < 59*time.Minute {
			t.Errorf("over the limit: %+v", v)
		}
		if v := p.Verify(t.Context(), live); v.Outcome != revoke.Alive {
			t.Errorf("a live token has its own limit: %+v", v)
		}
		time.Sleep(v.RetryAfter)
		if v := p.Verify(t.Context(), dead); v.Outcome != revoke.Refused {
			t.Errorf("after the wait: %+v", v)
		}
	})
}
