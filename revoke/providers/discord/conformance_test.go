package discord_test

import (
	"testing"

	"clawback/revoke/fake"
	"clawback/revoke/providers/discord"
	"clawback/revoke/providers/discord/discordfake"
	"clawback/revoke/revoketest"
)

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{New: discord.New, Fake: func(c fake.Clock) fake.Provider { return discordfake.New(c) }})
}
