package credential

import (
	"bytes"
	"crypto/rand"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"filippo.io/age"
	"go.yaml.in/yaml/v3"
)

func random(t testing.TB, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// A secret never shows, with whatever verb, however deep it lies, exported or not.
func TestSecretDoesNotPrint(t *testing.T) {
	value := random(t, 20)
	secret := NewSecret(map[string]string{"value": value, "other": random(t, 8)})
	c := Credential{Provider: "github", Kind: "github.pat", Secret: secret, Masked: "ghp_…"}
	type inside struct {
		hidden Secret
		list   []Secret
		m      map[string]Secret
		c      Credential
	}
	deep := inside{secret, []Secret{secret}, map[string]Secret{"a": secret}, c}
	var out strings.Builder
	for _, v := range []any{secret, &secret, c, &c, deep, &deep, []any{secret}, fmt.Errorf("wrapped %v: %w", secret, errors.New("x"))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "secret", secret, "credential", c, "deep", deep)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "secret", secret, "credential", c, "deep", deep)
	for _, shown := range []string{value, hex.EncodeToString([]byte(value))} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("the secret shows")
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Errorf("nothing was printed at all")
	}
}

func TestSecretRefusesToBeMarshalled(t *testing.T) {
	secret := Value(random(t, 20))
	_, errJSON := json.Marshal(map[string]Secret{"s": secret})
	_, errXML := xml.Marshal(secret)
	errGob := gob.NewEncoder(new(bytes.Buffer)).Encode(secret)
	_, errYAML := yaml.Marshal(secret)
	_, errText := secret.MarshalText()
	_, errBinary := secret.MarshalBinary()
	for name, err := range map[string]error{"json": errJSON, "xml": errXML, "gob": errGob, "yaml": errYAML, "text": errText, "binary": errBinary} {
		if !errors.Is(err, ErrSecret) {
			t.Errorf("%s: %v, want ErrSecret", name, err)
		}
	}
	b, err := json.Marshal(Credential{Provider: "p", Secret: secret})
	if err != nil || bytes.Contains(b, []byte(secret.Reveal("value"))) {
		t.Errorf("a credential marshals its secret, or not at all: %v", err)
	}
}

func TestSecretParts(t *testing.T) {
	a := NewSecret(map[string]string{"id": "1", "secret": "2", "none": ""})
	if got := a.Parts(); len(got) != 2 || a.Reveal("id") != "1" || a.Reveal("none") != "" || a.Reveal("absent") != "" {
		t.Errorf("parts %v", got)
	}
	if !NewSecret(map[string]string{"x": ""}).Empty() || !(Secret{}).Empty() || a.Empty() {
		t.Error("Empty is wrong")
	}
	if !a.Equal(NewSecret(map[string]string{"secret": "2", "id": "1"})) || a.Equal(Secret{}) || !(Secret{}).Equal(Secret{}) {
		t.Error("Equal is wrong")
	}
}

func TestSeal(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []Secret{{}, Value(random(t, 20)), Value(strings.Repeat(random(t, 32), 1024)), NewSecret(map[string]string{"a": "\x00\n\"\u2028", "b": random(t, 9)})} {
		sealed, err := Seal(secret, key.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		opened, err := Unseal(sealed, key)
		if err != nil || !opened.Equal(secret) {
			t.Errorf("a secret with parts %v came back other: %v", secret.Parts(), err)
		}
		if v := secret.Reveal("value"); v != "" && bytes.Contains(sealed, []byte(v[:16])) {
			t.Error("the sealed secret shows it")
		}
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := Seal(Value(random(t, 20)), key.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unseal(sealed, other); err == nil {
		t.Error("another key opened it")
	}
	if _, err := Unseal(make([]byte, maxSealed+1), key); err == nil {
		t.Error("too long a text was taken")
	}
}

// What a host sends in place of a sealed secret is an error without a word of its content.
func FuzzUnseal(f *testing.F) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	good, err := Seal(Value(random(f, 20)), key.Recipient())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Unseal(b, key); err != nil && !s.Empty() {
			t.Error("an error, and a secret")
		}
	})
}
