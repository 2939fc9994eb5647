package awsfake

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"clawback/revoke/fake"
)

// The example of AWS's own documentation of Signature Version 4 for query APIs:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html
func TestSignatureOfAWSDocumentation(t *testing.T) {
	const (
		secret    = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
		published = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	)
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	r := httptest.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.RequestURI = "/?Action=ListUsers&Version=2010-05-08"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", at.Format(amzTime))
	header := algorithm + " Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=" + published
	a, ok := parseAuthorization(header)
	if !ok {
		t.Fatal("the header is not understood")
	}
	if got := hex.EncodeToString(a.sign(secret, at, a.canonicalRequest(r, nil))); got != published {
		t.Fatalf("signature %s, want %s", got, published)
	}
	if fault := a.fault(r, nil, secret, "iam", at); fault != "" {
		t.Error(fault)
	}
	for name, spoil := range map[string]func() string{
		"secret":  func() string { return a.fault(r, nil, secret+"x", "iam", at) },
		"body":    func() string { return a.fault(r, []byte("x"), secret, "iam", at) },
		"service": func() string { return a.fault(r, nil, secret, "sts", at) },
		"late":    func() string { return a.fault(r, nil, secret, "iam", at.Add(16*time.Minute)) },
		"early":   func() string { return a.fault(r, nil, secret, "iam", at.Add(-16*time.Minute)) },
	} {
		if spoil() == "" {
			t.Errorf("accepted with another %s", name)
		}
	}
}

func TestPolicies(t *testing.T) {
	for document, want := range map[string]string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`:     "deny",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"]}]}`: "deny",
		olderThan(time.Unix(0, 0)): "deny",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:*","Resource":"*"}]}`:                                               "",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`:                                                  "",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceIp":"x"}}}]}`: "",
		`{"Version":"2012-10-17","Statement":[]}`:                                                                                                "malformed",
		`{"Version":"2012-10-17","Statement":[{"Effect":"No","Action":"*","Resource":"*"}]}`:                                                     "malformed",
		`{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`:                                                                          "malformed",
		``:  "malformed",
		`{`: "malformed",
	} {
		d, ok := parsePolicy(document)
		got := map[bool]string{true: "deny", false: ""}[d != nil]
		if !ok {
			got = "malformed"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", document, got, want)
		}
	}
}

func TestStateHoldsNoSecret(t *testing.T) {
	f := New(fake.Wall{})
	c := f.MintSession("deploy", false)
	before := f.State()
	for _, part := range []string{"secret_access_key", "session_token"} {
		if strings.Contains(before, c.Secret.Reveal(part)) {
			t.Errorf("the state shows the %s", part)
		}
	}
	f.RevokeByHand(c)
	if f.Alive(c) || f.State() == before {
		t.Error("the session was not revoked")
	}
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add(algorithm+" Credential=A/20150830/us-east-1/iam/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20150830T123600Z")
	f.Add("Bearer x", "")
	f.Fuzz(func(t *testing.T, header, date string) {
		a, ok := parseAuthorization(header)
		if !ok {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "https://iam.amazonaws.com/", nil)
		r.Header = http.Header{"X-Amz-Date": {date}}
		if a.fault(r, nil, "secret", "iam", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)) == "" {
			t.Error("a signature without its secret is right")
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(olderThan(time.Unix(0, 0)))
	f.Fuzz(func(t *testing.T, document string) {
		if d, ok := parsePolicy(document); d != nil && !ok {
			t.Error("a deny in what is no policy")
		}
	})
}
