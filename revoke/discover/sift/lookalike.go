package sift

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"clawback/revoke/lazyregexp"
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

// telling are values that no secret looks like: digests, dates, versions, words.
var telling = lazyregexp.New(`\A(?:(?:sha(?:1|256|384|512)|md5|blake[23][sb]?|integrity)[-:_=].*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9.]+|[0-9.-]+|[\w-]+(?:\.[a-z_]+){2,}|v?[0-9]+\.[0-9]+\.[0-9]+.*|[a-z]+(?:[_.-][a-z]+)+|[A-Za-z]+(?:[_.-][A-Za-z]+)*)\z`)

// A name tells by its last words. gitleaks takes every name with "key" or "token" in it, which in
// logs and code is mostly the key of a cache or the token of a page.
var (
	strongEnds = []string{"api_key", "access_key", "secret", "password", "passwd", "passphrase", "credential", "credentials", "creds", "private_key", "signing_key",
		"encryption_key", "master_key", "auth_key", "service_key", "account_key", "license_key", "secret_key", "token", "auth", "authorization", "bearer", "apikey", "accesskey", "authtoken"}
	weakEnds = []string{"next", "prev", "previous", "page", "pagination", "continuation", "cursor", "sync", "csrf", "xsrf", "request", "trace", "span", "correlation", "idempotency",
		"cancel", "device", "fcm", "push", "public", "publishable", "resume", "stop", "sort", "partition", "cache", "eos", "bos", "pad", "unk", "mask", "sep", "special", "start",
		"end", "change", "lock", "lease", "fence", "upload", "build", "etag", "version", "image", "design"}
)

// qualifies reports whether a word says nothing more of what a name names.
func qualifies(word []byte) bool {
	switch string(word) {
	case "value", "string", "base64", "b64", "hex", "raw", "prod", "production", "live", "staging", "dev", "test", "old", "new":
		return true
	}
	for _, b := range word {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// tellingName reports whether the name that stands in text around a keyword is a secret's.
func tellingName(text []byte, start, end int) bool {
	for n := 0; start > 0 && n < 50 && isNamePart(text[start-1]) && text[start-1] > ' '; n++ {
		start--
	}
	for n := 0; end < len(text) && n < 20 && isNamePart(text[end]) && text[end] > ' '; n++ {
		end++
	}
	var buf [128]byte
	name := nameWords(buf[:0], text[start:end])
	for {
		i := bytes.LastIndexByte(name, '_')
		if i < 0 || !qualifies(name[i+1:]) {
			break
		}
		name = name[:i]
	}
	for _, strong := range strongEnds {
		if rest, ok := cutSuffix(name, strong); ok {
			rest = bytes.TrimSuffix(rest, []byte("_"))
			return !slices.ContainsFunc(weakEnds, func(weak string) bool {
				before, ok := cutSuffix(rest, weak)
				return ok && (len(before) == 0 || before[len(before)-1] == '_')
			})
		}
	}
	return false
}

func cutSuffix(text []byte, end string) ([]byte, bool) {
	n := len(text) - len(end)
	if n < 0 || string(text[n:]) != end {
		return text, false
	}
	return text[:n], true
}

// nameWords appends the words of a name in lower case: next_page_token of nextPageToken.
func nameWords(out, name []byte) []byte {
	apart := false
	for i, c := range name {
		if c == '_' || !isWord(c) {
			apart = true
			continue
		}
		camel := i > 0 && c >= 'A' && c <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z'
		if (apart || camel) && len(out) > 0 {
			out = append(out, '_')
		}
		apart = false
		out = append(out, lower(c))
	}
	return out
}
