package wire_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"clawback/revoke/wire"
)

func TestHeldIsAPlace(t *testing.T) {
	var s map[string]*wire.Held
	if err := yaml.Unmarshal([]byte("one: {env: NAME}"), &s); err != nil || s["one"].Place.Kind != yaml.MappingNode {
		t.Errorf("%v, %+v", err, s)
	}
}

func TestHeldRefusesClearText(t *testing.T) {
	secret := rand.Text()
	for name, text := range map[string]string{
		"a text": "one: " + secret, "a number": "one: 12345678", "a list": "one: [" + secret + "]",
		"by an anchor": "two: &it {env: NAME}\none: &secret " + secret + "\nthree: *secret",
	} {
		t.Run(name, func(t *testing.T) {
			var s map[string]*wire.Held
			err := yaml.Unmarshal([]byte(text), &s)
			if !errors.Is(err, wire.ErrClearText) || strings.Contains(err.Error(), secret[:4]) {
				t.Errorf("got %v", err)
			}
		})
	}
}
