package github_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
)

// TestAppKey: what the key of an App may do is listed while it lives, and each installation can then be
// suspended with that key alone, and brought back.
func TestAppKey(t *testing.T) {
	f, p := simulated(t)
	key, elsewhere := f.Mint("github.app_key"), f.Mint("github.app_installation")
	if v := p.Verify(t.Context(), key); v.Outcome != revoke.Alive || !strings.Contains(v.Answer, "signs as App") {
		t.Fatalf("%+v", v)
	}
	line := key
	line.Secret = credential.Value(strings.ReplaceAll(key.Secret.Reveal("value"), "\n", `\n`))
	if v := p.Verify(t.Context(), line); v.Outcome != revoke.Alive {
		t.Errorf("as it stands in a variable: %+v", v)
	}
	if _, err := p.Revoke(t.Context(), key); !errors.Is(err, revoke.ErrManual) || !f.Alive(key) {
		t.Errorf("Revoke: %v", err)
	}
	found, err := p.(revoke.Enumerator).Minted(t.Context(), key)
	if err != nil || len(found) != 1 || found[0].Kind != "github.app_installation" || found[0].Ref["id"] == elsewhere.Ref["id"] || found[0].Owner == "" {
		t.Fatalf("Minted = %+v, %v", found, err)
	}
	k := credential.NewFingerprintKey()
	if k.Identify(found[0]).Fingerprint == k.Identify(key).Fingerprint {
		t.Error("an installation has its key's fingerprint")
	}
	r, err := p.Revoke(t.Context(), found[0])
	if err != nil || r.Already || len(r.Left) != 1 || f.Alive(found[0]) || !f.Alive(elsewhere) {
		t.Errorf("suspend: %+v, %v", r, err)
	}
	if v := p.Verify(t.Context(), found[0]); v.Outcome != revoke.Refused || !strings.Contains(v.Answer, "suspended since") {
		t.Errorf("suspended: %+v", v)
	}
	if again, err := p.(revoke.Enumerator).Minted(t.Context(), key); err != nil || len(again) != 0 {
		t.Errorf("what is suspended is found again: %+v, %v", again, err)
	}
	if r, err := p.(revoke.Undoer).Undo(t.Context(), found[0]); err != nil || len(r.Left) != 0 || !f.Alive(found[0]) {
		t.Errorf("Undo: %+v, %v", r, err)
	}
	f.RevokeByHand(key)
	if v := p.Verify(t.Context(), key); v.Outcome != revoke.Refused {
		t.Errorf("deleted: %+v", v)
	}
	if _, err := p.Revoke(t.Context(), found[0]); !errors.Is(err, revoke.ErrAuthority) {
		t.Errorf("under a key that is gone: %v", err)
	}
	if after, err := p.(revoke.Enumerator).Minted(t.Context(), key); err != nil || len(after) != 0 {
		t.Errorf("a dead key lists nothing: %+v, %v", after, err)
	}
}

func TestUndoOfOtherKinds(t *testing.T) {
	f, p, _ := underAuthority(t)
	for _, kind := range f.Kinds() {
		if kind == "github.app_installation" {
			continue
		}
		if _, err := p.(revoke.Undoer).Undo(t.Context(), f.Mint(kind)); err == nil {
			t.Errorf("%s was brought back", kind)
		}
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("%d requests were sent", len(calls))
	}
}

