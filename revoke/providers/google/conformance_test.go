package google_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/google"
	"clawback/revoke/providers/google/googlefake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  google.New,
		Fake: func(c fake.Clock) fake.Provider { return googlefake.New(c) },
	})
}
