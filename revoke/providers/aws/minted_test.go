package aws_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

var attacks = []string{"iam:CreateUser", "iam:AttachUserPolicy", "iam:UpdateAssumeRolePolicy", "sts:AssumeRole"}

// minted asks what c minted, twice as a sweep does, and names it by kind and user.
func minted(t *testing.T, p revoke.Provider, c credential.Credential) (named []string, all []credential.Credential, err error) {
	t.Helper()
	_, _ = p.(revoke.Enumerator).Minted(t.Context(), c)
	all, err = p.(revoke.Enumerator).Minted(t.Context(), c)
	for _, m := range all {
		if !m.Secret.Empty() || m.Ref["id"] == "" || m.Owner == "" {
			t.Errorf("minted: %+v", m)
		}
		named = append(named, m.Kind+" "+m.Ref["user"])
	}
	slices.Sort(named)
	return named, all, err
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestMintedIsWhatTheKeyItselfCreated(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx := t.Context()
		victim, other := w.MintFor("deploy"), w.MintFor("deploy")
		w.MintFor("bystander")
		w.Allow("deploy", attacks...)
		_, own := w.as(victim)
		_, colleague := w.as(other)
		must[*iam.CreateUserOutput](t)(own.CreateUser(ctx, &iam.CreateUserInput{UserName: sdk.String("backdoor")}))
		must[*iam.CreateAccessKeyOutput](t)(own.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: sdk.String("backdoor")}))
		must[*iam.CreateAccessKeyOutput](t)(own.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: sdk.String("bystander")}))
		must[*iam.CreateUserOutput](t)(colleague.CreateUser(ctx, &iam.CreateUserInput{UserName: sdk.String("newcomer")}))
		if _, err := own.CreateUser(ctx, &iam.CreateUserInput{UserName: sdk.String("newcomer")}); codeOf(err) != "EntityAlreadyExists" {
			t.Fatal(err)
		}
		p := w.provider(t)
		mustRevoke(t, p, victim)
		named, all, err := minted(t, p, victim)
		want := []string{"aws.minted_key backdoor", "aws.minted_key bystander", "aws.user backdoor"}
		if err != nil || !slices.Equal(named, want) {
			t.Fatalf("minted %q, %v; want %q", named, err, want)
		}
		for _, m := range all {
			wantVerdict(t, p, m, revoke.Alive)
			if !w.Alive(m) {
				t.Error("it does not work before it is revoked")
			}
			mustRevoke(t, p, m)
			if w.Alive(m) {
				t.Errorf("%s of %s works", m.Kind, m.Ref["user"])
			}
			wantVerdict(t, p, m, revoke.Refused)
		}
		named, _, err = minted(t, p, other)
		if err != nil || !slices.Equal(named, []string{"aws.user newcomer"}) {
			t.Errorf("the colleague's: %q, %v", named, err)
		}
	})
}

func TestMintedFollowsSessionsAndUsers(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx := t.Context()
		victim := w.MintFor("deploy")
		w.MintRoleSession("admin")
		w.Allow("deploy", attacks...)
		w.Allow("admin", attacks...)
		asSTS, _ := w.as(victim)
		role := must[*sts.AssumeRoleOutput](t)(asSTS.AssumeRole(ctx, &sts.AssumeRoleInput{
			RoleArn: sdk.String("arn:aws:iam::" + w.Account() + ":role/admin"), RoleSessionName: sdk.String("s"),
		}))
		_, session := w.as(fakeCredential(map[string]string{
			"access_key_id": *role.Credentials.AccessKeyId, "secret_access_key": *role.Credentials.SecretAccessKey,
			"session_token": *role.Credentials.SessionToken,
		}))
		must[*iam.CreateUserOutput](t)(session.CreateUser(ctx, &iam.CreateUserInput{UserName: sdk.String("first")}))
		key := must[*iam.CreateAccessKeyOutput](t)(session.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: sdk.String("first")}))
		w.Allow("first", attacks...)
		_, first := w.as(fakeCredential(map[string]string{
			"access_key_id": *key.AccessKey.AccessKeyId, "secret_access_key": *key.AccessKey.SecretAccessKey,
		}))
		must[*iam.CreateUserOutput](t)(first.CreateUser(ctx, &iam.CreateUserInput{UserName: sdk.String("second")}))

		p := w.provider(t)
		named, all, err := minted(t, p, victim)
		if !slices.Equal(named, []string{"aws.minted_key first", "aws.user first"}) {
			t.Fatalf("minted %q", named)
		}
		if err == nil || !strings.Contains(err.Error(), "AssumeRole of role admin") {
			t.Errorf("the role session is not told: %v", err)
		}
		noSecret(t, fakeCredential(map[string]string{"session_token": *role.Credentials.SessionToken}), fmt.Sprint(all, err))
		for _, m := range all {
			named, _, err := minted(t, p, m)
			if err != nil || !slices.Equal(named, []string{"aws.user second"}) {
				t.Errorf("%s minted %q, %v", m.Kind, named, err)
			}
		}
	})
}

