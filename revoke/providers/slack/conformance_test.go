package slack_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/slack"
	"clawback/revoke/providers/slack/slackfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  slack.New,
		Fake: func(c fake.Clock) fake.Provider { return slackfake.New(c) },
	})
}
