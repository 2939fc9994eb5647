package peers

import (
	"strings"
	"testing"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/conjur/conjurfake"
)

// CyberArk's own client and the fake understand each other.
func TestConjurClient(t *testing.T) {
	f := conjurfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	defer func() { _ = network.Close() }()
	client := network.Client()
	defer client.CloseIdleConnections()
	as := func(c credential.Credential) *conjurapi.Client {
		config := conjurapi.Config{ApplianceURL: "https://" + f.Hosts()[0], Account: conjurfake.Account, AuthnType: "authn"}
		t.Setenv("HOME", t.TempDir()) // where it would keep tokens
		api, err := conjurapi.NewClientFromKey(config, authn.LoginPair{Login: c.Secret.Reveal("login"), APIKey: c.Secret.Reveal("value")})
		if err != nil {
			t.Fatal(err)
		}
		api.SetHttpClient(client)
		return api
	}
	admin, _ := f.MintAuthority()
	agent, factory := f.Mint("conjur.api_key"), f.Mint("conjur.host_factory_token")
	if err := as(agent).RefreshToken(); err != nil {
		t.Errorf("authenticate: %v", err)
	}
	host, err := as(agent).CreateHost("made", factory.Secret.Reveal("value"))
	if err != nil || host.CreatedAt == "" || host.Owner == "" || len(host.ApiKey) < 55 || !strings.Contains(host.Id, ":host:") {
		t.Errorf("create a host: %+v, %v", host.Id, err)
	}
	role := conjurfake.Account + ":host:" + strings.TrimPrefix(agent.Secret.Reveal("login"), "host/")
	if key, err := as(admin).RotateAPIKey(role); err != nil || len(key) < 55 || f.Alive(agent) {
		t.Errorf("rotate: %d bytes, %v", len(key), err)
	}
	if err := as(agent).RefreshToken(); err == nil {
		t.Error("the client logs in with a replaced key")
	}
	if err := as(admin).DeleteToken(factory.Secret.Reveal("value")); err != nil || f.Alive(factory) {
		t.Errorf("delete a token: %v", err)
	}
	if _, err := as(admin).CreateHost("more", factory.Secret.Reveal("value")); err == nil {
		t.Error("a deleted token makes a host")
	}
}
