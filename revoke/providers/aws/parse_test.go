package aws

import (
	"encoding/base64"
	"strings"
	"testing"

	"clawback/revoke/credential"
)

func TestParseARN(t *testing.T) {
	for arn, owner := range map[string]string{
		"arn:aws:iam::123456789012:user/deploy":                  "arn:aws:iam::123456789012:user/deploy",
		"arn:aws:iam::123456789012:user/division/team/deploy":    "arn:aws:iam::123456789012:user/deploy",
		"arn:aws:sts::123456789012:assumed-role/deployer/i-0abc": "arn:aws:iam::123456789012:role/deployer",
		"arn:aws:iam::123456789012:root":                         "arn:aws:iam::123456789012:root",
		"arn:aws:sts::123456789012:federated-user/bob":           "arn:aws:iam::123456789012:federated-user/bob",
		"arn:aws-us-gov:iam::123456789012:user/deploy":           "arn:aws-us-gov:iam::123456789012:user/deploy",
		"":                                     "",
		"arn:aws:iam::123456789012":            "",
		"arn:aws:iam::123456789012:user":       "",
		"arn:aws:iam::123456789012:user/":      "",
		"arn:aws:iam::123456789012:user/a\x1b": "",
		"arn:aws:iam::x y:user/a":              "",
		"arn:aws:iam:::user/a":                 "",
	} {
		p, ok := parseARN(arn)
		if ok != (owner != "") || ok && p.owner() != owner {
			t.Errorf("%q: %q, %t; want %q", arn, p.owner(), ok, owner)
		}
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:user/division/deploy")
	f.Add("arn:aws:sts::123456789012:assumed-role/deployer/session")
	f.Fuzz(func(t *testing.T, arn string) {
		p, ok := parseARN(arn)
		if ok && (strings.ContainsAny(p.name, "/\n\x1b*") || p.name == "" && p.kind != "root") {
			t.Errorf("%q gives the name %q", arn, p.name)
		}
	})
}

// What of an event or a key is shown, or put into a request, has the form that AWS gives it.
func FuzzParseEvent(f *testing.F) {
	f.Add(`{"eventName":"CreateUser","eventSource":"iam.amazonaws.com","recipientAccountId":"1","responseElements":{"user":{"userId":"AIDAAAAAAAAAAAAAAAAA","userName":"a"}}}`)
	f.Add(`{"eventName":"AssumeRole","requestParameters":{"roleArn":"arn:aws:iam::1:role/a"},"responseElements":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEvent(text)
		if err != nil {
			return
		}
		if s := e.subject(); strings.ContainsAny(s, "\r\n\x00\x1b") || len(s) > 160 {
			t.Errorf("subject %q", s)
		}
		c, ok := responder{}.credentialOf(e)
		if ok && (!entityName.MatchString(c.Ref["user"]) || !longTermID.MatchString(c.Ref["id"]) && !userID.MatchString(c.Ref["id"])) {
			t.Errorf("created %v", c.Ref)
		}
	})
}

func FuzzBedrockKey(f *testing.F) {
	f.Add("ABSK" + base64.StdEncoding.EncodeToString([]byte("a-at-123456789012:"+strings.Repeat("s", 60))))
	f.Add(shortPrefix + base64.StdEncoding.EncodeToString([]byte("bedrock.amazonaws.com/?X-Amz-Credential=ASIAAAAAAAAAAAAAAAAA%2F2&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60")))
	f.Fuzz(func(t *testing.T, value string) {
		c := credential.Credential{Secret: credential.NewSecret(map[string]string{"value": value})}
		if k, err := bedrockKeyOf(c); err == nil && (!bedrockName.MatchString(k.alias) || !accountID.MatchString(k.account)) {
			t.Errorf("alias %q of account %q", k.alias, k.account)
		}
		if s, ok := shortKeyOf(c); ok && !signerID.MatchString(s.signer) {
			t.Errorf("signed by %q", s.signer)
		}
	})
}
