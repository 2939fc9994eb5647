package oauth2_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/fake"
	"clawback/revoke/providers/oauth2"
	"clawback/revoke/providers/oauth2/oauth2fake"
	"clawback/revoke/revoketest"
)

// desk is what a desk says of the simulated server.
const desk = `
acme:
  revocation: https://auth.oauth2.test/revoke
  introspection: https://auth.oauth2.test/introspect
  client_secret: client_secret
  match: '[0-9A-Z]{52}|auth\.oauth2\.test'
`

const (
	withProbe = desk + "  probe: https://auth.oauth2.test/resource\n"
	public    = `
acme:
  revocation: https://auth.oauth2.test/revoke
  introspection: https://auth.oauth2.test/introspect
  client_id: openclaw-cli
  match: '[0-9A-Z]{52}'
`
)

// decode reads settings as the desk's configuration does.
func decode(text string) func(any) error {
	return func(into any) error {
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		return d.Decode(into)
	}
}

func TestConformance(t *testing.T) {
	for name, settings := range map[string]string{"introspection": desk, "and a resource": withProbe, "public client": public} {
		t.Run(name, func(t *testing.T) {
			revoketest.Run(t, revoketest.Suite{
				New: func(env revoke.Env) (revoke.Provider, error) {
					env.Settings = decode(settings)
					return oauth2.New(env)
				},
				Fake: func(c fake.Clock) fake.Provider { return oauth2fake.New(c) },
			})
		})
	}
}
