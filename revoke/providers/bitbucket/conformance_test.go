package bitbucket_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/bitbucket"
	"clawback/revoke/providers/bitbucket/bitbucketfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  bitbucket.New,
		Fake: func(c fake.Clock) fake.Provider { return bitbucketfake.New(c) },
	})
}
