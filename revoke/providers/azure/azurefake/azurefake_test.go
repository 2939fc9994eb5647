package azurefake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
)

// ask sends one request without any network.
func ask(f *Fake, method, address, bearer, body string) (int, object) {
	r := httptest.NewRequest(method, address, strings.NewReader(body))
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var out object
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out
}

func signIn(f *Fake, c credential.Credential, audience string) (int, object) {
	return ask(f, "POST", "https://"+login+"/"+f.tenant+"/oauth2/v2.0/token", "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.Ref["client_id"]}, "client_secret": {c.Secret.Reveal("value")}, "scope": {audience + "/.default"},
	}.Encode())
}

// What a stolen secret minted before goes on after the secret is gone, until it expires, and is good for
// its own API alone.
func TestTokensOutliveTheirSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(fake.Wall{})
		admin, _ := f.MintAuthority()
		_, out := signIn(f, admin, "https://"+graph)
		token, _ := out["access_token"].(string)
		f.RevokeByHand(admin)
		if status, out := signIn(f, admin, "https://"+graph); status != 401 || out["error"] != "invalid_client" {
			t.Errorf("the secret: %d %v", status, out)
		}
		look := "https://" + graph + "/v1.0/applications(appId='" + admin.Ref["client_id"] + "')"
		if status, _ := ask(f, "GET", look, token, ""); status != 200 {
			t.Errorf("its token: %d", status)
		}
		secret := f.Mint("azure.key_vault_secret").Ref["name"]
		if status, _ := ask(f, "GET", "https://acme-prod.vault.azure.net/secrets/"+secret+"?api-version=7.4", token, ""); status != 401 {
			t.Errorf("its token at another API: %d", status)
		}
		time.Sleep(tokenLife)
		if status, _ := ask(f, "GET", look, token, ""); status != 401 {
			t.Errorf("its token, expired: %d", status)
		}
	})
}

func TestDisabledVersionsGiveNothingAway(t *testing.T) {
	f := New(fake.Wall{})
	tokens, c := f.MintAccess(), f.Mint("azure.key_vault_secret")
	read := "https://acme-prod.vault.azure.net/secrets/" + c.Ref["name"] + "?api-version=7.4"
	if status, out := ask(f, "GET", read, tokens.Secret.Reveal("vault"), ""); status != 200 || out["value"] == nil {
		t.Errorf("enabled: %d %v", status, out)
	}
	f.RevokeByHand(c)
	if status, out := ask(f, "GET", read, tokens.Secret.Reveal("vault"), ""); status != 403 || out["value"] != nil {
		t.Errorf("disabled: %d %v", status, out)
	}
}

// Each API answers at its own host, and only to who may ask.
func TestHostsAndPermissions(t *testing.T) {
	f := New(fake.Wall{})
	c := f.Mint("azure.client_secret")
	_, out := signIn(f, c, "https://"+graph)
	powerless, _ := out["access_token"].(string)
	own := "/v1.0/applications(appId='" + c.Ref["client_id"] + "')"
	for _, tt := range []struct {
		address, bearer string
		status          int
	}{
		{"https://" + graph + own, powerless, 403},
		{"https://" + graph + own, "", 401},
		{"https://" + graph + own, f.MintAccess().Secret.Reveal("value"), 200},
		{"https://" + login + own, f.MintAccess().Secret.Reveal("value"), 404},
		{"https://pinned.test" + own, f.MintAccess().Secret.Reveal("value"), 200},
		{"https://" + graph + "/v1.0/other", f.MintAccess().Secret.Reveal("value"), 404},
		{"https://" + graph + "/secrets/x/versions", powerless, 404},
	} {
		if status, out := ask(f, "GET", tt.address, tt.bearer, ""); status != tt.status {
			t.Errorf("%s: %d %v, want %d", tt.address, status, out, tt.status)
		}
	}
}

// Reads leave the state as it is, and neither it nor the log shows a secret.
func TestState(t *testing.T) {
	f := New(fake.Wall{})
	var all []credential.Credential
	for _, kind := range f.Kinds() {
		all = append(all, f.Mint(kind))
	}
	state := f.State()
	signIn(f, all[0], "https://"+graph)
	signIn(f, credential.Credential{Secret: credential.Value("x")}, "https://"+graph)
	if f.State() != state {
		t.Error("a token changes the state")
	}
	calls := f.Knobs().Calls()
	if len(calls) != 2 || calls[0].Status != http.StatusOK || calls[1].Status != http.StatusBadRequest || calls[0].Credential == "" {
		t.Errorf("calls %+v", calls)
	}
	for _, c := range all {
		value := c.Secret.Reveal("value")
		if tail := value[len(value)-12:]; strings.Contains(state, tail) || strings.Contains(calls[0].Credential, tail) {
			t.Errorf("a piece of %s is shown", c.Kind)
		}
		f.RevokeByHand(c)
		if f.Alive(c) || f.State() == state {
			t.Errorf("%s: alive %t", c.Kind, f.Alive(c))
		}
		state = f.State()
	}
}
