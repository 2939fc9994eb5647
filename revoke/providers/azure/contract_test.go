package azure

import (
	"net/http"
	"strings"
	"testing"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/revoketest/contract"
)

// TestContract holds every request that the provider sends, and every answer that the fake gives,
// against what testdata says of Entra ID, Microsoft Graph and Key Vault.
func TestContract(t *testing.T) {
	all := make(map[string]bool)
	for _, settings := range []string{"{}", "disable_principal: true\nstrip_permissions: true"} {
		for _, exchange := range exchanges(t, settings) {
			all[exchange] = true
		}
	}
	const apps, principals = "/v1.0/applications", "/v1.0/servicePrincipals"
	for _, want := range []string{
		"POST /{tenant}/oauth2/v2.0/token 200", "POST /{tenant}/oauth2/v2.0/token 400", "POST /{tenant}/oauth2/v2.0/token 401",
		"GET " + apps + "(appId='{appId}') 200", "GET " + apps + "(appId='{appId}') 401", "GET " + apps + "(appId='{appId}') 403", "GET " + apps + "(appId='{appId}') 404",
		"GET " + principals + "(appId='{appId}') 200", "GET " + principals + "(appId='{appId}') 404",
		"POST " + apps + "/{id}/removePassword 204", "POST " + principals + "/{id}/removePassword 204", "PATCH " + apps + "/{id} 204",
		"PATCH " + principals + "/{id} 204", "GET " + principals + "/{id}/appRoleAssignments 200", "GET " + principals + "/{id}/oauth2PermissionGrants 200",
		"DELETE " + principals + "/{id}/appRoleAssignments/{assignment} 204", "DELETE /v1.0/oauth2PermissionGrants/{grant} 204",
		"POST /v1.0/users/{id}/revokeSignInSessions 200",
		"GET /secrets/{name}/versions 200", "GET /secrets/{name}/versions 401", "GET /secrets/{name}/versions 403", "GET /secrets/{name}/versions 404",
		"PATCH /secrets/{name}/{version} 200", "GET /secrets/{name}/{version} 200", "GET /secrets/{name}/{version} 403",
	} {
		want = strings.Replace(want, "/v1.0", "", 1) // which is the server's
		if !all[want] {
			t.Errorf("%s was not exchanged, of %v", want, all)
		}
	}
}

// exchanges makes the provider send all that it can under those settings, and an adversary what it can.
func exchanges(t *testing.T, settings string) []string {
	w := newWorld(t, settings)
	checked := contract.New(t, "testdata/azure-routes.json", w.network.Transport())
	env := w.env
	env.HTTP = &http.Client{Transport: checked}
	p, err := New(env)
	if err != nil {
		t.Fatal(err)
	}
	admin, guest := w.authority, w.Mint(kindSecret)
	guest.Secret = credential.NewSecret(map[string]string{"value": guest.Secret.Reveal("value"), "client_id": guest.Ref["client_id"], "tenant": guest.Ref["tenant"]})
	refused := credential.Credential{Kind: kindAccess, Secret: credential.NewSecret(map[string]string{"value": "no.to.ken", "vault": "no.to.ken"})}
	for _, authority := range []credential.Credential{admin, guest, refused} {
		w.authority = authority
		for _, kind := range w.Kinds() {
			c := w.Mint(kind)
			switch kind {
			case kindSecret:
				w.AddSecret(c, c.Secret.Reveal("value")[:3], true, true)
				w.AddPermissions(c, 5)
			case kindVaultSecret:
				w.AddVersions(c, 30)
			}
			for range 2 { // alive, then dead
				p.Verify(t.Context(), c)
				_, _ = p.Inspect(t.Context(), c)
				if _, err := p.Revoke(t.Context(), c); err != nil && kind != kindAccess && authority.Secret.Equal(admin.Secret) {
					t.Errorf("%s: %v", kind, err)
				}
			}
			if undoer, ok := p.(revoke.Undoer); ok && authority.Secret.Equal(admin.Secret) {
				_, _ = undoer.Undo(t.Context(), c)
			}
		}
	}
	w.authority = admin
	gone, nowhere := w.Mint(kindSecret), w.Mint(kindVaultSecret)
	w.Forget(gone, true)
	_, _ = p.Revoke(t.Context(), gone)
	nowhere = with(nowhere, "name", "nothing")
	p.Verify(t.Context(), with(nowhere, "id", nowhere.Ref["vault"]+"/nothing"))
	readValue(t, w, env.HTTP)
	return checked.Seen()
}

// readValue does what a thief does with a vault: before and after its version is disabled.
func readValue(t *testing.T, w *world, client *http.Client) {
	t.Helper()
	c := w.Mint(kindVaultSecret)
	a, err := w.admin(t.Context(), c, vaultAudience, w.login)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.vaultSecret(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	versions, _, err := s.versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.Ref["vault"]+vaultHost+"/secrets/"+c.Ref["name"]+"/"+versions[0].name()+"?api-version="+vaultAPI, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+a.bearer)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		w.RevokeByHand(c)
	}
}
