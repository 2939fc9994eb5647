package peers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	vaultfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets/fake"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/azure"
	"clawback/revoke/providers/azure/azurefake"
)

// bearer is an access token that the tests have.
type bearer string

func (b bearer) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(b), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// Microsoft's own client and the fake vault understand each other.
func TestKeyVaultClient(t *testing.T) {
	f := azurefake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	defer func() { _ = network.Close() }()
	client := network.Client()
	defer client.CloseIdleConnections()
	c := f.Mint("azure.key_vault_secret")
	f.AddVersions(c, 30)
	name := c.Ref["name"]
	as := func(token string) *azsecrets.Client {
		api, err := azsecrets.NewClient("https://"+c.Ref["vault"]+".vault.azure.net", bearer(token), &azsecrets.ClientOptions{
			ClientOptions: azcore.ClientOptions{Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return api
	}
	api := as(f.MintAccess().Secret.Reveal("vault"))
	var all []*azsecrets.SecretProperties
	for pages := api.NewListSecretPropertiesVersionsPager(name, nil); pages.More(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list versions: %v", err)
		}
		all = append(all, page.Value...)
	}
	if len(all) != 32 || all[0].ID.Name() != name || all[0].Attributes == nil || !*all[0].Attributes.Enabled || all[0].Attributes.Created == nil {
		t.Fatalf("%d versions", len(all))
	}
	for _, v := range all {
		off, err := api.UpdateSecretProperties(t.Context(), name, v.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{
			SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false)}, Tags: map[string]*string{"by": to.Ptr("test")},
		}, nil)
		if err != nil || *off.Attributes.Enabled || *off.Tags["by"] != "test" {
			t.Fatalf("disable %s: %v", v.ID.Version(), err)
		}
	}
	var said *azcore.ResponseError
	if _, err := api.GetSecret(t.Context(), name, "", nil); !errors.As(err, &said) || said.StatusCode != 403 || said.ErrorCode != "Forbidden" || f.Alive(c) {
		t.Errorf("read a disabled secret: %v", err)
	}
	if _, err := as("nobody's").GetSecret(t.Context(), name, "", nil); !errors.As(err, &said) || said.StatusCode != 401 {
		t.Errorf("read with nobody's token: %v", err)
	}
	if _, err := api.GetSecret(t.Context(), "nothing", "", nil); !errors.As(err, &said) || said.StatusCode != 404 || said.ErrorCode != "SecretNotFound" {
		t.Errorf("read what is not there: %v", err)
	}
}

// microsofts is the vault of Microsoft's own fake server: it reads requests as its client writes
// them, and writes answers as its client reads them.
type microsofts struct {
	*vaultfake.ServerTransport
}

func (m microsofts) RoundTrip(r *http.Request) (*http.Response, error) {
	call := "Client.NewListSecretPropertiesVersionsPager"
	if r.Method == http.MethodPatch {
		call = "Client.UpdateSecretProperties"
	}
	return m.Do(r.WithContext(context.WithValue(r.Context(), runtime.CtxAPINameKey{}, call)))
}

func TestKeyVaultServer(t *testing.T) {
	const vault, name = "acme-prod", "db"
	enabled := map[string]bool{"0123456789abcdef0123456789abcdef": true, "fedcba9876543210fedcba9876543210": true}
	shown := func(version string) (*azsecrets.ID, *azsecrets.SecretAttributes) {
		id := azsecrets.ID("https://" + vault + ".vault.azure.net/secrets/" + name + "/" + version)
		return &id, &azsecrets.SecretAttributes{Enabled: to.Ptr(enabled[version]), Created: to.Ptr(time.Now())}
	}
	var changed []string
	server := microsofts{vaultfake.NewServerTransport(&vaultfake.Server{
		NewListSecretPropertiesVersionsPager: func(asked string, _ *azsecrets.ListSecretPropertiesVersionsOptions) (pages azfake.PagerResponder[azsecrets.ListSecretPropertiesVersionsResponse]) {
			var page azsecrets.ListSecretPropertiesVersionsResponse
			for version := range enabled {
				id, attributes := shown(version)
				page.Value = append(page.Value, &azsecrets.SecretProperties{ID: id, Attributes: attributes})
			}
			if asked != name {
				t.Errorf("asked for versions of %q", asked)
			}
			pages.AddPage(http.StatusOK, page, nil)
			return pages
		},
		UpdateSecretProperties: func(_ context.Context, asked, version string, in azsecrets.UpdateSecretPropertiesParameters, _ *azsecrets.UpdateSecretPropertiesOptions) (ok azfake.Responder[azsecrets.UpdateSecretPropertiesResponse], no azfake.ErrorResponder) {
			if _, known := enabled[version]; !known || asked != name || in.SecretAttributes == nil || in.SecretAttributes.Enabled == nil || *in.SecretAttributes.Enabled {
				t.Errorf("change of %s/%s", asked, version)
				no.SetResponseError(http.StatusBadRequest, "BadParameter")
				return ok, no
			}
			enabled[version] = false
			changed = append(changed, version)
			var out azsecrets.UpdateSecretPropertiesResponse
			out.ID, out.Attributes = shown(version)
			out.Tags = in.Tags
			ok.SetResponse(http.StatusOK, out, nil)
			return ok, no
		},
	})}
	p, err := azure.New(revoke.Env{
		HTTP: &http.Client{Transport: server}, Now: time.Now,
		Authority: func(context.Context) (revoke.Authority, error) {
			tokens := credential.NewSecret(map[string]string{"value": "a.b.c", "vault": "a.b.c"})
			return revoke.Authority{Secret: tokens, Kind: "azure.access_token", From: "the test"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := credential.Credential{Provider: "azure", Kind: "azure.key_vault_secret", Ref: map[string]string{"id": vault + "/" + name, "vault": vault, "name": name}}
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Alive {
		t.Fatalf("before: %s (%s)", v.Outcome, v.Answer)
	}
	if r, err := p.Revoke(t.Context(), c); err != nil || len(r.Did) != 2 || len(changed) != 2 {
		t.Fatalf("revoke: %+v, %v", r, err)
	}
	if v := p.Verify(t.Context(), c); v.Outcome != revoke.Refused || !strings.Contains(v.Answer, "0 of 2") {
		t.Errorf("after: %s (%s)", v.Outcome, v.Answer)
	}
	slices.Sort(changed)
	if len(slices.Compact(changed)) != 2 {
		t.Errorf("changed %v", changed)
	}
}

func asError[E error](err error, as *E) bool { return errors.As(err, as) }
