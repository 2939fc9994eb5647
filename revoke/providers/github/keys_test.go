package github_test

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github/githubfake"
)

var keyKinds = []string{"github.deploy_key", "github.ssh_key", "github.signing_key"}

// underAuthority returns a fake, its provider, and what that provider has for an authority.
func underAuthority(t *testing.T) (*githubfake.Fake, revoke.Batcher, credential.Credential) {
	t.Helper()
	f := githubfake.New(fake.Wall{})
	admin, _ := f.MintAuthority()
	return f, newProvider(t, revoke.Env{HTTP: connect(t, f), Authority: authority(admin)}), admin
}

func fingerprintOf(t *testing.T, c credential.Credential) string {
	t.Helper()
	signer, err := ssh.ParsePrivateKey([]byte(c.Secret.Reveal("value")))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(signer.PublicKey())
}

// locked is a key whose file has a passphrase.
func locked(t *testing.T, c credential.Credential) credential.Secret {
	t.Helper()
	key, err := ssh.ParseRawPrivateKey([]byte(c.Secret.Reveal("value")))
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(*key.(*ed25519.PrivateKey), "", []byte("a test's"))
	if err != nil {
		t.Fatal(err)
	}
	return credential.Value(string(pem.EncodeToMemory(block)))
}

// TestKeyIsFound in each way that a host or a person may name it, and no other key dies.
func TestKeyIsFound(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, c *credential.Credential){
		"by id":            func(_ *testing.T, c *credential.Credential) { c.Secret = credential.Secret{} },
		"by its file":      func(_ *testing.T, c *credential.Credential) { delete(c.Ref, "id") },
		"by a locked file": func(t *testing.T, c *credential.Credential) { c.Secret = locked(t, *c); delete(c.Ref, "id") },
		"file before id":   func(_ *testing.T, c *credential.Credential) { c.Ref["id"] = "7001" },
		"file before claim": func(_ *testing.T, c *credential.Credential) {
			c.Ref["public_key"] = "SHA256:" + strings.Repeat("A", 43)
		},
		"by fingerprint": func(t *testing.T, c *credential.Credential) {
			c.Ref["public_key"] = fingerprintOf(t, *c)
			c.Secret = credential.Secret{}
			c.Ref["id"] = "7001"
		},
	} {
		for _, kind := range keyKinds {
			t.Run(kind+" "+name, func(t *testing.T) {
				f, p, _ := underAuthority(t)
				bystander, c := f.Mint(kind), f.Mint(kind)
				change(t, &c)
				if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
					t.Errorf("before: %+v", v)
				}
				if x, err := p.Inspect(t.Context(), c); err != nil || len(x.Reach) != 1 || x.Answer == "" {
					t.Errorf("Inspect = %+v, %v", x, err)
				}
				r, err := p.Revoke(t.Context(), c)
				if err != nil || r.Already || len(r.Did) != 1 {
					t.Fatalf("Revoke = %+v, %v", r, err)
				}
				if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused {
					t.Errorf("after: %+v", v)
				}
				if r, err := p.Revoke(t.Context(), c); err != nil || !r.Already {
					t.Errorf("again: %+v, %v", r, err)
				}
				if !f.Alive(bystander) {
					t.Error("another key died")
				}
			})
		}
	}
}

// TestKeyIsNotNamed: what nothing tells from the others goes to a person, and nobody is asked.
func TestKeyIsNotNamed(t *testing.T) {
	f, p, _ := underAuthority(t)
	for name, change := range map[string]func(c *credential.Credential){
		"nothing":           func(c *credential.Credential) { c.Secret, c.Ref = credential.Secret{}, nil },
		"no key":            func(c *credential.Credential) { c.Secret = credential.Value("hello") },
		"too long":          func(c *credential.Credential) { c.Secret = credential.Value(strings.Repeat("A", 17<<10)) },
		"no fingerprint":    func(c *credential.Credential) { c.Ref["public_key"] = "MD5:00" },
		"no repository":     func(c *credential.Credential) { delete(c.Ref, "repository") },
		"above the folder":  func(c *credential.Credential) { c.Ref["repository"] = "mona/.." },
		"another path":      func(c *credential.Credential) { c.Ref["repository"] = "mona/payments/keys" },
		"another host":      func(c *credential.Credential) { c.Ref["repository"] = "//evil.example" },
		"id with a path":    func(c *credential.Credential) { c.Secret, c.Ref["id"] = credential.Secret{}, "1/../2" },
		"id that is no int": func(c *credential.Credential) { c.Secret, c.Ref["id"] = credential.Secret{}, "9999999999999999999" },
	} {
		c := f.Mint("github.deploy_key")
		change(&c)
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("%s: %v", name, err)
		}
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
	c := f.Mint("github.ssh_key")
	if c.Ref["user"] = "../orgs"; !errors.Is(func() error { _, err := p.Revoke(t.Context(), c); return err }(), revoke.ErrManual) {
		t.Error("a user's name that is a path")
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("%d requests were sent", len(calls))
	}
}

