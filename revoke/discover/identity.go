package discover

import (
	"cmp"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// identify adds what a candidate's value says of itself. All of it is a claim: a token's signature
// is not checked.
func (s *scan) identify(c *candidate) {
	if id := c.parts["access_key_id"]; id != "" && c.owner == "" {
		if account := awsAccount(id); account != "" {
			c.owner = "AWS account " + account
		}
	}
	c.serviceAccountFile()
	value := c.parts["value"]
	if claims, ok := jwtClaims(value); ok {
		c.owner = cmp.Or(c.owner, claims.Email, claims.Profile.Email, claims.UPN, claims.Preferred, claims.Subject)
		if c.provider == "kubernetes" && strings.HasPrefix(claims.Subject, "system:serviceaccount:") {
			c.owner = claims.Subject // a kubeconfig gives it any name
		}
		if c.expires.IsZero() {
			c.expires = moment(claims.Expires.String())
		}
		if claims.Issuer != "" && c.endpoint == "" {
			c.endpoint = origin(claims.Issuer)
		}
	}
	if c.owner == "" {
		c.owner = loginOf(value)
	}
	c.doubt = s.doubts(*c)
}

// loginOf is the login that stands beside the password in a URL.
func loginOf(value string) string {
	if _, ok := passwordURL(value); !ok {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil {
		return ""
	}
	return u.User.Username()
}

// doubts tells why a candidate may be no live credential.
func (s *scan) doubts(c candidate) Doubt {
	id, value := c.parts["access_key_id"], c.value()
	switch {
	case c.unresolved != "":
		return ""
	case example(value), example(id):
		return Example
	case placeholder(value), id != "" && placeholder(id):
		return Placeholder
	case public(value):
		return PublicKey
	case !c.expires.IsZero() && c.expires.Before(s.now) && c.parts["refresh"] == "":
		return Expired
	case c.guessed:
		return ByFormat
	}
	return ""
}

// public reports whether a value is the half of a key that may be known.
func public(value string) bool {
	for _, p := range []string{"pk_live_", "pk_test_", "ssh-rsa AAAA", "ssh-ed25519 AAAA", "ecdsa-sha2-", "-----BEGIN PUBLIC KEY", "-----BEGIN CERTIFICATE-", "-----BEGIN RSA PUBLIC KEY"} {
		if strings.HasPrefix(value, p) && !strings.Contains(value, "PRIVATE KEY-----") {
			return true
		}
	}
	return false
}

// claims are the parts of a JSON Web Token that say whose it is. Source: RFC 7519, section 4.1.
type claims struct {
	Issuer    string      `json:"iss"`
	Subject   string      `json:"sub"`
	Expires   json.Number `json:"exp"`
	Email     string      `json:"email"`
	UPN       string      `json:"upn"`
	Preferred string      `json:"preferred_username"`
	Profile   struct {
		Email string `json:"email"`
	} `json:"https://api.openai.com/profile"`
}

const maxJWT = 32 << 10

// jwtClaims reads the middle of a token, without trusting it.
func jwtClaims(value string) (c claims, ok bool) {
	if len(value) > maxJWT || !strings.HasPrefix(value, "eyJ") {
		return c, false
	}
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return c, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return claims{}, false
	}
	return c, true
}

// awsAccount is the account that an access key's id names: 40 bits of its base32, shifted by one.
// Keys from before 2019 do not hold it, nor do ids of another alphabet.
// Source: https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489
func awsAccount(id string) string {
	if len(id) != 20 || 'A' <= id[4] && id[4] <= 'P' { // older ids, which begin with I or J, name none
		return ""
	}
	raw, err := base32.StdEncoding.DecodeString(id[4:])
	if err != nil || len(raw) < 6 {
		return ""
	}
	var n uint64
	for _, b := range raw[:6] {
		n = n<<8 | uint64(b)
	}
	n = n & 0x7fffffffff80 >> 7
	if n == 0 || n > 999_999_999_999 {
		return ""
	}
	return fmt.Sprintf("%012d", n)
}

// moment reads a time as tools write it: milliseconds or seconds since 1970, or ISO 8601.
func moment(text string) time.Time {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		if f < 1e11 { // seconds until the year 5138
			f *= 1000
		}
		return millis(strconv.FormatFloat(f, 'f', 0, 64))
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05MST", "2006-01-02 15:04:05.999999", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
