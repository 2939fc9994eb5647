package googlefake

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	audience = "https://oauth2.googleapis.com/token"
	skewed   = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
)

// exchange is the token endpoint.
func (f *Fake) exchange(q request) answer {
	switch q.form.Get("grant_type") {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return f.byAssertion(q)
	case "refresh_token":
		return f.byRefresh(q)
	}
	return denied(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+q.form.Get("grant_type"))
}

func granted(token, scope string) answer {
	return ok(object{"access_token": token, "expires_in": 3599, "scope": scope, "token_type": "Bearer"})
}

type claims struct {
	Issuer   string `json:"iss"`
	Scope    string `json:"scope"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

func (f *Fake) byAssertion(q request) answer {
	parts := strings.Split(q.form.Get("assertion"), ".")
	if len(parts) != 3 {
		return denied(http.StatusBadRequest, "invalid_request", "Bad Request")
	}
	var c claims
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	signature, failed := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || failed != nil || json.Unmarshal(raw, &c) != nil {
		return denied(http.StatusBadRequest, "invalid_request", "Bad Request")
	}
	now, issued, expires := f.now(), time.Unix(c.Issued, 0), time.Unix(c.Expires, 0)
	a := f.accounts[c.Issuer]
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signed := func(k *accountKey) bool {
		return rsa.VerifyPKCS1v15(k.public, crypto.SHA256, sum[:], signature) == nil
	}
	switch {
	case issued.After(now.Add(5*time.Minute)) || !expires.After(now) || expires.Sub(issued) > time.Hour:
		return denied(http.StatusBadRequest, "invalid_grant", skewed)
	case c.Audience != audience:
		return denied(http.StatusBadRequest, "invalid_grant", "Invalid JWT: Failed audience check. The right audience is "+audience)
	case a == nil || !f.knobs.Live(&a.life):
		return denied(http.StatusBadRequest, "invalid_grant", "Invalid grant: account not found")
	case c.Scope == "":
		return denied(http.StatusBadRequest, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	}
	i := slices.IndexFunc(a.keys, signed)
	if i < 0 || !f.knobs.Live(&a.keys[i].life) {
		return denied(http.StatusBadRequest, "invalid_grant", "Invalid JWT Signature.")
	}
	q.call.Credential = a.keys[i].id
	value, t := f.newToken(c.Scope)
	t.account = a
	return granted(value, c.Scope)
}

func (f *Fake) byRefresh(q request) answer {
	id := q.form.Get("client_id")
	secret, known := f.clients[id]
	g := f.grants[q.form.Get("refresh_token")]
	switch {
	case !known:
		return denied(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
	case secret != q.form.Get("client_secret"):
		return denied(http.StatusUnauthorized, "invalid_client", "Unauthorized")
	case g == nil:
		return denied(http.StatusBadRequest, "invalid_grant", "Bad Request")
	case g.client != id:
		return denied(http.StatusUnauthorized, "unauthorized_client", "Unauthorized")
	}
	q.call.Credential = mask(refreshToken, q.form.Get("refresh_token"))
	if !f.knobs.Live(&g.life) {
		return denied(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
	}
	value, t := f.newToken("https://www.googleapis.com/auth/drive")
	t.grant = g
	return granted(value, t.scope)
}

// revoke ends the whole grant of a token. A service account's token is none that it knows.
func (f *Fake) revoke(q request) answer {
	value := q.form.Get("token")
	g, kind := f.grants[value], refreshToken
	if t := f.tokens[value]; t != nil && f.now().Before(t.expires) {
		g, kind = t.grant, accessToken
	}
	if value == "" {
		return denied(http.StatusBadRequest, "invalid_request", "Missing required parameter: token")
	}
	q.call.Credential = mask(kind, value)
	if g == nil || !f.knobs.Live(&g.life) {
		return denied(http.StatusBadRequest, "invalid_token", "Token expired or revoked")
	}
	f.knobs.Revoke(&g.life)
	return ok(object{})
}

func (f *Fake) tokenInfo(q request) answer {
	value := q.URL.Query().Get("access_token")
	t := f.tokens[value]
	if value == "" {
		return denied(http.StatusBadRequest, "invalid_request", "either access_token, id_token, or token_handle required")
	}
	q.call.Credential = mask(accessToken, value)
	if t == nil || !f.now().Before(t.expires) || !f.knobs.Live(t.life()) {
		return denied(http.StatusBadRequest, "invalid_token", "Invalid Value")
	}
	out := object{"scope": t.scope, "expires_in": int(t.expires.Sub(f.now()).Seconds())}
	if t.account != nil {
		out["issued_to"], out["audience"] = t.account.id, t.account.id
		return ok(out)
	}
	out["issued_to"], out["audience"], out["user_id"] = t.grant.client, t.grant.client, "1"+strings.Repeat("0", 20)
	out["email"], out["verified_email"] = t.grant.user, true
	return ok(out)
}
