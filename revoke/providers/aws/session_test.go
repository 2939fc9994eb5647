package aws_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

func TestRoleSessionDiesByADenyOfOlderSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		session := w.MintRoleSession("deployer")
		twin := w.MintRoleSession("deployer")
		env := w.env(w.authority())
		env.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) } // a slow desk
		p := provider(t, env)
		w.Knobs().SetLag(4 * time.Second)

		r := mustRevoke(t, p, session) // looks at the session itself, since nobody did
		if !mentions(r.Did, "AWSRevokeOlderSessions on role deployer") || !mentions(r.Left, "assume it anew") {
			t.Errorf("receipt %+v", r)
		}
		wantVerdict(t, p, session, revoke.Alive)
		time.Sleep(4 * time.Second)
		wantVerdict(t, p, session, revoke.Refused)
		if w.Alive(session) || w.Alive(twin) {
			t.Error("a session of the role is alive")
		}
		time.Sleep(2 * time.Minute)
		if fresh := w.MintRoleSession("deployer"); !w.Alive(fresh) {
			t.Error("a session issued later is dead: the deny is no question of its issue")
		}
	})
}

func TestSessionThatMayReadNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		session, p := w.MintRoleSession("blind"), w.provider(t)
		w.Forbid("blind", "iam:ListAccountAliases")
		wantVerdict(t, p, session, revoke.Alive) // not permitted, but not denied either
		mustRevoke(t, p, session)
		wantVerdict(t, p, session, revoke.Refused)
	})
}

// A deny proves nothing to who has not seen the session without it: it may be of old, and narrow.
func TestDenyOfUnknownAgeProvesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		session := w.MintRoleSession("deployer")
		authority := w.authority()
		mustRevoke(t, provider(t, w.env(authority)), session)
		later := provider(t, w.env(authority))
		wantVerdict(t, later, session, revoke.Inconclusive)
		mustRevoke(t, later, session)
		wantVerdict(t, later, session, revoke.Inconclusive)
	})
}

func TestDenyOfAnotherPolicyTypeProvesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		session, p := w.MintRoleSession("deployer"), w.provider(t)
		wantVerdict(t, p, session, revoke.Alive)
		for _, message := range []string{"with an explicit deny in a service control policy", "", "denied"} {
			w.on("ListAccountAliases", fake.Fault{Status: 403, Type: "text/xml", Body: errorXML("AccessDenied", message)})
			wantVerdict(t, p, session, revoke.Inconclusive)
		}
	})
}

func TestUserSession(t *testing.T) {
	for _, test := range []struct {
		name  string
		mfa   bool
		after revoke.Outcome
	}{
		{"with MFA", true, revoke.Refused},
		{"without MFA, which IAM calls invalid alive or dead", false, revoke.Inconclusive},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				session, p := w.MintSession("deploy", test.mfa), w.provider(t)
				if v := p.Verify(t.Context(), session); v.Outcome == revoke.Refused {
					t.Fatalf("a live session is refused: %s", v.Answer)
				}
				if r := mustRevoke(t, p, session); !mentions(r.Did, "deny-all policy clawback-deny-all on user deploy") {
					t.Errorf("receipt %+v", r)
				}
				if w.Alive(session) {
					t.Error("it is alive")
				}
				wantVerdict(t, p, session, test.after)
			})
		})
	}
}

func TestExpiredSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		for _, session := range []credential.Credential{w.MintRoleSession("deployer"), w.MintSession("deploy", false)} {
			time.Sleep(13 * time.Hour)
			wantVerdict(t, p, session, revoke.Refused)
			before := w.State()
			if r := mustRevoke(t, p, session); !r.Already || w.State() != before {
				t.Errorf("receipt %+v", r)
			}
		}
	})
}

// AWS says the same of a live session of another partition, China or GovCloud, as of one that is dead.
func TestSessionThatAWSNeverKnew(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, session := w.provider(t), w.MintSession("deploy", false)
		refuseAll := func(*http.Request) fake.Fault {
			return fake.Fault{Status: 403, Type: "text/xml", Body: errorXML(invalid, "x")}
		}
		w.Knobs().SetFault(refuseAll)
		if v := wantVerdict(t, p, session, revoke.Inconclusive); !strings.Contains(v.Answer, "partition") {
			t.Errorf("answer %q", v.Answer)
		}
		w.Knobs().SetFault(nil)
		p.Verify(t.Context(), session) // which STS knows, and IAM does not serve
		w.Knobs().SetFault(refuseAll)
		wantVerdict(t, p, session, revoke.Refused)
		again := w.provider(t)
		again.(revoke.Rememberer).Remember(session)
		wantVerdict(t, again, session, revoke.Refused)
	})
}

func TestSessionNeedsAnAuthorityAndItsSecret(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		session := w.Mint("aws.session")
		_, err := provider(t, w.env(credential.Credential{})).Revoke(t.Context(), session)
		wantError(t, err, revoke.ErrNoAuthority)
		byID := credential.Credential{Kind: "aws.session", Ref: session.Ref}
		if _, err := w.provider(t).Revoke(t.Context(), byID); err == nil || !strings.Contains(err.Error(), "CloudTrail") {
			t.Errorf("error %v does not say where its owner is found", err)
		}
	})
}

func TestRoleThatOnlyAWSMayChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		_, err := w.provider(t).Revoke(t.Context(), w.MintRoleSession("AWSServiceRoleForSupport"))
		wantError(t, err, revoke.ErrManual)
	})
}

func TestRootSessionIsNotStopped(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		root := w.MintRoot()
		own, _ := w.as(root)
		out, err := own.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		c := credential.Credential{Kind: "aws.session", Secret: credential.NewSecret(map[string]string{
			"access_key_id": *out.Credentials.AccessKeyId, "secret_access_key": *out.Credentials.SecretAccessKey, "session_token": *out.Credentials.SessionToken,
		})}
		p := w.provider(t)
		before := w.State()
		_, err = p.Revoke(t.Context(), c)
		wantError(t, err, revoke.ErrManual)
		if w.State() != before {
			t.Error("something was changed")
		}
	})
}

// What looks at the session beforehand must not hold its deny up.
func TestBaselineDoesNotHoldTheDenyUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		session, p := w.MintRoleSession("deployer"), w.provider(t)
		w.on("ListAccountAliases", fake.Fault{Hang: true})
		start := time.Now()
		mustRevoke(t, p, session)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestRoleOutageIsUncertain(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		w.on("PutRolePolicy", fake.Fault{Status: http.StatusBadGateway})
		_, err := w.provider(t).Revoke(t.Context(), w.Mint("aws.session"))
		wantError(t, err, revoke.ErrUncertain)
	})
}
