package gitlab_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/gitlab"
	"clawback/revoke/providers/gitlab/gitlabfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  gitlab.New,
		Fake: func(c fake.Clock) fake.Provider { return gitlabfake.New(c) },
	})
}
