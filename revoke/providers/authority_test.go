package providers_test

import (
	"testing"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers"
)

// What a provider takes for an authority is of a kind that a configuration can name.
func TestAuthorityKinds(t *testing.T) {
	for _, f := range providers.Fakes(fake.Wall{}) {
		a, ok := f.MintAuthority()
		if kind, known := credential.Lookup(a.Kind); ok && (!known || kind.Provider != f.Name()) {
			t.Errorf("%s takes a %q, which is no kind of its own", f.Name(), a.Kind)
		}
	}
}
