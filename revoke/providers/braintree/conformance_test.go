package braintree_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/braintree"
	"clawback/revoke/providers/braintree/braintreefake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  braintree.New,
		Fake: func(c fake.Clock) fake.Provider { return braintreefake.New(c) },
	})
}
