package credential

import (
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestSealTakesTheLargestSecret(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	const part = 256 << 10
	for name, c := range map[string]struct {
		parts map[string]string
		want  error
	}{
		"escaped in HTML":     {map[string]string{"value": strings.Repeat("<", 200_000)}, nil},
		"three escaped parts": {map[string]string{"a": strings.Repeat("\x00", part), "b": strings.Repeat("\x01", part), "c": strings.Repeat("\x02", part)}, nil},
		"one part too many":   {map[string]string{"a": strings.Repeat("\x00", 3*part), "b": strings.Repeat("x", 5<<10)}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			secret := NewSecret(c.parts)
			sealed, err := Seal(secret, key.Recipient())
			if !errors.Is(err, c.want) {
				t.Fatalf("Seal: %v, want %v", err, c.want)
			}
			if c.want != nil {
				return
			}
			if opened, err := Unseal(sealed, key); err != nil || !opened.Equal(secret) {
				t.Errorf("it came back other: %v", err)
			}
		})
	}
	if _, err := Unseal(make([]byte, maxSealed+1), key); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Unseal of too much: %v", err)
	}
}

// What is no more than HTML to JSON takes one byte for each.
func TestSealDoesNotEscapeHTML(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := Seal(Value(strings.Repeat("<", 200_000)), key.Recipient())
	if err != nil || len(sealed) > 210_000 {
		t.Errorf("200,000 bytes became %d: %v", len(sealed), err)
	}
}
