package aws_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/wire"
)

// organized is an environment whose organization's policy is this one, changed by this authority.
func organized(t *testing.T, env revoke.Env, policy string, by credential.Credential) revoke.Env {
	t.Helper()
	output, err := json.Marshal(map[string]any{
		"Version": 1, "AccessKeyId": by.Secret.Reveal("access_key_id"), "SecretAccessKey": by.Secret.Reveal("secret_access_key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	env.Settings = func(into any) error {
		if err := yaml.Unmarshal([]byte("organization: {policy: "+policy+", authority: {env: ORGANIZATION}}"), into); err != nil {
			return err
		}
		for _, held := range into.(wire.Holder).Held() {
			held.Load = func(context.Context) (credential.Secret, error) { return credential.Value(string(output)), nil }
		}
		return nil
	}
	return env
}

// above is an account in an organization, and a provider that may deny there.
func above(t *testing.T, w world) revoke.Provider {
	t.Helper()
	policy, by := w.Organize()
	return provider(t, organized(t, w.env(w.authority()), policy, by))
}

func TestOrganizationDeniesToo(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := above(t, w)
		prepared := w.ServicePolicy()
		key, session := w.MintFor("deploy"), w.MintRoleSession("deployer")
		wantVerdict(t, p, session, revoke.Alive)
		for c, who := range map[*credential.Credential]string{&key: ":user/deploy", &session: ":role/deployer"} {
			if r := mustRevoke(t, p, *c); !mentions(r.Did, who+" in the organization's policy") {
				t.Errorf("receipt %+v", r)
			}
			wantVerdict(t, p, *c, revoke.Refused)
		}
		// Who has the account takes the deny off there, and is stopped by the other.
		w.Undeny("deploy", "deployer")
		if w.Alive(session) {
			t.Error("the session lives once the deny is taken off its role")
		}
		wantVerdict(t, p, session, revoke.Refused)
		if !strings.Contains(w.ServicePolicy(), `"identitystore:userId":"nobody <yet>"`) {
			t.Errorf("the statement that was prepared is lost: %s", w.ServicePolicy())
		}
		before := w.ServicePolicy()
		mustRevoke(t, p, key)
		if w.ServicePolicy() != before {
			t.Error("a second deny of the same user changed the policy")
		}

		for _, c := range []credential.Credential{key, session} {
			r, err := p.(revoke.Undoer).Undo(t.Context(), c)
			if err != nil || !mentions(r.Did, "taken from the organization's policy") {
				t.Errorf("Undo: %+v, %v", r, err)
			}
			wantVerdict(t, p, c, revoke.Alive)
		}
		if w.ServicePolicy() != prepared {
			t.Errorf("the policy is %s, was %s", w.ServicePolicy(), prepared)
		}
	})
}

// What no policy of its own account can stop, the organization stops.
func TestOrganizationAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := above(t, w)
		for name, c := range map[string]credential.Credential{
			"a session of the root":                w.MintRootSession(),
			"a role that only its service changes": w.MintRoleSession("AWSReservedSSO_Admin_0123456789abcdef"),
			"a role with a path that STS hides":    w.MintRoleSessionAt("/service/", "pathed"),
		} {
			wantVerdict(t, p, c, revoke.Alive)
			if r := mustRevoke(t, p, c); !mentions(r.Did, "in the organization's policy") {
				t.Errorf("%s: receipt %+v", name, r)
			}
			if w.Alive(c) {
				t.Errorf("%s is alive", name)
			}
			wantVerdict(t, p, c, revoke.Refused)
		}
		root := w.MintRoot()
		w.ForbidRoot("iam:UpdateAccessKey")
		r := mustRevoke(t, p, root)
		if !mentions(r.Did, ":root in the organization's policy") || !mentions(r.Left, "the key itself is active") || w.Alive(root) {
			t.Errorf("receipt %+v, alive %v", r, w.Alive(root))
		}
		wantVerdict(t, p, root, revoke.Alive) // STS answers it under any deny
		if r, err := p.(revoke.Undoer).Undo(t.Context(), root); err != nil || !w.Alive(root) {
			t.Errorf("Undo: %+v, %v", r, err)
		}
	})
}

// Where the organization cannot stop it, that is said, and what the account can do is done.
func TestOrganizationThatCannotDeny(t *testing.T) {
	for name, test := range map[string]struct {
		how  func(w world)
		says string
	}{
		"attached to another unit":          {func(w world) { w.Attach("ou-abcd-12345678", "ou-abcd-87654321") }, "attached to nothing that account"},
		"attached to nothing":               {func(w world) { w.Attach() }, "attached to nothing that account"},
		"the account is of no organization": {func(w world) { w.Leave() }, "is not of the organization"},
		"the account manages it":            {func(w world) { w.Manage() }, "stops its management account"},
		"may not change it": {func(w world) {
			w.onJSON("UpdatePolicy", fake.Fault{Status: 400, Type: "application/x-amz-json-1.1", Body: `{"__type":"AccessDeniedException","Message":"no"}`})
		}, "400 AccessDeniedException"},
		"busy all the time": {func(w world) {
			w.onJSON("UpdatePolicy", fake.Fault{Status: 400, Type: "application/x-amz-json-1.1", Body: `{"__type":"ConcurrentModificationException","Message":"again"}`})
		}, "400 ConcurrentModificationException"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				p := above(t, w)
				test.how(w)
				key := w.MintFor("deploy")
				r := mustRevoke(t, p, key)
				if mentions(r.Did, "organization") || !mentions(r.Left, test.says) || !mentions(r.Left, "no deny by the organization") {
					t.Errorf("receipt %+v", r)
				}
				wantVerdict(t, p, key, revoke.Refused)
				root := w.MintRootSession()
				wantVerdict(t, p, root, revoke.Alive)
				if _, err := p.Revoke(t.Context(), root); err == nil {
					t.Error("a session that nobody denied was revoked")
				}
			})
		})
	}
}

