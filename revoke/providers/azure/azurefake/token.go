package azurefake

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// tokenLife is within the 60 to 90 minutes of Entra.
const tokenLife = 75 * time.Minute

// token is the token endpoint.
func (f *Fake) token(r *http.Request, body []byte, call *fake.Call) reply {
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost {
		return f.denied(400, "invalid_request", 900144)
	}
	call.Action = form.Get("grant_type")
	tenant, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if tenant != f.tenant && (tenant != "organizations" || form.Get("grant_type") != "refresh_token") {
		return f.denied(400, "invalid_request", 90002)
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		return f.clientCredentials(form, call)
	case "refresh_token":
		return f.redeem(form, call)
	}
	return f.denied(400, "unsupported_grant_type", 70003)
}

func (f *Fake) clientCredentials(form url.Values, call *fake.Call) reply {
	a := f.apps[strings.ToLower(form.Get("client_id"))]
	audience, isDefault := strings.CutSuffix(form.Get("scope"), "/.default")
	switch {
	case a == nil || a.principal == "":
		return f.denied(400, "unauthorized_client", 700016)
	case !isDefault:
		return f.denied(400, "invalid_scope", 70011)
	}
	call.Credential = a.label
	code := 7000218
	switch {
	case form.Get("client_assertion") != "":
		code = f.checkAssertion(a, form.Get("client_assertion"))
	case form.Get("client_secret") != "":
		code = f.checkSecret(a, form.Get("client_secret"), call)
	}
	switch {
	case code != 0:
		return f.denied(401, "invalid_client", code)
	case !f.knobs.Live(&a.disabled):
		return f.denied(400, "unauthorized_client", 7000112)
	}
	return reply{200, object{
		"token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "ext_expires_in": int(tokenLife.Seconds()),
		"access_token": f.issue(&access{app: a, audience: audience}),
	}}
}

func (f *Fake) checkSecret(a *application, value string, call *fake.Call) (code int) {
	for _, p := range a.passwords {
		if p.value == value {
			call.Credential = credential.Mask("azure.client_secret", credential.Value(value), nil)
			if f.knobs.Live(&p.life) {
				return 0
			}
		}
	}
	return 7000215
}

// checkAssertion checks a client assertion as
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials describes it.
func (f *Fake) checkAssertion(a *application, assertion string) (code int) {
	parts := strings.Split(assertion, ".")
	var header struct {
		Alg        string `json:"alg"`
		Thumbprint string `json:"x5t#S256"`
	}
	var body struct {
		Aud, Iss, Sub, Jti string
		Nbf, Exp           int64
	}
	if len(parts) != 3 || !decode(parts[0], &header) || !decode(parts[1], &body) || header.Alg != "PS256" || body.Jti == "" {
		return 50027
	}
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range a.keys {
		sum := sha256.Sum256(k.certificate.Raw)
		if header.Thumbprint != base64.RawURLEncoding.EncodeToString(sum[:]) || !f.knobs.Live(&k.life) {
			continue
		}
		public, _ := k.certificate.PublicKey.(*rsa.PublicKey)
		now := f.knobs.Now().Unix()
		switch {
		case rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, nil) != nil:
			return 700027
		case body.Iss != a.client || body.Sub != a.client:
			return 700021
		case body.Aud != "https://"+login+"/"+f.tenant+"/oauth2/v2.0/token":
			return 700023
		case now < body.Nbf || now >= body.Exp:
			return 700024
		}
		return 0
	}
	return 700027
}

func decode(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

// redeem takes a refresh token. It stays good: Entra does not end one that was used.
func (f *Fake) redeem(form url.Values, call *fake.Call) reply {
	u := f.refresh[form.Get("refresh_token")]
	switch {
	case u == nil:
		return f.denied(400, "invalid_grant", 9002313)
	case form.Get("client_id") != azCLI:
		return f.denied(400, "invalid_grant", 70000)
	}
	call.Credential = u.label
	if !f.knobs.Live(&u.sessions) {
		return f.denied(400, "invalid_grant", 50173)
	}
	out := object{
		"token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "ext_expires_in": int(tokenLife.Seconds()),
		"scope": "User.Read", "access_token": f.issue(&access{user: u, audience: "https://" + graph}),
	}
	if strings.Contains(" "+form.Get("scope")+" ", " openid ") {
		out["id_token"] = f.jwt(object{"aud": azCLI, "oid": u.object, "tid": f.tenant})
	}
	return reply{200, out}
}

// issue makes an access token.
func (f *Fake) issue(a *access) string {
	a.expires = f.knobs.Now().Add(tokenLife)
	claims := object{"aud": a.audience, "tid": f.tenant, "exp": a.expires.Unix()}
	if a.app != nil {
		claims["appid"], claims["oid"], claims["roles"] = a.app.client, a.app.principal, []string{"Application.Read.All"}
	} else {
		claims["oid"], claims["scp"] = a.user.object, "User.Read Directory.AccessAsUser.All"
	}
	value := f.jwt(claims)
	f.access[value] = a
	return value
}

func (f *Fake) jwt(claims object) string {
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "." + fake.Pick(fake.Letters+"_-", 342)
}

// denied is an error of the token endpoint.
func (f *Fake) denied(status int, name string, code int) reply {
	return reply{status, denial(f.knobs.Now(), name, code)}
}

func denial(now time.Time, name string, code int) object {
	trace, correlation, at := fake.GUID(), fake.GUID(), now.UTC().Format("2006-01-02 15:04:05Z")
	return object{
		"error":             name,
		"error_description": fmt.Sprintf("AADSTS%d: the simulated tenant says no. Trace ID: %s Correlation ID: %s Timestamp: %s", code, trace, correlation, at),
		"error_codes":       []int{code}, "timestamp": at, "trace_id": trace, "correlation_id": correlation,
		"error_uri": fmt.Sprintf("https://%s/error?code=%d", login, code),
	}
}

// Denied is the token endpoint's answer with that error and AADSTS number, such as 53003 for
// conditional access.
func Denied(status int, name string, code int) fake.Fault {
	body, err := json.Marshal(denial(time.Unix(0, 0), name, code))
	if err != nil {
		panic(err)
	}
	return fake.Fault{Status: status, Body: string(body), Type: "application/json; charset=utf-8"}
}
