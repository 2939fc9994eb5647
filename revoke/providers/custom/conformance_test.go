package custom_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"clawback/revoke"
	"clawback/revoke/fake"
	"clawback/revoke/providers/custom"
	"clawback/revoke/providers/custom/customfake"
	"clawback/revoke/revoketest"
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
	for name, settings := range map[string]string{
		"an administrator ends it": customfake.ByAdmin, "it ends itself": customfake.ByItself, "by its reference": customfake.ByReference,
	} {
		t.Run(name, func(t *testing.T) {
			revoketest.Run(t, revoketest.Suite{
				New: func(env revoke.Env) (revoke.Provider, error) {
					env.Settings = decode(settings)
					return custom.New(env)
				},
				Fake: func(c fake.Clock) fake.Provider { return customfake.New(c) },
			})
		})
	}
}
