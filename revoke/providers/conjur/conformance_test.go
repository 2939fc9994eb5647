package conjur_test

import (
	"testing"

	"clawback/revoke"
	"clawback/revoke/fake"
	"clawback/revoke/providers/conjur"
	"clawback/revoke/providers/conjur/conjurfake"
	"clawback/revoke/revoketest"
)

// address is where the tests' Conjur is: there is no compiled-in one.
const address = "https://conjur.test"

func pinned(env revoke.Env) (revoke.Provider, error) {
	if env.Endpoint == "" {
		env.Endpoint = address
	}
	return conjur.New(env)
}

func TestConformance(t *testing.T) {
	revoketest.Run(t, revoketest.Suite{
		New:  pinned,
		Fake: func(c fake.Clock) fake.Provider { return conjurfake.New(c) },
	})
}