// TestAppIsNotAsked: what can make no address or signature of GitHub's is not sent.
func TestAppIsNotAsked(t *testing.T) {
	f, p, _ := underAuthority(t)
	for name, change := range map[string]func(*credential.Credential){
		"no App":      func(c *credential.Credential) { delete(c.Ref, "app_id") },
		"App's path":  func(c *credential.Credential) { c.Ref["app_id"] = "1/../2" },
		"no key":      func(c *credential.Credential) { c.Secret = credential.Value("hello") },
		"another key": func(c *credential.Credential) { c.Secret = f.Mint("github.ssh_key").Secret },
		"huge":        func(c *credential.Credential) { c.Secret = credential.Value(strings.Repeat("-", 1<<20)) },
	} {
		c := f.Mint("github.app_key")
		change(&c)
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || !strings.HasPrefix(v.Answer, "not asked") {
			t.Errorf("%s: %+v", name, v)
		}
		if _, err := p.(revoke.Enumerator).Minted(t.Context(), c); err == nil {
			t.Errorf("%s: something was listed", name)
		}
	}
	for _, id := range []string{"", "1/suspended", "..", "-1", "9999999999999999999"} {
		c := f.Mint("github.app_installation")
		c.Ref["id"] = id
		if v := p.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive {
			t.Errorf("installation %q: %+v", id, v)
		}
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) {
			t.Errorf("installation %q: %v", id, err)
		}
	}
	if calls := f.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("%d requests were sent", len(calls))
	}
}

