package aws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws/awsfake"
)

func TestKeyIsDeniedBeforeItIsInactive(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key := w.MintFor("deploy")
		second := w.MintFor("deploy")
		session := w.MintSession("deploy", true)
		stranger := w.MintFor("someone-else")
		p := w.provider(t)
		w.Knobs().SetLag(4 * time.Second)
		wantVerdict(t, p, key, revoke.Alive)

		r := mustRevoke(t, p, key)

		want := []string{"GetCallerIdentity", "GetCallerIdentity", "GetCallerIdentity", "ListAccessKeys", "PutUserPolicy", "UpdateAccessKey", "GetLoginProfile", "ListAccessKeys"}
		if got := w.asked(); !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
		if len(r.Did) != 2 || !strings.Contains(r.Did[0], "deny-all") || !strings.Contains(r.Did[1], "Inactive") || r.Already {
			t.Errorf("did %q, already %t", r.Did, r.Already)
		}
		if !mentions(r.Left, credential.Mask("aws.access_key", second.Secret, nil)) || !mentions(r.Left, "role sessions") {
			t.Errorf("left %q does not name the second key and role sessions", r.Left)
		}
		wantVerdict(t, p, key, revoke.Alive) // on its way
		time.Sleep(4 * time.Second)
		wantVerdict(t, p, key, revoke.Refused)
		for _, c := range []credential.Credential{key, second, session} {
			if w.Alive(c) {
				t.Errorf("a credential of the denied user is alive: %s", c.Kind)
			}
		}
		if !w.Alive(stranger) {
			t.Error("a stranger's key died too")
		}
	})
}

func TestRevokeTwiceIsSuccess(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key, p := w.Mint("aws.access_key"), w.provider(t)
		mustRevoke(t, p, key)
		state := w.State()
		if r := mustRevoke(t, p, key); !r.Already {
			t.Errorf("the second receipt does not say that it was dead: %+v", r)
		}
		if w.State() != state {
			t.Error("the second revocation changed something")
		}
	})
}

func TestDeadKeyIsSuccess(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		key := w.Mint("aws.access_key")
		w.RevokeByHand(key)
		if r := mustRevoke(t, p, key); !r.Already || len(r.Left) == 0 {
			t.Errorf("deleted key: %+v", r)
		}
		byID := credential.Credential{Provider: "aws", Kind: "aws.access_key", Ref: key.Ref}
		_, err := p.Revoke(t.Context(), byID)
		wantError(t, err, revoke.ErrManual)
	})
}

func TestKeyIsNotRevokedByItsIDAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key, p := w.MintFor("deploy"), w.provider(t)
		byID := credential.Credential{Provider: "aws", Kind: "aws.access_key", Ref: key.Ref}
		if e, err := p.Inspect(t.Context(), byID); err != nil || e.Account != w.Account() || !strings.HasSuffix(e.Owner, ":user/deploy") {
			t.Fatalf("Inspect: %+v, %v", e, err)
		}
		wantVerdict(t, p, byID, revoke.Inconclusive)
		wantManual(t, w, p, byID, "IAM names user deploy")
		if !w.Alive(key) {
			t.Error("the key died")
		}
	})
}

// wantManual expects a refusal to change anything, for the reason given.
func wantManual(t *testing.T, w world, p revoke.Provider, c credential.Credential, why string) {
	t.Helper()
	before := w.State()
	_, err := p.Revoke(t.Context(), c)
	wantError(t, err, revoke.ErrManual)
	if !strings.Contains(err.Error(), why) {
		t.Errorf("the error does not say %q: %v", why, err)
	}
	noSecret(t, c, err.Error())
	if w.State() != before {
		t.Error("something was changed")
	}
}

// withSecretOf is the planted pair: the id of one key and the secret of another.
func withSecretOf(c, other credential.Credential) credential.Credential {
	return fakeCredential(map[string]string{
		"access_key_id":     c.Secret.Reveal("access_key_id"),
		"secret_access_key": other.Secret.Reveal("secret_access_key"),
	})
}

func TestPlantedIDHarmsNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		innocent, other := w.MintFor("innocent"), w.MintFor("other")
		w.Allow("innocent", "iam:UpdateAccessKey")
		pair := withSecretOf(innocent, other)
		p := w.provider(t)
		wantManual(t, w, p, pair, "may be planted")
		wantManual(t, w, provider(t, w.env(credential.Credential{})), pair, "may be planted")
		mustRevoke(t, p, other)
		wantManual(t, w, p, pair, "may be planted") // what another pair proved is not this one's
		mustRevoke(t, p, innocent)
		if r := mustRevoke(t, p, pair); !r.Already || len(r.Did) != 0 {
			t.Errorf("an inactive key's id: %+v", r)
		}
	})
}

func TestKeyThatSTSRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key := w.MintFor("deploy")
		refused := fake.Fault{Status: 403, Type: "text/xml", Body: errorXML("InvalidClientTokenId", "x")}
		denied := fake.Fault{Status: 403, Type: "text/xml", Body: errorXML("AccessDenied", "x")}
		id := key.Secret.Reveal("access_key_id")
		also := func(action string, also fake.Fault) {
			w.Knobs().SetFault(func(r *http.Request) fake.Fault {
				_ = r.ParseForm()
				switch got := r.PostForm.Get("Action"); {
				case got == "GetCallerIdentity" && strings.Contains(r.Header.Get("Authorization"), id):
					return refused
				case got == action:
					return also
				}
				return fake.Fault{}
			})
		}
		also("", fake.Fault{})
		wantManual(t, w, w.provider(t), key, "active, of user deploy")
		for _, action := range []string{"GetAccessKeyLastUsed", "ListAccessKeys"} {
			also(action, denied)
			wantManual(t, w, w.provider(t), key, "does not tell")
			also(action, fake.Fault{Status: 503})
			_, err := w.provider(t).Revoke(t.Context(), key)
			if retry, _ := errors.AsType[*revoke.RetryError](err); retry == nil || errors.Is(err, revoke.ErrUncertain) {
				t.Errorf("%s: error %v", action, err)
			}
		}
		w.Knobs().SetFault(nil)
		mustRevoke(t, w.provider(t), key)
		later := w.provider(t)
		before := w.State()
		if r := mustRevoke(t, later, key); !r.Already || len(r.Did) != 0 || w.State() != before {
			t.Errorf("an inactive key: %+v", r)
		}
	})
}

func TestLostDenyDoesNotSpareTheKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key, p := w.MintFor("deploy"), w.provider(t)
		session := w.MintSession("deploy", true)
		w.on("PutUserPolicy", fake.Fault{Status: 502})
		_, err := p.Revoke(t.Context(), key)
		wantError(t, err, revoke.ErrUncertain)
		wantVerdict(t, p, key, revoke.Refused)
		w.Knobs().SetFault(nil)
		if r := mustRevoke(t, p, key); !mentions(r.Did, "deny-all") || w.Alive(session) {
			t.Errorf("the deny is not made up for: %+v", r)
		}
	})
}

func TestOursIsLeftAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		authority := w.authority()
		user := ownerOf(t, provider(t, w.env(authority)), authority)
		root := w.MintRoot()
		role := w.MintRoleSession("responders")
		w.Allow("responders", "*")
		for name, pair := range map[string][2]credential.Credential{ // authority, target
			"the same key":          {authority, authority},
			"its user's other key":  {authority, w.MintFor(user)},
			"its user's session":    {authority, w.MintSession(user, true)},
			"its role's other one":  {role, w.MintRoleSession("responders")},
			"the same role session": {role, role},
			"the same root key":     {root, root},
		} {
			before := w.State()
			_, err := provider(t, w.env(pair[0])).Revoke(t.Context(), pair[1])
			if !errors.Is(err, revoke.ErrOurs) {
				t.Errorf("%s: error %v, want ErrOurs", name, err)
			}
			if w.State() != before {
				t.Errorf("%s: something was changed", name)
			}
		}
	})
}

func ownerOf(t *testing.T, p revoke.Provider, c credential.Credential) string {
	t.Helper()
	e, err := p.Inspect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e.Owner[strings.LastIndex(e.Owner, "/")+1:]
}

func TestKeyWithoutAuthority(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := provider(t, w.env(credential.Credential{}))

		meek := w.MintFor("meek")
		before := w.State()
		_, err := p.Revoke(t.Context(), meek)
		wantError(t, err, revoke.ErrNoAuthority)
		if !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("the error does not say what was seen: %v", err)
		}
		noSecret(t, meek, err.Error())
		if w.State() != before {
			t.Error("something was changed")
		}

		able := w.MintFor("able")
		w.Allow("able", "iam:UpdateAccessKey")
		if r := mustRevoke(t, p, able); len(r.Did) != 1 || !mentions(r.Left, "sessions") {
			t.Errorf("receipt %+v", r)
		}
		wantVerdict(t, p, able, revoke.Refused)
		if r := mustRevoke(t, p, able); !r.Already {
			t.Error("the second receipt does not say that it was dead")
		}

		wantManual(t, w, p, credential.Credential{Kind: "aws.access_key", Ref: able.Ref}, "nobody could be asked")
	})
}

