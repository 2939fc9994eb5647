package peers

import (
	"testing"

	"github.com/hashicorp/vault/api"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/vault/vaultfake"
)

// HashiCorp's own client and the fake understand each other.
func TestVaultClient(t *testing.T) {
	f := vaultfake.New(fake.Wall{})
	network := fake.NewNetwork(f)
	defer func() { _ = network.Close() }()
	web := network.Client()
	defer web.CloseIdleConnections()
	as := func(c credential.Credential) *api.Client {
		client, err := api.NewClient(&api.Config{Address: "https://" + f.Hosts()[0], HttpClient: web, MaxRetries: 0})
		if err != nil {
			t.Fatal(err)
		}
		client.SetToken(c.Secret.Reveal("value"))
		return client
	}
	root, _ := f.MintAuthority()
	admin := as(root)
	token, other, batch := f.Mint("vault.token"), f.Mint("vault.token"), f.Mint("vault.batch_token")
	self, err := as(token).Auth().Token().LookupSelf()
	if err != nil {
		t.Fatalf("lookup-self: %v", err)
	}
	accessor, err := self.TokenAccessor()
	policies, err2 := self.TokenPolicies()
	ttl, err3 := self.TokenTTL()
	if err != nil || err2 != nil || err3 != nil || accessor == "" || len(policies) == 0 || ttl < 0 {
		t.Errorf("lookup-self: accessor %q, policies %v, ttl %v, %v %v %v", accessor, policies, ttl, err, err2, err3)
	}
	if by, err := admin.Auth().Token().LookupAccessor(accessor); err != nil || by.Data["accessor"] != accessor || by.Data["id"] != "" {
		t.Errorf("lookup-accessor: %v, %v", by, err)
	}
	if err := as(token).Auth().Token().RevokeSelf(""); err != nil || f.Alive(token) {
		t.Errorf("revoke-self: %v", err)
	}
	var said *api.ResponseError
	if _, err := as(token).Auth().Token().LookupSelf(); !asError(err, &said) || said.StatusCode != 403 || len(said.Errors) == 0 {
		t.Errorf("lookup-self of a revoked token: %v", err)
	}
	if _, err := admin.Auth().Token().LookupAccessor(accessor); !asError(err, &said) || said.StatusCode != 400 && said.StatusCode != 403 {
		t.Errorf("lookup-accessor of a revoked token: %v", err)
	}
	self, err = as(other).Auth().Token().LookupSelf()
	if err != nil {
		t.Fatal(err)
	}
	accessor, _ = self.TokenAccessor()
	if err := admin.Auth().Token().RevokeAccessor(accessor); err != nil || f.Alive(other) {
		t.Errorf("revoke-accessor: %v", err)
	}
	if err := as(batch).Auth().Token().RevokeSelf(""); err == nil || !f.Alive(batch) {
		t.Errorf("a batch token is revoked: %v", err)
	}
	lease := f.Mint("vault.lease")
	prefix := lease.Ref["id"]
	names, err := admin.Logical().List("sys/leases/lookup/" + prefix)
	if err != nil || names == nil {
		t.Fatalf("list leases: %v", err)
	}
	first, ok := names.Data["keys"].([]any)
	if !ok || len(first) != 2 {
		t.Fatalf("list leases: %v", names.Data)
	}
	id := prefix + "/" + first[0].(string)
	if l, err := admin.Sys().Lookup(id); err != nil || l.Data["id"] != id || l.Data["expire_time"] == nil {
		t.Errorf("look a lease up: %v, %v", l, err)
	}
	if err := admin.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: prefix, Prefix: true, Sync: true}); err != nil || f.Alive(lease) {
		t.Errorf("revoke a lease: %v", err)
	}
}