// TestKeyOfAnotherUser: the authority's own list says nothing of somebody else's keys.
func TestKeyOfAnotherUser(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	stranger := f.MintUser("eve", "admin:public_key, admin:ssh_signing_key")
	p := newProvider(t, revoke.Env{HTTP: connect(t, f), Authority: authority(stranger)})
	for _, kind := range keyKinds {
		c := f.Mint(kind)
		c.Ref["user"] = "mona"
		v := p.Verify(t.Context(), c)
		if want := kind != "github.deploy_key"; (v.Outcome == revoke.Alive) != want || v.Outcome == revoke.Refused {
			t.Errorf("%s: %+v", kind, v)
		}
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrAuthority) || !f.Alive(c) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestKeyWithoutAuthority: a user's keys are public, so that what a person deletes can be proved.
func TestKeyWithoutAuthority(t *testing.T) {
	f, p := simulated(t)
	for _, kind := range keyKinds {
		c := f.Mint(kind)
		c.Ref["user"] = "mona"
		want := revoke.Alive
		if kind == "github.deploy_key" {
			want = revoke.Inconclusive
		}
		if v := p.Verify(t.Context(), c); v.Outcome != want {
			t.Errorf("%s: %+v", kind, v)
		}
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrNoAuthority) {
			t.Errorf("%s: %v", kind, err)
		}
		if f.RevokeByHand(c); want == revoke.Alive {
			want = revoke.Refused
		}
		if v := p.Verify(t.Context(), c); v.Outcome != want {
			t.Errorf("%s, deleted by hand: %+v", kind, v)
		}
	}
}

// TestKeyOnALaterPage: a list is read to its end before a key is missing from it.
func TestKeyOnALaterPage(t *testing.T) {
	f, p, _ := underAuthority(t)
	for range 205 {
		f.Mint("github.ssh_key")
	}
	c := f.Mint("github.ssh_key")
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
		t.Fatalf("%+v", v)
	}
	f.RevokeByHand(c)
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused || !strings.Contains(v.Answer, "205 others") {
		t.Errorf("%+v", v)
	}
}

// TestKeyIsListedByAPlainServer: only what is missing needs GitHub's word that the list is its own.
func TestKeyIsListedByAPlainServer(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	admin, _ := f.MintAuthority()
	c := f.Mint("github.ssh_key")
	signer, err := ssh.ParsePrivateKey([]byte(c.Secret.Reveal("value")))
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal([]map[string]any{{"id": 7, "key": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}})
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, revoke.Env{Authority: authority(admin), HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write(list)
	})})
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
		t.Errorf("Verify = %+v", v)
	}
	if r, err := p.Revoke(t.Context(), c); err != nil || len(r.Did) != 1 {
		t.Errorf("Revoke = %+v, %v", r, err)
	}
}

// TestKeyAnswers: what is not GitHub's whole list proves nothing.
func TestKeyAnswers(t *testing.T) {
	const other = `{"id":1,"key":"ssh-ed25519 AAAA","title":"laptop"}`
	endless := map[string]string{"X-GitHub-Media-Type": "github.v3", "Link": `<https://api.github.com/user/keys?page=2>; rel="next"`}
	ours := map[string]string{"X-GitHub-Media-Type": "github.v3"}
	for name, tt := range map[string]struct {
		status int
		body   string
		header map[string]string
		want   revoke.Outcome
		err    error
	}{
		"others":               {200, `[` + other + `]`, ours, revoke.Refused, nil},
		"none":                 {200, `[]`, ours, revoke.Refused, nil},
		"none, by request id":  {200, `[]`, map[string]string{"X-GitHub-Request-Id": "E1F2:3"}, revoke.Refused, nil},
		"none, of a portal":    {200, `[]`, nil, revoke.Inconclusive, nil},
		"nothing":              {200, ``, ours, revoke.Inconclusive, nil},
		"null":                 {200, `null`, ours, revoke.Inconclusive, nil},
		"an object":            {200, `{}`, ours, revoke.Inconclusive, nil},
		"no keys":              {200, `[{"hello":"world"}]`, ours, revoke.Inconclusive, nil},
		"keys without a type":  {200, `[{"id":1,"key":"AAAA"}]`, ours, revoke.Inconclusive, nil},
		"keys that are no key": {200, `[{"id":1,"key":"ssh-ed25519 ????"}]`, ours, revoke.Inconclusive, nil},
		"endless":              {200, `[` + other + `]`, endless, revoke.Inconclusive, nil},
		"206":                  {206, `[]`, ours, revoke.Inconclusive, nil},
		"401":                  {401, `{"message":"Bad credentials"}`, ours, revoke.Inconclusive, revoke.ErrAuthority},
		"401 of a proxy":       {401, `{"message":"Sign in"}`, nil, revoke.Inconclusive, nil},
		"403":                  {403, `{"message":"Resource not accessible by personal access token"}`, ours, revoke.Inconclusive, revoke.ErrAuthority},
		"403 of SSO":           {403, `{"message":"Resource protected by organization SAML enforcement."}`, ours, revoke.Inconclusive, revoke.ErrAuthority},
		"404":                  {404, `{"message":"Not Found"}`, ours, revoke.Inconclusive, revoke.ErrAuthority},
		"404 of a proxy":       {404, `<html>`, nil, revoke.Inconclusive, nil},
	} {
		f := githubfake.New(fake.Wall{})
		admin, _ := f.MintAuthority()
		p := newProvider(t, revoke.Env{Authority: authority(admin), HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				t.Errorf("%s: %s was sent", name, r.Method)
			}
			for k, v := range tt.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		})})
		for _, kind := range keyKinds {
			c := f.Mint(kind)
			if v := p.Verify(t.Context(), c); v.Outcome != tt.want || v.Answer == "" {
				t.Errorf("%s: %+v, want %v", name, v, tt.want)
			}
			r, err := p.Revoke(t.Context(), c)
			if tt.want == revoke.Refused != (err == nil && r.Already) || errors.Is(err, revoke.ErrAuthority) != (tt.err != nil) || errors.Is(err, revoke.ErrUncertain) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
	}
}