func TestRootKeyMakesItselfInactive(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key, p := w.MintRoot(), w.provider(t)
		if r := mustRevoke(t, p, key); !mentions(r.Did, "by itself") || mentions(r.Did, "deny") {
			t.Errorf("did %q", r.Did)
		}
		wantVerdict(t, p, key, revoke.Refused)

		other := w.MintRoot()
		wantManual(t, w, p, credential.Credential{Kind: "aws.access_key", Ref: other.Ref}, "has no user")
		w.on("UpdateAccessKey", fake.Fault{Status: 403, Type: "text/xml", Body: errorXML("AccessDenied", "no")})
		_, err := p.Revoke(t.Context(), other)
		wantError(t, err, revoke.ErrNoAuthority)
		if !strings.Contains(err.Error(), "root") {
			t.Errorf("the error does not say that it is the root's: %v", err)
		}
	})
}

// accounts is AWS with two accounts: a request goes to the account of its key.
type accounts struct {
	*awsfake.Fake
	foreign   *awsfake.Fake
	foreignID string
}

func (a accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Authorization"), a.foreignID) {
		a.foreign.ServeHTTP(w, r)
		return
	}
	a.Fake.ServeHTTP(w, r)
}

func TestKeyOfAnotherAccount(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		foreign := awsfake.New(fake.Wall{})
		for _, key := range []credential.Credential{foreign.MintFor("deploy"), foreign.MintRoleSession("deploy")} {
			net := fake.NewNetwork(accounts{w.Fake, foreign, key.Secret.Reveal("access_key_id")})
			w.MintFor("deploy") // a namesake, who must not be denied
			w.MintRoleSession("deploy")
			env := w.env(w.authority())
			env.HTTP = net.Client()
			before := w.State()
			_, err := provider(t, env).Revoke(t.Context(), key)
			wantError(t, err, revoke.ErrNoAuthority)
			if !strings.Contains(err.Error(), foreign.Account()) {
				t.Errorf("the error does not name the account: %v", err)
			}
			if w.State() != before {
				t.Error("the namesake was changed")
			}
			_ = net.Close()
		}
	})
}

func TestAuthorityThatMayNotEverything(t *testing.T) {
	for _, test := range []struct {
		name      string
		missing   string
		err       error
		did, left string
	}{
		{name: "find the user", missing: "iam:GetAccessKeyLastUsed", did: "deny-all", left: "role sessions"},
		{name: "list keys", missing: "iam:ListAccessKeys", did: "deny-all", left: "could not be listed"},
		{name: "deny", missing: "iam:PutUserPolicy", did: "Inactive", left: "no deny on user"},
		{name: "make inactive", missing: "iam:UpdateAccessKey", did: "deny-all", err: revoke.ErrAuthority},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				limited := w.MintFor("limited")
				w.Allow("limited", "iam:GetAccessKeyLastUsed", "iam:PutUserPolicy", "iam:UpdateAccessKey")
				w.Forbid("limited", test.missing)
				r, err := provider(t, w.env(limited)).Revoke(t.Context(), w.MintFor("deploy"))
				if !errors.Is(err, test.err) || test.err == nil && err != nil {
					t.Fatalf("error %v, want %v", err, test.err)
				}
				if !mentions(r.Did, test.did) || !mentions(r.Left, test.left) {
					t.Errorf("receipt %+v", r)
				}
			})
		})
	}
}

func TestRefusedAuthority(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		authority := w.authority()
		w.RevokeByHand(authority)
		key := w.Mint("aws.access_key")
		before := w.State()
		_, err := provider(t, w.env(authority)).Revoke(t.Context(), key)
		wantError(t, err, revoke.ErrAuthority)
		half := fakeCredential(map[string]string{"access_key_id": "AKIA2222222222222222"})
		_, err = provider(t, w.env(half)).Revoke(t.Context(), key)
		wantError(t, err, revoke.ErrAuthority)
		if w.State() != before {
			t.Error("something was changed")
		}
	})
}

