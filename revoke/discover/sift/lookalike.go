package sift

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// What a match is, where it is no secret.
const (
	publicKey = "public key"
	example   = "example"
	expired   = "expired"
	other     = "nothing" // a setting whose name or value is no secret's
)

// lookAlike says what a match is that only looks like a secret; empty for a secret.
func lookAlike(m *matcher, found Match) string {
	switch {
	case strings.HasPrefix(m.id, "jwt") || strings.HasPrefix(found.Value, "ey"):
		return tokenState(found.Value, time.Now())
	case found.guess() && !tellingName(found.Name):
		return other
	case found.guess() && telling.MatchString(found.Value):
		return other
	}
	return ""
}

// tokenState says why a JSON Web Token is of no use, by what it says itself.
func tokenState(token string, now time.Time) string {
	parts := strings.Split(token, ".")
	if len(parts) < 2 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return ""
	}
	var claims struct {
		Expires float64 `json:"exp"`
		Subject any     `json:"sub"`
		Name    string  `json:"name"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return ""
	}
	switch {
	case claims.Subject == "1234567890" && claims.Name == "John Doe":
		return example // of jwt.io
	case claims.Expires > 0 && claims.Expires < 253402300800 && now.Sub(time.Unix(int64(claims.Expires), 0)) > 24*time.Hour:
		return expired
	}
	return ""
}

// A name tells by its last words. gitleaks takes every name with "key" or "token" in it, which in
// logs and code is mostly the key of a cache or the token of a page.
var (
	strongName = regexp.MustCompile(`(?i)(?:api[_.-]?key|access[_.-]?key|secret|passw(?:or)?d|passphrase|credentials?|creds|private[_.-]?key|signing[_.-]?key|encryption[_.-]?key|master[_.-]?key|auth[_.-]?key|service[_.-]?key|account[_.-]?key|license[_.-]?key|token|auth|authorization|bearer)[_.-]?(?:value|string|base64|b64|hex|raw|prod|production|live|staging|dev|test|old|new|[0-9]+)?\s*\z`)
	weakName   = regexp.MustCompile(`(?i)(?:\b|[_.-])(?:next|prev|previous|page|pagination|continuation|cursor|sync|csrf|xsrf|request|trace|span|correlation|idempotency|cancel|device|fcm|push|public|publishable|resume|stop|sort|partition|cache|eos|bos|pad|unk|mask|sep|special|start|end|sync|change|lock|lease|fence|upload|build|etag|version|image|design)[_.-]?(?:key|token)s?\s*\z`)
	telling    = regexp.MustCompile(`\A(?:(?:sha(?:1|256|384|512)|md5|blake[23][sb]?|integrity)[-:_=].*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9.]+|[0-9.-]+|[\w-]+(?:\.[a-z_]+){2,}|v?[0-9]+\.[0-9]+\.[0-9]+.*|[a-z]+(?:[_.-][a-z]+)+|[A-Za-z]+(?:[_.-][A-Za-z]+)*)\z`)
)

var camel = regexp.MustCompile(`([a-z])([A-Z])`)

func tellingName(name string) bool {
	name = camel.ReplaceAllString(name, "${1}_$2")
	return strongName.MatchString(name) && !weakName.MatchString(name)
}
