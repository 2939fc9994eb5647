package whatsapp_test

import (
	"testing"

	"clawback/revoke/credential"
	"clawback/revoke/fake"
	"clawback/revoke/providers/whatsapp"
	"clawback/revoke/providers/whatsapp/whatsappfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: whatsapp.New, Fake: func(c fake.Clock) fake.Provider { return whatsappfake.New(c) }})
}

// A desk without any authority: tokens end by themselves.
func TestConformanceWithoutAuthority(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: whatsapp.New, Fake: func(c fake.Clock) fake.Provider { return alone{whatsappfake.New(c)} }})
}

// alone is a fake that has no authority to give.
type alone struct{ *whatsappfake.Fake }

func (alone) MintAuthority() (credential.Credential, bool) { return credential.Credential{}, false }