func TestRevokeUnderFaults(t *testing.T) {
	for _, test := range []struct {
		name      string
		action    string
		fault     fake.Fault
		retry     bool
		uncertain bool
		after     time.Duration
	}{
		{"throttled before the deny", "PutUserPolicy", awsfake.Throttled(), true, false, 0},
		{"429", "PutUserPolicy", fake.Fault{Status: 429, RetryAfter: 7 * time.Second}, true, false, 7 * time.Second},
		{"outage while authenticating", "GetCallerIdentity", fake.Fault{Status: 503}, true, false, 0},
		{"outage while reading", "ListAccessKeys", fake.Fault{Status: 503}, true, false, 0},
		{"outage at the deny", "PutUserPolicy", fake.Fault{Status: 500, Type: "text/xml", Body: errorXML("ServiceFailure", "x")}, true, true, 0},
		{"cut answer to the deny", "PutUserPolicy", fake.Fault{CutAfter: true}, true, true, 0},
		{"cut answer to the change of the key", "UpdateAccessKey", fake.Fault{CutAfter: true}, true, true, 0},
		{"half an answer", "UpdateAccessKey", fake.Fault{Cut: true}, true, true, 0},
		{"a portal's 200 at the deny", "PutUserPolicy", fake.Fault{Status: 200, Type: "text/html", Body: "<html>log in</html>"}, true, true, 0},
		{"a proxy's 403 at the deny", "PutUserPolicy", fake.Fault{Status: 403, Type: "text/html", Body: "<html>blocked</html>"}, true, true, 0},
		{"a portal's 200 at the key", "UpdateAccessKey", fake.Fault{Status: 200, Type: "text/html", Body: "<html>log in</html>"}, true, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				key, p := w.Mint("aws.access_key"), w.provider(t)
				w.on(test.action, test.fault)
				_, err := p.Revoke(t.Context(), key)
				var retry *revoke.RetryError
				if err == nil || errors.As(err, &retry) != test.retry || errors.Is(err, revoke.ErrUncertain) != test.uncertain {
					t.Fatalf("error %v: want retry %t, uncertain %t", err, test.retry, test.uncertain)
				}
				if retry.After != test.after {
					t.Errorf("after %v, want %v", retry.After, test.after)
				}
				noSecret(t, key, err.Error(), retry.Error())
				w.Knobs().SetFault(nil)
				mustRevoke(t, p, key)
				wantVerdict(t, p, key, revoke.Refused)
			})
		})
	}
}

func TestUserWhoIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key, p := w.Mint("aws.access_key"), w.provider(t)
		w.on("ListAccessKeys", fake.Fault{Status: 404, Type: "text/xml", Body: errorXML("NoSuchEntity", "x")})
		before := w.State()
		if r := mustRevoke(t, p, key); !r.Already || w.State() != before {
			t.Errorf("receipt %+v", r)
		}
	})
}

// emptied answers one action with an empty success in AWS's name.
type emptied struct {
	next   http.RoundTripper
	action string
}

func (e emptied) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	if form, _ := url.ParseQuery(string(body)); form.Get("Action") == e.action {
		return &http.Response{StatusCode: 200, Header: http.Header{"X-Amzn-Requestid": {"r"}}, Body: http.NoBody, Request: r}, nil
	}
	return e.next.RoundTrip(r)
}

func TestEmptySuccessesAreNone(t *testing.T) {
	for _, action := range []string{"GetCallerIdentity", "ListAccessKeys"} {
		inWorld(t, func(t *testing.T, w world) {
			env := w.env(w.authority())
			env.HTTP = &http.Client{Transport: emptied{w.net.Transport(), action}}
			key := w.Mint("aws.access_key")
			before := w.State()
			if r, err := provider(t, env).Revoke(t.Context(), key); err == nil || w.State() != before {
				t.Errorf("%s: %+v, %v", action, r, err)
			}
		})
	}
}

func TestDoneContextSendsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, kind := range w.Kinds() {
			_, err := w.provider(t).Revoke(ctx, w.Mint(kind))
			wantError(t, err, context.Canceled)
		}
		if n := len(w.Knobs().Calls()); n != 0 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

func TestHangEndsWithTheContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		key, p := w.Mint("aws.access_key"), w.provider(t)
		w.on("PutUserPolicy", fake.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := p.Revoke(ctx, key)
		wantError(t, err, context.DeadlineExceeded)
		wantError(t, err, revoke.ErrUncertain)
	})
}