// No policy of an organization stops a service-linked role: that it does must not be believed.
func TestOrganizationAndServiceLinkedRoles(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, session := above(t, w), w.MintRoleSession("AWSServiceRoleForSupport")
		wantVerdict(t, p, session, revoke.Alive)
		before := w.State()
		_, err := p.Revoke(t.Context(), session)
		wantError(t, err, revoke.ErrManual)
		if w.State() != before || !strings.Contains(err.Error(), "stops a service-linked role") {
			t.Errorf("error %v", err)
		}
		wantVerdict(t, p, session, revoke.Alive)
	})
}

// saying answers one action with this document, and does nothing.
type saying struct {
	next           http.RoundTripper
	action, answer string
}

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+s.action) {
		return s.next.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"X-Amzn-Requestid": {"r"}}, Body: io.NopCloser(strings.NewReader(s.answer)), Request: r,
	}, nil
}

// A success that does not say what was asked for is none.
func TestOrganizationThatSaysSomethingElse(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		policy, by := w.Organize()
		for _, s := range []saying{
			{action: "DescribePolicy", answer: `{"Policy":{}}`},
			{action: "DescribePolicy", answer: `{"Policy":{"Content":"{\"Version\":\"2012-10-17\",\"Statement\":[{}]}","PolicySummary":{"Arn":"arn:aws:organizations::123456789012:policy/o-abcdefghij/service_control_policy/p-anotherone"}}}`},
			{action: "UpdatePolicy", answer: `{"Policy":{"Content":"{}"}}`},
			{action: "UpdatePolicy", answer: `{}`},
			{action: "ListParents", answer: `{"Parents":[]}`},
			{action: "ListTargetsForPolicy", answer: `{"Targets":[{"TargetId":""}]}`},
			{action: "ListTargetsForPolicy", answer: `{"Targets":[],"NextToken":"0"}`},
		} {
			env := organized(t, w.env(w.authority()), policy, by)
			s.next = env.HTTP.Transport
			env.HTTP = &http.Client{Transport: s}
			r := mustRevoke(t, provider(t, env), w.Mint("aws.access_key"))
			if mentions(r.Did, "organization") || !mentions(r.Left, "no deny by the organization") {
				t.Errorf("%s says %s: receipt %+v", s.action, s.answer, r)
			}
		}
	})
}

func TestOrganizationOfUnits(t *testing.T) {
	for _, at := range []string{"root", "unit", "account"} {
		inWorld(t, func(t *testing.T, w world) {
			p := above(t, w)
			w.Attach("ou-abcd-12345678", at)
			if r := mustRevoke(t, p, w.MintFor("deploy")); !mentions(r.Did, "in the organization's policy") {
				t.Errorf("%s: receipt %+v", at, r)
			}
		})
	}
}

// One that is busy for a moment is asked again, and two denies at once do not lose one another.
func TestOrganizationIsAskedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := above(t, w)
		busy := fake.Fault{Status: 400, Type: "application/x-amz-json-1.1", Body: `{"__type":"ConcurrentModificationException","Message":"again"}`}
		w.onJSON("UpdatePolicy", busy)
		go func() {
			time.Sleep(1500 * time.Millisecond)
			w.Knobs().SetFault(nil)
		}()
		done := make(chan revoke.Receipt)
		for _, user := range []string{"one", "two", "three"} {
			c := w.MintFor(user)
			go func() { done <- mustRevoke(t, p, c) }()
		}
		for range 3 {
			if r := <-done; !mentions(r.Did, "in the organization's policy") {
				t.Errorf("receipt %+v", r)
			}
		}
		for _, user := range []string{"one", "two", "three"} {
			if !strings.Contains(w.ServicePolicy(), ":user/"+user+`"`) {
				t.Errorf("the deny of %s is lost: %s", user, w.ServicePolicy())
			}
		}
	})
}

func TestOrganizationsAuthorityIsNotTheTarget(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		policy, by := w.Organize()
		p := provider(t, organized(t, w.env(w.authority()), policy, by))
		before := w.ServicePolicy()
		if _, err := p.Revoke(t.Context(), by); !errors.Is(err, revoke.ErrNoAuthority) || w.ServicePolicy() != before || !w.Alive(by) {
			t.Errorf("error %v", err)
		}
	})
}

func TestOrganizationSettings(t *testing.T) {
	for text, says := range map[string]string{
		"organization: {policy: p-abcdefgh}":                              "organization.authority is missing",
		"organization: {policy: '../../p-abcdefgh', authority: {env: A}}": "no id of a policy",
		"organization: {authority: {env: A}}":                             "no id of a policy",
		`organization: {policy: p-abcdefgh, authority: '{"Version":1}'}`:  wire.ErrClearText.Error(),
	} {
		env := revoke.Env{HTTP: revoke.NewClient(revoke.Refuse{}), Settings: func(into any) error { return yaml.Unmarshal([]byte(text), into) }}
		if _, err := aws.New(env); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
