package aws_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/aws/awsfake"
)

func bedrockCredential(value string) credential.Credential {
	return credential.Credential{Provider: "aws", Kind: "aws.bedrock_key", Secret: credential.NewSecret(map[string]string{"value": value})}
}

func TestBedrockKeyAmongOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		all := []credential.Credential{w.MintBedrock("a"), w.MintBedrock("a"), w.MintBedrock("a-b"), w.MintBedrock("c"), w.MintBedrock("c")}
		w.SetPage(2)
		p := w.provider(t)
		for i, c := range all {
			if k, ok := credential.Recognize(c.Secret.Reveal("value")); !ok || k.Name != "aws.bedrock_key" {
				t.Fatalf("it is recognized as %q", k.Name)
			}
			wantVerdict(t, p, c, revoke.Alive)
			r := mustRevoke(t, p, c)
			if len(r.Did) != 1 || r.Already {
				t.Errorf("%+v", r)
			}
			if v := wantVerdict(t, p, c, revoke.Refused); !strings.Contains(v.Answer, "IAM lists it as Inactive") {
				t.Errorf("the answer does not say both proofs: %q", v.Answer)
			}
			for _, other := range all[i+1:] {
				if !w.Alive(other) {
					t.Fatal("another key died")
				}
			}
		}
	})
}

// The alias is no secret: with another secret behind it, its owner would be harmed.
func TestBedrockKeyThatIsPlanted(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, innocent := w.provider(t), w.MintBedrock("innocent")
		text, err := base64.StdEncoding.DecodeString(innocent.Secret.Reveal("value")[4:])
		if err != nil {
			t.Fatal(err)
		}
		alias, secret, _ := strings.Cut(string(text), ":")
		planted := bedrockCredential("ABSK" + base64.StdEncoding.EncodeToString([]byte(alias+":"+strings.ToLower(secret))))
		before := w.State()
		_, err = p.Revoke(t.Context(), planted)
		wantError(t, err, revoke.ErrManual)
		noSecret(t, planted, err.Error())
		if w.State() != before {
			t.Error("it was changed")
		}
		wantVerdict(t, p, planted, revoke.Inconclusive)
	})
}

func TestBedrockKeyOfADeniedUser(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, c, key := w.provider(t), w.MintBedrock("agent"), w.MintFor("agent")
		mustRevoke(t, p, key)
		wantVerdict(t, p, c, revoke.Inconclusive) // the deny may be taken back
		mustRevoke(t, p, c)
		wantVerdict(t, p, c, revoke.Refused)
	})
}

func TestBedrockKeyThatMayNotListModels(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		p, c := w.provider(t), w.MintBedrock("agent")
		w.Forbid("agent", "bedrock:ListFoundationModels")
		wantVerdict(t, p, c, revoke.Alive)
		mustRevoke(t, p, c)
		wantVerdict(t, p, c, revoke.Refused)
	})
}

func TestBedrockKeyWithoutAProof(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		c := w.MintBedrock("agent")
		mustRevoke(t, w.provider(t), c)
		wantVerdict(t, provider(t, w.env(credential.Credential{})), c, revoke.Inconclusive)
		other := awsfake.New(fake.Wall{})
		stranger := other.MintBedrock("agent")
		_, err := w.provider(t).Revoke(t.Context(), stranger)
		wantError(t, err, revoke.ErrNoAuthority)
		wantVerdict(t, w.provider(t), stranger, revoke.Inconclusive)
	})
}