func TestMintedTellsWhatAPersonHasToJudge(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx := t.Context()
		victim := w.MintFor("deploy")
		w.Allow("deploy", attacks...)
		_, own := w.as(victim)
		must[*iam.UpdateAssumeRolePolicyOutput](t)(own.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
			RoleName: sdk.String("admin"), PolicyDocument: sdk.String("{}"),
		}))
		for range 20 {
			must[*iam.AttachUserPolicyOutput](t)(own.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{
				UserName: sdk.String("a b\x1b[2J"), PolicyArn: sdk.String("arn:aws:iam::aws:policy/AdministratorAccess"),
			}))
			time.Sleep(time.Second)
		}
		named, _, err := minted(t, w.provider(t), victim)
		if len(named) != 0 || err == nil {
			t.Fatalf("minted %q, %v", named, err)
		}
		text := err.Error()
		if !strings.Contains(text, "AttachUserPolicy of policy AdministratorAccess") || !strings.Contains(text, "9 older ones") ||
			strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("told: %q", text)
		}
	})
}

// Revocations of other keys wait for the first look: it is short.
func TestMintedIsQuickAtFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, victim := w.provider(t), w.MintFor("deploy")
		for _, most := range []time.Duration{2 * time.Second, 10 * time.Second, 0} {
			began := time.Now()
			if _, err := p.(revoke.Enumerator).Minted(t.Context(), victim); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > most {
				t.Errorf("it took %v, want %v at most", took, most)
			}
		}
	})
}

func TestMintedOnlyReads(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		victim := w.MintFor("deploy")
		w.Allow("deploy", attacks...)
		_, own := w.as(victim)
		must[*iam.CreateUserOutput](t)(own.CreateUser(t.Context(), &iam.CreateUserInput{UserName: sdk.String("backdoor")}))
		env := w.env(w.authority())
		env.HTTP = &http.Client{Transport: revoke.ReadOnly(w.net.Transport(), provider(t, env).Info().Reads, "")}
		before := w.State()
		named, _, err := minted(t, provider(t, env), victim)
		if err != nil || !slices.Equal(named, []string{"aws.user backdoor"}) || w.State() != before {
			t.Errorf("minted %q, %v", named, err)
		}
	})
}

func TestMintedWaitsForCloudTrail(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		victim := w.MintFor("deploy")
		w.Allow("deploy", attacks...)
		w.SetTrailDelay(5 * time.Minute)
		_, own := w.as(victim)
		must[*iam.CreateUserOutput](t)(own.CreateUser(t.Context(), &iam.CreateUserInput{UserName: sdk.String("backdoor")}))
		p := w.provider(t)
		r := mustRevoke(t, p, victim)
		if !mentions(r.Left, "15 minutes") {
			t.Errorf("left: %q", r.Left)
		}
		if named, _, err := minted(t, p, victim); err != nil || len(named) > 0 {
			t.Fatalf("at once: %q, %v", named, err)
		}
		time.Sleep(5 * time.Minute)
		if named, _, err := minted(t, p, victim); err != nil || len(named) != 1 {
			t.Errorf("later: %q, %v", named, err)
		}
	})
}

