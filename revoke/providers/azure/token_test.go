package azure

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/azure/azurefake"
)

func TestVerifyReadsTheBody(t *testing.T) {
	denied := azurefake.Denied
	tests := []struct {
		name                         string
		fault                        fake.Fault
		secret, certificate, refresh revoke.Outcome
	}{
		{"served", fake.Fault{}, revoke.Alive, revoke.Alive, revoke.Alive},
		{"invalid secret", denied(401, "invalid_client", 7000215), revoke.Refused, revoke.Inconclusive, revoke.Inconclusive},
		{"expired secret", denied(401, "invalid_client", 7000222), revoke.Refused, revoke.Inconclusive, revoke.Inconclusive},
		{"application not found", denied(400, "unauthorized_client", 700016), revoke.Refused, revoke.Refused, revoke.Inconclusive},
		{"application disabled", denied(400, "unauthorized_client", 7000112), revoke.Refused, revoke.Refused, revoke.Inconclusive},
		{"certificate not registered", denied(401, "invalid_client", 700027), revoke.Inconclusive, revoke.Refused, revoke.Inconclusive},
		{"sessions revoked", denied(400, "invalid_grant", 50173), revoke.Inconclusive, revoke.Inconclusive, revoke.Refused},
		{"grant expired", denied(400, "invalid_grant", 700082), revoke.Inconclusive, revoke.Inconclusive, revoke.Refused},
		{"conditional access", denied(400, "invalid_grant", 53003), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"tenant not found", denied(400, "invalid_request", 90002), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"clock", denied(401, "invalid_client", 700024), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"user disabled", denied(400, "invalid_grant", 50057), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"malformed", denied(400, "invalid_grant", 9002313), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"busy", denied(400, "temporarily_unavailable", 7000215), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"two reasons, of which one is another", answer(401, `{"error":"invalid_client","error_codes":[70002,50012]}`), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"reason in words alone", answer(401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided"}`), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"invalid secret, by a 500", denied(500, "invalid_client", 7000215), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"invalid secret, by a 200", denied(200, "invalid_client", 7000215), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"invalid secret, by a 429", denied(429, "invalid_client", 7000215), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"codes in text", answer(401, `{"error":"invalid_client","error_codes":["7000215"]}`), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"a token of another type", answer(200, `{"token_type":"pop","access_token":"x"}`), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"no token", answer(200, `{"token_type":"Bearer"}`), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"a list", answer(401, `[]`), revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"redirect", fake.Fault{Status: 302}, revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
		{"cut", fake.Fault{Cut: true, Status: 401}, revoke.Inconclusive, revoke.Inconclusive, revoke.Inconclusive},
	}
	w := newWorld(t, "")
	kinds := []string{kindSecret, kindCertificate, kindRefresh}
	for _, tt := range tests {
		w.says("/token", tt.fault)
		for i, want := range []revoke.Outcome{tt.secret, tt.certificate, tt.refresh} {
			v := w.Verify(t.Context(), w.Mint(kinds[i]))
			if v.Outcome != want || v.Answer == "" {
				t.Errorf("%s, %s: %v %q, want %v", tt.name, kinds[i], v.Outcome, v.Answer, want)
			}
		}
	}
	w.says("/token", denied(401, "invalid_client", 7000215))
	if v := w.Verify(t.Context(), w.Mint(kindSecret)); v.Answer != "401 invalid_client AADSTS7000215" {
		t.Errorf("the answer is %q", v.Answer)
	}
}

func answer(status int, body string) fake.Fault {
	return fake.Fault{Status: status, Body: body, Type: "application/json"}
}

// What is not known, or cannot stand in an address, is not asked, and nothing is sent anywhere.
func TestWhatIsNotAsked(t *testing.T) {
	w := newWorld(t, "")
	secret, certificate, refresh, vault := w.Mint(kindSecret), w.Mint(kindCertificate), w.Mint(kindRefresh), w.Mint(kindVaultSecret)
	key, _, _ := strings.Cut(certificate.Secret.Reveal("value"), "-----BEGIN CERTIFICATE")
	bare := certificate
	bare.Secret = credential.Value(key)
	long := secret
	long.Secret = credential.Value(strings.Repeat("a", 9<<10))
	for name, c := range map[string]credential.Credential{
		"no application":           with(secret, "client_id", ""),
		"application of no form":   with(secret, "client_id", "x/../y"),
		"no tenant":                with(secret, "tenant", ""),
		"everybody's tenant":       with(secret, "tenant", "common"),
		"tenant that climbs":       with(secret, "tenant", "../../evil"),
		"tenant with dots":         with(certificate, "tenant", "a..b"),
		"tenant with a query":      with(refresh, "tenant", "contoso.com?x="),
		"refresh of no client":     with(refresh, "client_id", "a b"),
		"key without certificate":  bare,
		"long":                     long,
		"vault's address":          with(vault, "vault", "evil.example.com/"),
		"vault with a dot":         with(vault, "vault", "a.evil"),
		"vault with a long name":   with(vault, "vault", strings.Repeat("a", 25)),
		"vault that ends in a -":   with(vault, "vault", "acme-"),
		"no vault":                 with(vault, "vault", ""),
		"secret with a slash":      with(vault, "name", "a/b"),
		"secret that climbs":       with(vault, "name", ".."),
		"a kind that there is not": {Provider: "azure", Kind: "azure.other", Secret: credential.Value("x")},
	} {
		if v := w.Verify(t.Context(), c); v.Outcome != revoke.Inconclusive || v.Answer == "" {
			t.Errorf("%s: %v %q", name, v.Outcome, v.Answer)
		}
		if _, err := w.Inspect(t.Context(), c); err == nil {
			t.Errorf("%s: inspected", name)
		}
	}
	if calls := w.Fake.Knobs().Calls(); len(calls) > 0 {
		t.Errorf("sent %+v", calls)
	}
}

// The tenant of the desk stands in for one that the host does not tell.
func TestTenantOfTheDesk(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindSecret)
	w.provider.settings.Tenant = c.Ref["tenant"]
	w.wantAlive(t, with(c, "tenant", ""))
}

func TestInspect(t *testing.T) {
	w := newWorld(t, "")
	secret, refresh, vault := w.Mint(kindSecret), w.Mint(kindRefresh), w.Mint(kindVaultSecret)
	user, tenant, _ := strings.Cut(refresh.Ref["home_account_id"], ".")
	for _, tt := range []struct {
		c                     credential.Credential
		account, owner, reach string
	}{
		{secret, tenant, secret.Ref["client_id"], "Application.Read.All"},
		{refresh, tenant, user, "User.Read Directory.AccessAsUser.All"},
		{vault, "vault acme-prod", "", "whatever the secret " + vault.Ref["name"] + " opens"},
	} {
		e, err := w.Inspect(t.Context(), tt.c)
		if err != nil || e.Account != tt.account || e.Owner != tt.owner || strings.Join(e.Reach, " ") != tt.reach || e.Answer == "" {
			t.Errorf("%s: %+v, %v", tt.c.Kind, e, err)
		}
		w.RevokeByHand(tt.c)
		if e, err := w.Inspect(t.Context(), tt.c); err != nil || e.Answer == "" {
			t.Errorf("%s, dead: %+v, %v", tt.c.Kind, e, err)
		}
	}
}

// A probe leaves a refresh token as it is, asks for no new one, and a second probe works.
func TestProbesSpendNothing(t *testing.T) {
	w := newWorld(t, "")
	c := w.Mint(kindRefresh)
	var scope string
	w.Fake.Knobs().SetFault(func(r *http.Request) fake.Fault {
		_ = r.ParseForm()
		scope = r.PostForm.Get("scope")
		return fake.Fault{}
	})
	state := w.State()
	w.wantAlive(t, c, c)
	if strings.Contains(scope, "offline_access") || w.State() != state {
		t.Errorf("it asked for %q", scope)
	}
}

// The authority signs in once for many, and again before its token ends, or when that was refused.
func TestAuthoritySignsInRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		signedIn := func() (n int) {
			for _, c := range w.Fake.Knobs().Calls() {
				if strings.HasSuffix(c.Path, "/token") && c.Action == "client_credentials" {
					n++
				}
			}
			return n
		}
		look := func(want int) {
			t.Helper()
			w.wantAlive(t, w.Mint(kindVaultSecret))
			if n := signedIn(); n != want {
				t.Errorf("signed in %d times, want %d", n, want)
			}
		}
		look(1)
		look(1)
		time.Sleep(38 * time.Minute)
		look(2)
		w.says("/secrets/", answer(401, `{"error":{"code":"Unauthorized","message":"expired"}}`))
		if v := w.Verify(t.Context(), w.Mint(kindVaultSecret)); v.Outcome != revoke.Inconclusive || !strings.Contains(v.Answer, revoke.ErrAuthority.Error()) {
			t.Errorf("%v %q", v.Outcome, v.Answer)
		}
		w.Fake.Knobs().SetFault(nil)
		look(3)
	})
}

func FuzzClaims(f *testing.F) {
	f.Add("e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"oid":"11111111-2222-3333-4444-555555555555","roles":["a"]}`)) + ".x")
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c := claimsOf(token)
		if c.User != "" && !guidForm.MatchString(c.User) || c.Tenant != "" && !guidForm.MatchString(c.Tenant) {
			t.Errorf("ids that are none: %q %q", c.User, c.Tenant)
		}
	})
}

func FuzzPair(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----")
	f.Add(azurefake.New(fake.Wall{}).Mint(kindCertificate).Secret.Reveal("value"))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePair(text)
		if (err == nil) != (p.key != nil) {
			t.Errorf("key %t, %v", p.key != nil, err)
		}
		if p.certificate != nil && !p.key.PublicKey.Equal(p.certificate.PublicKey) {
			t.Error("a certificate of another key")
		}
	})
}
