package azure_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/azure"
	"clawback/revoke/providers/azure/azurefake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: azure.New, Fake: func(c fake.Clock) fake.Provider { return azurefake.New(c) }})
}
