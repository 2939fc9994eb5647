package incident

import (
	"crypto/rand"
	"strings"
	"testing"

	"clawback/revoke/credential"
)

// The item that names a credential most exactly is its own, whatever the order.
func TestInventoryLookup(t *testing.T) {
	id := "AKIA" + strings.ToUpper(rand.Text())[:16]
	aws := credential.NewFingerprintKey().Identify(credential.Credential{Provider: "aws", Kind: "aws.access_key",
		Secret: credential.NewSecret(map[string]string{"access_key_id": id, "secret_access_key": rand.Text()}),
		Ref:    map[string]string{"account": "123456789012"}, Owner: "deploy"})
	items := []InventoryItem{
		{Provider: "aws", Account: "123456789012", Purpose: "account"},
		{Provider: "aws", Masked: aws.Masked, Purpose: "mask"},
		{Provider: "aws", KeyID: id, Purpose: "id"},
	}
	for name, c := range map[string]struct {
		items    []InventoryItem
		accounts []string
		want     string
	}{
		"by key id":           {items, nil, "id"},
		"by mask":             {items[:2], nil, "mask"},
		"by account":          {items[:1], nil, "account"},
		"by owner":            {[]InventoryItem{{Provider: "aws", Account: "deploy", Purpose: "owner"}}, nil, "owner"},
		"by what it says":     {[]InventoryItem{{Provider: "aws", Account: "user/x", Purpose: "baseline"}}, []string{"", "user/x"}, "baseline"},
		"another provider":    {[]InventoryItem{{Provider: "gcp", KeyID: id}}, nil, ""},
		"another kind":        {[]InventoryItem{{Provider: "aws", Kind: "aws.session", KeyID: id}}, nil, ""},
		"nothing names it":    {[]InventoryItem{{Provider: "aws"}}, []string{""}, ""},
		"the first of equals": {[]InventoryItem{{Provider: "aws", KeyID: id, Purpose: "1"}, {Provider: "aws", KeyID: id, Purpose: "2"}}, nil, "1"},
	} {
		if got, ok := (Inventory{c.items}).Lookup(aws, c.accounts...); got.Purpose != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got.Purpose, ok)
		}
	}
	s := credential.Value(rand.Text())
	if _, ok := (Inventory{[]InventoryItem{{Provider: "x", KeyID: s.Reveal("value")}}}).Lookup(credential.Credential{Provider: "x", Kind: "unknown", Secret: s}); ok {
		t.Error("a secret was compared with the inventory")
	}
}