func TestVerdictsOfBedrock(t *testing.T) {
	for _, test := range []struct {
		status int
		own    bool // an answer of AWS's
		body   string
		want   revoke.Outcome // of a key that IAM lists as Inactive
	}{
		{403, true, `{"Message":"Authentication failed: Please make sure your API Key is valid."}`, revoke.Refused},
		{403, true, `{"message":"Bearer Token has expired"}`, revoke.Refused},
		{403, false, `{"Message":"Authentication failed: Please make sure your API Key is valid."}`, revoke.Inconclusive},
		{401, true, `{"Message":"Authentication failed"}`, revoke.Inconclusive},
		{403, true, `{"hello":"world"}`, revoke.Inconclusive},
		{403, true, `<html>`, revoke.Inconclusive},
		{403, true, `{"message":"not authorized with an explicit deny in a service control policy"}`, revoke.Inconclusive},
		{403, true, `{"message":"not authorized because no identity-based policy allows the x action"}`, revoke.Alive},
		{200, true, `{"modelSummaries":[]}`, revoke.Alive},
		{200, true, `{}`, revoke.Inconclusive},
		{200, false, `{"modelSummaries":[]}`, revoke.Inconclusive},
		{429, true, `{"message":"Too many requests"}`, revoke.Inconclusive},
		{500, true, `{"message":"x"}`, revoke.Inconclusive},
		{302, true, ``, revoke.Inconclusive},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.body), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w world) {
				p, c := w.provider(t), w.MintBedrock("agent")
				mustRevoke(t, p, c)
				w.net.Handle("bedrock.us-east-1.amazonaws.com", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if test.own {
						rw.Header().Set("X-Amzn-Requestid", "r")
					}
					rw.WriteHeader(test.status)
					_, _ = io.WriteString(rw, test.body)
				}))
				wantVerdict(t, p, c, test.want)
			})
		})
	}
}

// Nothing is sent of what does not name a user and an account.
func TestBedrockKeysThatAreNone(t *testing.T) {
	encode := func(text string) string { return "ABSK" + base64.StdEncoding.EncodeToString([]byte(text)) }
	long := strings.Repeat("s", 60)
	inWorld(t, func(t *testing.T, w world) {
		p := w.provider(t)
		for _, value := range []string{
			"", "ABSK", "ABSK" + long, encode("a-at-123456789012" + long), encode("a-at-12345678901:" + long), encode("-at-123456789012:" + long),
			encode("a b-at-123456789012:" + long), encode("a\r\n-at-123456789012:" + long), encode("../x-at-123456789012:" + long),
			encode("a-at-123456789012:"), encode(strings.Repeat("a", 300) + "-at-123456789012:" + long),
		} {
			c := bedrockCredential(value)
			wantVerdict(t, p, c, revoke.Inconclusive)
			_, err := p.Revoke(t.Context(), c)
			wantError(t, err, revoke.ErrManual)
		}
		if n := len(w.asked()); n > 0 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

func TestShortBedrockKeySaysWhatEndsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		c := w.MintBedrockShort("agent-role")
		if k, ok := credential.Recognize(c.Secret.Reveal("value")); !ok || k.Name != c.Kind {
			t.Fatalf("it is recognized as %q", k.Name)
		}
		p := w.provider(t)
		_, err := p.Revoke(t.Context(), c)
		wantError(t, err, revoke.ErrUnkillable)
		for _, text := range []string{err.Error(), wantVerdict(t, p, c, revoke.Inconclusive).Answer} {
			if !strings.Contains(text, "signed by key ASIA…") || !strings.Contains(text, c.Expires.UTC().Format(time.RFC3339)) {
				t.Errorf("it says %q", text)
			}
			noSecret(t, c, text)
		}
		for _, value := range []string{"bedrock-api-key-", "bedrock-api-key-AAAA", "bedrock-api-key-" + strings.Repeat("A", 10<<10), "x"} {
			c.Secret = credential.NewSecret(map[string]string{"value": value})
			wantVerdict(t, p, c, revoke.Inconclusive)
			_, err := p.Revoke(t.Context(), c)
			wantError(t, err, revoke.ErrUnkillable)
		}
	})
}

// Once a list named the key's user, the others' keys are not listed for it again.
func TestBedrockUserIsRemembered(t *testing.T) {
	inWorld(t, func(t *testing.T, w world) {
		var c credential.Credential
		for range 9 {
			c = w.MintBedrock("agent" + rand.Text())
		}
		w.SetPage(2)
		p := w.provider(t)
		mustRevoke(t, p, c)
		lists := func() (n int) {
			for _, call := range w.Knobs().Calls() {
				if call.Action == "ListServiceSpecificCredentials" {
					n++
				}
			}
			return n
		}
		before := lists()
		wantVerdict(t, p, c, revoke.Refused)
		if n := lists() - before; n != 1 {
			t.Errorf("%d lists were asked for", n)
		}
	})
}
