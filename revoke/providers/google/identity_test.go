package google

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"regexp"
	"strings"
	"testing"
	"time"

	"clawback/revoke/credential"
)

// What a hostile host says of a key makes no address but one of a service account, and no signature
// but one by an RSA key.
func FuzzIdentity(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----", "a@acme-prod.iam.gserviceaccount.com", strings.Repeat("a", 40))
	f.Add(`{"type":"service_account","private_key":"x","client_email":"../a@b.gserviceaccount.com"}`, "", "")
	f.Add("", "a@evil.test", "../../x")
	f.Add("", "1-compute@developer.gserviceaccount.com\n", "x")
	path := regexp.MustCompile(`\A/v1/projects/(?:-|[a-z][a-z0-9-]+)/serviceAccounts/[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com\z`)
	f.Fuzz(func(t *testing.T, value, email, keyID string) {
		c := credential.Credential{Secret: credential.Value(value), Ref: map[string]string{"id": keyID}, Owner: email}
		id, err := identityOf(c)
		if err != nil {
			return
		}
		if !path.MatchString(id.account()) || id.keyID != "" && !keyIDForm.MatchString(id.keyID) {
			t.Errorf("%q %q", id.account(), id.keyID)
		}
		if id.key != nil {
			_, _ = id.assertion(probeScope, time.Now())
			id.owns(value)
		}
	})
}

func TestProjectOfAnAccount(t *testing.T) {
	for email, want := range map[string]string{
		"a@acme-prod.iam.gserviceaccount.com":              "/v1/projects/acme-prod/serviceAccounts/a@acme-prod.iam.gserviceaccount.com",
		"acme-prod@appspot.gserviceaccount.com":            "/v1/projects/-/serviceAccounts/acme-prod@appspot.gserviceaccount.com",
		"123-compute@developer.gserviceaccount.com":        "/v1/projects/-/serviceAccounts/123-compute@developer.gserviceaccount.com",
		"a@acme-prod.acme.example.gserviceaccount.com":     "/v1/projects/-/serviceAccounts/a@acme-prod.acme.example.gserviceaccount.com",
		"a@prod.acme.example.iam.gserviceaccount.com":      "/v1/projects/-/serviceAccounts/a@prod.acme.example.iam.gserviceaccount.com",
		"a@x.iam.gserviceaccount.com.evil.test":            "",
		"a/../b@acme-prod.iam.gserviceaccount.com":         "",
		"a@acme-prod.iam.gserviceaccount.com:disable":      "",
		"A@ACME-PROD.IAM.GSERVICEACCOUNT.COM":              "",
		strings.Repeat("a", 64) + "@b.gserviceaccount.com": "",
	} {
		id, err := identityOf(credential.Credential{Owner: email, Ref: map[string]string{"id": strings.Repeat("0", 40)}})
		if (err == nil) != (want != "") || err == nil && id.account() != want {
			t.Errorf("%s: %q, %v", email, id.account(), err)
		}
	}
}

// IAM gives the public half as a key or as a certificate, both PEM in base64.
func TestOwns(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	public := func(k *rsa.PrivateKey) string {
		der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		return text("PUBLIC KEY", der, err)
	}
	certificate := func(k *rsa.PrivateKey) string {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: key.N}, &x509.Certificate{}, &k.PublicKey, k)
		return text("CERTIFICATE", der, err)
	}
	id := identity{key: key}
	if !id.owns(public(key)) || !id.owns(certificate(key)) {
		t.Error("not its own")
	}
	for name, published := range map[string]string{
		"another's key": public(other), "another's certificate": certificate(other), "nothing": "", "no base64": "%", "no PEM": "AAAA",
		"no key": text("PUBLIC KEY", []byte("x"), nil),
	} {
		if id.owns(published) {
			t.Errorf("%s is taken for its own", name)
		}
	}
}
