package github_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/github/githubfake"
)

func TestOrgAccess(t *testing.T) {
	f, p, _ := underAuthority(t)
	bystander, c := f.Mint("github.org_access"), f.Mint("github.org_access")
	if x, err := p.Inspect(t.Context(), c); err != nil || x.Account != "acme-dev" || len(x.Reach) != 1 {
		t.Errorf("Inspect = %+v, %v", x, err)
	}
	r, err := p.Revoke(t.Context(), c)
	if err != nil || r.Already || len(r.Did) != 1 || len(r.Left) != 1 {
		t.Fatalf("Revoke = %+v, %v", r, err)
	}
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused || !strings.Contains(v.Answer, "lets 1 others in") {
		t.Errorf("%+v", v)
	}
	if r, err := p.Revoke(t.Context(), c); err != nil || !r.Already || len(r.Left) != 1 {
		t.Errorf("again: %+v, %v", r, err)
	}
	if !f.Alive(bystander) {
		t.Error("another token lost its access")
	}
	before := len(f.Knobs().Calls())
	for name, ref := range map[string]map[string]string{
		"nothing": nil, "no organization": {"id": "80001"}, "a path": {"id": "80001", "org": "acme/../x"}, "no number": {"id": "a", "org": "acme"},
	} {
		c.Ref = ref
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, revoke.ErrManual) || p.Verify(t.Context(), c).Outcome != revoke.Inconclusive {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.Knobs().Calls()) != before {
		t.Error("something was sent")
	}
}

// TestOrgAuthority: only an App that is installed at the organization sees its list.
func TestOrgAuthority(t *testing.T) {
	f := githubfake.New(fake.Wall{})
	admin, _ := f.MintAuthority()
	for name, tt := range map[string]struct {
		authority credential.Credential
		want      error
	}{
		"a person's token":   {f.MintUser("acme", "repo, admin:org"), revoke.ErrAuthority},
		"another App's":      {f.Mint("github.installation"), revoke.ErrAuthority},
		"the App's as value": {credential.Credential{Secret: credential.Value(admin.Secret.Reveal("installation_token"))}, nil},
		"none":               {credential.Credential{}, revoke.ErrNoAuthority},
	} {
		c := f.Mint("github.org_access")
		p := newProvider(t, revoke.Env{HTTP: connect(t, f), Authority: authority(tt.authority)})
		if _, err := p.Revoke(t.Context(), c); !errors.Is(err, tt.want) || f.Alive(c) != (tt.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if v := p.Verify(t.Context(), c); (v.Outcome == revoke.Refused) != (tt.want == nil) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestOrgAnswers: an authority that may look and not end, and lists that are none.
func TestOrgAnswers(t *testing.T) {
	const mine = `[{"id":1,"token_id":80001,"token_name":"x","owner":{"login":"dev"}}]`
	for name, tt := range map[string]struct {
		list    string
		status  int // of the change
		message string
		want    error
		outcome revoke.Outcome
	}{
		"403":           {mine, 403, `{"message":"Resource not accessible by integration"}`, revoke.ErrAuthority, revoke.Alive},
		"404":           {mine, 404, `{"message":"Not Found"}`, revoke.ErrAuthority, revoke.Alive},
		"500":           {mine, 500, `{}`, revoke.ErrUncertain, revoke.Alive},
		"202":           {mine, 202, `{}`, revoke.ErrUncertain, revoke.Alive},
		"200":           {mine, 200, `{}`, revoke.ErrUncertain, revoke.Alive},
		"no approvals":  {`[{"id":1}]`, 0, ``, nil, revoke.Inconclusive},
		"not its token": {`[{"id":80001,"token_id":7}]`, 0, ``, nil, revoke.Refused},
	} {
		f := githubfake.New(fake.Wall{})
		admin, _ := f.MintAuthority()
		p := newProvider(t, revoke.Env{Authority: authority(admin), HTTP: serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-GitHub-Media-Type", "github.v3")
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte(tt.list))
				return
			}
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.message))
		})})
		c := f.Mint("github.org_access")
		if v := p.Verify(t.Context(), c); v.Outcome != tt.outcome {
			t.Errorf("%s: %+v", name, v)
		}
		r, err := p.Revoke(t.Context(), c)
		if tt.want != nil && !errors.Is(err, tt.want) || (err == nil) != (tt.outcome == revoke.Refused) || err == nil && !r.Already {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
