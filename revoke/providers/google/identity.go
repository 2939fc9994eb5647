package google

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

const (
	maxKeyFile = 32 << 10
	maxKeyText = 8 << 10 // more is no key of Google's, and slow to sign with

	// audience names the token endpoint also where another one is pinned, which passes it on.
	audience = "https://oauth2.googleapis.com/token"
	// probeScope allows what is minted for a proof to read its own address and nothing else.
	probeScope = "https://www.googleapis.com/auth/userinfo.email"
	cloudScope = "https://www.googleapis.com/auth/cloud-platform"
)

// What may become part of an address: a hostile host may have said it.
var (
	emailForm = lazyregexp.New(`\A[a-z0-9][a-z0-9.-]{0,62}@(?:[a-z0-9][a-z0-9-]{0,62}\.){1,6}gserviceaccount\.com\z`)
	keyIDForm = lazyregexp.New(`\A[0-9a-f]{40}\z`)
	// inProject is an address that names its project: https://cloud.google.com/iam/docs/service-account-types
	inProject = lazyregexp.New(`@([a-z][a-z0-9-]{4,28}[a-z0-9])\.iam\.gserviceaccount\.com\z`)
)

// identity is a key of a service account, as far as it is known.
type identity struct {
	email string
	keyID string          // empty where nobody says it
	key   *rsa.PrivateKey // nil where only the Ref is known
}

// keyFile is what Google gives out as a credentials file.
type keyFile struct {
	Type         string `json:"type"` // "service_account" or "authorized_user"
	Email        string `json:"client_email"`
	KeyID        string `json:"private_key_id"`
	Key          string `json:"private_key"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Refresh      string `json:"refresh_token"`
}

// readKeyFile reads a credentials file that was kept whole as a secret's value.
func readKeyFile(value string) (f keyFile, ok bool) {
	value = strings.TrimSpace(value)
	if len(value) > maxKeyFile || !strings.HasPrefix(value, "{") || json.Unmarshal([]byte(value), &f) != nil {
		return keyFile{}, false
	}
	return f, true
}

// identityOf reads a service account key: the private key itself, or its whole file; beside it, as
// its Ref or its owner, the account.
func identityOf(c credential.Credential) (identity, error) {
	s := c.Secret
	value := cmp.Or(s.Reveal("private_key"), s.Reveal("value"))
	file, _ := readKeyFile(value)
	id := identity{email: cmp.Or(file.Email, s.Reveal("client_email"), c.Ref["client_email"], c.Owner)}
	for _, claimed := range []string{file.KeyID, s.Reveal("private_key_id"), c.Ref["private_key_id"], c.Ref["id"]} {
		if id.keyID == "" && keyIDForm.MatchString(claimed) {
			id.keyID = claimed
		}
	}
	if !s.Empty() {
		if id.key = parseKey(cmp.Or(file.Key, value)); id.key == nil {
			return id, errors.New("its value is no RSA key of a service account")
		}
	}
	if len(id.email) > 254 || !emailForm.MatchString(id.email) {
		return id, errors.New("the service account that it belongs to is not known")
	}
	if id.key == nil && id.keyID == "" {
		return id, errors.New("neither the key nor its id is known")
	}
	return id, nil
}

// parseKey reads a PEM key, and returns nil where it is none to sign with.
func parseKey(text string) *rsa.PrivateKey {
	if len(text) > maxKeyText {
		return nil
	}
	block, _ := pem.Decode([]byte(strings.TrimSpace(text)))
	if block == nil {
		return nil
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		parsed, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
		key, _ = parsed.(*rsa.PrivateKey)
	}
	return key
}

// account is the account's path. Google answers 404 for what is gone only where the project is named.
func (id identity) account() string {
	project := "-"
	if m := inProject.FindStringSubmatch(id.email); m != nil {
		project = m[1]
	}
	return "/v1/projects/" + project + "/serviceAccounts/" + id.email
}

// path is where IAM has the key with that id.
func (id identity) path(keyID string) string { return id.account() + "/keys/" + keyID }

// project is the account's own, "" where its address does not name it.
func (id identity) project() string {
	if m := inProject.FindStringSubmatch(id.email); m != nil {
		return m[1]
	}
	return ""
}

// owns reports whether published, PEM in base64 as IAM gives it, is the key's public half.
func (id identity) owns(published string) bool {
	raw, err := base64.StdEncoding.DecodeString(published)
	block, _ := pem.Decode(raw)
	if err != nil || block == nil {
		return false
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if certificate, failed := x509.ParseCertificate(block.Bytes); err != nil && failed == nil {
		public = certificate.PublicKey
	}
	return id.key.PublicKey.Equal(public)
}

// assertion is the signed claim that a key is exchanged for a token by:
// https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
func (id identity) assertion(scope string, at time.Time) (string, error) {
	// The key's id stays out: it is a claim of the host's, and Google tries all keys of the account.
	h, _ := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT"}) // strings and numbers always marshal
	claims := map[string]any{
		"iss": id.email, "scope": scope, "aud": audience,
		"iat": at.Unix(), "exp": at.Add(5 * time.Minute).Unix(),
	}
	b, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, id.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", errors.New("the key signs nothing")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
