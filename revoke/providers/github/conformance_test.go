package github_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/github"
	"clawback/revoke/providers/github/githubfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  github.New,
		Fake: func(c fake.Clock) fake.Provider { return githubfake.New(c) },
	})
}