// TestAppAuthority: a token is no key, a broken key is no authority, and one of another App finds nothing.
func TestAppAuthority(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	c, other := f.Mint("github.app_installation"), f.Mint("github.app_key")
	part := func(key, id string) credential.Credential {
		return credential.Credential{Secret: credential.NewSecret(map[string]string{"value": "x", "private_key": key, "app_id": id})}
	}
	for name, tt := range map[string]struct {
		authority credential.Credential
		want      error
		outcome   revoke.Outcome
	}{
		"a token alone":  {f.Mint("github.pat"), revoke.ErrNoAuthority, revoke.Inconclusive},
		"no id":          {part(other.Secret.Reveal("value"), ""), revoke.ErrAuthority, revoke.Inconclusive},
		"no key":         {part("hello", "9000"), revoke.ErrAuthority, revoke.Inconclusive},
		"another's id":   {part(other.Secret.Reveal("value"), "9000"), revoke.ErrAuthority, revoke.Inconclusive},
		"of another App": {part(other.Secret.Reveal("value"), other.Ref["app_id"]), nil, revoke.Refused}, // and never seen alive
	} {
		p := newProvider(t, revoke.Env{HTTP: connect(t, f), Authority: authority(tt.authority)})
		if v := p.Verify(t.Context(), c); v.Outcome != tt.outcome {
			t.Errorf("%s: %+v", name, v)
		}
		r, err := p.Revoke(t.Context(), c)
		if !errors.Is(err, tt.want) || tt.want == nil && (!r.Already || err != nil) || !f.Alive(c) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestAppAnswers(t *testing.T) {
	const user = `"account":{"login":"acme"}`
	for name, tt := range map[string]struct {
		kind   string
		status int
		body   string
		want   revoke.Outcome
	}{
		"key signs":                {"github.app_key", 200, `{"id":7,"name":"Agent"}`, revoke.Alive},
		"key, somebody else's 200": {"github.app_key", 200, `{"id":7}`, revoke.Inconclusive},
		"key refused":              {"github.app_key", 401, `{"message":"A JSON web token could not be decoded"}`, revoke.Refused},
		"key, our clock":           {"github.app_key", 401, `{"message":"'Expiration time' claim ('exp') is too far in the future"}`, revoke.Inconclusive},
		"key, bad credentials":     {"github.app_key", 401, `{"message":"Bad credentials"}`, revoke.Inconclusive},
		"key, no such App":         {"github.app_key", 404, `{"message":"Integration not found"}`, revoke.Inconclusive},
		"key, 403":                 {"github.app_key", 403, `{"message":"A JSON web token could not be decoded"}`, revoke.Inconclusive},
		"installed":                {"github.app_installation", 200, `{"id":5001,"suspended_at":null,` + user + `}`, revoke.Alive},
		"suspended":                {"github.app_installation", 200, `{"id":5001,"suspended_at":"2026-11-23T03:04:05Z",` + user + `}`, revoke.Refused},
		"another installation":     {"github.app_installation", 200, `{"id":5002,"suspended_at":"2026-11-23T03:04:05Z",` + user + `}`, revoke.Inconclusive},
		"not said":                 {"github.app_installation", 200, `{"id":5001,` + user + `}`, revoke.Inconclusive},
		"nonsense":                 {"github.app_installation", 200, `{"id":5001,"suspended_at":{},` + user + `}`, revoke.Inconclusive},
		"not installed":            {"github.app_installation", 404, `{"message":"Not Found"}`, revoke.Refused},
		"404 of a proxy":           {"github.app_installation", 404, `<html>Not Found</html>`, revoke.Inconclusive},
		"authority refused":        {"github.app_installation", 401, `{"message":"A JSON web token could not be decoded"}`, revoke.Inconclusive},
		"secret works":             {"github.client_secret", 200, `{"error":"bad_verification_code"}`, revoke.Alive},
		"secret refused":           {"github.client_secret", 200, `{"error":"incorrect_client_credentials"}`, revoke.Refused},
		"secret, other error":      {"github.client_secret", 200, `{"error":"redirect_uri_mismatch"}`, revoke.Inconclusive},
		"secret, no such client":   {"github.client_secret", 404, `{"error":"Not Found"}`, revoke.Inconclusive},
		"secret, refused with 401": {"github.client_secret", 401, `{"error":"incorrect_client_credentials"}`, revoke.Inconclusive},
		"secret, a page":           {"github.client_secret", 200, `<html>incorrect_client_credentials`, revoke.Inconclusive},
	} {
		f := githubfake.New(fake.Wall{})
		admin, _ := f.MintAuthority()
		n := fake.NewNetwork(f)
		for _, host := range f.Hosts() {
			n.Handle(host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
		}
		p := newProvider(t, revoke.Env{HTTP: n.Client(), Authority: authority(admin)})
		if v := p.Verify(t.Context(), f.Mint(tt.kind)); v.Outcome != tt.want || v.Answer == "" {
			t.Errorf("%s: %+v, want %v", name, v, tt.want)
		}
		_ = n.Close()
	}
}

// TestClockOfTheDesk: GitHub refuses what is signed at another time. That is no death of the key.
func TestClockOfTheDesk(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	c := f.Mint("github.app_key")
	for skew, want := range map[time.Duration]revoke.Outcome{
		-30 * time.Second: revoke.Alive, 30 * time.Second: revoke.Alive,
		-9 * time.Minute: revoke.Inconclusive, 9 * time.Minute: revoke.Inconclusive, 365 * 24 * time.Hour: revoke.Inconclusive,
	} {
		p, err := github.New(revoke.Env{HTTP: connect(t, f), Now: func() time.Time { return time.Now().Add(skew) }})
		if err != nil {
			t.Fatal(err)
		}
		if v := p.Verify(t.Context(), c); v.Outcome != want {
			t.Errorf("a clock that is off by %v: %+v", skew, v)
		}
	}
}

// TestClientSecret: nobody but the right client is asked, and not where an Enterprise Server's API alone
// is pinned.
func TestClientSecret(t *testing.T) {
	f, p := simulated(t)
	c, other := f.Mint("github.client_secret"), f.Mint("github.client_secret")
	for name, change := range map[string]func(*credential.Credential){
		"no client":   func(c *credential.Credential) { c.Ref = nil },
		"no client's": func(c *credential.Credential) { c.Ref = map[string]string{"client_id": "a b&c=d"} },
		"no secret":   func(c *credential.Credential) { c.Secret = credential.Secret{} },
		"a secret of another form": func(c *credential.Credential) {
			c.Secret = credential.Value(strings.Repeat("%", 40))
		},
	} {
		wrong := f.Mint("github.client_secret")
		change(&wrong)
		if v := p.Verify(t.Context(), wrong); v.Outcome != revoke.Inconclusive || !strings.HasPrefix(v.Answer, "not asked") {
			t.Errorf("%s: %+v", name, v)
		}
	}
	f.RevokeByHand(c)
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused {
		t.Errorf("%+v", v)
	}
	if x, err := p.Inspect(t.Context(), other); err != nil || x.Account != "client "+other.Ref["client_id"] || len(x.Reach) != 1 {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := p.Inspect(t.Context(), c); err == nil {
		t.Error("a dead secret was inspected")
	}
}