// All credentials share one reading of CloudTrail, which keeps to its rate.
func TestMintedReadsCloudTrailOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx := t.Context()
		victim := w.MintFor("deploy")
		w.Allow("deploy", attacks...)
		_, own := w.as(victim)
		for i := range 120 {
			must[*iam.CreateUserOutput](t)(own.CreateUser(ctx, &iam.CreateUserInput{UserName: sdk.String(fmt.Sprintf("u%d", i))}))
		}
		p := w.provider(t)
		done := make(chan int)
		for range 5 {
			go func() {
				all, err := p.(revoke.Enumerator).Minted(ctx, victim)
				if err != nil {
					t.Error(err)
				}
				done <- len(all)
			}()
		}
		for range 5 {
			if n := <-done; n != 120 {
				t.Errorf("found %d of 120", n)
			}
		}
		lookups := 0
		for _, action := range w.asked() {
			if action == "LookupEvents" {
				lookups++
			}
		}
		if lookups != 22 { // 20 names, one of them on three pages
			t.Errorf("%d requests", lookups)
		}
	})
}

func TestMintedWithoutAnAnswer(t *testing.T) {
	for name, f := range map[string]fake.Fault{
		"throttled":  {Status: 400, Type: "application/x-amz-json-1.1", Body: `{"__type":"ThrottlingException","message":"Rate exceeded"}`},
		"denied":     {Status: 400, Type: "application/x-amz-json-1.1", Body: `{"__type":"com.amazonaws#AccessDeniedException","Message":"not authorized"}`},
		"page":       {Status: 200, Type: "text/html", Body: "<html>"},
		"no list":    {Status: 200, Type: "application/json", Body: `{"NextToken":"x"}`},
		"outage":     {Status: 503},
		"cut":        {Cut: true},
		"other JSON": {Status: 200, Body: `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				victim := w.MintFor("deploy")
				w.Knobs().SetFault(func(r *http.Request) fake.Fault {
					if r.Header.Get("X-Amz-Target") != "" {
						return f
					}
					return fake.Fault{}
				})
				if named, _, err := minted(t, w.provider(t), victim); err == nil || len(named) > 0 {
					t.Errorf("%q, %v", named, err)
				}
			})
		})
	}
	inWorld(t, func(t *testing.T, w world) {
		_, err := provider(t, w.env(credential.Credential{})).(revoke.Enumerator).Minted(t.Context(), w.MintFor("deploy"))
		wantError(t, err, revoke.ErrNoAuthority)
	})
}

// A name may be given again to somebody else: that one is left alone.
func TestCreatedUserWhoseNameWasGivenAnew(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		old := w.MintUser("agent")
		w.RevokeByHand(old)
		_, admin := w.as(w.authority())
		must[*iam.CreateUserOutput](t)(admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: sdk.String("agent")}))
		p := w.provider(t)
		before := w.State()
		if r := mustRevoke(t, p, old); !r.Already {
			t.Errorf("%+v", r)
		}
		wantVerdict(t, p, old, revoke.Refused)
		if _, after, _ := strings.Cut(w.State(), before); strings.Contains(after, "policy of user agent") {
			t.Error("the new user was denied")
		}
	})
}

// Another account may have a user of that name.
func TestCreatedOfAnotherAccount(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		for _, kind := range []string{"aws.minted_key", "aws.user"} {
			c := w.Mint(kind)
			c.Ref["account"] = "210987654321"
			wantVerdict(t, p, c, revoke.Inconclusive)
			_, err := p.Revoke(t.Context(), c)
			wantError(t, err, revoke.ErrNoAuthority)
		}
	})
}

func TestMintedKeyLeavesItsUserAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		own, c := w.MintFor("created-1"), w.Mint("aws.minted_key")
		session := w.MintSession("created-1", true)
		if c.Ref["user"] != "created-1" {
			t.Fatalf("of user %s", c.Ref["user"])
		}
		mustRevoke(t, w.provider(t), c)
		time.Sleep(time.Second)
		if !w.Alive(own) || w.Alive(session) || w.Alive(c) {
			t.Errorf("the user's other key works: %t; the session: %t, the minted key: %t, want neither", w.Alive(own), w.Alive(session), w.Alive(c))
		}
	})
}

func TestVerdictsOfCreated(t *testing.T) {
	xml := func(status int, body string) fake.Fault {
		return fake.Fault{Status: status, Type: "text/xml", Body: body}
	}
	listed := func(id, status string) fake.Fault {
		return xml(200, "<ListAccessKeysResponse><ListAccessKeysResult><IsTruncated>false</IsTruncated><AccessKeyMetadata><member><AccessKeyId>"+
			id+"</AccessKeyId><Status>"+status+"</Status></member></AccessKeyMetadata></ListAccessKeysResult></ListAccessKeysResponse>")
	}
	missing, denied := xml(404, errorXML("NoSuchEntity", "x")), xml(403, errorXML("AccessDenied", "x"))
	for _, test := range []struct {
		name, kind, action string
		fault              func(id string) fake.Fault
		want               revoke.Outcome
	}{
		{"key inactive", "aws.minted_key", "ListAccessKeys", func(id string) fake.Fault { return listed(id, "Inactive") }, revoke.Refused},
		{"key active", "aws.minted_key", "ListAccessKeys", func(id string) fake.Fault { return listed(id, "Active") }, revoke.Alive},
		{"key expired", "aws.minted_key", "ListAccessKeys", func(id string) fake.Fault { return listed(id, "Strange") }, revoke.Inconclusive},
		{"key deleted", "aws.minted_key", "ListAccessKeys", func(string) fake.Fault { return listed("AKIAOTHEROTHEROTHER", "Active") }, revoke.Refused},
		{"its user deleted", "aws.minted_key", "ListAccessKeys", func(string) fake.Fault { return missing }, revoke.Refused},
		{"a portal's 404", "aws.minted_key", "ListAccessKeys", func(string) fake.Fault { return fake.Fault{Status: 404} }, revoke.Inconclusive},
		{"not allowed to look", "aws.minted_key", "ListAccessKeys", func(string) fake.Fault { return denied }, revoke.Inconclusive},
		{"half a list", "aws.minted_key", "ListAccessKeys", func(string) fake.Fault {
			return xml(200, "<ListAccessKeysResponse><ListAccessKeysResult/></ListAccessKeysResponse>")
		}, revoke.Inconclusive},
		{"user deleted", "aws.user", "GetUser", func(string) fake.Fault { return missing }, revoke.Refused},
		{"user not shown", "aws.user", "GetUser", func(string) fake.Fault { return denied }, revoke.Inconclusive},
		{"no user in it", "aws.user", "GetUser", func(string) fake.Fault { return xml(200, "<GetUserResponse/>") }, revoke.Inconclusive},
		{"no deny", "aws.user", "GetUserPolicy", func(string) fake.Fault { return missing }, revoke.Alive},
		{"deny not shown", "aws.user", "GetUserPolicy", func(string) fake.Fault { return denied }, revoke.Inconclusive},
		{"another policy of that name", "aws.user", "GetUserPolicy", func(string) fake.Fault {
			return xml(200, "<GetUserPolicyResponse><GetUserPolicyResult><PolicyDocument>%7B%7D</PolicyDocument></GetUserPolicyResult></GetUserPolicyResponse>")
		}, revoke.Alive},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				p, c := w.provider(t), w.Mint(test.kind)
				fault := test.fault(c.Ref["id"])
				w.net.Handle("iam.amazonaws.com", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					if form, _ := url.ParseQuery(string(body)); form.Get("Action") != test.action {
						w.Fake.ServeHTTP(rw, r)
						return
					}
					if fault.Type != "" { // of AWS's own
						rw.Header().Set("X-Amzn-Requestid", "r")
					}
					rw.WriteHeader(fault.Status)
					_, _ = io.WriteString(rw, fault.Body)
				}))
				wantVerdict(t, p, c, test.want)
			})
		})
	}
}

// A key that was created for the responder's own user ends, and the responder goes on.
func TestMintedKeyOfTheAuthoritysUser(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		authority := w.authority()
		victim := w.MintFor("deploy")
		_, own := w.as(victim)
		must[*iam.CreateAccessKeyOutput](t)(own.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: sdk.String("responder-1")}))
		p := provider(t, w.env(authority))
		named, all, err := minted(t, p, victim)
		if err != nil || !slices.Equal(named, []string{"aws.minted_key responder-1"}) {
			t.Fatalf("minted %q, %v", named, err)
		}
		if r := mustRevoke(t, p, all[0]); len(r.Did) != 1 || !mentions(r.Left, "the authority's own") {
			t.Errorf("%+v", r)
		}
		if w.Alive(all[0]) || !w.Alive(authority) {
			t.Errorf("the minted key works: %t, the authority: %t", w.Alive(all[0]), w.Alive(authority))
		}
		self := all[0]
		self.Ref["id"] = authority.Secret.Reveal("access_key_id")
		_, err = p.Revoke(t.Context(), self)
		wantError(t, err, revoke.ErrOurs)
	})
}
