package aws_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws"
	"clawback/revoke/providers/aws/awsfake"
)

func decode(into any, deletePasswords bool) error {
	return json.Unmarshal(fmt.Appendf(nil, `{"delete_passwords": %t}`, deletePasswords), into)
}

func TestPasswordOfADeniedUser(t *testing.T) {
	for _, deleting := range []bool{false, true} {
		for _, has := range []bool{false, true} {
			inWorld(t, func(t *testing.T, w world) {
				victim := w.MintFor("deploy")
				if has {
					w.SetPassword("deploy")
				}
				env := w.env(w.authority())
				env.Settings = func(into any) error { return decode(into, deleting) }
				r := mustRevoke(t, provider(t, env), victim)
				if w.HasPassword("deploy") != (has && !deleting) {
					t.Errorf("deleting %t: the password is there: %t", deleting, w.HasPassword("deploy"))
				}
				if did, left := mentions(r.Did, "password"), mentions(r.Left, "password"); did != (has && deleting) || left != (has && !deleting) {
					t.Errorf("deleting %t, has one %t: did %q, left %q", deleting, has, r.Did, r.Left)
				}
			})
		}
	}
}

func TestPasswordThatMayNotBeDeleted(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		victim := w.MintFor("deploy")
		w.SetPassword("deploy")
		env := w.env(w.authority())
		env.Settings = func(into any) error { return decode(into, true) }
		p := provider(t, env)
		if kind, _ := p.Info().Kind("aws.access_key"); !strings.Contains(kind.Effect, "password") {
			t.Errorf("the effect does not say it: %q", kind.Effect)
		}
		w.on("DeleteLoginProfile", fake.Fault{Status: 403, Type: "text/xml", Body: errorXML("AccessDenied", "no")})
		if r := mustRevoke(t, p, victim); !mentions(r.Left, "may not be deleted (403 AccessDenied") {
			t.Errorf("left: %q", r.Left)
		}
	})
}

func TestSettingsThatCannotBeRead(t *testing.T) {
	broken := errors.New("no such field")
	synctest.Test(t, func(t *testing.T) {
		w := fake.NewNetwork(awsfake.New(fake.Wall{}))
		defer func() { _ = w.Close() }()
		_, err := aws.New(revoke.Env{HTTP: w.Client(), Settings: func(any) error { return broken }})
		wantError(t, err, broken)
	})
}

// AWS says only that the signature is wrong: the answer says by how much our clock is.
func TestClockThatIsWrong(t *testing.T) {
	for off, want := range map[time.Duration]string{
		20 * time.Minute:  "this machine's clock is 20m0s behind AWS's",
		-20 * time.Minute: "this machine's clock is 20m0s ahead of AWS's",
		time.Minute:       "",
	} {
		inWorld(t, func(t *testing.T, w world) {
			c := w.MintFor("deploy")
			p := w.provider(t)
			w.Knobs().SetSkew(off)
			wrong := credential.Credential{Provider: "aws", Kind: c.Kind, Secret: credential.NewSecret(map[string]string{
				"access_key_id": c.Secret.Reveal("access_key_id"), "secret_access_key": "x" + c.Secret.Reveal("secret_access_key"),
			})}
			v := wantVerdict(t, p, wrong, revoke.Inconclusive)
			if said := strings.Contains(v.Answer, "clock"); said != (want != "") || !strings.Contains(v.Answer, want) {
				t.Errorf("%v off: %q", off, v.Answer)
			}
			wantVerdict(t, p, c, revoke.Alive) // by AWS's clock
		})
	}
}
